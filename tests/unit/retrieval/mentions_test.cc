#include "retrieval/mentions.h"

#include <algorithm>
#include <fstream>

#include "retrieval/collection.h"
#include "tests/support/catch.h"
#include "tests/support/temp_folder.h"

using namespace lectern;
namespace fs = std::filesystem;

namespace {

using Names = std::vector<std::string>;

struct Dictionary {
  MentionDictionary names;
  mutable FoldedText folded;

  explicit Dictionary(const Names& titles) {
    for (size_t i = 0; i < titles.size(); ++i) names.add(titles[i], static_cast<int64_t>(i), folded);
    names.seal();
  }
  Names in(const std::string& text) const {
    Names found;
    for (const Mention& mention : names.find(text, folded))
      found.push_back(text.substr(mention.begin, mention.end - mention.begin));
    return found;
  }
  std::vector<int64_t> documents(const std::string& text) const {
    std::vector<int64_t> found;
    for (const Mention& mention : names.find(text, folded))
      found.insert(found.end(), mention.documents.begin(), mention.documents.end());
    return found;
  }
};

void add(Collection& collection, const std::string& path, const std::string& title, const std::string& text,
         const Names& aliases = {}) {
  Document document;
  document.format = "text";
  document.title = title;
  document.text = text;
  document.aliases = aliases;
  collection.add(path, document);
}

std::vector<SearchHit> search(const Collection& collection, const std::string& text, bool follow = true,
                              int limit = 8) {
  SearchRequest request;
  request.queries = {{text, 1.0}};
  request.limit = limit;
  request.follow_names = follow;
  return collection.search(request);
}

bool finds(const std::vector<SearchHit>& hits, const std::string& title) {
  return std::any_of(hits.begin(), hits.end(),
                     [&](const SearchHit& hit) { return hit.passage.title == title; });
}

}  // namespace

TEST_CASE("names are found whatever their case, accents and punctuation, the longest first") {
  const Dictionary names({"Theodred II (Bishop of Elmham)", "Theodred", "Maurice, Prince of Orange",
                          "Étienne de Crécy", "I'll Be Going Now"});
  CHECK(names.in("after THEODRED II's death") == Names{"THEODRED II"});
  CHECK(names.in("Theodred II (Bishop of Elmham) died") == Names{"Theodred II (Bishop of Elmham"});
  CHECK(names.in("Theodred I") == Names{"Theodred"});
  CHECK(names.in("Maurice Prince Of Orange's father") == Names{"Maurice Prince Of Orange"});
  CHECK(names.in("by Etienne De Crecy.") == Names{"Etienne De Crecy"});
  CHECK(names.in("film I’Ll Be Going Now?") == Names{"I’Ll Be Going Now"});
  CHECK(names.in("Theodredson, Orange and Maurice").empty());
}

TEST_CASE("names are found in running Chinese, simplified or traditional") {
  const Dictionary names({"林晚秋", "白河", "白河纪事", "茶", "上海（电影）"});
  CHECK(names.in("他说林晚秋执导了白河纪事。") == Names{"林晚秋", "白河纪事"});
  CHECK(names.in("白河紀事與白河的水") == Names{"白河紀事", "白河"});
  CHECK(names.in("喝茶").empty());
  CHECK(names.in("在上海拍") == Names{"上海"});
}

TEST_CASE("a name that repeats brings all its documents, one that everything has brings none") {
  Names titles(MentionDictionary::kMaxNamesakes, "Minutes of Meeting");
  const Dictionary all(titles);
  CHECK(all.documents("see Minutes of meeting").size() == titles.size());
  titles.emplace_back("Minutes of Meeting");
  CHECK(Dictionary(titles).documents("see Minutes of meeting").empty());
}

TEST_CASE("hostile names cost little") {
  std::string endless, nested(5000, '(');
  for (int i = 0; i < 10'000; ++i) endless += "word ";
  Names titles(100'000, "Same Title");
  titles.insert(titles.end(), {endless, nested, "", "()", "\xff\xfe", std::string("a\0b", 3), "Good Name"});
  const Dictionary names(titles);
  CHECK(names.names.size() < 10);
  CHECK(names.names.bytes() < 1000);
  CHECK(names.in("Same Title") == Names{});
  CHECK(names.in(endless + "Good Name") == Names{"Good Name"});
  CHECK(names.in(std::string(100'000, '[') + "Good Name").size() == 1);
}

TEST_CASE("a target of a link is known as one") {
  Dictionary names({"Budget"});
  const auto is_link = [&](const std::string& text) {
    const auto found = names.names.find(text, names.folded);
    REQUIRE(found.size() == 1);
    CHECK(found[0].is_word);
    return found[0].is_link;
  };
  CHECK(is_link("see [[Budget]]"));
  CHECK(is_link("see [[budget|the numbers]]"));
  CHECK(is_link("see [[work/Budget#May]]"));
  CHECK(is_link("see [the numbers](work/budget.md)"));
  CHECK_FALSE(is_link("see [[work]] and Budget"));
  CHECK_FALSE(is_link("see [the Budget](work.md)"));
}

TEST_CASE("search follows names over two documents") {
  auto collection = Collection::open_in_memory();
  add(*collection, "1", "The Salt Road (film)", "A drama of 1961 by Ines Varga, at the coast.");
  add(*collection, "2", "Ines Varga", "She came into the world in Pécs.");
  add(*collection, "3", "白河纪事", "一部纪录片，由林晚秋执导。");
  add(*collection, "4", "林晚秋", "一九五八年生于杭州。");
  for (int i = 0; i < 40; ++i)
    add(*collection, "other " + std::to_string(i), "Other " + std::to_string(i),
        "Where was the director born? 导演出生在哪里？ Nobody knows.");
  const std::string question = "Where was the director of The Salt Road born?";
  CHECK_FALSE(finds(search(*collection, question, false), "Ines Varga"));
  const auto hits = search(*collection, question);
  CHECK(hits.size() == 8);
  REQUIRE(finds(hits, "Ines Varga"));
  CHECK(finds(hits, "The Salt Road (film)"));
  for (const SearchHit& hit : hits)
    CHECK(hit.name == (hit.passage.title == "Ines Varga"             ? "Ines Varga"
                       : hit.passage.title == "The Salt Road (film)" ? "The Salt Road"
                                                                     : ""));
  CHECK(finds(search(*collection, "白河纪事的导演出生在哪里？"), "林晚秋"));

  SECTION("inside a scope nothing comes from outside") {
    SearchRequest request;
    request.queries = {{question, 1.0}};
    request.follow_names = true;
    request.documents = {collection->find_document("1")->id};
    CHECK(collection->search(request).size() == 1);
  }
  SECTION("names are those of the moment") {
    collection->remove("2");
    CHECK_FALSE(finds(search(*collection, question), "Ines Varga"));
    add(*collection, "5", "I. V.", "In Pécs she grew up.", {"Ines Varga"});
    CHECK(finds(search(*collection, question), "I. V."));
  }
}

TEST_CASE("single words are names only when rare or linked") {
  auto collection = Collection::open_in_memory();
  add(*collection, "budget.md", "Budget", "Twelve thousand in all.");
  add(*collection, "kiln.md", "Kiln", "Fired twice a year.");
  add(*collection, "plan.md", "Summer plan", "For the numbers see [[budget]].");
  add(*collection, "trip.md", "Winter trip", "We count on the budget and on Kiln.");
  for (int i = 0; i < 60; ++i)
    add(*collection, std::to_string(i), "Note " + std::to_string(i), "The budget of the summer, the winter.");
  CHECK(finds(search(*collection, "summer plan"), "Budget"));
  const auto hits = search(*collection, "winter trip");
  CHECK(finds(hits, "Kiln"));
  CHECK_FALSE(
      std::any_of(hits.begin(), hits.end(), [](const SearchHit& hit) { return hit.name == "budget"; }));
}
