#include "apps/cli/squad_data.h"

#include <algorithm>
#include <memory>
#include <numeric>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"

namespace lectern {
namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{1} << 30;

class Reader {
 public:
  explicit Reader(const std::filesystem::path& path) : origin_(path.string()) {
    root_ = parse_json(read_file(path, kMaxFileBytes), origin_);
  }

  SquadData read() {
    SquadData data;
    for (const Json& article : list(root_, "data", "the file")) {
      const std::string title = string(article, "title", "an article");
      Document document;
      document.format = "text";
      document.title = title;
      std::replace(document.title.begin(), document.title.end(), '_', ' ');
      for (const Json& paragraph : list(article, "paragraphs", title)) {
        if (!document.text.empty()) document.text += "\n\n";
        const uint64_t begin = document.text.size();
        document.text += string(paragraph, "context", title);
        if (document.text.find_first_not_of(" \t\r\n", begin) == std::string::npos)
          throw Error(ErrorCode::kCorrupt, origin_ + ": an empty \"context\" in " + title);
        for (const Json& entry : list(paragraph, "qas", title)) {
          data.questions.push_back(question(entry));
          data.questions.back().number = data.questions.size() - 1;
          data.questions.back().article = data.articles.size();
          data.questions.back().paragraph_begin = begin;
          data.questions.back().paragraph_end = document.text.size();
        }
      }
      data.articles.push_back(std::move(document));
    }
    if (data.questions.empty()) throw Error(ErrorCode::kCorrupt, origin_ + ": holds no question");
    return data;
  }

 private:
  SquadQuestion question(const Json& entry) {
    SquadQuestion out;
    out.question = string(entry, "question", "a question");
    if (entry.contains("id")) out.id = string(entry, "id", out.question);
    for (const Json& answer : list(entry, "answers", out.question)) {
      out.answers.push_back(string(answer, "text", out.question));
    }
    if (out.answers.empty())
      throw Error(ErrorCode::kCorrupt, origin_ + ": no answer for '" + out.question + "'");
    return out;
  }

  const Json& field(const Json& object, const char* key, const std::string& where) {
    const auto found = object.is_object() ? object.find(key) : object.end();
    if (!object.is_object() || found == object.end()) {
      throw Error(ErrorCode::kCorrupt,
                  origin_ + ": no \"" + key + "\" in " + where + "; a file in SQuAD format is needed");
    }
    return *found;
  }

  const Json& list(const Json& object, const char* key, const std::string& where) {
    const Json& value = field(object, key, where);
    if (!value.is_array())
      throw Error(ErrorCode::kCorrupt, origin_ + ": \"" + key + "\" of " + where + " is no list");
    return value;
  }

  std::string string(const Json& object, const char* key, const std::string& where) {
    const Json& value = field(object, key, where);
    if (!value.is_string()) {
      throw Error(ErrorCode::kCorrupt, origin_ + ": \"" + key + "\" of " + where + " is no string");
    }
    return value.get<std::string>();
  }

  std::string origin_;
  Json root_;
};

// SplitMix64 (Steele, Lea, Flood 2014): the same draws in any language.
uint64_t next_random(uint64_t& state) {
  state += 0x9E3779B97F4A7C15u;
  uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

}  // namespace

bool holds_answer(const SquadQuestion& question, uint64_t begin, uint64_t end, std::string_view text) {
  if (begin >= question.paragraph_end || end <= question.paragraph_begin) return false;
  return std::any_of(question.answers.begin(), question.answers.end(),
                     [&](const std::string& answer) { return text.find(answer) != std::string_view::npos; });
}

std::string place_of(const SquadQuestion& question, const std::filesystem::path& file) {
  return file.string() + ": question " +
         (question.id.empty() ? std::to_string(question.number + 1) : question.id);
}

SquadData read_squad(const std::filesystem::path& path) {
  return Reader(path).read();
}

std::unique_ptr<Collection> make_collection(const SquadData& data, const std::vector<bool>& left_out) {
  auto collection = Collection::open_in_memory();
  for (size_t i = 0; i < data.articles.size(); ++i) {
    if (!left_out.empty() && left_out[i]) continue;
    std::string number = std::to_string(i + 1);
    number.insert(0, number.size() < 4 ? 4 - number.size() : 0, '0');
    collection->add(number + " " + data.articles[i].title, data.articles[i]);
  }
  return collection;
}

std::vector<size_t> sample_numbers(size_t n, int limit, uint64_t seed) {
  std::vector<size_t> numbers(n);
  std::iota(numbers.begin(), numbers.end(), size_t{0});
  if (limit <= 0) return numbers;
  const size_t drawn = std::min(n, static_cast<size_t>(limit));
  uint64_t state = seed;
  for (size_t i = 0; i < drawn; ++i) std::swap(numbers[i], numbers[i + next_random(state) % (n - i)]);
  numbers.resize(drawn);
  return numbers;
}

std::vector<bool> leave_out_half(size_t n_articles, uint64_t seed) {
  std::vector<bool> left_out(n_articles);
  for (size_t i = 0; i < n_articles / 2; ++i) left_out[i] = true;
  uint64_t state = seed;
  for (size_t i = 0; i + 1 < n_articles; ++i) {
    const size_t other = i + next_random(state) % (n_articles - i);
    const bool held = left_out[i];
    left_out[i] = left_out[other];
    left_out[other] = held;
  }
  return left_out;
}

std::vector<SquadQuestion> sample_questions(const SquadData& data, int limit, uint64_t seed) {
  std::vector<SquadQuestion> questions;
  for (const size_t i : sample_numbers(data.questions.size(), limit, seed))
    questions.push_back(data.questions[i]);
  return questions;
}

}  // namespace lectern
