#include "apps/cli/progress_bar.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "apps/cli/output.h"
#include "base/utf8.h"

namespace lectern::cli {
namespace {

constexpr double kRedrawSeconds = 0.1;
constexpr double kEstimateAfterSeconds = 1.0;  // before that an estimate would be a guess
constexpr int kBarWidth = 20;

int terminal_width(int fd) {
  struct winsize size {};
  if (::ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

void write_best_effort(int fd, const std::string& text) {
  // A progress line that cannot be written is not worth an error.
  [[maybe_unused]] const ssize_t n = ::write(fd, text.data(), text.size());
}

std::string bar(double fraction) {
  const int full = static_cast<int>(std::lround(fraction * kBarWidth));
  std::string text = "[";
  for (int i = 0; i < kBarWidth; ++i) text += i < full ? '#' : '.';
  return text + "]";
}

}  // namespace

std::string progress_line(const Progress& progress, uint64_t first_items, uint64_t first_bytes,
                          double seconds, int width) {
  const bool by_bytes = progress.bytes_total > 0;
  const uint64_t done = by_bytes ? progress.bytes_done : progress.items_done;
  const uint64_t total = by_bytes ? progress.bytes_total : progress.items_total;
  const uint64_t first = by_bytes ? first_bytes : first_items;

  std::string line = progress.stage;
  if (total > 0) {
    const double fraction = std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
    line += " " + bar(fraction) + " " + std::to_string(static_cast<int>(fraction * 100)) + " %";
  }
  if (progress.items_total > 0) {
    line += "  " + std::to_string(progress.items_done) + "/" + std::to_string(progress.items_total);
  } else if (progress.items_done > 0) {
    line += "  " + std::to_string(progress.items_done);
  }
  if (progress.bytes_done > 0) line += "  " + format_bytes(progress.bytes_done);
  if (seconds >= kEstimateAfterSeconds && progress.bytes_done > first_bytes) {
    line += "  " +
            format_bytes(
                static_cast<uint64_t>(static_cast<double>(progress.bytes_done - first_bytes) / seconds)) +
            "/s";
  }
  if (seconds >= kEstimateAfterSeconds && total > done && done > first) {
    const double rate = static_cast<double>(done - first) / seconds;
    line += "  " + format_seconds(static_cast<double>(total - done) / rate) + " left";
  }
  if (!progress.item.empty()) line += "  " + printable(progress.item);
  // Columns are counted as code points; wide characters may wrap, which only looks untidy.
  size_t end = 0;
  for (int column = 0; end < line.size() && column < width - 1; ++column)
    end += utf8::decode(line, end).length;
  return line.substr(0, end);
}

void ProgressBar::show(const Progress& progress) {
  const std::lock_guard lock(mutex_);
  const auto now = Clock::now();
  if (progress.stage != stage_ || progress.bytes_done < first_bytes_ || progress.items_done < first_items_) {
    stage_ = progress.stage;
    stage_start_ = now;
    first_bytes_ = progress.bytes_done;
    first_items_ = progress.items_done;
  } else if (std::chrono::duration<double>(now - last_drawn_).count() < kRedrawSeconds) {
    return;
  }
  last_drawn_ = now;
  const double seconds = std::chrono::duration<double>(now - stage_start_).count();
  write_best_effort(
      fd_, "\r\033[K" + progress_line(progress, first_items_, first_bytes_, seconds, terminal_width(fd_)));
  visible_ = true;
}

void ProgressBar::clear() {
  const std::lock_guard lock(mutex_);
  if (visible_) write_best_effort(fd_, "\r\033[K");
  visible_ = false;
}

}  // namespace lectern::cli
