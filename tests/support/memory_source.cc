#include "tests/support/memory_source.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "agent/languages.h"
#include "agent/text_terms.h"
#include "base/utf8.h"

namespace lectern {
namespace {

std::set<std::string> term_set(const std::string& text) {
  std::set<std::string> out;
  for (SupportTerm& term : support_terms(text)) out.insert(std::move(term.text));
  return out;
}

}  // namespace

MemorySource::MemorySource(std::vector<MemoryDocument> documents) : documents_(std::move(documents)) {
  for (size_t d = 0; d < documents_.size(); ++d) {
    std::string text;
    int ordinal = 0;
    for (const std::string& chunk : documents_[d].chunks) {
      if (!text.empty()) text += "\n\n";
      SourcePassage passage;
      passage.chunk_id = static_cast<int64_t>(passages_.size());
      passage.document_id = static_cast<int64_t>(d);
      passage.ordinal = ordinal++;
      passage.path = documents_[d].path;
      passage.title = documents_[d].title;
      passage.begin = text.size();
      passage.end = text.size() + chunk.size();
      passage.text = chunk;
      passages_.push_back(std::move(passage));
      text += chunk;
    }
    texts_.push_back(std::move(text));
  }
}

std::vector<SourcePassage> MemorySource::search(std::span<const SourceQuery> queries, int limit) {
  std::vector<std::set<std::string>> terms;
  std::map<std::string, int> n_with;
  for (const SourcePassage& passage : passages_) {
    terms.push_back(term_set(passage.title + "\n" + passage.text));
    for (const std::string& term : terms.back()) ++n_with[term];
  }
  std::vector<double> fused(passages_.size()), shares(passages_.size());
  for (const SourceQuery& query : queries) {
    searched.push_back(query.text);
    std::vector<std::pair<double, size_t>> ranking;
    double perfect = 0;
    for (const std::string& term : term_set(query.text)) {
      const auto n = n_with.find(term);
      perfect += std::log(1.0 + static_cast<double>(passages_.size()) / (n == n_with.end() ? 1 : n->second));
    }
    for (size_t i = 0; i < passages_.size(); ++i) {
      double score = 0;
      for (const std::string& term : term_set(query.text)) {
        if (terms[i].count(term) > 0)
          score += std::log(1.0 + static_cast<double>(passages_.size()) / n_with[term]);
      }
      if (score > 0) ranking.emplace_back(-score, i);
      if (perfect > 0) shares[i] = std::max(shares[i], score / perfect);
    }
    std::sort(ranking.begin(), ranking.end());
    for (size_t rank = 0; rank < ranking.size(); ++rank) {
      fused[ranking[rank].second] += query.weight / (60.0 + static_cast<double>(rank) + 1);
    }
  }
  std::vector<std::pair<double, size_t>> order;
  for (size_t i = 0; i < fused.size(); ++i) {
    if (fused[i] > 0) order.emplace_back(-fused[i], i);
  }
  std::sort(order.begin(), order.end());
  std::vector<SourcePassage> out;
  for (const auto& [score, i] : order) {
    if (static_cast<int>(out.size()) == limit) break;
    out.push_back(passages_[i]);
    out.back().score = shares[i];
  }
  return out;
}

std::vector<SourcePassage> MemorySource::read(int64_t document_id, int first, int count) {
  std::vector<SourcePassage> out;
  for (const SourcePassage& passage : passages_) {
    if (passage.document_id == document_id && passage.ordinal >= first && passage.ordinal < first + count) {
      out.push_back(passage);
    }
  }
  return out;
}

uint64_t MemorySource::n_characters() {
  uint64_t n = 0;
  for (const std::string& text : texts_) n += utf8::count(text);
  return n;
}

std::vector<int64_t> MemorySource::document_ids() {
  std::vector<int64_t> ids(documents_.size());
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int64_t>(i);
  return ids;
}

std::vector<std::string> MemorySource::languages() {
  std::vector<std::string> out;
  for (const MemoryDocument& document : documents_) {
    if (std::find(out.begin(), out.end(), document.language) == out.end()) out.push_back(document.language);
  }
  return out;
}

std::string MemorySource::guess_language(std::string_view text) {
  const std::string_view code = language_of_script(text);
  return std::string(code.empty() ? "en" : code);
}

std::vector<std::optional<double>> MemorySource::kept_scores(std::span<const std::string> keys) {
  std::vector<std::optional<double>> found;
  for (const std::string& key : keys) {
    const auto kept = scores.find(key);
    found.push_back(kept == scores.end() ? std::nullopt : std::optional(kept->second));
  }
  return found;
}

void MemorySource::keep_scores(std::span<const std::pair<std::string, double>> some) {
  for (const auto& [key, score] : some) scores[key] = score;
}

}  // namespace lectern
