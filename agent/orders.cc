#include "agent/orders.h"

#include <algorithm>
#include <initializer_list>

namespace lectern {
namespace {

using Words = std::initializer_list<std::string_view>;

bool has_any(std::string_view text, Words words) {
  return std::any_of(words.begin(), words.end(),
                     [&](std::string_view word) { return text.find(word) != std::string_view::npos; });
}

// At word boundaries, in text that `padded` made.
bool has_word(std::string_view padded, Words words) {
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
    return padded.find(" " + std::string(word) + " ") != std::string_view::npos;
  });
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  return out;
}

// Every sign between words a blank, one at each end.
std::string padded(std::string_view folded) {
  std::string out = " ";
  for (const char c : folded) {
    const bool word =
        (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || static_cast<unsigned char>(c) >= 0x80;
    if (word) {
      out += c;
    } else if (out.back() != ' ') {
      out += ' ';
    }
  }
  if (out.back() != ' ') out += ' ';
  return out;
}

// The marks of a chat's own turns.
bool forges_a_turn(std::string_view folded) {
  return has_any(folded, {"<|im_start|>", "<|im_end|>", "<passages>", "</passages>", "system message",
                          "system notice", "new instruction", "系统消息", "系统通知", "系统：", "新指令"}) ||
         folded.starts_with("system:") || folded.starts_with("assistant:") || folded.starts_with("助手：");
}

const Words kSay = {"say",    "says",    "reply", "replies", "respond", "responds", "answer", "answers",
                    "output", "outputs", "print", "prints",  "write",   "writes",   "repeat", "tell"};

bool english_order(std::string_view words) {
  const bool says = has_word(words, kSay);
  if (has_word(words, {"ignore", "disregard", "forget", "override"}) &&
      has_word(words, {"question", "instruction", "instructions", "previous", "everything above", "rules",
                       "prompt"}))
    return true;
  if (has_word(words, {"you are now", "pretend that you", "pretend you", "pretend to be", "you only ever say",
                       "stay in character", "do not answer the user", "whenever you are asked",
                       "your answer must", "your reply must", "your response must"}))
    return true;
  if (has_word(words, {"assistant", "assistants", "chatbot", "language model"}) &&
      (says || has_word(words, {"must", "replace", "valid answer"})))
    return true;
  if (has_word(words, {"you are"}) && has_word(words, {"your reply", "your answer", "your response"}))
    return true;
  if (says && has_word(words, {"answer every", "answer each", "answer all", "answer any", "any question",
                               "every question", "end each answer", "end every answer", "begin each answer"}))
    return true;
  if (has_word(words, {"correct answer", "right answer", "only answer"}) &&
      has_word(words, {"user", "user s", "users"}))
    return true;
  return has_word(words, {"reply only with", "respond only with", "reply with the word",
                          "reply with the string", "output the string", "answer with the secret word",
                          "always give that answer", "rules have changed"});
}

bool chinese_order(std::string_view text) {
  const bool says = has_any(text, {"回答", "回复", "输出", "只说", "写上", "换成", "说明"});
  if (has_any(text, {"忽略", "不要理会", "无视", "忘记你", "忘掉"}) &&
      has_any(text, {"问题", "指令", "上面", "之前", "规则", "以上"}))
    return true;
  if (has_any(text, {"你现在是", "假装你", "你是一只", "你是一个", "你只会说", "保持角色", "扮演"}))
    return true;
  if (has_any(text, {"助手", "AI", "ai", "人工智能", "语言模型", "机器人"}) &&
      (says || has_any(text, {"必须"})))
    return true;
  if (says &&
      has_any(text, {"不要回答用户", "每个问题都", "任何问题都", "所有问题都", "一切问题都", "无论别人问",
                     "无论问", "每个回答", "你的回答必须", "只回复", "请回复", "改为输出", "总是这样回答"}))
    return true;
  return has_any(text, {"用户问题的正确答案", "唯一有效的答案", "请用暗语", "规则已经改变"});
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
    const std::string folded = lower(range.of(text));
    const std::string words = padded(folded);
    after_order = forges_a_turn(folded) || english_order(words) || chinese_order(folded) ||
                  (after_order && continues_order(words, folded));
    if (after_order) orders.push_back(range);
  }
  return orders;
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
