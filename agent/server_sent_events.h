// Server-sent events (WHATWG HTML, section 9.2), the form in which OpenAI-compatible servers stream replies:
// the data of every event, however the bytes were cut on their way. Event names and ids are not used by them.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace lectern {

class ServerSentEvents {
 public:
  // Returns false to stop.
  using OnData = std::function<bool(std::string_view data)>;

  // `max_event_bytes` bounds what is kept of a line or event that does not end.
  explicit ServerSentEvents(size_t max_event_bytes) : max_event_bytes_(max_event_bytes) {}

  // Calls `on_data` for each event that these bytes complete. False when `on_data` said so. Throws
  // Error(kResourceExhausted) for an event that is too long.
  bool feed(std::string_view bytes, const OnData& on_data);
  // At the end of the stream: an event whose closing blank line is missing counts, as many servers leave it
  // out.
  bool finish(const OnData& on_data);

 private:
  bool end_line(const OnData& on_data);
  bool dispatch(const OnData& on_data);

  size_t max_event_bytes_;
  std::string line_, data_;
  bool has_data_ = false;
  bool after_cr_ = false;  // a following LF belongs to the same line end
};

}  // namespace lectern
