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

// Columns a terminal gives a character: 2 for East Asian wide ones and emoji, 0 for combining marks.
int columns(char32_t c) {
  struct Range {
    char32_t first, last;
  };
  static constexpr Range kWide[] = {
      {0x1100, 0x115F},   {0x2E80, 0x303E},   {0x3041, 0xA4CF},  {0xA960, 0xA97C}, {0xAC00, 0xD7A3},
      {0xF900, 0xFAFF},   {0xFE30, 0xFE6F},   {0xFF00, 0xFF60},  {0xFFE0, 0xFFE6}, {0x1F300, 0x1F64F},
      {0x1F680, 0x1F6FF}, {0x1F900, 0x1FAFF}, {0x20000, 0x3FFFD}};
  static constexpr Range kZero[] = {
      {0x0300, 0x036F}, {0x200B, 0x200F}, {0x20D0, 0x20FF}, {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F}};
  const auto within = [c](const Range& range) { return c >= range.first && c <= range.last; };
  if (std::any_of(std::begin(kWide), std::end(kWide), within)) return 2;
  return std::any_of(std::begin(kZero), std::end(kZero), within) ? 0 : 1;
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
                          double seconds, int width, double first_work) {
  const bool by_bytes = progress.bytes_total > 0;
  const uint64_t done = by_bytes ? progress.bytes_done : progress.items_done;
  const uint64_t total = by_bytes ? progress.bytes_total : progress.items_total;
  const uint64_t first = by_bytes ? first_bytes : first_items;

  const bool by_work = progress.work_done >= 0;

  std::string line = progress.stage;
  if (total > 0 || by_work) {
    const double share =
        by_work ? progress.work_done : static_cast<double>(done) / static_cast<double>(total);
    const double fraction = std::min(1.0, share);
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
  if (by_work) {
    const double left = 1 - progress.work_done, since = progress.work_done - first_work;
    if (seconds >= kEstimateAfterSeconds && left > 0 && since > 0)
      line += "  " + format_seconds(seconds * left / since) + " left";
  } else if (seconds >= kEstimateAfterSeconds && total > done && done > first) {
    const double rate = static_cast<double>(done - first) / seconds;
    line += "  " + format_seconds(static_cast<double>(total - done) / rate) + " left";
  }
  if (!progress.item.empty()) line += "  " + printable(progress.item);
  // A line that wraps could not be drawn over.
  size_t end = 0;
  for (int column = 0; end < line.size();) {
    const utf8::Decoded decoded = utf8::decode(line, end);
    column += columns(decoded.code_point);
    if (column > width - 1) break;
    end += decoded.length;
  }
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
    first_work_ = progress.work_done;
  } else if (std::chrono::duration<double>(now - last_drawn_).count() < kRedrawSeconds) {
    return;
  }
  last_drawn_ = now;
  const double seconds = std::chrono::duration<double>(now - stage_start_).count();
  write_best_effort(fd_, "\r\033[K" + progress_line(progress, first_items_, first_bytes_, seconds,
                                                    terminal_width(fd_), first_work_));
  visible_ = true;
}

void ProgressBar::clear() {
  const std::lock_guard lock(mutex_);
  if (visible_) write_best_effort(fd_, "\r\033[K");
  visible_ = false;
}

}  // namespace lectern::cli
