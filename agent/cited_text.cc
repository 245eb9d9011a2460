#include "agent/cited_text.h"

#include <algorithm>
#include <array>

#include "base/utf8.h"

namespace lectern {
namespace {

constexpr size_t kMaxMarkerBytes = 40;
constexpr size_t kMaxQuotationBytes = 600;

struct Marker {
  std::vector<int> labels;
  size_t length = 0;  // bytes; 0: not a marker
};

bool starts(std::string_view text, std::string_view with) {
  return text.substr(0, with.size()) == with;
}

// "[1]", "[1, 3]", "[2-4]", "[passage 2]", "[段落2]", "【1】", "［1］" at the beginning of `text`.
Marker parse_marker(std::string_view text) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 3> kBrackets = {
      {{"[", "]"}, {"【", "】"}, {"［", "］"}}};
  for (const auto& [open, close] : kBrackets) {
    if (!starts(text, open)) continue;
    const size_t end = text.substr(0, kMaxMarkerBytes).find(close);
    if (end == std::string_view::npos) return {};
    std::string_view inside = text.substr(open.size(), end - open.size());
    for (const std::string_view word : {"passages", "passage", "Passages", "Passage", "段落", "来源"}) {
      if (starts(inside, word)) inside.remove_prefix(word.size());
    }
    Marker marker;
    bool range = false, any = false;
    for (size_t i = 0; i < inside.size();) {
      const char c = inside[i];
      if (c >= '0' && c <= '9') {
        int n = 0;
        for (; i < inside.size() && inside[i] >= '0' && inside[i] <= '9'; ++i) {
          n = std::min(n * 10 + (inside[i] - '0'), 100'000);
        }
        const int from = range && any ? marker.labels.back() + 1 : n;
        for (int label = std::max(from, n - 20); label <= n; ++label) marker.labels.push_back(label);
        range = false, any = true;
      } else if (c == ' ' || c == ',' || c == ';') {
        ++i;
      } else if (c == '-' && any) {
        range = true, ++i;
      } else if (starts(inside.substr(i), "，") || starts(inside.substr(i), "、")) {
        i += 3;
      } else {
        return {};
      }
    }
    if (any) marker.length = end + close.size();
    return marker;
  }
  return {};
}

bool opens_marker(std::string_view text) {
  return starts(text, "[") || starts(text, "【") || starts(text, "［");
}

// The closing mark of the quotation that begins `text`; empty when none begins.
std::string_view closing_quotation(std::string_view text) {
  if (starts(text, "\"")) return "\"";
  if (starts(text, "“")) return "”";
  if (starts(text, "「")) return "」";
  return {};
}

std::string_view trim_end_marks(std::string_view text) {
  while (!text.empty() && (text.back() == '.' || text.back() == ',' || text.back() == ' '))
    text.remove_suffix(1);
  if (text.size() >= 3 && (text.substr(text.size() - 3) == "。" || text.substr(text.size() - 3) == "，")) {
    text.remove_suffix(3);
  }
  return text;
}

// Not "The documents do not say it, but the toll was nine pence", which goes on with a claim.
bool only_says_not_found(std::string_view words) {
  if (!says_not_found(words)) return false;
  for (const std::string_view turn : {", but ", "; but ", "however", ": ", "，但", "但是", "不过", "："}) {
    const size_t at = words.find(turn);
    if (at == std::string_view::npos) continue;
    const std::string_view rest = words.substr(at + turn.size());
    if (support_terms(rest).size() > 1 && !ends_in_question_mark(trim_end_marks(rest))) return false;
  }
  return true;
}

// The chunk with the heading of a part of it, and its lines, if it has lines: a source need not give any.
SourcePassage at_place_of(SourcePassage chunk, const TextRange& part) {
  const auto lines_in = [&](size_t begin, size_t end) {
    return static_cast<int>(std::count(chunk.text.begin() + static_cast<std::ptrdiff_t>(begin),
                                       chunk.text.begin() + static_cast<std::ptrdiff_t>(end), '\n'));
  };
  for (const SourcePassage::Section& section : chunk.later_sections)
    if (section.offset <= part.begin) chunk.heading_path = section.heading_path;
  if (chunk.last_line - chunk.first_line != lines_in(0, chunk.text.size())) return chunk;
  chunk.first_line += lines_in(0, part.begin);
  chunk.last_line = chunk.first_line + lines_in(part.begin, part.end);
  return chunk;
}

bool ends_unspaced(std::string_view text) {
  size_t i = text.size();
  for (int back = 0; back < 4 && i > 0; ++back) {
    --i;
    if ((static_cast<uint8_t>(text[i]) & 0xC0) != 0x80) break;
  }
  return i < text.size() &&
         (is_unspaced_script(utf8::decode(text, i).code_point) || utf8::decode(text, i).code_point >= 0x3000);
}

}  // namespace

CitedText::CitedText(const std::vector<EvidencePassage>& evidence, const SupportIndex& support,
                     std::string_view question, std::function<bool(std::string_view)> emit)
    : evidence_(&evidence),
      support_(&support),
      echo_(evidence),
      asked_(question),
      question_(question),
      emit_(std::move(emit)) {}

bool CitedText::feed(std::string_view piece) {
  raw_ += piece;
  return step(false);
}

bool CitedText::finish() {
  if (!step(true)) return false;
  cite_unmarked();
  end_claim();
  return step(true);
}

// Decides as much of raw_ as can be decided and emits it.
bool CitedText::step(bool final) {
  while (!raw_.empty()) {
    const char c = raw_.front();
    if (c == '`') {
      in_code_ = !in_code_;
      take_character();
    } else if (in_code_) {
      take_character();
    } else if (c == ' ' || c == '\t') {
      take_blanks(1);
    } else if (c == ',' || starts(raw_, "，")) {  // it goes where a marker, or nothing, follows
      take_blanks(c == ',' ? 1 : std::string_view("，").size());
    } else if (const Echo echo = drop_echo(final); echo != Echo::kNone) {
      if (echo == Echo::kUnclear) break;
    } else if (opens_marker(raw_)) {
      if (!take_marker(final)) break;
    } else if (!closing_quotation(raw_).empty()) {
      if (!take_quotation(final)) break;
    } else if (c == '\n' || c == '.' || c == '!' || c == '?' || starts(raw_, "。") || starts(raw_, "！") ||
               starts(raw_, "？")) {
      if (!take_sentence_end(final)) break;
    } else {
      take_character();
    }
  }
  if (emitted_ == text_.size()) return true;
  const std::string_view fresh = std::string_view(text_).substr(emitted_);
  emitted_ = text_.size();
  return !emit_ || emit_(fresh);
}

void CitedText::put(std::string_view text) {
  if (text_.empty() && blanks_.find_first_not_of(" \t\n") == std::string::npos) blanks_.clear();
  // A lone blank at the beginning of a line indents nothing.
  if (blanks_.ends_with("\n ")) blanks_.pop_back();
  text_ += blanks_;
  blanks_.clear();
  text_ += text;
}

void CitedText::take_blanks(size_t n_bytes) {
  blanks_ += std::string_view(raw_).substr(0, n_bytes);
  raw_.erase(0, n_bytes);
}

void CitedText::take_character() {
  const size_t length = utf8::decode(raw_, 0).length;
  put(std::string_view(raw_).substr(0, length));
  raw_.erase(0, length);
}

CitedText::Echo CitedText::drop_echo(bool final) {
  const auto drop = [&](std::optional<size_t> n_bytes) {
    if (!n_bytes) return Echo::kUnclear;
    raw_.erase(0, *n_bytes);
    return *n_bytes > 0 ? Echo::kDropped : Echo::kNone;
  };
  const bool begins_claim = text_.size() == claim_begin_;
  if (begins_claim) {
    if (const Echo pointer = drop(FrameEcho::pointer(raw_, final)); pointer != Echo::kNone) return pointer;
  }
  if (!begins_claim && blanks_.find(',') != std::string::npos && blanks_.find('\n') == std::string::npos) {
    const Echo aside = drop(FrameEcho::aside(raw_, final));
    if (aside == Echo::kDropped) blanks_.clear();
    if (aside != Echo::kNone) return aside;
  }
  const bool begins_word =
      begins_claim || !blanks_.empty() || !is_word_character(static_cast<uint8_t>(text_.back()));
  return begins_word ? drop(echo_.breadcrumb(raw_, final)) : Echo::kNone;
}

bool CitedText::take_marker(bool final) {
  const Marker marker = parse_marker(raw_);
  if (marker.length > 0) {
    cite_marked(marker.labels);
    raw_.erase(0, marker.length);
    return true;
  }
  const size_t closed = std::min({raw_.find(']'), raw_.find("】"), raw_.find("］")});
  if (!final && closed == std::string::npos && raw_.size() < kMaxMarkerBytes) return false;
  take_character();
  return true;
}

bool CitedText::take_quotation(bool final) {
  const std::string_view closing = closing_quotation(raw_);
  const size_t open_size = closing.size();  // the same on both sides
  const size_t end = raw_.find(closing, open_size);
  const size_t newline = raw_.find('\n');
  if (end == std::string::npos || newline < end || end > kMaxQuotationBytes) {
    if (!final && newline == std::string::npos && end == std::string::npos &&
        raw_.size() < kMaxQuotationBytes) {
      return false;
    }
    take_character();  // never closed: a lone mark
    return true;
  }
  const std::string_view words = std::string_view(raw_).substr(open_size, end - open_size);
  if (in_passages(words)) {
    put(std::string_view(raw_).substr(0, end + closing.size()));
    raw_.erase(0, end + closing.size());
  } else {
    raw_.erase(end, closing.size());
    raw_.erase(0, open_size);
    ++counts_.unquoted;
  }
  return true;
}

bool CitedText::in_passages(std::string_view words) const {
  const std::string flat = flatten(trim_end_marks(words));
  if (flat.empty() || flatten(question_).find(flat) != std::string::npos) return true;
  return std::any_of(evidence_->begin(), evidence_->end(), [&](const EvidencePassage& passage) {
    return flatten(passage.text).find(flat) != std::string::npos;
  });
}

// A sentence ends here unless the mark is inside a number or an abbreviation. Markers that follow the mark
// belong to the sentence and are set before it.
bool CitedText::take_sentence_end(bool final) {
  const bool newline = raw_.front() == '\n';
  const size_t mark = utf8::decode(raw_, 0).length;
  if (text_.empty() && !newline) {  // of nothing: the sentence was a marker, and it was dropped
    raw_.erase(0, mark);
    return true;
  }
  // "1874. [7]." has two ends, of which a dropped marker leaves nothing between.
  if (raw_.starts_with("..") && !text_.empty() && is_word_character(static_cast<uint8_t>(text_.back()))) {
    if (raw_.size() == 2 && !final) return false;
    const bool more = raw_.size() > 2 && (raw_[2] == '.' || raw_[2] == '/');
    if (!more) raw_.erase(0, 1);
  }
  size_t next = mark;
  while (next < raw_.size() && (raw_[next] == ' ' || (newline && raw_[next] == '\n'))) ++next;
  if (next == raw_.size() && !final) return false;

  if (!newline) {
    // Judged with what was written before it, as far back as an abbreviation reaches.
    const size_t back = std::min<size_t>(text_.size(), 32);
    const std::string around = text_.substr(text_.size() - back) + raw_;
    if (!ends_sentence(around, back)) {
      take_character();
      return true;
    }
  }
  const std::string following = raw_.substr(next);
  const Marker marker = newline ? Marker{} : parse_marker(following);
  if (marker.length > 0) {
    cite_marked(marker.labels);
    raw_.erase(mark, next - mark + marker.length);
    return true;  // looks again: more markers may follow
  }
  const bool may_become_marker = opens_marker(following) && following.size() < kMaxMarkerBytes &&
                                 following.find(']') == std::string::npos &&
                                 following.find("】") == std::string::npos &&
                                 following.find("］") == std::string::npos;
  if (!newline && may_become_marker && !final) return false;

  cite_unmarked();
  if (newline) {
    blanks_ += '\n';
  } else {
    blanks_.clear();
    put(std::string_view(raw_).substr(0, mark));
  }
  raw_.erase(0, mark);
  end_claim();
  claim_begin_ = after_marker_ = text_.size();
  marked_ = false;
  return true;
}

std::string CitedText::words_since(size_t begin) const {
  std::string words;
  for (size_t i = begin; i < text_.size();) {
    const Marker marker =
        text_[i] == '[' && !in_code_ ? parse_marker(std::string_view(text_).substr(i)) : Marker{};
    if (marker.length > 0) {
      i += marker.length;
      if (words.ends_with(' ')) words.pop_back();
    } else {
      words.push_back(text_[i++]);
    }
  }
  return words;
}

void CitedText::cite_marked(const std::vector<int>& labels) {
  // What was said since the last marker; a marker right after another one speaks of the same words.
  std::string words = words_since(after_marker_);
  if (support_terms(words).empty()) words = words_since(claim_begin_);
  if (only_says_not_found(words)) return;
  const bool answers = may_answer(words);
  const std::optional<SupportMatch> best = answers ? support_->best(words) : std::nullopt;
  for (const int label : labels) {
    const std::optional<SupportMatch> own = answers ? support_->best_in(label - 1, words) : std::nullopt;
    if (own && own->score >= SupportIndex::kKeep && (!best || own->score >= 0.8 * best->score)) {
      ++counts_.kept;
      add_citation(*own);
    } else if (best && best->score >= SupportIndex::kAttach) {
      ++counts_.repointed;
      add_citation(*best);
    } else {
      ++counts_.dropped;
    }
  }
  after_marker_ = text_.size();
}

void CitedText::cite_unmarked() {
  if (marked_ || in_code_) return;
  const std::string words = words_since(claim_begin_);
  if (only_says_not_found(words) || !may_answer(words)) return;
  const std::optional<SupportMatch> best = support_->best(words);
  if (!best || best->score < SupportIndex::kAttach) return;
  ++counts_.attached;
  add_citation(*best);
}

// Remembers the complete claim at hand when it says something and no passage supports it.
void CitedText::end_claim() {
  if (marked_) ++n_judged_;
  if (marked_ || in_code_) return;
  const size_t begin = text_.find_first_not_of(" \t\n", claim_begin_);
  if (begin == std::string::npos) return;
  const std::string_view claim = std::string_view(text_).substr(begin);
  const bool introduces_a_list = claim.ends_with(":") || claim.ends_with("：");
  const bool code = claim.starts_with("`") && claim.ends_with("`");
  const bool says_something =
      claim.find_first_of("0123456789") != std::string::npos || support_terms(claim).size() > 1;
  if (introduces_a_list || code || !says_something || only_says_not_found(claim)) return;
  unsupported_.push_back({begin, text_.size()});
  ++n_judged_;
}

// Writes the number of a quote, the same one each time, and remembers it.
void CitedText::add_citation(const SupportMatch& match) {
  const SourcePassage& chunk =
      (*evidence_)[static_cast<size_t>(match.passage)].chunks[static_cast<size_t>(match.chunk)];
  const uint64_t begin = chunk.begin + match.sentence.begin;
  auto known = std::find_if(citations_.begin(), citations_.end(), [&](const Citation& c) {
    return c.passage.document_id == chunk.document_id && c.quote_begin == begin;
  });
  if (known == citations_.end()) {
    Citation citation;
    citation.number = static_cast<int>(citations_.size()) + 1;
    citation.passage = at_place_of(chunk, match.sentence);
    citation.quote = match.sentence.of(chunk.text);
    citation.quote_begin = begin;
    citation.quote_end = begin + citation.quote.size();
    known = citations_.insert(citations_.end(), std::move(citation));
  }
  const std::string marker = "[" + std::to_string(known->number) + "]";
  marked_ = true;
  if (text_.find(marker, claim_begin_) != std::string::npos) return;  // said already in this sentence
  blanks_.clear();
  const bool after_bracket = !text_.empty() && text_.back() == ']';
  put(text_.empty() || after_bracket || ends_unspaced(text_) ? marker : " " + marker);
}

bool says_not_found(std::string_view reply) {
  static constexpr std::array<std::string_view, 22> kPhrases = {"not in these documents",
                                                                "not in the documents",
                                                                "not in the passages",
                                                                "passages do not",
                                                                "passage does not",
                                                                "documents do not",
                                                                "document does not",
                                                                "context does not",
                                                                "text does not",
                                                                "not mentioned in the",
                                                                "not specified in the",
                                                                "not provided in the",
                                                                "no information about",
                                                                "no information on",
                                                                "be determined from the",
                                                                "文档中没有",
                                                                "段落中没有",
                                                                "没有提到",
                                                                "未提到",
                                                                "没有提及",
                                                                "未提及",
                                                                "无法确定"};
  if (reply.size() > 400) return false;
  const std::string flat = flatten(reply);
  return std::any_of(kPhrases.begin(), kPhrases.end(),
                     [&](std::string_view phrase) { return flat.find(phrase) != std::string::npos; });
}

}  // namespace lectern
