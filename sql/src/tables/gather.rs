//! Rows that the model tells while it follows a trace.

use analyzer::model::{
    FrameInterval, GuestNanos, Machine, Observer, OpenFrame, Request, ThreadIndex, ThreadInterval,
};
use analyzer::report::{Analysis, Namer, Selection, run};
use analyzer::sources::Record;
use trace_format::Severity;

use super::{Outlet, ScanError, Wish};
use crate::opened::Opened;

/// What a table makes of what the model tells. Whatever is not of interest need not be written.
pub(super) trait Feed: Default {
    /// A thread did one thing for the whole of a stretch.
    fn thread_interval(
        &mut self,
        rows: &mut Adder<'_, '_>,
        machine: &Machine,
        interval: &ThreadInterval<'_>,
    ) {
        let _ = (rows, machine, interval);
    }

    /// A thread entered a system call, trap, interrupt or softirq.
    fn frame_entered(&mut self, thread: ThreadIndex, frame: &OpenFrame) {
        let _ = (thread, frame);
    }

    /// A thread left it.
    fn frame_left(
        &mut self,
        rows: &mut Adder<'_, '_>,
        machine: &Machine,
        frame: &FrameInterval<'_>,
    ) {
        let _ = (rows, machine, frame);
    }

    /// A block device has done a request.
    fn request_done(
        &mut self,
        rows: &mut Adder<'_, '_>,
        machine: &Machine,
        request: (&Request, GuestNanos, Option<i64>),
    ) {
        let _ = (rows, machine, request);
    }
}

/// Where a table's rows go.
pub(super) struct Adder<'o, 't> {
    pub(super) outlet: &'o mut Outlet<'t>,
    /// Names of what is in the trace.
    pub(super) namer: Namer,
}

struct Gather<'o, 't, F> {
    feed: F,
    rows: Adder<'o, 't>,
    /// Nothing that ends later is wanted.
    end_max: GuestNanos,
    is_late: bool,
}

/// Hands over what a table makes of a trace.
pub(super) fn scan<F: Feed>(
    opened: &Opened,
    wish: &Wish,
    outlet: &mut Outlet<'_>,
) -> Result<(), ScanError> {
    let gather = Gather {
        feed: F::default(),
        rows: Adder {
            outlet,
            namer: Namer::new(&opened.trace),
        },
        end_max: wish.constraints.time_max(),
        is_late: false,
    };
    let pass = run(&opened.trace, &Selection::default(), gather)?;
    let found = pass.findings.into_iter();
    let bad = found.filter(|finding| finding.severity >= Severity::DataLoss);
    let new = bad.filter(|finding| !opened.findings.contains(finding));
    opened.note_findings(new.map(|finding| finding.text));
    Ok(())
}

impl<F: Feed> Analysis for Gather<'_, '_, F> {
    fn record(&mut self, _: &Machine, record: &Record<'_>) {
        self.is_late |= record.at > self.end_max;
    }

    fn is_done(&self) -> bool {
        self.is_late || self.rows.outlet.is_closed()
    }
}

impl<F: Feed> Observer for Gather<'_, '_, F> {
    fn thread_interval(&mut self, machine: &Machine, interval: &ThreadInterval<'_>) {
        self.feed.thread_interval(&mut self.rows, machine, interval);
    }

    fn frame_entered(&mut self, _: &Machine, thread: ThreadIndex, frame: &OpenFrame) {
        self.feed.frame_entered(thread, frame);
    }

    fn frame_left(&mut self, machine: &Machine, frame: &FrameInterval<'_>) {
        self.feed.frame_left(&mut self.rows, machine, frame);
    }

    fn request_done(
        &mut self,
        machine: &Machine,
        request: &Request,
        at: GuestNanos,
        error: Option<i64>,
    ) {
        self.feed
            .request_done(&mut self.rows, machine, (request, at, error));
    }
}
