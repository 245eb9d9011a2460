#include "retrieval/ignore_rules.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace lectern {
namespace {

constexpr size_t kMaxPatternBytes = 1024;

struct NamedClass {
  std::string_view name;
  int (*test)(int);
};
constexpr std::array kNamedClasses{
    NamedClass{"alnum", std::isalnum}, NamedClass{"alpha", std::isalpha}, NamedClass{"blank", std::isblank},
    NamedClass{"cntrl", std::iscntrl}, NamedClass{"digit", std::isdigit}, NamedClass{"graph", std::isgraph},
    NamedClass{"lower", std::islower}, NamedClass{"print", std::isprint}, NamedClass{"punct", std::ispunct},
    NamedClass{"space", std::isspace}, NamedClass{"upper", std::isupper}, NamedClass{"xdigit", std::isxdigit},
};

// Trailing blanks do not count, unless a backslash keeps one.
std::string_view without_trailing_blanks(std::string_view line) {
  while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
  while (line.ends_with(' ') || line.ends_with('\t')) {
    size_t slashes = 0;
    while (slashes + 1 < line.size() && line[line.size() - 2 - slashes] == '\\') ++slashes;
    if (slashes % 2 == 1) break;
    line.remove_suffix(1);
  }
  return line;
}

}  // namespace

std::optional<IgnorePattern> IgnorePattern::parse(std::string_view line) {
  line = without_trailing_blanks(line);
  if (line.empty() || line.front() == '#' || line.size() > kMaxPatternBytes) return std::nullopt;
  IgnorePattern pattern;
  if (line.front() == '!') {
    pattern.negated_ = true;
    line.remove_prefix(1);
  }
  if (line.ends_with('/')) {
    pattern.folders_only_ = true;
    line.remove_suffix(1);
  }
  pattern.anchored_ = line.find('/') != std::string_view::npos;
  if (line.starts_with('/')) line.remove_prefix(1);
  if (line.empty()) return std::nullopt;
  pattern.compile(line);
  return pattern;
}

void IgnorePattern::compile(std::string_view glob) {
  for (size_t i = 0; i < glob.size();) {
    const char c = glob[i];
    if (c == '*') {
      const size_t end = std::min(glob.find_first_not_of('*', i), glob.size());
      const bool whole_name =
          end - i >= 2 && (i == 0 || glob[i - 1] == '/') && (end == glob.size() || glob[end] == '/');
      if (whole_name && end == glob.size()) {
        steps_.push_back({Op::kAll});
        steps_.push_back({Op::kMore});
        i = end;
      } else if (whole_name) {
        steps_.push_back({Op::kFolders});
        steps_.push_back({Op::kInside});
        i = end + 1;
      } else {
        steps_.push_back({Op::kRun});
        i = end;
      }
    } else if (c == '?') {
      std::bitset<256> any;
      any.set();
      sets_.push_back(any);
      steps_.push_back({Op::kClass, 0, static_cast<uint16_t>(sets_.size() - 1)});
      ++i;
    } else if (c == '[') {
      i = compile_class(glob, i);
    } else {
      if (c == '\\' && ++i == glob.size()) impossible_ = true;  // nothing is escaped
      if (i < glob.size()) steps_.push_back({Op::kByte, static_cast<uint8_t>(glob[i])});
      ++i;
    }
  }
}

// Compiles "[...]" at `begin` and returns the offset after it. An unclosed bracket matches nothing.
size_t IgnorePattern::compile_class(std::string_view glob, size_t begin) {
  std::bitset<256> set;
  size_t i = begin + 1;
  const bool inverted = i < glob.size() && (glob[i] == '!' || glob[i] == '^');
  if (inverted) ++i;
  bool first = true;
  for (; i < glob.size() && (first || glob[i] != ']'); first = false) {
    if (glob.substr(i, 2) == "[:") {
      const size_t close = glob.find(":]", i + 2);
      const auto known =
          std::find_if(kNamedClasses.begin(), kNamedClasses.end(), [&](const NamedClass& named) {
            return close != std::string_view::npos && named.name == glob.substr(i + 2, close - i - 2);
          });
      if (known != kNamedClasses.end()) {
        for (int byte = 0; byte < 128; ++byte)
          if (known->test(byte) != 0) set.set(static_cast<size_t>(byte));
        i = close + 2;
        continue;
      }
    }
    if (glob[i] == '\\' && i + 1 < glob.size()) ++i;
    const auto low = static_cast<uint8_t>(glob[i++]);
    uint8_t high = low;
    if (i + 1 < glob.size() && glob[i] == '-' && glob[i + 1] != ']') {
      if (glob[++i] == '\\' && i + 1 < glob.size()) ++i;
      high = static_cast<uint8_t>(glob[i++]);
    }
    for (size_t byte = low; byte <= high; ++byte) set.set(byte);
  }
  if (i >= glob.size()) {
    impossible_ = true;
    return glob.size();
  }
  sets_.push_back(inverted ? ~set : set);
  steps_.push_back({Op::kClass, 0, static_cast<uint16_t>(sets_.size() - 1)});
  return i + 1;
}

// Activates a step and those that may be passed without a byte.
void IgnorePattern::enter(std::vector<uint8_t>& active, size_t step) const {
  while (active[step] == 0) {
    active[step] = 1;
    if (step == steps_.size()) return;
    const Op op = steps_[step].op;
    if (op == Op::kFolders) {
      active[step + 1] = 1;  // inside the first folder
      step += 2;
    } else if (op == Op::kRun || op == Op::kMore) {
      ++step;
    } else {
      return;
    }
  }
}

bool IgnorePattern::matches(std::string_view path, bool is_folder) const {
  if (impossible_ || (folders_only_ && !is_folder)) return false;
  if (!anchored_) path = path.substr(path.rfind('/') + 1);  // npos + 1 is 0
  thread_local std::vector<uint8_t> active, next;
  active.assign(steps_.size() + 1, 0);
  enter(active, 0);
  for (const char c : path) {
    const auto byte = static_cast<uint8_t>(c);
    next.assign(steps_.size() + 1, 0);
    bool alive = false;
    for (size_t i = 0; i < steps_.size(); ++i) {
      if (active[i] == 0) continue;
      const Step& step = steps_[i];
      size_t to = steps_.size() + 1;
      switch (step.op) {
        case Op::kByte:
          if (byte == step.byte) to = i + 1;
          break;
        case Op::kClass:
          if (byte != '/' && sets_[step.set][byte]) to = i + 1;
          break;
        case Op::kRun:
          if (byte != '/') to = i;
          break;
        case Op::kFolders:
          break;  // passed on entering
        case Op::kInside:
          next[i] = 1;
          alive = true;
          if (byte == '/') to = i + 1;
          break;
        case Op::kAll:
          to = i + 1;
          break;
        case Op::kMore:
          to = i;
          break;
      }
      if (to > steps_.size()) continue;
      enter(next, to);
      alive = true;
    }
    if (!alive) return false;
    active.swap(next);
  }
  return active[steps_.size()] != 0;
}

void IgnoreRules::add_file(std::string_view content) {
  if (content.starts_with("\xEF\xBB\xBF")) content.remove_prefix(3);
  while (!content.empty()) {
    const size_t end = std::min(content.find('\n'), content.size());
    if (auto pattern = IgnorePattern::parse(content.substr(0, end))) patterns_.push_back(std::move(*pattern));
    content.remove_prefix(std::min(end + 1, content.size()));
  }
}

IgnoreRules::Verdict IgnoreRules::judge(std::string_view path, bool is_folder) const {
  for (auto pattern = patterns_.rbegin(); pattern != patterns_.rend(); ++pattern)
    if (pattern->matches(path, is_folder)) return pattern->negated() ? Verdict::kKept : Verdict::kIgnored;
  return Verdict::kNone;
}

}  // namespace lectern
