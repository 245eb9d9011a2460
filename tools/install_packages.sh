#!/bin/bash
# Installs the Debian packages that a step needs, as root or through sudo; says what to install when it can do neither.
# Quick when all are there.   tools/install_packages.sh build|test ...
set -euo pipefail

build="g++ cmake ninja-build pkg-config libsqlite3-dev libicu-dev nlohmann-json3-dev libcli11-dev libcurl4-openssl-dev
  libarchive-dev libpugixml-dev libstemmer-dev libcpp-httplib-dev"
run="poppler-utils ca-certificates python3 python3-pip"
test="catch2 clang-format-14 chromium python3-venv valgrind xvfb libgtk-4-dev lintian man-db"

wanted=""
for set in "$@"; do
  case $set in
    build) wanted+=" $build" ;;
    run) wanted+=" $run" ;;
    test) wanted+=" $test" ;;
    *) echo "usage: tools/install_packages.sh build|run|test ..." >&2; exit 2 ;;
  esac
done

if ! command -v dpkg-query >/dev/null; then
  echo "This is no Debian system; make sure that these, or their like, are installed:" $wanted >&2
  exit 0
fi

missing=""
for package in $wanted; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing+=" $package"
done
[ -n "$missing" ] || exit 0

as_root=""
if [ "$(id -u)" != 0 ]; then
  if command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
    as_root=sudo
  else
    echo "Please install these packages as root, then start again:" >&2
    echo "  apt-get install --no-install-recommends$missing" >&2
    exit 2
  fi
fi
echo "Installing:$missing" >&2
export DEBIAN_FRONTEND=noninteractive
log=$(dirname "$0")/../build/packages.log
mkdir -p "$(dirname "$log")"
if ! { $as_root apt-get update && $as_root apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1 </dev/null; then
  tail -20 "$log" >&2
  echo "The packages could not be installed; $log has the whole story." >&2
  exit 2
fi
