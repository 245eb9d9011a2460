// Small files and well-known folders.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace lectern {

// The whole file. Throws Error(kNotFound, kIo), or kResourceExhausted when it is larger than `max_bytes`.
std::string read_file(const std::filesystem::path& path, uint64_t max_bytes);
// The file that writing to `path` changes: symbolic links are followed, also one to a file that is not there
// yet. Throws Error(kIo) for links without end and for what no output can replace: folders, devices, pipes.
std::filesystem::path writable_file(const std::filesystem::path& path);
// Writes to a temporary file beside writable_file(path), flushes it to disk and renames it: the old content
// stays whole until then.
void write_file_atomically(const std::filesystem::path& path, std::string_view content);

// XDG base folders with "lectern" appended; throws Error when neither the variable nor HOME is set.
std::filesystem::path cache_folder();   // downloaded models
std::filesystem::path data_folder();    // collections
std::filesystem::path config_folder();  // config.json

}  // namespace lectern
