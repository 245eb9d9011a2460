#!/bin/bash
# Makes build/test-venv, the virtual environment of the tests that need packages from PyPI (tests/requirements.txt).
# Quick when it is up to date. Exit code 1 when it cannot be had: the tests that need it are then skipped, visibly.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
venv=build/test-venv
wanted=tests/requirements.txt

if cmp -s "$wanted" "$venv/installed.txt"; then exit 0; fi
mkdir -p build
log=build/test-venv.log
if ! { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$wanted"; } >"$log" 2>&1; then
  tail -3 "$log" >&2
  echo "SKIPPED: the packages of $wanted could not be installed ($log)" >&2
  exit 1
fi
cp "$wanted" "$venv/installed.txt"
