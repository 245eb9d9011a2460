// GGUF files that are wrong in one place: every one must give an Error that names the place, and none may
// crash, hang or allocate what it merely claims. Run under AddressSanitizer by the preset asan.
#include "engine/gguf.h"

#include <algorithm>
#include <fstream>
#include <functional>

#include "base/error.h"
#include "base/files.h"
#include "engine/model_file.h"
#include "tests/support/catch.h"
#include "tests/support/gguf_builder.h"
#include "tests/support/temp_folder.h"

using namespace lectern;
using namespace lectern::gguf;
using Catch::Contains;

namespace {

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::string open_error(const std::string& bytes) {
  const TempFolder folder;
  const std::filesystem::path path = folder.path() / "model.gguf";
  write_file_atomically(path, bytes);
  return error_of([&] { ModelFile::open(path); });
}

// What goes wrong when the tiny model is changed.
std::string open_error(const std::function<void(Builder&)>& change) {
  Builder builder = tiny_qwen2();
  change(builder);
  return open_error(builder.bytes());
}

std::span<const std::byte> as_bytes_of(const std::string& bytes) {
  return std::as_bytes(std::span(bytes.data(), bytes.size()));
}

}  // namespace

TEST_CASE("a GGUF file gives its keys and tensors") {
  const std::string bytes = tiny_qwen2()
                                .set("a.small", raw<uint32_t>(1) + raw<int8_t>(-5))
                                .set("a.large", raw<uint32_t>(10) + raw<uint64_t>(UINT64_MAX))
                                .set("a.double", raw<uint32_t>(12) + raw(0.25))
                                .set("a.bool", raw<uint32_t>(7) + raw<uint8_t>(1))
                                .bytes();
  const GgufFile file(as_bytes_of(bytes), "x.gguf");
  CHECK(file.string("general.name") == "tiny");
  CHECK(file.integer("qwen2.embedding_length") == 8);
  CHECK(file.integer("a.small") == -5);
  CHECK(file.real("a.double") == 0.25);
  CHECK(file.boolean_or("a.bool", false));
  CHECK(file.integer_or("a.missing", 3) == 3);
  CHECK(file.strings("tokenizer.ggml.merges", 10) == std::vector<std::string_view>{"a b"});
  CHECK(file.integers("tokenizer.ggml.token_type", 10) == std::vector<int64_t>{1, 1, 1, 3, 4, 5});
  CHECK(file.tensors().size() == 15);
  const TensorView& down = file.tensors().find("blk.0.ffn_down.weight")->second;
  CHECK(down.shape == std::vector<uint64_t>{8, 12});
  CHECK(down.data.size() == 8 * 12 * 4);

  CHECK_THROWS_WITH(file.integer("general.name"), Contains("'general.name'") && Contains("holds string"));
  CHECK_THROWS_WITH(file.integer("a.large"), Contains("'a.large'"));
  CHECK_THROWS_WITH(file.string("a.missing"), Contains("'a.missing' is missing"));
  CHECK_THROWS_WITH(file.real("qwen2.embedding_length"), Contains("holds uint32"));
  CHECK_THROWS_WITH(file.boolean_or("general.name", true), Contains("not a bool"));
  CHECK_THROWS_WITH(file.strings("tokenizer.ggml.token_type", 10), Contains("array of int32"));
  CHECK_THROWS_WITH(file.integers("tokenizer.ggml.tokens", 10), Contains("array of string"));
  CHECK_THROWS_WITH(file.strings("tokenizer.ggml.tokens", 5), Contains("has 6 elements"));
}

TEST_CASE("the tiny model of these tests opens, in versions 2 and 3") {
  CHECK(open_error([](Builder&) {}) == "no error");
  CHECK(open_error([](Builder& b) { b.version = 2; }) == "no error");
}

TEST_CASE("what is no GGUF file is called so") {
  CHECK_THAT(open_error(std::string("PK\x03\x04 zip")), Contains("not a GGUF file") && Contains("'PK?"
                                                                                                "?'"));
  CHECK_THAT(open_error(std::string("G")), Contains("not a GGUF file"));
  CHECK_THAT(open_error(std::string()), Contains("is empty"));
  CHECK_THAT(open_error(std::string("version https://git-lfs.github.com/spec/v1\n")), Contains("Git LFS"));
  CHECK_THAT(error_of([] { ModelFile::open("/nowhere/model.gguf"); }), Contains("/nowhere/model.gguf"));
  const TempFolder folder;
  CHECK_THAT(error_of([&] { ModelFile::open(folder.path()); }), Contains("holds no config.json"));
}

TEST_CASE("versions that nobody here can read are named") {
  CHECK_THAT(open_error([](Builder& b) { b.version = 1; }), Contains("GGUF version 1"));
  CHECK_THAT(open_error([](Builder& b) { b.version = 4; }), Contains("GGUF version 4"));
  CHECK_THAT(open_error([](Builder& b) { b.version = 0x03000000; }), Contains("big-endian"));
}

TEST_CASE("counts beyond the file are refused before anything is allocated") {
  const uint64_t absurd = GENERATE(uint64_t{1000}, uint64_t{1} << 32, uint64_t{1} << 63, UINT64_MAX);
  CHECK_THAT(open_error([&](Builder& b) { b.n_tensors = absurd; }), Contains("number of tensors"));
  CHECK_THAT(open_error([&](Builder& b) { b.n_keys = absurd; }), Contains("number of keys"));
  const uint64_t length = std::max(absurd, uint64_t{1} << 20);
  CHECK_THAT(open_error([&](Builder& b) { b.set("x", raw<uint32_t>(8) + raw(length)); }),
             Contains("'x'") && Contains("needs"));
  for (const uint32_t element : {0u, 7u, 8u, 10u})
    CHECK_THAT(open_error([&](Builder& b) { b.set("x", array(element, length, "")); }),
               Contains("'x'") && Contains("announces"));
}

TEST_CASE("keys and values that GGUF does not allow") {
  CHECK_THAT(open_error([](Builder& b) { b.set("x", raw<uint32_t>(13)); }), Contains("unknown type id 13"));
  CHECK_THAT(open_error([](Builder& b) { b.set("x", array(13, 0, "")); }), Contains("unknown type id 13"));
  CHECK_THAT(open_error([](Builder& b) { b.set("x", array(9, 1, array(0, 0, ""))); }),
             Contains("array of arrays"));
  CHECK_THAT(open_error([](Builder& b) { b.set("", u32(1)); }), Contains("is empty"));
  CHECK_THAT(open_error([](Builder& b) { b.set(std::string(70'000, 'k'), u32(1)); }),
             Contains("longer than"));
  CHECK_THAT(open_error([](Builder& b) { b.keys.emplace_back("general.name", str("again")); }),
             Contains("'general.name'") && Contains("appears twice"));
}

TEST_CASE("alignments that are no power of two from 8 up are refused") {
  for (const uint32_t alignment : {0u, 1u, 4u, 12u, 33u, 1u << 21, 0x80000000u, 0xffffffffu})
    CHECK_THAT(open_error([&](Builder& b) { b.set("general.alignment", u32(alignment)); }),
               Contains("'general.alignment' is " + std::to_string(alignment)));
  CHECK_THAT(open_error([](Builder& b) { b.set("general.alignment", raw<uint32_t>(5) + raw<int32_t>(-32)); }),
             Contains("'general.alignment'"));
  CHECK_THAT(open_error([](Builder& b) { b.set("general.alignment", str("32")); }), Contains("holds string"));
  CHECK(open_error([](Builder& b) { b.set("general.alignment", u32(32)); }) == "no error");
}

TEST_CASE("tensor records that GGUF does not allow") {
  const std::string name = "blk.0.attn_q.weight";
  auto with = [&](std::vector<uint64_t> dims, uint32_t type = 0) {
    return open_error([&](Builder& b) {
      b.tensor(name).dims = dims;
      b.tensor(name).type = type;
    });
  };
  CHECK_THAT(with({}), Contains(name) && Contains("0 dimensions"));
  CHECK_THAT(with({1, 1, 1, 1, 1}), Contains("5 dimensions"));
  CHECK_THAT(with({8, 0}), Contains("dimension of zero"));
  CHECK_THAT(with({8, 8}, 99), Contains("unknown id 99"));
  CHECK_THAT(with({8, 8}, 18), Contains("IQ3_XXS") && Contains(name));
  CHECK_THAT(with({8, 8}, 8), Contains("impossible for the type Q8_0"));
  CHECK_THAT(with({uint64_t{1} << 62, 8}), Contains(name));
  CHECK_THAT(with({uint64_t{1} << 32, uint64_t{1} << 32}), Contains("impossible for the type F32"));
  CHECK_THAT(with({uint64_t{1} << 30, uint64_t{1} << 31}), Contains("but the file ends"));
  CHECK_THAT(with({UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}), Contains("impossible"));
  CHECK_THAT(open_error([](Builder& b) { b.tensors.back().name = "token_embd.weight"; }),
             Contains("appears twice"));
  CHECK_THAT(open_error([](Builder& b) { b.tensors.back().name = ""; }), Contains("is empty"));
  CHECK_THAT(open_error([](Builder& b) { b.tensors.back().name = std::string(2000, 'n'); }),
             Contains("longer than"));
}

TEST_CASE("tensors outside the file or on top of each other are refused") {
  auto at = [](uint64_t offset) {
    return open_error([&](Builder& b) { b.tensor("blk.0.attn_k.weight").offset = offset; });
  };
  CHECK_THAT(at(1), Contains("not a multiple of the alignment"));
  CHECK_THAT(at(0), Contains("'blk.0.attn_k.weight'") && Contains("inside tensor"));
  CHECK_THAT(at(1 << 20), Contains("but the file ends at byte"));
  CHECK_THAT(at(UINT64_MAX - 31), Contains("but the file ends at byte"));
  CHECK_THAT(open_error([](Builder& b) { b.data_bytes_cut = 1; }), Contains("'output.weight'"));
  CHECK_THAT(open_error([](Builder& b) { b.data_bytes_cut = 1; }), Contains("download it again"));
}

TEST_CASE("text from a hostile file cannot reach a terminal raw") {
  const std::string message = open_error([](Builder& b) { b.tensor("\x1b[2J" + std::string(500, 'x')); });
  CHECK_THAT(message, Contains("?[2J") && !Contains("\x1b"));
  CHECK_THAT(message, !Contains(std::string(100, 'x')));
}

TEST_CASE("a GGUF file cut at any byte gives an error") {
  const std::string bytes = tiny_qwen2().bytes();
  // Copies of exactly the length, so that a sanitizer sees any reading beyond the end.
  for (size_t size = 0; size < bytes.size(); ++size) {
    const std::vector<char> cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    const auto view = std::as_bytes(std::span(cut.data(), cut.size()));
    if (error_of([&] { GgufFile(view, "cut"); }) == "no error") FAIL("opened when cut at byte " << size);
  }
  const TempFolder folder;
  const std::filesystem::path path = folder.path() / "cut.gguf";
  write_file_atomically(path, bytes);
  for (size_t size = bytes.size(); size-- > 0;) {
    std::filesystem::resize_file(path, size);
    if (error_of([&] { ModelFile::open(path); }) == "no error") FAIL("opened when cut at byte " << size);
  }
}

TEST_CASE("a GGUF file with any byte changed opens or gives an error") {
  std::string bytes = tiny_qwen2().bytes();
  const TempFolder folder;
  const std::filesystem::path path = folder.path() / "changed.gguf";
  write_file_atomically(path, bytes);
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  auto put = [&](size_t at, char value) {
    bytes[at] = value;
    file.seekp(static_cast<std::streamoff>(at)).put(value).flush();
  };
  const size_t header = bytes.size() - 2200;  // and a little of the data
  int n_opened = 0;
  for (size_t i = 0; i < header; ++i) {
    const char original = bytes[i];
    for (const int change : {0x01, 0x80, 0xff}) {
      put(i, static_cast<char>(original ^ change));
      const std::vector<char> exact(bytes.begin(), bytes.end());
      n_opened += error_of([&] { GgufFile(std::as_bytes(std::span(exact)), "changed"); }) == "no error";
      error_of([&] { ModelFile::open(path); });
    }
    put(i, original);
  }
  CHECK(n_opened > 0);
}
