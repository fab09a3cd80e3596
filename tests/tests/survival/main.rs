//! What goes wrong while a guest runs: the status says so, what was recorded can be read, nothing stays behind.

/// Ends the test when guests are not wanted.
macro_rules! guests_or_skip {
    () => {
        if !guests_wanted() {
            skip!("GUESTTRACE_E2E is not set");
        }
    };
}

mod damage;
mod disk_full;
mod kills;
mod recording;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use guest_symbols::Kernel;
use guesttrace_tests::{Cage, End, guests_wanted, kernel, skip};
use trace_format::TraceFile;

use recording::{
    EVENTS, assert_beginning, assert_complete, assert_partial, read, record, signal, start, whole,
};

/// A guest that never ends of its own.
const HANG: &str = r#"rdinit=/bin/sh -- -c "while :; do :; done""#;

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
    let file = TraceFile::open(recorded.trace()).unwrap();
    let chunk = file.chunks()[file.chunks().len() / 2];
    let middle = usize::try_from(chunk.offset + chunk.length / 2).unwrap();
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
    // By name, or with its path where it is a user's own.
    let program = end.out.split(' ').next().unwrap_or_default();
    let is_qemu = Path::new(program).ends_with("qemu-system-x86_64");
    assert!(is_qemu, "{}", end.out);
    assert!(end.out.contains(" -append 'console=ttyS0 "), "{}", end.out);
    cage.assert_tidy();
    assert_eq!(cage.outputs(), Vec::<String>::new());
}
