//! System calls and signals of a trace, against what `strace -f` in the guest saw of the same programs.

use std::collections::{BTreeMap, BTreeSet};

use guesttrace_tests::{Event, Run, StracedCall, events, guests_wanted, record, skip, strace};

/// Numbers of 32 bits, signed or not.
const NARROW: std::ops::Range<i64> = -0x8000_0000..0x1_0000_0000;

/// A system call in the trace: its entry, and its exit when there is one.
struct TracedCall<'a> {
    entry: &'a Event,
    exit: Option<&'a Event>,
}

/// How much was compared.
#[derive(Debug, Default)]
struct Agreement {
    threads: usize,
    calls: usize,
    compat_calls: usize,
    results: usize,
    errors: usize,
    numbers: usize,
    /// Of those, numbers that strace prints as the 32-bit ones which the kernel takes them for.
    narrow_numbers: usize,
    /// Arguments that strace decodes, such as strings and structures.
    decoded: usize,
    signals: usize,
}

/// Events of each thread.
fn by_thread(all: &[Event]) -> BTreeMap<u64, Vec<&Event>> {
    let mut threads: BTreeMap<u64, Vec<&Event>> = BTreeMap::new();
    for event in all {
        threads.entry(event.number("tid")).or_default().push(event);
    }
    threads
}

/// Events of a thread that strace saw: a new thread from its first, and the program under strace from the `execve` by which
/// strace itself starts it; strace does not tell of what it did before in that process.
fn seen_by_strace<'a>(events: &'a [&'a Event], is_first: bool) -> &'a [&'a Event] {
    if !is_first {
        return events;
    }
    let start = events
        .iter()
        .position(|event| event.name() == "syscall_entry" && event.text("name") == "execve");
    &events[start.expect("strace starts its program")..]
}

/// System calls of a thread. A thread that is new leaves its parent's call first, with result 0.
fn traced_calls<'a>(events: &[&'a Event], tid: u64) -> Vec<TracedCall<'a>> {
    let mut calls: Vec<TracedCall<'_>> = Vec::new();
    for event in events {
        match (event.name(), calls.last_mut()) {
            ("syscall_entry" | "compat_syscall_entry", _) => calls.push(TracedCall {
                entry: event,
                exit: None,
            }),
            ("syscall_exit" | "compat_syscall_exit", Some(call)) => {
                assert!(call.exit.is_none(), "{tid} leaves a call twice: {event:?}");
                call.exit = Some(event);
            }
            ("syscall_exit", None) => {
                let call = event.text("name");
                assert!(["clone", "clone3", "vfork"].contains(&call), "{event:?}");
                assert_eq!(event.field("ret"), 0, "{event:?}");
            }
            _ => {}
        }
    }
    calls
}

impl Agreement {
    fn compare_call(&mut self, told: &StracedCall, traced: &TracedCall<'_>) {
        let context = format!(
            "strace: {} {}\ntrace: {:?}",
            told.tid, told.text, traced.entry
        );
        let is_compat = traced.entry.name() == "compat_syscall_entry";
        assert_eq!(told.is_compat, is_compat, "{context}");
        assert_eq!(told.name, traced_name(traced.entry), "{context}");
        for (position, number) in &told.numbers {
            let argument = traced.entry.field(&format!("arg{position}"));
            // strace prints an `int` as such, whatever the upper half of the register holds.
            let is_narrow = NARROW.contains(number) && (argument ^ number) & 0xffff_ffff == 0;
            self.narrow_numbers += usize::from(argument != *number);
            assert!(
                argument == *number || is_narrow,
                "argument {position}: {context}"
            );
        }
        self.calls += 1;
        self.compat_calls += usize::from(is_compat);
        self.numbers += told.numbers.len();
        self.decoded += told.argument_count - told.numbers.len();
        self.compare_result(told, traced, &context);
    }

    fn compare_result(&mut self, told: &StracedCall, traced: &TracedCall<'_>, context: &str) {
        let Some(result) = told.result else {
            // A thread that is killed leaves its call unseen by strace; one that exits does not leave it.
            let ends = ["exit", "exit_group"].contains(&told.name.as_str());
            assert_eq!(traced.exit.is_none(), ends, "{context}");
            return;
        };
        let exit = traced.exit.unwrap_or_else(|| panic!("no exit: {context}"));
        assert_eq!(result, exit.field("ret"), "result: {context}\n{exit:?}");
        if told.name == "rt_sigreturn" {
            // The kernel forgets the number, so that what the signal interrupted is not begun again once more.
            assert_eq!(exit.field("nr"), -1, "{exit:?}");
        } else {
            assert_eq!(told.name, traced_name(exit), "{context}\n{exit:?}");
        }
        self.results += 1;
        self.errors += usize::from(result < 0);
    }
}

/// Name of the call, the way in which strace writes one that has none.
fn traced_name(event: &Event) -> String {
    let name = event.text("name");
    if name.is_empty() {
        return format!("syscall_{:#x}", event.field("nr"));
    }
    name.to_owned()
}

fn compare(run: &Run) -> Agreement {
    assert_eq!(run.status, 0, "{}\n{}", run.complaints, run.console);
    let told = strace(&run.console);
    let all = events(&run.trace, &["--event", "*syscall_*,signal_deliver"]);
    let threads = by_thread(&all);
    let first = told.calls.first().expect("strace printed calls").tid;
    let told_threads: BTreeSet<u64> = told.calls.iter().map(|call| call.tid).collect();
    let mut agreement = Agreement::default();
    for tid in told_threads {
        let seen = seen_by_strace(&threads[&tid], tid == first);
        let traced = traced_calls(seen, tid);
        let of_thread: Vec<_> = told.calls.iter().filter(|call| call.tid == tid).collect();
        for (told, traced) in of_thread.iter().zip(&traced) {
            agreement.compare_call(told, traced);
        }
        assert_eq!(of_thread.len(), traced.len(), "calls of thread {tid}");

        let signals = told.signals.iter().filter(|(thread, _)| *thread == tid);
        let told_signals: Vec<i64> = signals.map(|(_, number)| *number).collect();
        // A tracer is not asked about SIGKILL, and not told.
        let traced_signals: Vec<i64> = seen
            .iter()
            .filter(|event| event.name() == "signal_deliver")
            .map(|event| event.field("sig"))
            .filter(|number| *number != 9)
            .collect();
        assert_eq!(told_signals, traced_signals, "signals of thread {tid}");
        agreement.threads += 1;
        agreement.signals += told_signals.len();
    }
    assert_eq!(agreement.calls, told.calls.len());
    agreement
}

#[test]
fn calls_results_and_signals_are_those_that_strace_sees() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    for (kernel, cpus) in [("6.1-amd64", "1"), ("6.12-amd64", "2")] {
        let agreement = compare(&record(kernel, "strace", &["--smp", cpus]));
        println!("{kernel}, {cpus} CPUs: {agreement:?}");
        assert!(agreement.calls > 500 && agreement.threads > 15);
        assert!(agreement.compat_calls >= 6 && agreement.errors > 20 && agreement.signals > 20);
        assert!(agreement.numbers > agreement.calls);
    }
}
