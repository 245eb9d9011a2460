// One tool that says what it is told, and waits, reports or fails when asked to.
#pragma once

#include <chrono>
#include <stdexcept>
#include <thread>

#include "apps/mcp/protocol.h"
#include "base/error.h"

namespace lectern::test {

class EchoTools : public mcp::Tools {
 public:
  Json definitions() const override {
    Json echo{{"name", "echo"}};
    echo["inputSchema"] = {{"type", "object"}};
    return Json::array({echo});
  }
  std::string instructions() const override { return "say something"; }
  mcp::ToolResult call(const std::string&, const Json& arguments, const mcp::Report& report,
                       const CancelToken& cancel) override {
    for (int i = 0; i < arguments.value("reports", 0); ++i) report("report");
    if (arguments.contains("fail")) throw Error(ErrorCode::kInvalidArgument, "it failed");
    if (arguments.contains("bug")) throw std::logic_error("secret");
    while (arguments.contains("wait")) {
      cancel.throw_if_cancelled();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    const std::string said = arguments.value("say", "");
    return {said, {{"said", said}}};
  }
};

}  // namespace lectern::test
