//! `guesttrace collect`: takes the trace of a recording on another machine, or of another user, and writes the file.
//!
//! The file is that which the recording would have written. What comes is looked at on the way, so that only a trace that
//! arrived whole gets its name.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Args;
use trace_format::{Part, Tail, create_growing, partial_path};

use crate::console::Console;
use crate::endpoint::{Connection, Endpoint};
use crate::record::check_trace;
use crate::{Hint, Usage, failure};

/// What a collector answers when it has the whole trace under its name.
pub(crate) const COMPLETE: &str = "complete";
const READ_BYTES: usize = 1 << 16;

/// Take a trace that is recorded elsewhere, and write it to a file
#[derive(Debug, Args)]
#[command(after_help = "Example, on two machines:\n  \
guesttrace collect tcp:192.0.2.7:5555 -o out.bin\n  \
guesttrace record --trace tcp:192.0.2.7:5555 ...\n\n\
Whoever can connect is believed, and nothing is encrypted: across an open network, use a tunnel such as ssh's.\n\
Exit status: 0 the trace is complete, 3 the connection ended before the recording did")]
pub(crate) struct CollectArgs {
    /// Where to listen: unix:PATH or tcp:HOST:PORT
    #[arg(value_name = "LISTEN")]
    listen: PathBuf,
    /// Trace to write; `FILE.partial` until it is complete
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

/// Runs the verb.
pub(crate) fn run(args: &CollectArgs, console: &mut Console<'_>) -> Result<ExitCode> {
    let endpoint = Endpoint::parse(&args.listen).filter(|endpoint| *endpoint != Endpoint::Stdout);
    let Some(endpoint) = endpoint else {
        let usage = Usage::new(format!("cannot listen on {}", args.listen.display()));
        return Err(usage.hint("write unix:PATH or tcp:HOST:PORT").into());
    };
    endpoint.check()?;
    check_trace(&args.output)?;
    let partial = partial_path(&args.output);
    let mut connection = endpoint.accept(|| writeln!(console.talk, "listening on {endpoint}"))?;
    let taken = take(&mut connection, &partial)
        .with_context(|| format!("cannot write {}", partial.display()))
        .context(Hint("is the disk full?"))?;
    let name = args.output.display();
    if !taken.is_whole {
        let end = match taken.trouble {
            Some(trouble) => format!("what came is not whole: {trouble}"),
            None => "the connection ended before the recording did".to_owned(),
        };
        writeln!(
            console.talk,
            "error: {end}\nhint: what came is in {}; `guesttrace info` says how much of it can be used",
            partial.display()
        )?;
        return Ok(ExitCode::from(failure::BAD_DATA));
    }
    fs::rename(&partial, &args.output).with_context(|| format!("cannot rename to {name}"))?;
    // Whoever sent it may be gone, and the trace is here.
    let _ = writeln!(connection, "{COMPLETE}");
    writeln!(console.talk, "{name}: complete, {} bytes", taken.bytes)?;
    Ok(ExitCode::SUCCESS)
}

/// What came.
struct Taken {
    bytes: u64,
    is_whole: bool,
    trouble: Option<String>,
}

/// Writes what comes, up to the end of the trace or of the connection.
fn take(connection: &mut Connection, partial: &Path) -> io::Result<Taken> {
    let mut file = create_growing(partial)?;
    let mut tail = Tail::new();
    let mut taken = Taken {
        bytes: 0,
        is_whole: false,
        trouble: None,
    };
    let mut bytes = vec![0; READ_BYTES];
    while !tail.has_ended() && taken.trouble.is_none() {
        let count = match connection.read(&mut bytes) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // The other side was killed: that is how a connection ends too.
            Err(_) => break,
        };
        file.write_all(&bytes[..count])?;
        taken.bytes += count as u64;
        tail.feed(&bytes[..count]);
        taken.trouble = look(&mut tail);
    }
    file.sync_all()?;
    taken.is_whole = tail.has_ended() && taken.trouble.is_none();
    Ok(taken)
}

/// Looks at what came; says what is wrong with it.
fn look(tail: &mut Tail) -> Option<String> {
    loop {
        match tail.next_part() {
            Ok(None) => return None,
            Ok(Some(Part::Damage(damage))) => return Some(damage.to_string()),
            Ok(Some(_)) => {}
            Err(error) => return Some(error.to_string()),
        }
    }
}
