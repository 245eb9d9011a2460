#include "engine/tokenizer_bpe.h"

#include <algorithm>
#include <bit>
#include <queue>
#include <unordered_map>

#include "base/error.h"
#include "base/utf8.h"

namespace lectern {
namespace {

// Words up to this many bytes are merged by scanning; longer ones with a heap.
constexpr size_t kShortWord = 48;

// Printable bytes stand for themselves, the others for U+0100, U+0101, ... in the order of their values.
constexpr bool is_printable(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}

constexpr auto kByteToChar = [] {
  std::array<char32_t, 256> table{};
  char32_t next = 0x100;
  for (int byte = 0; byte < 256; ++byte)
    table[static_cast<size_t>(byte)] = is_printable(byte) ? static_cast<char32_t>(byte) : next++;
  return table;
}();
constexpr char32_t kAlphabetEnd = 0x100 + 68;  // 68 bytes are not printable

constexpr auto kCharToByte = [] {
  std::array<int16_t, kAlphabetEnd> table{};
  for (auto& entry : table) entry = -1;
  for (size_t byte = 0; byte < 256; ++byte) table[kByteToChar[byte]] = static_cast<int16_t>(byte);
  return table;
}();

uint64_t hash_pair(int32_t left, int32_t right) {
  const uint64_t key =
      static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  return (key * 0x9E3779B97F4A7C15u) >> 32;
}

[[noreturn]] void fail(const std::string& origin, const std::string& why) {
  throw Error(ErrorCode::kCorrupt,
              origin + ": " + why + "; the vocabulary is damaged or not a Qwen2 one: get the model again");
}

}  // namespace

std::string token_text_to_bytes(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  for (size_t offset = 0; offset < text.size();) {
    const utf8::Decoded decoded = utf8::decode(text, offset);
    const int16_t byte = decoded.code_point < kAlphabetEnd ? kCharToByte[decoded.code_point] : int16_t{-1};
    if (byte < 0) return std::string(text);
    bytes.push_back(static_cast<char>(byte));
    offset += decoded.length;
  }
  return bytes;
}

BytePairMerger::BytePairMerger(const Vocabulary& vocabulary, const std::string& origin) {
  std::unordered_map<std::string_view, int32_t> ids;
  ids.reserve(vocabulary.tokens.size());
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    if (vocabulary.types[id] != Vocabulary::TokenType::kNormal) continue;
    if (!ids.emplace(vocabulary.tokens[id], static_cast<int32_t>(id)).second)
      fail(origin, "token " + std::to_string(id) + " appears twice in the vocabulary");
  }
  for (size_t byte = 0; byte < 256; ++byte) {
    std::string text;
    utf8::append(text, kByteToChar[byte]);
    const auto found = ids.find(text);
    if (found == ids.end()) fail(origin, "the vocabulary has no token for byte " + std::to_string(byte));
    byte_tokens_[byte] = found->second;
  }

  const size_t n_merges = vocabulary.merges.size();
  table_.resize(std::bit_ceil(n_merges + n_merges / 2 + 1));
  table_mask_ = static_cast<uint32_t>(table_.size() - 1);
  std::string joined;
  for (size_t rank = 0; rank < n_merges; ++rank) {
    const auto& [left, right] = vocabulary.merges[rank];
    joined.assign(left).append(right);
    const auto left_id = ids.find(left), right_id = ids.find(right), merged_id = ids.find(joined);
    if (left_id == ids.end() || right_id == ids.end() || merged_id == ids.end())
      fail(origin, "merge " + std::to_string(rank) + " names a token that the vocabulary lacks");
    insert({left_id->second, right_id->second, static_cast<uint32_t>(rank), merged_id->second});
  }
}

void BytePairMerger::insert(const Merge& merge) {
  uint64_t slot = hash_pair(merge.left, merge.right) & table_mask_;
  while (table_[slot].left >= 0 && (table_[slot].left != merge.left || table_[slot].right != merge.right))
    slot = (slot + 1) & table_mask_;
  table_[slot] = merge;
}

BytePairMerger::Merge BytePairMerger::find(int32_t left, int32_t right) const {
  uint64_t slot = hash_pair(left, right) & table_mask_;
  while (table_[slot].left >= 0) {
    if (table_[slot].left == left && table_[slot].right == right) return table_[slot];
    slot = (slot + 1) & table_mask_;
  }
  return {};
}

void BytePairMerger::encode(std::string_view word, std::vector<int32_t>& append_to) const {
  if (word.size() <= kShortWord)
    encode_short(word, append_to);
  else
    encode_long(word, append_to);
}

void BytePairMerger::encode_short(std::string_view word, std::vector<int32_t>& append_to) const {
  std::array<int32_t, kShortWord> symbols;
  std::array<uint32_t, kShortWord> ranks;  // of the pair that begins at the symbol
  std::array<int32_t, kShortWord> merged;
  size_t n = word.size();
  for (size_t i = 0; i < n; ++i) symbols[i] = byte_tokens_[static_cast<uint8_t>(word[i])];
  auto look_up = [&](size_t i) {
    const Merge merge = i + 1 < n ? find(symbols[i], symbols[i + 1]) : Merge{};
    ranks[i] = merge.rank;
    merged[i] = merge.merged;
  };
  for (size_t i = 0; i < n; ++i) look_up(i);
  while (n > 1) {
    const size_t best =
        static_cast<size_t>(std::min_element(ranks.begin(), ranks.begin() + n) - ranks.begin());
    if (ranks[best] == kNoRank) break;
    symbols[best] = merged[best];
    --n;
    for (size_t i = best + 1; i < n; ++i) {
      symbols[i] = symbols[i + 1];
      ranks[i] = ranks[i + 1];
      merged[i] = merged[i + 1];
    }
    look_up(best);
    if (best > 0) look_up(best - 1);
  }
  append_to.insert(append_to.end(), symbols.begin(), symbols.begin() + n);
}

// A linked list of symbols and a heap of candidate merges. A heap entry is stale when the pair at its
// position no longer has its rank; ranks are unique, so equal rank means equal pair.
void BytePairMerger::encode_long(std::string_view word, std::vector<int32_t>& append_to) const {
  struct Symbol {
    int32_t id;
    uint32_t rank;  // of the pair with the next symbol
    uint32_t previous, next;
  };
  const auto n = static_cast<uint32_t>(word.size());
  std::vector<Symbol> symbols(n);
  std::vector<uint64_t> candidates;  // rank, then position
  for (uint32_t i = 0; i < n; ++i)
    symbols[i] = {byte_tokens_[static_cast<uint8_t>(word[i])], kNoRank, i - 1, i + 1};

  auto look_up = [&](uint32_t i) {
    const uint32_t next = symbols[i].next;
    symbols[i].rank = next < n ? find(symbols[i].id, symbols[next].id).rank : kNoRank;
    return symbols[i].rank != kNoRank;
  };
  auto candidate = [&](uint32_t i) { return static_cast<uint64_t>(symbols[i].rank) << 32 | i; };
  for (uint32_t i = 0; i < n; ++i)
    if (look_up(i)) candidates.push_back(candidate(i));
  std::priority_queue queue(std::greater<uint64_t>(), std::move(candidates));

  while (!queue.empty()) {
    const auto position = static_cast<uint32_t>(queue.top());
    const auto rank = static_cast<uint32_t>(queue.top() >> 32);
    queue.pop();
    Symbol& symbol = symbols[position];
    if (symbol.rank != rank) continue;
    Symbol& absorbed = symbols[symbol.next];
    symbol.id = find(symbol.id, absorbed.id).merged;
    symbol.next = absorbed.next;
    absorbed.rank = kNoRank;
    if (symbol.next < n) symbols[symbol.next].previous = position;
    if (look_up(position)) queue.push(candidate(position));
    if (position > 0 && look_up(symbol.previous)) queue.push(candidate(symbol.previous));
  }
  for (uint32_t i = 0; i < n; i = symbols[i].next) append_to.push_back(symbols[i].id);
}

}  // namespace lectern
