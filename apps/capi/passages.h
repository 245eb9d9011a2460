// Passages as structs of lectern.h.
#pragma once

#include "agent/document_source.h"
#include "apps/capi/memory.h"
#include "apps/common/byte_ranges.h"
#include "include/lectern.h"
#include "retrieval/collection.h"

namespace lectern::capi {

const lectern_passage* passage_of(const Passage& passage, Memory& memory);
const lectern_passage* passage_of(const SourcePassage& passage, Memory& memory);
const lectern_range* ranges_of(const ByteRanges& ranges, Memory& memory);

}  // namespace lectern::capi
