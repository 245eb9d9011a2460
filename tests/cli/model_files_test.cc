// Model files that are none, or broken: one error that names the file, the place in it and what to do.
#include <sys/stat.h>
#include <unistd.h>

#include "tests/cli/program.h"
#include "tests/support/catch.h"

using namespace lectern;
using namespace lectern::test;
namespace fs = std::filesystem;

namespace {

const fs::path kTiny = fs::path(LECTERN_SOURCE_DIR) / "tests" / "golden" / "qwen2_tied";

struct Models : World {
  Models() { write("good.md", "# Good\n\nThe lighthouse was built in 1850.\n"); }

  fs::path gguf(const std::string& content) const {
    write_file_atomically(folder() / "model.gguf", content);
    return folder() / "model.gguf";
  }
  // A copy of the tiny Hugging Face folder.
  fs::path hugging_face() const {
    fs::copy(kTiny / "folder", folder() / "model", fs::copy_options::recursive);
    return folder() / "model";
  }
  // What `ask` says with this model: always one error, exit code 2, and an index that is whole.
  std::string error_with(const fs::path& model) const {
    const SubprocessResult result =
        run({"ask", documents().string(), "When was it built?", "-q", "--model", model.string()});
    CHECK(result.exit_code == 2);
    CHECK(result.out.empty());
    CHECK(is_one_error(result.err));
    CHECK(run({"search", documents().string(), "lighthouse", "-q"}).exit_code == 0);
    return result.err;
  }
};

std::string tiny_gguf() {
  return read_file(kTiny / "model.gguf", 1 << 20);
}

std::string little_endian(uint64_t value, int n_bytes) {
  std::string bytes;
  for (int i = 0; i < n_bytes; ++i) bytes += static_cast<char>(value >> (8 * i));
  return bytes;
}

}  // namespace

TEST_CASE("a GGUF file cut off anywhere is one error that names the place and the remedy") {
  const Models models;
  const std::string whole = tiny_gguf();
  for (const size_t size : {size_t{1}, size_t{4}, size_t{8}, size_t{20}, size_t{100}, whole.size() / 8,
                            whole.size() / 2, whole.size() * 9 / 10, whole.size() - 1}) {
    INFO(size);
    const std::string error = models.error_with(models.gguf(whole.substr(0, size)));
    CHECK_THAT(error, Catch::Contains("model.gguf: ") && Catch::Contains("download it again"));
    if (size >= 4) CHECK_THAT(error, Catch::Contains("byte") || Catch::Contains("offset"));
  }
  CHECK_THAT(models.error_with(models.gguf("")), Catch::Contains("is empty"));
}

TEST_CASE("a server says at its start that the model it is to use is broken") {
  const Models models;
  const fs::path cut = models.gguf(tiny_gguf().substr(0, 100));
  const SubprocessResult served =
      models.run_shell("$LECTERN mcp \"$DOCUMENTS\" --model '" + cut.string() + "' < /dev/null");
  CHECK(served.exit_code == 0);  // searches need no model
  CHECK_THAT(served.err, Catch::Contains("warning: ") && Catch::Contains("model.gguf: ") &&
                             Catch::Contains("only the tool ask needs it"));
}

TEST_CASE("a file that is no model for Lectern is one error that says what it is") {
  const Models models;
  const std::string whole = tiny_gguf();
  const auto with = [&](size_t offset, const std::string& bytes) {
    std::string changed = whole;
    changed.replace(offset, bytes.size(), bytes);
    return models.error_with(models.gguf(changed));
  };
  CHECK_THAT(with(0, "GGML"), Catch::Contains("not a GGUF file"));
  CHECK_THAT(with(4, std::string("\0\0\0\3", 4)), Catch::Contains("big-endian"));
  CHECK_THAT(with(4, std::string("\1\0\0\0", 4)), Catch::Contains("version 1"));
  CHECK_THAT(with(8, little_endian(uint64_t{1} << 60, 8)), Catch::Contains("number of tensors at byte 8 "));
  CHECK_THAT(with(16, little_endian(uint64_t{1} << 63, 8)), Catch::Contains("number of keys at byte 16 "));
  const size_t architecture = whole.find("general.architecture") + 20 + 12;  // after the type and the length
  REQUIRE(whole.substr(architecture, 5) == "qwen2");
  CHECK_THAT(with(architecture, "llama"), Catch::Contains("'llama'") && Catch::Contains("'qwen2'"));
  CHECK_THAT(models.error_with(models.gguf("Just some text.\n")), Catch::Contains("not a GGUF file"));

  CHECK_THAT(models.error_with("/dev/null"), Catch::Contains("/dev/null: is not a regular file; "));
  const fs::path pipe = models.folder() / "pipe.gguf";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  CHECK_THAT(models.error_with(pipe), Catch::Contains("pipe.gguf: is not a regular file; "));
}

TEST_CASE("a model that is not there is one error that suggests the one that was meant") {
  const Models models;
  CHECK_THAT(models.error_with(models.folder() / "nothing.gguf"),
             Catch::Contains("nothing.gguf") && Catch::Contains("lectern models"));
  CHECK_THAT(models.error_with("qwen2.5-coder-0.5b-instrut"),
             Catch::Contains("did you mean qwen2.5-coder-0.5b-instruct?"));
  CHECK_THAT(
      models.error_with("qwen2.5-coder-0.5b-instruct"),
      Catch::Contains("not downloaded") && Catch::Contains("lectern pull qwen2.5-coder-0.5b-instruct"));
}

TEST_CASE("benchmarks and evaluations without a model take the default one") {
  const Models models;
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"bench", "engine"}, {"eval", "needle"}}) {
    const SubprocessResult result = models.run(command);
    INFO(command.back());
    CHECK(result.exit_code == 2);
    CHECK_THAT(result.err, Catch::Contains("lectern pull qwen2.5-coder-1.5b-instruct"));
  }
}

TEST_CASE("a model that may not be read is one error that says so") {
  const Models models;
  const fs::path model = models.gguf(tiny_gguf());
  fs::permissions(model, fs::perms::none);
  fs::permissions(models.folder(), fs::perms::all);
  const std::string as = ::geteuid() == 0 ? "setpriv --reuid=65534 --regid=65534 --clear-groups " : "";
  const SubprocessResult result = models.run_shell(
      "cp \"$LECTERN\" \"$DOCUMENTS/../lectern\" && " + as +
      "\"$DOCUMENTS/../lectern\" ask \"$DOCUMENTS\" \"When?\" -q --model \"$DOCUMENTS/../model.gguf\"");
  CHECK(result.exit_code == 2);
  CHECK(is_one_error(result.err));
  CHECK_THAT(result.err, Catch::Contains("model.gguf: ") && Catch::Contains("permissions"));
}

TEST_CASE("a broken Hugging Face folder is one error that names the broken file") {
  const Models models;
  const fs::path model = models.hugging_face();
  std::string file;
  const auto replace = [&](const std::string& name, const std::string& content) {
    file = name;
    write_file_atomically(model / name, content);
  };
  SECTION("no config.json") {
    file = "config.json";
    fs::remove(model / file);
  }
  SECTION("a config.json that is no JSON") {
    replace("config.json", "{\"a\":");
  }
  SECTION("a config.json that is a list") {
    replace("config.json", "[]");
  }
  SECTION("a config.json of another model") {
    replace("config.json", "{\"model_type\": \"llama\", \"architectures\": [\"LlamaForCausalLM\"]}");
  }
  SECTION("a size that makes no sense") {
    std::string config = read_file(model / "config.json", 1 << 20);
    const size_t value = config.find(':', config.find("\"hidden_size\"")) + 1;
    replace("config.json", config.insert(value, "-"));
  }
  SECTION("no tokenizer.json") {
    file = "tokenizer.json";
    fs::remove(model / file);
  }
  SECTION("an empty tokenizer.json") {
    replace("tokenizer.json", "");
  }
  SECTION("half a tokenizer.json") {
    const std::string whole = read_file(model / "tokenizer.json", 1 << 24);
    replace("tokenizer.json", whole.substr(0, whole.size() / 2));
  }
  SECTION("a shard that is not there") {
    file = "model-00001-of-00002.safetensors";
    fs::remove(model / file);
  }
  SECTION("a shard that is text") {
    replace("model-00001-of-00002.safetensors", "text");
  }
  SECTION("half a shard") {
    const std::string whole = read_file(model / "model-00002-of-00002.safetensors", 1 << 24);
    replace("model-00002-of-00002.safetensors", whole.substr(0, whole.size() - 10));
  }
  SECTION("an index that is no JSON") {
    replace("model.safetensors.index.json", "weights");
  }
  SECTION("an index without a map") {
    replace("model.safetensors.index.json", "{\"weight_map\": 3}");
  }
  SECTION("an index with nothing in it") {
    replace("model.safetensors.index.json", "{}");
  }
  SECTION("an index that leads out of the folder") {
    replace("model.safetensors.index.json", "{\"weight_map\": {\"a\": \"../a.safetensors\"}}");
  }
  SECTION("an index that names a tensor that is not there") {
    replace("model.safetensors.index.json",
            "{\"weight_map\": {\"a\": \"model-00001-of-00002.safetensors\"}}");
  }
  const std::string error = models.error_with(model);
  CHECK_THAT(error, Catch::Contains(file));
  CHECK_THAT(error,
             Catch::Contains("download") || Catch::Contains("Lectern runs") || Catch::Contains("give such"));
}
