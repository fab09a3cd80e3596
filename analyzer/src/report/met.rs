//! Whether the threads that a question names are in the trace at all: an empty table does not tell.
//!
//! Looks at records until every name was met, which costs nothing after the first moments of most traces.

use std::collections::BTreeSet;

use guesttrace_filter::nearest;
use trace_format::Severity;

use super::glob::Glob;
use super::selection::Selection;
use crate::model::{Machine, Pid, Span, Tid};
use crate::sources::{Finding, Item, NO_SUCH_THREAD, Range, Trace, TraceError};

/// What the kernel keeps of a thread's name.
const COMM_BYTES_MAX: usize = 15;

/// The threads that are asked for and were not met yet.
#[derive(Debug)]
pub(crate) struct Met {
    comms: Vec<Glob>,
    pids: Vec<Pid>,
    tids: Vec<Tid>,
    /// Of the threads that are there; only needed when something is not.
    names: BTreeSet<Vec<u8>>,
    /// Those of the numbers of processes that are asked for which other processes' threads have.
    others: Vec<(Tid, Pid)>,
    /// Whether only a part of the trace is looked at.
    is_part: bool,
}

impl Met {
    /// Begins to look for the threads that a selection names, and for those of these numbers.
    pub(crate) fn new(selection: &Selection, tids: &[Tid]) -> Self {
        Self {
            comms: selection.comms.clone(),
            pids: selection.pids.clone(),
            tids: tids.to_vec(),
            names: BTreeSet::new(),
            others: Vec::new(),
            is_part: selection.span.end < Span::ALL.end,
        }
    }

    /// Whether every one was met.
    pub(crate) fn is_all(&self) -> bool {
        self.comms.is_empty() && self.pids.is_empty() && self.tids.is_empty()
    }

    /// This thread is there.
    pub(crate) fn see(&mut self, pid: Pid, tid: Tid, comm: &[u8]) {
        self.comms.retain(|glob| !glob.matches(comm));
        self.pids.retain(|wanted| *wanted != pid);
        self.tids.retain(|wanted| *wanted != tid);
        if !self.comms.is_empty() && !self.names.contains(comm) {
            self.names.insert(comm.to_vec());
        }
        let other = (tid, pid);
        if self.pids.contains(&Pid(tid.0)) && !self.others.contains(&other) {
            self.others.push(other);
        }
    }

    /// These threads are there.
    pub(crate) fn see_all(&mut self, machine: &Machine) {
        for (_, thread) in machine.threads().iter() {
            self.see(thread.process(), thread.tid, &thread.comm);
        }
    }

    /// What is not there, with what was probably meant.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let comms = self.comms.iter().map(|glob| self.no_name(&glob.text()));
        let pids = self.pids.iter().map(|pid| {
            let other = self.others.iter().find(|(tid, _)| tid.0 == pid.0);
            let advice = match other {
                Some((tid, pid)) => format!("{} is a thread of process {}", tid.0, pid.0),
                None => "`guesttrace report processes` has the processes and threads".to_owned(),
            };
            self.finding(format!("No process {}", pid.0), advice)
        });
        let tids = self.tids.iter().map(|tid| {
            let advice = "`guesttrace report processes` has the processes and threads".to_owned();
            self.finding(format!("No thread {}", tid.0), advice)
        });
        comms.chain(pids).chain(tids).collect()
    }

    fn no_name(&self, wanted: &str) -> Finding {
        let names: BTreeSet<String> = (self.names.iter())
            .map(|name| super::guest_text(name))
            .collect();
        let kept: String = wanted.chars().take(COMM_BYTES_MAX).collect();
        let stem = kept.trim_matches(['*', '?']);
        let holds = |name: &&String| !stem.is_empty() && name.contains(stem);
        let meant = nearest(&kept, names.iter().map(String::as_str))
            .or_else(|| names.iter().find(holds).cloned());
        let advice = match meant {
            Some(name) if kept.len() < wanted.len() && name == kept => {
                format!("the kernel keeps {COMM_BYTES_MAX} bytes of a name: {name:?}")
            }
            Some(name) => format!("did you mean {name:?}?"),
            None => "`guesttrace report processes` has the names".to_owned(),
        };
        self.finding(format!("No thread called {wanted:?}"), advice)
    }

    fn finding(&self, what: String, advice: String) -> Finding {
        let whole = if self.is_part {
            " before the end of the chosen time"
        } else {
            ""
        };
        Finding {
            severity: Severity::Notice,
            name: NO_SUCH_THREAD.to_owned(),
            count: None,
            text: format!("{what} is in the trace{whole}."),
            advice,
            is_gap: false,
            is_damage: false,
        }
    }
}

/// The threads that are asked for and are not in a trace, for those who have shown nothing of any.
///
/// # Errors
/// When the trace cannot be read.
pub fn absent_threads(
    trace: &Trace,
    selection: &Selection,
    tids: &[Tid],
) -> Result<Vec<Finding>, TraceError> {
    let mut met = Met::new(selection, tids);
    met.is_part = false;
    if met.is_all() {
        return Ok(Vec::new());
    }
    let mut stream = trace.stream(&Range::default())?;
    while let Some(item) = stream.next_item()? {
        if let Item::Record(record) = item {
            let context = record.context;
            met.see(context.pid, context.tid, &context.comm);
            if met.is_all() {
                break;
            }
        }
    }
    Ok(met.findings())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said where these threads are in the trace.
    fn check(comm: &str, there: &[&str], expected: &[(&str, &str)]) {
        let selection = Selection {
            comms: vec![Glob::new(comm)],
            ..Selection::default()
        };
        let mut met = Met::new(&selection, &[]);
        for name in there {
            met.see(Pid(1), Tid(1), name.as_bytes());
        }
        let findings = met.findings();
        let said: Vec<_> = { findings.iter() }
            .map(|finding| (finding.text.as_str(), finding.advice.as_str()))
            .collect();
        assert_eq!(said, expected);
    }

    #[test]
    fn a_name_that_is_not_there_is_told_with_the_nearest() {
        check("sh", &["init", "sh"], &[]);
        check("s*", &["init", "sh"], &[]);
        check(
            "exercize",
            &["init", "exercise"],
            &[(
                "No thread called \"exercize\" is in the trace.",
                "did you mean \"exercise\"?",
            )],
        );
        check(
            "kworker",
            &["init", "kworker/0:1"],
            &[(
                "No thread called \"kworker\" is in the trace.",
                "did you mean \"kworker/0:1\"?",
            )],
        );
        check(
            "guesttrace-helper",
            &["guesttrace-help"],
            &[(
                "No thread called \"guesttrace-helper\" is in the trace.",
                "the kernel keeps 15 bytes of a name: \"guesttrace-help\"",
            )],
        );
    }

    #[test]
    fn a_number_of_a_thread_is_not_that_of_a_process() {
        let selection = Selection {
            pids: vec![Pid(7), Pid(8)],
            ..Selection::default()
        };
        let mut met = Met::new(&selection, &[Tid(9)]);
        met.see(Pid(7), Tid(7), b"one");
        met.see(Pid(7), Tid(8), b"other");
        let findings = met.findings();
        let said: Vec<_> = { findings.iter() }
            .map(|finding| (finding.text.as_str(), finding.advice.as_str()))
            .collect();
        let expected = [
            (
                "No process 8 is in the trace.",
                "8 is a thread of process 7",
            ),
            (
                "No thread 9 is in the trace.",
                "`guesttrace report processes` has the processes and threads",
            ),
        ];
        assert_eq!(said, expected);
    }
}
