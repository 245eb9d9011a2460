#include "agent/context.h"

#include <unordered_set>

#include "agent/orders.h"

namespace lectern {
namespace {

// No text has fewer characters a token than a token has bytes at most, in practice far fewer than this.
constexpr uint64_t kMaxCharactersOfToken = 16;
constexpr int kChunksAtOnce = 64;

}  // namespace

int leave_out_orders(std::vector<EvidencePassage>& passages) {
  int n = 0;
  for (EvidencePassage& passage : passages) {
    ScreenedText screened = without_orders(passage.text);
    n += screened.n_orders;
    passage.text = std::move(screened.text);
  }
  return n;
}

std::optional<FilledContext> whole_documents(DocumentSource& documents, const LanguageModel& model,
                                             int max_tokens) {
  if (max_tokens <= 0 || documents.n_chunks() == 0) return std::nullopt;
  if (documents.n_characters() > static_cast<uint64_t>(max_tokens) * kMaxCharactersOfToken)
    return std::nullopt;
  std::vector<SourcePassage> chunks;
  for (const int64_t id : documents.document_ids()) {
    for (int first = 0;; first += kChunksAtOnce) {
      std::vector<SourcePassage> some = documents.read(id, first, kChunksAtOnce);
      const bool last = some.size() < kChunksAtOnce;
      for (SourcePassage& chunk : some) chunks.push_back(std::move(chunk));
      if (last) break;
    }
  }
  FilledContext context;
  context.passages = merge_neighbours(std::move(chunks));
  context.orders = leave_out_orders(context.passages);
  context.tokens = model.count_tokens(render_passages(context.passages));
  if (context.tokens > max_tokens) return std::nullopt;
  return context;
}

std::vector<SourcePassage> first_of_each(std::vector<SourcePassage> ranked, size_t limit) {
  std::unordered_set<int64_t> seen;
  std::erase_if(ranked, [&](const SourcePassage& p) { return !seen.insert(p.chunk_id).second; });
  if (ranked.size() > limit) ranked.resize(limit);
  return ranked;
}

void add_unread(std::vector<SourcePassage> chunks, FilledContext& context) {
  std::vector<EvidencePassage> unread = merge_neighbours(std::move(chunks));
  leave_out_orders(unread);
  context.n_unread += unread.size();
  for (EvidencePassage& passage : unread) context.passages.push_back(std::move(passage));
}

FilledContext fill_context(const std::vector<SourcePassage>& ranked, const LanguageModel& model,
                           int max_tokens) {
  // First by the cost of each chunk alone, then exactly: the rendered whole decides.
  std::vector<SourcePassage> chosen;
  int tokens = 0;
  for (const SourcePassage& chunk : ranked) {
    const int cost = model.count_tokens(render_passages(merge_neighbours({chunk})));
    if (tokens + cost > max_tokens) continue;
    tokens += cost;
    chosen.push_back(chunk);
  }
  FilledContext context;
  for (;; chosen.pop_back()) {
    context.passages = merge_neighbours(chosen);
    context.orders = leave_out_orders(context.passages);
    context.tokens = model.count_tokens(render_passages(context.passages));
    if (context.tokens <= max_tokens || chosen.empty()) break;
  }
  context.left_out = static_cast<int>(ranked.size() - chosen.size());
  return context;
}

}  // namespace lectern
