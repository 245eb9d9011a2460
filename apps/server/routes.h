// One function a family of routes.
#pragma once

#include <string>

#include "apps/server/http.h"
#include "apps/server/metrics.h"
#include "apps/server/service.h"

namespace lectern::server {

void add_health_routes(Router& router, Service& service, const Gate& gate, const Metrics& metrics,
                       const std::string& version);
void add_own_routes(Router& router, Service& service);
void add_openai_routes(Router& router, Service& service);
void add_responses_routes(Router& router, Service& service);
void add_file_routes(Router& router, Service& service);
void add_vector_store_routes(Router& router, Service& service);
void add_ollama_routes(Router& router, Service& service, const std::string& version);
void add_mcp_routes(Router& router, Service& service, const std::string& version);
void add_ollama_model_routes(Router& router, Service& service);
void add_page_routes(Router& router);

}  // namespace lectern::server
