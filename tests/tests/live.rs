//! Recordings that somebody reads while they go on: the same events in the same order, and an honest end.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use guesttrace_tests::{Cage, End, guest_arguments, guests_wanted, guesttrace, skip};

const KERNEL: &str = "6.1-amd64";

/// Ends the test when guests are not wanted.
macro_rules! guests_or_skip {
    () => {
        if !guests_wanted() {
            skip!("GUESTTRACE_E2E is not set");
        }
    };
}

/// `guesttrace record` of workload `boot` in a guest with two CPUs that lives in its initial ramdisk.
fn record(cage: &Cage, trace: &str) -> Command {
    let arguments = guest_arguments(KERNEL, "boot").expect("kernel and image are built");
    let mut command = cage.program("record");
    let mut arguments = arguments.into_iter();
    while let (Some(option), Some(value)) = (arguments.next(), arguments.next()) {
        if option != "--rootfs" {
            command.arg(option).arg(value);
        }
    }
    command.args(["--quiet", "--smp", "2", "--trace", trace]);
    command.arg("--serial").arg(cage.path("console"));
    command
}

/// Starts `guesttrace events --follow`.
fn follow(trace: &Path, input: Stdio) -> Child {
    let mut command = Command::new(guesttrace());
    command.args(["events", "--follow", "--format", "csv"]);
    command.arg(trace).stdin(input);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the program is built")
}

fn end_of(child: Child) -> End {
    let end = End::of(&child.wait_with_output().expect("it was started"));
    end.assert_no_panic();
    end
}

/// What `guesttrace events` shows of a trace.
fn events(trace: &Path) -> End {
    let mut command = Command::new(guesttrace());
    command.args(["events", "--format", "csv"]).arg(trace);
    End::of(&command.output().expect("the program is built"))
}

#[test]
fn what_is_followed_is_what_was_recorded() {
    guests_or_skip!();
    let cage = Cage::new();
    let follower = follow(&cage.trace(), Stdio::null());
    let end = cage.run(&mut record(&cage, "out/trace.bin"));
    assert_eq!(end.status, 0, "{}", end.talk);
    let followed = end_of(follower);
    let shown = events(&cage.trace());
    assert_eq!((shown.status, followed.status), (0, 0), "{}", followed.talk);
    assert!(shown.out.lines().count() > 10_000);
    assert!(
        followed.out == shown.out,
        "other events, or in another order"
    );
}
