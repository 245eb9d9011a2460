#include "models/http_download.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <optional>
#include <thread>

#include "base/error.h"
#include "base/file_descriptor.h"

namespace lectern {
namespace {

constexpr long kConnectSeconds = 5;  // short, so that the next source has its turn soon
constexpr long kStallSeconds = 30;
constexpr long kMaxRedirects = 10;
constexpr int kFruitlessAttempts = 3;
constexpr auto kPauseBetweenAttempts = std::chrono::seconds(1);

// One transfer's state, reached from libcurl's callbacks; an Error found there is kept and thrown after the
// transfer.
struct Transfer {
  CURL* curl = nullptr;
  const CancelToken* cancel = nullptr;
  std::optional<Error> error;
  bool started = false;  // the first body bytes have come

  // http_get
  std::string* text = nullptr;
  uint64_t max_bytes = 0;

  // http_download
  int fd = -1;
  std::string path;
  uint64_t offset = 0;  // bytes in the file
  uint64_t expected_bytes = 0;
  const std::function<void(uint64_t)>* on_bytes = nullptr;
};

struct CurlDeleter {
  void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
};
using CurlHandle = std::unique_ptr<CURL, CurlDeleter>;

CurlHandle new_handle() {
  static const CURLcode initialised = curl_global_init(CURL_GLOBAL_DEFAULT);
  CurlHandle curl(initialised == CURLE_OK ? curl_easy_init() : nullptr);
  if (curl == nullptr) throw Error(ErrorCode::kUnavailable, "libcurl cannot be started");
  return curl;
}

Error file_error(const std::string& path, int error) {
  const bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  return Error(full ? ErrorCode::kResourceExhausted : ErrorCode::kIo, path + ": " + std::strerror(error));
}

// Before the first bytes of a body are written: does the server send what we asked for?
bool begin_body(Transfer& transfer) {
  transfer.started = true;
  long status = 0;
  curl_off_t announced = -1;
  curl_easy_getinfo(transfer.curl, CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(transfer.curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &announced);
  if (transfer.offset > 0 && status != 206) {
    // The server ignores ranges: begin again.
    if (::ftruncate(transfer.fd, 0) != 0) {
      transfer.error = file_error(transfer.path, errno);
      return false;
    }
    transfer.offset = 0;
  }
  if (announced >= 0 && transfer.expected_bytes > 0 &&
      transfer.offset + static_cast<uint64_t>(announced) != transfer.expected_bytes) {
    transfer.error =
        Error(ErrorCode::kCorrupt,
              "the server's file has " + std::to_string(transfer.offset + static_cast<uint64_t>(announced)) +
                  " bytes, " + std::to_string(transfer.expected_bytes) + " were expected");
    return false;
  }
  return true;
}

size_t write_text(Transfer& transfer, const char* data, size_t size) {
  if (transfer.text->size() + size > transfer.max_bytes) {
    transfer.error = Error(ErrorCode::kResourceExhausted,
                           "the answer is longer than " + std::to_string(transfer.max_bytes) + " bytes");
    return 0;
  }
  transfer.text->append(data, size);
  return size;
}

size_t write_file(Transfer& transfer, const char* data, size_t size) {
  if (!transfer.started && !begin_body(transfer)) return 0;
  if (transfer.expected_bytes > 0 && transfer.offset + size > transfer.expected_bytes) {
    transfer.error = Error(ErrorCode::kCorrupt, "the server sends more than the expected " +
                                                    std::to_string(transfer.expected_bytes) + " bytes");
    return 0;
  }
  for (size_t written = 0; written < size;) {
    const ssize_t n = ::write(transfer.fd, data + written, size - written);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      transfer.error = file_error(transfer.path, errno);
      return 0;
    }
    written += static_cast<size_t>(n);
    transfer.offset += static_cast<uint64_t>(n);
  }
  if (*transfer.on_bytes) (*transfer.on_bytes)(transfer.offset);
  return size;
}

size_t on_write(char* data, size_t, size_t size, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  return transfer.text != nullptr ? write_text(transfer, data, size) : write_file(transfer, data, size);
}

int on_progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<Transfer*>(user)->cancel->cancelled() ? 1 : 0;
}

struct Outcome {
  CURLcode code = CURLE_OK;
  long status = 0;
  std::string reason;  // for people
};

// Runs one request. Throws the Error a callback left, and kCancelled.
Outcome perform(CURL* curl, const std::string& url, Transfer& transfer) {
  const bool encrypted = url.rfind("https:", 0) == 0;
  char message[CURL_ERROR_SIZE] = "";
  transfer.curl = curl;
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, encrypted ? "https" : "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(curl, CURLOPT_MAXREDIRS, kMaxRedirects);
  curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, kStallSeconds);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "lectern");
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, message);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_write);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &transfer);

  Outcome outcome;
  outcome.code = curl_easy_perform(curl);
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &outcome.status);
  transfer.cancel->throw_if_cancelled();
  if (transfer.error) throw *transfer.error;
  if (outcome.code == CURLE_HTTP_RETURNED_ERROR) {
    outcome.reason = "the server answered " + std::to_string(outcome.status);
  } else if (outcome.code != CURLE_OK) {
    outcome.reason = message[0] != '\0' ? message : curl_easy_strerror(outcome.code);
  }
  return outcome;
}

// Worth another attempt at the same place: the connection broke, or the server is busy.
bool is_passing(const Outcome& outcome) {
  switch (outcome.code) {
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return true;
    case CURLE_OPERATION_TIMEDOUT:
      return outcome.status != 0;  // it stalled; without a status it never answered
    case CURLE_HTTP_RETURNED_ERROR:
      return outcome.status == 429 || outcome.status >= 500;
    default:
      return false;
  }
}

void pause(const CancelToken& cancel) {
  const auto end = std::chrono::steady_clock::now() + kPauseBetweenAttempts;
  while (std::chrono::steady_clock::now() < end) {
    cancel.throw_if_cancelled();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

}  // namespace

std::string http_get(const std::string& url, uint64_t max_bytes, const CancelToken& cancel) {
  const CurlHandle curl = new_handle();
  std::string text;
  Transfer transfer;
  transfer.cancel = &cancel;
  transfer.text = &text;
  transfer.max_bytes = max_bytes;
  const Outcome outcome = perform(curl.get(), url, transfer);
  if (outcome.code != CURLE_OK) throw Error(ErrorCode::kUnavailable, url + ": " + outcome.reason);
  return text;
}

void http_download(const std::string& url, const std::filesystem::path& part, uint64_t expected_bytes,
                   const std::function<void(uint64_t)>& on_bytes, const CancelToken& cancel) {
  const FileDescriptor file(::open(part.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (file.fd < 0) throw file_error(part.string(), errno);
  struct stat info {};
  if (::fstat(file.fd, &info) != 0) throw file_error(part.string(), errno);
  auto offset = static_cast<uint64_t>(info.st_size);
  if (expected_bytes > 0 && offset > expected_bytes) {
    if (::ftruncate(file.fd, 0) != 0) throw file_error(part.string(), errno);
    offset = 0;
  }

  for (int fruitless = 0; expected_bytes == 0 || offset < expected_bytes;) {
    const CurlHandle curl = new_handle();
    Transfer transfer;
    transfer.cancel = &cancel;
    transfer.fd = file.fd;
    transfer.path = part.string();
    transfer.offset = offset;
    transfer.expected_bytes = expected_bytes;
    transfer.on_bytes = &on_bytes;
    if (offset > 0) curl_easy_setopt(curl.get(), CURLOPT_RANGE, (std::to_string(offset) + "-").c_str());
    const Outcome outcome = perform(curl.get(), url, transfer);
    if (outcome.code == CURLE_OK && (expected_bytes == 0 || transfer.offset == expected_bytes)) break;

    if (outcome.status == 416 && offset > 0) {  // what we have does not fit the server's file
      if (::ftruncate(file.fd, 0) != 0) throw file_error(part.string(), errno);
      transfer.offset = 0;
    } else if (outcome.code != CURLE_OK && !is_passing(outcome)) {
      throw Error(ErrorCode::kUnavailable, url + ": " + outcome.reason);
    }
    fruitless = transfer.offset > offset ? 0 : fruitless + 1;
    offset = transfer.offset;
    if (fruitless == kFruitlessAttempts) {
      throw Error(ErrorCode::kUnavailable,
                  url + ": " + (outcome.reason.empty() ? "the server sends too little" : outcome.reason) +
                      ", " + std::to_string(kFruitlessAttempts) + " times");
    }
    pause(cancel);
  }
  if (::fsync(file.fd) != 0) throw file_error(part.string(), errno);
}

}  // namespace lectern
