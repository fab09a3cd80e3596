# shellcheck shell=bash
# Sourced instead of lib.sh by scripts that fetch Debian's packages through an apt root of the project's own: every host
# gets the same packages, its own sources stay as they are, and nobody has to be root. Signatures are checked with Debian's
# keyring; the mirrors are those of the host's own sources where it has any. The scripts set `work`, a directory for their
# files.

# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
# Where apt roots lie, one for each set of suites.
apt_roots=$build_dir/apt
apt_root=''

# mirror LABEL DEFAULT: the host's own mirror of that archive, or the default.
mirror() {
  local found
  # shellcheck disable=SC2016
  found=$(apt-get indextargets --format '$(REPO_URI)' "Label: $1" 'Created-By: Packages' 2>/dev/null | sed -n 1p)
  echo "${found:-$2}"
}

# open_apt_root SUITE...: makes the private apt root of those suites and reads their lists of packages.
open_apt_root() {
  lay_apt_root "$@"
  read_lists
}

# lay_apt_root SUITE...: makes the private apt root of those suites, with the lists that it has. Each release comes with its
# security updates; its backports are a suite of their own.
lay_apt_root() {
  local suite debian security
  command -v apt-get >/dev/null || die "Debian's packages are fetched by apt, and this system has none" \
    "see docs/install.md for what to lay by hand"
  [ -f "$keyring" ] || die "Debian's keyring $keyring is missing" "install the package debian-archive-keyring"
  apt_root=$apt_roots/$(IFS=+; echo "$*")
  debian=$(mirror Debian http://deb.debian.org/debian)
  security=$(mirror Debian-Security http://deb.debian.org/debian-security)
  mkdir -p "$apt_root"/{lists,cache/archives}/partial
  [ -e "$apt_root/status" ] || : >"$apt_root/status"
  for suite in "$@"; do
    echo "deb [signed-by=$keyring] $debian $suite main"
    [ "$suite" != "${suite%-backports}" ] || echo "deb [signed-by=$keyring] $security $suite-security main"
  done >"$apt_root/sources.list"
  # Two at a time would read each other's half lists.
  exec 9>"$apt_root/lock.guesttrace"
  flock 9
}

# Reads the lists of packages of the private apt root.
read_lists() {
  local suites=${apt_root##*/}
  say "reading the package lists of $suites into $apt_root"
  private apt-get -o APT::Update::Error-Mode=any update >"$work/log" 2>&1 ||
    die "the package lists of Debian $suites cannot be read: $(first_complaint)" \
      "check the network; the lists come from: $(cut -d ' ' -f 3 "$apt_root/sources.list" | tr '\n' ' ')"
}

# What apt complained of in $work/log.
first_complaint() { grep -m 1 '^E:' "$work/log" || grep -m 1 '^W:' "$work/log" || tail -n 1 "$work/log"; }

# private COMMAND ARGUMENT...: an apt command in the private root.
private() {
  local command=$1
  shift
  "$command" -q -o Dir::State="$apt_root" -o Dir::State::lists="$apt_root/lists" -o Dir::State::status="$apt_root/status" \
    -o Dir::Cache="$apt_root/cache" -o Dir::Etc::sourcelist="$apt_root/sources.list" -o Dir::Etc::sourceparts=- \
    -o Dir::Etc::preferences=- -o Dir::Etc::preferencesparts=- -o APT::Architecture=amd64 -o APT::Architectures=amd64 \
    -o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none "$@"
}

# depends PACKAGE START: prints what a package depends on and whose name begins so, newest first.
depends() { { private apt-cache depends "$1" 2>/dev/null || true; } | sed -n "s/^ *Depends: \($2.*\)$/\1/p" | sort -Vr; }

# unpack PACKAGE[=VERSION]: fetches one package and unpacks it to $work/tree.
unpack() {
  say "fetching $1"
  (cd "$work" && private apt-get download "$1" >log 2>&1) ||
    die "$1 cannot be fetched: $(first_complaint)" "check the network and the space on disk"
  dpkg-deb -x "$work"/*.deb "$work/tree"
  rm "$work"/*.deb
}

# unpack_closure DIR SUITE [--reinstall] PACKAGE...: fetches packages, preferably from that suite, and all they need that
# the apt root does not take for installed, and unpacks them to DIR/root. DIR/bin gets a way to start each program there.
unpack_closure() {
  local dir=$1 suite=$2 package program
  shift 2
  say "fetching ${*/#--reinstall/}"
  mkdir -p "$work/archives/partial" "$dir/bin" "$dir/root"
  private apt-get install -y --no-install-recommends --download-only -t "$suite" -o Dir::Cache::archives="$work/archives" \
    -o Debug::NoLocking=true "$@" >"$work/log" 2>&1 ||
    die "$* cannot be fetched: $(first_complaint)" "check the network and the space on disk"
  for package in "$work"/archives/*.deb; do dpkg-deb -x "$package" "$dir/root"; done
  rm -r "$work/archives"
  for program in "$dir"/root/{usr/,}{bin,sbin}/*; do
    if [ -x "$program" ]; then start_from "$dir" "$program"; fi
  done
}

# start_from DIR PROGRAM: makes DIR/bin/NAME, which starts a program of DIR/root. It finds its libraries there where it
# needs them, QEMU also its firmware; with a C library of its own it is started by that one's loader.
start_from() {
  local dir=$1 program=$2 name=${2##*/} root=$1/root linked libraries loader words=()
  linked=$(ldd "$program" 2>/dev/null) || true
  # What lies there from another time may be a link to the program itself, which is not to be written to.
  rm -f "$dir/bin/$name"
  if [ "${linked#*not found}" != "$linked" ] || [ "${name#qemu-system-}" != "$name" ] ||
    [ -e "$root/usr/lib/x86_64-linux-gnu/libc.so.6" ]; then
    libraries=$root/usr/lib/x86_64-linux-gnu:$root/lib/x86_64-linux-gnu
    loader=$root/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2
    if [ -e "$loader" ]; then
      words=("$loader" --library-path "$libraries" "$program")
    else
      words=(env "LD_LIBRARY_PATH=$libraries" "$program")
    fi
    case $name in
      qemu-system-*)
        words=(env "QEMU_MODULE_DIR=$root/usr/lib/x86_64-linux-gnu/qemu" "${words[@]}")
        words+=(-L "$root/usr/share/qemu" -L "$root/usr/share/seabios" -L "$root/usr/lib/ipxe/qemu") ;;
    esac
    { echo '#!/bin/sh'; printf 'exec'; printf " '%s'" "${words[@]}"; echo ' "$@"'; } >"$dir/bin/$name"
    chmod 755 "$dir/bin/$name"
  else
    ln -sf "$program" "$dir/bin/$name"
  fi
}
