//! Lines and packets.

use std::process::{Command, Stdio};

use analyzer::export::{ExportError, LineFormat, Wanted, folded, ltt, pcap, rows};
use analyzer::sources::Trace;
use expect_test::{expect, expect_file};
use guesttrace_tests::skip;
use trace_format::{EventId, EventSchema, FieldKind, FieldSchema, TraceFile};

use crate::source::{all, golden, with};
use crate::synthetic;

#[test]
fn rows_are_the_lines_of_the_events_verb() {
    for name in ["first_program", "kernel_services", "lost_records"] {
        for (format, extension) in [(LineFormat::Csv, "csv"), (LineFormat::Json, "json")] {
            let mut out = Vec::new();
            all(&golden(name), |job| rows(job, format, &mut out)).unwrap();
            let path = format!("../golden/{name}.events.{extension}");
            expect_file![path].assert_eq(&String::from_utf8(out).unwrap());
        }
    }
}

#[test]
fn ltts_table_is_as_its_analyser_printed_it() {
    let mut out = Vec::new();
    all(&golden("lost_records"), |job| ltt(job, &mut out)).unwrap();
    expect![[r#"
        Trace start time: (0, 000000)
        Trace end time: (0, 000001)
        Trace duration: (0, 000001)

        ####################################################################
        CPU-ID  Event                   Time                 PID     Length  Description
        ####################################################################
        0       Syscall entry           (0, 000000)          7       18      SYSCALL : read; EIP : 0x00001000
        0       Sched change            (0, 000000)          7       24      IN : 0; OUT : 7; STATE : 1
        0       12 events lost from (0, 000000) to (0, 000000)
        0       IRQ exit                (0, 000000)          9       8
        0       Sched change            (0, 000001)          9       24      IN : 7; OUT : 9; STATE : 1
        0       Syscall exit            (0, 000001)          7       8
        0       IRQ exit                (0, 000001)          7       8
        0       power_off               (0, 000001)          7       16
    "#]].assert_eq(&String::from_utf8(out).unwrap());
    let mut out = Vec::new();
    all(&golden("first_program"), |job| ltt(job, &mut out)).unwrap();
    expect_file!["first_program.ltt"].assert_eq(&String::from_utf8(out).unwrap());
}

#[test]
fn stacks_are_folded() {
    let mut out = Vec::new();
    all(&golden("lost_records"), |job| folded(job, &mut out)).unwrap();
    expect![[r#"
        cat;cat:9;running, unknown what 100
        cat;cat:9;unknown 900
        cat;cat:9;waiting;work 300
        sh;sh:7;running, unknown what 200
        sh;sh:7;system calls;read 100
        sh;sh:7;unknown 800
        sh;sh:7;user code 200
    "#]]
    .assert_eq(&String::from_utf8(out).unwrap());
}

/// A trace with packets: an ARP request that leaves by lo and comes back in, and one that was cut.
fn packets() -> Trace {
    let mut schema = synthetic::schema();
    let field = |(name, kind): (&str, FieldKind)| FieldSchema {
        name: name.to_owned(),
        kind,
        unit: None,
        doc: String::new(),
    };
    let fields = [
        ("name", FieldKind::Text),
        ("out", FieldKind::Bool),
        ("len", FieldKind::Unsigned),
        ("data", FieldKind::Bytes),
    ];
    schema.events.push(EventSchema {
        id: EventId(0x9000),
        name: "packet_out".to_owned(),
        category: "packet".to_owned(),
        ltt: None,
        doc: String::new(),
        sticky: false,
        fields: fields.map(field).to_vec(),
    });
    let script = "
0@0 thread_context tid=0 pid=0 comm=swapper/0
1000000001@0 packet_out name=lo out=1 len=14 data=ABCDEFGHIJKLMN
1000000002@0 packet_out name=lo out=0 len=14 data=ABCDEFGHIJKLMN
1000000003@0 packet_out name=eth0 out=1 len=1500 data=abcdefghijklmnop
1000000004@0 packet_out name=eth0 out=1 len=1500
";
    let bytes = synthetic::trace_of(script, 100, schema);
    Trace::Own(TraceFile::from_bytes(bytes).unwrap())
}

#[test]
fn packets_are_a_capture() {
    let mut out = Vec::new();
    let done = all(&packets(), |job| pcap(job, &mut out)).unwrap();
    assert_eq!(done.events, 2);
    let words = |range: std::ops::Range<usize>| -> Vec<u32> {
        let chunks = out[range].chunks(4);
        chunks
            .map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap()))
            .collect()
    };
    assert_eq!(words(0..24), [0xA1B2_3C4D, 0x0004_0002, 0, 0, 1 << 18, 1]);
    // The trace begins with its first event, at 0.
    assert_eq!(words(24..40), [1, 2, 14, 14]);
    assert_eq!(&out[40..54], b"ABCDEFGHIJKLMN");
    assert_eq!(words(54..70), [1, 3, 16, 1500]);
    assert_eq!(&out[70..], b"abcdefghijklmnop");

    let mut dump = match Command::new("tcpdump")
        .args(["-r", "-", "-tt", "--time-stamp-precision=nano", "-nn"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
    {
        Ok(dump) => dump,
        Err(_) => skip!("tcpdump is not installed"),
    };
    std::io::Write::write_all(&mut dump.stdin.take().unwrap(), &out).unwrap();
    let dump = dump.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&dump.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&dump.stderr).into_owned();
    assert!(
        dump.status.success() && complaints.contains("link-type EN10MB"),
        "{complaints}"
    );
    let times: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert!(
        times.contains(&"1.000000002") && times.contains(&"1.000000003"),
        "{text}"
    );
}

#[test]
fn a_trace_without_packets_says_so() {
    let failed = all(&golden("first_program"), |job| pcap(job, &mut Vec::new()));
    assert!(matches!(failed, Err(ExportError::NoPackets)));
}

#[test]
fn only_what_is_wanted_is_written() {
    let trace = golden("first_program");
    let event = trace.schema().event_named("sched_switch").unwrap().id;
    let wanted = Wanted {
        events: vec![event],
        ..Wanted::default()
    };
    let mut out = Vec::new();
    let done = with(&trace, &wanted, |job| rows(job, LineFormat::Csv, &mut out)).unwrap();
    let text = String::from_utf8(out).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len() as u64, done.events + 1);
    assert!(lines[0].contains("fields.prev_pid"));
    assert!(
        lines[1..]
            .iter()
            .all(|line| line.contains(",sched_switch,"))
    );
}
