#include "retrieval/collection.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <thread>

#include "base/error.h"
#include "base/files.h"
#include "retrieval/analyzer.h"
#include "tests/support/catch.h"
#include "tests/support/temp_folder.h"

using namespace lectern;
namespace fs = std::filesystem;

namespace {

void write(const fs::path& path, const std::string& content) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

Document text_document(const std::string& text, const std::string& title = "") {
  Document document;
  document.text = text;
  document.format = "text";
  document.title = title;
  return document;
}

IndexReport index(Collection& collection, const fs::path& root, const IndexOptions& options = {}) {
  const std::vector<fs::path> roots = {root};
  return collection.index(roots, options, {}, CancelToken());
}

std::vector<SearchHit> search(const Collection& collection, const std::string& text, int limit = 10) {
  SearchRequest request;
  request.queries = {{text, 1.0}};
  request.limit = limit;
  request.sections = true;
  return collection.search(request);
}

std::vector<std::string> paths(const Collection& collection, const std::string& text) {
  std::vector<std::string> result;
  for (const SearchHit& hit : search(collection, text)) result.push_back(hit.passage.path);
  std::sort(result.begin(), result.end());
  return result;
}

using Paths = std::vector<std::string>;

// A folder of notes and a collection beside it.
struct Notes {
  TempFolder folder;
  fs::path root = folder.path() / "notes";
  fs::path database = folder.path() / "notes.lectern";

  Notes() {
    write(root / "a.txt", "The quick brown fox jumps over the lazy dog.\n");
    write(root / "sub" / "b.md",
          "# Bicycles\n\nA bicycle has two wheels.\n\n## Brakes\n\nDisc brakes stop well.\n");
    write(root / "c.txt", "贝多芬写了第五交响曲。\n");
  }
};

}  // namespace

TEST_CASE("a hit names the section of the passage that holds what was searched for") {
  Notes notes;
  const auto collection = Collection::open(notes.database);
  index(*collection, notes.root);
  const auto section = [&](const std::string& words) {
    return search(*collection, words, 1).at(0).heading_path;
  };
  REQUIRE(search(*collection, "bicycle", 1).at(0).passage.chunk.later_sections.size() == 1);
  CHECK(section("two wheels") == "Bicycles");
  CHECK(section("brakes stop") == "Bicycles > Brakes");
  CHECK(section("brakes stop two wheels of the bicycle") == "Bicycles");
  CHECK(section("fox").empty());
  // Read back from the file, and where the passage itself begins.
  const auto again = Collection::open(notes.database);
  const SearchHit hit = search(*again, "disc brakes", 1).at(0);
  CHECK(hit.heading_path == "Bicycles > Brakes");
  CHECK(hit.passage.chunk.heading_path == "Bicycles");
}

TEST_CASE("a collection knows its folders and is deleted whole even when damaged") {
  Notes notes;
  const auto others = [&] {
    int n = 0;
    for (const auto& entry : fs::directory_iterator(notes.folder.path()))
      n += entry.path().filename().string().starts_with("notes.lectern");
    return n;
  };
  {
    const auto collection = Collection::open(notes.database);
    index(*collection, notes.root);
    CHECK(collection->roots() == std::vector<std::string>{fs::canonical(notes.root).string()});
  }
  SECTION("sound") {}
  SECTION("damaged") {
    fs::resize_file(notes.database, 8192);
    CHECK_THROWS_AS(Collection::open(notes.database)->stats(), Error);
  }
  delete_collection(notes.database);
  CHECK(others() == 0);
  write(notes.database, "my own data");
  CHECK_THROWS_AS(delete_collection(notes.database), Error);
  CHECK(fs::file_size(notes.database) == 11);
}

TEST_CASE("files are indexed, found, read back and verified") {
  Notes notes;
  const auto collection = Collection::open(notes.database);
  const IndexReport report = index(*collection, notes.root);
  CHECK(report.added == 3);
  CHECK(report.warnings.empty());
  CHECK(report.bytes_read > 100);
  collection->verify();

  CHECK(paths(*collection, "foxes") == Paths{"a.txt"});
  CHECK(paths(*collection, "第五交響曲是谁写的") == Paths{"c.txt"});
  const auto hits = search(*collection, "disc brake");
  REQUIRE(!hits.empty());
  CHECK(hits[0].passage.path == "sub/b.md");
  CHECK(hits[0].passage.text.find("brakes") != std::string::npos);
  CHECK(hits[0].score > 0);

  const auto info = collection->find_document("sub/b.md");
  REQUIRE(info);
  CHECK(info->title == "Bicycles");
  CHECK(info->format == "markdown");
  CHECK(collection->text(info->id) == read_file(notes.root / "sub" / "b.md", 1000));
  CHECK(info->text_bytes == collection->text(info->id).size());
  const auto all = collection->passages(info->id, 0, 100);
  REQUIRE(static_cast<int>(all.size()) == info->n_chunks);
  for (size_t i = 0; i < all.size(); ++i) {
    CHECK(all[i].chunk.ordinal == static_cast<int>(i));
    const Passage one = collection->passage(all[i].chunk_id);
    CHECK(one.text == all[i].text);
    CHECK(one.document_id == info->id);
    CHECK(one.text == collection->text(info->id).substr(one.chunk.begin, one.chunk.end - one.chunk.begin));
  }
  CHECK(collection->passages(info->id, 1000, 5).empty());
  CHECK(collection->documents().size() == 3);
  const CollectionStats stats = collection->stats();
  CHECK(stats.n_documents == 3);
  CHECK(stats.n_chunks >= 3);
  CHECK(stats.n_postings > 10);
  CHECK(stats.file_bytes > 0);
  CHECK_THROWS_AS(collection->text(999), Error);
  CHECK_THROWS_AS(collection->passage(999), Error);
  CHECK_FALSE(collection->find_document("nowhere"));
}

TEST_CASE("indexing again notices new, changed, renamed and removed files, and reads nothing else") {
  Notes notes;
  const auto collection = Collection::open(notes.database);
  index(*collection, notes.root);
  const IndexReport again = index(*collection, notes.root);
  CHECK(again.unchanged == 3);
  CHECK(again.bytes_read == 0);
  CHECK(again.added + again.changed + again.renamed + again.removed == 0);

  write(notes.root / "d.txt", "A walrus swims.");
  write(notes.root / "a.txt", "The slow red panda sleeps.");
  fs::rename(notes.root / "sub" / "b.md", notes.root / "cycles.md");
  fs::remove(notes.root / "c.txt");
  const IndexReport changed = index(*collection, notes.root);
  CHECK(changed.added == 1);
  CHECK(changed.changed == 1);
  CHECK(changed.renamed == 1);
  CHECK(changed.removed == 1);
  CHECK(changed.unchanged == 0);
  collection->verify();
  CHECK(paths(*collection, "fox").empty());
  CHECK(paths(*collection, "panda") == Paths{"a.txt"});
  CHECK(paths(*collection, "walrus") == Paths{"d.txt"});
  CHECK(paths(*collection, "brakes") == Paths{"cycles.md"});
  CHECK(paths(*collection, "交响曲").empty());
  CHECK(collection->documents().size() == 3);
}

TEST_CASE("a touched file is not analysed again, one whose title is its name is") {
  Notes notes;
  const auto collection = Collection::open(notes.database);
  index(*collection, notes.root);
  fs::last_write_time(notes.root / "a.txt", fs::file_time_type::clock::now() + std::chrono::hours(1));
  const IndexReport touched = index(*collection, notes.root);
  CHECK(touched.unchanged == 3);
  CHECK(touched.bytes_read == fs::file_size(notes.root / "a.txt"));
  CHECK(index(*collection, notes.root).bytes_read == 0);

  fs::rename(notes.root / "a.txt", notes.root / "xylophone.txt");
  index(*collection, notes.root);
  CHECK(paths(*collection, "xylophone") == Paths{"xylophone.txt"});  // through the title
  CHECK(collection->documents().size() == 3);
  collection->verify();
}

TEST_CASE("two files changing places keep their contents apart") {
  Notes notes;
  const auto collection = Collection::open(notes.database);
  index(*collection, notes.root);
  fs::rename(notes.root / "a.txt", notes.root / "t");
  fs::rename(notes.root / "c.txt", notes.root / "a.txt");
  fs::rename(notes.root / "t", notes.root / "c.txt");
  index(*collection, notes.root);
  CHECK(paths(*collection, "fox") == Paths{"c.txt"});
  CHECK(paths(*collection, "交响曲") == Paths{"a.txt"});
  collection->verify();
}

TEST_CASE("bad files are warned about on every run but read only once") {
  Notes notes;
  write(notes.root / "blob.txt", std::string("\0\1\2\3\0binary\0", 13));
  const auto collection = Collection::open(notes.database);
  const IndexReport first = index(*collection, notes.root);
  CHECK(first.added == 3);
  REQUIRE(first.warnings.size() == 1);
  CHECK(first.warnings[0].path == "blob.txt");
  const IndexReport second = index(*collection, notes.root);
  REQUIRE(second.warnings.size() == 1);
  CHECK(second.warnings[0].reason == first.warnings[0].reason);
  CHECK(second.bytes_read == 0);
  write(notes.root / "blob.txt", "now a wombat");
  const IndexReport third = index(*collection, notes.root);
  CHECK(third.warnings.empty());
  CHECK(third.added == 1);
  CHECK(paths(*collection, "wombat") == Paths{"blob.txt"});
  write(notes.root / "blob.txt", std::string("\0\1\2\3\0binary again\0", 19));
  const IndexReport fourth = index(*collection, notes.root);
  CHECK(fourth.warnings.size() == 1);
  CHECK(fourth.removed == 1);
  CHECK(paths(*collection, "wombat").empty());
  collection->verify();
}

TEST_CASE("roots are independent, and a file under two of them is one document") {
  Notes notes;
  const auto collection = Collection::open(notes.database);
  index(*collection, notes.root / "a.txt");
  CHECK(collection->documents().size() == 1);
  index(*collection, notes.root / "sub");
  CHECK(collection->documents().size() == 2);
  index(*collection, notes.root);
  CHECK(collection->documents().size() == 3);
  fs::remove(notes.root / "a.txt");
  index(*collection, notes.root / "sub");
  CHECK(collection->documents().size() == 3);  // a.txt is not below sub
  CHECK(index(*collection, notes.root).removed == 1);
  CHECK_THROWS_AS(index(*collection, notes.folder.path() / "nowhere"), Error);
  collection->verify();
}

TEST_CASE("a collection inside its folder does not index itself") {
  Notes notes;
  const auto collection = Collection::open(notes.root / "index.db");
  const IndexReport report = index(*collection, notes.root);
  CHECK(report.added == 3);
  CHECK(report.warnings.empty());
}

TEST_CASE("documents from memory are added, replaced and removed") {
  for (const bool in_memory : {true, false}) {
    TempFolder folder;
    const auto collection = in_memory ? Collection::open_in_memory() : Collection::open(folder.path() / "c");
    const int64_t first = collection->add("x/one", text_document("apples and pears", "Fruit"));
    collection->add("x/two", text_document("nails and screws", "Hardware"));
    collection->add("y", text_document("", "Empty"));
    CHECK(paths(*collection, "fruit") == Paths{"x/one"});  // by title
    CHECK(collection->add("x/one", text_document("plums", "Fruit")) != first);
    CHECK(paths(*collection, "apples").empty());
    CHECK(paths(*collection, "plum") == Paths{"x/one"});
    collection->verify();
    CHECK(collection->remove("nowhere") == 0);
    CHECK(collection->remove("x") == 2);
    CHECK(search(*collection, "plum").empty());
    CHECK(collection->remove("y") == 1);
    CHECK(collection->stats().n_documents == 0);
    CHECK(collection->stats().n_chunks == 0);
    collection->verify();
  }
}

TEST_CASE("one character finds the words that it is part of") {
  const auto collection = Collection::open_in_memory();
  collection->add("a", text_document("我家的小猫。"));
  collection->add("b", text_document("那只猫叫豆包，每天晚上都要出去。"));
  collection->add("c", text_document("猫，狗和鸟"));
  collection->add("d", text_document("牛奶在冰箱里"));
  collection->add("e", text_document("우리 집은 작다"));
  const auto found = [&](const std::string& query) {
    Paths out;
    for (const SearchHit& hit : search(*collection, query)) out.insert(out.end(), hit.passage.path);
    std::sort(out.begin(), out.end());
    return out;
  };
  CHECK(found("猫") == Paths{"a", "b", "c"});
  CHECK(found("奶") == Paths{"d"});
  CHECK(found("집") == Paths{"e"});
  CHECK(found("马").empty());
  CHECK(found("小猫") == Paths{"a"});
  SearchRequest request;  // with other words: the one that has both comes first
  request.queries = {{"豆包 猫", 1.0}};
  CHECK(collection->search(request).at(0).passage.path == "b");
}

TEST_CASE("headings find the chunks below them") {
  const auto collection = Collection::open_in_memory();
  Document document = text_document("intro\n\n" + std::string(600, 'x') + "\n\nthe end of it", "Guide");
  document.format = "markdown";
  document.headings = {{0, 1, "Guide"}, {6, 2, "Zebra crossing"}};
  collection->add("guide.md", document);
  const auto hits = search(*collection, "zebra");
  REQUIRE(!hits.empty());
  CHECK(hits[0].passage.chunk.heading_path.find("Zebra") != std::string::npos);
}

TEST_CASE("several queries are fused by their weights and by the share of their words that is known") {
  const auto collection = Collection::open_in_memory();
  collection->add("a", text_document("alpha alpha common"));
  collection->add("b", text_document("beta beta common"));
  collection->add("c", text_document("gamma common"));
  SearchRequest request;
  request.queries = {{"beta", 1.0}};
  const double alone = collection->search(request).at(0).score;
  request.queries = {{"alpha", 1.0}, {"beta", 2.0}, {"", 1.0}, {"gamma", 0.0}};
  request.explain = true;
  auto hits = collection->search(request);
  REQUIRE(hits.size() == 2);
  CHECK(hits[0].passage.path == "b");
  const double perfect =
      std::log(1 + (3 - 1 + 0.5) / (1 + 0.5));  // the idf of a word that one of three holds
  CHECK(hits[0].score == Approx(2 * alone / perfect));
  CHECK(hits[1].score == Approx(alone / perfect));
  REQUIRE(hits[0].terms.size() == 1);
  CHECK(hits[0].terms[0].term == "beta");
  CHECK(hits[0].terms[0].score == Approx(hits[0].score));

  request.queries = {{"who knows alpha", 2.0}, {"beta", 1.0}};  // two of three words are in no chunk
  hits = collection->search(request);
  REQUIRE(hits.size() == 2);
  CHECK(hits[0].passage.path == "b");

  request.queries = {{"alpha common", 1.0}};
  hits = collection->search(request);
  REQUIRE(hits.size() == 3);
  double sum = 0;
  for (const TermShare& share : hits[0].terms) sum += share.score;
  CHECK(sum == Approx(hits[0].score));
  CHECK(hits[0].terms.size() == 2);

  request.documents = {collection->find_document("c")->id};
  hits = collection->search(request);
  REQUIRE(hits.size() == 1);
  CHECK(hits[0].passage.path == "c");
  request.documents = {12345};
  CHECK_THROWS_AS(collection->search(request), Error);
}

TEST_CASE("odd queries find something or nothing, never fail") {
  Notes notes;
  const auto collection = Collection::open(notes.database);
  CHECK(search(*collection, "anything").empty());
  index(*collection, notes.root);
  std::string endless;
  for (int i = 0; endless.size() < 100'000; ++i) endless += "word" + std::to_string(i) + " ";
  for (const std::string& query :
       {std::string(), std::string(" \n"), std::string("\xff\xfe"), std::string("???"), std::string("the"),
        std::string("\0", 1), endless + "fox"})
    CHECK_NOTHROW(search(*collection, query));
  CHECK(paths(*collection, endless + "fox") == Paths{"a.txt"});
  CHECK(search(*collection, "fox", 0).empty());
  CHECK(search(*collection, "fox", -1).empty());
  CHECK(search(*collection, "fox", 1'000'000).size() == 1);
}

TEST_CASE("files that are no collection are refused by name") {
  TempFolder folder;
  const auto fails_with = [&](const fs::path& path, ErrorCode code) {
    try {
      Collection::open(path);
      FAIL("was opened");
    } catch (const Error& error) {
      CHECK(error.code() == code);
      CHECK(std::string(error.what()).find(path.filename().string()) != std::string::npos);
    }
  };
  write(folder.path() / "text", std::string(5000, 'x'));
  fails_with(folder.path() / "text", ErrorCode::kCorrupt);
  fs::create_directory(folder.path() / "folder");
  fails_with(folder.path() / "folder", ErrorCode::kInvalidArgument);
  write(folder.path() / "file", "x");
  fails_with(folder.path() / "file" / "below", ErrorCode::kIo);

  // Empty is new. A later format, told by SQLite's user version at byte 60, is refused.
  write(folder.path() / "empty", "");
  Collection::open(folder.path() / "empty")->add("a", text_document("alpha"));
  CHECK(paths(*Collection::open(folder.path() / "empty"), "alpha") == Paths{"a"});
  const auto patched = [&](const char* name, size_t at, char byte) {
    fs::copy_file(folder.path() / "empty", folder.path() / name);
    std::fstream file(folder.path() / name, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(at));
    file.put(byte);
    return folder.path() / name;
  };
  fails_with(patched("newer", 63, 9), ErrorCode::kUnsupported);
  fails_with(patched("foreign", 68, 9), ErrorCode::kCorrupt);
}

TEST_CASE("a damaged collection gives errors, not crashes") {
  TempFolder folder;
  const fs::path intact = folder.path() / "intact";
  {
    const auto collection = Collection::open(intact);
    std::string text;
    for (int i = 0; i < 3000; ++i)
      text += "word" + std::to_string(i * 7919 % 1000) + (i % 50 == 0 ? "\n\n" : " ");
    collection->add("a", text_document(text));
  }
  const std::string bytes = read_file(intact, 10 << 20);
  int n_noticed = 0;
  for (size_t round = 0; round < 60; ++round) {
    std::string damaged = bytes;
    const size_t at = round * bytes.size() / 60;
    for (size_t i = 0; i < 64 && at + i < damaged.size(); ++i)
      damaged[at + i] = static_cast<char>(round * 31 + i * 17);
    const fs::path path = folder.path() / ("damaged" + std::to_string(round));
    write(path, damaged);
    try {
      const auto collection = Collection::open(path);
      search(*collection, "word17 word500");
      collection->verify();
    } catch (const Error& error) {
      ++n_noticed;
    }
  }
  CHECK(n_noticed > 10);  // much of so small a file is empty pages
  const fs::path cut = folder.path() / "cut";
  write(cut, bytes.substr(0, bytes.size() / 2));
  CHECK_THROWS_AS(Collection::open(cut)->verify(), Error);
}

TEST_CASE("one process writes, others read") {
  Notes notes;
  const auto first = Collection::open(notes.database);
  index(*first, notes.root);
  const auto second = Collection::open(notes.database);
  CHECK(paths(*second, "fox") == Paths{"a.txt"});
  second->add("memo", text_document("a memo about lynxes"));
  CHECK(paths(*first, "lynx") == Paths{"memo"});
  first->add("memo", text_document("a memo about badgers"));
  CHECK(paths(*second, "lynx").empty());
  CHECK(paths(*second, "badger") == Paths{"memo"});
}

TEST_CASE("searches see finished batches while others are written") {
  TempFolder folder;
  for (int i = 0; i < 300; ++i)
    write(folder.path() / "notes" / (std::to_string(i) + ".txt"),
          "common text number" + std::to_string(i) + "\n");
  const auto collection = Collection::open(folder.path() / "c.lectern");
  std::atomic<bool> done{false};
  std::atomic<size_t> most{0}, n_searches{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i)
    readers.emplace_back([&] {
      while (!done) {
        const size_t n = search(*collection, "common", 1000).size();
        size_t seen = most.load();
        while (seen < n && !most.compare_exchange_weak(seen, n)) continue;
        ++n_searches;
      }
    });
  IndexOptions options;
  options.batch_bytes = 200;  // many small transactions
  index(*collection, folder.path() / "notes", options);
  while (n_searches < 10) std::this_thread::yield();
  done = true;
  for (std::thread& reader : readers) reader.join();
  CHECK(search(*collection, "common", 1000).size() == 300);
  CHECK(most <= 300);
  collection->verify();
}

TEST_CASE("cancelling keeps what was read") {
  TempFolder folder;
  for (int i = 0; i < 100; ++i)
    write(folder.path() / "notes" / (std::to_string(100 + i) + ".txt"), "note " + std::to_string(i));
  const auto collection = Collection::open(folder.path() / "c.lectern");
  CancelToken cancel;
  IndexOptions options;
  options.batch_bytes = 50;
  const std::vector<fs::path> roots = {folder.path() / "notes"};
  std::atomic<bool> done{false};
  std::thread other([&] {
    while (collection->stats().n_documents < 20 && !done) std::this_thread::yield();
    cancel.cancel();
  });
  try {
    collection->index(roots, options, {}, cancel);
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::kCancelled);
  }
  done = true;
  other.join();
  CHECK(collection->stats().n_documents >= 20);
  collection->verify();
  index(*collection, roots[0]);
  CHECK(collection->stats().n_documents == 100);
  collection->verify();
}

TEST_CASE("progress counts files and bytes") {
  Notes notes;
  const auto collection = Collection::open(notes.database);
  Progress last;
  const std::vector<fs::path> roots = {notes.root};
  collection->index(
      roots, {}, [&](const Progress& progress) { last = progress; }, CancelToken());
  CHECK(last.items_done == 3);
  CHECK(last.items_total == 3);
  CHECK(last.bytes_done == last.bytes_total);
  CHECK(last.bytes_total > 0);
}

TEST_CASE("the collection of a folder has a stable name of its own") {
  Notes notes;
  CHECK(default_collection_path(notes.root) == default_collection_path(notes.root / "sub" / ".."));
  CHECK(default_collection_path(notes.root) != default_collection_path(notes.root / "sub"));
}

TEST_CASE("scores are kept in the collection and the newest stay") {
  const TempFolder folder;
  const fs::path database = folder.path() / "c.lectern";
  using Scores = std::vector<std::pair<std::string, double>>;
  const std::vector<std::string> keys = {"first", "second", "unknown"};
  {
    const auto collection = Collection::open(database);
    CHECK(collection->kept_scores(keys) == std::vector<std::optional<double>>(3));  // no table yet
    collection->keep_scores(Scores{{"first", -1.25}, {"second", 2.5}});
    collection->keep_scores(Scores{{"second", 3.5}});
  }
  const auto collection = Collection::open(database);
  CHECK(collection->kept_scores(keys) == std::vector<std::optional<double>>{-1.25, 3.5, std::nullopt});
  Scores many;
  for (int i = 0; i < 100'000; ++i) many.emplace_back("key " + std::to_string(i), i);
  collection->keep_scores(many);
  const std::vector<std::string> ends = {"first", "second", "key 0", "key 99999"};
  CHECK(collection->kept_scores(ends) ==
        std::vector<std::optional<double>>{std::nullopt, std::nullopt, 0.0, 99999.0});
  collection->verify();
}

TEST_CASE("scores are not kept while another writes and nothing fails") {
  const TempFolder folder;
  const fs::path database = folder.path() / "c.lectern";
  const auto collection = Collection::open(database);
  const int lock = ::open((database.string() + ".lock").c_str(), O_RDWR | O_CREAT, 0644);
  REQUIRE(lock >= 0);
  REQUIRE(::flock(lock, LOCK_EX | LOCK_NB) == 0);
  const std::vector<std::pair<std::string, double>> scores = {{"a", 1.0}};
  collection->keep_scores(scores);
  const std::vector<std::string> keys = {"a"};
  CHECK(collection->kept_scores(keys) == std::vector<std::optional<double>>{std::nullopt});
  ::close(lock);
  collection->keep_scores(scores);
  CHECK(collection->kept_scores(keys) == std::vector<std::optional<double>>{1.0});
}
