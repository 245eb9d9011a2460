#!/bin/sh
# Checks the layout of all C++ files with clang-format 14; --fix changes them.
cd "$(dirname "$0")/.." || exit 2
if ! command -v clang-format-14 >/dev/null; then
  echo "SKIPPED: clang-format-14 is not installed (Debian: apt install clang-format-14)"
  exit 0
fi
list() { find apps agent base engine include kernels models prompts retrieval tests examples \
  \( -name '*.h' -o -name '*.hpp' -o -name '*.c' -o -name '*.cc' -o -name '*.inc' -o -name '*.cu' -o -name '*.cuh' \) -print0 2>/dev/null; }
if [ "$1" = --fix ]; then
  list | xargs -0 clang-format-14 -i
else
  list | xargs -0 clang-format-14 --dry-run -Werror
fi
