#!/usr/bin/env bash
# Builds the guest: an initramfs with the modules of one kernel, and a root file system with the workloads.
#
# usage: images/build.sh [--kernel NAME] [--modules DIR] [--with TOOL]... [--out DIR]
#
#   --kernel NAME   a kernel of images/fetch-kernel.sh, which is fetched if it is not there (default 6.1-amd64)
#   --modules DIR   the kernel's modules, such as /lib/modules/RELEASE, for a kernel that is not to be fetched
#   --with TOOL     a program of this host with the libraries it is linked with, such as trace-cmd, or "compiler": gcc and
#                   what it needs to build our own programs, for the workload compile
#   --out DIR       where initrd.cpio and rootfs.img go (default images/build/guest/NAME, with +TOOL behind it)
#
# DIR/disk says which reproducible disk that kernel can have: sd, or initramfs when it has no driver for SD cards (the
# workloads then run from the initramfs).
# The same sources, kernel and tools give the same bytes: times, owners, order and UUIDs are fixed. Needs no root.
# Does nothing when what it would build is newer than all that goes into it.

set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../scripts/lib.sh"
export LC_ALL=C TZ=UTC

kernel=6.1-amd64 modules='' out='' tools=()
while [ $# -gt 0 ]; do
  case $1 in
    --kernel) needs_value "$1" $#; kernel=$2; shift ;;
    --modules) needs_value "$1" $#; modules=$2; shift ;;
    --with) needs_value "$1" $#; tools+=("$2"); shift ;;
    --out) needs_value "$1" $#; out=$2; shift ;;
    --help|-h) manual; exit 0 ;;
    *) unknown_option "$1" ;;
  esac
  shift
done
images=$project_dir/images
out=${out:-$build_dir/guest/$kernel$(printf '%s' "${tools[@]/#/+}")}
if [ -z "$modules" ]; then
  "$images/fetch-kernel.sh" "$kernel"
  modules=$build_dir/kernels/$kernel/modules
fi
[ -f "$modules/modules.builtin" ] || die "$modules holds no modules of a kernel" "images/build.sh --help" 2

# Every time in both images: the guest's clock starts here too.
epoch=1767225600 # 2026-01-01
uuid=67756573-7474-7261-6365-000000000001
# A power of two, as an SD card must be. Every recording digests the whole: only what needs it is larger.
rootfs_mib=64
case " ${tools[*]} " in *" compiler "*) rootfs_mib=128 ;; esac
for tool in "${tools[@]}"; do
  [ "$tool" = compiler ] || [ -x "/usr/bin/$tool" ] || die "there is no /usr/bin/$tool to put into the guest" "apt-get install $tool"
done

# The module sets that /init loads by name. A module that the kernel has built in is left out; "?" marks one that not
# every kernel has.
module_sets='
disk.mmcblk sdhci_pci? mmc_block?
disk.nvme   nvme
disk.vd     virtio_pci virtio_blk
disk.sd     ahci? ata_piix? virtio_pci virtio_scsi sd_mod?
disk.pmem   nfit? nd_pmem?
fs.ext4     crc32c_generic? ext4
fs.squashfs squashfs
pci.8086.100e e1000?
pci.8086.10d3 e1000e?
pci.1af4.1000 virtio_pci virtio_net
pci.1af4.1041 virtio_pci virtio_net
'

is_fresh() {
  [ -f "$out/rootfs.img" ] && [ -f "$out/calls" ] && [ -f "$out/yield" ] && [ -f "$out/disk" ] && [ -f "$out/initrd.cpio" ] &&
    [ -z "$(find "$images"/{build.sh,guest,programs,workloads} "$modules/modules.builtin" -newercm "$out/initrd.cpio" -print -quit)" ]
}

# Fills DIR with what both images hold: busybox, the workloads and their programs.
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

# stage_file DIR FILE: copies a file of this host to the same place below DIR.
stage_file() {
  mkdir -p "$1$(dirname "$2")"
  cp -L "$2" "$1$2"
}

# stage_program DIR NAME: adds a program of this host, /usr/bin/NAME in the guest, and the libraries that it is linked with.
stage_program() {
  local dir=$1 program library
  case $2 in
    /*) program=$2 ;;
    *) program=/usr/bin/$2 ;;
  esac
  stage_file "$dir" "$program"
  for library in $(ldd "$program" | grep -o '/[^ ]*'); do
    [ -e "$dir$library" ] || stage_file "$dir" "$library"
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

# Writes the path of every module of the kernel to the map: names have _ where file names may have -.
declare -A module_path=() is_built_in=() dependencies=()
index_modules() {
  local path name
  while read -r path; do
    name=${path##*/} name=${name%%.ko*}
    module_path[${name//-/_}]=$path
  done < <(find "$modules/kernel" -name '*.ko*')
  while read -r path; do
    name=${path##*/} name=${name%.ko}
    is_built_in[${name//-/_}]=yes
  done <"$modules/modules.builtin"
}

# Puts one module into DIR, unpacked and without debug information, BTF and signature (loading is faster; the code is
# the same), and notes what it depends on.
stage_module() {
  local name=$1 dir=$2 path=${module_path[$1]} file=$2/$1.ko
  case $path in
    *.xz) xz -dc "$path" >"$file" ;;
    *.zst) zstd -qdc "$path" >"$file" ;;
    *) cp "$path" "$file" ;;
  esac
  dependencies[$name]=$(readelf -p .modinfo "$file" | sed -n 's/^.*\]  *depends=//p' | tr ',-' ' _')
  strip -g -R .BTF -R .BTF_ids "$file"
}

# Appends the module and, before it, all that it depends on to the set's list.
add_module() {
  local name=$1 list=$2 dir=$3 dependency
  if [ -n "${is_built_in[$name]:-}" ] || grep -qx "$name" "$list"; then return; fi
  [ -n "${module_path[$name]:-}" ] || return 1
  [ -f "$dir/$name.ko" ] || stage_module "$name" "$dir"
  for dependency in ${dependencies[$name]}; do add_module "$dependency" "$list" "$dir"; done
  echo "$name" >>"$list"
}

stage_modules() {
  local dir=$1 set names name
  mkdir -p "$dir"
  index_modules
  while read -r set names; do
    [ -n "$set" ] || continue
    : >"$dir/$set.order"
    for name in $names; do
      add_module "${name%\?}" "$dir/$set.order" "$dir" || [ "${name%\?}" != "$name" ] ||
        say "$kernel has no module $name: no $set in its initramfs"
    done
  done <<<"$module_sets"
}

# make_cpio DIR FILE
make_cpio() {
  find "$1" -exec touch -h -d "@$epoch" {} +
  (cd "$1" && find . -mindepth 1 -print0 | sort -z | cpio --null -o -H newc -R 0:0 --reproducible --quiet) >"$2"
}

# Prints the commands of debugfs that make the tree DIR. `mke2fs -d` would take the host's order and inode times.
debugfs_script() {
  local path parent name
  cd "$1"
  find . -mindepth 1 | sort | while read -r path; do
    parent=${path%/*} parent=${parent#.} name=${path##*/}
    echo "cd ${parent:-/}"
    if [ -L "$path" ]; then
      echo "symlink $name $(readlink "$path")"
    elif [ -d "$path" ]; then
      echo "mkdir $name"
    else
      echo "write $PWD/$path $name"
      echo "sif $name mode 0100$(stat -c %a "$path")"
    fi
  done
}

# make_ext4 DIR FILE
make_ext4() {
  # e2fsprogs takes the time of everything it writes from this variable.
  export E2FSPROGS_FAKE_TIME=$epoch
  truncate -s "${rootfs_mib}M" "$2"
  # The features are named below, not left to the host's mke2fs.conf.
  printf '[fs_types]\n%s = {\n blocksize = 4096\n}\n' ext4 small >"$work/mke2fs.conf"
  MKE2FS_CONFIG=$work/mke2fs.conf mke2fs -q -F -t ext4 -I 256 -N 2048 -J size=4 -m 0 -L guest -U "$uuid" \
    -O none,has_journal,ext_attr,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,extra_isize,metadata_csum \
    -E "hash_seed=$uuid,root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0,nodiscard" "$2"
  (debugfs_script "$1") >"$work/debugfs"
  debugfs -w -f "$work/debugfs" "$2" >"$work/log" 2>&1
  if grep -v '^debugfs' "$work/log" | grep -v '^Allocated inode' >"$work/complaints"; then
    die "debugfs cannot fill the root file system: $(sed -n 1p "$work/complaints")"
  fi
  e2fsck -fn "$2" >"$work/log" 2>&1 || die "the root file system is not sound: $(tail -n 1 "$work/log")"
}

if is_fresh; then exit 0; fi
say "building the guest for $kernel in $out"
mkdir -p "$out"
work=$(mktemp -d "$out/.build.XXXXXX")
trap 'rm -rf "$work"' EXIT
umask 022

stage_guest "$work/root"
cp -a "$work/root" "$work/initramfs"
stage_tools "$work/root"
stage_calls "$work/root"
make_ext4 "$work/root" "$work/rootfs.img"

cp "$images/guest/init" "$work/initramfs/init"
chmod 755 "$work/initramfs/init"
mkdir "$work/initramfs/newroot"
stage_modules "$work/initramfs/modules"
echo sd >"$work/disk"
if ! grep -qx mmc_block "$work/initramfs/modules/disk.mmcblk.order" && [ -z "${is_built_in[mmc_block]:-}" ]; then
  echo initramfs >"$work/disk"
  stage_tools "$work/initramfs"
fi
make_cpio "$work/initramfs" "$work/initrd.cpio"

mv "$work/rootfs.img" "$work/disk" "$work/calls" "$work/yield" "$out/"
# The last one, for its time says that all is built.
mv "$work/initrd.cpio" "$out/"
