// Markdown by a line scanner: what retrieval needs of it is where headings, code fences and table rows stand,
// and what the note says of itself in its front matter. The text stays the file itself.
#include <algorithm>
#include <cctype>

#include "base/utf8.h"
#include "retrieval/extract_formats.h"
#include "retrieval/links.h"
#include "retrieval/text_builder.h"

namespace lectern {
namespace {

constexpr size_t kMaxHeadingBytes = 2048;

std::string_view trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

// The lines of a text, one after the other.
class Lines {
 public:
  explicit Lines(std::string_view text) : text_(text) {}
  bool next() {
    if (end_ >= text_.size()) return false;
    begin_ = end_;
    const size_t feed = text_.find('\n', begin_);
    end_ = feed == std::string_view::npos ? text_.size() : feed + 1;
    return true;
  }
  size_t begin() const { return begin_; }
  size_t end() const { return end_; }  // after the line feed
  std::string_view line() const {      // without its end
    std::string_view line = text_.substr(begin_, end_ - begin_);
    if (line.ends_with('\n')) line.remove_suffix(1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
  }

 private:
  std::string_view text_;
  size_t begin_ = 0, end_ = 0;
};

// ---- Front matter: the part of YAML that notes use, flat keys with scalars and lists.

std::string_view unquote(std::string_view value) {
  value = trim(value);
  if (value.size() >= 2 && (value.front() == '"' || value.front() == '\'') && value.back() == value.front())
    return value.substr(1, value.size() - 2);
  return value;
}

// A tag as written in front matter, with or without "#".
std::string_view plain_tag(std::string_view tag) {
  tag = unquote(tag);
  if (tag.starts_with('#')) tag.remove_prefix(1);
  return tag;
}

class FrontMatter {
 public:
  explicit FrontMatter(Document& document)
      : document_(document), aliases_(document.aliases), tags_(document.tags) {}

  void line(std::string_view line) {
    const std::string_view content = trim(line);
    if (content.empty() || content.starts_with('#')) return;
    if (content.starts_with("- ")) return item(content.substr(2));
    const size_t colon = content.find(':');
    if (colon == std::string_view::npos || line.front() == ' ' || line.front() == '\t') return;
    key_ = trim(content.substr(0, colon));
    const std::string_view value = trim(content.substr(colon + 1));
    if (value.starts_with('[') && value.ends_with(']') && value.size() >= 2)
      return items(value.substr(1, value.size() - 2));
    // "tags: a, b" is a list too; a title may well hold a comma.
    if (!value.empty()) is_list_key() ? items(value) : item(value);
  }

 private:
  bool is_list_key() const { return key_ == "tags" || key_ == "aliases" || key_ == "tag" || key_ == "alias"; }

  void items(std::string_view list) {
    while (!list.empty()) {
      const size_t comma = std::min(list.find(','), list.size());
      item(list.substr(0, comma));
      list.remove_prefix(std::min(comma + 1, list.size()));
    }
  }

  void item(std::string_view value) {
    value = unquote(value);
    if (key_ == "title") document_.title = std::string(value);
    if (key_ == "alias" || key_ == "aliases") aliases_.add(value);
    if (key_ == "tag" || key_ == "tags") tags_.add(plain_tag(value));
  }

  Document& document_;
  Listing aliases_, tags_;
  std::string key_;
};

// The offset after the front matter; 0 when there is none.
size_t read_front_matter(Document& document) {
  Lines lines(document.text);
  if (!lines.next() || trim(lines.line()) != "---" || lines.line().front() != '-') return 0;
  const size_t body = lines.end();
  size_t end = 0;
  while (end == 0 && lines.next())
    if (lines.line() == "---" || lines.line() == "...") end = lines.end();
  if (end == 0) return 0;  // a thematic break, not front matter
  FrontMatter front_matter(document);
  Lines inner(std::string_view(document.text).substr(0, end));
  while (inner.next())
    if (inner.begin() >= body && inner.end() < end) front_matter.line(inner.line());
  document.keep_whole.push_back({0, end});
  return end;
}

// ---- Inline text

// A heading without its markup: links by their text, wikilinks by their alias, no emphasis.
std::string plain_heading(std::string_view text) {
  text = utf8::prefix(text, kMaxHeadingBytes);
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '*' || c == '`') continue;
    if (c == '\\' && i + 1 < text.size() && std::ispunct(static_cast<unsigned char>(text[i + 1])) != 0) {
      out.push_back(text[++i]);
      continue;
    }
    if (c == ']' && i + 1 < text.size() && text[i + 1] == '(') {
      const size_t close = text.find(')', i);
      if (close != std::string_view::npos) i = close;
      continue;
    }
    if (c == '|' && out.rfind('\x01') != std::string::npos) {
      out.resize(out.rfind('\x01'));  // [[target|alias]]: the alias alone
      continue;
    }
    if (c == '[' || c == ']') {
      if (c == '[' && i + 1 < text.size() && text[i + 1] == '[') out.push_back('\x01'), ++i;
      continue;
    }
    out.push_back(c);
  }
  std::erase(out, '\x01');
  return heading_label(out);
}

// The file that a Markdown link's destination names, "" for other links.
std::string destination(std::string_view target) {
  target = trim(target);
  if (target.starts_with('<') && target.ends_with('>') && target.size() >= 2)
    return relative_target(target.substr(1, target.size() - 2));
  return relative_target(target.substr(0, target.find_first_of(" \t")));  // a title may follow
}

// Links and #tags of one line, in one pass.
class InlineScanner {
 public:
  explicit InlineScanner(Document& document) : links_(document.links), tags_(document.tags) {}

  void line(std::string_view line) {
    size_t wiki = 0, target = 0;  // where an open "[[" or "](" begins; 0: none
    bool in_code = false;
    for (size_t i = 0; i < line.size(); ++i) {
      if (line[i] == '`') in_code = !in_code;
      if (in_code) continue;
      if (line.substr(i, 2) == "[[") {
        wiki = i + 2;
      } else if (wiki > 0 && line.substr(i, 2) == "]]") {
        add_wikilink(line.substr(wiki, i - wiki));
        wiki = 0;
      } else if (line.substr(i, 2) == "](") {
        target = i + 2;
      } else if (target > 0 && line[i] == ')') {
        links_.add(destination(line.substr(target, i - target)));
        target = 0;
      } else if (line[i] == '#' && (i == 0 || line[i - 1] == ' ' || line[i - 1] == '\t')) {
        i = read_tag(line, i);
      }
    }
  }

 private:
  void add_wikilink(std::string_view link) {
    link = link.substr(0, link.find_first_of("|#^"));
    links_.add(trim(link));
  }

  // Returns the last byte it used.
  size_t read_tag(std::string_view line, size_t hash) {
    size_t end = hash + 1;
    bool digits_only = true;
    while (end < line.size()) {
      const auto c = static_cast<unsigned char>(line[end]);
      if (c < 0x80 && std::isalnum(c) == 0 && c != '_' && c != '-' && c != '/') break;
      digits_only = digits_only && std::isdigit(c) != 0;
      ++end;
    }
    if (end > hash + 1 && !digits_only) tags_.add(line.substr(hash + 1, end - hash - 1));
    return end > hash + 1 ? end - 1 : hash;
  }

  Listing links_, tags_;
};

// ---- Blocks

size_t indent_of(std::string_view line) {
  return std::min(line.find_first_not_of(" \t"), line.size());
}

// The level of an ATX heading, 0 for any other line.
int atx_level(std::string_view line) {
  const size_t indent = indent_of(line);
  if (indent > 3 || indent == line.size() || line[indent] != '#') return 0;
  const size_t end = std::min(line.find_first_not_of('#', indent), line.size());
  const size_t level = end - indent;
  if (level > 6 || (end < line.size() && line[end] != ' ' && line[end] != '\t')) return 0;
  return static_cast<int>(level);
}

std::string atx_text(std::string_view line) {
  std::string_view text = trim(line);
  text.remove_prefix(std::min(text.find_first_not_of('#'), text.size()));
  text = trim(text);
  const size_t last = text.find_last_not_of('#');  // a closing run of #, when a space stands before it
  if (last == std::string_view::npos) return "";
  if (last + 1 < text.size() && (text[last] == ' ' || text[last] == '\t')) text = trim(text.substr(0, last));
  return plain_heading(text);
}

// 1 for "===", 2 for "---", 0 for any other line.
int setext_level(std::string_view line) {
  if (indent_of(line) > 3) return 0;
  const std::string_view text = trim(line);
  if (text.empty() || (text.front() != '=' && text.front() != '-')) return 0;
  if (text.find_first_not_of(text.front()) != std::string_view::npos) return 0;
  return text.front() == '=' ? 1 : 2;
}

// A fence's length, 0 when the line is none. Fences may stand deep inside lists.
size_t fence_length(std::string_view line, char& mark) {
  const size_t indent = indent_of(line);
  if (indent == line.size() || (line[indent] != '`' && line[indent] != '~')) return 0;
  mark = line[indent];
  const size_t end = std::min(line.find_first_not_of(mark, indent), line.size());
  if (mark == '`' && line.find('`', end) != std::string_view::npos) return 0;  // inline code
  return end - indent >= 3 ? end - indent : 0;
}

bool is_table_row(std::string_view line) {
  return trim(line).starts_with('|');
}

bool is_table_rule(std::string_view line) {
  return is_table_row(line) && trim(line).find_first_not_of("|-: \t") == std::string_view::npos &&
         line.find('-') != std::string_view::npos;
}

// What may be the text of a setext heading: a line of a paragraph, not of a list, quote or table.
bool is_paragraph_line(std::string_view line) {
  const std::string_view text = trim(line);
  return !text.empty() && indent_of(line) <= 3 && text.front() != '>' && text.front() != '|' &&
         !text.starts_with("- ") && !text.starts_with("* ") && !text.starts_with("+ ");
}

class BlockScanner {
 public:
  explicit BlockScanner(Document& document) : document_(document), inline_(document) {}

  void run(size_t from) {
    Lines lines(document_.text);
    while (lines.next())
      if (lines.begin() >= from) line(lines.begin(), lines.end(), lines.line());
    if (fence_ > 0) keep(fence_begin_, document_.text.size());
  }

 private:
  void line(size_t begin, size_t end, std::string_view text) {
    if (in_fence(begin, end, text)) return;
    inline_.line(text);
    const size_t indent = indent_of(text);
    if (const int level = atx_level(text)) {
      document_.headings.push_back({begin + indent, level, atx_text(text)});
      text = {};
    } else if (const int setext = setext_level(text); setext > 0 && paragraph_lines_ == 1) {
      document_.headings.push_back({previous_first_, setext, plain_heading(trim(previous_))});
      text = {};
    } else if (is_table_row(text)) {
      // A table's head, its rule and its first row stay together.
      keep(begin, end, is_table_rule(text) || was_rule_);
    }
    was_rule_ = is_table_rule(text);
    paragraph_lines_ = is_paragraph_line(text) ? paragraph_lines_ + 1 : 0;
    previous_ = text;
    previous_first_ = begin + indent;
  }

  bool in_fence(size_t begin, size_t end, std::string_view text) {
    char mark = 0;
    const size_t length = fence_length(text, mark);
    if (fence_ == 0) {
      if (length == 0) return false;
      fence_ = length, fence_mark_ = mark, fence_begin_ = begin;
      paragraph_lines_ = 0;
      was_rule_ = false;
    } else if (length >= fence_ && mark == fence_mark_ &&
               trim(text).find_first_not_of(mark) == std::string_view::npos) {
      keep(fence_begin_, end);
      fence_ = 0;
    }
    return true;
  }

  void keep(size_t begin, size_t end, bool join = false) {
    auto& ranges = document_.keep_whole;
    if (join && !ranges.empty() && ranges.back().end == begin) {
      ranges.back().end = end;
    } else {
      ranges.push_back({begin, end});
    }
  }

  Document& document_;
  InlineScanner inline_;
  std::string_view previous_;           // the last line
  size_t previous_first_ = 0;           // its first byte after the indentation
  size_t paragraph_lines_ = 0;          // of the paragraph that ends with the last line
  size_t fence_ = 0, fence_begin_ = 0;  // length of the open fence, 0: none
  char fence_mark_ = 0;
  bool was_rule_ = false;
};

}  // namespace

void extract_markdown(std::string bytes, const ExtractContext& context, Document& document) {
  set_text(std::move(bytes), context, document);
  const size_t body = read_front_matter(document);
  BlockScanner(document).run(body);
}

}  // namespace lectern
