#include "retrieval/archive.h"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "base/error.h"
#include "base/utf8.h"
#include "retrieval/links.h"

namespace lectern {
namespace {

constexpr size_t kMaxXmlDepth = 256;
constexpr size_t kMaxXmlTags = 8'000'000;     // a tree takes about 60 bytes each
constexpr uint64_t kFreeExpansion = 1 << 20;  // small files may well compress a thousandfold

struct ArchiveDeleter {
  void operator()(archive* a) const { archive_read_free(a); }
};
using ArchivePtr = std::unique_ptr<archive, ArchiveDeleter>;

[[noreturn]] void fail(ErrorCode code, const ExtractContext& context, const std::string& why) {
  throw Error(code, context.name + ": " + why);
}

ArchivePtr open_zip(std::string_view bytes, const ExtractContext& context) {
  // What people get when Word or Excel encrypts a file, and the formats from before 2007.
  if (bytes.starts_with("\xD0\xCF\x11\xE0"))
    fail(ErrorCode::kUnsupported, context,
         "is encrypted or in an Office format from before 2007; save it without a password in the current "
         "format");
  if (!bytes.starts_with("PK"))
    fail(ErrorCode::kCorrupt, context, "is no zip archive, which files of this kind are");
  ArchivePtr zip(archive_read_new());
  if (zip == nullptr) fail(ErrorCode::kResourceExhausted, context, "no memory to open it");
  archive_read_support_format_zip_seekable(zip.get());
  if (archive_read_open_memory(zip.get(), bytes.data(), bytes.size()) != ARCHIVE_OK)
    fail(ErrorCode::kCorrupt, context, "is a truncated or damaged zip archive");
  return zip;
}

// The data of the current entry, as long as the running total stays within the limit.
std::string read_entry(archive* zip, const std::string& part, uint64_t budget,
                       const ExtractContext& context) {
  std::string content;
  std::array<char, 1 << 16> buffer;
  while (true) {
    const la_ssize_t n = archive_read_data(zip, buffer.data(), buffer.size());
    if (n == 0) return content;
    if (n < 0) {
      const char* reason = archive_error_string(zip);
      fail(ErrorCode::kCorrupt, context,
           "is damaged: " + part + " cannot be unpacked" +
               (reason != nullptr ? std::string(" (") + reason + ")" : ""));
    }
    if (content.size() + static_cast<size_t>(n) > budget)
      fail(ErrorCode::kResourceExhausted, context,
           "unpacks to far more than its size, like a zip bomb; it was not read");
    content.append(buffer.data(), static_cast<size_t>(n));
  }
}

// The offset after the tag at `i`; attribute values may hold ">".
size_t tag_end(std::string_view xml, size_t i) {
  for (i = xml.find_first_of("\"'>", i); i < xml.size() && xml[i] != '>';
       i = xml.find_first_of("\"'>", i + 1)) {
    i = xml.find(xml[i], i + 1);
    if (i == std::string_view::npos) return xml.size();
  }
  return std::min(i, xml.size() - 1) + 1;
}

// Refuses XML whose tree would be too deep or too large, before the tree is built.
void check_xml(std::string_view xml, const std::string& part, const ExtractContext& context) {
  size_t depth = 0, tags = 0;
  const auto skip_to = [&](std::string_view mark, size_t from) {
    const size_t found = xml.find(mark, from);
    return found == std::string_view::npos ? xml.size() : found + mark.size();
  };
  for (size_t i = xml.find('<'); i < xml.size(); i = xml.find('<', i)) {
    const std::string_view rest = xml.substr(i);
    if (rest.starts_with("<!--")) {
      i = skip_to("-->", i + 4);
    } else if (rest.starts_with("<![CDATA[")) {
      i = skip_to("]]>", i + 9);
    } else if (rest.starts_with("<?")) {
      i = skip_to("?>", i + 2);
    } else {
      const size_t end = tag_end(xml, i);
      if (rest.starts_with("</")) {
        if (depth > 0) --depth;
      } else if (xml[std::max(end, size_t{2}) - 2] != '/') {
        ++depth;
      }
      ++tags;
      i = end;
    }
    if (depth > kMaxXmlDepth)
      fail(ErrorCode::kResourceExhausted, context,
           part + " is nested deeper than " + std::to_string(kMaxXmlDepth) + " elements");
    if (tags > kMaxXmlTags)
      fail(ErrorCode::kResourceExhausted, context,
           part + " holds more than " + std::to_string(kMaxXmlTags) + " tags");
  }
}

}  // namespace

ZipParts read_zip(std::string_view bytes, const ExtractContext& context,
                  const std::function<bool(const std::string&)>& wanted) {
  const ArchivePtr zip = open_zip(bytes, context);
  const uint64_t ratio = static_cast<uint64_t>(context.limits.max_expansion_ratio);
  uint64_t budget = std::min(context.limits.max_text_bytes, std::max(kFreeExpansion, bytes.size() * ratio));
  ZipParts parts;
  archive_entry* entry = nullptr;
  int status = ARCHIVE_OK;
  for (int n = 0; (status = archive_read_next_header(zip.get(), &entry)) != ARCHIVE_EOF; ++n) {
    if (status != ARCHIVE_OK && status != ARCHIVE_WARN)
      fail(ErrorCode::kCorrupt, context, "is a truncated or damaged zip archive");
    if (n >= context.limits.max_archive_entries)
      fail(ErrorCode::kResourceExhausted, context,
           "holds more than " + std::to_string(context.limits.max_archive_entries) + " entries");
    const char* name = archive_entry_pathname_utf8(entry);
    if (name == nullptr) name = archive_entry_pathname(entry);
    if (name == nullptr || !wanted(name) || parts.count(name) > 0) continue;
    if (archive_entry_is_encrypted(entry) != 0)
      fail(ErrorCode::kUnsupported, context, "is encrypted with a password");
    std::string content = read_entry(zip.get(), utf8::repair(name), budget, context);
    budget -= content.size();
    parts.emplace(name, std::move(content));
  }
  return parts;
}

pugi::xml_document parse_part(const ZipParts& parts, const std::string& part, const ExtractContext& context) {
  const auto found = parts.find(part);
  if (found == parts.end()) fail(ErrorCode::kCorrupt, context, "has no part " + utf8::repair(part));
  check_xml(found->second, utf8::repair(part), context);
  pugi::xml_document tree;
  // A text of blanks alone may be the space between two words.
  const auto result = tree.load_buffer(found->second.data(), found->second.size(),
                                       pugi::parse_default | pugi::parse_ws_pcdata_single);
  if (!result)
    fail(ErrorCode::kCorrupt, context,
         utf8::repair(part) + " is not well-formed at byte " + std::to_string(result.offset) + ": " +
             result.description());
  return tree;
}

void walk_xml(const pugi::xml_node& root, const std::function<bool(const pugi::xml_node&)>& enter,
              const std::function<void(const pugi::xml_node&)>& leave) {
  pugi::xml_node node = root;
  while (true) {
    if (enter(node) && node.first_child()) {
      node = node.first_child();
      continue;
    }
    leave(node);
    while (node != root && !node.next_sibling()) {
      node = node.parent();
      leave(node);
    }
    if (node == root) return;
    node = node.next_sibling();
  }
}

std::string_view local_name(const pugi::xml_node& node) {
  const std::string_view name = node.name();
  return name.substr(name.find(':') + 1);
}

std::string_view attribute(const pugi::xml_node& node, std::string_view local) {
  for (const pugi::xml_attribute& candidate : node.attributes()) {
    const std::string_view name = candidate.name();
    if (name.substr(name.find(':') + 1) == local) return candidate.value();
  }
  return "";
}

pugi::xml_node child(const pugi::xml_node& node, std::string_view local) {
  for (const pugi::xml_node& candidate : node.children())
    if (local_name(candidate) == local) return candidate;
  return {};
}

std::string all_text(const pugi::xml_node& node) {
  std::string text;
  if (!node) return text;
  walk_xml(
      node,
      [&](const pugi::xml_node& inner) {
        text += inner.value();
        return true;
      },
      [](const pugi::xml_node&) {});
  return utf8::repair(text);
}

void write_text(TextBuilder& out, std::string_view text) {
  utf8::is_valid(text) ? out.text(text) : out.text(utf8::repair(text));
}

std::string resolve_part(const std::string& base, std::string_view href) {
  const std::string target = percent_decoded(href.substr(0, href.find('#')));
  const std::string folder = base.substr(0, base.rfind('/') + 1);  // npos + 1 is 0
  const std::string path = target.starts_with('/') ? target : folder + target;
  std::vector<std::string_view> names;
  for (std::string_view rest = path; !rest.empty();) {
    const size_t end = std::min(rest.find('/'), rest.size());
    const std::string_view name = rest.substr(0, end);
    if (name == "..") {
      if (!names.empty()) names.pop_back();
    } else if (!name.empty() && name != ".") {
      names.push_back(name);
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  std::string resolved;
  for (const std::string_view name : names) {
    if (!resolved.empty()) resolved += '/';
    resolved += name;
  }
  return resolved;
}

}  // namespace lectern
