//! When CPUs go from user code into the kernel and back.

use crate::model::{Activity, CpuId, GuestNanos, Machine, Observer, Span, ThreadIndex};
use crate::report::{Analysis, Selection, run};
use crate::sources::{Trace, TraceError};

/// A CPU does something else from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// When.
    pub at: GuestNanos,
    /// Which CPU.
    pub cpu: CpuId,
    /// The thread that it runs from then on, if that is known.
    pub thread: Option<ThreadIndex>,
    /// What it did.
    pub from: Activity,
    /// What it does.
    pub to: Activity,
}

impl Transition {
    /// Whether it leaves user code for the kernel.
    #[must_use]
    pub fn enters_kernel(&self) -> bool {
        self.from == Activity::User && self.to != Activity::User
    }

    /// Whether it goes from the kernel to user code.
    #[must_use]
    pub fn leaves_kernel(&self) -> bool {
        self.from != Activity::User && self.to == Activity::User
    }
}

/// Tells every change in what the CPUs of a selection do, by CPU in order of time, and returns the machine as it is in the end.
///
/// # Errors
/// When the trace cannot be read.
pub fn transitions(
    trace: &Trace,
    selection: &Selection,
    tell: impl FnMut(&Machine, &Transition),
) -> Result<Machine, TraceError> {
    let teller = Teller {
        selection: selection.clone(),
        last: Vec::new(),
        tell,
    };
    Ok(run(trace, selection, teller)?.machine)
}

struct Teller<F> {
    selection: Selection,
    /// By CPU, what it did last and until when.
    last: Vec<Option<(Activity, GuestNanos, Option<ThreadIndex>)>>,
    tell: F,
}

impl<F: FnMut(&Machine, &Transition)> Analysis for Teller<F> {}

impl<F: FnMut(&Machine, &Transition)> Observer for Teller<F> {
    fn cpu_interval(&mut self, machine: &Machine, cpu: CpuId, activity: Activity, span: Span) {
        let slot = cpu.0 as usize;
        if self.last.len() <= slot {
            self.last.resize(slot + 1, None);
        }
        let before = self.last[slot].replace((activity, span.end, machine.current(cpu)));
        let Some((from, at, thread)) = before else {
            return;
        };
        let is_wanted = self.selection.span.contains(at) && self.selection.has_cpu(cpu);
        if is_wanted && from != activity {
            let to = activity;
            (self.tell)(
                machine,
                &Transition {
                    at,
                    cpu,
                    thread,
                    from,
                    to,
                },
            );
        }
    }
}
