//! What a tracer inside costs: the instructions that the guest executed between two marks, with it and without.
//!
//! In deterministic time the guest's clock counts instructions while a CPU does not sleep, so a CPU's time apart from its
//! idle thread is a number of instructions, exactly.

use crate::model::{Activity, CpuId, GuestNanos, KernelEvent, Machine, Moment, Observer, Span};
use crate::report::{Analysis, Selection, run};
use crate::sources::{Trace, TraceError};

/// Marks that the guest's init writes into the kernel's log around what is traced.
const BEGIN: &[u8] = b"native-begin";
const END: &[u8] = b"native-end";

/// Instructions between the marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cost {
    pub(super) without: u64,
    pub(super) with: u64,
}

/// Measures it; a sentence where one of the traces does not tell.
pub(super) fn cost(without: &Trace, with: &Trace) -> Result<Result<Cost, String>, TraceError> {
    let (without, with) = (instructions(without)?, instructions(with)?);
    Ok(match (without, with) {
        (Some(without), Some(with)) => Ok(Cost { without, with }),
        _ => Err("A trace lacks the marks native-begin and native-end, or its clock does not count instructions, so the cost is not known.".to_owned()),
    })
}

fn instructions(trace: &Trace) -> Result<Option<u64>, TraceError> {
    let Some(nanos) = nanos_of_instruction(trace) else {
        return Ok(None);
    };
    let marks = run(trace, &Selection::default(), Marks::default())?.analysis;
    let (Some(start), Some(end)) = (marks.begin, marks.end) else {
        return Ok(None);
    };
    let selection = Selection {
        span: Span { start, end },
        ..Selection::default()
    };
    let busy = Busy {
        span: selection.span,
        time: GuestNanos(0),
    };
    let busy = run(trace, &selection, busy)?.analysis;
    Ok(Some(busy.time.0 / nanos))
}

/// Nanoseconds of an instruction: QEMU's `-icount shift=N` makes it 2^N.
fn nanos_of_instruction(trace: &Trace) -> Option<u64> {
    let arguments = &trace.own()?.header().machine.qemu_arguments;
    let option = arguments
        .iter()
        .find_map(|argument| argument.strip_prefix("shift="))?;
    let shift: u32 = option.split(',').next()?.parse().ok()?;
    1u64.checked_shl(shift)
}

/// When the marks were.
#[derive(Debug, Default)]
struct Marks {
    begin: Option<GuestNanos>,
    end: Option<GuestNanos>,
}

impl Observer for Marks {
    fn event(&mut self, _: &Machine, moment: Moment, event: &KernelEvent<'_>) {
        if let KernelEvent::Marker(marker) = event {
            let has = |mark: &[u8]| marker.text.windows(mark.len()).any(|text| text == mark);
            if has(BEGIN) {
                self.begin.get_or_insert(moment.at);
            } else if has(END) {
                self.end = Some(moment.at);
            }
        }
    }
}

impl Analysis for Marks {}

/// Time of all CPUs apart from idle threads.
#[derive(Debug)]
struct Busy {
    span: Span,
    time: GuestNanos,
}

impl Observer for Busy {
    fn cpu_interval(&mut self, _: &Machine, _: CpuId, activity: Activity, span: Span) {
        if activity != Activity::Idle {
            self.time += span.within(self.span).length();
        }
    }
}

impl Analysis for Busy {}
