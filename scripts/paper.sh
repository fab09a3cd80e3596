#!/usr/bin/env bash
# Measures what LTT's paper measured (USENIX 2000, figures 3 to 5) and prints it, beside the paper's figures, as Markdown.
#
# usage: scripts/paper.sh [--rounds N] [--job NAME]... [--guest NAME] [--anew] >docs/paper/README.md
#
#   --rounds N     rounds of every job in every configuration; the first is not counted (default 11, as in the paper)
#   --job NAME     only this job: compile, archive, compress, desktop or boot
#   --guest NAME   the guest (default 6.1-amd64)
#   --anew         forget what an earlier run has measured
#
# 11 rounds take about an hour. What is measured is kept in images/build/paper, so that a run that was interrupted goes
# on where it was, and more rounds add to those that are there. Another commit begins anew.

set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

rounds=11 guest=6.1-amd64 anew=no jobs=()
while [ $# -gt 0 ]; do
  case $1 in
    --rounds) needs_value "$1" $#; rounds=$2; shift ;;
    --job) needs_value "$1" $#; jobs+=("$2"); shift ;;
    --guest) needs_value "$1" $#; guest=$2; shift ;;
    --anew) anew=yes ;;
    --help|-h) manual; exit 0 ;;
    *) unknown_option "$1" ;;
  esac
  shift
done
[ "$rounds" -ge 2 ] || die "the first round is not counted, so there must be more than one" "scripts/paper.sh --rounds 3" 2

# The paper's jobs, and one that does nothing: all begin with a boot.
[ ${#jobs[@]} -gt 0 ] || jobs=(compile archive compress desktop boot)
for job in "${jobs[@]}"; do
  case $job in compile|archive|compress|desktop|boot) ;; *) die "there is no job \"$job\"" "scripts/paper.sh --help" 2 ;; esac
done
configurations=(
  "no tracer"
  "tracer idle: all events have their probes, recording never starts"
  "logged: all events go to the buffers and are not read"
  "read: the writer compresses all events, nothing goes to a file"
  "all events"
  "core events"
)

# The paper's figures 3, 4 and 5: job, configuration, seconds, deviation; then job, configuration, MB, MB/s.
ltt_times='
compile 1 240.2 0.4 2 240.8 0.6 3 243.6 0.5 4 245.7 0.5 5 246.9 1.1 6 246.3 0.5
archive 1 357.4 1.6 2 358.0 1.9 3 359.1 1.7 4 358.1 2.0 5 365.5 1.6 6 363.6 1.3
compress 1 141.2 0.4 2 141.4 0.5 3 141.1 0.3 4 141.6 0.5 5 141.4 0.5 6 141.6 0.5
desktop 1 246.8 0.9 2 249.2 1.9 3 252.2 1.6 4 252.9 1.1 5 258.3 3.9 6 252.9 1.8
'
ltt_sizes='
compile 5 33.4 0.135 6 25.0 0.101
archive 5 27.9 0.076 6 16.5 0.045
compress 5 1.76 0.012 6 1.14 0.008
desktop 5 139 0.538 6 62.9 0.249
'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
lay_bench "$guest"
images/build.sh --kernel "$guest" --with compiler
cargo build --quiet --release -p trace-format --example reading
reading=$(dirname "$program")/examples/reading

kept=$build_dir/paper/$guest
[ "$anew" = no ] || rm -rf "$kept"
if [ "$(cat "$kept/commit" 2>/dev/null)" != "$(git rev-parse HEAD)" ]; then
  rm -rf "$kept"
  mkdir -p "$kept"
  git rev-parse HEAD >"$kept/commit"
fi
touch "$kept/times" "$kept/sizes"

# run JOB CONFIGURATION [OPTION...]: the job under a configuration of the paper; its trace, if any, is $work/trace.
run() {
  local dir=$guest_dir options machine trace=$work/trace
  [ "$1" != compile ] || dir=$guest_dir+compiler
  mapfile -t machine < <(machine_of "$dir" "$1")
  options=(--events all)
  case $2 in
    1) options=(--no-plugin) ;;
    2) options+=(--start 1000000s) ;;
    3) options+=(--mode overwrite --ring-size 1) ;;
    4) trace=- ;;
    6) options=(--events core) ;;
  esac
  rm -f "$work/trace"
  "$program" record --trace "$trace" --serial "$work/console" --quiet "${machine[@]}" "${options[@]}" "${@:3}" >/dev/null
}

for ((round = 0; round < rounds; round++)); do
  say "round $((round + 1)) of $rounds"
  for job in "${jobs[@]}"; do
    for configuration in 1 2 3 4 5 6; do
      ! grep -q "^$round $job $configuration " "$kept/times" || continue
      took=$(seconds '%U %R' run "$job" "$configuration")
      echo "$round $job $configuration $took" >>"$kept/times"
    done
  done
done

# The sizes are those of the job alone: recording starts where its first phase does.
for job in "${jobs[@]}"; do
  [ "$job" != boot ] || continue
  for configuration in 5 6; do
    ! grep -q "^$job $configuration " "$kept/sizes" || continue
    say "size of $job, ${configurations[configuration - 1]}"
    run "$job" "$configuration" --start marker:phase- >"$work/log" 2>&1 || die "$job failed: $(tail -n 1 "$work/log")"
    begin=$("$program" events "$work/trace" --event recording_start --limit 1 --format json | number_of time_ns)
    end=$("$program" info "$work/trace" --format json | number_of duration_ns)
    counts=$("$reading" "$work/trace" | awk '$1 ~ /^(records|plain_bytes|file_bytes)$/ { printf " %s", $2 }')
    echo "$job $configuration $(awk "BEGIN { print ($end - $begin) / 1e9 }")$counts" >>"$kept/sizes"
  done
done

# times_of JOB: a row for each configuration: the paper's seconds, ours, and what each costs beyond the first.
times_of() {
  awk -v job="$1" -v last_round="$((rounds - 1))" -v ltt="$(grep "^$1 " <<<"$ltt_times" || true)" \
    -v names="$(printf '%s\n' "${configurations[@]}")" '
    function add(what, value) {
      n[what]++; sum[what] += value; squares[what] += value * value
      if (!(what in least) || value < least[what]) least[what] = value
    }
    function mean(what) { return sum[what] / n[what] }
    function deviation(what,   variance) {
      variance = n[what] > 1 ? (squares[what] - n[what] * mean(what) ^ 2) / (n[what] - 1) : 0
      return sqrt(variance > 0 ? variance : 0)
    }
    function cost(value, base) { return sprintf("%+.2f %%", (value / base - 1) * 100) }
    $2 == job && $1 > 0 && $1 <= last_round { add("user" $3, $4); add("wall" $3, $5) }
    END {
      split(names, name, "\n")
      fields = split(ltt, word, " ")
      for (i = 2; i + 2 <= fields; i += 3) { theirs[word[i]] = word[i + 1]; spread[word[i]] = word[i + 2] }
      for (c = 1; c <= 6; c++) {
        paper = c in theirs ? sprintf("%.1f ± %.1f | %s", theirs[c], spread[c], c == 1 ? "" : cost(theirs[c], theirs[1])) : "- | -"
        line = sprintf("| %d. %s | %s", c, name[c], paper)
        line = line sprintf(" | %.2f ± %.2f | %s", mean("wall" c), deviation("wall" c), c == 1 ? "" : cost(mean("wall" c), mean("wall1")))
        line = line sprintf(" | %.2f ± %.2f | %s", mean("user" c), deviation("user" c), c == 1 ? "" : cost(mean("user" c), mean("user1")))
        print line sprintf(" | %.2f | %s |", least["user" c], c == 1 ? "" : cost(least["user" c], least["user1"]))
      }
    }' "$kept/times"
}

# sizes_table: what each job leaves behind, with all and with core events.
sizes_table() {
  local job configuration guest_seconds records plain file
  while read -r job configuration guest_seconds records plain file; do
    awk -v what="$job, ${configurations[configuration - 1]}" -v seconds="$guest_seconds" -v records="$records" -v plain="$plain" \
      -v file="$file" -v ltt="$(grep "^$job " <<<"$ltt_sizes")" -v configuration="$configuration" 'BEGIN {
        fields = split(ltt, word, " ")
        for (i = 2; i + 2 <= fields; i += 3) if (word[i] == configuration) { size = word[i + 1]; rate = word[i + 2] }
        printf "| %s | %s | %s | %.3f | %.4f | %.3f | %d | %.0f | %.2f | %.1f |\n", what, size, rate, file / 1e6,
          file / 1e6 / seconds, plain / 1e6 / seconds, records, records / seconds, file / records, plain / file
      }'
  done < <(for job in "${jobs[@]}"; do grep "^$job " "$kept/sizes"; done)
}

cat <<END
# LTT's measurements, then and now

Printed by \`scripts/paper.sh\`; run it on your machine.
The left columns are figures 3, 4 and 5 of Karim Yaghmour and Michel R. Dagenais, *Measuring and Characterizing System Behavior Using Kernel-Level Event Logging*, USENIX Annual Technical Conference 2000.
They traced Linux 2.2.13 from within, on a Pentium II with 350 MHz; here an unmodified kernel runs under QEMU and is traced from outside.
Figures 6, 8, 9 and 10, what processes did, are in [accounts.md](accounts.md).
So seconds cannot be compared, but what tracing adds to a job of the same kind can.

$(measured_on "$guest"), deterministic clock, $((rounds - 1)) counted after one that is not.

- *compile*: there a whole kernel, here gcc compiles three files of C and links them.
- *archive*: there a tar archive of 800 MB, here one of 2.4 MB, packed, unpacked and compared.
- *compress*: there bzip2 of 50 MB, here gzip and bzip2 of 1.8 MB, both ways.
- *desktop*: there KDE with four programs, here two sets of a display server with six clients, timers, keys and documents.
- *boot*: nothing; every job here begins with a boot, which is in its figures, so this table is what they have in common.

What the configurations mean here:

1. \`record --no-plugin\`: the same machine without the plugin.
2. \`--events all --start 1000000s\`: every probe is in place, no event is recorded.
3. \`--events all --mode overwrite --ring-size 1\`: events go to buffers in memory and are forgotten there, but for the last megabyte.
4. \`--events all --trace - >/dev/null\`: the writer turns all buffers into columns and compresses them, and nothing is written to a file.
5. \`--events all\`, LTT's whole table and more.
6. \`--events core\`; for LTT the same as 5 without the details of events that are not core.

## Figures 3 and 4: time for a job, and its deviation

Seconds, mean ± standard deviation; each cost is beyond configuration 1.
Elapsed time is the paper's measure. User CPU time counts all threads and processes of guesttrace and QEMU, and depends less on what else the host does; its least over the runs depends least on it.
Which column of figure 4 belongs to which job was inferred from its values, as the copy at hand has lost their order.
END
for job in "${jobs[@]}"; do
  echo
  echo "### $job"
  echo
  row configuration "LTT, elapsed" "LTT, cost" elapsed cost "user CPU" cost "least user CPU" cost
  echo "|---|---|---|---|---|---|---|---|---|"
  times_of "$job"
done
cat <<'END'

## Figure 5: size of the trace

Of the job alone, without the boot. Seconds are the guest's own; a second of the guest here is one of a machine that executes 125 million instructions in it.
*Plain* is the size of the same records in the recorder's buffers, before columns and compression: their quotient is the compression ratio, for which the paper names about 10, got with separate tools.

END
row job "LTT, MB" "LTT, MB/s" "MB in the file" "MB/s in the file" "MB/s plain" events "events/s" "bytes per event" "compression ratio"
echo "|---|---|---|---|---|---|---|---|---|---|"
sizes_table
