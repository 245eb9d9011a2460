// Writes small zip archives for tests of the formats that are zip files.
#pragma once

#include <archive.h>
#include <archive_entry.h>

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace lectern {

using ZipEntries = std::vector<std::pair<std::string, std::string>>;  // name, content

// `options` are libarchive's, such as "zip:encryption=traditional".
inline std::string make_zip(const ZipEntries& entries, const char* options = "",
                            const char* password = nullptr) {
  size_t bytes = 1 << 16;
  for (const auto& [name, content] : entries) bytes += 2 * name.size() + content.size() + 512;
  std::string out(bytes, '\0');
  size_t used = 0;
  archive* zip = archive_write_new();
  archive_write_set_format_zip(zip);
  archive_write_set_options(zip, options);
  if (password != nullptr) archive_write_set_passphrase(zip, password);
  archive_write_set_bytes_per_block(zip, 0);
  if (archive_write_open_memory(zip, out.data(), out.size(), &used) != ARCHIVE_OK)
    throw std::runtime_error("zip");
  for (const auto& [name, content] : entries) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, name.c_str());
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, static_cast<la_int64_t>(content.size()));
    if (archive_write_header(zip, entry) != ARCHIVE_OK) throw std::runtime_error(archive_error_string(zip));
    archive_write_data(zip, content.data(), content.size());
    archive_entry_free(entry);
  }
  archive_write_close(zip);
  archive_write_free(zip);
  out.resize(used);
  return out;
}

}  // namespace lectern
