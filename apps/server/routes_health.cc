// GET /health, GET /metrics, GET /openapi.json
#include "apps/server/openapi.h"
#include "apps/server/routes.h"

namespace lectern::server {
namespace {

class Exposition {
 public:
  void add(const std::string& name, const std::string& type, const std::string& help, double value,
           const std::string& labels = {}) {
    if (name != last_) text_ += "# HELP " + name + " " + help + "\n# TYPE " + name + " " + type + "\n";
    last_ = name;
    text_ += name + labels + " " + Json(value).dump() + "\n";
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_, last_;
};

std::string metrics_text(const Service& service, ModelHost& models, const Gate& gate,
                         const Metrics& metrics) {
  Exposition out;
  const GateCounts counts = gate.counts();
  const Metrics::Values values = metrics.values();
  const auto number = [](auto n) { return static_cast<double>(n); };
  out.add("lectern_connections_total", "counter", "Connections accepted.", number(counts.accepted));
  out.add("lectern_connections", "gauge", "Connections open.", number(counts.connections));
  out.add("lectern_requests_refused_total", "counter", "Requests refused at the gate.",
          number(counts.refused));
  out.add("lectern_requests_in_flight", "gauge", "Requests being answered.", number(counts.in_flight));
  out.add("lectern_requests_queued", "gauge", "Whole requests that wait.", number(counts.queued));
  for (const auto& [status, n] : values.by_status)
    out.add("lectern_requests_total", "counter", "Requests answered, by status.", number(n),
            "{status=\"" + std::to_string(status) + "\"}");
  out.add("lectern_request_seconds_total", "counter", "Time from a request's arrival to its last byte.",
          values.seconds);
  double loaded = 0;
  for (const ModelInfo& model : models.list()) loaded += model.loaded ? 1 : 0;
  out.add("lectern_models_loaded", "gauge", "Models in memory.", loaded);
  out.add("lectern_collections", "gauge", "Collections served.", number(service.collections().size()));
  return out.text();
}

}  // namespace

void add_health_routes(Router& router, Service& service, const Gate& gate, const Metrics& metrics,
                       const std::string& version) {
  router.get("/health", [version](Call& call) { call.reply({{"status", "ok"}, {"version", version}}); });
  router.get("/openapi.json", [document = openapi_document(version)](Call& call) { call.reply(document); });
  router.get("/metrics", [&service, &gate, &metrics](Call& call) {
    call.response.set_content(metrics_text(service, service.models(), gate, metrics),
                              "text/plain; version=0.0.4; charset=utf-8");
  });
}

}  // namespace lectern::server
