#include "engine/kv_store.h"

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>

#include "base/error.h"
#include "base/files.h"
#include "engine/cpu_backend.h"
#include "engine/engine.h"
#include "engine/prefix_cache.h"
#include "kernels/cpu/dispatch.h"
#include "tests/support/catch.h"
#include "tests/support/engine_fixtures.h"
#include "tests/support/temp_folder.h"
#include "tests/support/tiny_model.h"

using namespace lectern;
using namespace lectern::test;
namespace fs = std::filesystem;

namespace {

// A store whose backend has read a text of 100 tokens for each seed asked for.
struct Fixture {
  explicit Fixture(const fs::path& folder, uint64_t max_bytes = 1 << 20, int min_tokens = 0)
      : model(make_tiny_model(tiny_config())),
        backend(make_cpu_backend(model, {.n_threads = 1, .kv_tokens = 512}, {})),
        store({folder, max_bytes, min_tokens}, *backend, fingerprint(*model)) {}

  void put(int seed) {
    const auto tokens = some_tokens(100, seed);
    KvSequence sequence(backend->kv_pages());
    run(*backend, sequence, tokens, 0);
    store.store(tokens, sequence.pages());
  }
  bool get(int seed) {
    KvSequence sequence(backend->kv_pages());
    sequence.reserve(100);
    return store.load(some_tokens(100, seed), sequence.pages());
  }

  std::string problem(int seed) { return store.take_problem(some_tokens(100, seed)); }

  std::shared_ptr<const ModelFile> model;
  std::unique_ptr<Backend> backend;
  KvStore store;
};

constexpr uint64_t kFileBytes = 96 + 6 + 100 * 4 + 100 * 384 + 8;

std::vector<fs::path> files_of(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
  return files;
}

// Moves the time at which each file was used last.
void age(const fs::path& folder, std::chrono::hours by) {
  for (const fs::path& file : files_of(folder)) fs::last_write_time(file, fs::last_write_time(file) - by);
}

}  // namespace

TEST_CASE("KvStore gives back what was stored, in a later process too") {
  const TempFolder temp;
  const fs::path folder = temp.path() / "kv" / "here";
  {
    Fixture fixture(folder);
    CHECK_FALSE(fixture.get(1));
    fixture.put(1);
    fixture.put(1);  // is there already
    CHECK(fixture.store.stats().written == 1);
    CHECK(fixture.get(1));
  }
  CHECK(files_of(folder).size() == 1);
  CHECK(fs::file_size(files_of(folder)[0]) == kFileBytes);
  CHECK((fs::status(folder).permissions() & (fs::perms::group_all | fs::perms::others_all)) ==
        fs::perms::none);
  Fixture later(folder);
  CHECK(later.store.contains(some_tokens(100, 1)));
  CHECK_FALSE(later.store.contains(some_tokens(99, 1)));
  CHECK(later.get(1));
  CHECK_FALSE(later.get(2));
  CHECK(later.store.stats().hits == 1);
  CHECK(later.store.stats().misses == 1);
}

TEST_CASE("KvStore keeps to its limit and gives up what was unused for longest") {
  const TempFolder temp;
  Fixture fixture(temp.path(), 3 * kFileBytes);
  for (const int seed : {1, 2, 3}) {
    fixture.put(seed);
    age(temp.path(), std::chrono::hours(1));
  }
  CHECK(fixture.get(1));  // now the one used last
  fixture.put(4);
  CHECK(files_of(temp.path()).size() == 3);
  CHECK_FALSE(fixture.get(2));
  CHECK(fixture.get(1));
  CHECK(fixture.get(3));
  CHECK(fixture.get(4));
  CHECK(fixture.store.stats().evicted == 1);
}

TEST_CASE("KvStore does not keep what exceeds its limit alone") {
  const TempFolder temp;
  {
    Fixture roomy(temp.path());
    roomy.put(1);
  }
  Fixture fixture(temp.path(), kFileBytes - 1);
  fixture.put(2);
  CHECK(fixture.store.stats().not_written == 1);
  CHECK(fixture.get(1));  // and gives nothing up for it
  const std::string problem = fixture.problem(2);
  CHECK_THAT(problem, Catch::Contains("cannot be kept") && Catch::Contains("all kept texts together"));
  CHECK(fixture.problem(2).empty());  // told once
  CHECK(fixture.problem(1).empty());
}

TEST_CASE("KvStore does not keep what is shorter than its least length") {
  const TempFolder temp;
  Fixture fixture(temp.path(), 1 << 20, 101);
  fixture.put(1);
  CHECK(files_of(temp.path()).empty());
  CHECK_FALSE(fixture.get(1));
  CHECK(fixture.problem(1).empty());
  Fixture at_least(temp.path(), 1 << 20, 100);
  at_least.put(1);
  CHECK(at_least.get(1));
}

TEST_CASE("The use of a KvStore's folder can be told and its files deleted") {
  const TempFolder temp;
  CHECK(kv_store_use(temp.path() / "none").files == 0);
  {
    Fixture fixture(temp.path());
    fixture.put(1);
    fixture.put(2);
  }
  write_file_atomically(temp.path() / "other.txt", "not ours");
  CHECK(kv_store_use(temp.path()).files == 2);
  CHECK(kv_store_use(temp.path()).bytes == 2 * kFileBytes);
  clear_kv_store(temp.path());
  CHECK(kv_store_use(temp.path()).files == 0);
  CHECK(fs::exists(temp.path() / "other.txt"));
  clear_kv_store(temp.path() / "none");
}

TEST_CASE("KvStore deletes a file that fails verification and reads the others") {
  const TempFolder temp;
  Fixture fixture(temp.path());
  fixture.put(1);
  const fs::path damaged = files_of(temp.path())[0];
  fixture.put(2);
  std::string content = read_file(damaged, 1 << 20);
  SECTION("a bit of the payload") {
    content[5000] ^= 1;
  }
  SECTION("cut off") {
    content.resize(3000);
  }
  SECTION("empty") {
    content.clear();
  }
  SECTION("the file of other tokens") {
    for (const fs::path& file : files_of(temp.path())) {
      if (file != damaged) content = read_file(file, 1 << 20);
    }
  }
  write_file_atomically(damaged, content);
  CHECK_FALSE(fixture.get(1));
  CHECK(fixture.store.stats().damaged == 1);
  CHECK_THAT(fixture.problem(1), Catch::Contains("could not be used") && Catch::Contains(damaged.string()) &&
                                     !Catch::Contains(";"));
  CHECK(fixture.problem(1).empty());
  CHECK_FALSE(fs::exists(damaged));
  CHECK(fixture.get(2));
  fixture.put(1);
  CHECK(fixture.get(1));
}

TEST_CASE("KV that kernels with another rounding have read is neither continued nor deleted") {
  const TempFolder temp;
  const auto model = make_tiny_model(tiny_config());
  const BackendOptions options = {.n_threads = 1, .kv_tokens = 512};
  CpuBackend generic(model, kernel_table("generic"), options, {});
  const auto tokens = some_tokens(100, 1);
  KvSequence sequence(generic.kv_pages());
  run(generic, sequence, tokens, 0);
  KvStore written({.folder = temp.path()}, generic, fingerprint(*model));
  written.store(tokens, sequence.pages());
  CHECK(written.load(tokens, sequence.pages()));

  int n_other = 0;
  for (const KernelTable* table : all_kernel_tables()) {
    if (!can_run(*table) || table->name == std::string_view("generic")) continue;
    INFO(table->name);
    CpuBackend other(model, *table, options, {});
    CHECK(other.numerics() != generic.numerics());
    KvStore store({.folder = temp.path()}, other, fingerprint(*model));
    KvSequence own(other.kv_pages());
    own.reserve(100);
    // The first of the x86 bundles reads and stores; what it wrote serves the others.
    CHECK(store.load(tokens, own.pages()) == (n_other++ > 0));
    if (n_other > 1) continue;
    run(other, own, tokens, 0);
    store.store(tokens, own.pages());
  }
  CHECK(files_of(temp.path()).size() == (n_other > 0 ? 2 : 1));
  CHECK(written.load(tokens, sequence.pages()));
  CHECK(written.stats().damaged == 0);
}

TEST_CASE("KvStore leaves other files alone and clears up after killed processes") {
  const TempFolder temp;
  Fixture fixture(temp.path(), kFileBytes);
  fixture.put(1);
  const std::string name = files_of(temp.path())[0].string();
  write_file_atomically(temp.path() / "thesis.kv", std::string(100'000, 'x'));
  write_file_atomically(name + ".tmp-new", "x");
  write_file_atomically(name + ".tmp-old", "x");
  fs::last_write_time(name + ".tmp-old", fs::file_time_type::clock::now() - std::chrono::hours(2));
  fixture.put(2);
  CHECK(fs::exists(temp.path() / "thesis.kv"));
  CHECK(fs::exists(name + ".tmp-new"));
  CHECK_FALSE(fs::exists(name + ".tmp-old"));
  CHECK_FALSE(fs::exists(name));
  CHECK(fixture.get(2));
}

TEST_CASE("KvStore goes on where its folder cannot be written") {
  const TempFolder temp;
  const fs::path folder = temp.path() / "kv";
  Fixture fixture(folder);
  fs::remove(folder);
  fixture.put(1);
  CHECK(fixture.store.stats().not_written == 1);
  CHECK_FALSE(fixture.get(1));
  write_file_atomically(folder, "a file");
  CHECK_THROWS_WITH(Fixture(folder), Catch::Contains(folder.string()));
}

TEST_CASE("Processes share a KvStore's folder") {
  const TempFolder temp;
  constexpr int kProcesses = 4, kTexts = 6;
  std::vector<pid_t> children;
  for (int p = 0; p < kProcesses; ++p) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      // Less room than the texts take, so that the processes delete each other's files.
      Fixture fixture(temp.path(), 4 * kFileBytes);
      for (int round = 0; round < 20; ++round) {
        const int seed = 1 + (round * 5 + p) % kTexts;
        if (!fixture.get(seed)) fixture.put(seed);
      }
      ::_exit(fixture.store.stats().damaged == 0 && fixture.store.stats().not_written == 0 ? 0 : 1);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
  }
  Fixture after(temp.path(), 4 * kFileBytes);
  after.put(100);
  CHECK(files_of(temp.path()).size() <= 4);
  for (int seed = 1; seed <= kTexts; ++seed) after.get(seed);
  CHECK(after.store.stats().damaged == 0);
}

TEST_CASE("PrefixCache asks its memory, then the store, and does without where pages lack") {
  const TempFolder temp;
  Fixture fixture(temp.path());
  fixture.put(1);
  PrefixCache cache(*fixture.backend, &fixture.store);
  auto tokens = some_tokens(100, 1);
  tokens.insert(tokens.end(), {1, 2, 3});
  CHECK(cache.longest(tokens, 100).length() == 100);
  CHECK(cache.longest(tokens).length() == 0);      // nobody said that it is kept
  CHECK(cache.longest(tokens, 99).length() == 0);  // another beginning
  CHECK(cache.longest(std::span(tokens).first(99), 100).length() == 0);
  CHECK(fixture.store.stats().hits == 1);
  {
    KvSequence all(fixture.backend->kv_pages());
    all.reserve(fixture.backend->kv_pages().n_free() * kKvPageTokens);
    CHECK(cache.longest(tokens, 100).length() == 0);
  }
  KvSequence sequence = cache.longest(tokens, 100);
  run(*fixture.backend, sequence, std::span(tokens).subspan(100), 0);
  cache.keep(tokens, std::move(sequence));
  CHECK(cache.longest(tokens, 100).length() == 103);
  CHECK(fixture.store.stats().hits == 2);
}

// -- through the engine -------------------------------------------------------------------------------------

namespace {

std::unique_ptr<Engine> engine_with(const fs::path& folder, KvType kv_type) {
  return Engine::load(
      make_tiny_model(tiny_config()),
      {.backend = {.n_threads = 1, .kv_tokens = 1024, .kv_type = kv_type}, .kv_store = {.folder = folder}});
}

// A chunk and a question after it.
std::vector<int32_t> prompt_of(int chunk, int question) {
  auto prompt = some_tokens(150, chunk);
  const auto rest = some_tokens(20, 1000 + question);
  prompt.insert(prompt.end(), rest.begin(), rest.end());
  return prompt;
}

// Tokens that went through the backend while `action` ran.
template <typename Action>
int tokens_read(Engine& engine, const Action& action) {
  int n = 0;
  engine.backend().set_tap([&](std::string_view stage, int, std::span<const float>, int n_tokens) {
    if (stage == "embed") n += n_tokens;
  });
  action();
  engine.backend().set_tap({});
  return n;
}

}  // namespace

TEST_CASE("The next question over chunks reads only the question, also in a later process") {
  const KvType kv_type = GENERATE(KvType::kF16, KvType::kInt8);
  const TempFolder temp;
  const std::vector<int32_t> labels = {10, 200, 30};
  const std::vector<int> kept = {150, 150, 150};
  const auto prompts = [](int question) {
    return std::vector<std::vector<int32_t>>{prompt_of(1, question), prompt_of(2, question),
                                             prompt_of(3, question)};
  };
  const auto expected =
      engine_with("", kv_type)->score_labels(prompts(2), labels, CancelToken());  // no store
  {
    const auto engine = engine_with(temp.path(), kv_type);
    CHECK(tokens_read(*engine, [&] { engine->score_labels(prompts(1), labels, CancelToken(), kept); }) ==
          3 * 170);
    CHECK(files_of(temp.path()).size() == 3);
    CHECK(tokens_read(*engine, [&] {
            CHECK(engine->score_labels(prompts(2), labels, CancelToken(), kept) == expected);
          }) == 3 * 20);
  }
  const auto later = engine_with(temp.path(), kv_type);
  CHECK(tokens_read(*later, [&] {
          CHECK(later->score_labels(prompts(2), labels, CancelToken(), kept) == expected);
        }) == 3 * 20);
  // Who does not say so gets nothing from the disk.
  CHECK(tokens_read(*later, [&] {
          CHECK(later->score_labels(prompts(2), labels, CancelToken()) == expected);
        }) == 3 * 170);
}

TEST_CASE("Several questions over one chunk read it once and keep it once") {
  const TempFolder temp;
  std::vector<ScoreItem> items;
  for (int question = 1; question <= 3; ++question) items.push_back({prompt_of(1, question), {5, 6}, 150});
  const auto score = [&](Engine& engine) {
    std::vector<double> result;
    for (const auto& s : engine.score(items, CancelToken())) result.push_back(s.log_probability);
    return result;
  };
  const auto expected = score(*engine_with("", KvType::kInt8));
  {
    const auto engine = engine_with(temp.path(), KvType::kInt8);
    CHECK(tokens_read(*engine, [&] { CHECK(score(*engine) == expected); }) == 150 + 3 * 21);
  }
  CHECK(files_of(temp.path()).size() == 1);
  const auto later = engine_with(temp.path(), KvType::kInt8);
  CHECK(tokens_read(*later, [&] { CHECK(score(*later) == expected); }) == 3 * 21);
}

TEST_CASE("An answer about a chunk that is kept on disk reads only the question") {
  const KvType kv_type = GENERATE(KvType::kF16, KvType::kInt8);
  const TempFolder temp;
  GenerateRequest request;
  request.max_new_tokens = 6;
  request.keep_prefix_tokens = 150;
  request.prompt = prompt_of(1, 1);
  CHECK(engine_with(temp.path(), kv_type)->generate(request, {}, CancelToken()).cached_prompt_tokens == 0);
  request.prompt = prompt_of(1, 2);
  const auto expected = engine_with("", kv_type)->generate(request, {}, CancelToken());
  const auto result = engine_with(temp.path(), kv_type)->generate(request, {}, CancelToken());
  CHECK(result.cached_prompt_tokens == 150);
  CHECK(result.tokens == expected.tokens);
  // A cache of another type does not read these files, nor delete them.
  const size_t n_files = files_of(temp.path()).size();
  const auto other = engine_with(temp.path(), kv_type == KvType::kF16 ? KvType::kInt8 : KvType::kF16);
  CHECK(other->generate(request, {}, CancelToken()).cached_prompt_tokens == 0);
  CHECK(files_of(temp.path()).size() == n_files + 1);
}

TEST_CASE("An engine tells whether a beginning is kept and what was wrong with it") {
  const TempFolder temp;
  GenerateRequest request;
  request.max_new_tokens = 6;
  request.keep_prefix_tokens = 150;
  request.prompt = prompt_of(1, 1);
  const auto beginning = std::span(request.prompt).first(150);
  const auto expected = engine_with("", KvType::kF16)->generate(request, {}, CancelToken());
  CHECK(expected.kept_problem.empty());
  {
    const auto engine = engine_with(temp.path(), KvType::kF16);
    CHECK_FALSE(engine->is_kept(beginning));
    CHECK(engine->generate(request, {}, CancelToken()).kept_problem.empty());
    CHECK(engine->is_kept(beginning));
    CHECK_FALSE(engine->is_kept(std::span(request.prompt).first(149)));
  }
  const fs::path file = files_of(temp.path()).at(0);
  std::string content = read_file(file, 1 << 22);
  content[content.size() / 2] ^= 1;
  write_file_atomically(file, content);
  const auto engine = engine_with(temp.path(), KvType::kF16);
  const GenerateResult again = engine->generate(request, {}, CancelToken());
  CHECK(again.tokens == expected.tokens);
  CHECK(again.cached_prompt_tokens == 0);
  CHECK_THAT(again.kept_problem, Catch::Contains("could not be used") && Catch::Contains("damaged"));
  // It is whole again.
  const auto later = engine_with(temp.path(), KvType::kF16);
  const GenerateResult last = later->generate(request, {}, CancelToken());
  CHECK(last.cached_prompt_tokens == 150);
  CHECK(last.kept_problem.empty());
}

TEST_CASE("A kept prefix is part of its prompt") {
  const TempFolder temp;
  const auto engine = engine_with(temp.path(), KvType::kF16);
  for (const int kept : {-1, 170, 171}) {
    CAPTURE(kept);
    GenerateRequest request;
    request.prompt = prompt_of(1, 1);
    request.keep_prefix_tokens = kept;
    CHECK_THROWS_AS(engine->generate(request, {}, CancelToken()), Error);
    CHECK_THROWS_AS(engine->score(std::vector<ScoreItem>{{prompt_of(1, 1), {1}, kept}}, CancelToken()),
                    Error);
    CHECK_THROWS_AS(engine->score_labels(std::vector<std::vector<int32_t>>{prompt_of(1, 1)},
                                         std::vector<int32_t>{1}, CancelToken(), std::vector<int>{kept}),
                    Error);
  }
  CHECK_THROWS_AS(engine->score_labels(std::vector<std::vector<int32_t>>{prompt_of(1, 1)},
                                       std::vector<int32_t>{1}, CancelToken(), std::vector<int>{1, 2}),
                  Error);
  CHECK(files_of(temp.path()).empty());
}
