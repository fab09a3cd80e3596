//! `guesttrace goto`: the machine of a trace stands still at the very instruction of an event, as gdb sees it.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use guest_images::find_program;
use guesttrace_tests::{
    Cage, End, Event, Run, events, guest_arguments, guests_wanted, guesttrace, record, skip,
};

const KERNEL: &str = "6.1-amd64";
/// Longest that a machine takes to be where it is to be.
const PATIENCE: Duration = Duration::from_secs(300);
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
        said.starts_with(&format!(
            "error: the initrd {} is no longer that of the trace: its content has another digest\n",
            changed.display()
        )),
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

#[test]
fn what_is_not_there_is_said_in_a_sentence() {
    if !guests_wanted() {
        skip!("boots a guest; set GUESTTRACE_E2E=1");
    }
    let run = record(KERNEL, "boot", &["--on", "sched_process_fork", "quit"]);
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("short.bin");
    std::fs::copy(&run.trace, &trace).unwrap();
    let check = |place: &str, more: &[&str], status: i32, parts: &[&str]| {
        let mut command = Command::new(guesttrace());
        command.current_dir(&dir).args(["goto", "short.bin", place]);
        let end = End::of(&command.args(more).output().unwrap());
        assert_eq!(end.status, status, "{place} {more:?}: {}", end.talk);
        for part in parts {
            assert!(
                end.talk.contains(part),
                "{place} {more:?}: no {part:?} in {}",
                end.talk
            );
        }
        end.assert_no_panic();
    };
    let count = events(&trace, &[]).len();
    let no_event =
        format!("error: short.bin has no event 100000: it has {count}, and the first is event 1\n");
    check("100000", &[], 2, &[&no_event]);
    check("0", &[], 2, &["has no event 0: "]);
    check(
        "100s",
        &[],
        2,
        &["error: short.bin ends at 1.", "s, before 100s\n"],
    );
    check(
        "panic",
        &[],
        2,
        &["error: short.bin has no event that is panic\n"],
    );
    let hint = "hint: `guesttrace info` lists";
    let of_name = |name: &str, parts: &[&str]| check(name, &[], 2, parts);
    of_name(
        "nosuch",
        &["error: the trace has no event \"nosuch\"\n", hint],
    );
    of_name("sched_swich", &["; did you mean \"sched_switch\"?\n", hint]);
    check("pid ==", &[], 2, &["error: EVENT cannot be understood"]);
    check("1", &["--events", "sched"], 2, &["--record <FILE>"]);
    check(
        "1",
        &["--gdb-script", "nosuch.gdb"],
        3,
        &["error: cannot read "],
    );

    // The trace that the run is held to is not written over.
    let before = std::fs::read(&trace).unwrap();
    check(
        "1",
        &["--record", "short.bin"],
        2,
        &["short.bin, the trace itself\n"],
    );
    assert_eq!(std::fs::read(&trace).unwrap(), before);

    let words = guest_arguments(KERNEL, "boot").unwrap();
    let mut other = vec!["--", "--smp", "2", "--append", "word"];
    other.extend(words.iter().map(String::as_str));
    let told = "error: the machine is not that of the trace, which had -smp 1 and not -smp 2 -append word\n";
    check("1", &other, 3, &[told]);

    // No gdb in the path, where QEMU is named besides.
    let qemu = find_program("qemu-system-x86_64").unwrap();
    let mut command = Command::new(guesttrace());
    command
        .args(["goto", "short.bin", "1", "--gdb"])
        .current_dir(&dir);
    command
        .env("PATH", "/nonexistent")
        .env("GUESTTRACE_QEMU", qemu);
    let end = End::of(&command.output().unwrap());
    end.assert_error(3, "cannot run gdb", "install gdb, or leave out --gdb");

    let run = record(
        KERNEL,
        "boot",
        &["--mode", "discard", "--on", "sched_process_fork", "quit"],
    );
    let end = End::of(&goto(&run.trace, "1", &[]));
    end.assert_error(
        3,
        "not reproducible (mode: what is discarded",
        "--require-reproducible",
    );
}

/// A program at a terminal of its own, to type at.
struct Terminal {
    child: Child,
    shown: Arc<Mutex<String>>,
}

impl Terminal {
    fn start(cage: &Cage, line: &str) -> Self {
        let mut command = Command::new("script");
        command.args(["-qefc", line, "/dev/null"]);
        command
            .current_dir(cage.path(""))
            .env("TMPDIR", cage.path("tmp"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("util-linux");
        let mut out = child.stdout.take().expect("it is piped");
        let shown = Arc::new(Mutex::new(String::new()));
        let sink = Arc::clone(&shown);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = out.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..count]);
                sink.lock()
                    .expect("no thread panics with it")
                    .push_str(&text);
            }
        });
        Self { child, shown }
    }

    fn shown(&self) -> String {
        self.shown.lock().expect("no thread panics with it").clone()
    }

    /// Waits until a text is shown, and forgets what was shown so far.
    fn wait_for(&mut self, text: &str) -> String {
        let begun = Instant::now();
        while !self.shown().contains(text) {
            let is_over = self.child.try_wait().expect("a child").is_some();
            assert!(
                !is_over && begun.elapsed() < PATIENCE,
                "no {text:?} in {}",
                self.shown()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        std::mem::take(&mut *self.shown.lock().expect("no thread panics with it"))
    }

    fn type_in(&mut self, keys: &str) {
        let stdin = self.child.stdin.as_mut().expect("it is piped");
        stdin.write_all(keys.as_bytes()).expect("it reads");
    }

    /// Exit status of the program.
    fn end(mut self) -> Option<i32> {
        self.child.wait().expect("a child").code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A test that fails leaves nobody at the terminal; both do nothing when the program has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn at_a_terminal_ctrl_c_and_quit_leave_nothing_behind() {
    if !guests_wanted() {
        skip!("boots guests; set GUESTTRACE_E2E=1");
    }
    let run = record(KERNEL, "boot", &["--events", "sched"]);
    let trace = run.trace.display();
    // A shell that stayed in between would take Ctrl-C for its own.
    let line = |more: &str| format!("exec {} goto {trace} 100 {more}", guesttrace().display());

    let cage = Cage::new();
    let mut gdb = Terminal::start(&cage, &line("--gdb"));
    gdb.wait_for("(gdb) ");
    gdb.type_in("bt\n");
    let shown = gdb.wait_for("(gdb) ");
    let is_in_kernel = shown.contains("#0  ") && shown.contains("0xffffffff8");
    assert!(is_in_kernel, "{shown}");
    // Ctrl-C is gdb's: it stops the guest that goes on.
    gdb.type_in("continue\n");
    gdb.wait_for("Continuing.");
    gdb.type_in("\x03");
    gdb.wait_for("SIGINT");
    assert!(!cage.emulators().is_empty());
    gdb.type_in("quit\n");
    gdb.wait_for("y or n");
    gdb.type_in("y\n");
    assert_eq!(gdb.end(), Some(0));
    cage.assert_tidy();

    let mut gdb = Terminal::start(&cage, &line("--gdb"));
    gdb.wait_for("(gdb) ");
    gdb.type_in("detach\n");
    gdb.wait_for("detached");
    gdb.type_in("quit\n");
    assert_eq!(gdb.end(), Some(0));
    cage.assert_tidy();

    let mut alone = Terminal::start(&cage, &line(""));
    alone.wait_for("the machine waits; Ctrl-C ends it");
    assert!(!cage.emulators().is_empty());
    alone.type_in("\x03");
    alone.end();
    cage.assert_tidy();
}
