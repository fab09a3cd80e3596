#!/usr/bin/env bash
# The long checks: every event on every kernel, many identical runs beside a busy machine, exact stamps, recordings that
# are killed, damaged files.
#
# usage: scripts/soak.sh [--runs N] [--kills N] [--seed N] [--fuzz N] [--kernels "NAME ..."] >docs/soak.md
#        scripts/soak.sh --part LIST [OPTION...] >>docs/soak.md
#
#   --part LIST   only these, with commas: kills, identities, clocks, damage, fleet, short, events, elsewhere
#   --runs N      traces of each kernel with 1, 2 and 4 CPUs that must be the same bytes (default 20)
#   --kills N     recordings of which QEMU, the recorder or both are killed at moments drawn by chance (default 50)
#   --seed N      which moments those are (default 1)
#   --fuzz N      damaged files given to each reader and parser (default 100000)
#   --fleet N     rows of a fleet of 1,000 boots that DataFusion and a Spark cluster are asked about (default 10000000)
#   --short N     short boots, several at a time, that must be the same bytes (default 1000)
#   --loops N     endless loops that keep the machine busy meanwhile (default: one for each core; 0 where other work does)
#   --kernels L   default: every kernel that images/fetch-kernel.sh knows
#
# 0 for a number leaves that check out.
# Takes hours; a good deal less with --runs 3 --kills 20 --fuzz 2000 --kernels 6.1-amd64.
# Prints what it measured as Markdown; exits 1 when anything differed or could not be read.

set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

runs=20 kills=50 seed=1 fuzz=100000 fleet=10000000 short=1000 loops=$(nproc)
all_parts=kills,identities,clocks,damage,fleet,short,events,elsewhere
parts=$all_parts
kernels="5.10-amd64 6.1-amd64 6.1-rt-amd64 6.1-cloud-amd64 6.12-amd64 7.2-amd64"
asked=$*
while [ $# -gt 0 ]; do
  case $1 in
    --runs) needs_value "$1" $#; runs=$2; shift ;;
    --kills) needs_value "$1" $#; kills=$2; shift ;;
    --seed) needs_value "$1" $#; seed=$2; shift ;;
    --fuzz) needs_value "$1" $#; fuzz=$2; shift ;;
    --fleet) needs_value "$1" $#; fleet=$2; shift ;;
    --short) needs_value "$1" $#; short=$2; shift ;;
    --loops) needs_value "$1" $#; loops=$2; shift ;;
    --part) needs_value "$1" $#; parts=$2; shift ;;
    --kernels) needs_value "$1" $#; kernels=$2; shift ;;
    --help|-h) manual; exit 0 ;;
    *) unknown_option "$1" ;;
  esac
  shift
done

for part in ${parts//,/ }; do
  case ,$all_parts, in
    *",$part,"*) ;;
    *) die "there is no part \"$part\"" "scripts/soak.sh --help" 2 ;;
  esac
done
# is_part NAME: whether that one is wanted.
is_part() { case ,$parts, in *",$1,"*) ;; *) false ;; esac; }

cd "$project_dir"
use_cargo || die "no cargo is new enough" "scripts/setup.sh"
cargo build --quiet --release
program=${CARGO_TARGET_DIR:-target}/release/guesttrace
work=$(mktemp -d)
failures=0
busy=()

# So that nothing runs undisturbed.
be_busy() {
  local loop
  for ((loop = 0; loop < loops; loop++)); do
    while :; do :; done &
    busy+=("$!")
  done
}
be_quiet() {
  local loop
  for loop in "${busy[@]}"; do kill "$loop" 2>/dev/null || true; done
  busy=()
}
trap 'be_quiet; rm -rf "$work"' EXIT

# row WHAT RESULT: one line of the table.
row() { echo "| $1 | $2 |"; }
fail() {
  failures=$((failures + 1))
  row "**failed**: $1" "-"
  say "FAILED: $1"
}

# record TRACE OPTION...: one recording, whose last complaint is in $work/log.
record() { scripts/run-qemu.sh --trace "$work/$1" --serial "$work/serial" --quiet "${@:2}" >"$work/log" 2>&1; }

# check_identity WHAT OPTION...: the same machine again and again; the first trace is what all others must equal.
check_identity() {
  local what=$1 run same=0
  shift
  rm -f "$work"/trace*
  for ((run = 1; run <= runs; run++)); do
    if ! record trace "$@"; then
      fail "$what, run $run: $(tail -n 1 "$work/log")"
      continue
    fi
    [ -f "$work/trace.first" ] || cp "$work/trace" "$work/trace.first"
    if cmp -s "$work/trace" "$work/trace.first"; then same=$((same + 1)); else fail "$what: run $run differs"; fi
  done
  row "identical traces beside $loops busy loops on $(nproc) cores: $what" "$same of $runs"
}

check_identities() {
  local kernel cpus workload
  be_busy
  for kernel in $kernels; do
    for cpus in 1 2 4; do check_identity "$kernel, mix, --smp $cpus" --guest "$kernel" --smp "$cpus"; done
  done
  # Each of these fails when what it made is not what it should be.
  for workload in compile archive compress desktop; do
    check_identity "6.1-amd64, $workload, --smp 2" --workload "$workload" --smp 2
  done
  check_identity "6.1-amd64, heavy (disk, loopback, two network cards), --smp 4" --workload heavy --smp 4 --net hub
  check_identity "6.1-amd64, mix, --smp 2 --net user" --smp 2 --net user
  check_identity "6.1-amd64, mix, --disk pmem" --disk pmem
  be_quiet
}

# clock KEY: a figure of the clock in the trace.
clock() { "$program" info "$work/trace" --format json | sed -n "s/^ *\"$1\": \([0-9]*\),*$/\1/p" | head -n 1; }

# check_clock WHAT OPTION...: every RDTSC of the guest against the stamp that was predicted for it.
check_clock() {
  local what=$1 compared exact
  shift
  rm -f "$work/trace"
  if ! record trace --audit-clock "$@"; then
    fail "$what: $(tail -n 1 "$work/log")"
    return
  fi
  compared=$(clock compared) exact=$(clock exact)
  row "RDTSCs of $what: compared, exact, 99 %, most" \
    "$compared, $exact, $(clock error_p99_ticks), $(clock error_max_ticks) ticks of $(clock tsc_hz) in a second"
  # Deterministic time is to be exact for 99.9 % and never off by more than 512 ns; how exact wall time can be is the host's.
  case " $* " in *" wall "*) return ;; esac
  if [ "$compared" = 0 ] || [ $((exact * 1000)) -lt $((compared * 999)) ] || [ "$(clock error_max_ticks)" -gt 512 ]; then
    fail "$what: stamps are not exact"
  fi
}

check_clocks() {
  local cpus
  for cpus in 1 2 4; do check_clock "mix, --smp $cpus" --smp "$cpus"; done
  check_clock "heavy, --smp 4" --workload heavy --smp 4 --net hub
  for cpus in 1 2 4; do check_clock "compile, --smp $cpus" --workload compile --smp "$cpus"; done
  for cpus in 1 2 4; do check_clock "mix, --smp $cpus --clock wall" --clock wall --smp "$cpus"; done
}

# Records the whole event table on each kernel: which events fire, with which values, and that returns know their entries.
check_events() {
  local kernel events
  for kernel in $kernels; do images/build.sh --kernel "$kernel"; done
  if ! GUESTTRACE_E2E=1 GUESTTRACE_KERNELS=$kernels cargo test --release -p guesttrace-tests --test ltt_table -- \
    --nocapture kernels values returns >"$work/log" 2>&1; then
    fail "events: $(grep -m 1 -E 'panicked|FAILED|^error' "$work/log")"
    return
  fi
  while read -r kernel events; do row "${kernel%:}: events with values that the guest's program knows" "$events"; done \
    < <(sed -n 's/^\(.*:\) \([0-9]*\) events with known values found$/\1 \2/p' "$work/log")
  row "events of $kernels as docs/kernels.md has them" "yes"
}

# The test finds its processes by the directory that it made for them, and kills those alone.
check_kills() {
  images/build.sh
  if GUESTTRACE_E2E=1 GUESTTRACE_KILLS=$kills GUESTTRACE_SEED=$seed cargo test --release -p guesttrace-tests \
    --test survival -- killed_at_any_moment >"$work/log" 2>&1; then
    row "kills of QEMU, the recorder or both, seeds from $seed, after which all that was written could be read" "$kills of $kills"
  else
    fail "kills: $(grep -m 1 -E '^GUESTTRACE_SEED' "$work/log" || grep -m 1 -E 'panicked|^error' "$work/log")"
  fi
}

# The tests whose name has "fuzz" in it read from this variable how many files to damage.
check_damage() {
  local passed
  if ! { GUESTTRACE_FUZZ_CASES=$fuzz cargo test --workspace --release --no-fail-fast fuzz &&
    GUESTTRACE_FUZZ_CASES=$((fuzz / 10)) cargo test --manifest-path sql/Cargo.toml --target-dir "${CARGO_TARGET_DIR:-target}" \
      --release --no-fail-fast fuzz; } >"$work/log" 2>&1; then
    fail "fuzz tests: $(grep -E '^fuzz case|panicked|FAILED|^error' "$work/log" | head -n 3 | tr '\n' ' ')"
    return
  fi
  passed=$(sed -n 's/^test result: ok\. \([0-9]*\) passed.*/\1/p' "$work/log" | awk '{ sum += $1 } END { print sum + 0 }')
  if [ "$passed" = 0 ]; then
    fail "there are no fuzz tests"
  else
    row "damaged files for each of $passed readers and parsers: no panic, no event that was not written" "$fuzz"
  fi
}

# Two engines that none of us wrote have to name the boot from which on udev waits longer.
check_fleet() {
  if scripts/fleet.sh --rows "$fleet" >"$work/fleet" 2>"$work/log"; then
    row "boots of 1,000, $fleet rows, that DataFusion and Spark named as the one to look at" \
      "$(sed -n '$ s/.*| \(run .*\) |$/\1/p' "$work/fleet"), the same and true"
  else
    fail "fleet: $(grep -m 1 -E '^error' "$work/log")"
  fi
}

# What needs the network, and a machine where users can be made.
check_elsewhere() {
  local script
  for script in qemu11 as-user; do
    if "scripts/$script.sh" >"$work/$script" 2>"$work/log"; then
      row "\`scripts/$script.sh\`" "passed"
    else
      fail "scripts/$script.sh: $(grep -m 1 -E '^error' "$work/log")"
    fi
  done
}

# As many guests at a time as keep every core waiting for the others, and busy loops besides.
check_short() {
  local told
  images/build.sh
  cat >"$work/short.toml" <<EOF
images = "$project_dir/images"
[[run]]
name = "short"
kernel = "6.1-amd64"
disk = "initramfs"
workload = "boot"
append = "quiet"
same = $short
timeout = "30min"
EOF
  be_busy
  if "$program" ci run "$work/short.toml" --no-cache --jobs $((2 * $(nproc))) --artifacts "$work/artifacts" >"$work/log"; then
    row "boots of 6.1-amd64, $((2 * $(nproc))) at a time beside $loops busy loops on $(nproc) cores, that gave the same bytes" \
      "$short of $short"
  else
    told=$(grep -m 1 -oE '[0-9]+ of [0-9]+ are' "$work/log" || grep -m 1 -oE 'error .*' "$work/log" || true)
    fail "short boots: $told the same bytes"
  fi
  be_quiet
}

[ "$parts" != "$all_parts" ] || echo "# The long checks"
echo
echo "\`scripts/soak.sh $asked\`, on $(date -u +%F) at commit $(git rev-parse --short HEAD), $(nproc) cores," \
  "$(qemu-system-x86_64 --version | sed -n 's/^QEMU emulator version \([0-9.]*\).*/QEMU \1/p')."
echo
echo "| what | result |"
echo "|---|---|"
if is_part kills && [ "$kills" != 0 ]; then check_kills; fi
if is_part identities && [ "$runs" != 0 ]; then check_identities; fi
if is_part clocks && [ "$runs" != 0 ]; then check_clocks; fi
if is_part damage && [ "$fuzz" != 0 ]; then check_damage; fi
if is_part fleet && [ "$fleet" != 0 ]; then check_fleet; fi
if is_part short && [ "$short" != 0 ]; then check_short; fi
if is_part events; then check_events; fi
if is_part elsewhere; then check_elsewhere; fi
row "took" "$((SECONDS / 60)) minutes"
if is_part clocks; then
  echo
  echo "In wall time no stamp is the tick that the guest reads an instant later; the largest error is how long the host kept"
  echo "QEMU waiting between the two."
fi
say "$failures failures, $SECONDS s"
[ "$failures" = 0 ] || exit 1
