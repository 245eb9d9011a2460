#include "engine/safetensors.h"

#include <cstring>

#include "base/error.h"
#include "tests/support/catch.h"

using namespace lectern;
using Catch::Contains;

namespace {

std::string with_length(const std::string& header, uint64_t length) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header;
}

// A file of this header and `data_bytes` bytes of data.
std::string file_of(const std::string& header, size_t data_bytes) {
  return with_length(header, header.size()) + std::string(data_bytes, '\1');
}

TensorTable read(const std::string& bytes) {
  return read_safetensors(std::as_bytes(std::span(bytes.data(), bytes.size())), "x.safetensors");
}

const std::string kGood =
    R"({"__metadata__":{"format":"pt"},"b":{"dtype":"BF16","shape":[2,3],"data_offsets":[16,28]},)"
    R"("a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}    )";

}  // namespace

TEST_CASE("safetensors: names, types, shapes and places") {
  const std::string bytes = file_of(kGood, 28);
  const TensorTable tensors = read(bytes);
  REQUIRE(tensors.size() == 2);
  const TensorView& b = tensors.find("b")->second;
  CHECK(b.dtype == DType::kBF16);
  CHECK(b.shape == std::vector<uint64_t>{2, 3});
  CHECK(b.data.size() == 12);
  CHECK(reinterpret_cast<const char*>(b.data.data()) == bytes.data() + 8 + kGood.size() + 16);
}

TEST_CASE("safetensors: header lengths that the file or the format cannot hold") {
  CHECK_THROWS_WITH(read(with_length("{}", 3)), Contains("x.safetensors: header at byte 8"));
  CHECK_THROWS_WITH(read(with_length("{}", UINT64_MAX)), Contains("header length"));
  CHECK_THROWS_WITH(read(with_length("{}", kMaxSafetensorsHeaderBytes + 1)), Contains("header length"));
  CHECK_THROWS_WITH(read("short"), Contains("header length at byte 0"));
  CHECK_THROWS_WITH(read(""), Contains("header length at byte 0"));
  CHECK_THROWS_WITH(read(with_length("", 0)), Contains("not valid JSON"));
}

TEST_CASE("safetensors: headers of another structure") {
  for (const char* header : {"[]",
                             "1",
                             "null",
                             "\"x\"",
                             R"({"a":1})",
                             R"({"a":[]})",
                             R"({"a":{}})",
                             R"({"a":{"dtype":"F32"}})",
                             R"({"a":{"dtype":1,"shape":[1],"data_offsets":[0,4]}})",
                             R"({"a":{"dtype":"F32","shape":4,"data_offsets":[0,4]}})",
                             R"({"a":{"dtype":"F32","shape":[1],"data_offsets":{"0":0}}})",
                             R"({"a":{"dtype":"F32","shape":[[1]],"data_offsets":[0,4]}})",
                             R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}})",
                             R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,4]}})",
                             R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[-1,4]}})",
                             R"({"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}})",
                             R"({"a":{"dtype":"F32","shape":["1"],"data_offsets":[0,4]}})",
                             R"({"a":{"dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,4]}})",
                             R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"extra":1}})",
                             R"({"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}})",
                             R"({"a":{"dtype":"F32","shape":[1,1,1,1,1],"data_offsets":[0,4]}})",
                             R"({"":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                             "{",
                             "{\"a\":{\"dtype\":\"F32\""}) {
    INFO(header);
    CHECK_THROWS_AS(read(file_of(header, 4)), Error);
  }
  CHECK_THROWS_WITH(read(file_of(std::string(1000, '['), 4)), Contains("nested deeper"));
}

TEST_CASE("safetensors: types that no Qwen2 model is published in are named") {
  for (const char* dtype : {"F64", "I8", "F8_E4M3", "BOOL", "Q4", ""}) {
    CHECK_THROWS_WITH(
        read(file_of(R"({"a":{"dtype":")" + std::string(dtype) + R"(","shape":[1],"data_offsets":[0,4]}})",
                     4)),
        Contains("tensor 'a'") && Contains("'" + std::string(dtype) + "'"));
  }
}

TEST_CASE("safetensors: tensors must cover the data exactly, each by its shape") {
  auto entry = [](const char* name, const char* shape, const char* offsets) {
    return "\"" + std::string(name) + R"(":{"dtype":"F32","shape":)" + shape + R"(,"data_offsets":)" +
           offsets + "}";
  };
  auto error_of = [](const std::string& entries, size_t data_bytes, const char* expected) {
    CHECK_THROWS_WITH(read(file_of("{" + entries + "}", data_bytes)), Contains(expected));
  };
  error_of(entry("a", "[2]", "[0,4]"), 4, "takes 4 bytes");
  error_of(entry("a", "[1]", "[0,8]"), 8, "takes 8 bytes");
  error_of(entry("a", "[1]", "[4,0]"), 4, "lies at data bytes 4 to 0");
  error_of(entry("a", "[2]", "[0,8]"), 4, "but 4 are there");
  error_of(entry("a", "[1]", "[0,4]"), 8, "the tensors end at data byte 4, the file at 8");
  error_of(entry("a", "[1]", "[4,8]"), 8, "no tensor covers the data bytes 0 to 4");
  error_of(entry("a", "[1]", "[0,4]") + "," + entry("b", "[1]", "[8,12]"), 12, "no tensor covers");
  error_of(entry("a", "[2]", "[0,8]") + "," + entry("b", "[2]", "[4,12]"), 12, "inside tensor 'a'");
  error_of(entry("a", "[1]", "[0,4]") + "," + entry("b", "[1]", "[0,4]"), 4, "inside tensor");
  error_of(entry("a", "[1]", "[0,4]") + "," + entry("a", "[1]", "[4,8]"), 8, "appears twice");
  error_of(entry("a", "[0]", "[0,0]"), 0, "takes 0 bytes");
  error_of(entry("a", "[4611686018427387905,4]", "[0,16]"), 16, "takes 16 bytes");
  error_of(entry("a", "[9223372036854775807,9223372036854775807]", "[0,4]"), 4, "takes 4 bytes");
}

TEST_CASE("safetensors: a file cut at any byte gives an error") {
  const std::string bytes = file_of(kGood, 28);
  for (size_t size = 0; size < bytes.size(); ++size) {
    const std::vector<char> cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    CHECK_THROWS_AS(read_safetensors(std::as_bytes(std::span(cut)), "cut"), Error);
  }
}

TEST_CASE("safetensors: a file with any byte of the header changed reads or gives an error") {
  const std::string original = file_of(kGood, 28);
  int n_read = 0;
  for (size_t i = 0; i < original.size() - 28; ++i) {
    for (int change = 1; change < 256; change += 7) {
      std::string bytes = original;
      bytes[i] = static_cast<char>(bytes[i] ^ change);
      const std::vector<char> exact(bytes.begin(), bytes.end());
      try {
        read_safetensors(std::as_bytes(std::span(exact)), "changed");
        ++n_read;
      } catch (const Error&) {
      }
    }
  }
  CHECK(n_read > 0);
}
