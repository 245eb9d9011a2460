#!/bin/bash
# Proves what the README says about a fresh Debian 12: makes a minimal root with debootstrap and works in it. Needs root,
# debootstrap, a few GB and minutes.
#   tools/fresh_debian.sh source            ./quickstart of the committed state, twice
#   tools/fresh_debian.sh package DEB...    apt install of the packages, then pull, ask and serve
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
usage() { sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 2; }
what=${1:-}
shift || usage
[ "$(id -u)" = 0 ] || { echo "fresh_debian: run it as root" >&2; exit 2; }

root=$(mktemp -d "${TMPDIR:-/tmp}/fresh-debian-XXXXXX")
clean() {
  mountpoint -q "$root/proc" && umount "$root/proc"
  rm -rf --one-file-system "$root" "$root.log"
}
trap clean EXIT
step() { echo "== $*"; }
inside() {
  chroot "$root" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
    PIP_CERT=/etc/ssl/certs/host.crt bash -euc "$1"
}

step "A fresh Debian 12"
debootstrap --variant=minbase bookworm "$root" >"$root.log" 2>&1 || { tail -5 "$root.log"; exit 2; }
mount -t proc proc "$root/proc"
cp /etc/resolv.conf "$root/etc/resolv.conf"
# The certificates that this machine trusts, for one behind a proxy with a certificate of its own.
mkdir -p "$root/etc/ssl/certs"
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/host.crt"

case $what in
  source)
    step "git and this repository"
    inside "apt-get update -qq && apt-get install -y -qq --no-install-recommends git >/dev/null"
    git clone -q --no-hardlinks . "$root/root/lectern"
    step "./quickstart"
    inside "cd /root/lectern && time ./quickstart"
    step "./quickstart again"
    inside "cd /root/lectern && time ./quickstart"
    ;;
  package)
    [ $# -gt 0 ] || usage
    mkdir "$root/root/debs"
    cp "$@" "$root/root/debs/"
    cp -r examples/notes "$root/root/notes"
    step "apt install"
    inside "apt-get update -qq && apt-get install -y -qq /root/debs/*.deb >/root/apt.log 2>&1 || { tail -20 /root/apt.log; exit 2; }"
    inside "lectern --version && lectern doctor || true"
    step "pull and ask"
    inside "lectern pull -q && time lectern ask /root/notes 'Who rode the running machine?'"
    step "serve, as the user service starts it"
    command=$(sed -n 's/^ExecStart=//p' "$root/usr/lib/systemd/user/lectern.service")
    inside "$command >/root/serve.log 2>&1 & server=\$!
      for try in \$(seq 50); do grep -q listening /root/serve.log && break; sleep 0.2; done
      python3 -c 'import json, urllib.request
body = json.dumps({\"query\": \"running machine\", \"limit\": 1}).encode()
ask = urllib.request.Request(\"http://127.0.0.1:8642/lectern/search\", body, {\"Content-Type\": \"application/json\"})
hit = json.load(urllib.request.urlopen(ask))[\"hits\"][0]
print(hit[\"path\"], hit[\"line_first\"])'
      kill -TERM \$server; wait \$server; tail -1 /root/serve.log"
    ;;
  *) usage ;;
esac
step "Done"
