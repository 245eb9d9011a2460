#include "retrieval/pdf_text.h"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/ascii.h"
#include "base/utf8.h"

namespace lectern {
namespace {

constexpr size_t kMaxRunningBytes = 160;
constexpr size_t kMaxHeadingBytes = 160;
constexpr int kMinRunningPages = 3;

std::string_view trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

std::vector<std::string_view> split(std::string_view text, char mark) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const size_t end = std::min(text.find(mark), text.size());
    parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

bool is_cjk(char32_t c) {
  return (c >= 0x2E80 && c <= 0x9FFF) || (c >= 0xF900 && c <= 0xFAFF) || (c >= 0xFF00 && c <= 0xFF60) ||
         c >= 0x20000;
}

// In columns: East Asian characters take two.
size_t width(std::string_view line) {
  size_t columns = 0;
  for (size_t i = 0; i < line.size();) {
    const utf8::Decoded decoded = utf8::decode(line, i);
    columns += is_cjk(decoded.code_point) ? 2 : 1;
    i += decoded.length;
  }
  return columns;
}

char32_t first_character(std::string_view text) {
  return text.empty() ? 0 : utf8::decode(text, 0).code_point;
}

char32_t last_character(std::string_view text) {
  size_t begin = text.size();
  while (begin > 0 && (static_cast<uint8_t>(text[--begin]) & 0xC0) == 0x80) {
  }
  return text.empty() ? 0 : utf8::decode(text, begin).code_point;
}

bool is_lower(char32_t c) {
  return (c >= 'a' && c <= 'z') || (c >= 0xDF && c <= 0xFF) || (c >= 0x430 && c <= 0x45F);
}
bool is_letter(char32_t c) {
  return is_lower(c) || (c >= 'A' && c <= 'Z') || c >= 0xC0;
}

bool ends_sentence(std::string_view text) {
  static constexpr std::u32string_view kEnds = U".!?:;\"\u201D\u3002\uFF01\uFF1F\uFF1A\uFF1B\u300D";
  return kEnds.find(last_character(text)) != std::u32string_view::npos;
}

// A line as it repeats from page to page: page numbers differ.
std::string running_form(std::string_view line) {
  std::string form;
  for (const char c : line.substr(0, kMaxRunningBytes))
    if (!is_ascii_digit(c)) {
      form += c;
    } else if (form.empty() || form.back() != '#') {
      form += '#';
    }
  return form;
}

bool starts_item(std::string_view line) {
  for (const std::string_view mark :
       {"- ", "* ", "\xE2\x80\xA2", "\xE2\x80\x93 ", "\xE2\x97\xA6", "\xE2\x96\xAA", "\xC2\xB7"})
    if (line.starts_with(mark)) return true;
  return false;
}

// The level of a numbered heading ("2.1 Method", "Chapter 3", U+7B2C "3" U+7AE0), 0 for any other line.
int heading_level(std::string_view line) {
  if (line.size() > kMaxHeadingBytes || ends_sentence(line)) return 0;
  if (line.starts_with("Chapter ") && line.size() > 8 && is_ascii_digit(line[8])) return 1;
  if (line.starts_with("第")) {
    const size_t chapter = line.find("章"), section = line.find("节");
    if (chapter != std::string_view::npos && chapter <= 15) return 1;
    if (section != std::string_view::npos && section <= 15) return 2;
  }
  size_t i = 0;
  int level = 0;
  while (i < line.size() && is_ascii_digit(line[i]) && level < 4) {
    const size_t begin = i;
    while (i < line.size() && is_ascii_digit(line[i])) ++i;
    if (i - begin > 2) return 0;  // a year, an amount
    ++level;
    if (i < line.size() && line[i] == '.') ++i;
  }
  if (level == 0 || i == line.size() || line[i] != ' ') return 0;
  const char32_t first = first_character(trim(line.substr(i)));
  return is_letter(first) && !is_lower(first) ? level : 0;
}

class Writer {
 public:
  Writer(TextBuilder& out, PdfPages& pages) : out_(out), pages_(pages) {}

  void run(std::string_view text) {
    std::vector<std::string_view> pages = split(text, '\f');
    for (std::string_view page : pages) count_running(page);
    for (size_t i = 0; i < pages.size(); ++i) {
      // pdftotext ends every page with a form feed, so nothing stands behind the last one.
      if (i + 1 == pages.size() && trim(pages[i]) == "\n") break;
      ++pages_.n_pages;
      write_page(pages[i]);
    }
    end_paragraph();
  }

 private:
  // The lines of a page; the first and last lines with text are told.
  static std::vector<std::string_view> lines_of(std::string_view page, size_t& first, size_t& last) {
    std::vector<std::string_view> lines = split(page, '\n');
    for (std::string_view& line : lines) line = trim(line);
    const auto has_text = [](std::string_view line) { return !line.empty(); };
    first = static_cast<size_t>(std::find_if(lines.begin(), lines.end(), has_text) - lines.begin());
    last = static_cast<size_t>(lines.rend() - std::find_if(lines.rbegin(), lines.rend(), has_text)) -
           (first < lines.size() ? 1 : 0);
    return lines;
  }

  void count_running(std::string_view page) {
    size_t first = 0, last = 0;
    const auto lines = lines_of(page, first, last);
    if (first == lines.size()) return;
    ++n_with_text_;
    ++running_[running_form(lines[first])];
    if (last != first) ++running_[running_form(lines[last])];
  }

  bool is_running(std::string_view line) const {
    const auto found = running_.find(running_form(line));
    return found != running_.end() && found->second >= kMinRunningPages && found->second * 2 > n_with_text_;
  }

  void write_page(std::string_view page) {
    size_t first = 0, last = 0;
    const auto lines = lines_of(page, first, last);
    if (first == lines.size()) {
      ++pages_.n_empty;
      return;
    }
    page_width_ = 0;
    for (const std::string_view line : lines) page_width_ = std::max(page_width_, width(line));
    page_pending_ = pages_.n_pages;
    bool skipped_top = false;
    for (size_t i = first; i <= last; ++i) {
      if ((i == first || i == last) && is_running(lines[i])) {
        skipped_top = skipped_top || i == first;
        continue;
      }
      const bool opens = i == 0 || lines[i - 1].empty() || (skipped_top && i == first + 1);
      const std::string_view next = i + 1 < lines.size() ? lines[i + 1] : std::string_view();
      const int level = opens ? heading_level(lines[i]) : 0;
      write_line(lines[i], next.empty() || heads_text(lines[i], level, next) ? level : 0);
    }
    // A sentence may go on at the top of the next page; whether it does is seen there.
    between_pages_ = true;
  }

  // A heading right above its text, without a blank line between: "3.2 Title", short, over a full line.
  bool heads_text(std::string_view line, int level, std::string_view next) const {
    return level >= 2 && width(line) * 10 < page_width_ * 7 && width(next) * 10 >= page_width_ * 7 &&
           heading_level(next) == 0;
  }

  // `level`: of the heading that the line is, 0 for text.
  void write_line(std::string_view line, int level) {
    if (line.empty()) {
      if (!between_pages_) end_paragraph();
      return;
    }
    if (std::exchange(between_pages_, false) && !(runs_on(line) && !paragraph_.empty())) end_paragraph();
    if (page_pending_ > 0) begin_page(line);
    if (level > 0) {
      end_paragraph();
      out_.begin_heading(level);
      out_.text(line);
      out_.end_heading();
      return;
    }
    join(line);
    last_width_ = width(line);
  }

  bool runs_on(std::string_view line) const {
    const char32_t first = first_character(line);
    return !ends_sentence(paragraph_) && (is_lower(first) || is_cjk(first)) && !starts_item(line);
  }

  // What stands before a page's start is written before the page is.
  void begin_page(std::string_view line) {
    if (!paragraph_.empty()) {
      const bool hyphen = drop_hyphen(line);
      out_.text(paragraph_);
      if (!hyphen && !joins_without_space(line)) out_.text(" ");
      paragraph_.clear();
      last_width_ = 0;
    }
    out_.page(std::exchange(page_pending_, 0));
  }

  void join(std::string_view line) {
    if (!paragraph_.empty()) {
      // A line that ends well before the margin ends there on purpose.
      if (starts_item(line) || last_width_ * 10 < page_width_ * 6) {
        out_.text(paragraph_);
        out_.line_break();
        paragraph_.clear();
      } else if (!drop_hyphen(line) && !joins_without_space(line)) {
        paragraph_ += ' ';
      }
    }
    paragraph_ += line;
  }

  bool joins_without_space(std::string_view line) const {
    return is_cjk(last_character(paragraph_)) && is_cjk(first_character(line));
  }

  // "infor-" before "mation" loses its hyphen.
  bool drop_hyphen(std::string_view line) {
    size_t length = 0;
    if (paragraph_.ends_with('-')) length = 1;
    if (paragraph_.ends_with("\xC2\xAD")) length = 2;
    if (paragraph_.ends_with("\xE2\x80\x90")) length = 3;
    if (length == 0 || !is_lower(first_character(line))) return false;
    if (!is_letter(last_character(std::string_view(paragraph_).substr(0, paragraph_.size() - length))))
      return false;
    paragraph_.resize(paragraph_.size() - length);
    return true;
  }

  void end_paragraph() {
    out_.text(paragraph_);
    out_.block();
    paragraph_.clear();
    last_width_ = 0;
  }

  TextBuilder& out_;
  PdfPages& pages_;
  std::unordered_map<std::string, int> running_;  // how many pages begin or end with a line
  int n_with_text_ = 0;
  std::string paragraph_;  // the lines joined so far
  size_t page_width_ = 0, last_width_ = 0;
  int page_pending_ = 0;  // the page whose first text is still to come
  bool between_pages_ = false;
};

}  // namespace

PdfPages write_pdf_text(std::string_view text, TextBuilder& out) {
  PdfPages pages;
  Writer(out, pages).run(text);
  return pages;
}

}  // namespace lectern
