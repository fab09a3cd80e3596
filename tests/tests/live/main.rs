//! Recordings that somebody reads while they go on, here or elsewhere: the same events in the same order, and an honest end.

mod crash;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use guesttrace_tests::{Cage, End, guest_arguments, guests_wanted, guesttrace, skip};

const KERNEL: &str = "6.1-amd64";
/// The second trace where nobody takes it elsewhere.
const SECOND: &str = "out/second.bin";
/// Much longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);
/// Bytes of a trace at which the guest is in the middle of its boot.
const MIDDLE_BYTES: u64 = 30_000;

/// Ends the test when guests are not wanted.
macro_rules! guests_or_skip {
    () => {
        if !guests_wanted() {
            skip!("GUESTTRACE_E2E is not set");
        }
    };
}

/// `guesttrace record` of workload `boot` in a guest with two CPUs that lives in its initial ramdisk; two traces of the
/// same events.
fn record(cage: &Cage, trace: &str, second: &str) -> Command {
    let arguments = guest_arguments(KERNEL, "boot").expect("kernel and image are built");
    let mut command = cage.program("record");
    let mut arguments = arguments.into_iter();
    while let (Some(option), Some(value)) = (arguments.next(), arguments.next()) {
        if option != "--rootfs" {
            command.arg(option).arg(value);
        }
    }
    command.args(["--quiet", "--smp", "2", "--trace", trace]);
    command.args(["--session", &format!("trace={second}")]);
    command
}

/// Starts a verb with its outputs piped.
fn start(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the program is built")
}

/// Starts `guesttrace events --follow`.
fn follow(trace: &Path, input: Stdio) -> Child {
    let mut command = Command::new(guesttrace());
    command.args(["events", "--follow", "--format", "csv"]);
    start(command.arg(trace).stdin(input))
}

/// Starts `guesttrace collect`, and waits until it listens.
fn collect(cage: &Cage, output: &str) -> Child {
    let socket = cage.path("collector");
    let mut command = cage.program("collect");
    command.arg(format!("unix:{}", socket.display()));
    let collector = start(command.args(["-o", output]));
    wait_until("the collector listens", || socket.exists());
    collector
}

fn end_of(child: Child) -> End {
    let end = End::of(&child.wait_with_output().expect("it was started"));
    end.assert_no_panic();
    end
}

/// Runs a verb on a trace.
fn read(arguments: &[&str], trace: &Path) -> End {
    let mut command = Command::new(guesttrace());
    command.args(arguments).arg(trace);
    End::of(&command.output().expect("the program is built"))
}

/// What `guesttrace events` shows of a trace.
fn events(trace: &Path) -> End {
    read(&["events", "--format", "csv"], trace)
}

/// Waits until something holds.
#[track_caller]
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

fn wait_for_middle(file: &Path) {
    wait_until("a part is recorded", || {
        fs::metadata(file).is_ok_and(|data| data.len() > MIDDLE_BYTES)
    });
}

/// A recording into a file, and what a follower showed of it.
fn whole() -> &'static (Cage, End) {
    static WHOLE: OnceLock<(Cage, End)> = OnceLock::new();
    WHOLE.get_or_init(|| {
        let cage = Cage::new();
        let follower = follow(&cage.trace(), Stdio::null());
        let end = cage.run(&mut record(&cage, "out/trace.bin", SECOND));
        assert_eq!(end.status, 0, "{}", end.talk);
        (cage, end_of(follower))
    })
}

#[test]
fn what_is_followed_is_what_was_recorded() {
    guests_or_skip!();
    let (cage, followed) = whole();
    let shown = events(&cage.trace());
    assert_eq!((shown.status, followed.status), (0, 0), "{}", followed.talk);
    assert!(shown.out.lines().count() > 10_000);
    assert!(
        followed.out == shown.out,
        "other events, or in another order"
    );
}

#[test]
fn a_collector_writes_the_file_and_a_pipe_carries_the_same_events() {
    guests_or_skip!();
    let cage = Cage::new();
    let collector = collect(&cage, "out/collected.bin");
    let address = format!("unix:{}", cage.path("collector").display());
    let mut recording = start(&mut record(&cage, &address, "-"));
    let piped = recording.stdout.take().expect("it is piped");
    let followed = end_of(follow(Path::new("-"), piped.into()));
    let end = end_of(recording);
    assert_eq!(end.status, 0, "{}", end.talk);
    // Standard output was the trace's, so that the guest's console went where talk goes.
    assert!(end.talk.contains("Linux version 6.1."), "{}", end.talk);
    let collected = end_of(collector);
    assert_eq!(collected.status, 0, "{}", collected.talk);
    assert_eq!(cage.outputs(), ["collected.bin"]);
    cage.assert_tidy();
    let bytes = |path: &Path| fs::read(path).expect("a trace");
    let (whole, _) = whole();
    assert!(bytes(&cage.path("out/collected.bin")) == bytes(&whole.trace()));
    let shown = events(&whole.trace());
    assert_eq!(followed.status, 0, "{}", followed.talk);
    assert!(followed.out == shown.out, "the pipe carried other events");
}

#[test]
fn the_events_do_not_depend_on_how_they_are_written() {
    guests_or_skip!();
    let cage = Cage::new();
    let follower = follow(&cage.trace(), Stdio::null());
    let mut command = record(&cage, "out/trace.bin", SECOND);
    command.args(["--buffer-size", "128", "--flush-interval", "20"]);
    let end = cage.run(command.args(["--compression", "1", "--max-file-size", "0.05"]));
    assert_eq!(end.status, 0, "{}", end.talk);
    let (whole, _) = whole();
    let followed = end_of(follower);
    assert_eq!(followed.status, 0, "{}", followed.talk);
    assert!(cage.outputs().len() > 2, "{:?}", cage.outputs());
    assert!(followed.out == events(&whole.trace()).out, "other events");
    let differences = read(&["diff", &whole.trace().to_string_lossy()], &cage.trace());
    assert_eq!(differences.status, 0, "{}", differences.out);
    assert!(
        differences.out.starts_with("identical: "),
        "{}",
        differences.out
    );
    let chunks = |trace: &Path| {
        let file = trace_format::TraceFile::open(trace).expect("a trace");
        let rule = file.header().chunks.expect("the header says it");
        (file.chunks().len(), rule)
    };
    let ((many, fine), (few, coarse)) = (chunks(&cage.trace()), chunks(&whole.trace()));
    assert!(many > 2 * few, "{many} chunks against {few}");
    assert_eq!(
        (coarse.flush_interval_ms, fine.flush_interval_ms),
        (500, 20)
    );
    assert_eq!((coarse.buffer_kib, fine.buffer_kib), (1024, 128));
}

#[test]
fn whoever_reads_is_told_of_a_recording_that_was_killed() {
    guests_or_skip!();
    let cage = Cage::new();
    let collector = collect(&cage, "out/collected.bin");
    let follower = follow(&cage.trace(), Stdio::null());
    let second = format!("unix:{}", cage.path("collector").display());
    let recording = start(&mut record(&cage, "out/trace.bin", &second));
    let partial = cage.path("out/collected.bin.partial");
    wait_for_middle(&partial);
    for pid in cage.emulators() {
        kill(pid);
    }
    let end = end_of(recording);
    end.assert_error(3, "QEMU was ended by signal 9", "out-of-memory killer");
    cage.assert_tidy();
    let collected = end_of(collector);
    let message = "the connection ended before the recording did";
    collected.assert_error(3, message, "collected.bin.partial");
    let followed = end_of(follower);
    assert_eq!(followed.status, 3);
    for talk in [&followed.talk, &events(&partial).talk] {
        assert!(talk.contains("The recording has no end"), "{talk}");
    }
    // Whoever followed has seen what is in the file, all of it.
    let shown = events(&cage.path("out/trace.bin.partial"));
    assert!(shown.out.lines().count() > 1000);
    assert!(followed.out == shown.out, "other events than in the file");
    // A growing or cut file is described and analysed as far as it goes.
    for verb in [&["info"][..], &["report", "summary"]] {
        let end = read(verb, &partial);
        assert_eq!(end.status, 3, "{}", end.talk);
        assert!(end.out.lines().count() > 10, "{}", end.out);
    }
}

#[test]
fn a_recording_whose_reader_goes_away_ends_and_says_so() {
    guests_or_skip!();
    let cage = Cage::new();
    let mut collector = collect(&cage, "out/collected.bin");
    let address = format!("unix:{}", cage.path("collector").display());
    let recording = start(&mut record(&cage, &address, SECOND));
    wait_for_middle(&cage.path("out/collected.bin.partial"));
    collector.kill().expect("it runs");
    collector.wait().expect("it was started");
    let end = end_of(recording);
    let message = format!("whoever read the trace from {address} went away before its end");
    end.assert_error(3, &message, "can be used");
    cage.assert_tidy();
    // Nobody listens any more.
    let end = cage.run(&mut record(&cage, &address, SECOND));
    let message = format!("cannot connect to {address}");
    end.assert_error(2, &message, "guesttrace collect");
}

fn kill(pid: u32) {
    let status = Command::new("kill").args(["-9", &pid.to_string()]).status();
    assert!(status.expect("there is a kill").success());
}
