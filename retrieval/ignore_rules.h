// The patterns of .gitignore and .ignore files, with git's meaning: comments, negation, patterns for folders
// only, anchored patterns, "*", "?", "[...]" and "**". Matching takes time proportional to pattern times
// path, whatever the pattern. Immutable after parsing; thread-safe.
#pragma once

#include <bitset>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lectern {

// One pattern, compiled to a small automaton without backtracking.
class IgnorePattern {
 public:
  // nullopt for blank lines, comments and patterns too long to be meant.
  static std::optional<IgnorePattern> parse(std::string_view line);

  // `path` is relative to the folder of the ignore file, with "/" between names.
  bool matches(std::string_view path, bool is_folder) const;
  bool negated() const { return negated_; }

 private:
  enum class Op : uint8_t {
    kByte,     // this byte
    kClass,    // one byte of a set, never "/"
    kRun,      // any number of bytes but "/"
    kFolders,  // any number of whole folders, with their "/": enters kInside or passes on
    kInside,   // inside such folders
    kAll,      // everything, at least one byte
    kMore,     // the rest of everything
  };
  struct Step {
    Op op;
    uint8_t byte = 0;
    uint16_t set = 0;  // index into sets_
  };

  void compile(std::string_view glob);
  size_t compile_class(std::string_view glob, size_t begin);
  void enter(std::vector<uint8_t>& active, size_t step) const;

  bool negated_ = false;
  bool folders_only_ = false;
  bool anchored_ = false;  // matches the path, not just the name
  bool impossible_ = false;
  std::vector<Step> steps_;
  std::vector<std::bitset<256>> sets_;
};

// The patterns of one ignore file, in order.
class IgnoreRules {
 public:
  void add_file(std::string_view content);
  bool empty() const { return patterns_.empty(); }
  // What the last matching pattern says: ignored, kept by a "!" pattern, or nothing at all.
  enum class Verdict { kNone, kIgnored, kKept };
  Verdict judge(std::string_view path, bool is_folder) const;

 private:
  std::vector<IgnorePattern> patterns_;
};

}  // namespace lectern
