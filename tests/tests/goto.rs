//! `guesttrace goto`: the machine of a trace stands still at the very instruction of an event, as gdb sees it.

use std::path::Path;
use std::process::{Command, Output};

use guesttrace_tests::{
    Event, Run, events, guest_arguments, guests_wanted, guesttrace, record, skip,
};

const KERNEL: &str = "6.1-amd64";
/// Ticks of the TSC for one instruction.
const TICKS: u64 = 8;
const PROBE: &str = "wake=try_to_wake_up pid=p->pid";

/// What gdb prints of the place: where it is, who runs there, and what an RDTSC in that place gives.
const LOOK: &str = r#"
printf "pc %lx\n", $pc
info symbol $pc
set $current = *(struct task_struct **)($gs_base + (unsigned long)&current_task)
printf "current %d %s\n", $current->pid, $current->comm
printf "argument %d\n", ARGUMENT
set *(unsigned short *)$pc = 0x310f
set scheduler-locking on
stepi
printf "tsc %lu\n", (($rdx & 0xffffffff) << 32) | ($rax & 0xffffffff)
"#;

fn goto(trace: &Path, place: &str, more: &[&str]) -> Output {
    Command::new(guesttrace())
        .arg("goto")
        .arg(trace)
        .arg(place)
        .args(more)
        .output()
        .expect("cargo build --release comes first")
}

/// Goes to a place and has gdb look there; what was printed.
fn look(trace: &Path, place: &str, argument: &str) -> String {
    let dir = tempfile::tempdir().expect("a directory");
    let script = dir.path().join("look.gdb");
    std::fs::write(&script, LOOK.replace("ARGUMENT", argument)).expect("a script");
    let script = script.to_str().expect("a name");
    let output = goto(trace, place, &["--gdb-script", script]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{talk}");
    assert!(said.contains("the same run: "), "{said}{talk}");
    said
}

/// What is behind a word at the beginning of a line.
fn told<'t>(said: &'t str, word: &str) -> &'t str {
    let mut lines = said.lines();
    let found = lines.find_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("no {word} in {said}"))
}

fn number(said: &str, word: &str) -> u64 {
    let text = told(said, word);
    text.parse()
        .unwrap_or_else(|_| panic!("{word} {text} is no number"))
}

/// The number of an event, as `guesttrace goto` takes it, and the event: the one nearest to the middle that fits.
fn middle(events: &[Event], fits: impl Fn(&Event) -> bool) -> (String, &Event) {
    let middle = events.len() / 2;
    let found = events
        .iter()
        .enumerate()
        .skip(middle)
        .find(|(_, event)| fits(event));
    let (index, event) = found.expect("an event of that kind");
    ((index + 1).to_string(), event)
}

/// Holds what gdb saw at an event to what the trace says of it.
fn check_look(run: &Run, place: &str, event: &Event, hook: &str, argument: (&str, i64)) {
    let said = look(&run.trace, place, argument.0);
    assert!(
        said.contains(&format!("CPU {}, ", event.number("cpu"))),
        "{said}"
    );
    assert!(said.contains(&format!("before event {place}: ")), "{said}");
    // The instruction, its symbol at the kernel's new place, the thread, the event's field, and the time.
    assert!(said.contains(&format!("\n{hook} ")), "{hook}: {said}");
    let thread = format!("{} {}", event.number("tid"), event.comm());
    assert_eq!(told(&said, "current"), thread, "{said}");
    assert_eq!(told(&said, "argument"), argument.1.to_string(), "{said}");
    assert_eq!(number(&said, "tsc"), event.number("tsc"), "{said}");
}

#[test]
fn a_lost_wake_up_is_found_and_looked_at() {
    if !guests_wanted() {
        skip!("boots guests; set GUESTTRACE_E2E=1");
    }
    let run = record(KERNEL, "race", &["--smp", "2", "--probe", PROBE]);
    assert_eq!(run.status, 0, "{}", run.complaints);
    assert!(run.console.contains(" 1 wake-ups lost"), "{}", run.console);
    let all = events(&run.trace, &[]);

    // Where the consumer goes to sleep for as long as it has patience, there is an item for it.
    let is_futex = |event: &Event| event.text("name") == "futex" && event.comm() == "consumer";
    let lost = all
        .iter()
        .position(|event| {
            is_futex(event) && event.name() == "syscall_exit" && event.field("ret") == -110
        })
        .expect("a wait that took too long");
    let asleep = all[..lost]
        .iter()
        .rposition(|event| is_futex(event) && event.name() == "syscall_entry")
        .expect("the call before it");
    let event = &all[asleep];
    let queue = "*(unsigned *)(((struct pt_regs *)$rdi)->di - 12) \
                 - *(unsigned *)(((struct pt_regs *)$rdi)->di - 8)";
    let place = (asleep + 1).to_string();
    check_look(&run, &place, event, "do_syscall_64 in section", (queue, 1));

    // A thread that is woken, on the other CPU.
    let (place, event) = middle(&all, |event| {
        event.name() == "wake" && event.number("cpu") == 1
    });
    let field = ("((struct task_struct *)$rdi)->pid", event.field("pid"));
    check_look(&run, &place, event, "try_to_wake_up in section", field);

    check_between_events(&run, event);
    check_finer(&run, &all, event);
}

/// Between two events it is the first instruction that is not earlier.
fn check_between_events(run: &Run, event: &Event) {
    let time = event.number("time_ns") - 500;
    let said = look(&run.trace, &format!("{time}ns"), "0");
    let origin = event.number("tsc") - event.number("time_ns");
    let expected = (origin + time).next_multiple_of(TICKS);
    assert_eq!(number(&said, "tsc"), expected, "{said}");
}

/// All that is recorded from an event on has the stamps that the coarser trace has.
fn check_finer(run: &Run, all: &[Event], event: &Event) {
    let dir = tempfile::tempdir().expect("a directory");
    let fine = dir.path().join("fine.bin");
    let start = event.number("time_ns");
    let more = [
        "--record",
        fine.to_str().expect("a name"),
        "--events",
        "all",
        "--duration",
        "5ms",
    ];
    let output = goto(&run.trace, &format!("{start}ns"), &more);
    let said = String::from_utf8_lossy(&output.stdout);
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{talk}");
    let fine = events(&fine, &[]);
    let last = fine.last().expect("events").number("time_ns");
    let is_common = |event: &&Event| (start..=last).contains(&event.number("time_ns"));
    let common = all.iter().filter(is_common).count();
    assert!(
        common > 20 && fine.len() > common,
        "{common} of {}",
        fine.len()
    );
    let expected = format!("{common} events are in both traces");
    assert_eq!(told(&said, "the same run:"), expected);
}

#[test]
fn a_kernel_that_moved_has_its_symbols_where_it_is() {
    if !guests_wanted() {
        skip!("boots guests; set GUESTTRACE_E2E=1");
    }
    let run = record(
        KERNEL,
        "boot",
        &["--boot", "bzimage", "--events", "sched", "--probe", PROBE],
    );
    assert_eq!(run.status, 0, "{}", run.complaints);
    let all = events(&run.trace, &[]);
    let (place, event) = middle(&all, |event| event.name() == "wake");
    let field = ("((struct task_struct *)$rdi)->pid", event.field("pid"));
    check_look(&run, &place, event, "try_to_wake_up in section", field);
    let said = goto(&run.trace, "1000000000", &[]);
    assert_eq!(said.status.code(), Some(2), "{said:?}");
}

#[test]
fn what_cannot_be_repeated_is_refused_in_a_sentence() {
    if !guests_wanted() {
        skip!("boots a guest; set GUESTTRACE_E2E=1");
    }
    let run = record(
        KERNEL,
        "boot",
        &["--clock", "wall", "--on", "sched_process_fork", "quit"],
    );
    let output = goto(&run.trace, "1", &[]);
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("not reproducible (clock: time is the host's)"),
        "{said}"
    );

    // Another file than the one it was recorded with, and nobody who knows how it was recorded.
    let run = record(KERNEL, "boot", &["--on", "sched_process_fork", "quit"]);
    let mut words = guest_arguments(KERNEL, "boot").unwrap();
    let initrd = words.iter().position(|word| word == "--initrd").unwrap() + 1;
    let dir = tempfile::tempdir().unwrap();
    let changed = dir.path().join("initrd.cpio");
    let mut bytes = std::fs::read(&words[initrd]).unwrap();
    bytes.extend([0; 512]);
    std::fs::write(&changed, bytes).unwrap();
    words[initrd] = changed.to_str().unwrap().to_owned();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let output = goto(&run.trace, "1", &[&["--"], &words[..]].concat());
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.starts_with("error: the initrd is no longer that of the trace\n"),
        "{said}"
    );
    let output = Command::new(guesttrace())
        .env("XDG_CACHE_HOME", dir.path())
        .arg("goto")
        .arg(&run.trace)
        .arg("1")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.starts_with("error: it is not known here how"),
        "{said}"
    );
}
