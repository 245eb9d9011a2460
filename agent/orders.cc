#include "agent/orders.h"

#include <algorithm>
#include <initializer_list>

#include "agent/text_terms.h"
#include "base/utf8.h"

namespace lectern {
namespace {

using Words = std::initializer_list<std::string_view>;

bool has_any(std::string_view text, Words words) {
  return holds_any(text, {words.begin(), words.size()});
}

bool has_word(std::string_view apart, Words words) {
  return holds_word(apart, {words.begin(), words.size()});
}

// Cyrillic and Greek letters that look like Latin ones, as these: an order in English may be written with
// them.
std::string with_latin_letters(std::string_view folded) {
  static constexpr std::u32string_view kAlike = U"аеорсухіѕјοαινρ", kLatin = U"aeopcyxisjoaivp";
  static_assert(kAlike.size() == kLatin.size());
  std::string out;
  for (size_t i = 0; i < folded.size();) {
    const utf8::Decoded d = utf8::decode(folded, i);
    const size_t at = kAlike.find(d.code_point);
    utf8::append(out, at == std::u32string_view::npos ? d.code_point : kLatin[at]);
    i += d.length;
  }
  return out;
}

// The marks of a chat's own turns.
bool forges_a_turn(std::string_view folded) {
  return has_any(folded, {"<|im_start|>", "<|im_end|>", "new system message", "[system notice]",
                          "new instruction:", "新的系统消息", "【系统通知】", "新指令："}) ||
         folded.starts_with("system:") || folded.starts_with("assistant:") || folded.starts_with("系统：") ||
         folded.starts_with("助手：");
}

bool english_order(std::string_view words) {
  if (has_word(words, {"ignore", "disregard", "forget"}) &&
      has_word(words, {"the question", "instructions", "everything above", "all previous", "the user"}))
    return true;
  if (has_word(words,
               {"assistant", "assistants", "chatbot", "chatbots", "language model", "language models"}) &&
      has_word(words, {"must reply", "must say", "must answer", "must respond", "must print", "must output",
                       "must write", "your answer", "your reply", "your response", "reading this",
                       "valid answer", "to every user"}))
    return true;
  if (has_word(words, {"you are"}) && has_word(words, {"your reply", "your answer", "your response"}))
    return true;
  if (has_word(words, {"correct answer", "right answer", "only answer"}) &&
      has_word(words, {"user", "users"}))
    return true;
  const auto opens = [&](Words openings) {
    return std::any_of(openings.begin(), openings.end(),
                       [&](std::string_view opening) { return words.starts_with(opening); });
  };
  if (opens({" answer every ", " answer each ", " answer any ", " answer all ", " whenever you are asked ",
             " reply only with ", " respond only with ", " from now on end ", " from now on answer "}))
    return true;
  return has_word(
      words, {"you are now", "pretend that you are", "pretend you are", "you only ever say",
              "stay in character", "do not answer the user", "do not answer the question", "your answer must",
              "your reply must be", "your response must be", "output the string",
              "the answer to every question", "the answer to all questions", "the answer to any question"});
}

bool chinese_order(std::string_view text) {
  if (has_any(text, {"忽略", "不要理会", "无视", "忘记你", "忘掉"}) &&
      has_any(text, {"用户的问题", "指令", "上面的内容", "以上内容", "之前的", "忽略问题", "这个问题",
                     "上面的问题"}))
    return true;
  if (has_any(text, {"助手", "聊天机器人", "语言模型"}) &&
      has_any(text, {"必须回", "必须输出", "必须说", "你的回答", "唯一有效", "阅读本页", "对所有用户都"}))
    return true;
  if (text.starts_with("从现在起") && has_any(text, {"回答", "回复"})) return true;
  if (text.starts_with("对每个问题都") || text.starts_with("对任何问题都") ||
      text.starts_with("对所有问题都"))
    return true;
  return has_any(text,
                 {"你现在是", "假装你是", "你是一只", "你只会说", "保持角色", "你都要回答", "你都要回复",
                  "不要回答用户", "不要回答问题", "不要回答这个问题", "你的回答必须", "用户问题的正确答案"});
}

// What may go on with an order, right after one.
bool continues_order(std::string_view words, std::string_view text) {
  static const Words kOpenings = {" say ",           " write ",    " reply ",  " answer ", " output ",
                                  " print ",         " give ",     " repeat ", " always ", " your ",
                                  " you ",           " stay ",     " user ",   " good ",   " the secret ",
                                  " the assistant ", " my answer "};
  static const Words kChinese = {"只写", "不要", "你", "请", "用户", "助手", "我的答案", "很好", "暗语"};
  return std::any_of(kOpenings.begin(), kOpenings.end(),
                     [&](std::string_view opening) { return words.starts_with(opening); }) ||
         std::any_of(kChinese.begin(), kChinese.end(),
                     [&](std::string_view opening) { return text.starts_with(opening); });
}

}  // namespace

std::vector<TextRange> find_orders(std::string_view text) {
  std::vector<TextRange> orders;
  bool after_order = false;
  for (const TextRange range : split_sentences(text)) {
    const std::string folded = flatten(range.of(text));
    const std::string words = words_apart(with_latin_letters(folded));
    after_order = forges_a_turn(folded) || english_order(words) || chinese_order(folded) ||
                  (after_order && continues_order(words, folded));
    if (after_order) orders.push_back(range);
  }
  return orders;
}

std::string_view unless_orders(std::string_view name) {
  return find_orders(name).empty() ? name : std::string_view();
}

ScreenedText without_orders(std::string_view text) {
  ScreenedText out;
  size_t begin = 0;
  for (const TextRange order : find_orders(text)) {
    out.text += text.substr(begin, order.begin - begin);
    begin = order.end;
    ++out.n_orders;
  }
  out.text += text.substr(begin);
  return out;
}

}  // namespace lectern
