// Byte-pair merging of one word. Immutable after construction, so safe from any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model_file.h"

namespace lectern {

class BytePairMerger {
 public:
  // Throws Error(kCorrupt) naming `origin` when a byte has no token or a merge names tokens that are not
  // there.
  BytePairMerger(const Vocabulary& vocabulary, const std::string& origin);

  // Appends the tokens of `word`: again and again the leftmost pair of lowest rank is merged. O(n log n).
  void encode(std::string_view word, std::vector<int32_t>& append_to) const;

 private:
  static constexpr uint32_t kNoRank = UINT32_MAX;

  struct Merge {
    int32_t left = -1, right = -1;  // left -1: an empty slot
    uint32_t rank = kNoRank;
    int32_t merged = -1;
  };

  void insert(const Merge& merge);
  Merge find(int32_t left, int32_t right) const;
  void encode_short(std::string_view word, std::vector<int32_t>& append_to) const;
  void encode_long(std::string_view word, std::vector<int32_t>& append_to) const;

  std::array<int32_t, 256> byte_tokens_;
  std::vector<Merge> table_;  // open addressing, a power of two
  uint32_t table_mask_ = 0;
};

// The bytes of a token that is written in the byte-level alphabet of GPT-2, where every byte has a printable
// stand-in. Text that is not wholly in the alphabet (tokens added to a vocabulary by hand) stands for itself.
std::string token_text_to_bytes(std::string_view text);

}  // namespace lectern
