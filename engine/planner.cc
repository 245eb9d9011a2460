#include "engine/planner.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "engine/backend_options.h"
#include "engine/kv_layout.h"
#include "engine/memory.h"

namespace lectern {
namespace {

constexpr std::array<int64_t, 6> kTiers = {int64_t{1} << 15, int64_t{1} << 16, int64_t{1} << 17,
                                           int64_t{1} << 18, int64_t{1} << 19, int64_t{1} << 20};
constexpr int64_t kShareForOthers = 8;  // of the free memory one in so many parts stays free
constexpr int kLeastChunk = 64;
// A multiplication of attention, in floats, takes as long as so many of the weights, in bytes: about as many
// with either width of vectors. From `lectern bench engine --prefill 1024` of the 0.5B in Q4_K_M it foretells
// 257 tokens a second for 8,192 (259 were measured) with AVX-512 VNNI, 144 (142 and 140) with AVX2.
constexpr double kAttentionCost = 3;
constexpr int64_t kChunkShare = 16;  // activations may take one in so many parts of what the weights leave

// "32K", "1M", or the number where it is no whole K.
std::string in_thousands(int64_t tokens) {
  if (tokens % (int64_t{1} << 20) == 0) return std::to_string(tokens >> 20) + "M";
  if (tokens % (int64_t{1} << 10) == 0) return std::to_string(tokens >> 10) + "K";
  return std::to_string(tokens);
}

std::string with_commas(int64_t n) {
  std::string digits = std::to_string(n);
  for (int64_t at = static_cast<int64_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<size_t>(at), ",");
  return digits;
}

std::string describe_seconds(double seconds) {
  if (seconds < 90) return std::to_string(std::lround(std::max(1.0, seconds))) + " s";
  if (seconds < 5400) return std::to_string(std::lround(seconds / 60)) + " min";
  return std::to_string(std::lround(seconds / 3600)) + " h";
}

std::string_view name_of(KvType type) {
  return kKvTypeNames[static_cast<int>(type)];
}

int64_t kv_bytes(const ContextCosts& costs, KvType type) {
  return type == KvType::kInt8 ? costs.kv_bytes_int8 : costs.kv_bytes_f16;
}

std::string text_of(const ContextWish& wish) {
  return "the text is " + with_commas(wish.text_tokens) + " tokens";
}

// Without commas: the number may be wanted for an option.
std::string what_would_fit(const ContextWish& wish, int64_t tokens) {
  const int64_t text = tokens - wish.other_tokens;
  if (text < kKvPageTokens) return "; nothing of it would fit";
  return "; up to " + std::to_string(text) + " tokens of text would fit";
}

}  // namespace

ContextCosts context_costs(const ModelFile& model) {
  const Qwen2Config& c = model.config();
  ContextCosts costs;
  costs.context_tokens = c.context_tokens();
  costs.weight_bytes = static_cast<int64_t>(model.file_bytes());
  costs.kv_bytes_f16 = kv_bytes_per_token(c, kv_layer_types(c, KvType::kF16));
  costs.kv_bytes_int8 = kv_bytes_per_token(c, kv_layer_types(c, KvType::kInt8));
  const double h = c.hidden_size, q = c.q_size(), kv = c.kv_size(), layers = c.num_hidden_layers;
  const bool experts = c.architecture == Architecture::kQwen2Moe;
  const double intermediate = experts ? double{1} * c.num_experts_per_tok * c.moe_intermediate_size +
                                            c.shared_expert_intermediate_size
                                      : c.intermediate_size;
  costs.token_work = layers * h * (2 * q + 2 * kv + 3 * intermediate);
  costs.attention_work = kAttentionCost * layers * 2 * q;
  // Rows of floats, queries once for each kind of key chunk, and what is quantised of them beside.
  const double floats = 2 * h + 5 * q + 2 * kv + 3 * intermediate;
  costs.activation_bytes = static_cast<int64_t>(floats * sizeof(float) * 1.25);
  return costs;
}

double reading_work(const ContextCosts& costs, int64_t n_tokens) {
  const auto n = static_cast<double>(n_tokens);
  return n * costs.token_work + n * (n + 1) / 2 * costs.attention_work;
}

ContextPlan plan_context(const ContextCosts& costs, const ContextWish& wish) {
  ContextPlan plan{.text_tokens = wish.text_tokens, .other_tokens = wish.other_tokens, .sparse = wish.sparse};
  const int64_t wanted = wish.text_tokens + wish.other_tokens;
  const int64_t limit = wish.max_context_tokens > 0
                            ? std::min<int64_t>(wish.max_context_tokens, costs.context_tokens)
                            : costs.context_tokens;
  const int64_t usable = wish.free_bytes - wish.free_bytes / kShareForOthers;
  const int64_t memory = usable - costs.weight_bytes;
  int chunk = kCpuPrefillChunk;
  while (chunk > kLeastChunk && chunk * costs.activation_bytes > memory / kChunkShare) chunk /= 2;
  plan.prefill_chunk_tokens = chunk;
  const int64_t activations = chunk * costs.activation_bytes;
  const auto affordable = [&](KvType type) {
    return std::max<int64_t>(0, memory - activations) / kv_bytes(costs, type) / kKvPageTokens * kKvPageTokens;
  };
  plan.kv_type = wish.kv_type.value_or(KvType::kF16);
  if (!wish.kv_type && affordable(KvType::kF16) < wanted) plan.kv_type = KvType::kInt8;
  const int64_t room = affordable(plan.kv_type);
  plan.kv_bytes = wanted * kv_bytes(costs, plan.kv_type);
  plan.bytes = plan.kv_bytes + activations + costs.weight_bytes;
  if (wanted > limit) {
    plan.refusal = text_of(wish) + ", and with " + with_commas(wish.other_tokens) +
                   " for question and answer that is more than the " +
                   (limit == costs.context_tokens ? "model's context of " : "context may have, ") +
                   with_commas(limit) + what_would_fit(wish, std::min(limit, room));
    return plan;
  }
  if (wanted > room) {
    plan.refusal = text_of(wish) + ", and to read it takes " +
                   describe_bytes(static_cast<double>(plan.bytes)) + " with the KV cache in " +
                   std::string(name_of(plan.kv_type)) + ", but of the memory " +
                   describe_bytes(static_cast<double>(std::max<int64_t>(0, usable))) + " can be had" +
                   what_would_fit(wish, room);
    return plan;
  }
  const auto tier = std::find_if(kTiers.begin(), kTiers.end(), [&](int64_t t) { return t >= wanted; });
  const int64_t context = tier == kTiers.end() ? limit : *tier;
  plan.context_tokens = static_cast<int>(std::max(std::min({context, limit, room}), wanted));
  if (wish.speed && wish.speed->tokens > 0) {
    plan.seconds =
        wish.speed->seconds * reading_work(costs, wish.text_tokens) / reading_work(costs, wish.speed->tokens);
  }
  return plan;
}

std::string describe(const ContextPlan& plan) {
  if (!plan.fits()) return plan.refusal;
  std::string line = with_commas(plan.text_tokens) + " tokens of text in a context of " +
                     in_thousands(plan.context_tokens) + "; KV in " + std::string(name_of(plan.kv_type)) +
                     ", " + describe_bytes(static_cast<double>(plan.kv_bytes)) + "; read " +
                     (plan.is_sparse() ? "sparsely" : "in full") + ", " +
                     std::to_string(plan.prefill_chunk_tokens) + " at a time; " +
                     describe_bytes(static_cast<double>(plan.bytes)) + " of memory in all; ";
  if (plan.kept) return line + "kept from an earlier reading: it is not read again";
  if (!plan.seconds) return line + "how long it takes is not known yet on this machine";
  return line + (plan.is_sparse() ? "at most " : "about ") + describe_seconds(*plan.seconds);
}

}  // namespace lectern
