#include "apps/capi/passages.h"

#include "apps/common/places.h"

namespace lectern::capi {
namespace {

lectern_passage* place_struct(const Place& place, const std::string& text, Memory& memory) {
  auto* out = memory.take<lectern_passage>();
  out->path = memory.text(place.path);
  out->title = memory.text(place.title);
  out->heading = memory.text(place.heading_path);
  out->page_first = place.first_page;
  out->page_last = place.last_page;
  out->line_first = place.first_line;
  out->line_last = place.last_line;
  out->text = memory.text(text);
  out->text_bytes = text.size();
  return out;
}

}  // namespace

const lectern_passage* passage_of(const Passage& passage, Memory& memory) {
  lectern_passage* out = place_struct(place_of(passage), passage.text, memory);
  out->id = passage.chunk_id;
  out->document_id = passage.document_id;
  out->begin = passage.chunk.begin;
  out->end = passage.chunk.end;
  return out;
}

const lectern_passage* passage_of(const SourcePassage& passage, Memory& memory) {
  lectern_passage* out = place_struct(place_of(passage), passage.text, memory);
  out->id = passage.chunk_id;
  out->document_id = passage.document_id;
  out->begin = passage.begin;
  out->end = passage.end;
  return out;
}

const lectern_range* ranges_of(const ByteRanges& ranges, Memory& memory) {
  auto* out = memory.take<lectern_range>(ranges.size());
  for (size_t i = 0; i < ranges.size(); ++i) out[i] = {ranges[i].first, ranges[i].second};
  return out;
}

}  // namespace lectern::capi
