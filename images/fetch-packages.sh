#!/usr/bin/env bash
# Fetches Debian packages and all that they depend on into a directory, without installing them.
#
# usage: images/fetch-packages.sh SUITE DIR PACKAGE[=VERSION]...
#
# Recommended packages are left out, and so are those that Debian counts on everywhere (Essential) unless something depends
# on them. Lists of packages that were read once are used again, and so are packages: the same command gives the same
# packages until images/build/apt/SUITE is removed.

set -euo pipefail
# shellcheck source=scripts/apt.sh
. "$(dirname "$0")/../scripts/apt.sh"

case ${1:-} in
  --help|-h) manual; exit 0 ;;
esac
[ $# -ge 3 ] || die "a suite, a directory and packages are needed" "images/fetch-packages.sh --help" 2
target=$2
packages=("${@:3}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
suite=$1
lay_apt_root "$suite"

install() { private apt-get -y --no-install-recommends "$@" install -- "${packages[@]}" >"$work/log" 2>&1; }

# Prints the file of each package that is to be installed.
wanted_files() { sed -n 's/^Inst \([^ ]*\) (\([^ ]*\) .*\[\([a-z0-9]*\)\]).*/\1_\2_\3.deb/p' "$work/log" | sed 's/:/%3a/' | sort; }

if ! install --simulate; then
  read_lists
  install --simulate || die "Debian $suite cannot give these packages: $(first_complaint)" "is each name right, and in $suite?"
fi
files=$(wanted_files)
say "fetching ${packages[*]} and what they need: $(wc -l <<<"$files") packages of $suite"
# A mirror does not keep versions that newer ones replaced: then the lists are older than it.
if ! install --download-only; then
  read_lists
  install --simulate || die "Debian $suite cannot give these packages: $(first_complaint)"
  files=$(wanted_files)
  install --download-only || die "packages of Debian $suite cannot be fetched: $(first_complaint)" "check the network and the space on disk"
fi
mkdir -p "$target"
while read -r file; do
  ln -sf "$apt_root/cache/archives/$file" "$target/$file"
done <<<"$files"
