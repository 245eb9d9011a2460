#include "engine/control_group.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace lectern {
namespace {

namespace fs = std::filesystem;

// How a version names what a group may use and uses. What is in files is without shared memory, which only
// swapping would free.
struct Version {
  const char *limit, *used, *active_files, *inactive_files;
};
constexpr Version kVersion1 = {"memory.limit_in_bytes", "memory.usage_in_bytes", "total_active_file",
                               "total_inactive_file"};
constexpr Version kVersion2 = {"memory.max", "memory.current", "active_file", "inactive_file"};

// The number in a file that holds one number; none where it says "max".
std::optional<int64_t> read_number(const fs::path& path) {
  std::ifstream file(path);
  int64_t value = 0;
  if (file >> value) return value;
  return std::nullopt;
}

// The sum of two fields of a file of lines "KEY NUMBER".
int64_t read_sum(const fs::path& path, std::string_view first, std::string_view second) {
  std::ifstream file(path);
  std::string key;
  int64_t value = 0, sum = 0;
  while (file >> key >> value)
    if (key == first || key == second) sum += value;
  return sum;
}

// Of one group alone.
std::optional<int64_t> left_by(const fs::path& group, const Version& version) {
  const auto limit = read_number(group / version.limit), used = read_number(group / version.used);
  if (!limit || !used) return std::nullopt;
  const int64_t files = read_sum(group / "memory.stat", version.active_files, version.inactive_files);
  return std::max<int64_t>(0, *limit - std::max<int64_t>(0, *used - files));
}

// Of the group at `path` of the hierarchy mounted at `mount`, and of all around it. Inside a container the
// path may be the host's, which is not there; the mount is then the container's own group.
int64_t left_by_all(const fs::path& mount, const fs::path& path, const Version& version) {
  int64_t least = std::numeric_limits<int64_t>::max();
  fs::path group = mount;
  const auto take = [&] { least = std::min(least, left_by(group, version).value_or(least)); };
  take();
  for (const fs::path& name : path.relative_path()) {
    if (name == "..") break;  // outside of what this process is shown
    group /= name;
    take();
  }
  return least;
}

}  // namespace

int64_t control_group_memory_bytes(const fs::path& root) {
  int64_t least = std::numeric_limits<int64_t>::max();
  std::ifstream file(root / "proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {  // ID:CONTROLLERS:PATH
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const fs::path path = line.substr(second + 1), mount = root / "sys/fs/cgroup";
    if (controllers == ",,") {
      least = std::min(least, left_by_all(mount, path, kVersion2));
    } else if (controllers.find(",memory,") != std::string::npos) {
      least = std::min(least, left_by_all(mount / "memory", path, kVersion1));
    }
  }
  return least;
}

}  // namespace lectern
