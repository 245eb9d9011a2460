#include "agent/whole_request.h"

#include <algorithm>
#include <array>
#include <optional>

#include "agent/languages.h"
#include "agent/text_terms.h"
#include "base/utf8.h"

namespace lectern {
namespace {

using Words = std::vector<std::string>;

template <size_t n>
using WordList = std::array<std::string_view, n>;

template <typename List>
bool is_one_of(std::string_view word, const List& list) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

constexpr WordList<33> kDocumentNouns = {
    "book",      "books",      "document", "documents", "docs",   "report",     "reports",
    "paper",     "papers",     "text",     "texts",     "file",   "files",      "notes",
    "article",   "articles",   "contract", "contracts", "folder", "collection", "thesis",
    "manual",    "manuals",    "essay",    "story",     "novel",  "transcript", "pdf",
    "agreement", "agreements", "guide",    "handbook",  "letters"};
constexpr WordList<24> kDeterminers = {"the",       "this",     "that",  "these",  "those",    "my",
                                       "our",       "your",     "all",   "both",   "each",     "every",
                                       "of",        "two",      "whole", "entire", "three",    "given",
                                       "following", "complete", "full",  "a",      "attached", "contents"};
// What may follow the documents of a request without narrowing it.
constexpr WordList<25> kContinuations = {"in",       "as",     "into",    "for",    "with",  "using", "and",
                                         "to",       "please", "briefly", "within", "under", "by",    "at",
                                         "here",     "above",  "which",   "i",      "you",   "we",    "so",
                                         "focusing", "then",   "but",     "be"};
constexpr WordList<5> kTopical = {"about", "regarding", "concerning", "on", "relating"};

// Letters and digits, case folded; each character of an unspaced script is a word of its own.
Words words_of(std::string_view text) {
  Words out;
  bool open = false;
  for (size_t i = 0; i < text.size();) {
    const utf8::Decoded d = utf8::decode(text, i);
    i += d.length;
    if (!is_word_character(d.code_point)) {
      open = false;
      continue;
    }
    const bool alone = is_unspaced_script(d.code_point);
    if (!open || alone) out.emplace_back();
    utf8::append(out.back(), fold_case(d.code_point));
    open = !alone;
  }
  return out;
}

struct NamedDocument {
  int64_t id = 0;
  size_t begin = 0, end = 0;  // words of the request
};

// The form of a request, before it is known which documents are named in it.
struct Form {
  WholeTask task = WholeTask::kNone;
  size_t object = 0;          // word at which the documents are spoken of
  bool of_documents = false;  // by a noun: "these reports"
  bool anywhere = false;      // a name counts wherever it stands, not only at `object`
};

bool starts_with(const Words& words, size_t at, std::initializer_list<std::string_view> with) {
  if (at + with.size() > words.size()) return false;
  return std::equal(with.begin(), with.end(), words.begin() + static_cast<std::ptrdiff_t>(at));
}

std::string_view at(const Words& words, size_t i) {
  return i < words.size() ? std::string_view(words[i]) : std::string_view();
}

// After determiners.
size_t skip_determiners(const Words& words, size_t i) {
  while (i < words.size() && is_one_of(words[i], kDeterminers)) ++i;
  return i;
}

// "this book", "all of these reports in five sentences"; not "the book's second chapter" nor "the report
// authors".
bool speaks_of_documents(const Words& words, size_t begin) {
  static constexpr WordList<6> kPronouns = {"this", "it", "these", "them", "everything", "all"};
  const auto ends = [&](size_t i) { return i >= words.size() || is_one_of(words[i], kContinuations); };
  if (is_one_of(at(words, begin), kPronouns) && ends(begin + 1)) return true;
  size_t noun = skip_determiners(words, begin);
  // "this long annual report"
  for (size_t adjectives = 0; adjectives < 2 && noun < words.size(); ++adjectives) {
    const bool linked = is_one_of(words[noun], kContinuations) || is_one_of(words[noun], kTopical);
    if (is_one_of(words[noun], kDocumentNouns) || linked || noun == begin) break;
    ++noun;
  }
  return is_one_of(at(words, noun), kDocumentNouns) && ends(noun + 1);
}

size_t skip_politeness(const Words& words) {
  static constexpr WordList<26> kPolite = {"please", "kindly", "can",  "could",   "would", "will", "you",
                                           "i",      "d",      "want", "need",    "like",  "to",   "me",
                                           "us",     "just",   "now",  "hi",      "hello", "let",  "s",
                                           "lets",   "ok",     "then", "briefly", "have"};
  size_t i = 0;
  while (i < words.size() && is_one_of(words[i], kPolite)) ++i;
  return i;
}

bool has_topic(const Words& words, size_t begin) {
  return std::any_of(words.begin() + static_cast<std::ptrdiff_t>(std::min(begin, words.size())), words.end(),
                     [](const std::string& word) { return is_one_of(word, kTopical); });
}

Form summary_at(const Words& words, size_t object) {
  if (has_topic(words, object)) return {};
  return {WholeTask::kSummary, object, speaks_of_documents(words, object), false};
}

// "Summarise ...", "Give me a short summary of ...", "What are the main points of ...", "What is this book
// about?"
Form summary_form(const Words& words, size_t first) {
  static constexpr WordList<7> kVerbs = {"summarise", "summarize", "outline",    "condense",
                                         "recap",     "abridge",   "summarising"};
  static constexpr WordList<9> kNouns = {"summary", "overview", "synopsis", "outline",  "recap",
                                         "gist",    "digest",   "abstract", "summaries"};
  static constexpr WordList<14> kGiving = {"give",    "write",   "provide", "make", "create",
                                           "produce", "prepare", "draft",   "get",  "show",
                                           "do",      "a",       "an",      "the"};
  static constexpr WordList<10> kMain = {"main",  "key",     "central", "important", "principal",
                                         "major", "overall", "core",    "chief",     "most"};
  static constexpr WordList<10> kPoints = {"points",   "ideas",       "topics",    "themes",    "findings",
                                           "messages", "conclusions", "takeaways", "arguments", "subjects"};
  const std::string_view verb = at(words, first);
  if (is_one_of(verb, kVerbs)) return summary_at(words, first + 1);
  if (verb == "sum" && at(words, first + 1) == "up") return summary_at(words, first + 2);
  if (verb == "tldr" || starts_with(words, first, {"tl", "dr"})) {
    Form form = summary_at(words, first + (verb == "tldr" ? 1 : 2));
    form.of_documents |= form.object >= words.size();
    return form;
  }
  if (is_one_of(verb, kGiving) || is_one_of(verb, kNouns)) {
    for (size_t i = first; i < std::min(words.size(), first + 7); ++i) {
      if (is_one_of(words[i], kTopical) || words[i] == "what") break;
      if (!is_one_of(words[i], kNouns)) continue;
      if (i + 1 == words.size()) return {WholeTask::kSummary, i, true, false};  // "Write a summary."
      if (words[i + 1] == "of") return summary_at(words, i + 2);
    }
    return {};
  }
  if (verb != "what") return {};
  size_t i = first + 1;
  if (is_one_of(at(words, i), WordList<4>{"is", "are", "s", "re"})) ++i;
  if (is_one_of(words.back(), WordList<1>{"about"})) {  // "what is this book about", "... all about"
    Words object(words.begin() + static_cast<std::ptrdiff_t>(std::min(i, words.size())), words.end() - 1);
    if (!object.empty() && object.back() == "all") object.pop_back();
    return {WholeTask::kSummary, i, speaks_of_documents(object, 0), false};
  }
  i = skip_determiners(words, i);
  if (!is_one_of(at(words, i), kMain)) return {};
  while (is_one_of(at(words, i), kMain)) ++i;
  if (!is_one_of(at(words, i), kPoints)) return {};
  if (is_one_of(at(words, i + 1), WordList<2>{"of", "in"})) return summary_at(words, i + 2);
  return {};
}

// "List all dates", "Make a complete list of every person mentioned in these letters". What is asked for with
// much detail ("all ingredients of the bread recipe") stands in one place and is left to retrieval.
Form list_form(const Words& words, size_t first) {
  static constexpr WordList<9> kVerbs = {"list",    "enumerate", "name",     "find",   "collect",
                                         "extract", "gather",    "identify", "compile"};
  static constexpr WordList<7> kGiving = {"give", "make", "write", "create", "produce", "compile", "show"};
  static constexpr WordList<6> kAll = {"all", "every", "each", "complete", "full", "any"};
  static constexpr WordList<12> kNumbers = {"two",   "three", "four", "five", "six", "seven",
                                            "eight", "nine",  "ten",  "2",    "3",   "4"};
  static constexpr WordList<9> kEverywhere = {"mentioned", "named",    "occurring",  "appearing", "appear",
                                              "occur",     "anywhere", "throughout", "mention"};
  const std::string_view verb = at(words, first);
  size_t i = first + 1;
  if (is_one_of(verb, kGiving)) {
    while (i < words.size() && i < first + 5 && words[i] != "list") ++i;
    if (at(words, i) != "list") return {};
    i = first + 1;
    while (is_one_of(at(words, i), WordList<6>{"me", "us", "a", "the", "list", "of"})) ++i;
  } else if (!is_one_of(verb, kVerbs)) {
    return {};
  }
  while (is_one_of(at(words, i), WordList<3>{"me", "out", "for"})) ++i;
  if (!is_one_of(at(words, i), kAll)) return {};
  while (is_one_of(at(words, i), kAll) ||
         is_one_of(at(words, i), WordList<5>{"of", "the", "list", "a", "different"}))
    ++i;
  if (i >= words.size() || is_one_of(words[i], kNumbers)) return {};
  Form form{WholeTask::kList, i, false, true};
  bool everywhere = false;
  for (size_t j = i; j < words.size(); ++j) {
    everywhere |= is_one_of(words[j], kEverywhere);
    if (is_one_of(words[j], WordList<6>{"in", "from", "across", "of", "through", "over"}))
      form.of_documents |= speaks_of_documents(words, j + 1);
  }
  const size_t kind_words = words.size() - i;
  form.of_documents |= everywhere || kind_words <= 2;
  return form;
}

// "Compare the two contracts", "What are the differences between A and B", "How do these reports differ?"
Form compare_form(const Words& words, size_t first) {
  const auto plural = [&](size_t object) {
    const size_t noun = skip_determiners(words, object);
    return speaks_of_documents(words, object) && words[std::min(noun, words.size() - 1)].ends_with("s");
  };
  const auto form = [&](size_t object) { return Form{WholeTask::kCompare, object, plural(object), false}; };
  const std::string_view verb = at(words, first);
  if (verb == "compare" || verb == "contrast") {
    size_t object = first + 1;
    if (starts_with(words, object, {"and", "contrast"})) object += 2;
    return form(object);
  }
  for (size_t i = first; i + 1 < words.size(); ++i) {
    const bool noun = is_one_of(words[i], WordList<6>{"difference", "differences", "similarities",
                                                      "comparison", "distinction", "distinctions"});
    if (noun && is_one_of(words[i + 1], WordList<2>{"between", "of"}) && i <= first + 8) return form(i + 2);
  }
  if (verb == "how" && is_one_of(at(words, first + 1), WordList<2>{"do", "does"}) &&
      words.back() == "differ") {
    const Words object(words.begin() + static_cast<std::ptrdiff_t>(first + 2), words.end() - 1);
    const bool documents = speaks_of_documents(object, 0) && !object.empty() && object.back().ends_with("s");
    return {WholeTask::kCompare, first + 2, documents, false};
  }
  return {};
}

Form english_form(const Words& words) {
  const size_t first = skip_politeness(words);
  if (first >= words.size()) return {};
  for (Form (*form_of)(const Words&, size_t) : {summary_form, list_form, compare_form}) {
    const Form form = form_of(words, first);
    if (form.task != WholeTask::kNone) return form;
  }
  return {};
}

constexpr WordList<24> kChineseNouns = {"文档", "文件", "本书", "这书",   "全书", "全文", "报告",   "论文",
                                        "文章", "合同", "资料", "笔记",   "材料", "手册", "小说",   "协议",
                                        "书籍", "故事", "内容", "这些书", "所有", "全部", "两本书", "书里"};

template <typename List>
bool holds_one_of(std::string_view text, const List& list) {
  return std::any_of(list.begin(), list.end(),
                     [&](std::string_view word) { return text.find(word) != std::string_view::npos; });
}

// What stands after the first of `verbs` when nothing but politeness stands before it.
template <typename List>
std::optional<std::string_view> after_verb(std::string_view text, const List& verbs) {
  static constexpr WordList<18> kPolite = {"请", "帮", "我", "你", "能", "可以", "麻烦", "否", "不",
                                           "给", "您", "，", "想", "要", "需要", "一下", "用", "简要"};
  for (bool more = true; more;) {
    for (const std::string_view verb : verbs) {
      if (text.starts_with(verb)) return text.substr(verb.size());
    }
    more = false;
    for (const std::string_view word : kPolite) {
      if (!text.starts_with(word)) continue;
      text.remove_prefix(word.size());
      more = true;
    }
  }
  return std::nullopt;
}

// The words of `text` up to where `rest`, a part of it, begins.
size_t word_at(std::string_view text, std::string_view rest) {
  return words_of(text.substr(0, static_cast<size_t>(rest.data() - text.data()))).size();
}

// Between the verb and the documents: "一下这两份".
std::string_view skip_chinese_determiners(std::string_view text) {
  static constexpr WordList<21> kSkipped = {"一下", "这", "那",   "该",   "本", "两", "三",
                                            "几",   "份", "篇",   "个",   "部", "些", "《",
                                            "“",    " ",  "所有", "全部", "整", "的", "下"};
  for (bool more = true; more;) {
    more = false;
    for (const std::string_view word : kSkipped) {
      if (!text.starts_with(word)) continue;
      text.remove_prefix(word.size());
      more = true;
    }
  }
  return text;
}

Form chinese_form(std::string_view request) {
  static constexpr WordList<7> kSummarise = {"总结", "概括", "概述", "归纳", "综述", "梳理", "摘要"};
  static constexpr WordList<8> kSummaryNouns = {"的总结", "的摘要", "的概述",   "的概要",
                                                "的综述", "的梗概", "内容提要", "的大意"};
  static constexpr WordList<5> kWrite = {"写", "做", "给出", "提供", "生成"};
  static constexpr WordList<9> kGistQuestions = {"讲了什么",     "讲的是什么",     "主要内容是什么",
                                                 "主要说了什么", "主要内容有哪些", "讲些什么",
                                                 "要点是什么",   "要点有哪些",     "说了些什么"};
  static constexpr WordList<5> kList = {"列出", "列举", "罗列", "找出", "列一下"};
  static constexpr WordList<4> kCompare = {"比较", "对比", "对照", "比一比"};
  static constexpr WordList<6> kDiffer = {"区别", "不同", "差异", "异同", "差别", "相同"};
  const size_t begin = std::min(request.find_first_not_of(" \t\n"), request.size());
  std::string_view text = request.substr(begin);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\n')) text.remove_suffix(1);
  for (const std::string_view mark : {"？", "?", "。", "！"}) {
    if (text.ends_with(mark)) text.remove_suffix(mark.size());
  }
  const bool topical =
      text.find("关于") != std::string_view::npos || text.find("有关") != std::string_view::npos;
  const auto form = [&](WholeTask task, std::string_view object, bool of_documents, bool anywhere) {
    return Form{task, word_at(request, object), of_documents, anywhere};
  };
  // The object is the documents themselves, or their contents: "这份报告的主要内容"; not "报告的作者".
  const auto of_documents = [&](std::string_view object) {
    object = skip_chinese_determiners(object);
    // "旅行文件夹里的笔记"
    const bool of_folder = object.find("文件夹") != std::string_view::npos;
    if (of_folder && std::any_of(kChineseNouns.begin(), kChineseNouns.end(),
                                 [&](std::string_view noun) { return object.ends_with(noun); }))
      return true;
    for (const std::string_view noun : kChineseNouns) {
      if (!object.starts_with(noun)) continue;
      const std::string_view rest = object.substr(noun.size());
      static constexpr WordList<12> kAfter = {"的内容", "的主要", "的要点", "的异同", "的区别", "的不同",
                                              "的差异", "的全部", "的大意", "的核心", "之间",   "中的主要"};
      return !rest.starts_with("的") ||
             std::any_of(kAfter.begin(), kAfter.end(), [&](auto word) { return rest.starts_with(word); });
    }
    return object.empty() || object.starts_with("，") || object.starts_with("书");
  };
  if (const auto object = after_verb(text, kList)) {
    if (!holds_one_of(*object, WordList<5>{"所有", "全部", "每", "一切", "各"})) return {};
    const bool everywhere = holds_one_of(
        *object, WordList<9>{"文中", "文档", "书中", "全文", "提到", "出现", "提及", "文件", "全书"});
    return form(WholeTask::kList, *object, everywhere || utf8::count(*object) <= 7, true);
  }
  if (const auto object = after_verb(text, kCompare))
    return form(WholeTask::kCompare, skip_chinese_determiners(*object), of_documents(*object), false);
  if (holds_one_of(text, kDiffer) && holds_one_of(text, WordList<5>{"什么", "哪些", "何", "有没有", "吗"})) {
    // "这两份合同有什么区别": the documents stand first.
    const bool documents =
        of_documents(text) && holds_one_of(text, WordList<5>{"两", "这些", "几", "之间", "各"});
    if (documents || text.find("之间") != std::string_view::npos ||
        text.find("和") != std::string_view::npos || text.find("与") != std::string_view::npos)
      return form(WholeTask::kCompare, skip_chinese_determiners(text), documents, false);
    return {};
  }
  if (topical) return {};
  const auto summarised = after_verb(text, kSummarise);
  if (summarised && !holds_one_of(*summarised, WordList<6>{"谁", "哪", "什么", "多少", "吗", "几"}))
    return form(WholeTask::kSummary, skip_chinese_determiners(*summarised), of_documents(*summarised), false);
  if (after_verb(text, kWrite) &&
      (holds_one_of(text, kSummaryNouns) || text.ends_with("总结") || text.ends_with("摘要")))
    return form(WholeTask::kSummary, text, holds_one_of(text, kChineseNouns), true);
  for (const std::string_view question : kGistQuestions) {
    const size_t where = text.find(question);
    if (where == std::string_view::npos || where + question.size() != text.size()) continue;
    std::string_view object = text.substr(0, where);
    if (object.ends_with("的")) object.remove_suffix(std::string_view("的").size());
    return form(WholeTask::kSummary, skip_chinese_determiners(text),
                of_documents(object) && utf8::count(object) <= 10, false);
  }
  return {};
}

std::string_view file_name(std::string_view path) {
  const size_t slash = path.find_last_of('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

// Where `name` stands in the request, as whole words.
std::optional<size_t> find_words(const Words& request, const Words& name) {
  const auto found = std::search(request.begin(), request.end(), name.begin(), name.end());
  if (name.empty() || found == request.end()) return std::nullopt;
  return static_cast<size_t>(found - request.begin());
}

// "Notes" or "Report" is what documents are called, and a lone short word may stand for anything.
bool tells_a_document(const Words& name) {
  size_t bytes = 0;
  for (const std::string& word : name) bytes += word.size();
  if (name.size() == 1) return bytes >= 5 && !is_one_of(name.front(), kDocumentNouns);
  return bytes >= 5;
}

std::vector<NamedDocument> named_documents(const Words& request, const std::vector<DocumentName>& names) {
  std::vector<NamedDocument> found;
  for (const DocumentName& document : names) {
    const std::string_view file = file_name(document.path);
    const std::string_view stem = file.substr(0, file.find_last_of('.'));
    NamedDocument longest;
    for (const std::string_view name : {std::string_view(document.title), file, stem}) {
      const Words words = words_of(name);
      const std::optional<size_t> begin = tells_a_document(words) ? find_words(request, words) : std::nullopt;
      if (begin && words.size() > longest.end - longest.begin)
        longest = {document.id, *begin, *begin + words.size()};
    }
    if (longest.end > longest.begin) found.push_back(longest);
  }
  // "Harrow Mill" inside "Harrow Mill pump house" names nothing of its own.
  std::vector<NamedDocument> out;
  for (const NamedDocument& a : found) {
    const bool inside = std::any_of(found.begin(), found.end(), [&](const NamedDocument& b) {
      return b.begin <= a.begin && a.end <= b.end && b.end - b.begin > a.end - a.begin;
    });
    if (!inside) out.push_back(a);
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const NamedDocument& a, const NamedDocument& b) { return a.begin < b.begin; });
  return out;
}

// The first named document is what the verb acts on: only determiners and "report" or "file" stand between.
bool named_at(const Words& request, size_t object, const NamedDocument& first) {
  if (first.begin < object) return false;
  for (size_t i = object; i < first.begin; ++i) {
    if (!is_one_of(request[i], kDeterminers) && !is_one_of(request[i], kDocumentNouns)) return false;
  }
  return true;
}

}  // namespace

std::string_view to_string(WholeTask task) {
  switch (task) {
    case WholeTask::kNone:
      return "none";
    case WholeTask::kSummary:
      return "summary";
    case WholeTask::kList:
      return "list";
    case WholeTask::kCompare:
      return "comparison";
    case WholeTask::kQuestion:
      return "question";
  }
  return "";
}

WholeRequest whole_request(std::string_view request,
                           const std::function<std::vector<DocumentName>()>& names) {
  const Words words = words_of(request);
  const Form form = prompt_language(request) == "zh" ? chinese_form(request) : english_form(words);
  if (form.task == WholeTask::kNone) return {};
  std::vector<NamedDocument> named = named_documents(words, names());
  // "List all people" asks for people, not for the file people.txt.
  if (form.task == WholeTask::kList)
    std::erase_if(named,
                  [&](const NamedDocument& d) { return d.begin == form.object && d.end == d.begin + 1; });
  const bool names_object = !named.empty() && (form.anywhere || named_at(words, form.object, named.front()));
  WholeRequest whole{form.task, {}};
  for (const NamedDocument& document : named) {
    if (std::find(whole.documents.begin(), whole.documents.end(), document.id) == whole.documents.end())
      whole.documents.push_back(document.id);
  }
  const bool enough_named = form.task != WholeTask::kCompare || whole.documents.size() > 1;
  if (names_object && enough_named) return whole;
  if (!form.of_documents) return {};
  if (!enough_named) whole.documents.clear();
  return whole;
}

}  // namespace lectern
