// Source code: the text is the file; definitions at the left margin are its headings, found by their first
// words alone, so that a chunk can say which function or class it belongs to.
#include <algorithm>
#include <array>
#include <cctype>

#include "base/utf8.h"
#include "retrieval/extract_formats.h"
#include "retrieval/text_builder.h"

namespace lectern {
namespace {

constexpr size_t kMaxHeadingBytes = 512;

constexpr std::array<std::string_view, 20> kDefining{
    "class",  "struct", "enum",     "interface", "trait",   "impl",     "namespace",
    "module", "def",    "func",     "fn",        "fun",     "function", "type",
    "record", "object", "protocol", "extension", "package", "defmodule"};
constexpr std::array<std::string_view, 15> kModifiers{
    "export", "default", "public", "private", "protected", "static",   "async",   "abstract",
    "final",  "pub",     "sealed", "open",    "data",      "template", "internal"};
constexpr std::array<std::string_view, 9> kStatements{"if",     "for",  "while", "switch", "else",
                                                      "return", "case", "do",    "catch"};

bool is_word(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x80 || std::isalnum(byte) != 0 || c == '_';
}

std::string_view first_word(std::string_view text) {
  size_t end = 0;
  while (end < text.size() && is_word(text[end])) ++end;
  return text.substr(0, end);
}

template <size_t N>
bool holds(const std::array<std::string_view, N>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

bool is_comment(std::string_view line) {
  line = trimmed(line);
  for (const std::string_view mark :
       {"//", "/*", "*", "#", "--", "@", ";;", "\"\"\"", "template <", "template<", "[["})
    if (line.starts_with(mark)) return true;
  return false;
}

// Whether a line at the margin defines something with a name: by its keyword, or as "type name(args) {".
bool defines(std::string_view line) {
  std::string_view rest = trimmed(line);
  while (true) {
    const std::string_view word = first_word(rest);
    if (!holds(kModifiers, word)) break;
    rest = trimmed(rest.substr(word.size()));
  }
  const std::string_view word = first_word(rest);
  if (word.empty() || holds(kStatements, word)) return false;
  // A declaration that ends in ";" stands for a definition elsewhere.
  if (trimmed(line).ends_with(';')) return false;
  if (holds(kDefining, word)) return first_word(trimmed(rest.substr(word.size()))).size() > 0;
  const size_t parenthesis = rest.find('(');
  if (parenthesis == std::string_view::npos || rest.find('=') < parenthesis) return false;
  return trimmed(rest).ends_with('{') && parenthesis > 0 && is_word(rest[parenthesis - 1]) &&
         rest.substr(0, parenthesis).find(' ') != std::string_view::npos;
}

// "def water(bed):" and "int main() {" without what opens the body.
std::string label(std::string_view line) {
  line = trimmed(line);
  while (!line.empty() && (line.back() == '{' || line.back() == ':' || line.back() == ' '))
    line.remove_suffix(1);
  return heading_label(line);
}

}  // namespace

void extract_code(std::string bytes, const ExtractContext& context, Document& document) {
  set_text(std::move(bytes), context, document);
  const std::string_view text = document.text;
  size_t comment_begin = 0;  // where the comment lines just above began
  bool in_comment = false;
  for (size_t begin = 0; begin < text.size();) {
    const size_t feed = std::min(text.find('\n', begin), text.size());
    const std::string_view line = utf8::prefix(text.substr(begin, feed - begin), kMaxHeadingBytes);
    const std::string_view content = trimmed(line);
    const size_t indent = std::min(line.find_first_not_of(" \t"), line.size());
    if (!content.empty() && is_comment(line)) {
      if (!in_comment) comment_begin = begin + indent;
      in_comment = true;
    } else {
      // Members of a class, indented one step, are headings below it.
      const bool member = indent > 0 && indent <= 4 && !document.headings.empty();
      if (!content.empty() && (indent == 0 || member) && defines(line))
        document.headings.push_back(
            {in_comment ? comment_begin : begin + indent, indent == 0 ? 1 : 2, label(line)});
      in_comment = false;
    }
    begin = feed + 1;
  }
}

}  // namespace lectern
