#include "apps/server/server.h"

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <thread>

#include <sys/socket.h>
#include <unistd.h>

#include "apps/server/routes.h"

namespace lectern::server {
namespace {

namespace fs = std::filesystem;

// A folder that only its owner can enter, for the inner socket.
class PrivateFolder {
 public:
  PrivateFolder() {
    const char* runtime = std::getenv("XDG_RUNTIME_DIR");
    std::string name = runtime != nullptr && *runtime == '/' && std::strlen(runtime) < 60 ? runtime : "/tmp";
    name += "/lectern-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr)
      throw Error(ErrorCode::kIo, name + ": cannot make a folder: " + std::strerror(errno));
    path_ = name;
  }
  ~PrivateFolder() {
    std::error_code error;
    fs::remove_all(path_, error);
  }
  PrivateFolder(const PrivateFolder&) = delete;
  PrivateFolder& operator=(const PrivateFolder&) = delete;
  fs::path socket() const { return path_ / "inner.sock"; }

 private:
  fs::path path_;
};

AccessRules rules_of(const ServerOptions& options) {
  const bool is_unix = !options.listening.unix_path.empty();
  const bool loopback = is_unix || is_loopback(options.listening.host);
  if (!loopback && options.api_key.empty())
    throw Error(
        ErrorCode::kInvalidArgument,
        options.listening.host +
            " can be reached from other machines: name a file that holds an API key with --api-key-file "
            "FILE, or listen on 127.0.0.1");
  AccessRules rules;
  rules.check_host = loopback && !is_unix;
  rules.host_names = {options.listening.host};
  rules.api_key = options.api_key;
  return rules;
}

std::string now_text() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  return std::string(text, std::strftime(text, sizeof(text), "%FT%TZ", &parts));
}

}  // namespace

struct Server::Impl {
  explicit Impl(ServerOptions given)
      : options(std::move(given)),
        gate(options.listening, rules_of(options), options.limits, folder.socket()),
        service(options.folders, options.models) {}

  void set_up();
  void log(const httplib::Request& request, const httplib::Response& response);

  ServerOptions options;
  PrivateFolder folder;
  Gate gate;
  Service service;
  Metrics metrics;
  httplib::Server http;
  Router router{http, gate};
};

void Server::Impl::set_up() {
  httplib::Headers headers;
  for (const auto& [name, value] : security_headers()) headers.emplace(name, value);
  http.set_default_headers(std::move(headers));
  http.set_address_family(AF_UNIX);
  http.new_task_queue = [n = options.limits.max_in_flight] { return new httplib::ThreadPool(n); };
  http.set_keep_alive_max_count(1);
  http.set_payload_max_length(options.limits.max_body_bytes);
  // The gate waits for slow clients; it closes this side when one takes too long.
  http.set_write_timeout(static_cast<time_t>(options.limits.write_seconds) + 10);
  http.set_error_handler([](const httplib::Request&, httplib::Response& response) {
    if (!response.body.empty()) return;
    const std::string what =
        response.status == 404 ? "there is nothing at this address" : "the request failed";
    response.set_content(error_body(response.status, what, response.status == 404 ? "not_found" : ""),
                         "application/json");
  });
  http.set_logger(
      [this](const httplib::Request& request, const httplib::Response& response) { log(request, response); });
  add_health_routes(router, service, gate, metrics, options.version);
  add_own_routes(router, service);
  add_openai_routes(router, service);
  add_responses_routes(router, service);
  add_file_routes(router, service);
  add_vector_store_routes(router, service);
  add_ollama_routes(router, service, options.version);
  add_mcp_routes(router, service, options.version);
  add_ollama_model_routes(router, service);
  add_page_routes(router);
  router.refuse_other_methods();
  if (!http.bind_to_port(folder.socket().string(), 1))
    throw Error(ErrorCode::kIo, folder.socket().string() + ": cannot listen here");
}

void Server::Impl::log(const httplib::Request& request, const httplib::Response& response) {
  const std::string id = request.get_header_value(std::string(kRequestIdHeader));
  const auto ticket = gate.ticket(id);
  double seconds = 0;
  if (ticket)
    seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - ticket->arrival).count();
  metrics.count(response.status, seconds);
  if (!options.log) return;
  const bool left = ticket && ticket->cancel.cancelled();
  options.log(dump_json(Json{{"time", now_text()},
                             {"id", id.substr(0, 8)},
                             {"method", request.method},
                             {"path", request.path},
                             {"status", response.status},
                             {"seconds", seconds},
                             {"client_left", left}}));
}

Server::Server(ServerOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {
  impl_->set_up();
}

Server::~Server() = default;

std::string Server::url() const {
  const Listening& at = impl_->options.listening;
  if (!at.unix_path.empty()) return "unix:" + at.unix_path.string();
  const std::string host = at.host.find(':') == std::string::npos ? at.host : "[" + at.host + "]";
  return "http://" + host + ":" + std::to_string(impl_->gate.port());
}

const Service& Server::service() const {
  return impl_->service;
}

std::vector<std::pair<std::string, std::string>> Server::routes() const {
  std::vector<std::pair<std::string, std::string>> routes;
  for (const auto& [method, pattern] : impl_->router.added()) routes.emplace_back(method, pattern);
  return routes;
}

void Server::run(const CancelToken& stop) {
  Impl& impl = *impl_;
  std::thread http([&impl] { impl.http.listen_after_bind(); });
  const auto start_jobs = [&impl] {
    if (!impl.options.index_at_start) return;
    for (const auto& collection : impl.service.collections())
      if (!collection->folders.empty()) impl.service.index(collection);
  };
  std::thread janitor([&impl, &stop] {
    for (int tick = 0; !stop.cancelled(); ++tick) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      if (tick % 100 == 99) impl.service.models().unload_idle();
    }
  });
  const auto end = [&] {
    stop.cancel();
    impl.http.stop();
    janitor.join();
    http.join();
  };
  try {
    while (!impl.http.is_running() && !stop.cancelled())
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    start_jobs();
    impl.gate.run(stop);
  } catch (...) {
    end();
    throw;
  }
  end();
}

}  // namespace lectern::server
