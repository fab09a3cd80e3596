//! Exports of a guest that ran for real: other tools read them, and see what the guest did.

use std::path::Path;
use std::process::{Command, Output};

use guesttrace_tests::{Run, guests_wanted, guesttrace, project_dir, record, skip};

/// Bytes of a capture's head, and before each packet.
const CAPTURE_HEAD_BYTES: usize = 24;
const PACKET_HEAD_BYTES: usize = 16;
/// Bytes of the headers of Ethernet, IPv4 and UDP.
const ETHERNET_BYTES: usize = 14;
const IP_BYTES: usize = 20;
const UDP_BYTES: usize = 8;

fn export(run: &Run, format: &str, output: &Path) -> Output {
    let mut command = Command::new(guesttrace());
    command.arg("export").arg(&run.trace);
    command.args(["--to", format, "-o"]).arg(output);
    command.output().expect("cargo build --release comes first")
}

/// Packets of a capture: nanoseconds, length on the wire, bytes.
fn packets(capture: &[u8]) -> Vec<(u64, usize, Vec<u8>)> {
    let mut rest = &capture[CAPTURE_HEAD_BYTES..];
    let mut packets = Vec::new();
    while !rest.is_empty() {
        let word = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().expect("four bytes"));
        let at = u64::from(word(0)) * 1_000_000_000 + u64::from(word(4));
        let (kept, length) = (word(8) as usize, word(12) as usize);
        let end = PACKET_HEAD_BYTES + kept;
        packets.push((at, length, rest[PACKET_HEAD_BYTES..end].to_vec()));
        rest = &rest[end..];
    }
    packets
}

/// Sum of a header as IPv4 and ICMP have it: 0 for a whole one.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| match pair {
        [high, low] => u32::from(u16::from_be_bytes([*high, *low])),
        _ => u32::from(pair[0]) << 8,
    });
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("16 bits")
}

/// What busybox's nslookup asks first: the name's address of IPv4.
fn question() -> Vec<u8> {
    let mut question = Vec::new();
    for label in ["packets", "guesttrace", "test"] {
        question.push(u8::try_from(label.len()).expect("a short label"));
        question.extend_from_slice(label.as_bytes());
    }
    question.extend_from_slice(&[0, 0, 1, 0, 1]);
    question
}

#[test]
fn packets_are_what_the_guest_sent() {
    if !guests_wanted() {
        skip!("guests run with GUESTTRACE_E2E=1");
    }
    let rows = project_dir().join("docs/rows/packets.toml");
    let events = format!("core,network,{}", rows.display());
    let run = record("6.1-amd64", "packets", &["--events", &events]);
    assert_eq!(run.status, 0, "{}", run.complaints);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("out.pcap");
    let done = export(&run, "pcap", &file);
    assert!(done.status.success(), "{done:?}");
    let packets = packets(&std::fs::read(&file).expect("the capture"));
    assert!(packets.is_sorted_by_key(|(at, ..)| *at));

    let mut echoes = [0; 2];
    let mut questions = Vec::new();
    for (_, length, bytes) in &packets {
        assert_eq!(*length, bytes.len(), "a datagram that small is whole");
        let ip = &bytes[ETHERNET_BYTES..];
        assert_eq!((ip[0], checksum(&ip[..IP_BYTES])), (0x45, 0), "{ip:02x?}");
        let total = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
        assert_eq!(total, ip.len());
        let content = &ip[IP_BYTES..];
        match ip[9] {
            // An echo and its reply, of 100 bytes, whose sum ping has made.
            1 if content[0] == 8 || content[0] == 0 => {
                assert_eq!((content.len(), checksum(content)), (108, 0));
                echoes[usize::from(content[0] == 0)] += 1;
            }
            // The question, behind a head of 12 bytes.
            17 => questions.push(content[UDP_BYTES + 12..].to_vec()),
            // That nobody listens there: it has the beginning of what was sent.
            1 => {}
            other => panic!("protocol {other}"),
        }
    }
    assert_eq!(echoes, [3, 3], "{}", run.console);
    assert!(questions.contains(&question()), "{questions:02x?}");

    let dump = Command::new("tcpdump")
        .args(["-nn", "-r"])
        .arg(&file)
        .output();
    let Ok(dump) = dump else {
        skip!("tcpdump is not installed");
    };
    let text = String::from_utf8_lossy(&dump.stdout);
    assert_eq!(text.lines().count(), packets.len(), "{text}");
    assert_eq!(text.matches("ICMP echo request").count(), 3);
    assert!(text.contains("A? packets.guesttrace.test."), "{text}");
    check_other_formats(&run, dir.path());
}

/// Every other format is written, and babeltrace2 counts the events that we do.
fn check_other_formats(run: &Run, dir: &Path) {
    for format in [
        "ctf2", "perfetto", "chrome", "firefox", "folded", "csv", "json", "ltt",
    ] {
        let done = export(run, format, &dir.join(format));
        assert!(done.status.success(), "{format}: {done:?}");
    }
    let ctf = dir.join("ctf");
    let done = export(run, "ctf", &ctf);
    assert!(done.status.success(), "{done:?}");
    let talk = String::from_utf8_lossy(&done.stderr).into_owned();
    let count: usize = talk
        .split(' ')
        .next()
        .and_then(|count| count.parse().ok())
        .expect("a count");
    let lines = std::fs::read_to_string(dir.join("json")).expect("the lines");
    assert_eq!(lines.lines().count(), count);
    let Ok(read) = Command::new("babeltrace2").arg(&ctf).output() else {
        skip!("babeltrace2 is not installed");
    };
    assert!(
        read.status.success() && read.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&read.stderr)
    );
    let text = String::from_utf8_lossy(&read.stdout);
    let added = text
        .lines()
        .filter(|line| line.contains(" lttng_statedump_process_state: "))
        .count();
    assert_eq!(text.lines().count() - added, count);
}
