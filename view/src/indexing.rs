//! Makes the index of a trace: from its file beside the trace, or by one pass.
//!
//! The pass runs in one thread, the index grows in another; answers come from what is there.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use analyzer::report::{PassReader, Selection, run};
use analyzer::sources::{Finding, FollowError, Following, Step, Trace, TraceError};
use serde_json::json;
use trace_format::{Severity, partial_path};

use crate::index::{Batch, CacheKey, Gather, Kept, load, save};
use crate::served::{Served, Status};

/// Batches that wait for the index: more would only cost memory.
const WAITING_BATCHES: usize = 4;

/// How often what is new of a recording that goes on is shown.
const LOOK_PERIOD: Duration = Duration::from_millis(700);

/// Where an index is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Beside the trace.
    Beside,
    /// Nowhere.
    Nowhere,
}

/// Makes the index of a trace, and returns when it is complete.
///
/// # Errors
/// When the trace cannot be read.
pub fn build(served: &Served, keep: Keep) -> Result<(), TraceError> {
    let key = match keep {
        Keep::Beside => CacheKey::of(&served.paths),
        Keep::Nowhere => None,
    };
    let file = CacheKey::file(&served.paths);
    if let (Some(key), Some(file)) = (&key, &file)
        && let Some((index, events, findings)) = load(file, key)
    {
        served.events.publish(events);
        served.replace_index(index);
        served.set_status(Status {
            is_live: false,
            findings,
        });
        return Ok(());
    }
    pass(served)?;
    if let (Some(key), Some(file)) = (&key, &file) {
        // Without the file the next start takes longer, and nothing else is different.
        let (index, events) = (served.index(), served.events.index());
        let kept = Kept {
            index: &index,
            events: &events,
            findings: &served.status().findings,
        };
        let saved = save(&kept, key, file);
        drop(index);
        // From the file it takes only the memory of what is looked at.
        if saved.is_ok()
            && let Some((index, ..)) = load(file, key)
        {
            served.replace_index(index);
        }
    }
    Ok(())
}

/// Does work that hands over batches in a thread of its own, and takes them into the index meanwhile.
fn while_applying<T: Send>(served: &Served, work: impl FnOnce(SyncSender<Batch>) -> T + Send) -> T {
    let (out, batches) = sync_channel(WAITING_BATCHES);
    let worked = thread::scope(|scope| {
        let worker = scope.spawn(|| work(out));
        for batch in batches {
            served.apply(batch);
        }
        worker.join()
    });
    // A panic of the work is one of this program.
    worked.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Goes through the trace once.
fn pass(served: &Served) -> Result<(), TraceError> {
    let trace = served.trace();
    let findings = while_applying(served, |out| {
        let mut pass = run(&trace, &Selection::default(), Gather::new(&trace, out))?;
        pass.analysis.tell(&pass.machine, pass.end.0);
        Ok::<_, TraceError>(json!(pass.findings))
    })?;
    served.set_status(Status {
        is_live: false,
        findings,
    });
    served.finish();
    Ok(())
}

/// Makes the index of a recording while that goes on, and returns when it is over.
///
/// # Errors
/// When it cannot be read.
pub fn follow(served: &Served, following: Following) -> Result<(), FollowError> {
    while_applying(served, |out| follow_steps(served, following, out))?;
    served.finish();
    Ok(())
}

fn follow_steps(
    served: &Served,
    mut following: Following,
    out: SyncSender<Batch>,
) -> Result<(), FollowError> {
    let mut looked = Instant::now();
    let mut pass = PassReader::new(&served.trace(), Gather::new(&served.trace(), out));
    pass.parts_mut().0.leave_telling_to_others();
    while let Some(step) = following.next_step()? {
        match step {
            Step::Header(_) => {}
            Step::Symbols(_) => {
                look_again(served)?;
                pass.parts_mut().0.name_by(&served.trace());
            }
            Step::Certain(stream, _) => {
                pass.read(stream, &Selection::default())?;
                if looked.elapsed() >= LOOK_PERIOD {
                    // What reports and lists say must not lag behind what is drawn.
                    look_again(served)?;
                    let (gather, machine) = pass.parts_mut();
                    gather.tell_now(machine);
                    looked = Instant::now();
                }
            }
        }
        if looked.elapsed() >= LOOK_PERIOD {
            served.set_status(Status {
                is_live: true,
                findings: json!(following.findings()),
            });
        }
    }
    look_again(served)?;
    let trace = served.trace();
    let mut pass = pass.finish(
        trace.duration(),
        &Selection::default(),
        following.findings(),
    );
    pass.analysis.tell(&pass.machine, pass.end.0);
    served.set_status(Status {
        is_live: false,
        findings: json!(pass.findings),
    });
    Ok(())
}

/// Opens a recording's file as it is by now: it loses its last name when it is complete.
fn look_again(served: &Served) -> Result<(), TraceError> {
    let Some(path) = served.paths.first() else {
        return Ok(());
    };
    let partial = partial_path(path);
    let trace = Trace::open(&partial).or_else(|_| Trace::open(path))?;
    served.replace_trace(trace);
    Ok(())
}

/// Makes the index in the background; a trace that cannot be read is told as one of its findings.
pub fn build_in_background(served: &Arc<Served>, keep: Keep) {
    in_background(served, move |served| {
        build(served, keep).map_err(|error| error.to_string())
    });
}

/// Makes the index of a recording that goes on in the background.
pub fn follow_in_background(served: &Arc<Served>, following: Following) {
    in_background(served, move |served| {
        follow(served, following).map_err(|error| error.to_string())
    });
}

fn in_background(
    served: &Arc<Served>,
    work: impl FnOnce(&Served) -> Result<(), String> + Send + 'static,
) {
    let served = Arc::clone(served);
    thread::spawn(move || {
        if let Err(error) = work(&served) {
            let text = format!("The trace cannot be read to its end: {error}.");
            let finding = Finding::of_file(Severity::Error, text);
            served.set_status(Status {
                is_live: false,
                findings: json!([finding]),
            });
            served.finish();
        }
    });
}
