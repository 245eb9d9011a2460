#include "agent/server_sent_events.h"

#include <utility>

#include "base/error.h"

namespace lectern {

bool ServerSentEvents::feed(std::string_view bytes, const OnData& on_data) {
  while (!bytes.empty()) {
    if (after_cr_ && bytes.front() == '\n') bytes.remove_prefix(1);
    after_cr_ = false;
    const size_t end = bytes.find_first_of("\r\n");
    const std::string_view part = bytes.substr(0, end);
    if (line_.size() + data_.size() + part.size() > max_event_bytes_) {
      throw Error(ErrorCode::kResourceExhausted,
                  "a line of the stream is longer than " + std::to_string(max_event_bytes_) + " bytes");
    }
    line_ += part;
    if (end == std::string_view::npos) return true;
    after_cr_ = bytes[end] == '\r';
    bytes.remove_prefix(end + 1);
    if (!end_line(on_data)) return false;
  }
  return true;
}

bool ServerSentEvents::finish(const OnData& on_data) {
  return (line_.empty() || end_line(on_data)) && dispatch(on_data);
}

bool ServerSentEvents::end_line(const OnData& on_data) {
  const std::string line = std::exchange(line_, {});
  if (line.empty()) return dispatch(on_data);
  std::string_view value = line;
  if (value.starts_with("\xEF\xBB\xBF")) value.remove_prefix(3);
  if (!value.starts_with("data:")) return true;  // a comment, or a field that is not used
  value.remove_prefix(5);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (has_data_) data_ += '\n';
  data_ += value;
  has_data_ = true;
  return true;
}

bool ServerSentEvents::dispatch(const OnData& on_data) {
  const std::string data = std::exchange(data_, {});
  return !std::exchange(has_data_, false) || on_data(data);
}

}  // namespace lectern
