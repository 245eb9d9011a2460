// What Linux' control groups (versions 1 and 2) leave a process of memory: the limits of containers, of
// services and of `systemd-run -p MemoryMax=`, which the system's own count of free memory does not know of.
#pragma once

#include <cstdint>
#include <filesystem>

namespace lectern {

// The least that this process's group and the groups around it leave, what they hold of files counted as
// free, since it can be dropped; the largest value where nothing limits it or the system has no control
// groups. `root`: where proc and sys are mounted; "/" but in tests.
int64_t control_group_memory_bytes(const std::filesystem::path& root = "/");

}  // namespace lectern
