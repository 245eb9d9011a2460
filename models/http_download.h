// HTTP GET through libcurl, which honours the usual proxy variables. Thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "base/cancel.h"

namespace lectern {

// A small answer. Throws Error: kUnavailable with the reason, kResourceExhausted above max_bytes, kCancelled.
std::string http_get(const std::string& url, uint64_t max_bytes, const CancelToken& cancel);

// Downloads to `part`, going on after what is there already; broken connections are taken up again a few
// times. `expected_bytes` (0: not known) is compared with what the server announces. Throws Error:
// kUnavailable, kCorrupt when the sizes differ, kIo and kResourceExhausted for the file, kCancelled. What
// came so far stays in `part`.
void http_download(const std::string& url, const std::filesystem::path& part, uint64_t expected_bytes,
                   const std::function<void(uint64_t bytes_done)>& on_bytes, const CancelToken& cancel);

}  // namespace lectern
