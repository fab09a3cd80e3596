//! The files of a trace, mapped into memory, and the streams that they are parts of.
//!
//! A stream is one file, or several: a tracer that was told to start a new file now and then says in the packets which
//! stream they are of. Packets are found by their headers; an index beside them is not needed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use trace_format::{Mapping, Severity};

use super::metadata;
use super::packet::{Continuity, Missing, NoPacket, Packet};
use super::plan::Plan;
use super::program::State;
use crate::sources::Finding;

/// More CPUs than any kernel has.
const CPUS_MAX: u32 = 8192;

/// A file with packets.
#[derive(Debug)]
pub(super) struct StreamFile {
    /// Its name, to be shown.
    name: String,
    map: Mapping,
    /// Bytes that packets were found in.
    length: usize,
    packets: u64,
    /// When its first packet begins, in ticks.
    begin: u64,
    /// When its last packet ends, where that says so.
    end: Option<u64>,
    /// The kind of stream and which of that kind, where the packets say so.
    key: Option<(usize, u64)>,
}

impl StreamFile {
    /// Its packets.
    pub(super) fn bytes(&self) -> &[u8] {
        self.map.get(..self.length).unwrap_or_default()
    }

    /// When its last packet ends, in ticks, where that says so.
    pub(super) fn end(&self) -> Option<u64> {
        self.end
    }
}

/// Files of one stream, in order of time.
pub(super) type Stream = Vec<StreamFile>;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) streams: Vec<Stream>,
    pub(super) findings: Vec<Finding>,
    pub(super) packets: u64,
    pub(super) bytes: u64,
    /// CPUs with packets, from 0 on.
    pub(super) cpus: u32,
}

/// Finds the streams in directories with the same metadata.
pub(super) fn find(directories: &[PathBuf], plan: &Plan) -> io::Result<Found> {
    let mut found = Found::default();
    let mut grouped: BTreeMap<(usize, u64), Stream> = BTreeMap::new();
    for path in files(directories)? {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let map = match File::open(&path).and_then(|file| Mapping::of(&file)) {
            Ok(map) => map,
            Err(error) => {
                found.damaged(&name, &format!("it cannot be opened: {error}"));
                continue;
            }
        };
        let file = scan(name, map, plan, &mut found);
        match file.key {
            _ if file.packets == 0 => {}
            Some(key) => grouped.entry(key).or_default().push(file),
            None => found.streams.push(vec![file]),
        }
    }
    found.streams.extend(grouped.into_values());
    for stream in &mut found.streams {
        stream.sort_by(|a, b| (a.begin, &a.name).cmp(&(b.begin, &b.name)));
    }
    let missing: Vec<Missing> = found
        .streams
        .iter()
        .flat_map(|stream| missing(stream, plan))
        .collect();
    found.lost(&missing);
    Ok(found)
}

/// Files that may have packets, in order of their names.
fn files(directories: &[PathBuf]) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for directory in directories {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if is_candidate(&path) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn is_candidate(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let has_bytes = || {
        path.metadata()
            .is_ok_and(|about| about.is_file() && about.len() > 0)
    };
    name != metadata::FILE_NAME && !name.starts_with('.') && has_bytes()
}

/// Goes through the packets of a file.
fn scan(name: String, map: Mapping, plan: &Plan, found: &mut Found) -> StreamFile {
    let mut state = State::default();
    let mut file = StreamFile {
        name,
        map,
        length: 0,
        packets: 0,
        begin: 0,
        end: None,
        key: None,
    };
    while let Some(rest) = file.map.get(file.length..).filter(|rest| !rest.is_empty()) {
        let packet = match Packet::open(plan, rest, &mut state) {
            Ok(packet) => packet,
            Err(why) => {
                found.no_packet(&file, why);
                break;
            }
        };
        if file.packets == 0 {
            file.begin = packet.begin.unwrap_or(0);
            file.key = packet.instance.map(|instance| (packet.stream, instance));
        }
        file.packets += 1;
        if packet.cpu < CPUS_MAX {
            found.cpus = found.cpus.max(packet.cpu + 1);
        }
        file.end = packet.end;
        if packet.is_cut() {
            let missing = packet.length - rest.len() as u64;
            let text = format!("its last packet is cut: {missing} bytes of it are missing");
            found.damaged(&file.name, &text);
        }
        file.length += packet.bytes.len();
    }
    found.packets += file.packets;
    found.bytes += file.length as u64;
    file
}

/// What the packets of a stream say is missing.
fn missing(stream: &Stream, plan: &Plan) -> Vec<Missing> {
    let mut continuity = Continuity::default();
    let mut state = State::default();
    let mut all = Vec::new();
    for file in stream {
        let mut at = 0;
        while let Some(rest) = file.bytes().get(at..).filter(|rest| !rest.is_empty()) {
            let Ok(packet) = Packet::open(plan, rest, &mut state) else {
                break;
            };
            at += packet.bytes.len();
            all.extend(continuity.next(&packet));
        }
    }
    all
}

impl Found {
    fn damaged(&mut self, name: &str, text: &str) {
        let text = format!("{name}: {text}.");
        self.findings
            .push(Finding::of_file(Severity::DataLoss, text));
    }

    fn no_packet(&mut self, file: &StreamFile, why: NoPacket) {
        let at = file.length;
        let rest = match at {
            0 => "the file is left out",
            _ => "the rest of the file is left out",
        };
        let text = match why {
            NoPacket::Magic if at == 0 => {
                let text = format!("{} is no stream of the trace and was left out.", file.name);
                return self.findings.push(Finding::of_file(Severity::Notice, text));
            }
            NoPacket::Magic => format!("there is no packet at byte {at}: {rest}"),
            NoPacket::Stream(id) => {
                let id = id.map_or("a stream".to_owned(), |id| format!("stream {id}"));
                format!(
                    "the packet at byte {at} is of {id}, which the metadata does not describe: {rest}"
                )
            }
            NoPacket::Short => format!("the packet at byte {at} is cut in its header"),
            NoPacket::Size(bits) => {
                format!("the packet at byte {at} has an impossible size of {bits} bits: {rest}")
            }
        };
        self.damaged(&file.name, &text);
    }

    fn lost(&mut self, missing: &[Missing]) {
        let (mut events, mut packets) = (0u64, 0u64);
        for one in missing {
            match one {
                Missing::Discarded(count) => events = events.saturating_add(*count),
                Missing::Packets(count) => packets = packets.saturating_add(*count),
            }
        }
        let mut push = |name: &str, count, text: &str| {
            if count > 0 {
                self.findings.push(Finding {
                    severity: Severity::DataLoss,
                    name: name.to_owned(),
                    count: Some(count),
                    text: text.to_owned(),
                    advice:
                        "record with more or larger buffers (`lttng enable-channel --subbuf-size`)"
                            .to_owned(),
                    is_gap: true,
                    is_damage: false,
                });
            }
        };
        push(
            "records_lost",
            events,
            "Events for which the tracer had no room.",
        );
        push(
            "packets_lost",
            packets,
            "Packets that are missing, with all their events.",
        );
    }
}
