//! What happens when buffers are full: nothing is lost without being counted, and a flight recorder remembers the newest.

use std::path::Path;

use guesttrace_tests::{
    Event, Run, events, guest_arguments_on, guests_wanted, record, record_guest, skip,
};
use trace_format::{Counter, TraceFile};

const KERNEL: &str = "6.1-amd64";

fn open(path: &Path) -> TraceFile {
    TraceFile::open(path).expect("a trace")
}

fn count(trace: &TraceFile, counter: Counter) -> u64 {
    trace.trailer().expect("a whole trace").stats.get(counter)
}

/// An event apart from its time since the start of the trace, which begins elsewhere in another trace.
fn essence(event: &Event) -> (u64, u64, &str, String) {
    let fields = event.json["fields"].to_string();
    let tsc = event.number("tsc");
    (tsc, event.number("cpu"), event.name(), fields)
}

fn assert_ended_well(run: &Run) {
    assert_eq!(run.status, 0, "{}\n{}", run.complaints, run.console);
}

#[test]
fn what_is_discarded_is_counted_where_it_is_missing() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let every = ["--events", "core,tracepoint:*:*", "--buffer-size", "128"];
    let whole = record(KERNEL, "mix", &every);
    let part = record(
        KERNEL,
        "mix",
        &[&every[..], &["--mode", "discard"]].concat(),
    );
    assert_ended_well(&whole);
    assert_ended_well(&part);
    assert_eq!(part.console, whole.console, "the guest does not notice");
    let (whole, part) = (open(&whole.trace), open(&part.trace));
    let lost = count(&part, Counter::RecordsLost);
    let in_chunks: u64 = part.chunks().iter().map(|chunk| chunk.lost_before).sum();
    // The writer compresses on the other core; a burst of a boot is more than two buffers of 128 KiB in any case.
    assert!(lost > 0);
    assert_eq!(lost, in_chunks);
    assert_eq!(
        count(&part, Counter::RecordsWritten) + lost,
        count(&whole, Counter::RecordsWritten)
    );
    assert!(whole.header().machine.reproducible);
    let obstacles = &part.header().machine.reproducible_obstacles;
    assert!(
        obstacles[0].contains("how fast the host writes"),
        "{obstacles:?}"
    );
    assert!(!part.header().machine.reproducible);
}

#[test]
fn a_flight_recorder_remembers_the_newest_up_to_each_snapshot() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let recorded = |name: &str| {
        let ring = dir.path().join(name);
        let session = format!("trace={},mode=overwrite,ring-size=1", ring.display());
        let when = r#"event == printk && text ~ "*mark before-counters""#;
        let more = ["--session", &session, "--on", when, "snapshot"];
        let run = record(KERNEL, "mix", &more);
        assert_ended_well(&run);
        (run, ring)
    };
    let (run, ring_path) = recorded("ring");
    let (_, again) = recorded("again");
    let bytes = |path: &Path| std::fs::read(path).expect("a trace");
    assert!(bytes(&ring_path) == bytes(&again), "the traces differ");

    let (whole, ring) = (open(&run.trace), open(&ring_path));
    let overwritten = count(&ring, Counter::RecordsOverwritten);
    assert!(overwritten > 0);
    let snapshots = 1;
    assert_eq!(
        count(&ring, Counter::RecordsWritten) + overwritten,
        count(&whole, Counter::RecordsWritten) + snapshots
    );
    // Event by event: the same, but for what is missing where a chunk says so.
    let gaps = ring.chunks().iter().filter(|chunk| chunk.lost_before > 0);
    let (all, remembered) = (events(&run.trace, &[]), events(&ring_path, &[]));
    let mut expected = all.iter().map(essence);
    let mut skips = 0;
    let mut snapshot_rows = 0;
    for event in &remembered {
        if event.name() == "recording_snapshot" {
            snapshot_rows += 1;
            assert_eq!(event.text("reason"), "condition");
            continue;
        }
        let event = essence(event);
        let skipped = expected.by_ref().take_while(|other| *other != event);
        skips += usize::from(skipped.count() > 0);
    }
    assert!(expected.next().is_none(), "the ring ends with the guest");
    assert_eq!((skips, snapshot_rows), (gaps.count(), 1));
}

#[test]
fn what_cannot_be_repeated_is_refused_where_that_is_asked() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    for (options, why) in [
        (&["--mode", "discard"][..], "how fast the host writes"),
        (&["--clock", "wall"], "time is the host's"),
        (&["--disk", "nvme"], "NVMe completes requests at moments"),
        (
            &["--disk", "virtio"],
            "virtio-blk completes requests at moments",
        ),
        (
            &["--control", "ctl.sock"],
            "commands come when the host sends them",
        ),
        (
            &["--", "-netdev", "user,id=outside"],
            "passed on to QEMU are not checked",
        ),
    ] {
        let run = record(
            KERNEL,
            "mix",
            &[&["--require-reproducible"], options].concat(),
        );
        assert_eq!(run.status, 2, "{}", run.complaints);
        assert!(run.complaints.contains(why), "{}", run.complaints);
    }
}

#[test]
fn a_kernel_without_a_driver_for_sd_cards_gets_another_disk_that_is_reproducible() {
    if !guests_wanted() {
        skip!("GUESTTRACE_E2E is not set");
    }
    // It has NVMe built in, which is not; our initial ramdisk brings the driver of persistent memory.
    let guest = guest_arguments_on("6.1-cloud-amd64", "auto", "mix").expect("guests are built");
    let run = record_guest(&guest, &["--require-reproducible", "--dry-run"]);
    assert_eq!(run.status, 0, "{}", run.complaints);
    let said = "disk: persistent memory; the same command gives the same trace";
    assert!(run.complaints.contains(said), "{}", run.complaints);
}
