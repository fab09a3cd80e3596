#!/usr/bin/env bash
# Makes a tarball and a Debian package of guesttrace: program, plugins, manual pages, completions for shells, and what
# kernels and images are fetched and built with.
#
# usage: scripts/package.sh [--out DIR]
#
#   --out DIR   where they go (default target/package)
#
# Prints the names of both files. Neither needs this checkout: `record` finds the plugins in ../lib/guesttrace, seen from
# the program. The same sources and compiler give the same bytes.

set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

out=$project_dir/target/package
while [ $# -gt 0 ]; do
  case $1 in
    --out) needs_value "$1" $#; out=$(realpath -m "$2"); shift ;;
    --help|-h) manual; exit 0 ;;
    *) unknown_option "$1" ;;
  esac
  shift
done

cd "$project_dir"
use_cargo || die "no cargo is new enough" "scripts/setup.sh"
say "building"
cargo build --quiet --release
built=${CARGO_TARGET_DIR:-target}/release
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | sed -n 1p)
name=guesttrace-$version-x86_64-linux
# The time of everything in there is that of the last commit.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH
umask 022
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"

# The tree as it lies below /usr.
tree=$work/$name
install -D -s -m 755 "$built/guesttrace" "$tree/bin/guesttrace"
mkdir -p "$tree/share/guesttrace"
for plugin in "$built"/libguesttrace_plugin{,_api7}.so; do install -D -s -m 644 -t "$tree/lib/guesttrace" "$plugin"; done
"$built/guesttrace" generate "$work/generated"
install -D -m 644 -t "$tree/share/man/man1" "$work"/generated/man/*.1
gzip -9 -n "$tree"/share/man/man1/*.1
install -D -m 644 "$work/generated/completions/guesttrace.bash" "$tree/share/bash-completion/completions/guesttrace"
install -D -m 644 -t "$tree/share/zsh/vendor-completions" "$work/generated/completions/_guesttrace"
install -D -m 644 -t "$tree/share/fish/vendor_completions.d" "$work/generated/completions/guesttrace.fish"
install -D -m 644 LICENSE "$tree/share/doc/guesttrace/LICENSE"
install -D -m 644 -t "$tree/share/doc/guesttrace" README.md FORMAT.md CHANGELOG.md
gzip -9 -n "$tree/share/doc/guesttrace/CHANGELOG.md"
cp -r docs "$tree/share/doc/guesttrace/docs"
# Scripts, recipes and the guests' programs keep their places beside each other.
{
  find images \( -path images/build -o -path images/src \) -prune -o -type f ! -name Cargo.toml -print0
  printf '%s\0' scripts/{lib,apt,setup,run-qemu}.sh
} | xargs -0 cp --parents --no-preserve=timestamps -t "$tree/share/guesttrace"
find "$tree" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
tar --sort=name --owner=0 --group=0 --numeric-owner -C "$work" -cf - "$name" | xz -T1 >"$out/$name.tar.xz"
echo "$out/$name.tar.xz"

command -v dpkg-deb >/dev/null || { say "no package: this system has no dpkg-deb"; exit 0; }
# The newest interface of the C library that any of the files asks for.
libc=$(objdump -T "$tree"/bin/* "$tree"/lib/guesttrace/* | grep -o 'GLIBC_[0-9.]*' | cut -d _ -f 2 | sort -Vu | tail -n 1)
mkdir -p "$work/deb/DEBIAN"
mv "$tree" "$work/deb/usr"
maintainer='The guesttrace authors <guesttrace@users.noreply.github.com>'
doc=$work/deb/usr/share/doc/guesttrace
# Debian has the text of the licence once for all packages.
rm "$doc/LICENSE"
cat >"$doc/copyright" <<COPYRIGHT
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: guesttrace
Source: https://github.com/guesttrace/guesttrace

Files: *
Copyright: $(date -u -d "@$SOURCE_DATE_EPOCH" +%Y) the authors of guesttrace
License: GPL-2+
 This program is free software: it may be used, changed and passed on under the
 GNU General Public License, version 2 or any later one, which Debian has in
 /usr/share/common-licenses/GPL-2. The program as it is built here links
 crates under the Apache License 2.0, and so is under version 3, which is in
 /usr/share/common-licenses/GPL-3.
COPYRIGHT
gzip -9 -n >"$doc/changelog.gz" <<CHANGELOG
guesttrace ($version) stable; urgency=medium

  * CHANGELOG.md.gz says what is new.

 -- $maintainer  $(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")
CHANGELOG
find "$doc" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
cat >"$work/deb/DEBIAN/control" <<CONTROL
Package: guesttrace
Version: $version
Architecture: amd64
Maintainer: $maintainer
Homepage: https://github.com/guesttrace/guesttrace
Section: devel
Priority: optional
Installed-Size: $(du -ks "$work/deb/usr" | cut -f 1)
Depends: libc6 (>= $libc), libgcc-s1, qemu-system-x86 (>= 1:9.2)
Recommends: qemu-utils$(printf ', %s' "${image_packages[@]}")
Suggests: www-browser
Description: trace what a Linux guest does, from outside
 Boots a stock x86-64 kernel under QEMU's TCG emulator and records system calls,
 interrupts, scheduling, memory, files, timers and packets without an agent in
 the guest. The same command gives the same trace. Reports, checks for
 continuous integration, a view in the browser, and readers of other tracers'
 files are part of it.
CONTROL
dpkg-deb --root-owner-group -Zxz --build "$work/deb" "$out/guesttrace_${version}_amd64.deb" >&2
echo "$out/guesttrace_${version}_amd64.deb"
