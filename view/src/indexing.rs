//! Makes the index of a trace: from its file beside the trace, or by one pass.
//!
//! The pass runs in one thread, the index grows in another; answers come from what is there.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;

use analyzer::report::{Selection, run};
use analyzer::sources::{Finding, TraceError};
use serde_json::json;
use trace_format::Severity;

use crate::index::{CacheKey, Gather, Kept, load, save};
use crate::served::{Served, Status};

/// Batches that wait for the index: more would only cost memory.
const WAITING_BATCHES: usize = 4;

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

/// Goes through the trace once.
fn pass(served: &Served) -> Result<(), TraceError> {
    let trace = served.trace();
    let (out, batches) = sync_channel(WAITING_BATCHES);
    let gather = Gather::new(&trace, out);
    let passed = thread::scope(|scope| {
        let pass = scope.spawn(|| {
            let mut pass = run(&trace, &Selection::default(), gather)?;
            pass.analysis.tell(&pass.machine, pass.end.0);
            Ok::<_, TraceError>(json!(pass.findings))
        });
        for batch in batches {
            served.apply(batch);
        }
        pass.join()
    });
    let findings = match passed {
        Ok(findings) => findings?,
        // A panic of the pass is one of this program.
        Err(panic) => std::panic::resume_unwind(panic),
    };
    served.set_status(Status {
        is_live: false,
        findings,
    });
    served.finish();
    Ok(())
}

/// Makes the index in the background; a trace that cannot be read is told as one of its findings.
pub fn build_in_background(served: &Arc<Served>, keep: Keep) {
    let served = Arc::clone(served);
    thread::spawn(move || {
        if let Err(error) = build(&served, keep) {
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
