#!/bin/bash
# Runs clang-tidy 14 on the C++ files of the program that differ from a revision (default: main), or on --all.
#   tools/tidy.sh [--all | REVISION] [BUILD_FOLDER]
cd "$(dirname "$0")/.." || exit 2
what=${1:-main}
build=${2:-build/dev}
command -v clang-tidy-14 >/dev/null || { echo "SKIPPED: clang-tidy-14 is not installed"; exit 0; }
[ -f "$build/compile_commands.json" ] || { echo "tidy: no $build/compile_commands.json; run cmake --preset dev" >&2; exit 2; }
if [ "$what" = --all ]; then
  files=$(git ls-files 'agent/*.cc' 'apps/*.cc' 'base/*.cc' 'engine/*.cc' 'kernels/*.cc' 'models/*.cc' 'prompts/*.cc' 'retrieval/*.cc')
else
  files=$(git diff --name-only --diff-filter=d "$what" -- 'agent/*.cc' 'apps/*.cc' 'base/*.cc' 'engine/*.cc' 'kernels/*.cc' 'models/*.cc' 'prompts/*.cc' 'retrieval/*.cc')
fi
[ -n "$files" ] || { echo "tidy: nothing to check"; exit 0; }
printf '%s\n' $files | xargs -n 1 -P "$(nproc)" clang-tidy-14 --quiet -p "$build"
