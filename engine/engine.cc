#include "engine/engine.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "engine/engine_thread.h"
#include "engine/generation.h"
#include "engine/memory.h"
#include "engine/prefix_cache.h"
#include "engine/shared_prefix.h"
#include "kernels/cpu/dispatch.h"

namespace lectern {
namespace {

// Each has a product of its own in every step: a larger number takes memory for nothing.
constexpr size_t kMaxLabels = 1024;

}  // namespace

struct Engine::Impl {
  Impl(std::shared_ptr<const ModelFile> model, std::unique_ptr<Backend> on, const Options& options)
      : file(std::move(model)),
        tokenizer(file->vocabulary(), file->path().string()),
        chat_template(tokenizer),
        backend(std::move(on)),
        store(open_store(options.kv_store)),
        cache(*backend, store ? &*store : nullptr),
        thread(*backend, cache, options.max_waiting_requests) {}

  std::optional<KvStore> open_store(const KvStoreOptions& options) const {
    if (options.folder.empty()) return std::nullopt;
    return KvStore(options, *backend, fingerprint(*file));
  }

  int context_tokens() const {
    const BackendOptions& options = backend->options();
    return static_cast<int>(std::min<int64_t>(options.max_context_tokens, options.kv_tokens));
  }

  void check_fits(size_t n_tokens, const std::string& what) const {
    if (n_tokens <= static_cast<size_t>(context_tokens())) return;
    const int limit = backend->options().max_context_tokens;
    const bool cache_is_smaller = context_tokens() < limit, limited = limit < file->config().context_tokens();
    throw Error(ErrorCode::kResourceExhausted, what + " are " + std::to_string(n_tokens) + " tokens, " +
                                                   (cache_is_smaller ? "the KV cache holds "
                                                    : limited        ? "the context is limited to "
                                                                     : "the model's context is ") +
                                                   std::to_string(context_tokens()) + "; shorten the text" +
                                                   (cache_is_smaller ? " or raise the cache's capacity"
                                                    : limited        ? " or raise the limit"
                                                                     : ""));
  }

  // One bad id would fail the forward pass of all that are in it.
  void check_ids(std::span<const int32_t> tokens, const std::string& what) const {
    const int n = file->config().vocab_size;
    const auto bad = std::ranges::find_if(tokens, [&](int32_t token) { return token < 0 || token >= n; });
    if (bad == tokens.end()) return;
    throw Error(ErrorCode::kInvalidArgument, "token " + std::to_string(*bad) + " of " + what +
                                                 " is outside the vocabulary of " + std::to_string(n));
  }

  // Gives `on_text` what comes out of the ticket, to its end. Of a request that was cancelled meanwhile: the
  // tokens whose text has been given.
  static std::optional<int> deliver(Ticket& ticket, const TextCallback& on_text,
                                    const std::function<void(int)>& on_prompt_read,
                                    const CancelToken& cancel) {
    int n_shown = 0;
    bool stopped = false;
    try {
      while (const auto text = ticket.next()) {
        stopped |= cancel.cancelled();
        if (stopped) continue;
        if (text->n_prompt_tokens > 0) {
          on_prompt_read(text->n_prompt_tokens);
          continue;
        }
        n_shown = text->n_tokens;
        stopped = !on_text(text->text) || cancel.cancelled();
        if (stopped) ticket.withdraw();
      }
    } catch (...) {
      ticket.withdraw();
      while (ticket.next()) {  // the task is the engine thread's until then
      }
      throw;
    }
    ticket.rethrow();
    if (!stopped) return std::nullopt;
    return n_shown;
  }

  static void check_kept(int keep_prefix_tokens, size_t prompt_tokens) {
    if (keep_prefix_tokens == 0) return;
    if (keep_prefix_tokens < 0 || static_cast<size_t>(keep_prefix_tokens) >= prompt_tokens) {
      throw Error(ErrorCode::kInvalidArgument, "keep_prefix_tokens must be less than the " +
                                                   std::to_string(prompt_tokens) + " tokens of the prompt");
    }
  }

  std::shared_ptr<const ModelFile> file;
  Tokenizer tokenizer;
  ChatTemplate chat_template;
  std::unique_ptr<Backend> backend;
  std::optional<KvStore> store;
  PrefixCache cache;
  EngineThread thread;  // uses backend, store and cache
};

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::~Engine() = default;

std::unique_ptr<Engine> Engine::load(const std::filesystem::path& model, const Options& options,
                                     const ProgressFn& progress) {
  return load(ModelFile::open(model, options.extension, options.sparse_config), options, progress);
}

std::unique_ptr<Engine> Engine::load(std::shared_ptr<const ModelFile> model, const Options& options,
                                     const ProgressFn& progress) {
  auto backend = make_backend(model, options.device, options.backend, progress);
  return load(std::move(model), std::move(backend), options);
}

std::unique_ptr<Engine> Engine::load(std::shared_ptr<const ModelFile> model, std::unique_ptr<Backend> backend,
                                     const Options& options) {
  return std::unique_ptr<Engine>(
      new Engine(std::make_unique<Impl>(std::move(model), std::move(backend), options)));
}

const Qwen2Config& Engine::config() const {
  return impl_->file->config();
}
const Tokenizer& Engine::tokenizer() const {
  return impl_->tokenizer;
}
const ChatTemplate& Engine::chat_template() const {
  return impl_->chat_template;
}
const ModelFile& Engine::model_file() const {
  return *impl_->file;
}
int Engine::context_tokens() const {
  return impl_->context_tokens();
}
Backend& Engine::backend() {
  return *impl_->backend;
}

std::string Engine::describe() const {
  return config().name + " (" + impl_->file->quantisation() + ", " +
         describe_bytes(static_cast<double>(impl_->file->file_bytes())) + ") on " +
         impl_->backend->describe() + ", context of " + std::to_string(context_tokens()) + " tokens";
}

bool Engine::is_kept(std::span<const int32_t> tokens) const {
  return impl_->store && impl_->store->contains(tokens);
}

GenerateResult Engine::generate(const GenerateRequest& request, const TextCallback& on_text,
                                const CancelToken& cancel) {
  validate(request.sampling);
  if (request.prompt.empty()) throw Error(ErrorCode::kInvalidArgument, "the prompt is empty");
  if (request.max_new_tokens < 0) {
    throw Error(ErrorCode::kInvalidArgument, "max_new_tokens cannot be negative");
  }
  if (request.max_draft_tokens < 0) {
    throw Error(ErrorCode::kInvalidArgument, "max_draft_tokens cannot be negative");
  }
  impl_->check_fits(request.prompt.size() + 1, "a prompt and one new token");
  impl_->check_ids(request.prompt, "the prompt");
  Impl::check_kept(request.keep_prefix_tokens, request.prompt.size());

  const auto ticket = std::make_shared<Ticket>();
  Generation::Sink sink;
  if (on_text) sink.text = [&](std::string text, int n_tokens) { ticket->push({std::move(text), n_tokens}); };
  if (request.on_prompt_read) sink.prompt_read = [&](int n) { ticket->push({.n_prompt_tokens = n}); };
  Generation generation({impl_->backend->kv_pages(), impl_->cache, impl_->tokenizer,
                         impl_->chat_template.stop_tokens(), impl_->context_tokens()},
                        request, std::move(sink));
  impl_->thread.submit(generation, cancel, ticket);
  const std::optional<int> n_shown = impl_->deliver(*ticket, on_text, request.on_prompt_read, cancel);
  return generation.take_result(n_shown);
}

std::vector<Engine::Score> Engine::score(std::span<const ScoreItem> items, const CancelToken& cancel,
                                         Priority priority) {
  std::vector<Score> scores(items.size());
  std::vector<PrefixItem> runs;
  std::vector<size_t> item_of_run;  // items without a continuation have nothing to run
  for (size_t i = 0; i < items.size(); ++i) {
    const auto& [prompt, continuation, keep_prefix_tokens] = items[i];
    if (prompt.empty()) throw Error(ErrorCode::kInvalidArgument, "the prompt of a score item is empty");
    impl_->check_fits(prompt.size() + continuation.size(), "a prompt and its continuation");
    impl_->check_ids(prompt, "a prompt");
    impl_->check_ids(continuation, "a continuation");
    Impl::check_kept(keep_prefix_tokens, prompt.size());
    if (continuation.empty()) continue;
    // The last token is only predicted, not read.
    PrefixItem run{
        .tokens = prompt, .n_logits = static_cast<int>(continuation.size()), .n_kept = keep_prefix_tokens};
    run.tokens.insert(run.tokens.end(), continuation.begin(), continuation.end() - 1);
    runs.push_back(std::move(run));
    item_of_run.push_back(i);
  }
  const auto consume = [&](size_t run, int first_row, int n_rows, std::span<float> logits) {
    const size_t item = item_of_run[run], columns = logits.size() / static_cast<size_t>(n_rows);
    for (int row = 0; row < n_rows; ++row) {
      const auto values = logits.subspan(static_cast<size_t>(row) * columns, columns);
      const int32_t token = items[item].continuation[static_cast<size_t>(first_row + row)];
      const float logit = values[static_cast<size_t>(token)];
      scores[item].log_probability +=
          logit - active_kernel_table().softmax(values.data(), static_cast<int64_t>(columns));
      ++scores[item].n_tokens;
    }
  };
  SharedPrefixRun run(impl_->backend->kv_pages(), impl_->cache, runs, {}, priority, consume);
  impl_->thread.run(run, cancel);
  return scores;
}

std::vector<float> Engine::score_labels(std::span<const std::vector<int32_t>> prompts,
                                        std::span<const int32_t> labels, const CancelToken& cancel,
                                        std::span<const int> keep_prefix_tokens, Priority priority) {
  if (labels.empty()) throw Error(ErrorCode::kInvalidArgument, "there are no labels to score");
  if (labels.size() > kMaxLabels) {
    throw Error(ErrorCode::kInvalidArgument, std::to_string(labels.size()) + " labels to score; at most " +
                                                 std::to_string(kMaxLabels) + " can be asked for at a time");
  }
  impl_->check_ids(labels, "the labels");
  if (!keep_prefix_tokens.empty() && keep_prefix_tokens.size() != prompts.size()) {
    throw Error(ErrorCode::kInvalidArgument, "keep_prefix_tokens must have one number a prompt, or none");
  }
  std::vector<PrefixItem> runs;
  for (size_t i = 0; i < prompts.size(); ++i) {
    const std::vector<int32_t>& prompt = prompts[i];
    const int kept = keep_prefix_tokens.empty() ? 0 : keep_prefix_tokens[i];
    if (prompt.empty()) throw Error(ErrorCode::kInvalidArgument, "a prompt to score is empty");
    impl_->check_fits(prompt.size() + 1, "a prompt and one label");
    impl_->check_ids(prompt, "a prompt");
    Impl::check_kept(kept, prompt.size());
    runs.push_back({.tokens = prompt, .n_logits = 1, .n_kept = kept});
  }
  std::vector<float> scores(prompts.size() * labels.size());
  const auto consume = [&](size_t run, int, int, std::span<float> logits) {
    float* out = scores.data() + run * labels.size();
    std::copy(logits.begin(), logits.end(), out);
    const float log_sum = active_kernel_table().softmax(logits.data(), static_cast<int64_t>(logits.size()));
    for (size_t i = 0; i < labels.size(); ++i) out[i] -= log_sum;
  };
  SharedPrefixRun run(impl_->backend->kv_pages(), impl_->cache, runs, labels, priority, consume);
  impl_->thread.run(run, cancel);
  return scores;
}

}  // namespace lectern
