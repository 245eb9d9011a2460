#include "retrieval/extract_html.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "base/ascii.h"
#include "base/utf8.h"
#include "retrieval/charset.h"
#include "retrieval/extract_formats.h"
#include "retrieval/html_entities.h"
#include "retrieval/links.h"

namespace lectern {
namespace {

constexpr size_t kMaxNameBytes = 32;

// What an element means for the text.
enum class Kind {
  kInline,
  kBlock,  // a paragraph of its own
  kBreak,  // a new line
  kItem,   // of a list
  kHeading,
  kPre,
  kRow,  // of a table
  kCell,
  kTitle,
  kRaw,      // its content is no markup, and no text for readers: up to the end tag or the end
  kDropped,  // markup, but no text of the document: up to the end tag, when there is one
  kLink,
};

const std::unordered_map<std::string_view, Kind>& kinds() {
  static const std::unordered_map<std::string_view, Kind> all = [] {
    std::unordered_map<std::string_view, Kind> map;
    for (const std::string_view name :
         {"address", "article", "aside",  "blockquote", "body",    "caption",  "center",     "dd",
          "details", "dialog",  "div",    "dl",         "dt",      "fieldset", "figcaption", "figure",
          "footer",  "form",    "header", "hgroup",     "hr",      "html",     "legend",     "main",
          "menu",    "ol",      "p",      "section",    "summary", "table",    "ul"})
      map.emplace(name, Kind::kBlock);
    for (const std::string_view name : {"h1", "h2", "h3", "h4", "h5", "h6"})
      map.emplace(name, Kind::kHeading);
    for (const std::string_view name : {"script", "style", "textarea", "iframe", "noembed", "noframes"})
      map.emplace(name, Kind::kRaw);
    for (const std::string_view name : {"nav", "noscript", "template", "svg", "button", "select", "object",
                                        "audio", "video", "canvas", "rt", "rp"})
      map.emplace(name, Kind::kDropped);
    for (const std::string_view name : {"pre", "listing", "xmp"}) map.emplace(name, Kind::kPre);
    for (const std::string_view name : {"td", "th"}) map.emplace(name, Kind::kCell);
    for (const std::string_view name : {"br", "thead", "tbody", "tfoot"}) map.emplace(name, Kind::kBreak);
    map.emplace("li", Kind::kItem);
    map.emplace("tr", Kind::kRow);
    map.emplace("title", Kind::kTitle);
    map.emplace("a", Kind::kLink);
    return map;
  }();
  return all;
}

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

std::string lowered(std::string_view text) {
  return ascii_lower(std::string(text));
}

// A tag between "<" and ">".
struct Tag {
  std::string name;  // in lower case, without a namespace prefix
  bool closes = false;
  bool empty = false;  // "<br/>"
  std::string_view href;
  size_t end = 0;  // after the ">"
};

// Reads the tag whose name begins at `offset`. Attribute values may hold ">".
Tag read_tag(std::string_view html, size_t offset) {
  Tag tag;
  size_t i = offset;
  while (i < html.size() && !is_space(html[i]) && html[i] != '>' && html[i] != '/') ++i;
  tag.name = lowered(html.substr(offset, std::min(i - offset, kMaxNameBytes)));
  if (const size_t colon = tag.name.rfind(':'); colon != std::string::npos) tag.name.erase(0, colon + 1);
  while (i < html.size() && html[i] != '>') {
    if (is_space(html[i]) || html[i] == '/') {
      tag.empty = html[i] == '/';
      ++i;
      continue;
    }
    tag.empty = false;
    const size_t name_begin = i;
    while (i < html.size() && !is_space(html[i]) && html[i] != '>' && html[i] != '/' && html[i] != '=') ++i;
    const std::string_view name = html.substr(name_begin, i - name_begin);
    while (i < html.size() && is_space(html[i])) ++i;
    if (i == html.size() || html[i] != '=') {
      if (i == name_begin) ++i;
      continue;
    }
    ++i;
    while (i < html.size() && is_space(html[i])) ++i;
    if (i == html.size()) break;
    const char quote = html[i] == '"' || html[i] == '\'' ? html[i] : '\0';
    const size_t begin = quote != '\0' ? ++i : i;
    while (i < html.size() && (quote != '\0' ? html[i] != quote : !is_space(html[i]) && html[i] != '>')) ++i;
    if (name.size() == 4 && lowered(name) == "href") tag.href = html.substr(begin, i - begin);
    if (quote != '\0' && i < html.size()) ++i;
  }
  tag.end = std::min(i + 1, html.size());
  return tag;
}

// Where "</name" begins at or after `from`, npos when nowhere.
size_t find_end_tag(std::string_view html, size_t from, std::string_view name) {
  for (size_t i = html.find("</", from); i != std::string_view::npos; i = html.find("</", i + 2)) {
    const size_t end = i + 2 + name.size();
    if (end > html.size()) return std::string_view::npos;
    if (lowered(html.substr(i + 2, name.size())) != name) continue;
    if (end == html.size() || is_space(html[end]) || html[end] == '>' || html[end] == '/') return i;
  }
  return std::string_view::npos;
}

std::string decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const size_t length = text[i] == '&' ? decode_entity(text, i, out) : 0;
    if (length == 0) out.push_back(text[i]);
    i += std::max<size_t>(length, 1);
  }
  return out;
}

class Writer {
 public:
  Writer(std::string_view html, bool is_xml, TextBuilder& out, HtmlFacts& facts)
      : html_(html), is_xml_(is_xml), out_(out), facts_(facts), links_(facts.links) {}

  void run() {
    size_t i = 0;
    while (i < html_.size()) {
      const size_t less = std::min(html_.find('<', i), html_.size());
      if (less > i) text(html_.substr(i, less - i));
      if (less == html_.size()) break;
      i = markup(less);
    }
    end_row();
  }

 private:
  // Handles what begins with "<" at `i` and returns the offset after it.
  size_t markup(size_t i) {
    const std::string_view rest = html_.substr(i);
    if (rest.starts_with("<!--")) return after("-->", i + 2);  // "<!-->" is a whole comment
    if (rest.starts_with("<![CDATA[")) {
      const size_t end = std::min(html_.find("]]>", i), html_.size());
      write(html_.substr(i + 9, end - std::min(end, i + 9)));
      return std::min(end + 3, html_.size());
    }
    if (rest.starts_with("<!") || rest.starts_with("<?")) return after(">", i);
    const bool closes = rest.starts_with("</");
    const size_t name = i + (closes ? 2 : 1);
    if (name >= html_.size() || !is_ascii_letter(html_[name])) {
      if (closes) return after(">", i);
      text("<");
      return i + 1;
    }
    Tag tag = read_tag(html_, name);
    tag.closes = closes;
    return element(tag);
  }

  size_t after(std::string_view mark, size_t from) const {
    const size_t found = html_.find(mark, from);
    return found == std::string_view::npos ? html_.size() : found + mark.size();
  }

  size_t element(const Tag& tag) {
    const auto known = kinds().find(tag.name);
    switch (known == kinds().end() ? Kind::kInline : known->second) {
      case Kind::kInline:
        break;
      case Kind::kLink:
        if (!tag.closes) links_.add(relative_target(decoded(tag.href.substr(0, kMaxHrefBytes))));
        break;
      case Kind::kBreak:
        out_.line_break();
        break;
      case Kind::kBlock:
        if (tag.name == "table") end_row();
        block(tag.name == "p" || tag.name == "ul" || tag.name == "ol" || tag.name == "table");
        break;
      case Kind::kItem:
        in_row_ ? out_.line_break() : item_break();
        item_open_ = !tag.closes;
        break;
      case Kind::kHeading:
        tag.closes ? out_.end_heading() : begin_heading(tag.name[1] - '0');
        break;
      case Kind::kPre:
        block(true);
        pre_ = !tag.closes && !tag.empty;
        pre_ ? out_.begin_keep() : out_.end_keep();
        break;
      case Kind::kRow:
        end_row();
        if (!tag.closes) begin_row();
        break;
      case Kind::kCell:
        if (!tag.closes) begin_cell();
        break;
      case Kind::kTitle:
      case Kind::kRaw:
      case Kind::kDropped:
        if (!tag.closes && !(tag.empty && is_xml_)) return skip(tag, known->second);
        break;
    }
    return tag.end;
  }

  // Skips the content of an element that is no text.
  size_t skip(const Tag& tag, Kind kind) {
    size_t& next = next_end_[tag.name];  // where the next end tag of this name is, as far as looked for
    if (next < tag.end) next = std::min(find_end_tag(html_, tag.end, tag.name), html_.size());
    if (next == html_.size() && kind == Kind::kDropped) return tag.end;  // never closed: do not lose the rest
    if (kind == Kind::kTitle && facts_.title.empty())
      facts_.title = heading_label(decoded(html_.substr(tag.end, std::min(next - tag.end, kMaxTitleBytes))));
    return next;
  }

  void block(bool ends_heading) {
    if (ends_heading) out_.end_heading();
    if (in_row_) {
      cell_break_ = cell_has_text_;
    } else {
      out_.block();
    }
  }

  void item_break() {
    out_.end_heading();
    out_.line_break();
  }

  void begin_heading(int level) {
    end_row();
    item_open_ = false;
    out_.begin_heading(level);
  }

  void begin_row() {
    out_.end_heading();
    out_.line_break();
    out_.begin_keep();
    in_row_ = true;
    row_has_cell_ = cell_has_text_ = cell_break_ = false;
  }

  void end_row() {
    if (!in_row_) return;
    in_row_ = false;
    out_.end_keep();
    out_.line_break();
  }

  void begin_cell() {
    if (!in_row_) return out_.line_break();
    if (row_has_cell_) out_.text(" | ");
    row_has_cell_ = true;
    cell_has_text_ = cell_break_ = false;
  }

  void text(std::string_view raw) {
    if (raw.find('&') == std::string_view::npos) return write(raw);
    write(decoded(raw));
  }

  void write(std::string_view text) {
    if (pre_) return out_.preformatted(text);
    if (item_open_ || cell_break_ || !cell_has_text_) {
      if (std::all_of(text.begin(), text.end(), is_space)) return out_.text(text);
      if (cell_break_) out_.line_break();
      if (item_open_) out_.text("- ");
      cell_has_text_ = true;
      item_open_ = cell_break_ = false;
    }
    out_.text(text);
  }

  static constexpr size_t kMaxTitleBytes = 4096, kMaxHrefBytes = 4096;

  const std::string_view html_;
  const bool is_xml_;
  TextBuilder& out_;
  HtmlFacts& facts_;
  Listing links_;
  std::unordered_map<std::string, size_t> next_end_;
  bool pre_ = false;
  bool item_open_ = false;  // the next text begins a list item
  bool in_row_ = false, row_has_cell_ = false, cell_has_text_ = false;
  bool cell_break_ = false;  // a paragraph of the cell ended: the next text of the same cell starts a line
};

}  // namespace

void write_html(std::string_view html, bool is_xml, TextBuilder& out, HtmlFacts& facts) {
  Writer(html, is_xml, out, facts).run();
}

std::string declared_charset(std::string_view bytes) {
  constexpr size_t kHeadBytes = 4096;
  const std::string head = lowered(bytes.substr(0, kHeadBytes));
  // <meta charset="x">, <meta content="text/html; charset=x"> and <?xml encoding="x"?> alike.
  for (const std::string_view key : {"charset", "encoding"}) {
    for (size_t i = head.find(key); i != std::string::npos; i = head.find(key, i + 1)) {
      const size_t tag = head.rfind('<', i);
      if (tag == std::string::npos ||
          (head.compare(tag, 5, "<meta") != 0 && head.compare(tag, 5, "<?xml") != 0))
        continue;
      size_t begin = i + key.size();
      while (begin < head.size() &&
             (is_space(head[begin]) || head[begin] == '=' || head[begin] == '"' || head[begin] == '\''))
        ++begin;
      const size_t end = std::min(head.find_first_of(" \t\r\n\"';>/?", begin), head.size());
      if (end > begin) return head.substr(begin, end - begin);
    }
  }
  return "";
}

void extract_html(std::string bytes, const ExtractContext& context, Document& document) {
  const std::string charset = declared_charset(bytes);
  const DecodedText decoded_text = decode_text(std::move(bytes), context.name, charset);
  if (decoded_text.n_replaced > 0)
    document.warnings.push_back(std::to_string(decoded_text.n_replaced) + " places are not valid " +
                                decoded_text.charset + " and were replaced by U+FFFD");
  TextBuilder out(document, context.name, context.limits.max_text_bytes);
  HtmlFacts facts;
  write_html(decoded_text.text, decoded_text.text.starts_with("<?xml"), out, facts);
  out.finish();
  document.title = facts.title;
  document.links = std::move(facts.links);
}

}  // namespace lectern
