// Any bytes as a config.json; what reads must have passed validate().
#include "base/error.h"
#include "engine/config_json.h"

using namespace lectern;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Qwen2Config config;
  try {
    config = read_config_json({reinterpret_cast<const char*>(data), size}, "input");
  } catch (const Error&) {
    return 0;
  }
  validate(config, "input");  // an Error here would escape and be found
  return 0;
}
