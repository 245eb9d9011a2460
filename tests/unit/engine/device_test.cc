#include "engine/device.h"

#include "base/error.h"
#include "engine/kv_layout.h"
#include "tests/support/catch.h"
#include "tests/support/engine_fixtures.h"
#include "tests/support/tiny_model.h"

using namespace lectern;
using namespace lectern::test;
using Catch::Contains;

namespace {

constexpr uint64_t kGb = uint64_t{1} << 30;
constexpr Device kAuto{.kind = Device::Kind::kAuto};
constexpr Device kCpu{.kind = Device::Kind::kCpu};

Device cuda(int index) {
  return {.kind = Device::Kind::kCuda, .index = index};
}

// An old one, a small one and a large one.
CudaPresence three_devices() {
  return {.devices = {{.name = "old", .index = 0, .major = 7, .minor = 5, .free_bytes = 90 * kGb},
                      {.name = "small", .index = 1, .major = 8, .minor = 6, .free_bytes = 4 * kGb},
                      {.name = "large", .index = 2, .major = 9, .minor = 0, .free_bytes = 80 * kGb}},
          .why_none = ""};
}

}  // namespace

TEST_CASE("parse_device takes what the manual names") {
  CHECK(parse_device("auto") == kAuto);
  CHECK(parse_device("cpu") == kCpu);
  CHECK(parse_device("cuda") == cuda(0));
  CHECK(parse_device("cuda:0") == cuda(0));
  CHECK(parse_device("cuda:13") == cuda(13));
}

TEST_CASE("parse_device refuses all else by name") {
  for (const char* text : {"", "gpu", "CUDA", "cuda:", "cuda:-1", "cuda:1x", "cuda: 1", "cuda:99999999999",
                           "cuda1", "cpu:0", "auto "}) {
    INFO(text);
    CHECK_THROWS_WITH(parse_device(text),
                      Contains("device '" + std::string(text) + "'") && Contains("cuda:N"));
  }
}

TEST_CASE("the automatic choice is the first device that can run the model and hold it") {
  const CudaPresence devices = three_devices();
  CHECK(choose_device(kAuto, devices, 3 * kGb) == cuda(1));
  CHECK(choose_device(kAuto, devices, 4 * kGb) == cuda(1));
  CHECK(choose_device(kAuto, devices, 5 * kGb) == cuda(2));
  CHECK(choose_device(kAuto, devices, 81 * kGb) == kCpu);
  CHECK(choose_device(kAuto, {.devices = {}, .why_none = "no driver"}, 1) == kCpu);
}

TEST_CASE("the CPU is taken when it is asked for") {
  CHECK(choose_device(kCpu, three_devices(), kGb) == kCpu);
}

TEST_CASE("a CUDA device that is asked for is taken even where memory may be short") {
  CHECK(choose_device(cuda(1), three_devices(), 50 * kGb) == cuda(1));
}

TEST_CASE("a CUDA device that is not there is refused with the reason") {
  const CudaPresence none{.devices = {}, .why_none = "no NVIDIA driver is loaded"};
  CHECK_THROWS_WITH(choose_device(cuda(0), none, kGb),
                    Contains("CUDA device 0") && Contains("no NVIDIA driver") && Contains("--device cpu"));
  CHECK_THROWS_WITH(choose_device(cuda(3), three_devices(), kGb),
                    Contains("CUDA device 3") && Contains("lectern doctor"));
  CHECK_THROWS_WITH(choose_device(cuda(0), three_devices(), kGb),
                    Contains("capability 7.5") && Contains("old"));
}

TEST_CASE("a model needs its weights and its cache on a device") {
  const auto model = make_tiny_model(tiny_config());
  const int64_t token = kv_bytes_per_token(model->config(), kv_layer_types(model->config(), KvType::kF16));
  const uint64_t some = device_bytes(*model, {.kv_tokens = 1000}),
                 more = device_bytes(*model, {.kv_tokens = 3000});
  CHECK(more - some == static_cast<uint64_t>(2000 * token));
  CHECK(some > model->file_bytes());
  CHECK(device_bytes(*model, {.kv_tokens = 1000, .kv_type = KvType::kInt8}) < some);
  // Of itself, it asks for no more than is worth while.
  CHECK(device_bytes(*model, {}) <= device_bytes(*model, {.kv_tokens = 8192}));
}

TEST_CASE("make_backend says where it runs") {
  const BackendOptions options{.n_threads = 1, .kv_tokens = 256};
  const auto model = make_tiny_model(tiny_config());
  CHECK_THAT(make_backend(model, kCpu, options, {})->describe(), Catch::StartsWith("CPU"));
  if (find_cuda().devices.empty()) {
    CHECK_THAT(make_backend(model, kAuto, options, {})->describe(), Catch::StartsWith("CPU"));
    CHECK_THROWS_WITH(make_backend(model, cuda(0), options, {}), Contains(find_cuda().why_none));
  }
}
