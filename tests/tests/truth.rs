//! What a trace says, against what the guest's kernel says of itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use guesttrace_tests::{Counters, Event, Run, counters, events, guests_wanted, record, skip};
use trace_format::TraceFile;

const KERNEL: &str = "6.1-amd64";

/// One recording of `mix` that several tests look at.
fn mix() -> &'static (Run, Vec<Event>) {
    static MIX: OnceLock<(Run, Vec<Event>)> = OnceLock::new();
    MIX.get_or_init(|| {
        let run = record(KERNEL, "mix", &[]);
        assert_eq!(run.status, 0, "{}\n{}", run.complaints, run.console);
        let all = events(&run.trace, &[]);
        (run, all)
    })
}

/// Events between the two readings of the counters.
///
/// The reading thread is not switched away from between a mark and its readings, so that what counts switches, forks and
/// faults is exact from mark to mark.
fn between_readings(all: &[Event]) -> &[Event] {
    let mark = |text: &str| {
        all.iter()
            .position(|event| event.name() == "printk" && event.text("text").contains(text))
            .unwrap_or_else(|| panic!("no mark {text}"))
    };
    &all[mark("mark before-counters")..mark("mark after-counters")]
}

fn count(events: &[Event], name: &str) -> u64 {
    events.iter().filter(|event| event.name() == name).count() as u64
}

struct Readings {
    before: Counters,
    after: Counters,
}

impl Readings {
    fn of(run: &Run) -> Self {
        Self {
            before: counters(&run.console, "before"),
            after: counters(&run.console, "after"),
        }
    }

    fn change(&self, file: &str, name: &str) -> u64 {
        self.after.get(file, name) - self.before.get(file, name)
    }
}

fn check_switches_and_forks(run: &Run, all: &[Event]) {
    let readings = Readings::of(run);
    let between = between_readings(all);
    assert_eq!(
        count(between, "sched_switch"),
        readings.change("/proc/stat", "ctxt"),
        "context switches"
    );
    assert_eq!(
        count(between, "sched_process_fork"),
        readings.change("/proc/stat", "processes"),
        "forks"
    );
}

#[test]
fn switches_and_forks_are_those_that_the_kernel_counts() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let (run, all) = mix();
    check_switches_and_forks(run, all);
}

#[test]
fn softirqs_are_those_that_the_kernel_counts() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let (run, all) = mix();
    let readings = Readings::of(run);
    let between = until_reading(all, 3);
    for name in readings.after.names("/proc/softirqs") {
        between.assert_counted(
            &format!("softirq {name}"),
            readings.change("/proc/softirqs", name),
            |event| event.name() == "softirq_entry" && event.text("vec").eq_ignore_ascii_case(name),
        );
    }
}

/// Events from the first reading of a counter file to the second one. Each happens at some moment of a `read` system call:
/// what comes during the calls may be on either side.
struct Between<'e> {
    /// From the end of the first call to the beginning of the second.
    certain: &'e [Event],
    /// From the beginning of the first to the end of the second.
    possible: &'e [Event],
}

impl Between<'_> {
    fn assert_counted(&self, what: &str, by_kernel: u64, is_one: impl Fn(&Event) -> bool) {
        let count = |events: &[Event]| events.iter().filter(|event| is_one(event)).count() as u64;
        let (least, most) = (count(self.certain), count(self.possible));
        assert!(
            (least..=most).contains(&by_kernel),
            "{what}: the kernel counts {by_kernel}, the trace has {least}, {most} with those during both readings"
        );
    }
}

/// What lies between both readings of the counter file with that index.
fn until_reading(all: &[Event], file_index: usize) -> Between<'_> {
    let reading = |mark: &str| {
        let start = all
            .iter()
            .position(|event| event.name() == "printk" && event.text("text").contains(mark))
            .unwrap_or_else(|| panic!("no mark {mark}"));
        let tid = all[start].number("tid");
        // Each file is read to its end: a call that returns 0 closes it.
        let mut file = 0;
        let mut first_read = None;
        for (index, event) in all.iter().enumerate().skip(start) {
            if event.number("tid") != tid || event.text("name") != "read" {
                continue;
            }
            match event.name() {
                "syscall_entry" if file == file_index && first_read.is_none() => {
                    first_read = Some(index)
                }
                "syscall_exit" if file == file_index => {
                    return (first_read.expect("entered"), index);
                }
                "syscall_exit" if event.field("ret") == 0 => file += 1,
                _ => {}
            }
        }
        panic!("the thread that reads the counters does not read file {file_index}");
    };
    let before = reading("mark before-counters");
    let after = reading("mark after-counters");
    Between {
        certain: &all[before.1..after.0],
        possible: &all[before.0..after.1],
    }
}

#[test]
fn interrupts_are_those_that_the_kernel_counts() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let (run, all) = mix();
    let readings = Readings::of(run);
    let between = until_reading(all, 2);
    let is_entry = |event: &Event| event.name() == "irq_entry";
    for (name, row) in [("apic_timer_interrupt", "LOC"), ("reschedule_ipi", "RES")] {
        between.assert_counted(name, readings.change("/proc/interrupts", row), |event| {
            is_entry(event) && event.text("name") == name
        });
    }
    let lines = readings
        .after
        .names("/proc/interrupts")
        .filter_map(|name| name.parse::<i64>().ok());
    for line in lines {
        let by_kernel = readings.change("/proc/interrupts", &line.to_string());
        between.assert_counted(&format!("interrupt line {line}"), by_kernel, |event| {
            event.name() == "irq_handler_entry" && event.field("irq") == line
        });
    }
    let by_kernel = readings.change("/proc/stat", "intr");
    until_reading(all, 0).assert_counted("all interrupts", by_kernel, is_entry);
}

/// `pgfault` counts `handle_mm_fault`, which most page-fault traps reach once and nothing else does but the kernel's own
/// wishes for pages. Each way in which the two differ has a name here.
#[test]
fn page_faults_are_those_that_the_kernel_counts() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let more = ["--events", "core,handle_mm_fault", "--buffer-size", "128"];
    let run = record(KERNEL, "mix", &more);
    let all = events(&run.trace, &[]);
    // Neither one more kind of event nor how large the buffers are changes any other event.
    let others = all.iter().filter(|event| event.name() != "handle_mm_fault");
    assert!(others.eq(&mix().1), "the other events are not the same");
    let readings = Readings::of(&run);
    let between = between_readings(&all);
    let counted = readings.change("/proc/vmstat", "pgfault");
    assert_eq!(count(between, "handle_mm_fault"), counted, "pgfault");

    // A trap lasts until its exit on the same thread; one CPU is enough to tell nesting by order.
    let (mut in_trap, mut handled_in_trap) = (BTreeMap::new(), 0_u64);
    let (mut traps, mut wished, mut refused, mut postponed, mut again) =
        (0_u64, 0_u64, 0_u64, 0_u64, 0_u64);
    let mut owed_pages = BTreeMap::new();
    for event in between {
        let tid = event.number("tid");
        match event.name() {
            "trap_entry" if event.field("vector") == 14 => {
                traps += 1;
                let page = page_of(event);
                if let Some(owed) = owed_pages.remove(&tid) {
                    assert_eq!(page, owed, "the page that {tid} was to fault in next");
                }
                let user = event.json["fields"]["user"] == true;
                in_trap.insert(
                    tid,
                    FaultTrap {
                        page,
                        user,
                        ..FaultTrap::default()
                    },
                );
            }
            "handle_mm_fault" => match in_trap.get_mut(&tid) {
                Some(trap) => {
                    handled_in_trap += 1;
                    trap.handled += 1;
                }
                None => wished += 1,
            },
            "signal_generate" if event.field("sig") == SIGSEGV => {
                if let Some(trap) = in_trap.get_mut(&tid) {
                    trap.signalled = true;
                }
            }
            "trap_exit" if event.field("vector") == 14 => match in_trap.remove(&tid) {
                Some(trap) if trap.handled > 0 => again += trap.handled - 1,
                Some(trap) if trap.user => {
                    assert!(trap.signalled, "{tid} touched {:#x} unpunished", trap.page);
                    refused += 1;
                }
                // The kernel writes a signal's frame with page faults disabled, and brings the page in after a failure.
                Some(trap) => {
                    owed_pages.insert(tid, trap.page);
                    postponed += 1;
                }
                None => {}
            },
            _ => {}
        }
    }
    println!(
        "{traps} traps, {refused} refused, {postponed} postponed, {again} handled again, {wished} by get_user_pages"
    );
    assert_eq!(traps - refused - postponed + again, handled_in_trap);
    assert_eq!(handled_in_trap + wished, counted);
    assert_eq!(owed_pages, BTreeMap::new(), "pages that never came");
    assert!(refused > 0, "mix touches memory that it may not");
}

const SIGSEGV: i64 = 11;

/// What became of one page-fault trap until its exit.
#[derive(Default)]
struct FaultTrap {
    page: u64,
    user: bool,
    handled: u64,
    signalled: bool,
}

/// The page whose access trapped.
fn page_of(trap: &Event) -> u64 {
    trap.field("address").cast_unsigned() & !0xfff
}

#[test]
fn the_same_command_gives_the_same_bytes() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let (first, _) = mix();
    let second = record(KERNEL, "mix", &[]);
    assert_eq!(first.console, second.console);
    assert!(
        std::fs::read(&first.trace).unwrap() == std::fs::read(&second.trace).unwrap(),
        "the traces differ"
    );
}

/// Disk, loopback and two network cards, on four CPUs: what has most chances to differ.
#[test]
fn four_cpus_under_load_are_the_same_again_and_every_stamp_is_exact() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let chosen = "core,block_rq_issue,net_dev_queue";
    let heavy = [
        "--smp",
        "4",
        "--net",
        "hub",
        "--events",
        chosen,
        "--audit-clock",
    ];
    let [first, second] = [(); 2].map(|()| record(KERNEL, "heavy", &heavy));
    assert_eq!(first.status, 0, "{}\n{}", first.complaints, first.console);
    check_clock(&first);
    let all = events(&first.trace, &[]);
    check_order(&all, 4);
    for (name, least) in [
        ("block_rq_issue", 50),
        ("net_dev_queue", 100),
        ("irq_handler_entry", 200),
    ] {
        let seen = count(&all, name);
        assert!(seen >= least, "only {seen} of {name}");
    }
    assert_eq!(first.console, second.console);
    let bytes = |run: &Run| std::fs::read(&run.trace).expect("a trace");
    assert!(bytes(&first) == bytes(&second), "the traces differ");
}

#[test]
fn the_guest_does_not_notice() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let (traced, _) = mix();
    let untraced = record(KERNEL, "mix", &["--no-plugin"]);
    assert_eq!(untraced.status, 0, "{}", untraced.complaints);
    assert_eq!(traced.console, untraced.console);
}

/// Every RDTSC that the guest executed, more than a million in its delay loops, read what was predicted.
fn check_clock(run: &Run) {
    let trace = TraceFile::open(&run.trace).expect("a trace");
    let exactness = &trace.trailer().expect("a whole trace").exactness;
    assert!(exactness.compared > 1_000_000, "{exactness:?}");
    assert_eq!(exactness.exact, exactness.compared, "{exactness:?}");
}

/// Events are in one order over all CPUs: one thread runs them in turns and counts their instructions together, so that
/// no two events, at different instructions, share a tick.
fn check_order(all: &[Event], cpu_count: usize) {
    for pair in all.windows(2) {
        let [before, after] = [&pair[0], &pair[1]];
        let is_later = before.number("tsc") < after.number("tsc");
        assert!(is_later, "{} before {}", before.json, after.json);
    }
    let cpus: BTreeSet<u64> = all.iter().map(|event| event.number("cpu")).collect();
    assert_eq!(cpus.len(), cpu_count);
    // What follows on another CPU is behind it: no thread runs before the one that forks it has done so.
    let mut unborn: BTreeSet<i64> = all
        .iter()
        .filter(|event| event.name() == "sched_process_fork")
        .map(|event| event.field("child_pid"))
        .collect();
    assert!(unborn.len() > 100, "only {} forks", unborn.len());
    for event in all {
        match event.name() {
            "sched_process_fork" => assert!(unborn.remove(&event.field("child_pid"))),
            "sched_switch" => {
                assert!(!unborn.contains(&event.field("next_pid")), "{}", event.json);
            }
            _ => {}
        }
    }
}

#[test]
fn events_keep_their_stamps_whatever_else_is_recorded() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let (_, all) = mix();
    let few = record(
        KERNEL,
        "mix",
        &["--events", "sched_switch", "--audit-clock"],
    );
    check_clock(&few);
    let stamps = |events: &[Event]| -> Vec<(u64, String)> {
        events
            .iter()
            .filter(|event| event.name() == "sched_switch")
            .map(|event| (event.number("tsc"), event.json["fields"].to_string()))
            .collect()
    };
    assert_eq!(stamps(&events(&few.trace, &[])), stamps(all));
}

#[test]
fn two_cpus_are_as_true_as_one() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let every = [
        "--smp",
        "2",
        "--events",
        "core,tracepoint:*:*",
        "--audit-clock",
    ];
    let run = record(KERNEL, "mix", &every);
    assert_eq!(run.status, 0, "{}", run.complaints);
    check_clock(&run);
    let names = "printk,sched_switch,sched_process_fork,sched:sched_switch";
    let all = events(&run.trace, &["--event", names]);
    check_switches_and_forks(&run, &all);
    // Every tracepoint at once, and each where the row of the table is.
    let stamps = |name: &str| -> Vec<u64> {
        let named = all.iter().filter(|event| event.name() == name);
        named.map(|event| event.number("tsc")).collect()
    };
    assert_eq!(stamps("sched_switch"), stamps("sched:sched_switch"));
    let untraced = record(KERNEL, "mix", &["--smp", "2", "--no-plugin"]);
    assert_eq!(run.console, untraced.console);
}

#[test]
fn other_kernels_are_traced_without_a_change() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    for kernel in ["6.12-amd64", "6.1-cloud-amd64"] {
        let run = record(kernel, "mix", &[]);
        assert_eq!(run.status, 0, "{kernel}: {}", run.complaints);
        check_switches_and_forks(&run, &events(&run.trace, &[]));
    }
}
