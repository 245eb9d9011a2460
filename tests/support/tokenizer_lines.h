// The lines of tools/make_tokenizer_fixtures.py, step by step the same, and the fixtures made from them.
#pragma once

#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/utf8.h"
#include "engine/model_file.h"

namespace lectern {

inline std::filesystem::path tokenizer_fixture(const std::string& name) {
  return std::filesystem::path(LECTERN_SOURCE_DIR) / "tests/golden/tokenizer" / name;
}

inline Json read_tokenizer_fixture(const std::string& name) {
  const auto path = tokenizer_fixture(name);
  return parse_json(read_file(path, 1 << 24), path.string());
}

class LineMaker {
 public:
  LineMaker() {
    const Json data = read_tokenizer_fixture("fragments.json");
    fragments_ = data.at("fragments").get<std::vector<std::string>>();
    whitespace_ = data.at("whitespace").get<std::vector<std::string>>();
    blocks_ = data.at("blocks").get<std::vector<std::pair<uint32_t, uint32_t>>>();
  }

  std::string line(uint64_t index) {
    state_ = index;
    std::string text;
    const size_t n_pieces = 1 + draw(6);
    for (size_t i = 0; i < n_pieces; ++i) {
      append_piece(text);
      static constexpr std::string_view kSeparators[] = {"", "", " ", "\n"};
      text += kSeparators[draw(4)];
    }
    return text;
  }

 private:
  size_t draw(size_t n) {  // SplitMix64, reduced to [0, n)
    state_ += 0x9E3779B97F4A7C15u;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return static_cast<size_t>((z ^ (z >> 31)) % n);
  }

  void append_piece(std::string& text) {
    const size_t kind = draw(10);
    if (kind < 4) {
      text += fragments_[draw(fragments_.size())];
    } else if (kind < 6) {  // may cut through a character
      const std::string& fragment = fragments_[draw(fragments_.size())];
      const size_t begin = draw(fragment.size());
      text += fragment.substr(begin, 1 + draw(fragment.size() - begin));
    } else if (kind < 8) {
      const auto [first, count] = blocks_[draw(blocks_.size())];
      const size_t n = 1 + draw(8);
      for (size_t i = 0; i < n; ++i) {
        const auto c = static_cast<char32_t>(first + draw(count));
        utf8::append(text, c >= 0xD800 && c < 0xE000 ? U'?' : c);
      }
    } else if (kind == 8) {
      const size_t n = 1 + draw(4);
      for (size_t i = 0; i < n; ++i) text.push_back(static_cast<char>(draw(256)));
    } else {
      const size_t n = 1 + draw(6);
      for (size_t i = 0; i < n; ++i) text += whitespace_[draw(whitespace_.size())];
    }
  }

  std::vector<std::string> fragments_, whitespace_;
  std::vector<std::pair<uint32_t, uint32_t>> blocks_;
  uint64_t state_ = 0;
};

// A vocabulary of 700 tokens trained on the fragments, three control tokens, two added ones and some padding.
inline Vocabulary small_vocabulary() {
  const Json data = read_tokenizer_fixture("small_vocabulary.json");
  Vocabulary vocabulary;
  auto add = [&](const std::string& token, Vocabulary::TokenType type) {
    vocabulary.tokens.push_back(token);
    vocabulary.types.push_back(type);
  };
  for (const auto& token : data.at("tokens")) add(token.get<std::string>(), Vocabulary::TokenType::kNormal);
  for (const auto& token : data.at("control")) add(token.get<std::string>(), Vocabulary::TokenType::kControl);
  add("<tool_call>", Vocabulary::TokenType::kAdded);
  add("</tool_call>", Vocabulary::TokenType::kAdded);
  for (int i = 0; i < 4; ++i) add("[PAD]", Vocabulary::TokenType::kUnused);
  vocabulary.merges = data.at("merges").get<std::vector<std::pair<std::string, std::string>>>();
  return vocabulary;
}

// The hashes of a *.hashes file, one a line.
inline std::vector<uint32_t> read_line_hashes(const std::string& name) {
  const std::string bytes = read_file(tokenizer_fixture(name), 1 << 24);
  std::vector<uint32_t> hashes(bytes.size() / sizeof(uint32_t));
  std::memcpy(hashes.data(), bytes.data(), hashes.size() * sizeof(uint32_t));
  return hashes;
}

inline uint32_t hash_of_ids(const std::vector<int32_t>& ids) {
  const auto* bytes = reinterpret_cast<const char*>(ids.data());
  return static_cast<uint32_t>(fnv1a(std::string_view(bytes, ids.size() * sizeof(int32_t))));
}

}  // namespace lectern
