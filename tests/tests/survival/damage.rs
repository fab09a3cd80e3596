//! Traces of a guest that were damaged, or written by a later version: every verb says so, and ends in peace.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::process::Command;

use guesttrace_tests::{Cage, Chance, End, guests_wanted, guesttrace, skip};

use crate::recording::{EVENTS, read, whole};

/// Address space that is enough for any verb on a trace of some kilobytes.
const BOUNDED: &str = "ulimit -v 4000000; exec \"$@\"";

#[test]
fn every_verb_survives_damaged_traces() {
    guests_or_skip!();
    let original = whole().0.trace();
    let bytes = fs::read(&original).unwrap();
    let mut statuses = [0; 4];
    for seed in 0..12 {
        let cage = Cage::new();
        let mut damaged = bytes.clone();
        Chance::new(seed).damage(&mut damaged);
        let trace = cage.write("trace.bin", damaged);
        let (trace, other) = (trace.to_str().unwrap(), original.to_str().unwrap());
        for arguments in [
            &["info", trace][..],
            &["events", trace, "--format", "json"],
            &["report", "summary", trace],
            &["report", "processes", trace],
            &["verify", trace],
            &["diff", other, trace],
            &["repair", trace, "-o", "repaired.bin"],
        ] {
            let mut command = Command::new("sh");
            command.args(["-c", BOUNDED, "sh"]).arg(guesttrace());
            command.args(arguments).current_dir(cage.path(""));
            let end = End::of(&command.output().unwrap());
            end.assert_no_panic();
            let errors = end.talk.lines().filter(|line| line.starts_with("error: "));
            assert!(errors.count() <= 1, "{arguments:?}: {}", end.talk);
            let status = usize::try_from(end.status).ok();
            let counter = status.and_then(|status| statuses.get_mut(status));
            *counter.unwrap_or_else(|| panic!("seed {seed}, {arguments:?}: {end:?}")) += 1;
        }
    }
    assert!(statuses[3] > 40 && statuses[2] == 0, "{statuses:?}");
}

/// The whole trace as a version of the format would have it that differs in its number.
fn of_version(cage: &Cage, major: u16, minor: u16) -> std::path::PathBuf {
    let mut bytes = fs::read(whole().0.trace()).unwrap();
    bytes[8..10].copy_from_slice(&major.to_le_bytes());
    bytes[10..12].copy_from_slice(&minor.to_le_bytes());
    let checksum = crc32fast::hash(&bytes[..12]);
    bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
    cage.write("later.bin", bytes)
}

#[test]
fn a_later_minor_version_is_read_and_a_later_major_version_is_refused() {
    guests_or_skip!();
    let cage = Cage::new();
    let events = read(&EVENTS, &of_version(&cage, 1, 999));
    assert_eq!((events.status, &events.out), (0, &whole().1));
    for verb in ["info", "events", "verify"] {
        let end = read(&[verb], &of_version(&cage, 2, 0));
        let message = "the file is of format version 2.0, this program reads 1.x";
        end.assert_error(3, message, "use the version of guesttrace that recorded it");
    }
}
