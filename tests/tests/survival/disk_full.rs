//! Disks that have no room, and directories that nothing can be written to: one sentence, the right status, and what is
//! whole can be read.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::{Command, Stdio};

use guest_images::installed_program;
use guesttrace_tests::{Cage, End, guest_arguments_on, guests_wanted, guesttrace, skip};
use trace_format::TraceFile;

use crate::recording::{
    KERNEL, assert_beginning, assert_complete, assert_partial, read, record, start, whole,
};

/// Runs the arguments with a small file system over `out`, then copies what is in there.
const ON_SMALL_DISK: &str = "mount -t tmpfs -o size=40k small out && mkdir copy || exit 99
\"$@\"
status=$?
cp out/* copy
exit $status";

/// QEMU, none of whose files can grow beyond some blocks of 512 bytes: where that is not ignored, a signal would end it.
const SMALL_FILES: &str = "#!/bin/sh
trap '' XFSZ
ulimit -f $BLOCKS
exec \"$QEMU\" \"$@\"
";

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

/// Runs a recording with files that cannot grow beyond so many bytes, a multiple of 512.
fn run_in(cage: &Cage, bytes: u64, mut command: Command) -> End {
    let emulator = cage.write("emulator", SMALL_FILES);
    fs::set_permissions(&emulator, fs::Permissions::from_mode(0o755)).unwrap();
    command.env("GUESTTRACE_QEMU", emulator);
    command.env("QEMU", installed_program("qemu-system-x86_64"));
    cage.run(command.env("BLOCKS", (bytes / 512).to_string()))
}

#[test]
fn a_disk_of_the_guest_that_has_no_room_is_told() {
    guests_or_skip!();
    for disk in ["sd", "nvme", "virtio"] {
        let cage = Cage::new();
        let mut command = cage.record();
        command.args(guest_arguments_on(KERNEL, disk, "boot").unwrap());
        // The guest's changes begin with tables of 192 KiB.
        let end = run_in(&cage, 225 << 10, command);
        end.assert_error(1, "the guest's disk lost data", "set TMPDIR");
        assert_complete(&cage);
    }
}

#[test]
fn room_ends_in_each_part_of_the_file() {
    guests_or_skip!();
    let trace = TraceFile::open(whole().0.trace()).unwrap();
    let last = trace.chunks().last().unwrap();
    // What follows is some kilobytes long.
    let in_the_end = (last.offset + last.length).next_multiple_of(512);
    let in_the_middle = in_the_end / 1024 * 512;
    for bytes in [512, in_the_middle, in_the_end] {
        let cage = Cage::new();
        let end = run_in(&cage, bytes, record(&cage, ""));
        end.assert_error(3, "File too large", "is the disk full?");
        if bytes == 512 {
            // Not even the header.
            assert_eq!(cage.outputs(), Vec::<String>::new());
            continue;
        }
        let events = assert_partial(&cage);
        if bytes == in_the_middle {
            assert_beginning(&events);
        } else {
            assert!(events == whole().1, "events are missing");
        }
        let length = fs::metadata(cage.path("out/trace.bin.partial"))
            .unwrap()
            .len();
        assert_eq!(length, bytes, "there was room for more");
    }
}

#[test]
fn a_trace_that_cannot_get_its_name_is_complete_under_the_other() {
    guests_or_skip!();
    let cage = Cage::new();
    let child = start(&cage);
    fs::create_dir(cage.trace()).unwrap();
    let end = End::of(&child.wait_with_output().unwrap());
    cage.assert_tidy();
    end.assert_error(3, "cannot rename ", "move it yourself");
    let partial = cage.path("out/trace.bin.partial");
    let verified = read(&["verify"], &partial);
    assert_eq!(verified.status, 0, "{}", verified.talk);
    assert!(fs::read(&partial).unwrap() == fs::read(whole().0.trace()).unwrap());
}

#[test]
fn readers_say_that_their_output_has_no_room() {
    guests_or_skip!();
    let trace = whole().0.trace();
    for verb in [
        &["info"][..],
        &["events", "--format", "json"],
        &["events", "--format", "csv", "--limit", "1"],
        &["report", "summary"],
        &["verify"],
        &["list", "events"],
    ] {
        let mut command = Command::new(guesttrace());
        command.args(verb);
        if verb[0] != "list" {
            command.arg(&trace);
        }
        let full = File::options().write(true).open("/dev/full").unwrap();
        let end = End::of(&command.stdout(Stdio::from(full)).output().unwrap());
        let message = "cannot write the results: No space left on device";
        end.assert_error(3, message, "is the disk full?");
    }
}

/// The program as somebody whom permissions bind, which root is not.
fn as_anybody(cage: &Cage) -> Command {
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !is_root {
        return Command::new(guesttrace());
    }
    // What root has built may lie where nobody else can go.
    let program = cage.path("guesttrace");
    fs::copy(guesttrace(), &program).unwrap();
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--clear-groups"])
        .arg(program);
    command
}

#[test]
fn a_directory_that_is_only_for_reading_is_told_before_a_guest_boots() {
    if !guesttrace().exists() {
        skip!("{} does not exist", guesttrace().display());
    }
    let cage = Cage::new();
    for (path, mode) in [("", 0o755), ("out", 0o555)] {
        fs::set_permissions(cage.path(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    let initrd = cage.write("initrd", b"070701");
    let mut record = as_anybody(&cage);
    record
        .args(["record", "--kernel"])
        .arg(&initrd)
        .arg("--initrd")
        .arg(&initrd);
    record.arg("--trace").arg(cage.trace());
    let end = cage.run(&mut record);
    end.assert_error(
        2,
        "out/trace.bin: Permission denied",
        "a directory that exists",
    );
    assert_eq!(cage.outputs(), Vec::<String>::new());
}

#[test]
fn a_directory_that_is_only_for_reading_gets_no_other_trace() {
    guests_or_skip!();
    let cage = Cage::new();
    let trace = cage.write("trace", fs::read(whole().0.trace()).unwrap());
    for (path, mode) in [("", 0o755), ("trace", 0o644), ("out", 0o555)] {
        fs::set_permissions(cage.path(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    for verb in ["repair", "cut", "merge"] {
        let mut command = as_anybody(&cage);
        command
            .arg(verb)
            .arg(&trace)
            .arg("-o")
            .arg(cage.path("out/new.bin"));
        let end = cage.run(&mut command);
        end.assert_error(
            2,
            "out/new.bin: Permission denied",
            "a directory that exists",
        );
        assert_eq!(cage.outputs(), Vec::<String>::new());
    }
}
