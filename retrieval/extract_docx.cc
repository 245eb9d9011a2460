// Word documents: paragraphs, headings by style, lists, tables where they stand, footnotes after the
// paragraph that refers to them. Deleted text, comments, page headers and field codes are left out.
#include <cstdlib>
#include <set>
#include <unordered_map>

#include "base/ascii.h"
#include "base/error.h"
#include "retrieval/archive.h"
#include "retrieval/extract_formats.h"

namespace lectern {
namespace {

constexpr int kNoLevel = 0;
constexpr int kTitleLevel = -1;

// The part that a relationship of this type leads to, "" without one.
std::string related_part(const ZipParts& parts, const std::string& base, std::string_view type,
                         const ExtractContext& context) {
  const size_t slash = base.rfind('/') + 1;  // npos + 1 is 0
  const std::string relations = base.substr(0, slash) + "_rels/" + base.substr(slash) + ".rels";
  if (parts.count(relations) == 0) return "";
  const pugi::xml_document tree = parse_part(parts, relations, context);
  for (const pugi::xml_node& relation : tree.document_element().children())
    if (attribute(relation, "Type").ends_with(type)) return resolve_part(base, attribute(relation, "Target"));
  return "";
}

// Styles by id: the outline level of their paragraphs, kTitleLevel for the document's title.
class Styles {
 public:
  void read(const pugi::xml_node& root) {
    for (const pugi::xml_node& style : root.children()) {
      if (local_name(style) != "style") continue;
      const std::string id(attribute(style, "styleId"));
      bases_[id] = attribute(child(style, "basedOn"), "val");
      if (const int level = own_level(style); level != kNoLevel) levels_[id] = level;
    }
  }

  int level(std::string id) const {
    for (int steps = 0; steps < 16; ++steps) {  // styles may be based on each other in a circle
      if (const auto found = levels_.find(id); found != levels_.end()) return found->second;
      const auto base = bases_.find(id);
      if (base == bases_.end()) break;
      id = base->second;
    }
    return kNoLevel;
  }

 private:
  static int own_level(const pugi::xml_node& style) {
    const std::string name = ascii_lower(std::string(attribute(child(style, "name"), "val")));
    if (name == "title") return kTitleLevel;
    if (name.starts_with("heading ") && name.size() == 9 && name[8] >= '1' && name[8] <= '9')
      return name[8] - '0';
    return outline_level(child(style, "pPr"));
  }

 public:
  // <w:outlineLvl w:val="0"/> is level 1; 9 is body text.
  static int outline_level(const pugi::xml_node& properties) {
    const std::string_view value = attribute(child(properties, "outlineLvl"), "val");
    return value.size() == 1 && value[0] >= '0' && value[0] <= '8' ? value[0] - '0' + 1 : kNoLevel;
  }

 private:
  std::unordered_map<std::string, std::string> bases_;
  std::unordered_map<std::string, int> levels_;
};

using Notes = std::unordered_map<std::string, std::string>;  // text by id

// What runs of text say, without what was deleted.
std::string run_text(const pugi::xml_node& root) {
  std::string text;
  walk_xml(
      root,
      [&](const pugi::xml_node& node) {
        const std::string_view name = local_name(node);
        if (name == "t") text += node.child_value();
        if (name == "tab" || name == "br" || name == "p") text += ' ';
        return name != "del" && name != "moveFrom";
      },
      [](const pugi::xml_node&) {});
  return text;
}

Notes read_notes(const pugi::xml_node& root) {
  Notes notes;
  for (const pugi::xml_node& note : root.children())
    if (attribute(note, "type").empty()) notes.emplace(attribute(note, "id"), run_text(note));
  return notes;
}

class BodyWriter {
 public:
  BodyWriter(const Styles& styles, const Notes& footnotes, const Notes& endnotes, TextBuilder& out)
      : styles_(styles), footnotes_(footnotes), endnotes_(endnotes), out_(out) {}

  void run(const pugi::xml_node& body) {
    walk_xml(
        body, [&](const pugi::xml_node& node) { return enter(node); },
        [&](const pugi::xml_node& node) { leave(node); });
    write_notes();
  }

  // The first paragraph in the style "Title".
  const std::string& title() const { return title_; }

 private:
  bool enter(const pugi::xml_node& node) {
    const std::string_view name = local_name(node);
    if (name == "p") {
      begin_paragraph(node);
    } else if (name == "t") {
      write_text(out_, node.child_value());
      return false;
    } else if (name == "tab" || name == "ptab") {
      out_.text(" ");
    } else if (name == "noBreakHyphen") {
      out_.text("-");
    } else if (name == "br" || name == "cr") {
      out_.line_break();
    } else if (name == "footnoteReference") {
      refer_to(footnotes_, attribute(node, "id"));
    } else if (name == "endnoteReference") {
      refer_to(endnotes_, attribute(node, "id"));
    } else if (name == "tbl") {
      if (table_depth_++ == 0) out_.block();
    } else if (name == "tr") {
      begin_row();
    } else if (name == "tc") {
      begin_cell();
    } else if (name == "del" || name == "moveFrom" || name == "instrText" || name == "pPr" || name == "rPr" ||
               name == "tblPr" || name == "sectPr" || name == "Fallback" || name == "sdtPr") {
      return false;  // deleted, field codes, properties, and what newer readers see in another form
    }
    return true;
  }

  void leave(const pugi::xml_node& node) {
    const std::string_view name = local_name(node);
    if (name == "p") {
      end_paragraph(node);
    } else if (name == "tr" && table_depth_ == 1) {
      out_.end_keep();
      out_.line_break();
    } else if (name == "tbl" && --table_depth_ == 0) {
      out_.block();
      write_notes();
    }
  }

  void begin_paragraph(const pugi::xml_node& paragraph) {
    const pugi::xml_node properties = child(paragraph, "pPr");
    int level = Styles::outline_level(properties);
    if (level == kNoLevel) level = styles_.level(std::string(attribute(child(properties, "pStyle"), "val")));
    if (table_depth_ > 0) {
      if (cell_has_paragraph_) out_.line_break();
      cell_has_paragraph_ = true;
      return;
    }
    const bool is_item = !child(properties, "numPr").empty();
    if (level > 0) {
      out_.begin_heading(level);
    } else if (is_item && after_item_) {
      out_.line_break();
    } else {
      out_.block();
    }
    if (is_item && level == kNoLevel) out_.text("- ");
    after_item_ = is_item;
    if (level == kTitleLevel && title_.empty()) title_ = run_text(paragraph);
  }

  void end_paragraph(const pugi::xml_node& paragraph) {
    out_.end_heading();
    // Paragraphs of a text box stand inside another paragraph.
    if (table_depth_ == 0 && !in_text_box(paragraph)) {
      if (!after_item_) out_.block();
      write_notes();
    }
  }

  static bool in_text_box(const pugi::xml_node& paragraph) {
    return local_name(paragraph.parent()) == "txbxContent";
  }

  void begin_row() {
    out_.line_break();
    if (table_depth_ == 1) out_.begin_keep();
    row_has_cell_ = false;
  }

  void begin_cell() {
    if (row_has_cell_) out_.text(" | ");
    row_has_cell_ = true;
    cell_has_paragraph_ = false;
  }

  void refer_to(const Notes& notes, std::string_view id) {
    const auto found = notes.find(std::string(id));
    // A hostile file may refer to one long note a million times.
    if (found == notes.end() || !written_.insert(&found->second).second) return;
    pending_.push_back(&found->second);
    out_.text("[^" + std::to_string(++n_notes_) + "]");
  }

  void write_notes() {
    int number = n_notes_ - static_cast<int>(pending_.size());
    for (const std::string* note : pending_) {
      out_.block();
      out_.text("[^" + std::to_string(++number) + "]: ");
      write_text(out_, *note);
      out_.block();
    }
    pending_.clear();
  }

  const Styles& styles_;
  const Notes& footnotes_;
  const Notes& endnotes_;
  TextBuilder& out_;
  std::string title_;
  int table_depth_ = 0;
  bool row_has_cell_ = false, cell_has_paragraph_ = false;
  bool after_item_ = false;
  int n_notes_ = 0;
  std::vector<const std::string*> pending_;
  std::set<const std::string*> written_;
};

Notes notes_of(const ZipParts& parts, const std::string& main, std::string_view type,
               const ExtractContext& context) {
  const std::string part = related_part(parts, main, type, context);
  if (part.empty() || parts.count(part) == 0) return {};
  return read_notes(parse_part(parts, part, context).document_element());
}

}  // namespace

void extract_docx(std::string bytes, const ExtractContext& context, Document& document) {
  const ZipParts parts = read_zip(bytes, context, [](const std::string& part) {
    return part.ends_with(".xml") || part.ends_with(".rels");
  });
  std::string main = related_part(parts, "", "/officeDocument", context);
  if (main.empty()) main = "word/document.xml";
  const pugi::xml_document tree = parse_part(parts, main, context);
  const pugi::xml_node body = child(tree.document_element(), "body");
  if (!body)
    throw Error(ErrorCode::kCorrupt, context.name + ": is no Word document: " + main + " has no body");

  Styles styles;
  const std::string style_part = related_part(parts, main, "/styles", context);
  if (parts.count(style_part) > 0) styles.read(parse_part(parts, style_part, context).document_element());
  const Notes footnotes = notes_of(parts, main, "/footnotes", context);
  const Notes endnotes = notes_of(parts, main, "/endnotes", context);

  TextBuilder out(document, context.name, context.limits.max_text_bytes);
  BodyWriter writer(styles, footnotes, endnotes, out);
  writer.run(body);
  out.finish();
  if (parts.count("docProps/core.xml") > 0)
    document.title =
        all_text(child(parse_part(parts, "docProps/core.xml", context).document_element(), "title"));
  if (heading_label(document.title).empty()) document.title = writer.title();
}

}  // namespace lectern
