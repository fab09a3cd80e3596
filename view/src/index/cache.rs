//! An index in a file beside its trace, so that the trace is gone through once.
//!
//! Magic, checksum of what follows, length of a header, header, columns. The header says what the index is of: the trace's
//! files and the program that made it. Columns are mapped, not kept in memory. Whatever does not fit is no index: it is made
//! anew, never believed.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use bytemuck::Pod;
use serde::{Deserialize, Serialize};
use trace_format::Mapping;

use super::column::Column;
use super::kind::{KIND_COUNT, Kind};
use super::latency::{Latencies, LatencyKind};
use super::states::{StateId, States};
use super::timeline::{Level, Timeline};
use super::{Arrows, Gap, Index, Overview, Runs};
use crate::events::EventIndex;

/// Begins the file; its last digits are the version of what follows.
const MAGIC: &[u8; 8] = b"gtview02";
/// Columns begin at multiples of this.
const ALIGNMENT: usize = 8;
/// A trace in more files than these is not cached.
const FILES_MAX: usize = 10_000;
/// A header is no longer than this.
const HEADER_BYTES_MAX: usize = 1 << 30;

/// What an index is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheKey {
    /// Path, length in bytes and time of change of each file, the program first.
    files: Vec<(PathBuf, u64, u128)>,
}

impl CacheKey {
    /// Of those traces as they are now, read by this program; none where that cannot be told.
    #[must_use]
    pub fn of(paths: &[PathBuf]) -> Option<Self> {
        let mut files = Vec::new();
        add_files(&std::env::current_exe().ok()?, &mut files)?;
        for path in paths {
            add_files(&path.canonicalize().ok()?, &mut files)?;
        }
        Some(Self { files })
    }

    /// Where the index of those traces is kept: beside the first.
    #[must_use]
    pub fn file(paths: &[PathBuf]) -> Option<PathBuf> {
        let first = paths.first()?.canonicalize().ok()?;
        let mut name = first.file_name()?.to_owned();
        name.push(".view");
        Some(first.with_file_name(name))
    }
}

fn add_files(path: &Path, files: &mut Vec<(PathBuf, u64, u128)>) -> Option<()> {
    let metadata = fs::metadata(path).ok()?;
    if metadata.is_dir() {
        let mut entries: Vec<PathBuf> = fs::read_dir(path)
            .ok()?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<_>>()
            .ok()?;
        entries.sort();
        return entries.iter().try_for_each(|entry| add_files(entry, files));
    }
    let changed = metadata.modified().ok()?;
    let changed = changed.duration_since(UNIX_EPOCH).ok()?.as_nanos();
    files.push((path.to_owned(), metadata.len(), changed));
    (files.len() <= FILES_MAX).then_some(())
}

/// Offset behind the header, and length, in bytes.
type Place = (u64, u64);

#[derive(Serialize, Deserialize)]
struct CacheHeader {
    key: CacheKey,
    states: Vec<(u8, String)>,
    timelines: Vec<TimelinePlaces>,
    latencies: Vec<[Place; 4]>,
    arrows: [Place; 4],
    runs: Vec<[Place; 2]>,
    gaps: Vec<Gap>,
    overview: Overview,
    events: EventIndex,
    /// What the pass found lost or doubtful, as JSON.
    findings: String,
}

#[derive(Serialize, Deserialize)]
struct TimelinePlaces {
    columns: [Place; 3],
    levels: Vec<([Place; 4], u64)>,
    end: u64,
    sums: Vec<u64>,
}

/// Columns one behind the other.
#[derive(Default)]
struct Layout<'a> {
    columns: Vec<&'a [u8]>,
    end: u64,
}

impl<'a> Layout<'a> {
    fn place<T: Pod>(&mut self, column: &'a Column<T>) -> Place {
        let bytes: &[u8] = bytemuck::cast_slice(&column[..]);
        let length = bytes.len() as u64;
        let place = (self.end, length);
        self.columns.push(bytes);
        self.end += length.next_multiple_of(ALIGNMENT as u64);
        place
    }
}

/// What is kept of a pass.
#[derive(Debug)]
pub(crate) struct Kept<'a> {
    pub(crate) index: &'a Index,
    pub(crate) events: &'a EventIndex,
    /// What is lost or doubtful, as JSON.
    pub(crate) findings: &'a serde_json::Value,
}

/// Writes an index that is complete. A reader sees all of it or nothing.
///
/// # Errors
/// When it cannot be written, such as in a directory of somebody else.
pub(crate) fn save(kept: &Kept<'_>, key: &CacheKey, path: &Path) -> io::Result<()> {
    let mut layout = Layout::default();
    let header = header_of(kept, key, &mut layout);
    let header = postcard::to_stdvec(&header).map_err(io::Error::other)?;
    let directory = path.parent().unwrap_or(Path::new("."));
    let temporary = directory.join(format!(
        ".{}.{}",
        path.file_name().unwrap_or_default().to_string_lossy(),
        std::process::id()
    ));
    let written = write(&temporary, &header, &layout).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // What is left of a failed attempt helps nobody; that it cannot be removed either changes nothing.
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn write(path: &Path, header: &[u8], layout: &Layout<'_>) -> io::Result<()> {
    let padding = [0; ALIGNMENT];
    let pad = |length: usize| &padding[..length.next_multiple_of(ALIGNMENT) - length];
    let length = (header.len() as u64).to_le_bytes();
    let columns = layout.columns.iter();
    let columns = columns.flat_map(|column| [*column, pad(column.len())]);
    let parts = [&length[..], header, pad(header.len())];
    let parts: Vec<&[u8]> = parts.into_iter().chain(columns).collect();
    let mut checksum = crc32fast::Hasher::new();
    parts.iter().for_each(|part| checksum.update(part));
    let mut out = BufWriter::new(File::create_new(path)?);
    out.write_all(MAGIC)?;
    out.write_all(&u64::from(checksum.finalize()).to_le_bytes())?;
    parts.iter().try_for_each(|part| out.write_all(part))?;
    out.flush()
}

fn header_of<'a>(kept: &Kept<'a>, key: &CacheKey, layout: &mut Layout<'a>) -> CacheHeader {
    let index = kept.index;
    let states = index.states.all().iter();
    CacheHeader {
        key: key.clone(),
        states: states
            .map(|(kind, label)| (kind.number(), label.clone()))
            .collect(),
        timelines: index
            .timelines
            .iter()
            .map(|timeline| TimelinePlaces {
                columns: [
                    layout.place(&timeline.starts),
                    layout.place(&timeline.states),
                    layout.place(&timeline.totals),
                ],
                levels: timeline
                    .levels
                    .iter()
                    .map(|level| (places_of_level(level, layout), level.end))
                    .collect(),
                end: timeline.end,
                sums: timeline.sums.to_vec(),
            })
            .collect(),
        latencies: index
            .latencies
            .iter()
            .map(|table| {
                [
                    layout.place(&table.ends),
                    layout.place(&table.lengths),
                    layout.place(&table.rows),
                    layout.place(&table.states),
                ]
            })
            .collect(),
        arrows: [
            layout.place(&index.arrows.times),
            layout.place(&index.arrows.from),
            layout.place(&index.arrows.to),
            layout.place(&index.arrows.via),
        ],
        runs: index
            .runs
            .iter()
            .map(|runs| [layout.place(&runs.starts), layout.place(&runs.rows)])
            .collect(),
        gaps: index.gaps.clone(),
        overview: index.overview.clone(),
        events: kept.events.clone(),
        findings: kept.findings.to_string(),
    }
}

fn places_of_level<'a>(level: &'a Level, layout: &mut Layout<'a>) -> [Place; 4] {
    [
        layout.place(&level.starts),
        layout.place(&level.busy),
        layout.place(&level.rest),
        layout.place(&level.parts),
    ]
}

/// The index in that file, if it is of these very traces and this program.
#[must_use]
pub(crate) fn load(path: &Path, key: &CacheKey) -> Option<(Index, EventIndex, serde_json::Value)> {
    let file = Arc::new(Mapping::open(path).ok()?);
    let rest = file.strip_prefix(MAGIC)?;
    let (checksum, rest) = rest.split_at_checked(8)?;
    if u64::from(crc32fast::hash(rest)).to_le_bytes() != checksum {
        return None;
    }
    let length = u64::from_le_bytes(rest.get(..8)?.try_into().ok()?);
    let length = usize::try_from(length).ok()?;
    if length > HEADER_BYTES_MAX {
        return None;
    }
    let mut header: CacheHeader = postcard::from_bytes(rest.get(8..)?.get(..length)?).ok()?;
    if header.key != *key {
        return None;
    }
    let start = MAGIC.len() + 16 + length.next_multiple_of(ALIGNMENT);
    let findings = serde_json::from_str(&header.findings).ok()?;
    let events = std::mem::take(&mut header.events);
    Some((Columns { file, start }.index(header)?, events, findings))
}

/// Where columns are.
struct Columns {
    file: Arc<Mapping>,
    start: usize,
}

impl Columns {
    fn column<T: Pod>(&self, place: Place) -> Option<Column<T>> {
        let start = self.start.checked_add(usize::try_from(place.0).ok()?)?;
        let end = start.checked_add(usize::try_from(place.1).ok()?)?;
        Column::mapped(&self.file, Range { start, end })
    }

    fn index(&self, header: CacheHeader) -> Option<Index> {
        let kind = |number: u8| Kind::ALL.get(usize::from(number)).copied();
        let states = header.states.into_iter();
        let states: Option<Vec<(Kind, String)>> = states
            .map(|(number, label)| Some((kind(number)?, label)))
            .collect();
        let timelines = header.timelines.into_iter();
        let timelines: Option<Vec<Timeline>> = timelines.map(|one| self.timeline(one)).collect();
        let latencies = header.latencies.into_iter();
        let latencies: Option<Vec<Latencies>> = latencies.map(|one| self.latencies(one)).collect();
        let latencies: [Latencies; LatencyKind::ALL.len()] = latencies?.try_into().ok()?;
        let runs = header.runs.into_iter();
        let runs: Option<Vec<Runs>> = runs.map(|one| self.runs(one)).collect();
        let [times, from, to, via] = header.arrows;
        let arrows = Arrows {
            times: self.column(times)?,
            from: self.column(from)?,
            to: self.column(to)?,
            via: self.column(via)?,
        };
        let length = arrows.times.len();
        let is_whole =
            arrows.from.len() == length && arrows.to.len() == length && arrows.via.len() == length;
        is_whole.then_some(())?;
        Some(Index {
            states: States::of(states?),
            timelines: timelines?,
            latencies,
            arrows,
            runs: runs?,
            gaps: header.gaps,
            overview: header.overview,
            version: 1,
            is_done: true,
        })
    }

    fn timeline(&self, places: TimelinePlaces) -> Option<Timeline> {
        let levels = places.levels.into_iter();
        let levels: Option<Vec<Level>> = levels.map(|(at, end)| self.level(at, end)).collect();
        let [starts, states, totals] = places.columns;
        let states: Column<StateId> = self.column(states)?;
        let starts = self.column(starts)?;
        (starts.len() == states.len()).then_some(())?;
        let sums: [u64; KIND_COUNT] = places.sums.try_into().ok()?;
        Some(Timeline {
            starts,
            states,
            totals: self.column(totals)?,
            levels: levels?,
            end: places.end,
            sums,
        })
    }

    fn level(&self, [starts, busy, rest, parts]: [Place; 4], end: u64) -> Option<Level> {
        Some(Level::of(
            self.column(starts)?,
            [self.column(busy)?, self.column(rest)?, self.column(parts)?],
            end,
        ))
    }

    fn latencies(&self, [ends, lengths, rows, states]: [Place; 4]) -> Option<Latencies> {
        let table = Latencies {
            ends: self.column(ends)?,
            lengths: self.column(lengths)?,
            rows: self.column(rows)?,
            states: self.column(states)?,
        };
        let count = table.ends.len();
        let is_whole = table.lengths.len() == count
            && table.rows.len() == count
            && table.states.len() == count;
        is_whole.then_some(table)
    }

    fn runs(&self, [starts, rows]: [Place; 2]) -> Option<Runs> {
        Some(Runs {
            starts: self.column(starts)?,
            rows: self.column(rows)?,
        })
    }
}
