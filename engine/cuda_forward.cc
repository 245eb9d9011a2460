#include "engine/cuda_forward.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "engine/backend_options.h"
#include "engine/memory.h"

namespace lectern {
namespace {

// Raise it with every change after which the pass rounds differently: KV that was kept before is then read
// again.
constexpr int kNumericsVersion = 2;

constexpr size_t kLeastPrefillChunk = 256, kMostPrefillChunk = 8192;
// Larger batches than this are worth their launches.
constexpr int kMostGraphRows = 64;

// Kernels may load four numbers at a time.
size_t padded(size_t bytes) {
  return (bytes + 15) / 16 * 16;
}

int64_t free_device_bytes() {
  size_t free = 0, total = 0;
  check_cuda(cudaMemGetInfo(&free, &total), "say how much memory is free");
  return static_cast<int64_t>(free);
}

size_t activation_bytes_per_token(const Qwen2Config& c) {
  const auto u = [](int n) { return static_cast<size_t>(n); };
  const size_t kinds = c.dual_chunk_attention ? kKeyChunks : 1;
  const size_t slots = u(c.num_experts_per_tok);
  size_t bytes = u(c.hidden_size) * (4 + 4 + 2) + (u(c.q_size()) + 2 * u(c.kv_size())) * 4 +
                 u(c.q_size()) * (2 * 2 * kinds + 2) + u(c.head_dim) * 4 * (1 + kinds);
  bytes += 4 * std::max({u(c.intermediate_size), u(c.moe_intermediate_size) * slots,
                         u(c.shared_expert_intermediate_size)});
  return bytes + slots * u(c.hidden_size) * 6;
}

void check_supported(const ModelFile& model) {
  const Qwen2Config& c = model.config();
  const auto fail = [&](const std::string& what) {
    throw Error(ErrorCode::kUnsupported, model.path().string() + ": " + what +
                                             " cannot be computed on a CUDA device; --device cpu can");
  };
  if (c.head_dim % 8 != 0 || c.head_dim > 256)
    fail("heads of " + std::to_string(c.head_dim) + " numbers (multiples of 8 up to 256 are taken)");
  for (const int width :
       {c.hidden_size, c.intermediate_size, c.moe_intermediate_size, c.shared_expert_intermediate_size})
    if (width % 8 != 0) fail("a width of " + std::to_string(width) + " (multiples of 8 are taken)");
}

std::shared_ptr<const ModelFile> supported(std::shared_ptr<const ModelFile> model) {
  check_supported(*model);
  return model;
}

}  // namespace

CudaBackend::SelectDevice::SelectDevice(int index_) : index(index_) {
  check_cuda(cudaSetDevice(index), "be used");
}

CudaBackend::CudaBackend(std::shared_ptr<const ModelFile> model, int device, const BackendOptions& options,
                         const ProgressFn& progress)
    : device_((check_options(options), device)),
      options_(options),
      config_(model->config()),
      matmul_(stream_),
      weights_(supported(model), key_smoothing(*model, kv_layer_types(config_, options.kv_type)), stream_,
               progress),
      layout_(config_, kv_layer_types(config_, options.kv_type)),
      rope_(config_) {
  cudaDeviceProp properties;
  check_cuda(cudaGetDeviceProperties(&properties, device), "say what it is");
  device_name_ = properties.name;
  compute_capability_ = 10 * properties.major + properties.minor;
  n_multiprocessors_ = properties.multiProcessorCount;

  if (by_vertical_slash(options_.sparse_prefill, config_)) upload_vertical_slash();
  if (options_.fp8) {
    if (compute_capability_ < 89) {
      throw Error(ErrorCode::kUnsupported, device_name_ +
                                               " has no products of 8-bit floats, which begin with "
                                               "compute capability 8.9; leave out --fp8");
    }
    weights_.round_to_e4m3(stream_);
  }
  weights_.expand_within(static_cast<size_t>(free_device_bytes() / 3), stream_);
  if (weights_.largest_unexpanded() > 0) matmul_.reserve_expansion(weights_.largest_unexpanded());
  options_.max_context_tokens = context_within(options_, config_);
  if (options_.prefill_chunk_tokens == 0) {
    options_.prefill_chunk_tokens = static_cast<int>(
        std::clamp(static_cast<size_t>(free_device_bytes()) / 8 / activation_bytes_per_token(config_),
                   kLeastPrefillChunk, kMostPrefillChunk));
  }
  if (options_.kv_tokens == 0) {
    reserve_buffers(
        static_cast<size_t>(std::min(options_.prefill_chunk_tokens, options_.max_context_tokens)));
    // What sparse prefill and other programs need stays free.
    options_.kv_tokens =
        affordable_kv_tokens(options_.max_context_tokens, kv_bytes_per_token(), free_device_bytes() * 4 / 5);
  }
  options_.kv_tokens = (options_.kv_tokens + kKvPageTokens - 1) / kKvPageTokens * kKvPageTokens;
  const int n_pages = kv_pages_for(options_.kv_tokens);
  // A piece is never longer than what the pages hold, so nor are its buffers.
  reserve_buffers(static_cast<size_t>(
      std::min<int64_t>(options_.prefill_chunk_tokens, int64_t{n_pages} * kKvPageTokens)));
  kv_ = DeviceMemory(static_cast<size_t>(n_pages) * layout_.page_bytes(),
                     "a KV cache of " + std::to_string(options_.kv_tokens) + " tokens");
  pool_ = std::make_unique<KvPagePool>(n_pages);
  stream_.synchronize();
}

CudaBackend::~CudaBackend() {
  cudaStreamSynchronize(stream_);
  for (const auto& [key, graph] : graphs_)
    if (graph.executable != nullptr) cudaGraphExecDestroy(graph.executable);
}

std::string CudaBackend::describe() const {
  return "CUDA, " + device_name_ +
         (options_.fp8          ? ", weights also in 8-bit floats"
          : weights_.expanded() ? ", weights also in bfloat16"
                                : "");
}

std::string CudaBackend::numerics() const {
  return "cuda sm_" + std::to_string(compute_capability_) + (options_.fp8 ? " e4m3 " : " ") +
         std::to_string(kNumericsVersion) + sparse_numerics(options_.sparse_prefill, config_);
}

// For pieces of up to n rows, all at once, so that no pass runs out of memory half way.
void CudaBackend::reserve_buffers(size_t n) {
  const auto u = [](int size) { return static_cast<size_t>(size); };
  const Qwen2Config& c = config_;
  const size_t kinds = c.dual_chunk_attention ? kKeyChunks : 1;
  residual_.at_least(n * u(c.hidden_size));
  kept_residual_.at_least(n * u(c.hidden_size));
  normed_.at_least(n * u(c.hidden_size));
  qkv_.at_least(n * (u(c.q_size()) + 2 * u(c.kv_size())));
  q_.at_least(n * kinds * u(c.q_size()));
  kept_q_.at_least(n * kinds * u(c.q_size()));
  rotations_.at_least(n * u(c.head_dim) * (1 + kinds));
  attended_.at_least(n * u(c.q_size()));
  not_finite_.at_least(1);
  logits_.at_least(u(kHeadRows) * u(c.vocab_size));
  const size_t slots = n * u(c.num_experts_per_tok);
  const size_t width =
      std::max({n * u(c.architecture == Architecture::kQwen2Moe ? 0 : c.intermediate_size),
                n * u(c.shared_expert_intermediate_size), slots * u(c.moe_intermediate_size)});
  if (options_.fp8) {
    const int widest = std::max({c.hidden_size, c.q_size(), c.intermediate_size, c.moe_intermediate_size,
                                 c.shared_expert_intermediate_size});
    matmul_.reserve_e4m3(std::max(n, slots), u(widest));
  }
  gate_.at_least(width);
  up_.at_least(width);
  if (c.architecture != Architecture::kQwen2Moe) return;
  router_.at_least(n * u(c.num_experts));
  expert_ids_.at_least(slots);
  expert_weights_.at_least(slots);
  expert_rows_.at_least(slots + u(c.num_experts) + 1);
  expert_x_.at_least(slots * u(c.hidden_size));
  expert_y_.at_least(slots * u(c.hidden_size));
  if (c.shared_expert_intermediate_size > 0) shared_y_.at_least(n * u(c.hidden_size));
}

void CudaBackend::forward(const ForwardBatch& batch, std::vector<float>& logits, const CancelToken& cancel) {
  const SelectDevice select(device_.index);
  const size_t columns = begin_forward(batch, config_.vocab_size, logits);

  float* next_logits = logits.data();
  for (const BatchPiece& piece : split_batch(batch, options_.prefill_chunk_tokens)) {
    cancel.throw_if_cancelled();
    const CudaPiecePlan plan = plan_piece(piece, config_, options_.sparse_prefill);
    Piece on_device = upload(plan, batch.label_rows);
    const bool computed = run_as_graph(on_device, cancel);
    if (!computed) run(on_device, cancel);
    download(on_device, computed, next_logits);
    next_logits += plan.wanted.size() * columns;
  }
}

// In one copy. What grows with the length of the text comes last, so that the addresses of the rest depend on
// the number of rows and tasks alone, as graphs need.
CudaBackend::Piece CudaBackend::upload(const CudaPiecePlan& plan, std::span<const int32_t> label_rows) {
  struct Part {
    const void* from;
    size_t bytes;
  };
  std::vector<Part> parts;
  const auto add = [&](const auto& values) {
    parts.push_back({values.data(), values.size() * sizeof(values[0])});
  };
  add(plan.tokens);
  add(plan.positions);
  add(plan.pages);
  add(plan.wanted);
  add(label_rows);
  for (const CudaAttentionPlan* attention : {&plan.attention, &plan.last_attention}) {
    add(attention->decode);
    add(attention->prefill);
    add(attention->sparse);
    add(attention->samples);
    add(attention->last);
  }
  add(plan.page_tables);
  size_t total = 0;
  for (const Part& part : parts) total += padded(part.bytes);
  if (staging_.size() < total) staging_ = PinnedMemory(2 * total);
  if (inputs_.size() < total / sizeof(int32_t)) inputs_.at_least(2 * total / sizeof(int32_t));
  std::byte* at = staging_.data();
  for (const Part& part : parts) {
    if (part.bytes > 0) std::memcpy(at, part.from, part.bytes);
    at += padded(part.bytes);
  }
  check_cuda(cudaMemcpyAsync(inputs_.data(), staging_.data(), total, cudaMemcpyHostToDevice, stream_),
             "copy the inputs");

  const int32_t* next = inputs_.data();
  size_t i = 0;
  const auto ints = [&] {
    const int32_t* part = next;
    next += padded(parts[i++].bytes) / sizeof(int32_t);
    return part;
  };
  const auto tasks = [&] { return reinterpret_cast<const cuda::AttentionTask*>(ints()); };
  Piece piece = {};
  piece.plan = &plan;
  piece.tokens = ints();
  piece.positions = ints();
  piece.pages = ints();
  piece.wanted = ints();
  piece.labels = ints();
  for (AttentionInputs* attention : {&piece.attention, &piece.last_attention}) {
    attention->decode = tasks();
    attention->prefill = tasks();
    attention->sparse = tasks();
    attention->samples = tasks();
    attention->last = tasks();
  }
  piece.page_tables = ints();
  piece.n_labels = static_cast<int>(label_rows.size());
  piece.residual = residual_.data();
  piece.n = plan.n;
  return piece;
}

void CudaBackend::run(Piece& piece, const CancelToken& cancel) {
  embed(piece);
  tap("embed", -1, piece.residual, piece.n);
  for (int l = 0; l < config_.num_hidden_layers; ++l) {
    // The host runs at most two layers ahead, so that cancelling takes hold.
    check_cuda(cudaEventSynchronize(layer_done_[l % 2]), "run a layer");
    cancel.throw_if_cancelled();
    layer(l, piece);
    check_cuda(cudaEventRecord(layer_done_[l % 2], stream_), "run a layer");
  }
}

int CudaBackend::generation() const {
  return inputs_.generation() + partial_.generation() + residual_.generation() + gate_.generation() +
         logits_.generation();
}

// The same few rows again and again, as decoding has them, cost more to launch than to compute: their second
// pass is captured and played from then on.
bool CudaBackend::run_as_graph(const Piece& piece, const CancelToken& cancel) {
  const CudaPiecePlan& plan = *piece.plan;
  if (plan.n > kMostGraphRows || !plan.attention.prefill.empty() || !plan.attention.sparse.empty() ||
      !plan.last_attention.prefill.empty() || plan.wanted.size() > static_cast<size_t>(kHeadRows) || tap_ ||
      config_.architecture == Architecture::kQwen2Moe) {
    return false;
  }
  const auto size = [](const auto& values) { return static_cast<int>(values.size()); };
  const auto &decode = plan.attention.decode, &last = plan.last_attention.decode;
  const GraphKey key = {plan.n,         size(plan.wanted),
                        piece.n_labels, plan.n_query_kinds,
                        size(decode),   splits(decode.size(), plan.attention.decode_pages),
                        size(last),     splits(last.size(), plan.last_attention.decode_pages)};
  const auto [found, first] = graphs_.try_emplace(key);
  Graph& graph = found->second;
  if (first) return false;  // makes every buffer as large as it must be
  if (graph.executable == nullptr || graph.generation != generation()) {
    if (graph.executable != nullptr) cudaGraphExecDestroy(std::exchange(graph.executable, nullptr));
    cudaGraph_t captured = nullptr;
    check_cuda(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "capture a pass");
    Piece copy = piece;
    try {
      embed(copy);
      for (int l = 0; l < config_.num_hidden_layers; ++l) layer(l, copy);
      head(copy, 0, static_cast<int>(plan.wanted.size()));
    } catch (...) {
      if (cudaStreamEndCapture(stream_, &captured) == cudaSuccess) cudaGraphDestroy(captured);
      cudaGetLastError();
      throw;
    }
    check_cuda(cudaStreamEndCapture(stream_, &captured), "capture a pass");
    const cudaError_t made = cudaGraphInstantiate(&graph.executable, captured, 0);
    cudaGraphDestroy(captured);
    check_cuda(made, "capture a pass");
    graph.generation = generation();
  }
  cancel.throw_if_cancelled();
  check_cuda(cudaGraphLaunch(graph.executable, stream_), "run a captured pass");
  return true;
}

void CudaBackend::embed(Piece& piece) {
  const CudaPiecePlan& plan = *piece.plan;
  check_cuda(cudaMemsetAsync(not_finite_.data(), 0, sizeof(int32_t), stream_), "clear a flag");
  const CudaMatrix& table = weights_.embed_tokens();
  cuda::embed(table.dtype, table.data, table.cols, piece.tokens, plan.n, piece.residual, stream_);
  const size_t size = static_cast<size_t>(plan.n) * static_cast<size_t>(config_.head_dim);
  cuda::Rotations rotations = {.key = rotations_.data(), .query = {}};
  if (config_.dual_chunk_attention)
    for (int kind = 0; kind < plan.n_query_kinds; ++kind)
      rotations.query[kind] = rotations_.data() + size * static_cast<size_t>(kind + 1);
  cuda::fill_rotations(rope_.table(), piece.positions, plan.n, rotations, stream_);
}

void CudaBackend::layer(int index, Piece& piece) {
  const CudaLayer& w = weights_.layers()[static_cast<size_t>(index)];
  const CudaPiecePlan& plan = *piece.plan;
  const int h = config_.hidden_size, q_size = config_.q_size(), kv_size = config_.kv_size();
  const int qkv_size = q_size + 2 * kv_size;
  cuda::rmsnorm(piece.residual, w.input_layernorm, piece.n, h, config_.rms_norm_eps, normed_.data(), stream_);
  matmul_.run(w.q_proj, normed_.data(), piece.n, {.f32 = qkv_.data(), .stride = qkv_size});
  matmul_.run(w.k_proj, normed_.data(), piece.n, {.f32 = qkv_.data() + q_size, .stride = qkv_size});
  matmul_.run(w.v_proj, normed_.data(), piece.n, {.f32 = qkv_.data() + q_size + kv_size, .stride = qkv_size});

  cuda::StoreArgs store = {.qkv = qkv_.data(),
                           .q_bias = w.q_bias,
                           .k_bias = w.k_bias,
                           .v_bias = w.v_bias,
                           .q_scale = w.q_scale,
                           .k_scale = w.k_scale,
                           .n = piece.n,
                           .n_heads = config_.num_attention_heads,
                           .rotations = {.key = rotations_.data(), .query = {}},
                           .positions = piece.positions,
                           .pages = piece.pages,
                           .q = {},
                           .kv = kv_layer(index)};
  const auto n = static_cast<size_t>(plan.n);
  for (int kind = 0; kind < plan.n_query_kinds; ++kind) {
    const auto k = static_cast<size_t>(kind);
    store.q[kind] = q_.data() + k * n * static_cast<size_t>(q_size);
    if (config_.dual_chunk_attention)
      store.rotations.query[kind] = rotations_.data() + (k + 1) * n * static_cast<size_t>(config_.head_dim);
    piece.q[kind] = store.q[kind];
  }
  cuda::rotate_and_store(store, stream_);

  const bool last = index == config_.num_hidden_layers - 1;
  if (last) keep_wanted(piece);
  if (piece.n == 0) return;
  if (last) {
    attend(index, piece, plan.last_attention, piece.last_attention);
  } else {
    attend(index, piece, plan.attention, piece.attention);
  }
  matmul_.run(w.o_proj, attended_.data(), piece.n, {.f32 = piece.residual, .stride = h, .accumulate = true});
  tap("attention", index, piece.residual, piece.n);

  cuda::rmsnorm(piece.residual, w.post_attention_layernorm, piece.n, h, config_.rms_norm_eps, normed_.data(),
                stream_);
  if (config_.architecture == Architecture::kQwen2Moe) {
    sparse_mlp(w, normed_.data(), piece.n, piece.residual);
  } else {
    mlp(w.mlp, normed_.data(), piece.n, {.f32 = piece.residual, .stride = h, .accumulate = true});
  }
  tap("output", index, piece.residual, piece.n);
}

// Nothing after the last layer's keys and values depends on tokens whose logits are not wanted: drops them.
void CudaBackend::keep_wanted(Piece& piece) {
  const auto n = static_cast<int>(piece.plan->wanted.size());
  if (n == piece.n) return;
  const auto h = static_cast<size_t>(config_.hidden_size), q_size = static_cast<size_t>(config_.q_size());
  cuda::gather_rows(piece.residual, piece.wanted, n, static_cast<int64_t>(h * sizeof(float)),
                    kept_residual_.data(), stream_);
  for (int kind = 0; kind < piece.plan->n_query_kinds; ++kind) {
    __half* kept = kept_q_.data() + static_cast<size_t>(kind) * static_cast<size_t>(n) * q_size;
    cuda::gather_rows(piece.q[kind], piece.wanted, n, static_cast<int64_t>(q_size * sizeof(__half)), kept,
                      stream_);
    piece.q[kind] = kept;
  }
  piece.residual = kept_residual_.data();
  piece.n = n;
}

}  // namespace lectern
