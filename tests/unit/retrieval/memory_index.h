// Segments in memory, for tests of the index below the store.
#pragma once

#include <map>
#include <tuple>

#include "base/error.h"
#include "retrieval/bm25.h"
#include "retrieval/segment_builder.h"

namespace lectern {

class MemoryBlobs : public BlobReader {
 public:
  BlobWriter writer(int64_t segment) {
    return [this, segment](SegmentArea area, uint32_t number, std::string_view blob) {
      blobs_[{segment, area, number}] = std::string(blob);
    };
  }
  std::string read_blob(int64_t segment, SegmentArea area, uint32_t number) override {
    const auto found = blobs_.find({segment, area, number});
    if (found == blobs_.end()) throw Error(ErrorCode::kCorrupt, "no such blob");
    return found->second;
  }
  std::map<std::tuple<int64_t, SegmentArea, uint32_t>, std::string>& blobs() { return blobs_; }

 private:
  std::map<std::tuple<int64_t, SegmentArea, uint32_t>, std::string> blobs_;
};

inline std::vector<Term> as_terms(const std::vector<std::string>& words) {
  std::vector<Term> terms;
  for (const std::string& word : words) terms.push_back({word, 0, 0});
  return terms;
}

}  // namespace lectern
