#!/usr/bin/env bash
# Lays the files of the project's own guest into DIR: what `guesttrace image build guest` makes images of.
#
# usage: images/stage-guest.sh DIR [TOOL]...
#
#   TOOL   a program of this host with the libraries it is linked with, such as trace-cmd, or "compiler": gcc and what it
#          needs to build our own programs, for the workload compile
#
# DIR/base is what every image has, DIR/tools what lies over it in root file systems; the programs with debug information
# go to DIR itself. The same sources and host give the same files.

set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../scripts/lib.sh"
export LC_ALL=C TZ=UTC
umask 022

case ${1:-} in
  --help|-h) manual; exit 0 ;;
  '') die "no directory named" "images/stage-guest.sh --help" 2 ;;
esac
images=$project_dir/images
work=$1
tools=("${@:2}")
# What `scripts/setup.sh --user` unpacked lies below this as it would lie below /.
unpacked=$user_prefix/root

# on_host FILE: prints where that file of Debian's lies on this host: unpacked for this user, as everything looks there
# first, or in its place.
on_host() {
  if [ -e "$unpacked$1" ]; then echo "$unpacked$1"; else echo "$1"; fi
}

for tool in strace "${tools[@]}"; do
  [ "$tool" = compiler ] || [ -x "$(on_host "/usr/bin/$tool")" ] ||
    die "there is no /usr/bin/$tool to put into the guest" "apt-get install $tool"
done

# Fills DIR with what every image holds: busybox, the workloads and their programs.
stage_guest() {
  local dir=$1 applet
  mkdir -p "$dir"/{bin,sbin,dev,proc,sys,tmp,root,etc,workloads}
  cp "$(command -v busybox)" "$dir/bin/busybox"
  for applet in $(busybox --list); do
    case $applet in busybox|init|linuxrc) ;; *) ln -s busybox "$dir/bin/$applet" ;; esac
  done
  gcc -static -O2 -Wall -Wextra -Wl,--build-id=none -s -o "$dir/bin/exercise" "$images"/programs/*.c
  gcc -m32 -nostdlib -static -Wl,--build-id=none -s -o "$dir/bin/hello32" "$images/programs/hello32.S"
  cp "$images/guest/sbin-init" "$dir/sbin/init"
  cp "$images/guest/native" "$dir/sbin/native"
  cp "$images"/workloads/* "$dir/workloads/"
  echo 'root:x:0:0:root:/root:/bin/sh' >"$dir/etc/passwd"
  echo 'root:x:0:' >"$dir/etc/group"
  chmod -R u=rwX,go=rX "$dir"
  chmod 755 "$dir"/bin/* "$dir/sbin/init"
}

# stage_file DIR FILE: copies a file of this host to the same place below DIR; an unpacked one to where it belongs.
stage_file() {
  local place=${2#"$unpacked"}
  mkdir -p "$1$(dirname "$place")"
  cp -L "$2" "$1$place"
}

# libraries_of PROGRAM: prints the libraries that it is linked with, a path a line.
libraries_of() {
  local found
  found=$(ldd "$1")
  case $found in *'not found'*) found=$(LD_LIBRARY_PATH=$unpacked/usr/lib/x86_64-linux-gnu ldd "$1") ;; esac
  case $found in *'not found'*) die "$1 needs a library that is not there: $(sed -n 's/^\t*\(.*\) => not found/\1/p' <<<"$found" | tr '\n' ' ')" ;; esac
  grep -o '/[^ ]*' <<<"$found"
}

# stage_program DIR NAME: adds a program of this host, /usr/bin/NAME in the guest, and the libraries that it is linked with.
stage_program() {
  local dir=$1 program library libraries
  case $2 in
    /*) program=$2 ;;
    *) program=$(on_host "/usr/bin/$2") ;;
  esac
  stage_file "$dir" "$program"
  libraries=$(libraries_of "$program")
  for library in $libraries; do
    [ -e "$dir${library#"$unpacked"}" ] || stage_file "$dir" "$library"
  done
}

# Adds this host's compiler, and what it needs to compile and link our own programs, which are added too.
stage_compiler() {
  local dir=$1 name file
  for name in gcc as ld "$(gcc -print-prog-name=cc1)" "$(gcc -print-prog-name=collect2)"; do
    stage_program "$dir" "$name"
  done
  for name in Scrt1.o crti.o crtn.o crtbeginS.o crtendS.o libgcc.a libgcc_eh.a libc.so libc_nonshared.a liblto_plugin.so; do
    file=$(gcc -print-file-name="$name")
    stage_file "$dir" "$(realpath -s "$file")"
  done
  mkdir -p "$dir/usr/src"
  cp "$images"/programs/*.[ch] "$images/programs/calls/calls.c" "$dir/usr/src/"
  gcc -O2 -M "$images"/programs/*.c "$images/programs/calls/calls.c" | grep -o '/usr/[^ ]*' | sort -u >"$work/headers"
  while read -r file; do stage_file "$dir" "$file"; done <"$work/headers"
}

# Adds strace and the tools that were asked for.
stage_tools() {
  local tool
  for tool in strace "${tools[@]}"; do
    case $tool in
      compiler) stage_compiler "$1" ;;
      *) stage_program "$1" "$tool" ;;
    esac
  done
}

# Adds the programs for probes in user space and for gprof, stripped; those with debug information stay beside the images.
stage_calls() {
  local dir=$1
  gcc -g -O2 -Wall -Wextra -Wl,--build-id=none -ffile-prefix-map="$project_dir=." -o "$work/calls" \
    "$images/programs/calls/calls.c"
  strip -o "$dir/usr/bin/calls" "$work/calls"
  # gprof knows a program's functions only where it is linked.
  gcc -g -O0 -pg -no-pie -Wall -Wextra -Wl,--build-id=none -ffile-prefix-map="$project_dir=." -o "$work/yield" \
    "$images/programs/yield/yield.c"
  strip -g -o "$dir/usr/bin/yield" "$work/yield"
  chmod 755 "$dir/usr/bin/calls" "$dir/usr/bin/yield"
}

stage_guest "$work/base"
stage_tools "$work/tools"
stage_calls "$work/tools"
