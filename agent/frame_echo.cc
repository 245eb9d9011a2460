#include "agent/frame_echo.h"

#include <algorithm>
#include <array>

#include "agent/text_terms.h"
#include "base/ascii.h"
#include "base/utf8.h"

namespace lectern {
namespace {

constexpr std::string_view kJoint = " > ";
constexpr size_t kMinCrumbBytes = 3;  // "a > b" is a comparison
constexpr size_t kMaxPointerBytes = 160;

constexpr std::array<std::string_view, 10> kOpenings = {
    "This information", "The information", "That information", "This answer", "The answer",
    "此信息",           "该信息",          "这一信息",         "以上信息",    "答案"};
// All that a sentence may speak of that only points.
constexpr std::string_view kFrameWords =
    "information answer question found stated mentioned provided given located contained passage passages "
    "document documents text source sources supported according number 1 2 3 4 5 6 7 8 9";
constexpr std::array<std::string_view, 3> kFrameNames = {"passage", "段落", "document"};
constexpr std::array<std::string_view, 6> kDenials = {" not ", "n't", " no ", "没", "未", "无"};
constexpr std::u32string_view kFrameCharacters =
    U"此该这一以上信息答案在是见于可以中里找到提及述来源自段落文档编号第的0123456789[]，, ";

constexpr std::array<std::string_view, 11> kAsides = {
    "as stated in", "as mentioned in", "as described in", "as noted in", "as indicated in", "as shown in",
    "as given in",  "as provided in",  "as found in",     "as per",      "according to"};
constexpr std::array<std::string_view, 9> kPlaces = {
    "",          " passage",      " passages",  " the passage",  " the passages",
    " document", " the document", " documents", " the documents"};

bool only_of(std::string_view text, std::u32string_view characters) {
  for (size_t i = 0; i < text.size(); i += utf8::decode(text, i).length)
    if (characters.find(utf8::decode(text, i).code_point) == std::u32string_view::npos) return false;
  return true;
}

bool only_points(std::string_view sentence) {
  if (!holds_any(sentence, kFrameNames) || holds_any(sentence, kDenials)) return false;
  if (static_cast<unsigned char>(sentence.front()) >= 0x80) return only_of(sentence, kFrameCharacters);
  static const std::vector<SupportTerm> kKnown = support_terms(kFrameWords);
  const std::vector<SupportTerm> terms = support_terms(sentence);
  return std::all_of(terms.begin(), terms.end(), [](const SupportTerm& term) {
    return std::any_of(kKnown.begin(), kKnown.end(),
                       [&](const SupportTerm& known) { return known.text == term.text; });
  });
}

// Whether `text` ends a sentence, one marker before its end included; nullopt: unclear before more comes.
// `line_ends`: a line break is an end, too.
std::optional<bool> ends_aside(std::string_view text, bool line_ends, bool final) {
  constexpr size_t kMaxDigits = 3;
  const std::optional<bool> open = final ? std::optional(false) : std::nullopt;
  if (text.starts_with('[')) {
    size_t end = 1;
    while (end < text.size() && is_ascii_digit(text[end])) ++end;
    if (end == text.size()) return open;
    if (text[end] != ']' || end == 1 || end > 1 + kMaxDigits) return false;
    text.remove_prefix(end + 1);
    line_ends = true;
  }
  if (text.empty() || text == ".") return final ? std::optional(true) : std::nullopt;
  return (text.front() == '\n' && line_ends) || (text.front() == '.' && ends_sentence(text, 0));
}

}  // namespace

FrameEcho::FrameEcho(const std::vector<EvidencePassage>& evidence) {
  for (const EvidencePassage& passage : evidence) {
    const SourcePassage& first = passage.chunks.front();
    std::string_view path = first.heading_path;
    const auto add = [&](std::string_view name) {
      if (name.size() >= kMinCrumbBytes) crumbs_.push_back(std::string(name) + std::string(kJoint));
    };
    add(first.title.empty() ? first.path : first.title);
    for (size_t at = path.find(kJoint); at != std::string_view::npos; at = path.find(kJoint)) {
      add(path.substr(0, at));
      path.remove_prefix(at + kJoint.size());
    }
  }
  std::sort(crumbs_.begin(), crumbs_.end(), [](const std::string& a, const std::string& b) {
    return a.size() != b.size() ? a.size() > b.size() : a < b;
  });
  crumbs_.erase(std::unique(crumbs_.begin(), crumbs_.end()), crumbs_.end());
}

std::optional<size_t> FrameEcho::breadcrumb(std::string_view text, bool final) const {
  for (const std::string& crumb : crumbs_) {
    if (text.starts_with(crumb)) return crumb.size();
    if (!final && crumb.starts_with(text)) return std::nullopt;
  }
  return 0;
}

std::optional<size_t> FrameEcho::aside(std::string_view text, bool final) {
  for (const std::string_view opening : kAsides) {
    if (!final && opening.starts_with(text)) return std::nullopt;
    if (!text.starts_with(opening)) continue;
    const std::string_view rest = text.substr(opening.size());
    for (const std::string_view place : kPlaces) {
      if (!final && place.starts_with(rest)) return std::nullopt;
      if (!rest.starts_with(place)) continue;
      size_t end = opening.size() + place.size();
      // The number of a passage, as the model was shown it, is none of a citation. Documents may have their
      // own.
      const bool numbered = place.find("passage") != std::string_view::npos;
      while (end < text.size() && (text[end] == ' ' || (numbered && is_ascii_digit(text[end])))) ++end;
      const std::optional<bool> ends = ends_aside(text.substr(end), !place.empty(), final);
      if (!ends) return std::nullopt;
      if (*ends) return end;
    }
  }
  return 0;
}

std::optional<size_t> FrameEcho::pointer(std::string_view text, bool final) {
  const auto may_open = [&](std::string_view opening) {
    return text.starts_with(opening) || (!final && opening.starts_with(text));
  };
  if (std::none_of(kOpenings.begin(), kOpenings.end(), may_open)) return 0;
  for (size_t i = 0; i < std::min(text.size(), kMaxPointerBytes);) {
    const size_t length = utf8::decode(text, i).length;
    if (text[i] == '\n') return only_points(text.substr(0, i)) ? i : 0;
    // A full stop is one only when what follows it is known.
    const bool known = final || i + length < text.size();
    if (known && ends_sentence(text, i)) return only_points(text.substr(0, i)) ? i + length : 0;
    i += length;
  }
  if (!final && text.size() < kMaxPointerBytes) return std::nullopt;
  return final && text.size() < kMaxPointerBytes && only_points(text) ? text.size() : 0;
}

}  // namespace lectern
