#include "engine/tokenizer_json.h"

#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "engine/model_loaders.h"
#include "engine/tensor.h"

namespace lectern {
namespace {

// How Qwen2 cuts text into words; engine/tokenizer_words implements exactly this.
constexpr std::string_view kWordPattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

class TokenizerReader : public JsonVisitor {
 public:
  explicit TokenizerReader(const std::string& origin) : origin_(origin) {}

  void begin(const Path& path, bool is_object) override {
    if (is_added_token(path)) {
      added_ = AddedToken{};
    } else if (is_merge(path)) {
      if (is_object) fail("model.merges has an element that is no pair");
      pair_.clear();
    } else if (is_in_vocab(path)) {
      fail("model.vocab: token " + quote(path[2]) + " has no number");
    }
  }

  void scalar(const Path& path, const JsonScalar& value) override {
    if (path.empty()) fail("is not an object");
    const auto* text = std::get_if<std::string_view>(&value);
    const auto* integer = std::get_if<int64_t>(&value);
    if (is_in_vocab(path)) {
      if (integer == nullptr) fail("model.vocab: token " + quote(path[2]) + " has no number");
      set_token(*integer, path[2], Vocabulary::TokenType::kNormal);
      ++n_text_tokens_;
    } else if (path.size() >= 3 && path[0] == "model" && path[1] == "merges") {
      if (text == nullptr) fail("model.merges has an element that is no text");
      if (is_merge(path))
        add_merge_text(*text);
      else
        pair_.emplace_back(*text);
      if (pair_.size() > 2) fail_merge();
    } else if (path.size() == 3 && path[0] == "added_tokens") {
      if (path[2] == "id" && integer != nullptr) added_.id = *integer;
      if (path[2] == "content" && text != nullptr) added_.content = *text;
      if (const auto* special = std::get_if<bool>(&value); path[2] == "special" && special != nullptr)
        added_.special = *special;
    } else if (text != nullptr) {
      check_kind(path, *text);
    }
  }

  void end(const Path& path) override {
    if (is_added_token(path)) {
      if (added_.id < 0 || added_.content.empty()) fail("added_tokens has an entry without id or content");
      set_token(added_.id, added_.content,
                added_.special ? Vocabulary::TokenType::kControl : Vocabulary::TokenType::kAdded);
    } else if (is_merge(path)) {
      if (pair_.size() != 2 || pair_[0].empty() || pair_[1].empty()) fail_merge();
      add_merge({std::move(pair_[0]), std::move(pair_[1])});
    }
  }

  Vocabulary take() {
    if (n_text_tokens_ == 0 || result_.merges.empty())
      fail("model.vocab or model.merges is missing; this is no byte-pair tokenizer");
    return std::move(result_);
  }

 private:
  struct AddedToken {
    int64_t id = -1;
    std::string content;
    bool special = false;
  };

  static bool is_in_vocab(const Path& path) {
    return path.size() == 3 && path[0] == "model" && path[1] == "vocab";
  }
  static bool is_merge(const Path& path) {
    return path.size() == 3 && path[0] == "model" && path[1] == "merges";
  }
  static bool is_added_token(const Path& path) { return path.size() == 2 && path[0] == "added_tokens"; }

  [[noreturn]] void fail(const std::string& why) const {
    throw Error(ErrorCode::kCorrupt, origin_ + ": " + why);
  }
  [[noreturn]] void fail_merge() const {
    fail("model.merges: merge " + std::to_string(result_.merges.size()) + " is not two tokens");
  }

  // The fields that say what kind of tokenizer this is.
  void check_kind(const Path& path, std::string_view text) const {
    std::string_view wanted;
    if (path.size() == 2 && path[0] == "model" && path[1] == "type") wanted = "BPE";
    if (path.size() == 2 && path[0] == "normalizer" && path[1] == "type") wanted = "NFC";
    if (path[0] == "pre_tokenizer" && path.back() == "Regex") wanted = kWordPattern;
    if (wanted.empty() || text == wanted) return;
    throw Error(ErrorCode::kUnsupported, origin_ + ": " + path[0] + "." + path.back() + " is " + quote(text) +
                                             "; Lectern runs the tokenizer of Qwen2, which has " +
                                             quote(wanted));
  }

  void set_token(int64_t id, const std::string& text, Vocabulary::TokenType type) {
    if (id < 0 || id >= static_cast<int64_t>(kMaxVocabularyTokens))
      fail("token " + quote(text) + " has the impossible id " + std::to_string(id));
    const auto index = static_cast<size_t>(id);
    if (index >= result_.tokens.size()) {
      result_.tokens.resize(index + 1);
      result_.types.resize(index + 1, Vocabulary::TokenType::kUnused);
    }
    // Some files list an added token in the vocabulary as well.
    if (result_.types[index] != Vocabulary::TokenType::kUnused && result_.tokens[index] != text)
      fail("tokens " + quote(result_.tokens[index]) + " and " + quote(text) + " share the id " +
           std::to_string(id));
    result_.tokens[index] = text;
    // Control tokens stay so; what merges can make is text, whatever else it is called.
    Vocabulary::TokenType& known = result_.types[index];
    if (known == Vocabulary::TokenType::kControl) return;
    if (known == Vocabulary::TokenType::kNormal && type == Vocabulary::TokenType::kAdded) return;
    known = type;
  }

  void add_merge_text(std::string_view text) {
    std::pair<std::string, std::string> merge;
    if (!split_merge(text, merge)) fail_merge();
    add_merge(std::move(merge));
  }

  void add_merge(std::pair<std::string, std::string> merge) {
    if (result_.merges.size() == kMaxMerges) fail("model.merges has more than " + std::to_string(kMaxMerges));
    result_.merges.push_back(std::move(merge));
  }

  const std::string& origin_;
  Vocabulary result_;
  size_t n_text_tokens_ = 0;
  AddedToken added_;
  std::vector<std::string> pair_;
};

}  // namespace

Vocabulary read_tokenizer_json(std::string_view text, const std::string& origin) {
  TokenizerReader reader(origin);
  visit_json(text, origin, reader);
  return reader.take();
}

}  // namespace lectern
