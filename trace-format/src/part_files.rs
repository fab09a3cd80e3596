//! The files of a recording that was written in several: their names, and which of them belong together.
//!
//! `out.bin` goes on in `out.1.bin`, that in `out.2.bin`. A file belongs to the one before it when it has the identity
//! of the same recording, says its own number, and each CPU is where the file before left it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::header::END_CONTINUED;
use crate::part::CpuPlace;
use crate::reader::ReadError;
use crate::volume::Volume;

/// Most files that are read as one: each is mapped into memory.
const FILES_MAX: usize = 10_000;
/// Ends the name of a file that is not complete.
const PARTIAL: &str = ".partial";

/// Name of the file with that number of the recording that begins in `first`; 0 is that file itself.
#[must_use]
pub fn part_path(first: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return first.to_owned();
    }
    let mut name = first.file_stem().unwrap_or_default().to_owned();
    name.push(format!(".{number}"));
    if let Some(extension) = first.extension() {
        name.push(".");
        name.push(extension);
    }
    first.with_file_name(name)
}

/// Files beside `first` that have the names of later ones of its recording, complete or not, in their order.
#[must_use]
pub fn later_part_files(first: &Path) -> Vec<PathBuf> {
    let complete = whole_name(first);
    let paths = numbers(&complete).into_iter().flat_map(|number| {
        let path = part_path(&complete, number);
        [path.clone(), partial_path(&path)]
    });
    paths.filter(|path| path.is_file()).collect()
}

/// Whether a file is one of a recording in several, and not the first.
#[must_use]
pub fn is_later_part(path: &Path) -> bool {
    let part = Volume::open(path).ok().and_then(|volume| volume.part);
    part.and_then(|part| part.number)
        .is_some_and(|number| number > 0)
}

/// Name of a file while it is written.
#[must_use]
pub fn partial_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(PARTIAL);
    name.into()
}

/// The name that a file has when it is complete.
fn whole_name(path: &Path) -> PathBuf {
    let name = path.file_name().and_then(|name| name.to_str());
    match name.and_then(|name| name.strip_suffix(PARTIAL)) {
        Some(name) => path.with_file_name(name),
        None => path.to_owned(),
    }
}

/// Numbers of the later files that the directory has.
fn numbers(first: &Path) -> BTreeSet<u32> {
    let dir = match first.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let stem = first.file_stem().unwrap_or_default().to_string_lossy();
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let number = |entry: fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let rest = name.strip_prefix(&*stem)?.strip_prefix('.')?;
        let number: u32 = rest.split('.').next()?.parse().ok()?;
        let path = part_path(first, number);
        let expected = path.file_name()?.to_string_lossy().into_owned();
        let is_it = number > 0
            && name
                .strip_prefix(&expected)
                .is_some_and(|rest| rest.is_empty() || rest == PARTIAL);
        is_it.then_some(number)
    };
    entries.filter_map(number).collect()
}

/// Adds the later files of the recording whose first file is in `volumes`.
pub(crate) fn find_parts(path: &Path, volumes: &mut Vec<Volume>, found: &mut Diagnostics) {
    let first = whole_name(path);
    let mut places = places_after(&BTreeMap::new(), &volumes[0]);
    let mut expected = 1;
    for number in numbers(&first) {
        if !goes_on(volumes) || volumes.len() >= FILES_MAX {
            break;
        }
        let path = part_path(&first, number);
        let opened = Volume::open(&path).or_else(|error| match error {
            ReadError::Io { .. } => Volume::open(&partial_path(&path)),
            error => Err(error),
        });
        let volume = match opened {
            Ok(volume) => volume,
            Err(error) => {
                let reason = error.to_string();
                found.push(Diagnostic::FileUnreadable { number, reason });
                continue;
            }
        };
        if !belongs(&volume, volumes[0].recording, number, &places) {
            found.push(Diagnostic::FileForeign { number });
            continue;
        }
        for number in expected..number {
            found.push(Diagnostic::FileMissing { number });
        }
        places = places_after(&places, &volume);
        expected = number.saturating_add(1);
        volumes.push(volume);
    }
    if goes_on(volumes) && volumes.last().is_some_and(|last| last.trailer.is_some()) {
        found.push(Diagnostic::FileMissing { number: expected });
    }
}

/// Whether more may follow: the last file says so, or cannot say anything any more.
fn goes_on(volumes: &[Volume]) -> bool {
    let trailer = volumes.last().and_then(|last| last.trailer.as_ref());
    trailer.is_none_or(|trailer| trailer.end_reason == END_CONTINUED)
}

/// Where each CPU is after a file.
fn places_after(before: &BTreeMap<u32, CpuPlace>, volume: &Volume) -> BTreeMap<u32, CpuPlace> {
    let mut places = before.clone();
    for chunk in &volume.index.chunks {
        let place = CpuPlace {
            cpu: chunk.cpu,
            sequence: chunk.sequence.saturating_add(1),
            tsc: chunk.last_tsc,
        };
        places.insert(chunk.cpu, place);
    }
    places
}

fn belongs(volume: &Volume, recording: u32, number: u32, places: &BTreeMap<u32, CpuPlace>) -> bool {
    let Some(part) = volume.part.as_ref() else {
        return false;
    };
    // Where chunks are missing between them the stamps differ, as they must.
    let follows = |told: &CpuPlace| match places.get(&told.cpu) {
        Some(place) if place.sequence == told.sequence => place.tsc == told.tsc,
        Some(place) => place.sequence < told.sequence,
        None => true,
    };
    volume.recording == recording && part.number == Some(number) && part.cpus.iter().all(follows)
}
