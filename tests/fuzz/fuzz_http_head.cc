// Any bytes as the head of a request; one that is taken must mean the same to whoever reads what is handed
// on.
#include <cstdlib>

#include "apps/server/access.h"

using namespace lectern::server;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t end = find_head_end(text, 0);
  if (end == std::string_view::npos) return 0;
  Head head;
  if (const auto refusal = parse_head(text.substr(0, end), head)) {
    if (refusal->status < 400 || refusal->message.empty()) std::abort();
    return 0;
  }
  check_access(head, AccessRules());
  const std::string forwarded = forwarded_head(head, "0123");
  if (find_head_end(forwarded, 0) != forwarded.size()) std::abort();  // nothing in it ends it early
  Head again;
  if (const auto refusal = parse_head(forwarded, again)) {
    if (refusal->status != 431) std::abort();  // our own lines may lift it over the limit
    return 0;
  }
  const bool same = again.method == head.method && again.target == head.target &&
                    again.content_length == head.content_length && again.count(kRequestIdHeader) == 1 &&
                    again.get(kRequestIdHeader) == "0123";
  if (!same) std::abort();
  return 0;
}
