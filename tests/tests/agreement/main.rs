//! What reports say of a run, against what the guest's kernel and its tools say of the same run: `schedstat`, `stat`, `io`,
//! `getrusage`, `times`, `/proc/schedstat`, `/proc/diskstats`, `time`, strace.
//!
//! Where the kernel counts, numbers are equal. Where it samples or looks at its clock elsewhere, the difference has a bound
//! with a reason. The table is kept in `docs/agreement.md`.

mod console;
mod table;

use std::collections::BTreeMap;
use std::process::Command;

use guesttrace_tests::{Event, Run, events, guests_wanted, guesttrace, project_dir, record, skip};
use serde_json::Value;

use console::Console;
use table::{Row, document};

/// What the guest's kernel needs between a switch's time for its own accounts and the tracepoint in it, and a wake-up's.
const SWITCH_NS: u64 = 30_000;
/// The guest's timer tick, at which it samples who runs: 250 a second.
const TICK_NS: u64 = 4_000_000;
/// The unit in which it tells such times.
const CLOCK_TICK_NS: u64 = 10_000_000;

/// A report, as programs read it.
fn report(run: &Run, name: &str, options: &[String]) -> Value {
    let output = Command::new(guesttrace())
        .args(["report", name, "--format", "json", "--top", "1000"])
        .arg(&run.trace)
        .args(options)
        .output()
        .expect("cargo build --release comes first");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "report {name}: {complaints}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The rows of a table in which a column is that.
fn rows<'r>(report: &'r Value, table: &str, column: &str, wanted: &Value) -> Vec<&'r Value> {
    let rows = report[table].as_array().expect("a table");
    rows.iter().filter(|row| row[column] == *wanted).collect()
}

fn row<'r>(report: &'r Value, table: &str, column: &str, wanted: u64) -> &'r Value {
    rows(report, table, column, &Value::from(wanted))
        .first()
        .unwrap_or_else(|| panic!("{table} has no row with {column} {wanted}"))
}

fn number(row: &Value, column: &str) -> u64 {
    row[column]
        .as_u64()
        .unwrap_or_else(|| panic!("no {column} in {row}"))
}

/// The lives of the children of `exercise accounts`.
fn compare_children(run: &Run, console: &Console<'_>, table: &mut Vec<Row>) {
    let (processes, sched) = (report(run, "processes", &[]), report(run, "sched", &[]));
    let io = report(run, "io", &[]);
    for line in console
        .lines
        .iter()
        .filter(|line| line.starts_with("== account "))
    {
        let words: Vec<&str> = line.split(' ').collect();
        let (name, pid): (_, u64) = (words[2], words[3].parse().expect("a process"));
        let told = console.section(line, "== account");
        let ours = row(&processes, "threads", "tid", pid);
        let switches = row(&sched, "threads", "tid", pid);
        compare_scheduling(name, &told, ours, switches, table);
        compare_bytes(name, &told, &io, pid, table);
    }
}

fn compare_scheduling(
    name: &str,
    told: &Console<'_>,
    ours: &Value,
    sched: &Value,
    table: &mut Vec<Row>,
) {
    const PER_SWITCH: &str = "30 us for each time it gets a CPU or is woken";
    let schedstat = told.numbers("== schedstat");
    let switches = number(sched, "switches");
    let allowed = SWITCH_NS * (switches + number(sched, "wakeups"));
    let running = number(ours, "running_ns");
    table.push(Row::near(
        format!("{name}: ns on a CPU (schedstat)"),
        schedstat[0],
        running,
        allowed,
        PER_SWITCH,
    ));
    let runnable = number(ours, "runnable_ns");
    table.push(Row::near(
        format!("{name}: ns waiting for a CPU (schedstat)"),
        schedstat[1],
        runnable,
        allowed,
        PER_SWITCH,
    ));
    table.push(Row::exact(
        format!("{name}: times on a CPU (schedstat)"),
        schedstat[2],
        switches,
    ));

    let involuntary = number(sched, "preemptions");
    let usage = |column| told.named("== usage", column);
    table.push(Row::exact(
        format!("{name}: involuntary switches (getrusage)"),
        usage("involuntary"),
        involuntary,
    ));
    table.push(Row::exact(
        format!("{name}: voluntary switches (getrusage)"),
        usage("voluntary"),
        switches - involuntary,
    ));
    let used = (usage("user_us") + usage("system_us")) * 1000;
    table.push(Row::near(
        format!("{name}: user and system time, ns (getrusage)"),
        used,
        running,
        allowed + 2000,
        PER_SWITCH,
    ));
    let user = number(ours, "user_ns");
    table.push(Row::near(
        format!("{name}: user time, ns (getrusage)"),
        usage("user_us") * 1000,
        user,
        4 * TICK_NS,
        "four ticks of 4 ms, at which the kernel samples",
    ));
    // Fields 14 and 15 of the file; the list begins behind the name, which is field 2.
    let stat = told.numbers("== stat");
    let ticks = (stat[11] + stat[12]) * CLOCK_TICK_NS;
    table.push(Row::near(
        format!("{name}: utime and stime, ns (/proc/PID/stat)"),
        ticks,
        running,
        2 * CLOCK_TICK_NS,
        "both are cut to 10 ms",
    ));
    table.push(Row::near(
        format!("{name}: ns by ticks (times)"),
        usage("ticks") * CLOCK_TICK_NS,
        running,
        2 * CLOCK_TICK_NS,
        "both are cut to 10 ms",
    ));
}

fn compare_bytes(name: &str, told: &Console<'_>, io: &Value, pid: u64, table: &mut Vec<Row>) {
    let told = |column| told.named("== io", column);
    let ours = rows(io, "processes", "pid", &Value::from(pid));
    let ours = |column| ours.first().map_or(0, |row| number(row, column));
    // A call with a bad descriptor gets to nothing that the kernel counts.
    let failed = ours("failed");
    table.push(Row::exact(
        format!("{name}: bytes read (io rchar)"),
        told("rchar:"),
        ours("read_bytes"),
    ));
    table.push(Row::exact(
        format!("{name}: bytes written (io wchar)"),
        told("wchar:"),
        ours("written_bytes"),
    ));
    table.push(Row::exact(
        format!("{name}: reads but for those that fail (io syscr)"),
        told("syscr:"),
        ours("reads") - failed,
    ));
    table.push(Row::exact(
        format!("{name}: writes (io syscw)"),
        told("syscw:"),
        ours("writes"),
    ));
    let thread = Value::from(format!("exercise:{pid}"));
    let requests = rows(io, "requesters", "thread", &thread);
    let read = requests.iter().filter(|row| row["operation"] == "read");
    let read = read.map(|row| number(row, "bytes")).sum();
    table.push(Row::exact(
        format!("{name}: bytes read from the disk (io read_bytes)"),
        told("read_bytes:"),
        read,
    ));
}

/// Where a mark is among the events.
fn mark(all: &[Event], text: &str) -> usize {
    let is_mark = |event: &Event| event.name() == "printk" && event.text("text") == text;
    all.iter()
        .position(is_mark)
        .unwrap_or_else(|| panic!("no {text}"))
}

/// The part of a trace between two times, as options.
fn between(from: u64, to: u64) -> Vec<String> {
    vec![
        "--from".to_owned(),
        format!("{from}ns"),
        "--to".to_owned(),
        format!("{to}ns"),
    ]
}

/// The counters of the only CPU and of the disk, between two readings.
fn compare_counters(run: &Run, console: &Console<'_>, all: &[Event], table: &mut Vec<Row>) {
    let marks = [
        "guesttrace: mark before-counters",
        "guesttrace: mark after-counters",
    ];
    let marks = marks.map(|text| mark(all, text));
    let readings = ["== counters before", "== counters after"];
    let readings = readings.map(|title| console.section(title, "== end of counters"));
    let line = |reading: &Console<'_>, prefix: &str| -> Vec<u64> {
        let line = reading
            .lines
            .iter()
            .find(|line| line.trim_start().starts_with(prefix));
        let words = line.expect("a line").split_whitespace();
        words.map(|word| word.parse().unwrap_or(0)).collect()
    };
    let change = |prefix: &str, index: usize| {
        let [before, after] = readings
            .each_ref()
            .map(|reading| line(reading, prefix)[index]);
        after - before
    };
    // A thread's time is added when it leaves the CPU: each reading is of the time when its reader got there.
    let arrivals = marks.map(|mark| {
        let is_switch = |event: &&Event| event.name() == "sched_switch";
        all[..mark]
            .iter()
            .rev()
            .find(is_switch)
            .expect("the reader got a CPU")
            .number("time_ns")
    });
    let processes = report(run, "processes", &between(arrivals[0], arrivals[1]));
    let threads = processes["threads"].as_array().expect("a table");
    let busy = threads.iter().filter(|row| row["tid"] != 0);
    let busy: u64 = busy.map(|row| number(row, "running_ns")).sum();
    let came = all.iter().filter(|event| {
        let at = event.number("time_ns");
        event.name() == "sched_switch"
            && event.field("next_pid") != 0
            && at > arrivals[0]
            && at <= arrivals[1]
    });
    let came = came.count() as u64;
    table.push(Row::exact(
        "CPU 0: times that a thread got it (/proc/schedstat)",
        change("cpu0", 9),
        came,
    ));
    table.push(Row::near(
        "CPU 0: ns that threads had it (/proc/schedstat)",
        change("cpu0", 7),
        busy,
        SWITCH_NS * came,
        "30 us for each switch",
    ));

    let times = marks.map(|mark| all[mark].number("time_ns"));
    let io = report(run, "io", &between(times[0], times[1]));
    for (operation, first) in [("read", 3), ("write", 7)] {
        let disk = rows(&io, "disks", "operation", &Value::from(operation));
        let ours = |column: &str| disk.first().map_or(0, |row| number(row, column));
        let of = |index| change("179 ", index);
        table.push(Row::exact(
            format!("disk: {operation}s (/proc/diskstats)"),
            of(first),
            ours("count"),
        ));
        table.push(Row::exact(
            format!("disk: bytes of {operation}s (/proc/diskstats)"),
            of(first + 2) * 512,
            ours("bytes"),
        ));
        let time = ours("total_ns") + ours("queue_mean_ns") * ours("count");
        let told = of(first + 3) * 1_000_000;
        table.push(Row::near(
            format!("disk: ns of {operation}s (/proc/diskstats)"),
            told,
            time,
            1_500_000,
            "1.5 ms: it is told in ms, from where a request is made",
        ));
    }
}

/// `time` and `strace -C -T`, each of a program of which the trace has all.
fn compare_tools(run: &Run, console: &Console<'_>, all: &[Event], table: &mut Vec<Row>) {
    let started = |nth: usize| {
        let is_exec = |event: &&Event| {
            event.name() == "sched_process_exec" && event.text("filename") == "/bin/exercise"
        };
        all.iter()
            .filter(is_exec)
            .nth(nth)
            .expect("the program was started")
    };
    // Before them are two readings of counters and the accounts.
    let (straced, timed, living) = (started(3), started(4), started(5));
    let processes = report(run, "processes", &[]);
    let ours = number(
        row(&processes, "threads", "tid", timed.number("pid")),
        "running_ns",
    );
    let line = console
        .section("== time ==", "==")
        .lines
        .first()
        .copied()
        .expect("a line");
    let seconds: Vec<f64> = line
        .split(' ')
        .filter_map(|word| word.parse().ok())
        .collect();
    let hundredths = |seconds: f64| {
        format!("{:.0}", seconds * 100.0)
            .parse::<u64>()
            .expect("digits")
    };
    let told = (hundredths(seconds[1]) + hundredths(seconds[2])) * CLOCK_TICK_NS;
    table.push(Row::near(
        "burn: user and system time, ns (time)",
        told,
        ours,
        2 * CLOCK_TICK_NS,
        "both are cut to 10 ms",
    ));

    // What ps would say of one that lives: it is stopped when its numbers are read.
    const SIGCONT: i64 = 18;
    let resumed = all.iter().find(|event| {
        event.name() == "signal_generate"
            && event.field("sig") == SIGCONT
            && event.json["fields"]["pid"] == living.json["pid"]
    });
    let until = between(0, resumed.expect("it goes on").number("time_ns"));
    let processes = report(run, "processes", &until);
    let ours = number(
        row(&processes, "threads", "tid", living.number("pid")),
        "running_ns",
    );
    let stat = console.numbers("== living ==");
    let told = (stat[11] + stat[12]) * CLOCK_TICK_NS;
    table.push(Row::near(
        "burn, stopped: utime and stime, ns (ps)",
        told,
        ours,
        2 * CLOCK_TICK_NS,
        "both are cut to 10 ms",
    ));
    compare_strace(run, console, all, straced, table);
}

fn compare_strace(
    run: &Run,
    console: &Console<'_>,
    all: &[Event],
    program: &Event,
    table: &mut Vec<Row>,
) {
    let pid = program.number("pid");
    // strace tells of a program from the execve on by which it starts it.
    let is_execve = |event: &&Event| {
        event.name() == "syscall_entry"
            && event.number("pid") == pid
            && event.text("name") == "execve"
    };
    let start = all
        .iter()
        .find(is_execve)
        .expect("an execve")
        .number("time_ns");
    let options = [
        between(start, u64::MAX >> 1),
        vec!["--pid".to_owned(), pid.to_string()],
    ]
    .concat();
    let syscalls = report(run, "syscalls", &options);
    let told = console.section("== strace ==", "==");
    let mut counts: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for line in told
        .lines
        .iter()
        .skip_while(|line| !line.starts_with("% time"))
    {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |index: usize| words.get(index).and_then(|word| word.parse::<u64>().ok());
        if let (Some(calls), Some(name)) =
            (number(3), words.last().filter(|name| **name != "total"))
        {
            counts.insert(name, (calls, number(4).unwrap_or(0)));
        }
    }
    assert!(counts.len() > 15, "strace counted {counts:?}");
    for (name, (calls, errors)) in &counts {
        let ours = rows(&syscalls, "calls", "name", &Value::from(*name));
        let ours = |column| ours.first().map_or(0, |row| number(row, column));
        table.push(Row::exact(
            format!("strace: {name}, calls (strace -C)"),
            *calls,
            ours("count"),
        ));
        table.push(Row::exact(
            format!("strace: {name}, errors (strace -C)"),
            *errors,
            ours("errors"),
        ));
    }
    let kinds = syscalls["calls"].as_array().expect("a table").len() as u64;
    table.push(Row::exact(
        "strace: kinds of calls (strace -C)",
        counts.len() as u64,
        kinds,
    ));
    let lengths = told
        .lines
        .iter()
        .filter_map(|line| line.strip_suffix('>')?.rsplit_once('<'));
    let lengths =
        lengths.filter_map(|(_, seconds)| seconds.strip_prefix("0.")?.parse::<u64>().ok());
    compare_lengths(all, pid, start, &lengths.collect::<Vec<_>>(), table);
}

/// The length of each call: the two differ by what the stops for the tracer take.
fn compare_lengths(all: &[Event], pid: u64, start: u64, told_us: &[u64], table: &mut Vec<Row>) {
    let mut entered = None;
    let mut ours = Vec::new();
    for event in all.iter().filter(|event| event.number("pid") == pid) {
        let at = event.number("time_ns");
        match event.name() {
            "syscall_entry" if at >= start => entered = Some(at),
            "syscall_exit" => ours.extend(entered.take().map(|entered| at - entered)),
            _ => {}
        }
    }
    assert_eq!(
        told_us.len(),
        ours.len(),
        "calls that strace -T tells the length of"
    );
    // Either may be longer: whoever else runs before strace does makes it late at a call's entry or at its exit.
    let differences = told_us.iter().zip(&ours);
    let mut differences: Vec<u64> = differences
        .map(|(told, ours)| ours.abs_diff(told * 1000))
        .collect();
    differences.sort_unstable();
    table.push(Row::near(
        "strace: what ptrace's stops make of a call's length, ns, median (strace -T)",
        0,
        differences[differences.len() / 2],
        100_000,
        "100 us: two stops, two switches each",
    ));
    table.push(Row::near(
        "strace: the same, most (strace -T)",
        0,
        differences[differences.len() - 1],
        TICK_NS,
        "4 ms: the turn of another thread, up to a tick",
    ));
}

#[test]
fn reports_say_what_the_guest_says_of_itself() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let run = record("6.1-amd64", "accounts", &["--events", "core,block"]);
    assert_eq!(run.status, 0, "{}\n{}", run.complaints, run.console);
    let console = Console::new(&run);
    let names = "sched_switch,sched_process_exec,signal_generate,printk,syscall_entry,syscall_exit";
    let all = events(&run.trace, &["--event", names]);
    let mut table = Vec::new();
    compare_children(&run, &console, &mut table);
    compare_counters(&run, &console, &all, &mut table);
    compare_tools(&run, &console, &all, &mut table);

    let (text, names) = document(&table);
    println!("{text}");
    for row in &table {
        let difference = row.ours.abs_diff(row.guest);
        assert!(
            difference <= row.allowed,
            "{}: the guest says {}, we say {}",
            row.what,
            row.guest,
            row.ours
        );
    }
    assert!(table.len() > 80, "{} numbers", table.len());
    // Another version of QEMU or busybox gives other numbers, in the same rows; another C library makes other calls.
    let path = project_dir().join("docs/agreement.md");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &text).expect("docs/agreement.md");
    }
    let kept = std::fs::read_to_string(&path).expect("docs/agreement.md");
    let rows = kept.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split(" | ").collect();
        (cells.len() == 5 && cells[0] != "| what").then(|| format!("{} | {}", cells[0], cells[4]))
    });
    let rows: Vec<String> = rows.filter(|row| !row.starts_with("| strace")).collect();
    let stale: Vec<&String> = rows.iter().filter(|row| !names.contains(row)).collect();
    assert!(
        rows.len() > 40 && stale.is_empty(),
        "docs/agreement.md is stale: {stale:?}; UPDATE_EXPECT=1 renews it"
    );
}
