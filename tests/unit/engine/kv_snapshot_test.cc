#include "engine/kv_snapshot.h"

#include <sys/stat.h>

#include <cstring>
#include <functional>

#include "base/error.h"
#include "base/files.h"
#include "base/hash.h"
#include "tests/support/catch.h"
#include "tests/support/engine_fixtures.h"
#include "tests/support/temp_folder.h"
#include "tests/support/tiny_model.h"

using namespace lectern;
using namespace lectern::test;
namespace fs = std::filesystem;

namespace {

// A backend that has read some tokens, and the file of them.
struct Fixture {
  explicit Fixture(KvType kv_type = KvType::kF16, int n_tokens = 200,
                   std::shared_ptr<const ModelFile> from = make_tiny_model(tiny_config()))
      : model(std::move(from)),
        backend(make_cpu_backend(model, {.n_threads = 1, .kv_tokens = 512, .kv_type = kv_type}, {})),
        geometry(kv_geometry(*backend, fingerprint(*model))),
        tokens(some_tokens(n_tokens)),
        sequence(backend->kv_pages()) {
    run(*backend, sequence, tokens, 0);
  }
  void write() { write_kv_snapshot(path(), geometry, *backend, tokens, sequence.pages()); }
  fs::path path() const { return folder.path() / "text.kv"; }

  TempFolder folder;
  std::shared_ptr<const ModelFile> model;
  std::unique_ptr<Backend> backend;
  KvGeometry geometry;
  std::vector<int32_t> tokens;
  KvSequence sequence;
};

// Opens and reads, into pages that may be overwritten.
void read_whole(Fixture& fixture, const KvGeometry& geometry) {
  const KvSnapshot snapshot(fixture.path(), geometry);
  KvSequence sequence(fixture.backend->kv_pages());
  sequence.reserve(static_cast<int>(snapshot.tokens().size()));
  snapshot.read(*fixture.backend, sequence.pages());
}

ErrorCode code_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    CHECK_THAT(error.what(), Catch::Contains("text.kv"));
    return error.code();
  }
  return ErrorCode::kCancelled;  // none
}

}  // namespace

TEST_CASE("A snapshot read back goes on as the sequence does, bit for bit") {
  const KvType kv_type = GENERATE(KvType::kF16, KvType::kInt8);
  for (const int n : {1, 127, 128, 129, 256, 300}) {
    CAPTURE(n);
    Fixture written(kv_type, n);
    written.write();
    CHECK(fs::file_size(written.path()) == kv_snapshot_bytes(written.geometry, static_cast<size_t>(n)));
    CHECK(std::distance(fs::directory_iterator(written.folder.path()), {}) == 1);  // no temporary file
    const auto next = some_tokens(7, 55);
    const auto expected = run(*written.backend, written.sequence, next, 7);

    Fixture fresh(kv_type, 1);
    const KvSnapshot snapshot(written.path(), fresh.geometry);
    CHECK(snapshot.tokens() == written.tokens);
    KvSequence sequence(fresh.backend->kv_pages());
    sequence.reserve(n);
    snapshot.read(*fresh.backend, sequence.pages());
    sequence.advance(n);
    CHECK(run(*fresh.backend, sequence, next, 7) == expected);
  }
}

TEST_CASE("A snapshot holds what a document says and is readable by its owner only") {
  Fixture fixture;
  fixture.write();
  struct stat info {};
  REQUIRE(::stat(fixture.path().c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
}

TEST_CASE("A snapshot that is damaged anywhere is refused") {
  Fixture fixture(GENERATE(KvType::kF16, KvType::kInt8), 130);
  fixture.write();
  const std::string whole = read_file(fixture.path(), 1 << 24);
  const auto refused = [&](const std::string& content) {
    write_file_atomically(fixture.path(), content);
    const ErrorCode code = code_of([&] { read_whole(fixture, fixture.geometry); });
    return code == ErrorCode::kCorrupt || code == ErrorCode::kUnsupported;
  };
  SECTION("cut off") {
    for (const size_t size : {size_t{0}, size_t{7}, size_t{95}, size_t{96}, size_t{100}, size_t{700},
                              whole.size() - 9, whole.size() - 1}) {
      CAPTURE(size);
      CHECK(refused(whole.substr(0, size)));
    }
  }
  SECTION("longer") {
    CHECK(refused(whole + '\0'));
  }
  SECTION("a bit") {
    // Every byte of the header, and some of the payload and its checksums.
    for (size_t at = 0; at < whole.size(); at += at < 700 ? 1 : 997) {
      CAPTURE(at);
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << at % 8));
      CHECK(refused(damaged));
    }
    for (size_t back = 1; back <= 8; ++back) {
      std::string damaged = whole;
      damaged[whole.size() - back] ^= 0x10;
      CHECK(refused(damaged));
    }
  }
  SECTION("nothing is wrong") {
    CHECK_FALSE(refused(whole));
  }
}

TEST_CASE("A header that lies about its sizes is refused before anything is allocated") {
  Fixture fixture;
  fixture.write();
  const std::string whole = read_file(fixture.path(), 1 << 24);
  const auto with = [&](size_t at, auto value) {
    std::string content = whole;
    std::memcpy(content.data() + at, &value, sizeof(value));
    // As an attacker would: the checksum of the header is right, as far as the header reaches.
    const auto header = std::as_bytes(std::span(content)).subspan(24, 96 - 24 + 6 + 200 * 4);
    const uint64_t checksum = fast_hash(header);
    std::memcpy(content.data() + 16, &checksum, sizeof(checksum));
    write_file_atomically(fixture.path(), content);
    return code_of([&] { read_whole(fixture, fixture.geometry); });
  };
  CHECK(with(24, uint64_t{200}) == ErrorCode::kCancelled);  // as it was
  for (const uint64_t n : {uint64_t{0}, uint64_t{199}, uint64_t{201}, uint64_t{1} << 24, uint64_t{1} << 40,
                           ~uint64_t{0}, ~uint64_t{0} / 4})
    CHECK(with(24, n) == ErrorCode::kCorrupt);
  for (const uint32_t n : {0u, 2u, 4u, 4096u, 4097u, ~0u}) {
    const ErrorCode code = with(32, n);
    CHECK((code == ErrorCode::kCorrupt || code == ErrorCode::kUnsupported));
  }
  CHECK(with(8, uint32_t{1}) == ErrorCode::kUnsupported);    // version
  CHECK(with(12, uint32_t{64}) == ErrorCode::kUnsupported);  // tokens a block
  CHECK(with(36, uint32_t{1}) == ErrorCode::kUnsupported);   // KV heads
  CHECK(with(40, ~uint32_t{0}) == ErrorCode::kUnsupported);  // head size
  CHECK(with(44, 1e6f) == ErrorCode::kUnsupported);          // rope
  CHECK(with(48, 4.0f) == ErrorCode::kUnsupported);
  CHECK(with(52, 32768) == ErrorCode::kUnsupported);
  CHECK(with(56, uint64_t{1}) == ErrorCode::kUnsupported);  // numerics
  CHECK(with(96, uint8_t{1}) == ErrorCode::kUnsupported);   // KV type of a layer
  CHECK(with(96, uint8_t{77}) == ErrorCode::kUnsupported);
}

TEST_CASE("A snapshot of another model, rounding or KV type is refused as such") {
  Fixture fixture(KvType::kF16, 20);
  fixture.write();
  const auto refuses = [&](Fixture other) {
    return code_of([&] { read_whole(fixture, other.geometry); }) == ErrorCode::kUnsupported;
  };
  CHECK_FALSE(refuses(Fixture(KvType::kF16, 1)));
  KvGeometry other_rounding = fixture.geometry;
  other_rounding.numerics += 1;
  CHECK(code_of([&] { read_whole(fixture, other_rounding); }) == ErrorCode::kUnsupported);
  CHECK(refuses(Fixture(KvType::kInt8, 1)));
  CHECK(refuses(Fixture(KvType::kF16, 1, make_tiny_model(tiny_config(), DType::kF32, 2))));
  CHECK(refuses(Fixture(KvType::kF16, 1, make_tiny_model(tiny_config(), DType::kF16))));
}

TEST_CASE("What is no snapshot, not there or not writable is a clear error") {
  Fixture fixture(KvType::kF16, 20);
  CHECK(code_of([&] { read_whole(fixture, fixture.geometry); }) == ErrorCode::kNotFound);
  fs::create_directory(fixture.path());
  CHECK(code_of([&] { read_whole(fixture, fixture.geometry); }) == ErrorCode::kCorrupt);
  CHECK(code_of([&] { fixture.write(); }) == ErrorCode::kIo);
  CHECK(std::distance(fs::directory_iterator(fixture.folder.path()), {}) == 1);  // no temporary file
  CHECK(code_of([&] {
          write_kv_snapshot(fixture.folder.path() / "missing" / "text.kv", fixture.geometry, *fixture.backend,
                            fixture.tokens, fixture.sequence.pages());
        }) == ErrorCode::kNotFound);
}

TEST_CASE("A model's fingerprint changes with every weight, number of the config and word") {
  const auto model = make_tiny_model(tiny_config());
  const ModelFingerprint before = fingerprint(*model);
  CHECK(fingerprint(*make_tiny_model(tiny_config())) == before);
  auto& weights = const_cast<Weights&>(model->weights());
  SECTION("a matrix") {
    const Matrix& m = weights.layers[1].mlp.down_proj;
    const_cast<std::byte&>(m.data[m.data.size() - 1]) ^= std::byte{1};
  }
  SECTION("a bias") {
    weights.layers[2].k_bias.back() += 1;
  }
  SECTION("the head") {
    const_cast<std::byte&>(weights.lm_head.data[5]) ^= std::byte{1};
  }
  SECTION("rope") {
    const_cast<Qwen2Config&>(model->config()).rope_theta *= 2;
  }
  SECTION("YaRN") {
    const_cast<Qwen2Config&>(model->config()).rope_scaling = YarnScaling{4, 256};
  }
  SECTION("a word") {
    const_cast<Vocabulary&>(model->vocabulary()).tokens[7] += "x";
  }
  CHECK(fingerprint(*model) != before);
}
