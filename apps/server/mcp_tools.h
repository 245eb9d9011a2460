// What `lectern mcp` and POST /mcp let a model do: search, read, ask and list, over the collections of a
// service. Thread-safe.
#pragma once

#include "apps/mcp/protocol.h"
#include "apps/server/service.h"

namespace lectern::server {

class ServiceTools : public mcp::Tools {
 public:
  explicit ServiceTools(Service& service) : service_(&service) {}  // keeps a reference

  Json definitions() const override;
  std::string instructions() const override;
  mcp::ToolResult call(const std::string& name, const Json& arguments, const mcp::Report& report,
                       const CancelToken& cancel) override;

 private:
  Service* service_;
};

}  // namespace lectern::server
