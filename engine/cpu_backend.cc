#include "engine/cpu_backend.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "base/error.h"
#include "engine/backend_options.h"
#include "kernels/cpu/dispatch.h"

namespace lectern {
namespace {

static_assert(kDualChunkMultiple % kKvPageTokens == 0, "key chunks of Dual Chunk Attention are whole pages");

// Raise it with every change after which a bundle or the forward pass rounds differently, be it in one bit:
// KV that was kept before is then read again.
constexpr int kNumericsVersion = 2;

BackendOptions completed(BackendOptions options, const ModelFile& model) {
  check_options(options);
  if (options.fp8)
    throw Error(ErrorCode::kInvalidArgument, "8-bit floats are for CUDA devices; leave out --fp8 on the CPU");
  if (options.n_threads == 0) options.n_threads = ThreadPool::default_size();
  if (options.prefill_chunk_tokens == 0) options.prefill_chunk_tokens = kCpuPrefillChunk;
  options.max_context_tokens = context_within(options, model.config());
  if (options.kv_tokens == 0) {
    // The cache may take a quarter of what memory the weights leave.
    const auto types = kv_layer_types(model.config(), options.kv_type);
    options.kv_tokens = affordable_kv_tokens(
        options.max_context_tokens, kv_bytes_per_token(model.config(), types), available_memory_bytes() / 4);
  }
  options.kv_tokens = (options.kv_tokens + kKvPageTokens - 1) / kKvPageTokens * kKvPageTokens;
  return options;
}

}  // namespace

CpuBackend::CpuBackend(std::shared_ptr<const ModelFile> model, const KernelTable& kernels,
                       const BackendOptions& options, const ProgressFn& progress)
    : options_(completed(options, *model)),
      config_(model->config()),
      pool_(options_.n_threads),
      ops_(kernels, pool_),
      smoothing_(key_smoothing(*model, kv_layer_types(config_, options_.kv_type))),
      weights_(model, kernels, pool_, progress),
      kv_(KvLayout(config_, kv_layer_types(config_, options_.kv_type)), kv_pages_for(options_.kv_tokens)),
      rope_(config_),
      attention_scratch_bytes_(
          (kernels.attention_scratch_bytes(config_.group_size(), config_.head_dim, kKvPageTokens) + 63) / 64 *
          64) {
  attention_scratch_ = AnonymousMemory(attention_scratch_bytes_ * static_cast<size_t>(pool_.size()),
                                       "the attention's scratch");
}

std::string CpuBackend::describe() const {
  return "CPU, " + std::string(ops_.kernels().name) + " kernels, " + std::to_string(pool_.size()) +
         (pool_.size() == 1 ? " thread" : " threads");
}

std::string CpuBackend::numerics() const {
  return std::string(ops_.kernels().numerics) + " " + std::to_string(kNumericsVersion) +
         sparse_numerics(options_.sparse_prefill, config_);
}

uint64_t CpuBackend::weight_bytes_per_token() const {
  return weights_.bytes_per_token();
}

void CpuBackend::forward(const ForwardBatch& batch, std::vector<float>& logits, const CancelToken& cancel) {
  const size_t columns = begin_forward(batch, config_.vocab_size, logits);

  float* next_logits = logits.data();
  for (const BatchPiece& piece : split_batch(batch, options_.prefill_chunk_tokens)) {
    const ScratchArena::Scope scope(arena_);
    Rows rows = embed(piece);
    tap("embed", -1, rows.residual, rows.n);
    for (int l = 0; l < config_.num_hidden_layers; ++l) {
      cancel.throw_if_cancelled();
      layer(l, rows);
      check_finite(rows, l);
    }
    head(rows, batch.label_rows, next_logits);
    next_logits += static_cast<size_t>(piece.n_wanted) * columns;
  }
}

CpuBackend::Rows CpuBackend::embed(const BatchPiece& piece) {
  const auto h = static_cast<size_t>(config_.hidden_size), d = static_cast<size_t>(config_.head_dim);
  const auto n = static_cast<size_t>(piece.n_tokens);
  auto* residual = arena_.take<float>(n * h);
  auto* key_rotation = arena_.take<float>(n * d);
  // A sequence in its chunk number c meets the keys of min(c, 2) + 1 kinds of chunks.
  int n_kinds = 1;
  if (const int chunk = rope_.chunk_tokens(); chunk > 0) {
    for (const BatchPart& part : piece.parts)
      n_kinds =
          std::max(n_kinds, std::min((part.first_position + part.n_tokens - 1) / chunk + 1, kKeyChunks));
  }
  float* query_rotation[kKeyChunks] = {key_rotation};
  if (rope_.chunk_tokens() > 0)
    for (int kind = 0; kind < n_kinds; ++kind) query_rotation[kind] = arena_.take<float>(n * d);
  for (const BatchPart& part : piece.parts) {
    ops_.for_rows(part.n_tokens, [&](int begin, int end) {
      for (int i = begin; i < end; ++i) {
        const auto row = static_cast<size_t>(part.row + i);
        const int position = part.first_position + i;
        weights_.embed(part.sequence->tokens[static_cast<size_t>(part.begin + i)], residual + row * h);
        rope_.fill_key(position, key_rotation + row * d);
        if (rope_.chunk_tokens() == 0) continue;
        for (int kind = 0; kind < n_kinds; ++kind)
          rope_.fill_query(position, static_cast<KeyChunk>(kind), query_rotation[kind] + row * d);
      }
    });
  }
  Rows rows{.parts = piece.parts, .n = piece.n_tokens, .residual = residual, .key_rotation = key_rotation};
  std::copy(query_rotation, query_rotation + kKeyChunks, rows.query_rotation);
  return rows;
}

void CpuBackend::layer(int index, Rows& rows) {
  const CpuLayer& w = weights_.layers()[static_cast<size_t>(index)];
  const ScratchArena::Scope scope(arena_);
  const int h = config_.hidden_size, q_size = config_.q_size(), kv_size = config_.kv_size();
  const auto n = static_cast<size_t>(rows.n);
  auto* normed = arena_.take<float>(n * static_cast<size_t>(h));
  auto* q = arena_.take<float>(n * static_cast<size_t>(q_size));
  auto* k = arena_.take<float>(n * static_cast<size_t>(kv_size));
  auto* v = arena_.take<float>(n * static_cast<size_t>(kv_size));
  auto* attended = arena_.take<float>(n * static_cast<size_t>(q_size));
  Queries queries{{q}};
  for (int kind = 1; kind < kKeyChunks; ++kind)
    if (rows.query_rotation[kind] != nullptr)
      queries.of[kind] = arena_.take<float>(n * static_cast<size_t>(q_size));

  normalise(rows.residual, w.source->input_layernorm, rows.n, normed);
  const PackedMatrix* const qkv[] = {&w.q_proj, &w.k_proj, &w.v_proj};
  const auto x = quantised(normed, rows.n, qkv);
  const MatmulJob qkv_jobs[] = {{&w.q_proj, x[0], rows.n, q, q_size, w.source->q_bias.data()},
                                {&w.k_proj, x[1], rows.n, k, kv_size, w.source->k_bias.data()},
                                {&w.v_proj, x[2], rows.n, v, kv_size, w.source->v_bias.data()}};
  ops_.matmul(qkv_jobs);
  rotate_queries(index, rows, q, queries);
  store_kv(index, rows, k, v);
  if (index == config_.num_hidden_layers - 1) keep_wanted(rows, queries);
  if (rows.n == 0) return;

  attend(index, rows, queries, attended);
  const PackedMatrix* const o[] = {&w.o_proj};
  const MatmulJob o_job[] = {{.w = &w.o_proj,
                              .x = quantised(attended, rows.n, o)[0],
                              .n_tokens = rows.n,
                              .y = rows.residual,
                              .y_stride = h,
                              .accumulate = true}};
  ops_.matmul(o_job);
  tap("attention", index, rows.residual, rows.n);

  normalise(rows.residual, w.source->post_attention_layernorm, rows.n, normed);
  if (config_.architecture == Architecture::kQwen2Moe) {
    sparse_mlp(w, normed, rows.n, rows.residual);
  } else {
    const MlpJob job[] = {{&w.mlp, normed, rows.n, rows.residual, true}};
    mlps(job);
  }
  tap("output", index, rows.residual, rows.n);
}

namespace {

// The key or value x[head_dim] at `position` into its page's block.
void store_head(const KernelTable& kernels, const float* x, int head_dim, KvType type, int position,
                std::byte* block) {
  const auto d = static_cast<size_t>(head_dim), slot = static_cast<size_t>(position % kKvPageTokens);
  if (type == KvType::kF16) {
    kernels.to_half(x, head_dim, reinterpret_cast<uint16_t*>(block) + slot * d);
  } else {
    auto* scales = reinterpret_cast<float*>(block + static_cast<size_t>(kKvPageTokens) * d);
    kernels.to_int8(x, head_dim, reinterpret_cast<int8_t*>(block) + slot * d, scales + slot);
  }
}

// x[scales.size()]; nothing where there are no scales.
void scale_channels(const Vector& scales, float* x) {
  for (size_t i = 0; i < scales.size(); ++i) x[i] *= scales[i];
}

}  // namespace

// q, which may be one of the results, as each kind of keys meets it. Scales q in place.
void CpuBackend::rotate_queries(int index, const Rows& rows, float* q, const Queries& queries) {
  const Vector& scales = smoothing_[static_cast<size_t>(index)].q;
  const auto d = static_cast<size_t>(config_.head_dim), q_size = static_cast<size_t>(config_.q_size());
  ops_.for_rows(rows.n, [&](int begin, int end) {
    for (auto row = static_cast<size_t>(begin); row < static_cast<size_t>(end); ++row) {
      scale_channels(scales, q + row * q_size);
      for (int kind = kKeyChunks - 1; kind >= 0; --kind) {  // q itself last
        if (queries.of[kind] == nullptr) continue;
        float* rotated = queries.of[kind] + row * q_size;
        if (rotated != q + row * q_size) std::copy_n(q + row * q_size, q_size, rotated);
        ops_.kernels().rope(rotated, rows.query_rotation[kind] + row * d, config_.num_attention_heads,
                            config_.head_dim);
      }
    }
  });
}

// Scales and rotates k in place and writes k and v into the pages.
void CpuBackend::store_kv(int index, const Rows& rows, float* k, const float* v) {
  const KernelTable& kernels = ops_.kernels();
  const auto d = static_cast<size_t>(config_.head_dim), kv_size = static_cast<size_t>(config_.kv_size());
  for (const BatchPart& part : rows.parts) {
    ops_.for_rows(part.n_tokens, [&](int begin, int end) {
      for (int i = begin; i < end; ++i) {
        const auto row = static_cast<size_t>(part.row + i);
        const int position = part.first_position + i;
        scale_channels(smoothing_[static_cast<size_t>(index)].k, k + row * kv_size);
        kernels.rope(k + row * kv_size, rows.key_rotation + row * d, config_.num_key_value_heads,
                     config_.head_dim);
        const KvPageId page = part.sequence->pages[static_cast<size_t>(position / kKvPageTokens)];
        const auto [k_type, v_type] = kv_.layout().types()[static_cast<size_t>(index)];
        for (int head = 0; head < config_.num_key_value_heads; ++head) {
          const size_t from = row * kv_size + static_cast<size_t>(head) * d;
          store_head(kernels, k + from, config_.head_dim, k_type, position, kv_.keys(page, index, head));
          store_head(kernels, v + from, config_.head_dim, v_type, position, kv_.values(page, index, head));
        }
      }
    });
  }
}

// Nothing after the last layer's keys and values depends on tokens whose logits are not wanted: drops them.
void CpuBackend::keep_wanted(Rows& rows, const Queries& queries) const {
  const auto h = static_cast<size_t>(config_.hidden_size), q_size = static_cast<size_t>(config_.q_size());
  int kept = 0;
  for (BatchPart& part : rows.parts) {
    const int dropped = part.n_tokens - part.n_wanted;
    const auto from = static_cast<size_t>(part.row + dropped), to = static_cast<size_t>(kept),
               n = static_cast<size_t>(part.n_wanted);
    std::memmove(rows.residual + to * h, rows.residual + from * h, n * h * sizeof(float));
    for (float* q : queries.of)
      if (q != nullptr) std::memmove(q + to * q_size, q + from * q_size, n * q_size * sizeof(float));
    part = wanted_part(part, kept);
    kept += part.n_tokens;
  }
  rows.n = kept;
}

void CpuBackend::head(const Rows& rows, std::span<const int32_t> label_rows, float* logits) {
  if (rows.n == 0) return;
  const ScratchArena::Scope scope(arena_);
  const auto n = static_cast<size_t>(rows.n);
  auto* normed = arena_.take<float>(n * static_cast<size_t>(config_.hidden_size));
  normalise(rows.residual, weights_.model().weights().norm, rows.n, normed);
  tap("norm", config_.num_hidden_layers, normed, rows.n);
  const PackedMatrix& all = weights_.head();
  const PackedMatrix* const matrices[] = {&all};
  const void* x = quantised(normed, rows.n, matrices)[0];
  if (label_rows.empty()) {
    const MatmulJob job[] = {{&all, x, rows.n, logits, config_.vocab_size}};
    ops_.matmul(job);
    return;
  }
  // A row tile of the head is a matrix of its own: the tiles that hold the labels, then one column of each.
  const size_t n_labels = label_rows.size();
  std::vector<PackedMatrix> tiles(n_labels);
  std::vector<MatmulJob> jobs(n_labels);
  for (size_t i = 0; i < n_labels; ++i) {
    const int tile = label_rows[i] / kRowTile;
    tiles[i] = all;
    tiles[i].data = static_cast<const std::byte*>(all.data) + static_cast<size_t>(tile) * all.row_tile_bytes;
    tiles[i].rows = std::min(kRowTile, all.rows - tile * kRowTile);
    jobs[i] = {&tiles[i], x, rows.n, arena_.take<float>(n * kRowTile), kRowTile};
  }
  ops_.matmul(jobs);
  for (size_t i = 0; i < n_labels; ++i) {
    for (size_t t = 0; t < n; ++t) {
      logits[t * n_labels + i] = jobs[i].y[t * kRowTile + static_cast<size_t>(label_rows[i] % kRowTile)];
    }
  }
}

void CpuBackend::normalise(const float* x, const Vector& weight, int n, float* out) {
  const auto h = static_cast<size_t>(config_.hidden_size);
  ops_.for_rows(n, [&](int begin, int end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      ops_.kernels().rmsnorm(x + i * h, weight.data(), config_.hidden_size, config_.rms_norm_eps,
                             out + i * h);
    }
  });
}

std::vector<const void*> CpuBackend::quantised(const float* x, int n,
                                               std::span<const PackedMatrix* const> weights) {
  const KernelTable& kernels = ops_.kernels();
  std::vector<const void*> result;
  std::vector<QuantizeJob> jobs;
  for (const PackedMatrix* w : weights) {
    auto same = std::find_if(jobs.begin(), jobs.end(), [&](const QuantizeJob& job) {
      return kernels.activation_format(job.dtype) == kernels.activation_format(w->dtype);
    });
    if (same == jobs.end()) {
      auto* out = arena_.take<std::byte>(kernels.activation_bytes(w->dtype, n, w->cols));
      same = jobs.insert(jobs.end(), {w->dtype, x, n, w->cols, out});
    }
    result.push_back(same->out);
  }
  ops_.quantize(jobs);
  return result;
}

// A damaged file shows as NaN or infinity somewhere; the last row has seen all the others.
void CpuBackend::check_finite(const Rows& rows, int layer) const {
  if (rows.n == 0) return;
  const auto h = static_cast<size_t>(config_.hidden_size);
  const float* last = rows.residual + static_cast<size_t>(rows.n - 1) * h;
  if (!std::isfinite(std::accumulate(last, last + h, 0.0f))) {
    throw Error(ErrorCode::kCorrupt, weights_.model().path().string() + ": layer " + std::to_string(layer) +
                                         " gives numbers that are not finite; the file is damaged or needs a "
                                         "higher precision");
  }
}

void CpuBackend::tap(std::string_view stage, int layer, const float* values, int n) const {
  if (tap_)
    tap_(stage, layer, {values, static_cast<size_t>(n) * static_cast<size_t>(config_.hidden_size)}, n);
}

std::unique_ptr<Backend> make_cpu_backend(std::shared_ptr<const ModelFile> model,
                                          const BackendOptions& options, const ProgressFn& progress) {
  return std::make_unique<CpuBackend>(std::move(model), active_kernel_table(), options, progress);
}

}  // namespace lectern
