#!/bin/sh
# Runs a program with an empty folder as its last argument, under valgrind where UNDER_VALGRIND is set.
set -eu
if [ -n "${UNDER_VALGRIND:-}" ]; then
  command -v valgrind >/dev/null || { echo "SKIPPED: valgrind is not installed"; exit 0; }
  set -- valgrind --error-exitcode=1 --leak-check=full --show-leak-kinds=definite,indirect \
    --errors-for-leak-kinds=definite,indirect "$@"
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$@" "$folder"
