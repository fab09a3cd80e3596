# shellcheck shell=bash
# Sourced by every script: where the project lies, how scripts speak and fail, and which cargo is new enough.

project_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# What scripts build for the guest goes here; elsewhere only to test the scripts themselves.
# shellcheck disable=SC2034
build_dir=${GUESTTRACE_BUILD_DIR:-$project_dir/images/build}
# mke2fs, debugfs and bpftool are in sbin, which is not in everybody's PATH.
PATH=$PATH:/usr/sbin:/sbin

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

# Puts a cargo that is new enough first in PATH; false when there is none.
use_cargo() {
  local wanted dir found
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
