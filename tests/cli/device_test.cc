// --device: words, devices that are not there, and where it is said what there is.
#include <cmath>

#include "tests/cli/program.h"
#include "tests/support/catch.h"

using namespace lectern;
using namespace lectern::test;

namespace {

const std::string kTiny =
    (std::filesystem::path(LECTERN_SOURCE_DIR) / "tests" / "golden" / "qwen2_tied" / "model.gguf").string();

struct Devices : World {
  std::string text = write("text.md", "The lighthouse was built in 1850 by a keeper's son.\n").string();

  SubprocessResult perplexity(std::vector<std::string> more) const {
    more.insert(more.begin(), {"eval", "perplexity", "--text", text, "--model", kTiny, "--json"});
    return run(std::move(more));
  }
  double loss_of(std::vector<std::string> more) const {
    const SubprocessResult result = perplexity(std::move(more));
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    return std::log(json(result)["perplexity"].get<double>());  // per token
  }
  Json cuda_finding() const {
    const Json report = json(run({"doctor", "--json"}));
    for (const Json& finding : report["findings"])
      if (finding["name"] == "CUDA devices") return finding;
    return nullptr;
  }
};

}  // namespace

TEST_CASE("a device that is no device is one error that names it and those there are") {
  const Devices devices;
  for (const std::vector<std::string>& command : {std::vector<std::string>{"ask", "notes", "Why?"},
                                                  {"chat", "notes"},
                                                  {"serve", "notes"},
                                                  {"mcp", "notes"},
                                                  {"bench", "engine"},
                                                  {"eval", "perplexity", "--text", devices.text}}) {
    auto arguments = command;
    arguments.insert(arguments.end(), {"--device", "gpu"});
    const SubprocessResult result = devices.run(arguments);
    INFO(command[0]);
    CHECK(result.exit_code == 2);
    CHECK_THAT(result.err, Catch::Contains("device 'gpu'") && Catch::Contains("auto, cpu, cuda, or cuda:N"));
  }
  const ScopedVariable variable("LECTERN_DEVICE", "cuda:x");
  const SubprocessResult result = devices.perplexity({});
  CHECK(result.exit_code == 2);
  CHECK_THAT(result.out + result.err, Catch::Contains("LECTERN_DEVICE: device 'cuda:x'"));
}

TEST_CASE("a CUDA device that is not there is one error with the reason and the remedy") {
  const Devices devices;
  const SubprocessResult result = devices.perplexity({"--device", "cuda:90"});
  CHECK(result.exit_code == 2);
  CHECK_THAT(result.out + result.err,
             Catch::Contains("no CUDA device 90: ") && Catch::Contains("--device cpu"));
  for (const char* command : {"ask", "serve", "mcp"}) {
    INFO(command);
    std::vector<std::string> arguments = {
        command, devices.documents().string(), "--device", "cuda:90", "--model", kTiny};
    if (arguments[0] == "ask") arguments.insert(arguments.begin() + 2, "When?");
    const SubprocessResult early = devices.run(arguments);
    CHECK(early.exit_code == 2);
    CHECK_THAT(early.err, Catch::Contains("no CUDA device 90: "));
  }
  const Json finding = devices.cuda_finding();
  REQUIRE(finding.is_object());
  CHECK(finding["state"] == "ok");
  const auto value = finding["value"].get<std::string>();
  if (value.starts_with("none: ")) CHECK_THAT(result.out + result.err, Catch::Contains(value.substr(6)));
}

TEST_CASE("the CPU gives the same whether it is asked for or chosen") {
  const Devices devices;
  if (!devices.cuda_finding()["value"].get<std::string>().starts_with("none: "))
    LECTERN_SKIP("there is a GPU");
  CHECK(devices.loss_of({"--device", "auto"}) == devices.loss_of({"--device", "cpu"}));
  const ScopedVariable variable("LECTERN_DEVICE", "cuda");  // a flag wins
  CHECK(devices.perplexity({}).exit_code == 2);
  CHECK(devices.perplexity({"--device", "cpu"}).exit_code == 0);
}

TEST_CASE("8-bit floats are for GPUs and can be simulated on the CPU") {
  const Devices devices;
  const SubprocessResult refused = devices.perplexity({"--device", "cpu", "--fp8"});
  CHECK(refused.exit_code == 2);
  CHECK_THAT(refused.out + refused.err, Catch::Contains("--fp8"));
  const SubprocessResult elsewhere = devices.perplexity({"--device", "cuda", "--simulate-weights", "e4m3"});
  CHECK(elsewhere.exit_code == 2);
  CHECK_THAT(elsewhere.out + elsewhere.err, Catch::Contains("--simulate-weights computes on the CPU"));
  const double plain = devices.loss_of({"--simulate-weights", "f32"}),
               weights = devices.loss_of({"--simulate-weights", "e4m3"}),
               both = devices.loss_of({"--simulate-weights", "e4m3+activations"});
  CHECK(weights != plain);
  CHECK(both != weights);
  CHECK(weights == Approx(plain).epsilon(0.05));
  CHECK(both == Approx(plain).epsilon(0.05));
  CHECK(devices.loss_of({"--device", "cpu"}) == Approx(plain).epsilon(0.02));
}

TEST_CASE("a device can be compared with the CPU") {
  const Devices devices;
  std::string text;
  for (int i = 0; i < 40; ++i)
    text += "The lighthouse was built in " + std::to_string(1850 + i) + " by a keeper's son.\n";
  const std::string file = devices.write("long.md", text).string();
  const SubprocessResult result =
      devices.run({"eval", "devices", "--text", file, "--prompt", "100", "--decode", "5", "--model", kTiny,
                   "--device", "cpu", "--json"});
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  const Json json = World::json(result);
  CHECK(json["prompt"]["tokens"] == 100);
  CHECK(json["decoding"]["tokens"] == 5);
  CHECK(json["device"] == json["compared_with"]);  // the same bits, however they come
  for (const char* part : {"prompt", "decoding"}) {
    CHECK(json[part]["relative_difference"] == 0.0);
    CHECK(json[part]["same_top_token"] == 1.0);
    CHECK(json[part]["mean_kl_divergence"].get<double>() == Approx(0.0).margin(1e-9));
  }
  const SubprocessResult short_text =
      devices.run({"eval", "devices", "--text", devices.text, "--model", kTiny});
  CHECK(short_text.exit_code == 2);
  CHECK_THAT(short_text.err, Catch::Contains("text.md: has "));
}
