#!/usr/bin/env bash
# Records under QEMU 11.1, which has another plugin interface than this machine's QEMU, and compares.
#
# usage: scripts/qemu11.sh [--guest NAME]
#
# QEMU comes from the backports of Debian 13, with the libraries of that release; both are unpacked into
# images/build/qemu-11 and nothing is installed. Prints as Markdown whether stamps are exact, whether two runs are the
# same bytes, whether both QEMUs show the same kinds of events, and how often QEMU itself says that it delivered each
# interrupt and exception, beside how often the trace's probe there fired. Then the tests that compare traces with the
# guest's own counters run under QEMU 11.1, and those that go back to a moment. Exits 1 when something differs, 3 when QEMU 11.1 cannot be had.

set -euo pipefail
# shellcheck source=scripts/apt.sh
. "$(dirname "$0")/apt.sh"

guest=6.1-amd64
while [ $# -gt 0 ]; do
  case $1 in
    --guest) needs_value "$1" $#; guest=$2; shift ;;
    --help|-h) manual; exit 0 ;;
    *) unknown_option "$1" ;;
  esac
  shift
done

dir=$build_dir/qemu-11
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ ! -e "$dir/complete" ]; then
  open_apt_root trixie trixie-backports
  rm -rf "$dir"
  unpack_closure "$dir" trixie-backports qemu-system-x86
  touch "$dir/complete"
fi
qemu11=$dir/bin/qemu-system-x86_64
version=$("$qemu11" --version | sed -n '1 s/.*version \([0-9.]*\).*/\1/p') || true
[ -n "$version" ] || die "QEMU 11.1 does not start here" "try: $qemu11 --version"

lay_bench "$guest"
failures=0
# row WHAT RESULT IS-GOOD: a line of the table; IS-GOOD is yes or no.
row() {
  echo "| $1 | $2 |"
  [ "$3" = yes ] || failures=$((failures + 1))
}
record() { scripts/run-qemu.sh --trace "$work/$1.bin" --guest "$guest" --serial "$work/$1.console" --quiet; }
yes_if() { if "$@" >&2; then echo yes; else echo no; fi; }

record old
GUESTTRACE_QEMU=$qemu11 record new
GUESTTRACE_QEMU=$qemu11 record again
for run in old new; do "$program" info "$work/$run.bin" --format json >"$work/$run.json"; done

echo "| QEMU $version beside $(qemu-system-x86_64 --version | sed -n '1 s/.*version \([0-9.]*\).*/\1/p'), $guest, mix | |"
echo "|---|---|"
same=$(yes_if cmp -s "$work/new.bin" "$work/again.bin")
row "two recordings are the same bytes" "$same" "$same"
compared=$(number_of compared <"$work/new.json") exact=$(number_of exact <"$work/new.json")
row "RDTSCs of the guest, and of these predicted to the tick" "$compared, $exact" \
  "$(yes_if [ "$compared" -gt 0 -a "$compared" = "$exact" ])"
kinds_of() { sed -n '/"events": \[/,/^  \]/p' "$work/$1.json" | grep -B1 -E '"fired": [1-9]' | grep '"event"' | sort; }
kinds_of old >"$work/old.kinds"
kinds_of new >"$work/new.kinds"
same=$(yes_if diff "$work/old.kinds" "$work/new.kinds")
row "kinds of events in both" "$(wc -l <"$work/new.kinds")" "$same"

# Each delivery that QEMU counted against the records of the probes in its handler. Before the kernel has set up its
# handlers there are none to probe, and system calls of 32-bit programs have events of their own.
handlers() {
  sed -n '/^  "handlers": \[/,/^  \]/p' "$work/new.json" |
    sed -n 's/.*"handler": "\([^"]*\)".*/\1/p; s/.*"count": \([0-9]*\).*/\1/p' | paste -d ' ' - -
}
"$program" events "$work/new.bin" --event irq_entry,trap_entry --format json >"$work/entries"
while read -r handler count; do
  name=${handler#asm_} name=${name#sysvec_} name=${name#exc_}
  case $name in irq_entries_start*) name=device ;; early_idt*|int80*) continue ;; esac
  echo "$name $count"
done < <(handlers) |
  awk '{ sum[$1] += $2 } END { for (name in sum) print name, sum[name] }' | sort >"$work/deliveries"
while read -r name count; do
  recorded=$(grep -c "\"name\":\"$name\"" "$work/entries") || true
  row "$name: delivered by QEMU's account, recorded" "$count, $recorded" "$(yes_if [ "$count" = "$recorded" ])"
done <"$work/deliveries"
row "interrupts and exceptions in all" "$(awk '{ sum += $2 } END { print sum + 0 }' "$work/deliveries"), $(wc -l <"$work/entries")" \
  "$(yes_if [ -s "$work/deliveries" ])"

# check_test TEST WHAT: one of the project's tests, with its guests under QEMU 11.1.
check_test() {
  if GUESTTRACE_QEMU=$qemu11 GUESTTRACE_E2E=1 cargo test --quiet --release -p guesttrace-tests --test "$1" >"$work/log" 2>&1; then
    row "$2 (tests/tests/$1.rs)" "$(sed -n 's/^test result: ok. \([0-9]* passed\).*/\1/p' "$work/log")" yes
  else
    row "$2 (tests/tests/$1.rs)" "$(grep -m 1 -A 1 -E 'panicked|^error' "$work/log" | tr '\n' ' ')" no
  fi
}
# The kernels that it boots besides.
for other in 6.1-cloud-amd64 6.12-amd64; do images/build.sh --kernel "$other" >&2; done
check_test truth "traces against the guest's own counters"
check_test goto "machines that stand still at an event"
[ "$failures" = 0 ] || exit 1
