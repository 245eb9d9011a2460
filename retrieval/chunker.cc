// Greedy, one chunk after the other: the window of at most max_characters code points from where the last
// chunk ended is scanned for borders between lines, and the best of them ends the chunk. Only where lines do
// not help are Unicode's sentence, word and grapheme rules asked. Every step looks at one window, and every
// window moves on by a good part of itself, so the whole is linear in the text.
#include "retrieval/chunker.h"

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/utf8.h"
#include "retrieval/text_borders.h"

namespace lectern {
namespace {

constexpr size_t kMaxPathParts = 8;
constexpr size_t kMaxPartBytes = 240;

// How good it is to end a chunk where a line begins.
enum class Rank {
  kWrap,         // a sentence runs on from the line before
  kLine,         // a line of its own: a list item, a row, a statement
  kParagraph,    // after a blank line
  kSection,      // before a heading
  kMainSection,  // before a heading of the document's outermost repeated level
};

struct Border {
  uint64_t offset;
  Rank rank;
};

// What can be said of the text from one chunk's beginning to where it must end.
struct Window {
  uint64_t begin = 0;
  uint64_t end = 0;  // the chunk may reach up to here; at most max_characters, trailing blanks not counted
  // After a quarter, a third, a half and two thirds of the characters.
  uint64_t quarter = 0, third = 0, half = 0, two_thirds = 0;
  std::vector<Border> borders;
};

// The level whose headings divide the document: the outermost that occurs more than once, else the outermost.
int main_level(const std::vector<Heading>& headings) {
  std::map<int, int> counts;
  for (const Heading& heading : headings) ++counts[heading.level];
  for (const auto& [level, count] : counts)
    if (count > 1) return level;
  return counts.empty() ? 0 : counts.begin()->first;
}

bool is_underline(std::string_view line) {
  const size_t begin = line.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos || (line[begin] != '=' && line[begin] != '-')) return false;
  return line.find_first_not_of("=- \t\r\n", begin) == std::string_view::npos;
}

class Chunker {
 public:
  Chunker(const Document& document, int max_characters)
      : document_(document),
        text_(document.text),
        limit_(static_cast<size_t>(max_characters)),
        main_level_(main_level(document.headings)),
        prefers_lines_(document.format == "code" || document.format == "json" || document.format == "csv") {}

  std::vector<Chunk> run() {
    std::vector<Chunk> chunks;
    uint64_t begin = skip_blank(text_, 0);
    while (begin < text_.size()) {
      scan(begin);
      const uint64_t end = choose_end();
      LECTERN_CHECK(end > begin && end <= text_.size());
      chunks.push_back(describe(begin, trim_end(begin, end), static_cast<int>(chunks.size())));
      begin = skip_blank(text_, end);
    }
    return chunks;
  }

 private:
  // ---- The window

  void scan(uint64_t begin) {
    window_.begin = begin;
    window_.borders.clear();
    window_.quarter = window_.third = window_.half = window_.two_thirds = text_.size();
    line_is_heading_ = starts_heading(begin, line_end(begin));
    blank_line_before_ = false;
    size_t n = 0;
    uint64_t i = begin;
    while (i < text_.size() && n < limit_) {
      const bool feed = text_[i] == '\n';
      i += static_cast<uint8_t>(text_[i]) < 0x80 ? 1 : utf8::decode(text_, i).length;
      if (++n == limit_ / 4) window_.quarter = i;
      if (n == limit_ / 3) window_.third = i;
      if (n == limit_ / 2) window_.half = i;
      if (n == limit_ * 2 / 3) window_.two_thirds = i;
      if (feed) add_line_border(i);
    }
    // Blanks at the end of a chunk do not count.
    while (i < text_.size()) {
      const size_t length = blank_length(text_, i);
      if (length == 0) break;
      const bool feed = text_[i] == '\n';
      i += length;
      if (feed) add_line_border(i);
    }
    window_.end = i;
  }

  // The offset after the line feed that ends the line at `offset`, looked for within one window's length.
  uint64_t line_end(uint64_t offset) const {
    const std::string_view ahead = text_.substr(offset, limit_ * 4);
    const size_t feed = ahead.find('\n');
    return offset + (feed == std::string_view::npos ? ahead.size() : feed + 1);
  }

  // A line begins at `offset`: what kind of border is that?
  void add_line_border(uint64_t offset) {
    const uint64_t end = line_end(offset);
    const std::string_view line = text_.substr(offset, end - offset);
    const uint64_t first = offset + std::min(line.find_first_not_of(" \t\r\n"), line.size());
    if (first == end) {
      blank_line_before_ = true;
      return;
    }
    const bool after_heading = line_is_heading_;
    const int level = heading_level(offset, end);
    line_is_heading_ = level > 0 || (after_heading && !blank_line_before_ && is_underline(line));
    const bool after_blank = std::exchange(blank_line_before_, false);
    if (after_heading && level == 0) return;  // a heading sticks to what follows
    const Document::Range* range = range_around(offset);
    if (range != nullptr && fits(*range)) return;
    const bool wrapped = !prefers_lines_ && range == nullptr && sentence_runs_on(text_, offset, first);
    Rank rank = wrapped ? Rank::kWrap : Rank::kLine;
    if (after_blank) rank = Rank::kParagraph;
    if (level > 0) rank = level <= main_level_ ? Rank::kMainSection : Rank::kSection;
    window_.borders.push_back({offset, rank});
  }

  bool starts_heading(uint64_t begin, uint64_t end) { return heading_level(begin, end) > 0; }

  // The level of the heading that begins in [begin, end), 0 without one.
  int heading_level(uint64_t begin, uint64_t end) {
    const auto& headings = document_.headings;
    // The cursor goes back a little: windows overlap.
    while (next_heading_ > 0 && headings[next_heading_ - 1].offset >= begin) --next_heading_;
    while (next_heading_ < headings.size() && headings[next_heading_].offset < begin) ++next_heading_;
    if (next_heading_ == headings.size() || headings[next_heading_].offset >= end) return 0;
    return std::max(1, headings[next_heading_].level);
  }

  // ---- Ranges that stay whole

  const Document::Range* range_around(uint64_t offset) {
    const auto& ranges = document_.keep_whole;
    while (next_range_ > 0 && ranges[next_range_ - 1].end > offset) --next_range_;
    while (next_range_ < ranges.size() && ranges[next_range_].end <= offset) ++next_range_;
    if (next_range_ == ranges.size() || ranges[next_range_].begin >= offset) return nullptr;
    return &ranges[next_range_];
  }

  bool fits(const Document::Range& range) const {
    const uint64_t bytes = std::min<uint64_t>(range.end, text_.size()) - range.begin;
    if (bytes <= limit_) return true;
    return bytes <= 4 * limit_ && utf8::count(text_.substr(range.begin, bytes)) <= limit_;
  }

  // ---- The choice

  uint64_t choose_end() {
    if (const uint64_t section = first_section()) return section;
    if (window_.end == text_.size()) return window_.end;
    if (const uint64_t paragraph = last_line_border(Rank::kParagraph, window_.quarter)) return paragraph;
    if (const Document::Range* range = range_around(window_.end); range != nullptr) {
      if (range->begin > window_.begin && fits(*range) && is_plain_border(text_, range->begin))
        return range->begin;
      if (range->begin <= window_.begin)
        if (const uint64_t line = last_line_border(Rank::kLine, window_.quarter)) return line;
    }
    if (const uint64_t line = last_line_border(Rank::kLine, prefers_lines_ ? window_.quarter : window_.half))
      return line;
    if (const uint64_t sentence = last_sentence()) return sentence;
    if (const uint64_t line = last_line_border(Rank::kLine, window_.quarter)) return line;
    const uint64_t tail = window_.end - std::min<uint64_t>(window_.end - window_.begin - 1, limit_ / 2);
    if (const uint64_t word = last_word_border(text_, tail, window_.end)) return word;
    if (const uint64_t line = last_line_border(Rank::kWrap, window_.begin + 1)) return line;
    if (const uint64_t grapheme = last_grapheme_border(text_, window_.begin, window_.end)) return grapheme;
    return window_.end;  // one grapheme longer than a chunk: the limit holds
  }

  // A new section starts a new chunk when this one is reasonably full.
  uint64_t first_section() const {
    for (const Border& border : window_.borders) {
      if (border.rank == Rank::kMainSection && border.offset >= window_.third) return border.offset;
      if (border.rank == Rank::kSection && border.offset >= window_.two_thirds) return border.offset;
    }
    return 0;
  }

  uint64_t last_line_border(Rank at_least, uint64_t floor) const {
    for (auto border = window_.borders.rbegin(); border != window_.borders.rend() && border->offset >= floor;
         ++border)
      if (border->rank >= at_least) return border->offset;
    return 0;
  }

  uint64_t last_sentence() const {
    if (window_.half < window_.end)
      if (const uint64_t late = last_sentence_border(text_, window_.half, window_.end)) return late;
    return window_.quarter < window_.half
               ? last_sentence_border(text_, window_.quarter, std::min(window_.half, window_.end))
               : 0;
  }

  uint64_t trim_end(uint64_t begin, uint64_t end) const {
    while (end > begin) {
      uint64_t last = end - 1;
      while (last > begin && (static_cast<uint8_t>(text_[last]) & 0xC0) == 0x80 && end - last < 4) --last;
      if (blank_length(text_, last) != end - last) break;
      end = last;
    }
    return end;
  }

  // ---- What a chunk says of itself

  Chunk describe(uint64_t begin, uint64_t end, int ordinal) {
    Chunk chunk;
    chunk.ordinal = ordinal;
    chunk.begin = begin;
    chunk.end = end;
    chunk.first_line = line_of(begin);
    chunk.last_line = line_of(end);
    chunk.first_page = page_of(begin);
    chunk.last_page = page_of(end - 1);
    chunk.heading_path = heading_path(begin, end);
    chunk.later_sections = later_sections(begin, end);
    return chunk;
  }

  // Offsets only grow, so every line feed is counted once.
  int line_of(uint64_t offset) {
    line_ += static_cast<int>(std::count(text_.begin() + static_cast<std::ptrdiff_t>(counted_),
                                         text_.begin() + static_cast<std::ptrdiff_t>(offset), '\n'));
    counted_ = offset;
    return line_;
  }

  int page_of(uint64_t offset) {
    while (next_page_ < document_.pages.size() && document_.pages[next_page_].offset <= offset) ++next_page_;
    return next_page_ == 0 ? 0 : document_.pages[next_page_ - 1].number;
  }

  std::string heading_path(uint64_t begin, uint64_t end) {
    const auto& headings = document_.headings;
    // A chunk that opens with headings stands under all of them, down to its first text.
    uint64_t body = begin;
    for (size_t next = path_heading_; next < headings.size() && headings[next].offset < end; ++next) {
      if (headings[next].offset > body) break;
      if (headings[next].offset >= begin)
        body = skip_blank(text_, std::min(line_end(headings[next].offset), end));
    }
    for (; path_heading_ < headings.size() && headings[path_heading_].offset < std::max(body, begin + 1);
         ++path_heading_)
      descend(path_, headings[path_heading_]);
    return joined(path_);
  }

  // The sections after the one that heading_path() has just named.
  std::vector<Chunk::Section> later_sections(uint64_t begin, uint64_t end) const {
    const auto& headings = document_.headings;
    std::vector<Chunk::Section> sections;
    if (path_heading_ == headings.size() || headings[path_heading_].offset >= end) return sections;
    HeadingStack path = path_;
    for (size_t i = path_heading_; i < headings.size() && headings[i].offset < end; ++i) {
      descend(path, headings[i]);
      sections.push_back({headings[i].offset - begin, joined(path)});
    }
    return sections;
  }

  using HeadingStack = std::vector<const Heading*>;  // outermost first

  static void descend(HeadingStack& path, const Heading& heading) {
    while (!path.empty() && path.back()->level >= heading.level) path.pop_back();
    path.push_back(&heading);
  }

  static std::string joined(const HeadingStack& path) {
    std::string text;
    for (size_t i = path.size() - std::min(path.size(), kMaxPathParts); i < path.size(); ++i) {
      if (!text.empty()) text += " > ";
      text += utf8::prefix(path[i]->text, kMaxPartBytes);
    }
    return text;
  }

  const Document& document_;
  const std::string_view text_;
  const size_t limit_;
  const int main_level_;
  const bool prefers_lines_;
  Window window_;
  bool line_is_heading_ = false, blank_line_before_ = false;  // of the line just scanned
  size_t next_heading_ = 0, next_range_ = 0;                  // cursors of the scan
  size_t path_heading_ = 0, next_page_ = 0;                   // cursors of finished chunks
  uint64_t counted_ = 0;
  int line_ = 1;
  HeadingStack path_;
};

}  // namespace

std::vector<Chunk> chunk_document(const Document& document, int max_characters) {
  LECTERN_CHECK(max_characters > 0);
  return Chunker(document, max_characters).run();
}

}  // namespace lectern
