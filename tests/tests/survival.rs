//! What goes wrong while a guest runs: the status says so, what was recorded can be read, nothing stays behind.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use guest_symbols::Kernel;
use guesttrace_tests::{Cage, End, guest_arguments, guests_wanted, guesttrace, kernel, skip};

const KERNEL: &str = "6.1-amd64";
/// Reads all events; without the names of addresses, which the end of a trace holds.
const EVENTS: [&str; 3] = ["events", "--format", "csv"];
/// Much longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);
/// A guest that never ends of its own.
const HANG: &str = r#"rdinit=/bin/sh -- -c "while :; do :; done""#;
/// Bytes of a partial trace at which the guest is in the middle of its boot.
const MIDDLE_BYTES: u64 = 30_000;

/// Ends the test when guests are not wanted.
macro_rules! guests_or_skip {
    () => {
        if !guests_wanted() {
            skip!("GUESTTRACE_E2E is not set");
        }
    };
}

/// `guesttrace record` of a guest that lives in its initial ramdisk, and runs workload `boot` if nothing else is said.
fn record(cage: &Cage, append: &str) -> Command {
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
fn read(arguments: &[&str], trace: &Path) -> End {
    let mut command = Command::new(guesttrace());
    command.arg(arguments[0]).args(&arguments[1..]).arg(trace);
    let end = End::of(&command.output().expect("the program is built"));
    end.assert_no_panic();
    end
}

/// The whole recording that others are parts of.
fn whole() -> &'static (Cage, String) {
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
fn assert_beginning(events: &str) {
    let (_, all) = whole();
    assert!(all.starts_with(events), "the events are others");
    let (part, all) = (events.lines().count(), all.lines().count());
    assert!(part > 1000, "only {part} of {all} events");
    assert!(part < all, "all {all} events were recorded before the end");
}

#[track_caller]
fn assert_complete(cage: &Cage) -> String {
    assert_eq!(cage.outputs(), ["trace.bin"]);
    let verified = read(&["verify"], &cage.trace());
    assert_eq!(verified.status, 0, "{}{}", verified.out, verified.talk);
    let events = read(&EVENTS, &cage.trace());
    assert_eq!(events.status, 0, "{}", events.talk);
    events.out
}

#[track_caller]
fn assert_partial(cage: &Cage) -> String {
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
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Starts a recording and waits until the guest is in the middle of its boot.
fn start(cage: &Cage) -> Child {
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

fn signal(signal: &str, target: &str) {
    let status = Command::new("sh")
        .args(["-c", "kill -s \"$1\" -- \"$2\"", "sh", signal, target])
        .status();
    let status = status.expect("there is a shell");
    assert!(status.success(), "kill -s {signal} {target}");
}

#[test]
fn a_guest_that_hangs_is_ended_and_its_trace_completed() {
    guests_or_skip!();
    let cage = Cage::new();
    let end = cage.run(record(&cage, HANG).args(["--timeout", "10"]));
    let message = "the guest still ran after 10 s and was ended";
    end.assert_error(4, message, "a longer --timeout");
    assert!(assert_complete(&cage).lines().count() > 1000);
}

#[test]
fn a_guest_that_never_runs_is_ended_and_nothing_is_left() {
    guests_or_skip!();
    let cage = Cage::new();
    let end = cage.run(record(&cage, "").args(["--timeout", "2", "--", "-S"]));
    let message = "the guest still ran after 2 s and was ended";
    end.assert_error(4, message, "a longer --timeout");
    assert_eq!(cage.outputs(), Vec::<String>::new());
}

/// Runs a guest that fails, of which the trace is complete.
#[track_caller]
fn check_failed_guest(append: &str, options: &[&str], message: &str, hint: &str) {
    let cage = Cage::new();
    let end = cage.run(record(&cage, append).args(options));
    end.assert_error(1, message, hint);
    assert!(assert_complete(&cage).lines().count() > 1000);
}

#[test]
fn a_panic_is_named() {
    guests_or_skip!();
    let message = "Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000000";
    let hint = "the trace shows what led there";
    check_failed_guest("rdinit=/bin/true", &[], message, hint);
    let cage = Cage::new();
    let end = cage.run(record(&cage, "rdinit=/bin/true").args(["--mode", "overwrite"]));
    end.assert_error(1, message, hint);
    // Both the terminal and the trace have what the kernel said last.
    let log = read(&["events", "--event", "printk"], &cage.trace());
    for line in ["RIP: 0033:", "Kernel Offset: disabled"] {
        assert!(end.talk.contains(line), "{}", end.talk);
        assert!(log.out.contains(line), "{}", log.out);
    }
    // A kernel that stays there is not waited for.
    check_failed_guest("rdinit=/bin/true panic=0", &[], message, hint);
}

#[test]
fn a_guest_without_its_root_says_so() {
    guests_or_skip!();
    check_failed_guest(
        "rdinit=/nonexistent root=/dev/nothing",
        &[],
        "VFS: Unable to mount root fs on unknown-block(0,0)",
        "pass --initrd or another --disk",
    );
    check_failed_guest(
        "root=/dev/nothing",
        &[],
        "guesttrace-init: cannot mount root /dev/nothing (no such device appeared)",
        "try another --disk",
    );
    let cage = Cage::new();
    let text = "This is no file system.\n".repeat(50_000);
    let text = cage.write("root.img", text);
    check_failed_guest(
        "",
        &["--rootfs", text.to_str().unwrap()],
        "guesttrace-init: cannot mount root /dev/mmcblk0 (fs types tried: ext4 squashfs)",
        "is the image a file system",
    );
}

#[test]
fn a_workload_that_fails_is_named() {
    guests_or_skip!();
    check_failed_guest(
        "guesttrace.workload=nosuch",
        &[],
        "guesttrace-init: workload nosuch ended with status 127",
        "the console above",
    );
}

#[test]
fn qemu_is_given_nonsense() {
    guests_or_skip!();
    for (arguments, message) in [
        (
            ["-device", "nosuch"],
            "QEMU failed: qemu-system-x86_64: -device nosuch: 'nosuch' is not a valid device model name",
        ),
        (
            ["-nosuch", "option"],
            "QEMU failed: qemu-system-x86_64: -nosuch: invalid option",
        ),
    ] {
        let cage = Cage::new();
        let end = cage.run(record(&cage, "").arg("--").args(arguments));
        end.assert_error(1, message, "arguments after `--` go to QEMU as they are");
        assert_eq!(cage.outputs(), Vec::<String>::new());
    }
}

#[test]
fn the_guest_runs_another_kernel() {
    guests_or_skip!();
    let other = kernel("6.12-amd64").expect("kernels are fetched");
    let cage = Cage::new();
    let bytes = fs::read(other.vmlinuz).unwrap();
    let image = Kernel::from_bytes(Some(&bytes), None).unwrap();
    let image = cage.write("other", image.elf());
    let end = cage.run(record(&cage, "").arg("--").arg("-kernel").arg(image));
    assert!(cage.console().contains("Linux version 6.12"));
    let message = "these symbols are for Linux 6.1.";
    end.assert_error(3, message, "pass the kernel image that the guest boots");
    assert_eq!(cage.outputs(), Vec::<String>::new());
}

#[test]
fn a_killed_qemu_leaves_a_beginning_that_can_be_read() {
    guests_or_skip!();
    let cage = Cage::new();
    let child = start(&cage);
    let emulators = cage.emulators();
    assert_eq!(emulators.len(), 1);
    signal("KILL", &emulators[0].to_string());
    let end = End::of(&child.wait_with_output().unwrap());
    cage.assert_tidy();
    end.assert_error(3, "QEMU was ended by signal 9", "a smaller --memory");
    assert!(
        end.talk.contains("what was recorded so far is in"),
        "{}",
        end.talk
    );
    assert_beginning(&assert_partial(&cage));
}

#[test]
fn a_killed_record_leaves_a_whole_trace_and_no_qemu() {
    guests_or_skip!();
    let cage = Cage::new();
    let mut child = start(&cage);
    let emulators = cage.emulators();
    assert_eq!(emulators.len(), 1);
    signal("KILL", &child.id().to_string());
    child.wait().unwrap();
    wait_until("QEMU has ended", || cage.emulators().is_empty());
    assert_beginning(&assert_complete(&cage));
}

#[test]
fn an_interrupted_recording_is_completed() {
    guests_or_skip!();
    // To the program alone, and as Ctrl-C does, to QEMU as well.
    for (name, to_group) in [("TERM", false), ("INT", true), ("HUP", true)] {
        let cage = Cage::new();
        let child = start(&cage);
        let group = if to_group { "-" } else { "" };
        signal(name, &format!("{group}{}", child.id()));
        let end = End::of(&child.wait_with_output().unwrap());
        cage.assert_tidy();
        let message = "interrupted: the guest was ended before it ended itself";
        end.assert_error(3, message, "the trace up to there can be used");
        assert_beginning(&assert_complete(&cage));
    }
}

/// Runs the arguments with a small file system over `out`, then copies what is in there.
const ON_SMALL_DISK: &str = "mount -t tmpfs -o size=40k small out && mkdir copy || exit 99
\"$@\"
status=$?
cp out/* copy
exit $status";

#[test]
fn a_full_disk_leaves_a_beginning_that_can_be_read() {
    guests_or_skip!();
    let may_mount = Command::new("unshare")
        .args(["-rm", "mount", "-t", "tmpfs", "none", "/mnt"])
        .output();
    if !may_mount.is_ok_and(|output| output.status.success()) {
        skip!("mounting a small file system is not permitted");
    }
    let cage = Cage::new();
    let recording = record(&cage, "");
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", ON_SMALL_DISK, "sh"]);
    command
        .arg(recording.get_program())
        .args(recording.get_args())
        .current_dir(cage.path(""));
    for (name, value) in recording.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    let end = cage.run(&mut command);
    end.assert_error(3, "No space left on device", "is the disk full?");
    // The guest went on, and its console with it.
    fs::rename(
        cage.path("copy/trace.bin.partial"),
        cage.path("out/trace.bin.partial"),
    )
    .unwrap();
    assert_beginning(&assert_partial(&cage));
}

#[test]
fn a_console_that_nobody_reads_does_not_end_the_recording() {
    guests_or_skip!();
    let cage = Cage::new();
    let mut command = cage.program("record");
    let mut arguments = record(&cage, "")
        .get_args()
        .map(PathBuf::from)
        .collect::<Vec<_>>();
    // All but the verb and `--serial FILE`.
    let serial = arguments
        .iter()
        .position(|argument| argument == Path::new("--serial"))
        .unwrap();
    arguments.drain(serial..serial + 2);
    command.args(&arguments[1..]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let end = End::of(&child.wait_with_output().unwrap());
    cage.assert_tidy();
    assert_eq!((end.status, end.talk.as_str()), (0, ""));
    assert_eq!(assert_complete(&cage), whole().1);
}

#[test]
fn filters_ask_for_what_is_not_in_the_trace() {
    guests_or_skip!();
    let hint = "shows events with their fields";
    for (filter, message) in [
        (
            "prev_pit == 1",
            "no event has a field \"prev_pit\"; did you mean \"prev_pid\"?",
        ),
        (
            "sched_switch.ret == 1",
            "event \"sched_switch\" has no field \"ret\"",
        ),
        (
            "prev_pid ==",
            "--filter cannot be understood: expected a value",
        ),
    ] {
        let end = read(&["events", "--filter", filter], &whole().0.trace());
        end.assert_error(2, message, hint);
    }
}

#[test]
fn a_cut_trace_is_read_up_to_the_cut() {
    guests_or_skip!();
    let bytes = fs::read(whole().0.trace()).unwrap();
    let cage = Cage::new();
    cage.write("out/trace.bin.partial", &bytes[..bytes.len() / 2]);
    assert_beginning(&assert_partial(&cage));
}

#[test]
fn a_flipped_byte_costs_one_chunk_and_is_told() {
    guests_or_skip!();
    let (recorded, all) = whole();
    let mut bytes = fs::read(recorded.trace()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    let cage = Cage::new();
    let trace = cage.write("out/trace.bin", &bytes);
    let verified = read(&["verify"], &trace);
    assert_eq!(verified.status, 3, "{}", verified.out);
    let events = read(&EVENTS, &trace);
    assert_eq!(events.status, 3, "{}", events.talk);
    assert!(events.talk.contains("checksum"), "{}", events.talk);
    let (left, all) = (events.out.lines().count(), all.lines().count());
    assert!(left > all / 2 && left < all, "{left} of {all} events");
}

#[test]
fn a_dry_run_tells_the_command_and_starts_nothing() {
    guests_or_skip!();
    let cage = Cage::new();
    let end = cage.run(record(&cage, "").arg("--dry-run"));
    assert_eq!(end.status, 0, "{}", end.talk);
    assert!(end.talk.contains("prepared in "), "{}", end.talk);
    assert!(end.out.starts_with("qemu-system-x86_64 "), "{}", end.out);
    assert!(end.out.contains(" -append 'console=ttyS0 "), "{}", end.out);
    cage.assert_tidy();
    assert_eq!(cage.outputs(), Vec::<String>::new());
}
