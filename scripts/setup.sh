#!/usr/bin/env bash
# Installs by apt what guesttrace needs on Debian 12 or 13 and does not find; says each step before it is done.
#
# usage: scripts/setup.sh [--for run|test|fleet] [--user [--even-installed]] [--check] [--quiet]
#
#   --user       without root: unpack what is missing to ~/.local/share/guesttrace (or $GUESTTRACE_PREFIX), where scripts
#                and `guesttrace record` look first, and say what only the administrator can install; to undo, remove it
#   --even-installed
#                with --user: unpack also what the system has
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
# shellcheck source=scripts/apt.sh
. "$(dirname "$0")/apt.sh"

qemu_wanted=9.2
packages=(qemu-utils pkgconf ca-certificates "${image_packages[@]}")
fleet_packages=(default-jre-headless python3-venv procps)
test_packages=(babeltrace2 bpftool chromium dwarves gdb linux-perf python3-venv python3-zstandard shellcheck tcpdump
  trace-cmd)

purpose=run check=no quiet=no user=no even_installed=no
while [ $# -gt 0 ]; do
  case $1 in
    --for) needs_value "$1" $#; purpose=$2; shift ;;
    --user) user=yes ;;
    --even-installed) even_installed=yes ;;
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

# What --user has unpacked, a package a line.
unpacked=$user_prefix/packages

# Prints those of the named packages that are not installed, nor unpacked for this user.
not_installed() {
  local installed package
  # dpkg-query fails as soon as one of them is unknown, and says nothing of it here.
  installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true)
  for package in "$@"; do
    grep -qx "installed $package" <<<"$installed" || grep -qsx "$package" "$unpacked" || echo "$package"
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
    if ! use_cargo && ! command -v guesttrace >/dev/null; then printf '%s\n' rustc-web cargo-web; fi
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
  if grep -q '^Codename: bookworm-backports$' <<<"$(apt-get indextargets 2>/dev/null)"; then return; fi
  say "adding $file: bookworm-backports, for QEMU >= $qemu_wanted (remove the file to undo)"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
    "http://deb.debian.org/debian bookworm-backports main" | as_root tee "$file" >/dev/null
}

# Unpacks what is missing for this user, and says what of it only root can install.
unpack_for_user() {
  local package wanted=() of_qemu=() others=() again=() for_root suite status
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  mapfile -t for_root < <(not_installed "${root_packages[@]}")
  for package in "${missing[@]}"; do
    case " ${root_packages[*]} " in *" $package "*) continue ;; esac
    wanted+=("$package")
    case $package in qemu-*) of_qemu+=("$package") ;; *) others+=("$package") ;; esac
  done
  if [ ${#wanted[@]} -gt 0 ]; then
    apt_roots=$user_prefix/apt
    case $os in debian12) suite=bookworm ;; *) suite=trixie ;; esac
    open_apt_root "$suite" "$suite-backports"
    # What the system has need not be fetched.
    eval "$(apt-config shell status Dir::State::status/f)"
    cp "$status" "$apt_root/status"
    if [ "$even_installed" = yes ]; then
      again=(--reinstall)
      of_qemu+=(qemu-system-common qemu-system-data seabios ipxe-qemu)
    fi
    if [ ${#others[@]} -gt 0 ]; then unpack_closure "$user_prefix" "$suite" "${again[@]}" "${others[@]}"; fi
    # That of Debian 12 is too old.
    [ "$suite" = trixie ] || suite=bookworm-backports
    if [ ${#of_qemu[@]} -gt 0 ]; then unpack_closure "$user_prefix" "$suite" "${again[@]}" "${of_qemu[@]}"; fi
    printf '%s\n' "${wanted[@]}" >>"$unpacked"
  fi
  if [ ${#for_root[@]} -gt 0 ]; then
    die "only root can install: ${for_root[*]}" "ask the administrator for: apt-get install ${for_root[*]}" 1
  fi
  say "done: QEMU $(qemu_version), in $user_prefix"
}

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  die "this system has no apt, and scripts/setup.sh knows only Debian 12 and 13" \
    "install QEMU >= $qemu_wanted, cargo >= $(cargo_wanted) and the tools named in scripts/setup.sh by hand"
fi
if [ "$user" = yes ] && [ "$purpose" != run ]; then
  die "--user unpacks what recording needs, nothing for --for $purpose" "leave out --for, or --user" 2
fi
find_missing
if [ "$even_installed" = yes ]; then mapfile -t missing < <(printf '%s\n' "${packages[@]}" qemu-system-x86); fi
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
if [ "$user" = yes ]; then
  unpack_for_user
  exit
fi
case " ${missing[*]} " in
  *" rustc-web "*)
    if command -v rustup >/dev/null; then
      die "this project needs cargo >= $(cargo_wanted), and rustup's is older" "rustup update stable && rustup default stable"
    fi ;;
esac
if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
  die "only root can install what is missing: ${missing[*]}" "run scripts/setup.sh as root, or scripts/setup.sh --user"
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
say "done: QEMU $(qemu_version)$(use_cargo && cargo --version | sed 's/^cargo \([^ ]*\).*/, cargo \1/')"
