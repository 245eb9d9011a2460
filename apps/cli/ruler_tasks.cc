#include "apps/cli/ruler_tasks.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <span>
#include <utility>

#include "apps/cli/answer_match.h"
#include "apps/cli/prose.h"
#include "base/error.h"

namespace lectern {
namespace {

// What a text is made of, from n units: sentences, list words or paragraphs, by the task.
struct Maker {
  Prose& random;
  size_t n;
  const SquadData& data;
};

std::string joined(std::span<const std::string> parts, std::string_view between) {
  std::string text;
  for (const std::string& part : parts) {
    if (!text.empty()) text += between;
    text += part;
  }
  return text;
}

std::string number(Prose& random, size_t digits) {
  std::string text(1, static_cast<char>('1' + random.below(9)));
  while (text.size() < digits) text += static_cast<char>('0' + random.below(10));
  return text;
}

std::string uuid(Prose& random) {
  std::string text;
  for (const size_t n : {8, 4, 4, 4, 12}) {
    if (!text.empty()) text += '-';
    for (size_t i = 0; i < n; ++i) text += "0123456789abcdef"[random.below(16)];
  }
  return text;
}

std::string letters(Prose& random, size_t n, char first) {
  std::string text;
  while (text.size() < n) text += static_cast<char>(first + random.below(26));
  return text;
}

// n different ones.
template <typename Make>
std::vector<std::string> different(size_t n, const Make& make) {
  std::set<std::string> known;
  std::vector<std::string> all;
  while (all.size() < n) {
    std::string one = make();
    if (known.insert(one).second) all.push_back(std::move(one));
  }
  return all;
}

// Puts `items`, in their order, at random places among `text`.
void scatter(Prose& random, std::span<const std::string> items, std::vector<std::string>& text) {
  if (text.empty()) return text.assign(items.begin(), items.end());
  std::vector<size_t> places(items.size());
  for (size_t& place : places) place = random.below(text.size() + 1);
  std::sort(places.begin(), places.end());
  for (size_t i = items.size(); i-- > 0;)
    text.insert(text.begin() + static_cast<std::ptrdiff_t>(places[i]), items[i]);
}

// The same four sentences over and over.
std::vector<std::string> noise(size_t n) {
  static constexpr const char* kSentences[] = {"The rain falls.", "The river runs on.", "The wind is cold.",
                                               "It goes up and down."};
  std::vector<std::string> text;
  for (size_t i = 0; i < n; ++i) text.emplace_back(kSentences[i % std::size(kSentences)]);
  return text;
}

// -- needles: codes that are registered under names ---------------------------------------------------------

enum class Hay { kNoise, kProse, kNeedles };
enum class Value { kNumber, kUuid };

struct Needles {
  Hay hay;
  Value value;
  size_t n_names;   // in the text, hay aside
  size_t n_values;  // a name
  size_t n_asked;   // names that are asked for
};

RulerSample make_needles(const Needles& shape, const Maker& maker) {
  Prose& random = maker.random;
  const size_t n_names =
      shape.hay == Hay::kNeedles ? std::min(shape.n_names + maker.n, Prose::kMaxNames) : shape.n_names;
  const std::vector<std::string> names = random.names(n_names);
  const std::vector<std::string> values = different(n_names * shape.n_values, [&] {
    return shape.value == Value::kUuid ? uuid(random) : number(random, 7);
  });
  std::vector<std::string> needles;
  for (size_t i = 0; i < values.size(); ++i)
    needles.push_back("The registered code of " + names[i / shape.n_values] + " is " + values[i] + ".");

  const std::vector<std::string> asked(names.begin(), names.begin() + static_cast<ptrdiff_t>(shape.n_asked));
  RulerSample sample;
  sample.answers.assign(values.begin(),
                        values.begin() + static_cast<ptrdiff_t>(shape.n_asked * shape.n_values));
  random.shuffle(needles);
  std::vector<std::string> text;
  if (shape.hay == Hay::kNoise) text = noise(maker.n);
  if (shape.hay == Hay::kProse)
    for (size_t i = 0; i < maker.n; ++i) text.push_back(random.sentence());
  scatter(random, needles, text);
  sample.text = joined(text, " ");

  const bool many = sample.answers.size() > 1;
  const std::string of = joined(asked, ", ");
  sample.task = "Registered codes are hidden in the text below. Remember them; you will be asked for " +
                std::string(many ? "some" : "one") + " of them.";
  sample.question = many ? "What are all the registered codes of " + of + " in the text above?"
                         : "What is the registered code of " + of + " in the text above?";
  sample.reply_prefix =
      many ? "The registered codes of " + of + " are" : "The registered code of " + of + " is";
  return sample;
}

// -- the others ---------------------------------------------------------------------------------------------

// A number, and variables that get it one from the other, in order.
RulerSample make_variables(const Maker& maker) {
  constexpr size_t kHops = 4;
  Prose& random = maker.random;
  RulerSample sample;
  sample.answers = different(kHops + 1, [&] { return letters(random, 5, 'A'); });
  const std::string value = number(random, 5);
  std::vector<std::string> steps = {"VAR " + sample.answers[0] + " = " + value + "."};
  for (size_t i = 1; i < sample.answers.size(); ++i)
    steps.push_back("VAR " + sample.answers[i] + " = VAR " + sample.answers[i - 1] + ".");
  std::vector<std::string> text = noise(maker.n);
  scatter(random, steps, text);
  sample.text = joined(text, " ");
  sample.task =
      "Variables are assigned in the text below, some of them the value of another. Keep track of them.";
  sample.question = "Which variables have the value " + value + " in the text above? There are " +
                    std::to_string(sample.answers.size()) + " of them.";
  sample.reply_prefix = "The " + std::to_string(sample.answers.size()) +
                        " variables that are assigned the value " + value +
                        ", directly or from another, are:";
  return sample;
}

// A numbered list in which ten words come thirty times and all others three times.
RulerSample make_common_words(const Maker& maker) {
  constexpr size_t kCommon = 10, kCommonTimes = 30, kOtherTimes = 3;
  Prose& random = maker.random;
  const std::vector<std::string> words = random.names(std::min(kCommon + maker.n, Prose::kMaxNames));
  std::vector<std::string> list;
  for (size_t i = 0; i < words.size(); ++i)
    list.insert(list.end(), i < kCommon ? kCommonTimes : kOtherTimes, words[i]);
  random.shuffle(list);
  for (size_t i = 0; i < list.size(); ++i) list[i] = std::to_string(i + 1) + ". " + list[i];
  RulerSample sample;
  sample.answers.assign(words.begin(), words.begin() + kCommon);
  sample.text = joined(list, " ");
  sample.task =
      "Below is a numbered list of words. Some of them come more often than others. Remember those.";
  sample.question = "What are the 10 most common words in the list above?";
  sample.reply_prefix = "The 10 words that appear most often in the list are:";
  return sample;
}

// Made-up words; the one of rank r comes in proportion to r to the power of -2.
RulerSample make_frequent_words(const Maker& maker) {
  constexpr size_t kAnswers = 3;
  constexpr double kZeta = 1.6449340668482264;  // the sum over all ranks
  Prose& random = maker.random;
  const auto ranks = static_cast<size_t>(std::sqrt(static_cast<double>(maker.n) / kZeta)) + kAnswers;
  const std::vector<std::string> words = different(ranks, [&] { return letters(random, 6, 'a'); });
  std::vector<std::string> list;
  for (size_t i = 0; i < words.size(); ++i) {
    const auto rank = static_cast<double>(i + 1);
    // However short the text, the first three come in this order.
    const auto times = std::max<size_t>(
        static_cast<size_t>(std::lround(static_cast<double>(maker.n) / kZeta / (rank * rank))),
        i < kAnswers ? kAnswers + 1 - i : 1);
    list.insert(list.end(), times, words[i]);
  }
  random.shuffle(list);
  RulerSample sample;
  sample.answers.assign(words.begin(), words.begin() + kAnswers);
  sample.text = joined(list, " ");
  sample.task = "Below is a text of coded words. Find those that come most often.";
  sample.question = "What are the three most frequent words in the coded text above?";
  sample.reply_prefix = "The three words that appear most often in the coded text are:";
  return sample;
}

struct Paragraph {
  size_t article;
  uint64_t begin, end;
  auto operator<=>(const Paragraph&) const = default;
};

std::vector<Paragraph> paragraphs_of(const SquadData& data) {
  std::set<Paragraph> all;
  for (const SquadQuestion& question : data.questions)
    all.insert({question.article, question.paragraph_begin, question.paragraph_end});
  return {all.begin(), all.end()};
}

// The paragraph that a question is asked of among n of other articles.
RulerSample make_question(const Maker& maker) {
  Prose& random = maker.random;
  LECTERN_CHECK(!maker.data.questions.empty());
  const SquadQuestion& question = maker.data.questions[random.below(maker.data.questions.size())];
  const Paragraph own = {question.article, question.paragraph_begin, question.paragraph_end};
  std::vector<Paragraph> others = paragraphs_of(maker.data);
  std::erase_if(others, [&](const Paragraph& other) { return other.article == own.article; });
  random.shuffle(others);
  others.resize(std::min(others.size(), maker.n));
  others.insert(others.begin() + static_cast<ptrdiff_t>(random.below(others.size() + 1)), own);
  std::vector<std::string> documents;
  for (const Paragraph& paragraph : others) {
    documents.push_back(
        "Document " + std::to_string(documents.size() + 1) + ":\n" +
        maker.data.articles[paragraph.article].text.substr(paragraph.begin, paragraph.end - paragraph.begin));
  }
  RulerSample sample;
  sample.text = joined(documents, "\n\n");
  sample.task = "Answer the question from the documents below. Give only the answer, in a few words.";
  sample.question = "Question: " + question.question;
  sample.reply_prefix = "Answer:";
  sample.answers = question.answers;
  sample.any_answer = true;
  return sample;
}

// -- all of them --------------------------------------------------------------------------------------------

struct RulerTask {
  std::string_view name;
  int max_new_tokens;  // RULER's, and more where ours have more tokens
  bool needs_whole_text;
  std::function<RulerSample(const Maker&)> make;
};

std::span<const RulerTask> tasks() {
  constexpr auto needles = [](Needles shape) {
    return [shape](const Maker& maker) { return make_needles(shape, maker); };
  };
  constexpr int kFew = 128;
  static const RulerTask kTasks[] = {
      {"niah_single_1", kFew, false, needles({Hay::kNoise, Value::kNumber, 1, 1, 1})},
      {"niah_single_2", kFew, false, needles({Hay::kProse, Value::kNumber, 1, 1, 1})},
      {"niah_single_3", kFew, false, needles({Hay::kProse, Value::kUuid, 1, 1, 1})},
      {"niah_multikey_1", kFew, false, needles({Hay::kProse, Value::kNumber, 4, 1, 1})},
      {"niah_multikey_2", kFew, false, needles({Hay::kNeedles, Value::kNumber, 1, 1, 1})},
      {"niah_multikey_3", kFew, false, needles({Hay::kNeedles, Value::kUuid, 1, 1, 1})},
      {"niah_multivalue", kFew, false, needles({Hay::kProse, Value::kNumber, 1, 4, 1})},
      {"niah_multiquery", kFew, false, needles({Hay::kProse, Value::kNumber, 4, 1, 4})},
      {"vt", 60, true, make_variables},
      {"cwe", kFew, true, make_common_words},
      {"fwe", 50, true, make_frequent_words},
      {"qa", 32, false, make_question}};
  return kTasks;
}

const RulerTask& task_named(std::string_view name) {
  const auto found = std::ranges::find(tasks(), name, &RulerTask::name);
  if (found == tasks().end())
    throw Error(ErrorCode::kInvalidArgument, "no RULER task is called '" + std::string(name) + "'");
  return *found;
}

}  // namespace

double ruler_score(const RulerSample& sample, std::string_view reply) {
  if (sample.any_answer) return contains_answer(reply, sample.answers) ? 1 : 0;
  const auto n = std::ranges::count_if(
      sample.answers, [&](const std::string& answer) { return contains_answer(reply, {answer}); });
  return static_cast<double>(n) / static_cast<double>(sample.answers.size());
}

std::vector<std::string> ruler_task_names() {
  std::vector<std::string> names;
  for (const RulerTask& task : tasks()) names.emplace_back(task.name);
  return names;
}

bool ruler_needs_whole_text(std::string_view task) {
  return task_named(task).needs_whole_text;
}

int ruler_max_new_tokens() {
  return std::ranges::max_element(tasks(), {}, &RulerTask::max_new_tokens)->max_new_tokens;
}

RulerSample make_ruler_sample(std::string_view name, int n_tokens, uint32_t seed,
                              const RulerTokenCount& count, const SquadData& data) {
  const RulerTask& task = task_named(name);
  const auto make = [&](size_t n) {
    Prose random(seed);
    RulerSample sample = task.make({random, n, data});
    sample.max_new_tokens = task.max_new_tokens;
    return sample;
  };
  // The most units that fit, by doubling and halving.
  RulerSample best = make(0);
  if (const int least = count(best); least > n_tokens) {
    throw Error(ErrorCode::kInvalidArgument, std::string(name) + " needs " + std::to_string(least) +
                                                 " tokens at least; give more --tokens, or other --tasks");
  }
  size_t fits = 0, too_many = 16;
  const auto grows_to = [&](size_t n) {
    RulerSample sample = make(n);
    if (count(sample) > n_tokens) return false;
    fits = n;
    best = std::move(sample);
    return true;
  };
  for (size_t before = 0; before = best.text.size(), grows_to(too_many); too_many *= 2) {
    if (best.text.size() > before) continue;
    throw Error(ErrorCode::kInvalidArgument,
                std::string(name) + " has text for " + std::to_string(count(best)) +
                    " tokens only; give fewer --tokens, or for qa a longer --data");
  }
  while (too_many - fits > 1) {
    const size_t middle = fits + (too_many - fits) / 2;
    if (!grows_to(middle)) too_many = middle;
  }
  return best;
}

}  // namespace lectern
