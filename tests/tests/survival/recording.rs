//! One small recording, and what must hold of every part of it.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use guesttrace_tests::{Cage, End, guest_arguments, guesttrace};

pub(crate) const KERNEL: &str = "6.1-amd64";
/// Reads all events; without the names of addresses, which the end of a trace holds.
pub(crate) const EVENTS: [&str; 3] = ["events", "--format", "csv"];
/// Much longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);
/// Bytes of a partial trace at which the guest is in the middle of its boot.
const MIDDLE_BYTES: u64 = 30_000;

/// `guesttrace record` of a guest that lives in its initial ramdisk, and runs workload `boot` if nothing else is said.
pub(crate) fn record(cage: &Cage, append: &str) -> Command {
    let arguments = guest_arguments(KERNEL, "boot").expect("kernel and image are built");
    let mut command = cage.record();
    let mut arguments = arguments.into_iter();
    while let (Some(option), Some(value)) = (arguments.next(), arguments.next()) {
        if option != "--rootfs" {
            command.arg(option).arg(value);
        }
    }
    command.arg("--append").arg(append);
    command
}

/// Runs a verb on a trace.
pub(crate) fn read(arguments: &[&str], trace: &Path) -> End {
    let mut command = Command::new(guesttrace());
    command.arg(arguments[0]).args(&arguments[1..]).arg(trace);
    let end = End::of(&command.output().expect("the program is built"));
    end.assert_no_panic();
    end
}

/// The whole recording that others are parts of.
pub(crate) fn whole() -> &'static (Cage, String) {
    static WHOLE: OnceLock<(Cage, String)> = OnceLock::new();
    WHOLE.get_or_init(|| {
        let cage = Cage::new();
        let end = cage.run(&mut record(&cage, ""));
        assert_eq!(end.status, 0, "{}", end.talk);
        assert_eq!(cage.outputs(), ["trace.bin"]);
        let events = read(&EVENTS, &cage.trace());
        assert_eq!(events.status, 0, "{}", events.talk);
        (cage, events.out)
    })
}

/// Asserts that a trace holds a beginning of the whole one, and not next to nothing of it.
#[track_caller]
pub(crate) fn assert_beginning(events: &str) {
    let (_, all) = whole();
    assert!(all.starts_with(events), "the events are others");
    let (part, all) = (events.lines().count(), all.lines().count());
    assert!(part > 1000, "only {part} of {all} events");
    assert!(part < all, "all {all} events were recorded before the end");
}

#[track_caller]
pub(crate) fn assert_complete(cage: &Cage) -> String {
    assert_eq!(cage.outputs(), ["trace.bin"]);
    let verified = read(&["verify"], &cage.trace());
    assert_eq!(verified.status, 0, "{}{}", verified.out, verified.talk);
    let events = read(&EVENTS, &cage.trace());
    assert_eq!(events.status, 0, "{}", events.talk);
    events.out
}

#[track_caller]
pub(crate) fn assert_partial(cage: &Cage) -> String {
    assert_eq!(cage.outputs(), ["trace.bin.partial"]);
    let partial = cage.path("out/trace.bin.partial");
    for verb in ["info", "verify"] {
        let end = read(&[verb], &partial);
        assert_eq!(end.status, 3, "{verb}: {}{}", end.out, end.talk);
    }
    let events = read(&EVENTS, &partial);
    assert!(
        events.talk.contains("The recording has no end"),
        "{}",
        events.talk
    );
    events.out
}

/// Waits until something holds.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Starts a recording and waits until the guest is in the middle of its boot.
pub(crate) fn start(cage: &Cage) -> Child {
    let mut command = record(cage, "");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    // The terminal's Ctrl-C goes to a process group.
    let child = command
        .process_group(0)
        .spawn()
        .expect("the program is built");
    let partial = cage.path("out/trace.bin.partial");
    wait_until("a part is recorded", || {
        fs::metadata(&partial).is_ok_and(|data| data.len() > MIDDLE_BYTES)
    });
    child
}

pub(crate) fn signal(signal: &str, target: &str) {
    let status = Command::new("sh")
        .args(["-c", "kill -s \"$1\" -- \"$2\"", "sh", signal, target])
        .status();
    let status = status.expect("there is a shell");
    assert!(status.success(), "kill -s {signal} {target}");
}
