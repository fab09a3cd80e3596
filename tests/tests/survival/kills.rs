//! SIGKILL at moments drawn by chance, of QEMU, of `record`, of both: what was written is there and is right, nothing
//! else stays behind.
//!
//! `GUESTTRACE_KILLS` says how many (usually 5), `GUESTTRACE_SEED` which moments; a kill that fails prints both.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::process::{Child, Stdio};

use guesttrace_tests::{Cage, Chance, End, guests_wanted, skip};
use trace_format::TraceFile;

use crate::recording::{EVENTS, read, record, signal, wait_until, whole};

/// Once so much of the trace is written, what only this recording needs has been cleared away.
const UNDER_WAY_BYTES: u64 = 30_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Emulator,
    Recorder,
    Both,
}

/// Who is killed, and when: as soon as the trace has so many bytes, or with none as soon as there is a QEMU.
#[derive(Clone, Copy, Debug)]
struct Kill {
    victim: Victim,
    bytes: u64,
}

/// Which kill it is, for the person who reads of a failure.
struct TellOnPanic {
    seed: u64,
    kill: Kill,
}

impl Drop for TellOnPanic {
    #[allow(
        clippy::print_stderr,
        reason = "the line is for the person who runs the tests"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "GUESTTRACE_SEED={} GUESTTRACE_KILLS=1: {:?}",
                self.seed, self.kill
            );
        }
    }
}

fn setting(name: &str, usual: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.map_or(usual, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is no number: {text}"))
    })
}

#[test]
fn recordings_killed_at_any_moment_can_be_read() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let whole = fs::read(whole().0.trace()).unwrap();
    let first = setting("GUESTTRACE_SEED", 1);
    for seed in first..first + setting("GUESTTRACE_KILLS", 5) {
        let mut chance = Chance::new(seed);
        let kill = Kill {
            victim: [Victim::Emulator, Victim::Recorder, Victim::Both]
                [usize::try_from(seed % 3).unwrap()],
            // One in eight at the very start.
            bytes: if chance.once_in(8) {
                0
            } else {
                chance.below(whole.len()) as u64
            },
        };
        let told = TellOnPanic { seed, kill };
        check(kill, &whole);
        drop(told);
    }
}

#[test]
fn a_guest_without_plugin_does_not_outlive_its_recorder() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let cage = Cage::new();
    let mut command = record(&cage, "");
    command.arg("--no-plugin").stderr(Stdio::null());
    let mut child = command.spawn().expect("the program is built");
    wait_until("the guest runs", || !cage.console().is_empty());
    assert_eq!(cage.emulators().len(), 1);
    signal("KILL", &child.id().to_string());
    child.wait().unwrap();
    wait_until("QEMU has ended", || cage.emulators().is_empty());
    let end = End::of(&record(&cage, "").arg("--dry-run").output().unwrap());
    assert_eq!(end.status, 0, "{}", end.talk);
    cage.assert_tidy();
}

/// Kills and looks at what is left.
fn check(kill: Kill, whole: &[u8]) {
    let cage = Cage::new();
    let mut child = start(&cage);
    let partial = cage.path("out/trace.bin.partial");
    let mut has_ended = false;
    wait_until("the trace has come so far", || {
        let length = fs::metadata(&partial).map_or(0, |data| data.len());
        has_ended = child.try_wait().unwrap().is_some();
        has_ended || length >= kill.bytes.max(1) || kill.bytes == 0 && !cage.emulators().is_empty()
    });
    if kill.victim != Victim::Recorder {
        // None is left where the guest has ended by itself.
        for emulator in cage.emulators() {
            signal("KILL", &emulator.to_string());
        }
    }
    if kill.victim != Victim::Emulator && !has_ended {
        signal("KILL", &child.id().to_string());
    }
    let end = End::of(&child.wait_with_output().unwrap());
    end.assert_no_panic();
    wait_until("QEMU has ended", || cage.emulators().is_empty());
    check_directories(kill, &cage);
    check_trace(kill, &cage, whole);
    if kill.victim == Victim::Emulator && cage.outputs() == ["trace.bin.partial"] {
        end.assert_error(3, "QEMU was ended by signal 9", "a smaller --memory");
    }
}

fn start(cage: &Cage) -> Child {
    let mut command = record(cage, "");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the program is built")
}

/// Nothing is left of what only that recording needed, or nothing that the next one does not clear away.
fn check_directories(kill: Kill, cage: &Cage) {
    if kill.victim != Victim::Emulator && kill.bytes < UNDER_WAY_BYTES {
        let end = End::of(&record(cage, "").arg("--dry-run").output().unwrap());
        assert_eq!(end.status, 0, "{}", end.talk);
    }
    cage.assert_tidy();
}

/// What was written when the kill came is there, and what is there is the beginning of the whole trace.
fn check_trace(kill: Kill, cage: &Cage, whole: &[u8]) {
    let outputs = cage.outputs();
    let Some(name) = outputs.first() else {
        // QEMU was killed before the guest's kernel ran: the header alone is not kept.
        let file = TraceFile::from_bytes(whole.to_vec()).unwrap();
        assert!(kill.bytes <= file.chunks()[0].offset, "there is no trace");
        return;
    };
    assert_eq!(outputs.len(), 1, "{outputs:?}");
    let path = cage.path("out").join(name);
    let bytes = fs::read(&path).unwrap();
    assert!(bytes.len() as u64 >= kill.bytes, "{} bytes", bytes.len());
    // A recorder that is killed leaves QEMU to complete the trace, at another moment than the guest would have.
    if kill.victim != Victim::Recorder {
        assert!(
            whole.starts_with(&bytes),
            "other bytes than in the whole trace"
        );
    }
    let Ok(file) = TraceFile::from_bytes(bytes) else {
        // Killed before the header was written.
        assert_eq!(kill.bytes, 0, "the trace cannot be opened");
        assert_eq!(read(&["info"], &path).status, 3);
        return;
    };
    // Its name comes last: a trace can be whole without it.
    let is_whole = file.trailer().is_some();
    assert!(is_whole || name != "trace.bin");
    let verified = read(&["verify"], &path);
    let status = if is_whole { 0 } else { 3 };
    assert_eq!(verified.status, status, "{}", verified.talk);
    let events = read(&EVENTS, &path);
    assert_eq!(events.status, status, "{}", events.talk);
    let all = &crate::recording::whole().1;
    assert!(all.starts_with(&events.out), "the events are others");
    if !is_whole {
        let info = read(&["info"], &path);
        assert_eq!(info.status, 3, "{}", info.talk);
        for said in [&info.out, &events.talk] {
            assert!(said.contains("The recording has no end"), "{said}");
        }
    }
    // Of what was there at that moment every whole chunk.
    let then = cage.write("then", &whole[..usize::try_from(kill.bytes).unwrap()]);
    let then = read(&EVENTS, &then);
    assert!(events.out.starts_with(&then.out), "events are missing");
}
