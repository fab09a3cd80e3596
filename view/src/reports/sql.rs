//! Queries: asked of the program that is built apart, within limits of time, memory and rows.

use std::ffi::OsString;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::csv::Rows;
use crate::answer::{Answer, Refusal};
use crate::query::Query;
use crate::served::Served;

/// The program, which lies beside this one.
const PROGRAM: &str = "guesttrace-sql";

/// Rows of an answer.
const ROWS_MAX: usize = 10_000;

/// Bytes of an answer.
const BYTES_MAX: usize = 16 << 20;

/// Bytes of what the program says besides.
const TALK_BYTES_MAX: u64 = 16 << 10;

/// How long a query may take.
const TIME_MAX: Duration = Duration::from_secs(60);

/// How often one looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(50);

#[derive(Serialize)]
struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
    truncated: bool,
}

/// Where the program is, if it is there.
fn program() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    Some(own.parent()?.join(PROGRAM)).filter(|program| program.is_file())
}

/// Whether queries can be asked.
pub(crate) fn is_there() -> bool {
    program().is_some()
}

/// `api/T/sql`: the rows that a query gives.
pub(crate) fn sql(served: &Served, query: &Query) -> Result<Answer, Refusal> {
    let program = program().ok_or_else(|| Refusal::Malformed {
        text: format!("there is no {PROGRAM} beside this program"),
        hint: "cargo build --release --manifest-path sql/Cargo.toml --target-dir target".to_owned(),
    })?;
    let text = query.text("query").unwrap_or("").trim();
    if text.is_empty() {
        return Err(Refusal::malformed("the query is empty"));
    }
    let mut arguments: Vec<OsString> = vec!["sql".into(), "--format".into(), "csv".into()];
    arguments.extend(["--memory".into(), "256".into(), "--".into()]);
    arguments.extend(served.paths.iter().map(OsString::from));
    // A query is not taken for a file of that name, nor for a prompt, when something stands behind its words.
    arguments.push(format!("{text}\n").into());
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let child = child.map_err(|error| Refusal::Failed(format!("{PROGRAM}: {error}")))?;
    Asked { child }
        .table(query)
        .and_then(|table| Answer::json(&table))
}

/// The program at work; it ends with this.
struct Asked {
    child: Child,
}

/// What the program wrote.
struct Written {
    rows: Rows,
    talk: String,
}

impl Asked {
    fn table(mut self, query: &Query) -> Result<Table, Refusal> {
        let written = self.listen()?;
        let deadline = Instant::now() + TIME_MAX;
        let written = loop {
            match written.recv_timeout(LOOK) {
                Ok(written) => break written,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Refusal::Failed(format!("{PROGRAM} cannot be heard")));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if query.stop().load(Ordering::Relaxed) {
                return Err(Refusal::Failed("nobody waits for the query".to_owned()));
            }
            if Instant::now() > deadline {
                return Err(Refusal::Malformed {
                    text: format!("the query took more than {} s", TIME_MAX.as_secs()),
                    hint: "`guesttrace sql` has no such limit".to_owned(),
                });
            }
        };
        let is_cut = written.rows.is_cut();
        if !is_cut {
            let failed = |error: std::io::Error| Refusal::Failed(format!("{PROGRAM}: {error}"));
            let status = self.child.wait().map_err(failed)?;
            // A trace that is not whole is told by the status too, and said on the page already.
            if !status.success() && written.rows.is_empty() {
                return Err(Refusal::Malformed {
                    text: said(&written.talk),
                    hint: String::new(),
                });
            }
        }
        let (columns, rows) = written.rows.finish();
        Ok(Table {
            columns,
            rows,
            truncated: is_cut,
        })
    }

    /// Hears what the program writes, in threads of their own.
    fn listen(&mut self) -> Result<Receiver<Written>, Refusal> {
        let deaf = || Refusal::Failed(format!("{PROGRAM} cannot be heard"));
        let mut out = self.child.stdout.take().ok_or_else(deaf)?;
        let talk = self.child.stderr.take().ok_or_else(deaf)?;
        let talk = thread::spawn(move || {
            let mut text = Vec::new();
            // What was said before it broke off is all there is.
            let _ = talk.take(TALK_BYTES_MAX).read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let (tell, told) = channel();
        thread::spawn(move || {
            let mut rows = Rows::at_most(ROWS_MAX, BYTES_MAX);
            let mut block = vec![0; 1 << 16];
            while let Ok(length) = out.read(&mut block) {
                if length == 0 || !rows.add(&block[..length]) {
                    break;
                }
            }
            let talk = if rows.is_cut() {
                String::new()
            } else {
                talk.join().unwrap_or_default()
            };
            // Whoever asked may have gone.
            let _ = tell.send(Written { rows, talk });
        });
        Ok(told)
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        // One that has ended cannot be ended, and that is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is wrong, without the warnings about the trace.
fn said(talk: &str) -> String {
    let lines = talk.lines().filter(|line| !line.starts_with("warning: "));
    let text = lines.collect::<Vec<_>>().join("\n");
    let text = text.strip_prefix("error: ").unwrap_or(&text).trim();
    if text.is_empty() {
        return "the query failed".to_owned();
    }
    text.to_owned()
}
