//! `guesttrace events --follow`: the events of a recording as they come.

use std::path::Path;
use std::process::ExitCode;
use std::thread;

use analyzer::sources::{Following, Found, POLL, Step};
use anyhow::{Context as _, Result};

use super::{EventsArgs, Lines, exit_code, show};
use crate::console::Console;
use crate::tell;
use crate::time::span_within;

/// Runs the verb.
pub(super) fn run(args: &EventsArgs, console: &mut Console<'_>) -> Result<ExitCode> {
    let trace = args.traces.only("--follow")?;
    let mut following = if trace == Path::new("-") {
        Following::stdin()
    } else {
        match find(trace, console)? {
            Some(following) => following,
            None => return show(args, &tell::open(trace)?, console),
        }
    };
    let follower = follow(&mut following, args, console);
    let is_enough = follower.with_context(|| format!("cannot read {}", trace.display()))?;
    // Whether it will be complete concerns nobody who has all that was asked for.
    let is_read = following.trailer().is_some() || !is_enough;
    let mut findings = following.findings();
    findings.retain(|finding| is_read || finding.name != "recording_cut");
    tell::warn(&findings, console.talk)?;
    Ok(exit_code(tell::is_unreliable(&findings)))
}

/// Waits for a trace; none if it is complete.
fn find(path: &Path, console: &mut Console<'_>) -> Result<Option<Following>> {
    let mut is_told = false;
    loop {
        match Following::find(path)? {
            Found::Growing(following) => return Ok(Some(*following)),
            Found::Complete => return Ok(None),
            Found::Nothing => {}
        }
        if !is_told {
            is_told = true;
            writeln!(console.talk, "waiting for {}", path.display())?;
        }
        thread::sleep(POLL);
    }
}

/// Shows what comes; tells whether no more was wanted.
fn follow(following: &mut Following, args: &EventsArgs, console: &mut Console<'_>) -> Result<bool> {
    let time = &args.part.time;
    let span = span_within(time.from, time.to, None)?;
    let mut shown: Option<Lines> = None;
    while let Some(step) = following.next_step()? {
        match (step, &mut shown) {
            (Step::Header(header), _) => {
                shown = Some(Lines::new(args, span, &header.schema, console)?);
                console.out.flush()?;
            }
            (Step::Symbols(symbols), Some(lines)) => lines.writer.set_symbols(symbols),
            (Step::Certain(stream, tsc), Some(lines)) => {
                while lines.left > 0 && lines.take(stream, console)? {}
                lines.flush(console)?;
                console.out.flush()?;
                let now = stream.clock().map(|clock| clock.nanos(tsc));
                let end = lines.choice.selection.span.end;
                let is_past = tsc != u64::MAX && now.is_some_and(|now| now >= end);
                if lines.left == 0 || is_past {
                    return Ok(true);
                }
            }
            (Step::Symbols(_) | Step::Certain(..), None) => {}
        }
    }
    if let Some(lines) = &mut shown {
        lines.finish(console)?;
    }
    Ok(false)
}
