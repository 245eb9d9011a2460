#include "apps/cli/ruler_tasks.h"

#include <algorithm>
#include <map>
#include <set>
#include <sstream>

#include "apps/cli/answer_match.h"
#include "apps/cli/prose.h"
#include "base/error.h"
#include "tests/support/catch.h"

namespace lectern {
namespace {

// A token is a few bytes of what the model would read.
int tokens(const RulerSample& sample) {
  return static_cast<int>(sample.prompt().size() + sample.reply_prefix.size()) / 4;
}

size_t occurrences(std::string_view text, std::string_view part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

// Fifteen articles of twenty paragraphs with a question each.
SquadData questions() {
  SquadData data;
  for (size_t article = 0; article < 15; ++article) {
    Document document;
    for (int i = 0; i < 20; ++i) {
      const std::string id = std::to_string(100 * article + static_cast<size_t>(i));
      if (i > 0) document.text += "\n\n";
      const uint64_t begin = document.text.size();
      document.text += "House " + id + " was built by mason number M" + id + " of the old guild.";
      data.questions.push_back({.id = id,
                                .question = "Who built house " + id + "?",
                                .answers = {"mason number M" + id, "M" + id},
                                .number = data.questions.size(),
                                .article = article,
                                .paragraph_begin = begin,
                                .paragraph_end = document.text.size()});
    }
    data.articles.push_back(document);
  }
  return data;
}

}  // namespace

TEST_CASE("every task keeps its length and says its answers") {
  const SquadData data = questions();
  std::set<std::string> texts;
  for (const std::string& task : ruler_task_names()) {
    for (const int n : {2000, 4000}) {
      for (const uint32_t seed : {1u, 5u}) {
        INFO(task << " " << n << " " << seed);
        const RulerSample sample = make_ruler_sample(task, n, seed, tokens, data);
        CHECK(tokens(sample) <= n);
        CHECK(tokens(sample) > n - 60);  // the longest unit: a word that comes three times, numbered
        REQUIRE_FALSE(sample.answers.empty());
        for (const std::string& answer : sample.answers) {
          CHECK(occurrences(sample.text, answer) >= 1);
          CHECK(occurrences(sample.question, answer) == 0);
          CHECK(occurrences(sample.reply_prefix, answer) == 0);
        }
        CHECK(std::set<std::string>(sample.answers.begin(), sample.answers.end()).size() ==
              sample.answers.size());
        CHECK(sample.max_new_tokens > 0);
        CHECK(sample.max_new_tokens <= ruler_max_new_tokens());
        CHECK(make_ruler_sample(task, n, seed, tokens, data).prompt() == sample.prompt());
        CHECK(texts.insert(sample.prompt()).second);
      }
    }
  }
}

TEST_CASE("needles stand once each under the names that are asked for") {
  struct Case {
    std::string task;
    size_t n_answers, n_needles;  // 0: the text is nothing but needles
  };
  for (const Case& c :
       {Case{"niah_single_1", 1, 1}, Case{"niah_single_2", 1, 1}, Case{"niah_single_3", 1, 1},
        Case{"niah_multikey_1", 1, 4}, Case{"niah_multikey_2", 1, 0}, Case{"niah_multikey_3", 1, 0},
        Case{"niah_multivalue", 4, 4}, Case{"niah_multiquery", 4, 4}}) {
    INFO(c.task);
    const RulerSample sample = make_ruler_sample(c.task, 3000, 7, tokens);
    const size_t n_needles = occurrences(sample.text, "The registered code of ");
    CHECK(sample.answers.size() == c.n_answers);
    CHECK((c.n_needles == 0 ? n_needles > 50 : n_needles == c.n_needles));
    for (const std::string& answer : sample.answers) {
      CHECK(occurrences(sample.text, answer) == 1);
      // The name that it is registered under is asked for.
      const std::string before = sample.text.substr(0, sample.text.find(answer));
      const std::string start = "The registered code of ";
      const size_t begin = before.rfind(start) + start.size();
      const std::string name = before.substr(begin, before.rfind(" is ") - begin);
      CHECK(occurrences(sample.question, name) == 1);
      CHECK(occurrences(sample.text, name + " is") == (c.task == "niah_multivalue" ? 4 : 1));
    }
  }
}

TEST_CASE("variables get the value one from the other in order") {
  const RulerSample sample = make_ruler_sample("vt", 2000, 3, tokens);
  REQUIRE(sample.answers.size() == 5);
  size_t at = sample.text.find("VAR " + sample.answers[0] + " = ");
  REQUIRE(at != std::string::npos);
  const std::string value = sample.text.substr(at + 12, 5);
  CHECK(occurrences(sample.text, value) == 1);
  CHECK(occurrences(sample.question, value) == 1);
  for (size_t i = 1; i < sample.answers.size(); ++i) {
    const size_t next = sample.text.find("VAR " + sample.answers[i] + " = VAR " + sample.answers[i - 1]);
    REQUIRE(next != std::string::npos);
    CHECK(next > at);
    at = next;
  }
}

TEST_CASE("common and frequent words come more often than all others") {
  for (const std::string task : {"cwe", "fwe"}) {
    for (const int n : {2000, 6000}) {
      INFO(task << " " << n);
      const RulerSample sample = make_ruler_sample(task, n, 2, tokens);
      std::map<std::string, int> times;
      for (const std::string& word : words_of(sample.text)) ++times[word];
      int least = 1 << 30, most_of_others = 0;
      for (const auto& [word, count] : times) {
        if (word.ends_with(".")) continue;  // the numbers of the list
        const bool is_answer =
            std::find(sample.answers.begin(), sample.answers.end(), word) != sample.answers.end();
        if (is_answer) least = std::min(least, count);
        if (!is_answer) most_of_others = std::max(most_of_others, count);
      }
      CHECK(sample.answers.size() == (task == "cwe" ? 10 : 3));
      CHECK(most_of_others > 0);
      CHECK(least > most_of_others);
      if (task == "cwe") CHECK(least == 30);
      if (task == "cwe") CHECK(most_of_others == 3);
    }
  }
}

TEST_CASE("a question stands with its paragraph among paragraphs of other articles") {
  const SquadData data = questions();
  const RulerSample sample = make_ruler_sample("qa", 1000, 4, tokens, data);
  CHECK(sample.any_answer);
  CHECK(occurrences(sample.text, "Document ") > 20);
  const std::string house = sample.question.substr(sample.question.find("house"));
  const auto id = std::stoi(house.substr(6));
  // Only its own paragraph is of its article.
  size_t of_article = 0;
  for (int i = 0; i < 20; ++i)
    of_article += occurrences(sample.text, "House " + std::to_string(id / 100 * 100 + i) + " was");
  CHECK(of_article == 1);
  CHECK(contains_answer(sample.text, sample.answers));
}

TEST_CASE("what does not fit is one error with the remedy") {
  CHECK_THROWS_WITH(make_ruler_sample("cwe", 300, 1, tokens),
                    Catch::Contains("cwe needs ") && Catch::Contains("give more --tokens"));
  CHECK_THROWS_WITH(make_ruler_sample("qa", 100'000, 1, tokens, questions()),
                    Catch::Contains("qa has text for ") && Catch::Contains("a longer --data"));
  CHECK_THROWS_WITH(make_ruler_sample("nothing", 1000, 1, tokens), Catch::Contains("'nothing'"));
  CHECK(ruler_needs_whole_text("vt"));
  CHECK_FALSE(ruler_needs_whole_text("qa"));
}

TEST_CASE("a reply scores the share of the answers that it holds") {
  RulerSample sample;
  sample.answers = {"quiet-lantern", "1234567", "ABCDE", "golden-anchor"};
  CHECK(ruler_score(sample, "") == 0);
  CHECK(ruler_score(sample, "1234567, Quiet-Lantern") == 0.5);
  CHECK(ruler_score(sample, "91234567 golden-anchors") == 0);  // neither is one of them
  CHECK(ruler_score(sample, "abcde 1234567. quiet-lantern; golden-anchor!") == 1);
  sample.any_answer = true;
  CHECK(ruler_score(sample, "it is abcde") == 1);
  CHECK(ruler_score(sample, "nothing") == 0);
}

TEST_CASE("names are different and as many as asked for") {
  for (const size_t n : {size_t{1}, size_t{799}, size_t{800}, Prose::kMaxNames}) {
    const std::vector<std::string> names = Prose(9).names(n);
    CHECK(names.size() == n);
    CHECK(std::set<std::string>(names.begin(), names.end()).size() == n);
  }
}

}  // namespace lectern
