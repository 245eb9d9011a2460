#include "agent/remote_http.h"

#include <curl/curl.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <random>
#include <thread>

#include "base/clock.h"
#include "base/error.h"
#include "base/utf8.h"

namespace lectern {
namespace {

constexpr size_t kMaxErrorBytes = 64 << 10;
constexpr size_t kMaxSaidBytes = 300;
constexpr double kProbeSeconds = 10;
constexpr int kPollMilliseconds = 20;  // a cancel is seen within this

struct CurlUrlDeleter {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};

std::string part_of(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, 0) != CURLUE_OK) return {};
  std::string out = text;
  curl_free(text);
  return out;
}

struct ParsedUrl {
  std::string root, path;
  bool is_local = false;
};

ParsedUrl parse_url(const std::string& text) {
  const auto fail = [](const std::string& why) -> void {
    throw Error(ErrorCode::kInvalidArgument,
                "--llm " + why + "; it takes the URL of an API, such as http://localhost:8080/v1");
  };
  const std::unique_ptr<CURLU, CurlUrlDeleter> url(curl_url());
  if (text.find("://") == std::string::npos ||
      curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK)
    fail("is not a URL");
  const std::string scheme = part_of(url.get(), CURLUPART_SCHEME);
  if (scheme != "http" && scheme != "https") fail("is neither http nor https");
  if (!part_of(url.get(), CURLUPART_USER).empty() || !part_of(url.get(), CURLUPART_PASSWORD).empty())
    fail(
        "holds a name or password, which other users of the machine can read: put the key into "
        "LECTERN_LLM_API_KEY or a file (--llm-key-file)");
  if (!part_of(url.get(), CURLUPART_QUERY).empty() || !part_of(url.get(), CURLUPART_FRAGMENT).empty())
    fail("has a query or fragment");
  ParsedUrl parsed;
  const std::string host = part_of(url.get(), CURLUPART_HOST);
  const std::string port = part_of(url.get(), CURLUPART_PORT);
  parsed.root = scheme + "://" + host + (port.empty() ? "" : ":" + port);
  parsed.is_local = host == "localhost" || host == "[::1]" || host.starts_with("127.");
  parsed.path = part_of(url.get(), CURLUPART_PATH);
  while (parsed.path.ends_with('/')) parsed.path.pop_back();
  if (parsed.path.empty()) parsed.path = "/v1";
  return parsed;
}

void replace_all(std::string& text, const std::string& what, const std::string& with) {
  for (size_t at = 0; !what.empty() && (at = text.find(what, at)) != std::string::npos; at += with.size())
    text.replace(at, what.size(), with);
}

// Before the server has seen the request, or when it cannot have answered it: sending again is harmless.
bool is_broken_connection(CURLcode code) {
  switch (code) {
    case CURLE_COULDNT_CONNECT:
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return true;
    default:
      return false;
  }
}

bool is_busy(int status) {
  return status == 429 || (status >= 500 && status != 501);
}

double random_share() {
  thread_local std::minstd_rand generator{std::random_device{}()};
  return std::uniform_real_distribution<double>(0.5, 1.0)(generator);
}

void wait(double seconds, const CancelToken& cancel) {
  const Stopwatch watch;
  while (watch.seconds() < seconds) {
    cancel.throw_if_cancelled();
    std::this_thread::sleep_for(std::chrono::milliseconds(kPollMilliseconds));
  }
}

std::string in_seconds(double seconds) {
  return std::to_string(static_cast<int>(seconds + 0.5)) + " seconds";
}

std::string remedy_for(CURLcode code) {
  switch (code) {
    case CURLE_COULDNT_CONNECT:
      return "start the server, or correct --llm";
    case CURLE_COULDNT_RESOLVE_HOST:
      return "correct the host in --llm";
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
      return "install the server's certificate authority on this machine";
    case CURLE_SSL_CONNECT_ERROR:
      return "does the server speak http, not https?";
    default:
      return "look at the server's own log";
  }
}

}  // namespace

struct RemoteHttp::Connection {
  CURLM* multi = nullptr;
  CURL* easy = nullptr;

  Connection() {
    static const CURLcode initialised = curl_global_init(CURL_GLOBAL_DEFAULT);
    if (initialised == CURLE_OK) {
      multi = curl_multi_init();
      easy = curl_easy_init();
    }
    if (multi == nullptr || easy == nullptr)
      throw Error(ErrorCode::kUnavailable, "libcurl cannot be started");
  }
  ~Connection() {
    curl_easy_cleanup(easy);
    curl_multi_cleanup(multi);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
};

// One attempt, reached from libcurl's callback.
struct RemoteHttp::Transfer {
  CURL* easy = nullptr;
  const OnBody* on_body = nullptr;
  uint64_t max_bytes = 0;

  HttpReply reply;
  CURLcode code = CURLE_OK;
  std::string reason;  // why `code` is not CURLE_OK
  double retry_after = 0;
  uint64_t bytes = 0;
  bool delivered = false;  // on_body had bytes
  bool stopped = false;    // by on_body
  bool complete = false;   // as on_body says
  bool too_long = false;
  std::exception_ptr exception;  // of on_body
  Stopwatch whole, silence;      // the latter since the last part of the reply, or since it was complete
  bool begun = false;            // a part has come

  bool take(std::string_view data) {
    if (bytes == 0) read_head();
    bytes += data.size();
    too_long = bytes > max_bytes && !complete;
    if (too_long) return false;
    if (reply.is_success() && *on_body) {
      delivered = true;
      try {
        note((*on_body)(data, reply.content_type));
      } catch (...) {  // not through libcurl
        exception = std::current_exception();
      }
    } else {
      note(part_of_whole(begun, data));
      const size_t limit = reply.is_success() ? std::string::npos : kMaxErrorBytes;
      reply.body += data.substr(0, limit - std::min(limit, reply.body.size()));
    }
    return !stopped && !exception;
  }

  // What comes after the reply is complete prolongs nothing.
  void note(BodyPart part) {
    if (part == BodyPart::kEnough) stopped = true;
    if (part == BodyPart::kNothing || complete) return;
    complete = part == BodyPart::kComplete;
    begun = true;
    silence = Stopwatch();
  }

  // True when time is up; `reason` says for what.
  bool is_late(const HttpLimits& limits, double more_seconds) {
    if (complete) return silence.seconds() > limits.closing_seconds;
    const double allowed = begun ? limits.idle_seconds : limits.first_byte_seconds;
    const double allowed_whole = limits.whole_seconds + more_seconds;
    if (silence.seconds() > allowed) {
      reason = "nothing of a reply came for " + in_seconds(allowed);
    } else if (whole.seconds() > allowed_whole) {
      reason = "the reply was not complete after " + in_seconds(allowed_whole);
    }
    return !reason.empty();
  }

  void read_head() {
    long status = 0;
    const char* type = nullptr;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type);
    reply.status = static_cast<int>(status);
    reply.content_type = type == nullptr ? "" : type;
  }
};

RemoteHttp::RemoteHttp(const std::string& url, std::string api_key, const HttpLimits& limits)
    : api_key_(std::move(api_key)), limits_(limits) {
  const ParsedUrl parsed = parse_url(url);
  url_ = parsed.root + parsed.path;
  is_local_ = parsed.is_local;
  // Servers with endpoints beside the API have it at /v1.
  root_ = parsed.path.ends_with("/v1") ? url_.substr(0, url_.size() - 3) : url_;
  if (std::any_of(api_key_.begin(), api_key_.end(), [](char c) { return c <= ' ' || c > '~'; })) {
    throw Error(ErrorCode::kInvalidArgument,
                "the API key holds a blank or a character that no key has: look at LECTERN_LLM_API_KEY, "
                "OPENAI_API_KEY or the key file");
  }
}

RemoteHttp::~RemoteHttp() = default;

std::string RemoteHttp::shown_url(const HttpRequest& request) const {
  return (request.from_root ? root_ : url_) + request.path;
}

std::string RemoteHttp::said(std::string_view body) const {
  std::string text = utf8::repair(body.substr(0, kMaxErrorBytes));
  replace_all(text, api_key_, "***");
  std::string line;
  for (const char c : text) {
    const bool control = static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
    if (!control) line += c;
    if (control && !line.empty() && line.back() != ' ') line += ' ';
  }
  if (line.size() <= kMaxSaidBytes) return line;
  return std::string(utf8::prefix(line, kMaxSaidBytes)) + "...";
}

HttpReply RemoteHttp::send(const HttpRequest& request, const OnBody& on_body, const CancelToken& cancel) {
  const std::string body = request.body ? dump_json(*request.body) : "";
  const std::string shown = shown_url(request);
  const int attempts = request.is_probe ? 1 : limits_.attempts;
  double pause = limits_.first_pause_seconds;
  for (int n = 1;; ++n, pause *= 2) {
    Transfer transfer = attempt(request, body, on_body, cancel);
    cancel.throw_if_cancelled();
    if (transfer.exception) std::rethrow_exception(transfer.exception);
    if (transfer.stopped || transfer.complete) return std::move(transfer.reply);
    if (transfer.too_long) {
      throw Error(ErrorCode::kResourceExhausted, shown + ": the reply is longer than " +
                                                     std::to_string(limits_.max_reply_bytes) +
                                                     " bytes; is this an OpenAI-compatible server?");
    }
    const bool broken = transfer.code != CURLE_OK;
    const bool again =
        broken ? is_broken_connection(transfer.code) && !transfer.delivered
               : is_busy(transfer.reply.status) && !(request.may_be_refused && transfer.reply.status == 500);
    const double wanted = std::max(pause * random_share(), transfer.retry_after);
    if (again && n < attempts && wanted <= limits_.longest_pause_seconds) {
      wait(wanted, cancel);
      continue;
    }
    if (!broken) return std::move(transfer.reply);
    const std::string times = n > 1 ? ", " + std::to_string(n) + " times" : "";
    throw Error(ErrorCode::kUnavailable,
                shown + ": " +
                    (transfer.delivered ? "the connection broke in the middle of the reply: " : "") +
                    said(transfer.reason) + times + "; " + remedy_for(transfer.code));
  }
}

std::unique_ptr<RemoteHttp::Connection> RemoteHttp::take_connection() {
  const std::lock_guard lock(mutex_);
  if (idle_.empty()) return std::make_unique<Connection>();
  auto connection = std::move(idle_.back());
  idle_.pop_back();
  return connection;
}

RemoteHttp::Transfer RemoteHttp::attempt(const HttpRequest& request, const std::string& body,
                                         const OnBody& on_body, const CancelToken& cancel) {
  std::unique_ptr<Connection> connection = take_connection();
  CURL* const easy = connection->easy;
  Transfer transfer;
  transfer.easy = easy;
  transfer.on_body = &on_body;
  transfer.max_bytes = limits_.max_reply_bytes;

  struct HeaderList {
    curl_slist* list = nullptr;
    void add(const std::string& line) { list = curl_slist_append(list, line.c_str()); }
    ~HeaderList() { curl_slist_free_all(list); }
  } headers;
  headers.add("Content-Type: application/json");
  headers.add("Expect:");  // no round trip before a long body
  if (!api_key_.empty()) headers.add("Authorization: Bearer " + api_key_);

  char message[CURL_ERROR_SIZE] = "";
  const std::string url = shown_url(request);
  const auto write = +[](char* data, size_t, size_t size, void* user) -> size_t {
    return static_cast<Transfer*>(user)->take({data, size}) ? size : 0;
  };
  curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);  // the key goes nowhere else
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  if (is_local_) curl_easy_setopt(easy, CURLOPT_PROXY, "");  // no proxy reaches this machine
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(limits_.connect_seconds * 1000));
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "lectern");
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers.list);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, message);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, write);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &transfer);
  if (request.body) {
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body.c_str());
  }
  if (request.is_probe) curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(kProbeSeconds * 1000));

  transfer.whole = transfer.silence = Stopwatch();
  curl_multi_add_handle(connection->multi, easy);
  for (int running = 1; running > 0 && !cancel.cancelled();) {
    curl_multi_perform(connection->multi, &running);
    int left = 0;
    while (const CURLMsg* done = curl_multi_info_read(connection->multi, &left)) {
      if (done->msg == CURLMSG_DONE) transfer.code = done->data.result;
    }
    if (running == 0) break;
    if (transfer.is_late(limits_, request.more_seconds)) {
      transfer.code = CURLE_OPERATION_TIMEDOUT;
      break;
    }
    curl_multi_poll(connection->multi, nullptr, 0, kPollMilliseconds, nullptr);
  }
  if (transfer.bytes == 0) transfer.read_head();
  curl_off_t retry_after = 0;
  curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &retry_after);
  transfer.retry_after = static_cast<double>(retry_after);
  if (transfer.reason.empty() && transfer.code != CURLE_OK)
    transfer.reason = message[0] != '\0' ? message : curl_easy_strerror(transfer.code);
  curl_multi_remove_handle(connection->multi, easy);
  curl_easy_reset(easy);  // forgets our buffers, keeps the open connection

  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(connection));
  return transfer;
}

}  // namespace lectern
