#!/usr/bin/env bash
# Installs by apt what guesttrace needs on Debian 12 or 13 and does not find; says each step before it is done.
#
# usage: scripts/setup.sh [--for run|test|fleet] [--check] [--quiet]
#
#   --for run    what building, recording and the guest images need (default)
#   --for test   the same and the tools that tests compare with
#   --for fleet  the same as for run and what a Spark cluster on this machine needs (docs/fleet.md)
#   --check      install nothing; name what is missing and exit with status 1
#   --quiet      say nothing when nothing is missing
#
# Run it as root, or as someone who may use sudo. When nothing is missing it uses neither the network nor root.
# It may add one file of its own to apt's sources: on Debian 12, QEMU >= 9.2 comes from bookworm-backports.
# A cargo that builds the project is looked for in PATH, ~/.cargo/bin and /usr/bin; without one, Debian's
# rustc-web and cargo-web are installed.

set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

qemu_wanted=9.2
packages=(qemu-utils gcc libc6-dev pkgconf busybox-static e2fsprogs cpio xz-utils zstd binutils strace
  ca-certificates debian-archive-keyring)
fleet_packages=(default-jre-headless python3-venv procps)
test_packages=(babeltrace2 bpftool chromium dwarves linux-perf python3-venv python3-zstandard shellcheck tcpdump
  trace-cmd)

purpose=run check=no quiet=no
while [ $# -gt 0 ]; do
  case $1 in
    --for) needs_value "$1" $#; purpose=$2; shift ;;
    --check) check=yes ;;
    --quiet) quiet=yes ;;
    --help|-h) manual; exit 0 ;;
    *) unknown_option "$1" ;;
  esac
  shift
done

case $purpose in
  run) ;;
  test) packages+=("${test_packages[@]}") ;;
  fleet) packages+=("${fleet_packages[@]}") ;;
  *) die "--for takes run, test or fleet, not \"$purpose\"" "scripts/setup.sh --help" 2 ;;
esac

# Prints those of the named packages that are not installed.
not_installed() {
  local installed package
  # dpkg-query fails as soon as one of them is unknown, and says nothing of it here.
  installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true)
  for package in "$@"; do
    grep -qx "installed $package" <<<"$installed" || echo "$package"
  done
}

qemu_version() { qemu-system-x86_64 --version 2>/dev/null | sed -n '1 s/.*version \([0-9.]*\).*/\1/p'; }

qemu_is_missing() {
  local found
  found=$(qemu_version)
  [ -z "$found" ] || ! version_reaches "$found" "$qemu_wanted"
}

# Sets `missing` to all packages to install.
find_missing() {
  local found
  found=$(
    not_installed "${packages[@]}"
    if qemu_is_missing; then echo qemu-system-x86; fi
    if ! use_cargo; then printf '%s\n' rustc-web cargo-web; fi
    if [ "$purpose" = test ] && ! { cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1; then
      printf '%s\n' rustfmt-web rust-web-clippy
    fi
    if [ "$purpose" = test ]; then
      command -v node >/dev/null || echo nodejs
      command -v npm >/dev/null || echo npm
    fi
  )
  missing=()
  if [ -n "$found" ]; then mapfile -t missing <<<"$found"; fi
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# apt SENTENCE ARGUMENT...: says the sentence, then runs apt-get quietly; its own words come out only when it fails.
apt() {
  local sentence=$1
  shift
  say "$sentence"
  if ! as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 "$@" >"$log" 2>&1; then
    tail -n 15 "$log" >&2
    die "apt-get $1 failed" "see apt's messages above, mend that and run scripts/setup.sh again"
  fi
}

# Debian 12 has QEMU 7.2; its backports have one that is new enough.
add_backports() {
  local file=/etc/apt/sources.list.d/guesttrace-backports.list
  if apt-get indextargets 2>/dev/null | grep -q '^Codename: bookworm-backports$'; then return; fi
  say "adding $file: bookworm-backports, for QEMU >= $qemu_wanted (remove the file to undo)"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
    "http://deb.debian.org/debian bookworm-backports main" | as_root tee "$file" >/dev/null
}

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  die "this system has no apt, and scripts/setup.sh knows only Debian 12 and 13" \
    "install QEMU >= $qemu_wanted, cargo >= $(cargo_wanted) and the tools named in scripts/setup.sh by hand"
fi
find_missing
if [ ${#missing[@]} -eq 0 ]; then
  [ "$quiet" = yes ] || say "nothing is missing"
  exit 0
fi
if [ "$check" = yes ]; then
  say "missing: ${missing[*]}"
  exit 1
fi

os=$(. /etc/os-release && echo "$ID${VERSION_ID:-}")
case $os in
  debian*) ;;
  *) die "scripts/setup.sh knows only Debian 12 and 13, and this is $os" "install by hand: ${missing[*]}" ;;
esac
case " ${missing[*]} " in
  *" rustc-web "*)
    if command -v rustup >/dev/null; then
      die "this project needs cargo >= $(cargo_wanted), and rustup's is older" "rustup update stable && rustup default stable"
    fi ;;
esac
if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
  die "only root can install what is missing: ${missing[*]}" "run scripts/setup.sh as root"
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
# On Debian 12 QEMU comes apart from the rest, and qemu-utils with it: both of one version.
backported=()
if [ "$os" = debian12 ] && qemu_is_missing; then
  add_backports
  backported=(qemu-system-x86 qemu-utils)
  mapfile -t missing < <(printf '%s\n' "${missing[@]}" | grep -v '^qemu-' || true)
fi
apt "reading the lists of packages (apt-get update)" update
if [ ${#missing[@]} -gt 0 ]; then
  apt "installing: ${missing[*]}" install -y --no-install-recommends "${missing[@]}"
fi
if [ ${#backported[@]} -gt 0 ]; then
  apt "installing from bookworm-backports: ${backported[*]}" \
    install -y --no-install-recommends -t bookworm-backports "${backported[@]}"
fi

find_missing
if [ ${#missing[@]} -gt 0 ]; then
  die "apt installed all that was asked for, and yet something is missing or too old: ${missing[*]}" \
    "apt's sources must include the security suite of this release; see: apt-cache policy ${missing[*]}"
fi
use_cargo
say "done: QEMU $(qemu_version), cargo $(cargo --version | cut -d ' ' -f 2)"
