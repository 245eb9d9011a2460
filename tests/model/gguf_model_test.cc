// Our reading of the real files against the `gguf` package's (tools/list_gguf_tensors.py made the lists).
#include <sstream>

#include "base/mapped_file.h"
#include "engine/gguf.h"
#include "engine/model_file.h"
#include "tests/support/catch.h"
#include "tests/support/real_models.h"

using namespace lectern;

TEST_CASE("the real files hold the tensors that the gguf package finds in them") {
  const std::string name =
      GENERATE("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf");
  const std::filesystem::path path = real_model_path(name);
  if (!std::filesystem::exists(path)) LECTERN_SKIP(path.string() + " is not there");
  const MappedFile mapped(path);
  const GgufFile file(mapped.bytes(), path.string());

  std::istringstream expected(
      read_file(std::string(LECTERN_SOURCE_DIR) + "/tests/model/" + name + ".tensors", 1 << 20));
  size_t n_expected = 0;
  for (std::string tensor_name, type, shape, offset; expected >> tensor_name >> type >> shape >> offset;) {
    INFO(tensor_name);
    const auto found = file.tensors().find(tensor_name);
    REQUIRE(found != file.tensors().end());
    const TensorView& tensor = found->second;
    CHECK(kDTypeInfo[static_cast<int>(tensor.dtype)].name == type);
    std::string dims;
    for (const uint64_t n : tensor.shape) dims += (dims.empty() ? "" : "x") + std::to_string(n);
    CHECK(dims == shape);
    CHECK(std::to_string(tensor.data.data() - mapped.bytes().data()) == offset);
    ++n_expected;
  }
  CHECK(file.tensors().size() == n_expected);
}

TEST_CASE("the real files open as models") {
  const std::filesystem::path path = real_model_path(kSmallModelFile);
  if (!std::filesystem::exists(path)) LECTERN_SKIP(path.string() + " is not there");
  const auto model = ModelFile::open(path);
  CHECK(model->quantisation() == "Q4_K_M");
  CHECK(model->config().vocab_size == 151936);
  CHECK(model->config().rms_norm_eps == 1e-6f);
  CHECK(model->config().rope_theta == 1e6f);
  CHECK(model->vocabulary().tokens.size() == 151936);
  CHECK(model->vocabulary().tokens[151644] == "<|im_start|>");
  CHECK(model->vocabulary().types[151644] == Vocabulary::TokenType::kControl);
  CHECK(model->vocabulary().merges.size() == 151387);
}
