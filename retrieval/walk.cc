#include "retrieval/walk.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "base/error.h"
#include "base/files.h"
#include "retrieval/extract.h"
#include "retrieval/ignore_rules.h"

namespace lectern {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxIgnoreFileBytes = 1 << 20;

// The rules of one folder's ignore files, linked to those of the folders above it.
struct IgnoreScope {
  std::shared_ptr<const IgnoreScope> parent;
  std::string folder;  // absolute
  IgnoreRules rules;
};
using Scope = std::shared_ptr<const IgnoreScope>;

struct Folder {
  std::string path;
  std::string relative;
  Scope scope;
};

// `path` as seen from `folder`, which it lies below.
std::string_view below(std::string_view path, std::string_view folder) {
  path.remove_prefix(folder.size());
  while (path.starts_with('/')) path.remove_prefix(1);
  return path;
}

std::string join(const std::string& folder, std::string_view name) {
  std::string path = folder;
  if (!path.empty() && path.back() != '/') path += '/';
  return path.append(name);
}

int64_t nanoseconds(const timespec& time) {
  return static_cast<int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

class Walker {
 public:
  Walker(bool follow_ignore_files, const CancelToken& cancel, FoundFiles& found)
      : follow_ignore_files_(follow_ignore_files), cancel_(cancel), found_(found) {}

  void walk(const fs::path& root, size_t index) {
    std::error_code failure;
    const std::string real = fs::canonical(root, failure).string();
    struct stat info {};
    if (failure || ::stat(real.c_str(), &info) != 0)
      throw Error(failure == std::errc::permission_denied ? ErrorCode::kIo : ErrorCode::kNotFound,
                  display_name(root) + ": " + (failure ? failure.message() : std::strerror(errno)));
    root_ = real;
    index_ = index;
    if (S_ISREG(info.st_mode)) {
      add(real, fs::path(real).filename().string(), info);
    } else if (S_ISDIR(info.st_mode)) {
      walk_folder({real, "", follow_ignore_files_ ? scope_above(real) : nullptr});
    } else {
      throw Error(ErrorCode::kUnsupported, display_name(root) + ": is neither a file nor a folder");
    }
  }

 private:
  void walk_folder(Folder start) {
    std::vector<Folder> todo;
    todo.push_back(std::move(start));
    while (!todo.empty()) {
      cancel_.throw_if_cancelled();
      Folder folder = std::move(todo.back());
      todo.pop_back();
      const std::vector<std::string> names = list(folder.path);
      if (follow_ignore_files_) folder.scope = scope_of(folder.path, std::move(folder.scope));
      for (const std::string& name : names) visit(folder, name, todo);
    }
  }

  std::vector<std::string> list(const std::string& folder) {
    std::vector<std::string> names;
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(folder.c_str()), ::closedir);
    if (stream == nullptr) {
      warn(folder, std::string("folder cannot be read: ") + std::strerror(errno));
      return names;
    }
    errno = 0;
    while (const dirent* entry = ::readdir(stream.get())) {
      // Hidden names: ".", "..", .git, .obsidian, .trash, settings and secrets.
      if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
      errno = 0;
    }
    if (errno != 0) warn(folder, std::string("folder was read in part: ") + std::strerror(errno));
    return names;
  }

  void visit(const Folder& folder, const std::string& name, std::vector<Folder>& todo) {
    const std::string path = join(folder.path, name);
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) {
      if (errno != ENOENT)
        warn(path, std::string("cannot be looked at: ") + std::strerror(errno));  // gone meanwhile
      return;
    }
    const bool is_folder = S_ISDIR(info.st_mode);
    if (ignored(folder.scope.get(), path, is_folder)) {
      ++found_.n_ignored;
      return;
    }
    if (is_folder) {
      todo.push_back({path, join(folder.relative, name), folder.scope});
    } else if (S_ISREG(info.st_mode)) {
      add(path, join(folder.relative, name), info);
    } else if (S_ISLNK(info.st_mode)) {
      visit_link(path);
    }
  }

  // A link into the root leads to what is found anyway.
  void visit_link(const std::string& path) {
    std::error_code failure;
    const std::string target = fs::canonical(path, failure).string();
    if (failure || target == root_ || target.starts_with(join(root_, ""))) return;
    warn(path, "is a link to " + display_name(target) +
                   " outside the folder, which is not followed; name that path too to index it");
  }

  void add(const std::string& path, const std::string& relative, const struct stat& info) {
    found_.files.push_back(
        {path, relative, index_, static_cast<uint64_t>(info.st_size), nanoseconds(info.st_mtim)});
  }

  // ---- Ignore files

  // The nearest folder that says anything decides.
  static bool ignored(const IgnoreScope* scope, const std::string& path, bool is_folder) {
    for (; scope != nullptr; scope = scope->parent.get()) {
      const auto verdict = scope->rules.judge(below(path, scope->folder), is_folder);
      if (verdict != IgnoreRules::Verdict::kNone) return verdict == IgnoreRules::Verdict::kIgnored;
    }
    return false;
  }

  // `parent` extended by the ignore files of `folder`. .ignore comes last and so has the last word.
  Scope scope_of(const std::string& folder, Scope parent) {
    IgnoreScope scope{std::move(parent), folder, {}};
    for (const char* name : {".git/info/exclude", ".gitignore", ".ignore"})
      add_rules(join(folder, name), scope.rules);
    if (scope.rules.empty()) return scope.parent;
    return std::make_shared<const IgnoreScope>(std::move(scope));
  }

  void add_rules(const std::string& path, IgnoreRules& rules) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return;
    try {
      rules.add_file(read_file(path, kMaxIgnoreFileBytes));
    } catch (const Error& error) {
      warn(path, std::string("ignore file cannot be used: ") + error.what());
    }
  }

  // The scope of the folders above `root` that belong to the same git repository.
  Scope scope_above(const std::string& root) {
    std::vector<std::string> folders;
    std::error_code failure;
    fs::path folder = root;
    while (!fs::exists(folder / ".git", failure)) {
      if (folder == folder.parent_path()) return nullptr;  // no repository
      folder = folder.parent_path();
      folders.push_back(folder.string());
    }
    Scope scope;
    for (auto above = folders.rbegin(); above != folders.rend(); ++above)
      scope = scope_of(*above, std::move(scope));
    return scope;
  }

  void warn(const std::string& path, const std::string& reason) {
    found_.warnings.push_back({display_name(path), reason});
  }

  const bool follow_ignore_files_;
  const CancelToken& cancel_;
  FoundFiles& found_;
  std::string root_;
  size_t index_ = 0;
};

}  // namespace

FoundFiles find_files(std::span<const fs::path> roots, bool follow_ignore_files, const CancelToken& cancel) {
  FoundFiles found;
  for (size_t i = 0; i < roots.size(); ++i) Walker(follow_ignore_files, cancel, found).walk(roots[i], i);
  std::sort(found.files.begin(), found.files.end(), [](const FoundFile& a, const FoundFile& b) {
    const int order = a.path.native().compare(b.path.native());
    return order != 0 ? order < 0 : a.root < b.root;
  });
  const auto same_path = [](const FoundFile& a, const FoundFile& b) {
    return a.path.native() == b.path.native();
  };
  found.files.erase(std::unique(found.files.begin(), found.files.end(), same_path), found.files.end());
  std::sort(found.warnings.begin(), found.warnings.end(),
            [](const FileWarning& a, const FileWarning& b) { return a.path < b.path; });
  return found;
}

}  // namespace lectern
