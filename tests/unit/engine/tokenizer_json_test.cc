#include "engine/tokenizer_json.h"

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "engine/tokenizer.h"
#include "tests/support/catch.h"

using namespace lectern;
using Catch::Contains;

namespace {

// The tokenizer of a golden model; `form`: "strings" for merges as "a b", "pairs" for ["a", "b"].
Json golden(const std::string& form) {
  const std::string path = std::string(LECTERN_SOURCE_DIR) + "/tests/golden/" +
                           (form == "pairs" ? "qwen2moe_shared" : "qwen2_tied") + "/folder/tokenizer.json";
  return parse_json(read_file(path, 1 << 20), path);
}

Vocabulary read(const Json& json) {
  return read_tokenizer_json(dump_json(json), "tokenizer.json");
}

}  // namespace

TEST_CASE("tokenizer.json: both ways of writing merges read the same, and make a tokenizer") {
  REQUIRE(golden("strings")["model"]["merges"][0].is_string());
  REQUIRE(golden("pairs")["model"]["merges"][0].is_array());
  const Vocabulary strings = read(golden("strings")), pairs = read(golden("pairs"));
  CHECK(strings.tokens == pairs.tokens);
  CHECK(strings.types == pairs.types);
  CHECK(strings.merges == pairs.merges);
  CHECK(strings.merges[1] == std::pair<std::string, std::string>("h", "e"));
  const Tokenizer tokenizer(strings, "tokenizer.json");
  CHECK(tokenizer.decode(tokenizer.encode("of the 中<|im_end|>")) == "of the 中<|im_end|>");
  CHECK(tokenizer.encode(" the").size() == 1);
  CHECK(tokenizer.control_token("<|im_end|>") == 278);
  CHECK_FALSE(tokenizer.is_control(279));  // <tool_call> is text that was added by hand
  CHECK(tokenizer.control_token("<tool_call>") == 279);
}

TEST_CASE("tokenizer.json: ids left out are unused, repeated ones must agree") {
  Json json = golden("strings");
  json["added_tokens"].push_back({{"id", 290}, {"content", "<|x|>"}, {"special", true}});
  json["added_tokens"].push_back({{"id", 0}, {"content", "!"}, {"special", false}});
  const Vocabulary vocabulary = read(json);
  REQUIRE(vocabulary.tokens.size() == 291);
  CHECK(vocabulary.types[285] == Vocabulary::TokenType::kUnused);
  CHECK(vocabulary.types[290] == Vocabulary::TokenType::kControl);
  CHECK(vocabulary.types[0] == Vocabulary::TokenType::kNormal);
  json["added_tokens"].push_back({{"id", 1}, {"content", "other"}, {"special", false}});
  CHECK_THROWS_WITH(read(json), Contains("share the id 1"));
}

TEST_CASE("tokenizer.json: tokenizers of other kinds are named") {
  auto error_of = [](auto change, const char* expected) {
    Json json = golden("strings");
    change(json);
    CHECK_THROWS_WITH(read(json), Contains("tokenizer.json") && Contains(expected));
  };
  error_of([](Json& j) { j["model"]["type"] = "Unigram"; }, "'Unigram'");
  error_of([](Json& j) { j["normalizer"]["type"] = "NFKC"; }, "'NFKC'");
  error_of([](Json& j) { j["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = R"(\w+)"; },
           "pre_tokenizer");
  error_of([](Json& j) { j["model"].erase("vocab"); }, "is missing");
  error_of([](Json& j) { j["model"].erase("merges"); }, "is missing");
}

TEST_CASE("tokenizer.json: values of other kinds than expected") {
  auto error_of = [](auto change, const char* expected) {
    Json json = golden("strings");
    change(json);
    CHECK_THROWS_WITH(read(json), Contains(expected));
  };
  error_of([](Json& j) { j["model"]["vocab"]["x"] = "1"; }, "'x' has no number");
  error_of([](Json& j) { j["model"]["vocab"]["x"] = 1.5; }, "'x' has no number");
  error_of([](Json& j) { j["model"]["vocab"]["x"] = Json::array(); }, "'x' has no number");
  error_of([](Json& j) { j["model"]["vocab"]["x"] = -1; }, "impossible id -1");
  error_of([](Json& j) { j["model"]["vocab"]["x"] = 1'000'000'000; }, "impossible id 1000000000");
  error_of([](Json& j) { j["model"]["vocab"]["x"] = 0; }, "share the id 0");
  for (const Json& merge : {Json("ab"), Json(" b"), Json("a b c"), Json(Json::array()), Json({"a"}),
                            Json({"a", ""}), Json({"a", "b", "c"}), Json(1), Json({1, 2}), Json(nullptr)}) {
    INFO(merge);
    error_of([&](Json& j) { j["model"]["merges"].push_back(merge); }, "model.merges");
  }
  error_of([](Json& j) { j["model"]["merges"].push_back(Json::object()); }, "no pair");
  error_of([](Json& j) { j["added_tokens"][0].erase("id"); }, "without id or content");
  error_of([](Json& j) { j["added_tokens"][0]["content"] = ""; }, "without id or content");
  error_of([](Json& j) { j["added_tokens"][0]["id"] = int64_t{1} << 40; }, "impossible id");
  for (const char* text :
       {"", "[]", "1", "{}", "{\"model\":", "null", "{\"model\":[]}", "{\"added_tokens\":{}}"})
    CHECK_THROWS_AS(read_tokenizer_json(text, "tokenizer.json"), Error);
}

TEST_CASE("tokenizer.json: merges of tokens that are not there are found when the tokenizer is made") {
  Json json = golden("strings");
  json["model"]["merges"].push_back("q q");
  CHECK_THROWS_WITH(Tokenizer(read(json), "tokenizer.json"), Contains("merge 20"));
}
