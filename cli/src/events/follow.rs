//! `guesttrace events --follow`: the events of a recording as they come.
//!
//! A file that grows is read on from where it was. It is at its end when its last block is there; it was cut when nobody
//! holds the lock of whoever writes it any more. A recording in several files is followed from one to the next.

use std::fs::File;
use std::io::{self, Read as _, Stdin};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use analyzer::sources::{
    LiveStream, RecordStream as _, Symbols, Trace, findings_of_parts, sort_findings,
};
use anyhow::{Context as _, Result};
use trace_format::{
    Diagnostic, END_CONTINUED, Part, SymbolTable, Tail, Trailer, is_growing, later_part_files,
    part_path, partial_path,
};

use super::{EventsArgs, Lines, exit_code, show};
use crate::console::Console;
use crate::tell;

/// How often it is looked whether more has come.
const POLL: Duration = Duration::from_millis(50);
/// Bytes that are read at once.
const READ_BYTES: usize = 1 << 16;

/// Runs the verb.
pub(super) fn run(args: &EventsArgs, console: &mut Console<'_>) -> Result<ExitCode> {
    let trace = args.traces.only("--follow")?;
    let name = trace.display();
    let input = if trace == Path::new("-") {
        Input::Pipe(io::stdin())
    } else {
        match find(trace, console)? {
            Found::Complete(trace) => return show(args, &trace, console),
            Found::Growing(file) => Input::File(file),
        }
    };
    let mut follower = Follower::default();
    follower
        .follow_files(input, args, console)
        .with_context(|| format!("cannot read {name}"))?;
    follower.conclude(console)
}

/// What there is of a trace.
enum Found {
    Complete(Box<Trace>),
    /// Somebody writes it, or did.
    Growing(File),
}

/// Waits for a trace.
fn find(path: &Path, console: &mut Console<'_>) -> Result<Found> {
    let mut is_told = false;
    loop {
        if let Some(found) = look_for(path)? {
            return Ok(found);
        }
        if !is_told {
            is_told = true;
            writeln!(console.talk, "waiting for {}", path.display())?;
        }
        thread::sleep(POLL);
    }
}

fn look_for(path: &Path) -> Result<Option<Found>> {
    let partial = match path.extension() {
        Some(extension) if extension == "partial" => path.to_owned(),
        _ => partial_path(path),
    };
    let growing = open_if_there(&partial)?;
    // What a recording that was killed has left must not hide a complete one.
    if growing.as_ref().is_none_or(|file| !is_growing(file))
        && partial != path
        && path.try_exists().unwrap_or(true)
    {
        let is_going_on = |part: &PathBuf| File::open(part).is_ok_and(|file| is_growing(&file));
        if later_part_files(path).iter().any(is_going_on) {
            return Ok(open_if_there(path)?.map(Found::Growing));
        }
        return Ok(Some(Found::Complete(Box::new(tell::open(path)?))));
    }
    Ok(growing.map(Found::Growing))
}

/// Opens a later file of a recording, which is there before the one before it is complete.
fn open_part(path: &Path) -> Result<File> {
    let growing = open_if_there(&partial_path(path))?.filter(is_growing);
    match growing {
        Some(file) => Ok(file),
        None => File::open(path).with_context(|| format!("{} is missing", path.display())),
    }
}

fn open_if_there(path: &Path) -> Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Where a trace comes from.
enum Input {
    Pipe(Stdin),
    File(File),
}

impl Input {
    /// Reads what has come, waiting for it; 0 when nothing more can come.
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let file = match self {
            Self::Pipe(stdin) => return stdin.read(bytes),
            Self::File(file) => file,
        };
        // A recorder locks its file right after it made it: only what has no lock twice has nobody who writes it.
        let mut is_left = false;
        loop {
            let was_left = is_left;
            is_left = !is_growing(file);
            let count = file.read(bytes)?;
            if count > 0 || (was_left && is_left) {
                return Ok(count);
            }
            thread::sleep(POLL);
        }
    }
}

/// Shows what comes.
#[derive(Default)]
struct Follower {
    tail: Tail,
    shown: Option<Shown>,
    damage: Vec<Diagnostic>,
    trailer: Option<Trailer>,
    lost: u64,
    /// Whether nothing more is wanted.
    is_enough: bool,
}

/// What can only be known from the header on.
struct Shown {
    stream: LiveStream,
    lines: Lines,
}

impl Follower {
    /// Follows a trace from its first file to its last.
    fn follow_files(
        &mut self,
        mut input: Input,
        args: &EventsArgs,
        console: &mut Console<'_>,
    ) -> Result<()> {
        let trace = args.traces.only("--follow")?;
        let is_continued = |trailer: &mut Trailer| trailer.end_reason == END_CONTINUED;
        for number in 1.. {
            self.follow(input, args, console)?;
            let is_one_of_several = self.trailer.take_if(is_continued).is_some();
            if !is_one_of_several || self.is_enough || trace == Path::new("-") {
                break;
            }
            input = Input::File(open_part(&part_path(trace, number))?);
            self.tail.next_file();
        }
        self.advance(u64::MAX, console)?;
        match &mut self.shown {
            Some(shown) if !self.is_enough => shown.lines.finish(console),
            _ => Ok(()),
        }
    }

    /// Follows one file to its end.
    fn follow(
        &mut self,
        mut input: Input,
        args: &EventsArgs,
        console: &mut Console<'_>,
    ) -> Result<()> {
        let mut bytes = vec![0; READ_BYTES];
        while !self.is_enough {
            if let Some(part) = self.tail.next_part()? {
                self.take(part, args, console)?;
                continue;
            }
            if self.tail.has_ended() {
                break;
            }
            let count = input.read(&mut bytes)?;
            if count == 0 {
                break;
            }
            self.tail.feed(&bytes[..count]);
        }
        if !self.tail.has_header() {
            anyhow::bail!("it ends before its header does: nothing was recorded");
        }
        Ok(())
    }

    fn take(&mut self, part: Part, args: &EventsArgs, console: &mut Console<'_>) -> Result<()> {
        match (part, &mut self.shown) {
            (Part::Header(header), None) => {
                self.shown = Some(Shown {
                    stream: LiveStream::new(&header)?,
                    lines: Lines::new(args, &header.schema, console)?,
                });
                console.out.flush()?;
            }
            (Part::Chunk(chunk), Some(shown)) => {
                self.lost = self.lost.saturating_add(chunk.info().lost_before);
                shown.stream.push(chunk)?;
            }
            (Part::Symbols, Some(shown)) => {
                let table = self.tail.symbols();
                shown.lines.writer.set_symbols(symbols(&table));
            }
            (Part::UpTo(tsc), Some(_)) => self.advance(tsc, console)?,
            (Part::Trailer(trailer), _) => self.trailer = Some(*trailer),
            (Part::Damage(damage), _) => self.damage.push(damage),
            _ => {}
        }
        Ok(())
    }

    /// Shows all that is certain now.
    fn advance(&mut self, tsc: u64, console: &mut Console<'_>) -> Result<()> {
        let Some(Shown { stream, lines }) = &mut self.shown else {
            return Ok(());
        };
        stream.advance(tsc)?;
        while lines.left > 0 && lines.take(stream, console)? {}
        lines.flush(console)?;
        console.out.flush()?;
        let now = stream.clock().map(|clock| clock.nanos(tsc));
        let end = lines.choice.selection.span.end;
        let is_past = tsc != u64::MAX && now.is_some_and(|now| now >= end);
        self.is_enough |= lines.left == 0 || is_past;
        Ok(())
    }

    /// Says what is missing, as for a trace that is there.
    fn conclude(self, console: &mut Console<'_>) -> Result<ExitCode> {
        // Whether it will be complete concerns nobody who has all that was asked for.
        let trailer = self.trailer.as_ref();
        let is_read = trailer.is_some() || !self.is_enough;
        let mut findings = findings_of_parts(&self.damage, trailer, self.lost);
        if let Some(shown) = &self.shown {
            findings.extend(shown.stream.damage());
            sort_findings(&mut findings);
        }
        findings.retain(|finding| is_read || finding.name != "recording_cut");
        tell::warn(&findings, console.talk)?;
        Ok(exit_code(tell::is_unreliable(&findings)))
    }
}

fn symbols(table: &SymbolTable) -> Symbols {
    Symbols::new(&table.symbols, table.kernel_slide.unwrap_or(0))
}
