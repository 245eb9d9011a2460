// Any bytes as a form: the first line is its content type. What is taken lies within the body, and in order.
#include <cstdlib>

#include "apps/server/http.h"
#include "apps/server/multipart.h"

using namespace lectern::server;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t end = text.find('\n');
  if (end == std::string_view::npos) return 0;
  const std::string_view body = text.substr(end + 1);
  try {
    const auto parts = parse_form(body, form_boundary(text.substr(0, end)));
    if (parts.size() > kMaxFormParts) std::abort();
    const char* at = body.data();
    for (const FormPart& part : parts) {
      if (part.body.data() < at || part.body.data() + part.body.size() > body.data() + body.size())
        std::abort();
      at = part.body.data() + part.body.size();
    }
  } catch (const HttpError& error) {
    if (error.reply().status != 400) std::abort();
  }
  return 0;
}
