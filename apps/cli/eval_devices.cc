// lectern eval devices: how far the logits of a device are from those of the CPU, on a text of one's own.
#include <algorithm>
#include <cmath>

#include "apps/cli/command.h"
#include "apps/cli/load_model.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/files.h"
#include "engine/tokenizer.h"

namespace lectern::cli {
namespace {

struct DevicesOptions {
  std::string text;
  int prompt = 512;
  int decode = 32;
};

// Tokens of the prompt that are compared at a time, so that their logits fit in memory.
constexpr int kPiece = 64;

// One model on one device, reading on.
class Reader {
 public:
  Reader(const std::shared_ptr<const ModelFile>& model, const Device& device, const BackendOptions& options,
         const ProgressFn& progress)
      : backend_(make_backend(model, device, options, progress)), sequence_(backend_->kv_pages()) {}

  // The logits after each of `tokens`.
  const std::vector<float>& read(std::span<const int32_t> tokens, const CancelToken& cancel) {
    const auto n = static_cast<int>(tokens.size());
    sequence_.reserve(n);
    const SequenceSlice slice[] = {{tokens, sequence_.length(), sequence_.pages(), n}};
    const Stopwatch time;
    backend_->forward({slice, {}}, logits_, cancel);
    seconds_ += time.seconds();
    sequence_.advance(n);
    return logits_;
  }
  std::string describe() const { return backend_->describe(); }
  double seconds() const { return seconds_; }

 private:
  std::unique_ptr<Backend> backend_;
  KvSequence sequence_;
  std::vector<float> logits_;
  double seconds_ = 0;
};

// Over rows of logits of both devices. Softmax does not see what is added to all logits of a row, so means
// are taken away first.
class Differences {
 public:
  void add(std::span<const float> got, std::span<const float> expected, size_t n_rows) {
    const size_t columns = expected.size() / n_rows;
    for (size_t row = 0; row < n_rows; ++row)
      add_row(got.subspan(row * columns, columns), expected.subspan(row * columns, columns));
  }

  Json json() const {
    return Json{{"tokens", n_},
                {"relative_difference", std::sqrt(difference_ / size_)},
                {"largest_difference", largest_},
                {"mean_kl_divergence", kl_ / n_},
                {"same_top_token", static_cast<double>(same_top_) / n_}};
  }
  std::string line() const {
    char text[200];
    std::snprintf(
        text, sizeof(text),
        "%d tokens: logits differ by %.4f of their size, %.3f at most; KL divergence %.6f; same best "
        "token %.2f %%",
        n_, std::sqrt(difference_ / size_), largest_, kl_ / n_, 100.0 * same_top_ / n_);
    return text;
  }

 private:
  struct Row {
    double mean = 0, log_sum = 0;
    size_t top = 0;
  };
  static Row statistics(std::span<const float> logits) {
    Row row;
    row.top = static_cast<size_t>(std::ranges::max_element(logits) - logits.begin());
    double sum = 0;
    for (const float x : logits) {
      row.mean += x;
      sum += std::exp(double{x} - logits[row.top]);
    }
    row.mean /= static_cast<double>(logits.size());
    row.log_sum = logits[row.top] + std::log(sum);
    return row;
  }
  void add_row(std::span<const float> got, std::span<const float> expected) {
    const Row g = statistics(got), e = statistics(expected);
    for (size_t i = 0; i < got.size(); ++i) {
      const double centred = expected[i] - e.mean, difference = (got[i] - g.mean) - centred;
      size_ += centred * centred;
      difference_ += difference * difference;
      largest_ = std::max(largest_, std::abs(difference));
      const double log_p = expected[i] - e.log_sum;
      kl_ += std::exp(log_p) * (log_p - (got[i] - g.log_sum));
    }
    same_top_ += g.top == e.top ? 1 : 0;
    ++n_;
  }

  int n_ = 0, same_top_ = 0;
  double difference_ = 0, size_ = 0, largest_ = 0, kl_ = 0;
};

int eval_devices(Program& program, const DevicesOptions& options) {
  Output& out = program.output();
  constexpr uint64_t kMaxBytes = uint64_t{64} << 20;
  const std::string text = read_file(options.text, kMaxBytes);
  const auto model = open_model_file(program);
  const int n = options.prompt + options.decode;
  const std::vector<int32_t> ids = Tokenizer(model->vocabulary(), model->path().string()).encode(text);
  if (ids.size() < static_cast<size_t>(n))
    throw Error(ErrorCode::kInvalidArgument, options.text + ": has " + std::to_string(ids.size()) +
                                                 " tokens, fewer than the " + std::to_string(n) +
                                                 " that --prompt and --decode ask for");
  if (n > model->config().context_tokens())
    throw Error(ErrorCode::kInvalidArgument, "--prompt and --decode together are more than the " +
                                                 std::to_string(model->config().context_tokens()) +
                                                 " tokens of the model's context");
  const std::span<const int32_t> tokens(ids);
  const BackendOptions on_device = backend_options(program, n);
  BackendOptions on_cpu = on_device;
  on_cpu.fp8 = false;
  Reader cpu(model, {.kind = Device::Kind::kCpu}, on_cpu, out.progress());
  Reader device(model, lectern::cli::device(program), on_device, out.progress());
  out.end_progress();
  Differences prompt, decoding;
  const auto compare = [&](int begin, int end, Differences& differences) {
    const auto part = tokens.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
    const std::vector<float>& expected = cpu.read(part, program.cancel);
    differences.add(device.read(part, program.cancel), expected, part.size());
  };
  for (int at = 0; at < options.prompt; at += kPiece)
    compare(at, std::min(at + kPiece, options.prompt), prompt);
  for (int at = options.prompt; at < n; ++at) compare(at, at + 1, decoding);
  if (out.json()) {
    Json result = json_result("eval.devices");
    result["model"] = model->config().name;
    result["device"] = device.describe();
    result["compared_with"] = cpu.describe();
    result["prompt"] = prompt.json();
    result["decoding"] = decoding.json();
    result["device_seconds"] = device.seconds();
    result["cpu_seconds"] = cpu.seconds();
    out.print_json(result);
    return kExitFound;
  }
  out.print_line(device.describe() + ", compared with " + cpu.describe());
  out.print_line("prompt    " + prompt.line());
  out.print_line("decoding  " + decoding.line());
  return kExitFound;
}

}  // namespace

void register_eval_devices(CLI::App& eval, Program& program) {
  CLI::App* command =
      add_command(eval, "devices", "Measure how far a device's logits are from those of the CPU",
                  "  lectern eval devices --text notes/trips/clock-tower.md --prompt 64 --decode 8 --model "
                  "qwen2.5-coder-0.5b-instruct\n");
  const auto options = std::make_shared<DevicesOptions>();
  command->add_option("--text", options->text, "File of UTF-8 text")->required();
  command->add_option("--prompt", options->prompt, "So many tokens of it are read in pieces of 64")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command->add_option("--decode", options->decode, "So many after them one by one")
      ->check(CLI::Range(1, 1 << 16))
      ->capture_default_str();
  add_model_options(command, program.options);
  add_output_options(command, program.options);
  program.on_run(command, [&program, options] { return eval_devices(program, *options); });
}

}  // namespace lectern::cli
