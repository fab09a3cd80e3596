# shellcheck shell=bash
# Sourced by every script: where the project lies, how scripts speak and fail, and which cargo is new enough.

project_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Beside an installed program, in PREFIX/share/guesttrace, scripts have no sources of it, and nobody may write there.
if [ -e "$project_dir/Cargo.toml" ]; then
  build_dir=$project_dir/images/build
else
  build_dir=${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/guesttrace/images
  PATH=$(realpath -m "$project_dir/../../bin"):$PATH
fi
# What scripts build for the guest goes here; elsewhere only to test the scripts themselves.
build_dir=${GUESTTRACE_BUILD_DIR:-$build_dir}
# Where `scripts/setup.sh --user` unpacks programs; `guesttrace record` looks there, too.
user_prefix=${GUESTTRACE_PREFIX:-${HOME:-/nonexistent}/.local/share/guesttrace}
# What kernels are fetched and guests built with, but for their own compiler and tracers.
# shellcheck disable=SC2034
image_packages=(gcc libc6-dev busybox-static e2fsprogs cpio xz-utils zstd binutils strace debian-archive-keyring)
# What `scripts/setup.sh --user` leaves to the administrator: a compiler and its headers look for their parts in their own
# places.
# shellcheck disable=SC2034
root_packages=(gcc libc6-dev pkgconf ca-certificates debian-archive-keyring)
# mke2fs, debugfs and bpftool are in sbin, which is not in everybody's PATH.
PATH=$user_prefix/bin:$PATH:/usr/sbin:/sbin

# Talk goes to stderr: stdout is for results.
say() { printf '%s: %s\n' "$(basename "$0")" "$1" >&2; }

# die SENTENCE [HINT] [STATUS]
die() {
  printf 'error: %s\n' "$1" >&2
  if [ -n "${2:-}" ]; then printf 'hint: %s\n' "$2" >&2; fi
  exit "${3:-3}"
}

# Prints the comment that opens the calling script: its manual.
manual() { sed -n '2,/^[^#]/ s/^# \{0,1\}//p' "$0"; }

# needs_value OPTION REMAINING-ARGUMENTS-COUNT
needs_value() { [ "$2" -ge 2 ] || die "$1 needs a value" "$(basename "$0") --help" 2; }

unknown_option() { die "unknown option \"$1\"" "$(basename "$0") --help" 2; }

# version_reaches HAVE WANT: true when version HAVE is WANT or later.
version_reaches() { [ "$(printf '%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# The oldest cargo that builds the project, such as 1.89.
cargo_wanted() { sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$project_dir/Cargo.toml"; }

# Puts a cargo that is new enough first in PATH; false when there is none, or nothing for it to build.
use_cargo() {
  local wanted dir found
  [ -e "$project_dir/Cargo.toml" ] || return
  wanted=$(cargo_wanted)
  for dir in "$(dirname "$(command -v cargo || echo /none/cargo)")" "${CARGO_HOME:-$HOME/.cargo}/bin" /usr/bin; do
    found=$("$dir/cargo" --version 2>/dev/null | cut -d ' ' -f 2) || continue
    if version_reaches "$found" "$wanted"; then
      PATH=$dir:$PATH
      return 0
    fi
  done
  return 1
}

# use_program: sets `program` to guesttrace, built from these sources; where no cargo can do that, to the installed one.
# shellcheck disable=SC2034 # for the scripts that source this
use_program() {
  if use_cargo; then
    (cd "$project_dir" && cargo build --release --quiet) || die "guesttrace cannot be built" "cargo build --release"
    program=${CARGO_TARGET_DIR:-$project_dir/target}/release/guesttrace
  else
    program=$(command -v guesttrace) ||
      die "no cargo is new enough to build guesttrace, and none is in the path" "scripts/setup.sh"
  fi
}

# What the scripts that measure share. They set `work`, a directory for their files.
work=''

# lay_bench GUEST: builds the program and that guest.
# shellcheck disable=SC2034 # for the scripts that source this
lay_bench() {
  cd "$project_dir" || return
  use_cargo || die "no cargo is new enough" "scripts/setup.sh"
  cargo build --quiet --release
  images/build.sh --kernel "$1"
  program=${CARGO_TARGET_DIR:-target}/release/guesttrace
  kernel=$build_dir/kernels/$1/vmlinuz
  guest_dir=$build_dir/guest/$1
}

# machine_of DIR WORKLOAD: prints the options that boot a guest, as scripts/run-qemu.sh does, one a line.
machine_of() {
  printf '%s\n' --kernel "$kernel" --boot pvh --workload "$2" --initrd "$1/initrd.cpio" --rootfs "$1/rootfs.img" \
    --disk "$(cat "$1/disk")"
}

# seconds FORMAT COMMAND...: prints the user (%U) or wall (%R) seconds that a command took.
seconds() {
  local TIMEFORMAT=$1
  shift
  { time "$@" >"$work/log" 2>&1; } 2>"$work/time" || die "$* failed: $(tail -n 1 "$work/log")"
  cat "$work/time"
}

# row CELL...: a line of a table in Markdown.
row() { echo "|$(printf ' %s |' "$@")"; }

# measured_on GUEST: the sentence that says where and on what was measured.
measured_on() {
  echo "Measured on $(date -u +%F) at commit $(git rev-parse --short HEAD), $(nproc) host CPUs, $(qemu-system-x86_64 --version | sed -n 1p),"
  echo "guest $1"
}

# number_of KEY: prints the first number of that name in the JSON on standard input.
number_of() { sed -n "s/.*\"$1\": *\([0-9]*\).*/\1/p" | sed -n 1p; }
