#!/usr/bin/env bash
# Measures what tracing costs and how fast and small traces are, and prints it as Markdown for docs/performance.md.
#
# usage: scripts/bench.sh [--rounds N] [--guest NAME] [--part PART]... >measured.md
#
#   --rounds N     rounds of one untraced run and one of each choice of events (default 15)
#   --guest NAME   the guest (default 6.1-amd64)
#   --part NAME    only this: cost, what recording costs; format, how fast traces are written, read and opened; reports
#                  and export, how fast they are and how much memory they need; others, the same events in the files of
#                  trace-cmd and of LTTng, and how fast their readers are; sources, how fast files of other tracers are
#                  decoded, beside their own tools; view, the page in Chromium: its index, its answers, its frames; sql,
#                  what questions by SQL take
#
# Cost is user CPU time, guesttrace's own included: wall time depends on what else the host does. The runs of a round
# follow each other, so what the host does to one it does to all; a cost is that of a round, and the spread over the
# rounds is printed with every mean. The part "others" needs trace-cmd and babeltrace2 (apt-get install trace-cmd
# babeltrace2) and leaves out what it cannot compare. The part "sources" reads a CTF of our own and, where there are
# any, the files in the directory GUESTTRACE_SAMPLES.

set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

all_parts='cost format reports export others sources view sql'
rounds=15 guest=6.1-amd64 parts=()
while [ $# -gt 0 ]; do
  case $1 in
    --rounds) needs_value "$1" $#; rounds=$2; shift ;;
    --guest) needs_value "$1" $#; guest=$2; shift ;;
    --part) needs_value "$1" $#; parts+=("$2"); shift ;;
    --help|-h) manual; exit 0 ;;
    *) unknown_option "$1" ;;
  esac
  shift
done
read -ra parts <<<"${parts[*]:-$all_parts}"
for part in "${parts[@]}"; do
  case " $all_parts " in *" $part "*) ;; *) die "there is no part \"$part\"" "scripts/bench.sh --help" 2 ;; esac
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
lay_bench "$guest"
mapfile -t machine < <(machine_of "$guest_dir" mix)
# As scripts/run-qemu.sh calls it, without the time that script takes.
record=("$program" record --trace "$work/trace" "${machine[@]}")

# Reads numbers, one a line; prints mean, standard deviation and extremes.
spread() {
  awk '{ n++; sum += $1; squares += $1 * $1; if (n == 1 || $1 < least) least = $1; if (n == 1 || $1 > most) most = $1 }
    END { mean = sum / n; variance = squares / n - mean * mean
          printf "%.2f ± %.2f (%.2f to %.2f, n = %d)", mean, sqrt(variance > 0 ? variance : 0), least, most, n }'
}

# What recording costs, for several choices of events.
measure_cost() {
  choices=(core ltt all 'core,tracepoint:*:*')

  say "one run of each kind to warm up"
  seconds '' "${record[@]}" --no-plugin
  for choice in "${choices[@]}"; do seconds '' "${record[@]}" --events "$choice"; done
  for ((round = 1; round <= rounds; round++)); do
    say "round $round of $rounds"
    line=$(seconds '%U %R' "${record[@]}" --no-plugin)
    for choice in "${choices[@]}"; do line+=" $(seconds '%U %R' "${record[@]}" --events "$choice")"; done
    echo "$line"
  done >"$work/rounds"

  # measured COLUMN: the spread of a column of the rounds.
  measured() { awk -v column="$1" '{ print $column }' "$work/rounds" | spread; }

  echo "$(measured_on "$guest"), workload \`mix\`, deterministic clock."
  echo
  headings=(untraced)
  for choice in "${choices[@]}"; do headings+=("\`$choice\`"); done
  row what "${headings[@]}"
  echo "|---|---|$(printf -- '---|%.0s' "${choices[@]}")"
  user=() cost=(-) wall=() count=(-) rate=(-) density=(-)
  for ((index = 0; index <= ${#choices[@]}; index++)); do
    user+=("$(measured $((2 * index + 1)))")
    wall+=("$(measured $((2 * index + 2)))")
  done
  for ((index = 1; index <= ${#choices[@]}; index++)); do
    cost+=("$(awk -v column=$((2 * index + 1)) '{ print ($column / $1 - 1) * 100 }' "$work/rounds" | spread)")
    seconds '' "${record[@]}" --events "${choices[index - 1]}"
    events=$("$program" events "$work/trace" --format json | wc -l)
    bytes=$(stat -c %s "$work/trace")
    count+=("$events")
    rate+=("$(awk -v column=$((2 * index + 2)) -v events="$events" '{ sum += $column } END { printf "%.0f", events / (sum / NR) }' "$work/rounds")")
    density+=("$(awk "BEGIN { printf \"%.1f\", $bytes / $events }")")
  done
  row "user CPU seconds" "${user[@]}"
  row "cost of tracing, percent of user CPU, round by round" "${cost[@]}"
  row "wall seconds" "${wall[@]}"
  row "events" "${count[@]}"
  row "events per wall second" "${rate[@]}"
  row "bytes per event in the file" "${density[@]}"
  echo
}

# How long the preparation of a recording takes.
measure_preparation() {
  plan_image=$(seconds %R "$program" plan --kernel "$kernel" --events core)
  plan_every=$(seconds %R "$program" plan --kernel "$kernel" --events 'core,tracepoint:*:*')
  echo "| what | measured |"
  echo "|---|---|"
  echo "| wall seconds to plan from the bzImage | $plan_image |"
  echo "| the same with all tracepoints | $plan_every |"

  debug_image=$build_dir/kernels/6.1-cloud-amd64
  if [ -f "$debug_image/vmlinux" ]; then
    # A cache directory of its own makes the first preparation a first one.
    prepare=(env XDG_CACHE_HOME="$work/cache" "$program" record --dry-run --trace "$work/unused"
      --kernel "$debug_image/vmlinuz" --vmlinux "$debug_image/vmlinux" --initrd "$guest_dir/initrd.cpio")
    mkdir "$work/cache"
    prepared_seconds() { "${prepare[@]}" 2>&1 >/dev/null | sed -n 's/.*prepared in \(.*\) s$/\1/p'; }
    prepare_first=$(prepared_seconds)
    prepare_cached=$(prepared_seconds)
    echo "| seconds to prepare a recording with a vmlinux with DWARF ($(($(stat -c %s "$debug_image/vmlinux") / 1000000)) MB), first time | $prepare_first |"
    echo "| the same, cached | $prepare_cached |"
  fi
}

# cpu_seconds COMMAND...: prints the least user and system seconds of five runs of a command.
cpu_seconds() {

  for _ in 1 2 3 4 5; do seconds '%U %S' "$@"; done | awk 'NR == 1 || $1 + $2 < least { least = $1 + $2 } END { print least }'
}

# speed_row WHAT EVENTS COMMAND...: a row that says how many events a second of CPU time a command gets through.
speed_row() {
  row "$1" "$(awk -v events="$2" -v seconds="$(cpu_seconds "${@:3}")" 'BEGIN { printf "%.2f million", events / seconds / 1e6 }')"
}

# per_event BYTES EVENTS
per_event() { awk -v bytes="$1" -v events="$2" 'BEGIN { printf "%.2f", bytes / events }'; }

# What the trace format and its readers do in a second.
measure_format() {
  local what count records examples
  examples=$(dirname "$program")/examples
  cargo build --quiet --release -p trace-format --example throughput --example reading
  echo "The trace format alone (\`cargo run --release -p trace-format --example throughput 6\`: synthetic records of all kinds, one thread, at the level of compression that \`record\` uses):"
  echo
  row what measured
  echo "|---|---|"
  "$examples/throughput" 6 | while read -r line; do
    case $line in
      *' records/s') what=${line%%:*} count=${line##* plain records, }
        row "$what, records/s" "${count% records/s}" ;;
      *' bytes per record') row "bytes per record" "${line%% *}" ;;
    esac
  done

  mapfile -t machine < <(machine_of "$guest_dir" desktop)
  "$program" record --trace "$work/desktop" --serial "$work/console" --quiet --events all "${machine[@]}"
  "$examples/reading" "$work/desktop" >"$work/reading"
  # of NAME: the number that the example printed.
  of() { sed -n "s/^$1 //p" "$work/reading"; }
  records=$(of records)
  echo
  echo "A recording of workload \`desktop\`, all events ($records records, $(of file_bytes) bytes); speeds for a second of CPU time, the best of five runs:"
  echo
  row what measured
  echo "|---|---|"
  row "reading to columns, records/s" "$(of columns_per_second)"
  row "reading every field, records/s" "$(of fields_per_second)"
  speed_row "\`events\`, events/s" "$records" "$program" events "$work/desktop"
  speed_row "\`events --format json\`, events/s" "$records" "$program" events "$work/desktop" --format json
  row "bytes per event in the file" "$(per_event "$(of file_bytes)" "$records")"
  row "bytes per event in the recorder's buffers" "$(per_event "$(of plain_bytes)" "$records")"
  echo
}

# peak_memory COMMAND...: prints the peaks of a command's own memory and of all that it has mapped, both in MiB.
peak_memory() {
  local reader own=0 all=0 now
  "$@" >/dev/null 2>"$work/log" &
  reader=$!
  while now=$(awk '/^RssAnon/ { own = $2 } /^VmHWM/ { all = $2 } END { if (own && all) print own, all }' "/proc/$reader/status" 2>/dev/null) && kill -0 "$reader" 2>/dev/null; do
    if [ -n "$now" ]; then
      [ "${now% *}" -le "$own" ] || own=${now% *}
      all=${now#* }
    fi
    sleep 0.05
  done
  wait "$reader" || die "$* failed: $(tail -n 1 "$work/log")"
  echo "$((own / 1024)) $((all / 1024))"
}

# Opening and reading of long recordings: that of $work/desktop, again and again.
measure_large() {
  local large size end
  if [ ! -f trace-format/examples/large.rs ]; then
    say "nothing here makes long recordings: left out"
    return
  fi
  large=$(dirname "$program")/examples/large
  cargo build --quiet --release -p trace-format --example large
  "$large" "$work/desktop" "$work/large" 1024 >"$work/log" 2>&1 || die "$large failed: $(tail -n 1 "$work/log")"
  end=$("$program" info "$work/large" --format json | number_of duration_ns)
  # The first time reads the file into the host's cache, which is not what is measured.
  cat "$work/large" >/dev/null
  echo "Long recordings (\`cargo run --release -p trace-format --example large\`: the same one again and again; wall time, the file in the host's cache):"
  echo
  row what measured
  echo "|---|---|"
  row "seconds to open $(($(stat -c %s "$work/large") / 1000000)) MB and show 20 events of its middle" \
    "$(seconds %R "$program" events "$work/large" --from "$((end / 2))ns" --limit 20)"
  for size in 16 128; do
    "$large" "$work/desktop" "$work/large" "$size" >"$work/log" 2>&1 || die "$large failed: $(tail -n 1 "$work/log")"
    read -r own all < <(peak_memory "$program" events "$work/large")
    row "MiB of memory at most while \`events\` prints $size MiB; with the part of the file that is mapped" "$own; $all"
  done
  rm "$work/large"
  echo
}

# What long recordings are made of: core events of the workload desktop, in $work/desktop.
record_desktop() {
  cargo build --quiet --release -p trace-format --example large
  mapfile -t machine < <(machine_of "$guest_dir" desktop)
  "$program" record --trace "$work/desktop" --serial "$work/console" --quiet --events core "${machine[@]}"
}

# make_long TRACE OUT EVENTS: a recording's events again and again, until there are so many.
make_long() {
  local bytes records
  records=$("$program" info "$1" --format json | number_of records)
  bytes=$(stat -c %s "$1")
  "$(dirname "$program")/examples/large" "$1" "$2" "$((bytes * 115 * ($3 / 100) / records / 1048576 + 1))" >"$work/log" 2>&1 ||
    die "the recording could not be made long: $(tail -n 1 "$work/log")"
}

# How fast the reports are: one on 100 million events, each on 10 million.
measure_reports() {
  local events report took own all
  record_desktop
  echo "Reports of workload \`desktop\` with core events, again and again (every process lives anew each time); CPU time, so the speed of one core:"
  echo
  row report events "million events/s" "MiB of memory; with the part of the file that is mapped"
  echo "|---|---|---|---|"
  for events in 100000000 10000000; do
    make_long "$work/desktop" "$work/long" "$events"
    cat "$work/long" >/dev/null
    events=$("$program" info "$work/long" --format json | number_of records)
    for report in $("$program" list reports --format json | sed -n 's/.*"name": *"\([a-z-]*\)".*/\1/p'); do
      # All of them at that length would take an hour.
      [ "$events" -lt 50000000 ] || [ "$report" = processes ] || continue
      took=$(seconds '%U %S' "$program" report "$report" "$work/long" | awk '{ print $1 + $2 }')
      read -r own all < <(peak_memory "$program" report "$report" "$work/long")
      row "\`$report\`" "$events" "$(awk "BEGIN { printf \"%.2f\", $events / $took / 1e6 }")" "$own; $all"
    done
    [ "$events" -lt 50000000 ] ||
      row "wall seconds to the first line of \`events\`" "$events" "$(seconds %R "$program" events "$work/long" --limit 1)" -
  done
  rm "$work/long"
  echo
}

# How fast each format of `guesttrace export` is written, and how large it is.
measure_export() {
  local format events took own all bytes
  record_desktop
  make_long "$work/desktop" "$work/long" 3000000
  cat "$work/long" >/dev/null
  events=$("$program" info "$work/long" --format json | number_of records)
  bytes=$(stat -c %s "$work/long")
  echo "\`guesttrace export\` of workload \`desktop\` with core events, $events of them, $(per_event "$bytes" "$events") bytes each in the trace; CPU time, so the speed of one core:"
  echo
  row format "million events/s" "bytes per event" "MiB of memory; with the part of the file that is mapped"
  echo "|---|---|---|---|"
  for format in ctf perfetto chrome firefox folded csv json ltt; do
    took=$(seconds '%U %S' "$program" export "$work/long" --to "$format" -o "$work/out" | awk '{ print $1 + $2 }')
    bytes=$(du -sb "$work/out" | cut -f 1)
    rm -r "$work/out"
    read -r own all < <(peak_memory "$program" export "$work/long" --to "$format" -o "$work/out")
    rm -r "$work/out"
    row "\`$format\`" "$(awk "BEGIN { printf \"%.2f\", $events / $took / 1e6 }")" "$(per_event "$bytes" "$events")" "$own; $all"
  done
  rm "$work/long"
  echo
}

# What `record --native trace-cmd` has trace-cmd record.
compared_events=sched_switch,sched_waking,sched_wakeup,sched_wakeup_new,sched_process_fork,sched_process_exec
compared_events+=,sched_process_exit,irq_handler_entry,irq_handler_exit,softirq_entry,softirq_exit,softirq_raise
compared_events+=,tasklet_entry,tasklet_exit,syscall_entry,syscall_exit,signal_generate,signal_deliver,timer_start
compared_events+=,timer_cancel,timer_expire_entry,timer_expire_exit,hrtimer_start,hrtimer_cancel
compared_events+=,hrtimer_expire_entry,hrtimer_expire_exit

# Runs workload desktop under trace-cmd in the guest while we record the same events: $work/trace.dat and $work/same.
record_twice() {
  images/build.sh --kernel "$guest" --with trace-cmd
  mapfile -t machine < <(machine_of "$guest_dir+trace-cmd" desktop)
  "$program" record --trace "$work/same" --serial "$work/console" --quiet --events "$compared_events" --native trace-cmd \
    --start marker:native-begin --stop marker:native-end "${machine[@]}"
  mv "$work/same.trace.dat" "$work/trace.dat"
}

# The same events as three tools keep and read them.
measure_others() {
  local ours theirs bytes ring
  if ! command -v trace-cmd >/dev/null; then
    echo "Not compared with trace-cmd and LTTng: trace-cmd is not installed (apt-get install trace-cmd)."
    return
  fi
  record_twice
  # Rows of the recorder, such as what exists when it starts, are not trace-cmd's.
  only=()
  for event in ${compared_events//,/ }; do only+=(--event "$event"); done
  "$program" events "$work/same" "${only[@]}" --format json >"$work/same.json"
  ours=$(wc -l <"$work/same.json")
  theirs=$(trace-cmd report "$work/trace.dat" 2>"$work/log" | grep -c ': ')
  bytes=$(stat -c %s "$work/same")
  ring=$(trace-cmd dump -i "$work/trace.dat" --summary | sed -n 's/.* \([0-9]*\) bytes flyrecord data.*/\1/p')

  echo "The same run of workload \`desktop\`, recorded by trace-cmd $(trace-cmd --version | sed -n 's/.*version \([^ ]*\).*/\1/p') in the guest and by guesttrace from outside: switches, wake-ups, forks, interrupts, softirqs, system calls, signals and timers ($ours events here, $theirs there, which counts its own start and end too)."
  echo "The CTF is what LTTng would have written of them: our events in the layout of its kernel channels (\`scripts/to_ctf.py\`), as no LTTng runs in the guest."
  echo
  row file "bytes per event"
  echo "|---|---|"
  row "guesttrace, whole file" "$(per_event "$bytes" "$ours")"
  row "trace-cmd, zstd, whole file (which holds the names of all kernel functions)" "$(per_event "$(stat -c %s "$work/trace.dat")" "$theirs")"
  row "trace-cmd, zstd, its rings alone" "$(per_event "$ring" "$theirs")"
  "$program" list events --format json >"$work/events.json"
  python3 scripts/to_ctf.py "$work/events.json" "$work/ctf" <"$work/same.json" >"$work/log"
  row "CTF in LTTng's layout" "$(per_event "$(stat -c %s "$work/ctf/channel0_0")" "$ours")"
  row "the same, xz -6" "$(per_event "$(xz -6 -T1 -c "$work/ctf/channel0_0" | wc -c)" "$ours")"
  echo
  echo "Events for a second of CPU time when all of them are printed, start of the program included, the best of five runs:"
  echo
  row reader "events/s"
  echo "|---|---|"
  speed_row "\`guesttrace events\`" "$ours" "$program" events "$work/same" "${only[@]}"
  speed_row "\`guesttrace events --format json\`" "$ours" "$program" events "$work/same" "${only[@]}" --format json
  speed_row "\`trace-cmd report\`" "$theirs" trace-cmd report "$work/trace.dat"
  if command -v babeltrace2 >/dev/null; then
    speed_row "\`babeltrace2\`, version $(babeltrace2 --version | sed -n '1 s/[^0-9]*\([0-9.]*\).*/\1/p'), of the CTF" "$ours" babeltrace2 "$work/ctf"
    speed_row "the same, without printing (\`-o dummy\`)" "$ours" babeltrace2 -o dummy "$work/ctf"
  else
    row "\`babeltrace2\`" "not installed (apt-get install babeltrace2)"
  fi
  echo
}

# source_row WHAT FILE [TOOL...]: how fast a file is decoded, how long a report takes, and how long a tool of its own.
source_row() {
  local decoded events theirs=-
  decoded=$("$decoding" "$2" 5)
  of() { sed -n "s/^$1 //p" <<<"$decoded"; }
  events=$(of events)
  # The tool has to be there, and able to read that file.
  if [ $# -gt 2 ] && command -v "$3" >/dev/null && "${@:3}" >/dev/null 2>&1; then
    theirs=$(awk -v events="$events" -v seconds="$(cpu_seconds "${@:3}")" 'BEGIN { printf "%.2f", events / seconds / 1e6 }')
  fi
  row "$1" "$events" "$(awk "BEGIN { printf \"%.2f\", $events / $(of reading_seconds) / 1e6 }")" "$theirs" \
    "$(cpu_seconds "$program" report processes "$2")"
}

# How fast files of other tracers are decoded.
measure_sources() {
  local samples=${GUESTTRACE_SAMPLES:-$project_dir/../shared/data} decoding archive file
  cargo build --quiet --release -p analyzer --example decoding
  decoding=$(dirname "$program")/examples/decoding
  record_desktop
  make_long "$work/desktop" "$work/long" 3000000
  "$program" export "$work/long" --to ctf -o "$work/long.ctf"
  echo "Traces of other tracers, decoded with all threads and fields, in one thread; CPU time of whole programs for the rest, the best of five runs:"
  echo
  row trace events "decoding, million events/s" "its own tool, million events/s" "seconds of \`report processes\`"
  echo "|---|---|---|---|---|"
  source_row "our own format" "$work/long"
  source_row "CTF 1.8, our export of it; \`babeltrace2 -o dummy\`" "$work/long.ctf" babeltrace2 -o dummy "$work/long.ctf"
  for archive in "$samples"/lttng-*.tar.xz; do
    [ -f "$archive" ] || continue
    mkdir -p "$work/lttng"
    tar -C "$work/lttng" -xf "$archive"
    source_row "LTTng, \`$(basename "$archive")\`; \`babeltrace2 -o dummy\`" "$work/lttng" babeltrace2 -o dummy "$work/lttng"
  done
  for file in "$samples"/*.dat; do
    [ ! -f "$file" ] || source_row "trace.dat, \`$(basename "$file")\`; \`trace-cmd report\`" "$file" trace-cmd report "$file"
  done
  for file in "$samples"/*.perf.data; do
    [ ! -f "$file" ] || source_row "perf.data, \`$(basename "$file")\`; \`perf script\`" "$file" perf script -i "$file"
  done
  for file in "$samples"/*.perfetto-trace; do
    [ ! -f "$file" ] || source_row "Perfetto, \`$(basename "$file")\`" "$file"
  done
  echo
}

# The page: its index, its answers, its frames, the page in one file.
measure_view() {
  local kind seen speed late
  npm ci --silent --prefix tests/browser
  record_desktop
  make_long "$work/desktop" "$work/long" 10000000
  make_long "$work/desktop" "$work/million" 1000000
  echo "\`guesttrace serve\` and \`html\`, workload \`desktop\` with core events, again and again; Chromium $(chromium --version | cut -d ' ' -f 2) without a GPU:"
  echo
  row what result
  echo "|---|---|"
  GUESTTRACE=$program node tests/browser/measure.mjs "$work/long" "$work/million"
  while IFS=$'\t' read -r kind seen speed late; do
    row "$kind, $seen shown: frames per second, 99th percentile between two" "${speed% frames/s}, ${late#p99 }"
  done < <(GUESTTRACE=$program node tests/browser/frames.mjs "$work/desktop")
  rm "$work/long" "$work/million"
  echo
}

# ask QUERY: wall seconds that a question about $work/long takes.
ask() { seconds %R "$program" sql "$work/long" "$1" --format csv; }

# What questions cost by SQL. Of two equal ones the second hides its column in a function, so that the engine has to look
# at every row; the first chooses what is read of the file.
measure_sql() {
  local what chosen hidden from to events
  cargo build --quiet --release --manifest-path sql/Cargo.toml --target-dir "${CARGO_TARGET_DIR:-target}" --bins
  record_desktop
  make_long "$work/desktop" "$work/long" 10000000
  cat "$work/long" >/dev/null
  events=$("$program" info "$work/long" --format json | number_of records)
  from=$(($("$program" info "$work/long" --format json | number_of duration_ns) / 2))
  to=$((from + 100000000))
  echo "\`guesttrace-sql\` over $events events of workload \`desktop\`; wall seconds, $(nproc) cores:"
  echo
  row question "seconds" "seconds when no part of the file is left out"
  echo "|---|---|---|"
  while IFS='|' read -r what chosen hidden; do
    chosen=$(ask "$chosen")
    hidden=$(if [ -n "$hidden" ]; then ask "$hidden"; else echo -; fi)
    row "$what" "$chosen" "$hidden"
  done <<END
all events, counted by kind|SELECT event, count(*) FROM events GROUP BY event|
all stretches of threads, summed by state|SELECT state, sum(duration_ns) FROM thread_states GROUP BY state|
all system calls, by name|SELECT name, count(*), sum(duration_ns) FROM syscalls GROUP BY name|
0.1 s of the middle|SELECT count(*) FROM events WHERE time_ns BETWEEN $from AND $to|SELECT count(*) FROM events WHERE abs(time_ns) BETWEEN $from AND $to
one kind of event|SELECT count(*) FROM events WHERE event = 'sched_process_exec'|SELECT count(*) FROM events WHERE lower(event) = 'sched_process_exec'
one thread|SELECT count(*) FROM events WHERE tid = 1|SELECT count(*) FROM events WHERE abs(tid) = 1
END
  rm "$work/long"
  echo
}

for part in "${parts[@]}"; do
  case $part in
    cost) measure_cost; measure_preparation; echo ;;
    format) measure_format; measure_large ;;
    reports) measure_reports ;;
    export) measure_export ;;
    others) measure_others ;;
    sources) measure_sources ;;
    view) measure_view ;;
    sql) measure_sql ;;
  esac
done
