//! `log`: what the kernel and programs wrote to the kernel's log and to the console, with the thread that did.

use super::names::thread_label;
use super::needs::{need, with_needs};
use super::options::Options;
use super::pass::{Analysis, run};
use super::selection::Selection;
use super::stream::{Layout, Sink};
use super::table::{Cell, column};
use crate::model::{
    Frame, FrameInterval, KernelEvent, Machine, Moment, Observer, ThreadIndex, Transfer,
    descriptor_of,
};
use crate::sources::{Finding, Trace, TraceError};

/// The rows.
pub(super) const LOG: Layout = Layout {
    name: "log",
    title: "Lines of the kernel's log, what programs wrote to it, and bytes that they wrote to the console (seconds)",
    columns: &[
        (column("at_ns", "At"), 14),
        (column("cpu", "CPU"), 3),
        (column("thread", "Thread"), -20),
        (column("kind", "Kind"), -8),
        (column("text", "Text"), -1),
    ],
};

/// Reads the trace and gives the rows.
pub(super) fn log(
    trace: &Trace,
    options: &Options,
    sink: &mut dyn Sink,
) -> Result<Vec<Finding>, TraceError> {
    let selection = &options.selection;
    let pass = run(trace, selection, Log { selection, sink })?;
    let needs = [
        need(&["printk"], "lines of the kernel are missing"),
        need(
            &["marker"],
            "what programs wrote to the kernel's log is missing",
        ),
        need(
            &["syscall_exit", "file_open"],
            "what programs wrote to the console is missing",
        ),
    ];
    Ok(with_needs(trace, pass.findings, &needs))
}

struct Log<'a> {
    selection: &'a Selection,
    sink: &'a mut dyn Sink,
}

impl Log<'_> {
    fn push(
        &mut self,
        machine: &Machine,
        moment: Moment,
        thread: Option<ThreadIndex>,
        what: (&'static str, String),
    ) {
        if !self.selection.has_of(machine, moment, thread) {
            return;
        }
        let thread = thread.map(|thread| thread_label(&machine.threads()[thread]));
        let row = [
            Cell::Time(moment.at),
            Cell::Count(u64::from(moment.cpu.0)),
            thread.map_or(Cell::Absent, Cell::Text),
            Cell::Text(what.0.to_owned()),
            Cell::Text(what.1),
        ];
        self.sink.push(&row);
    }
}

/// Whether a file is a console: the names that a program gives when it opens one.
fn is_console(name: &[u8]) -> bool {
    name == b"/dev/console" || name.starts_with(b"/dev/tty") || name == b".../dev/console"
}

impl Analysis for Log<'_> {
    fn is_done(&self) -> bool {
        self.sink.is_closed()
    }
}

impl Observer for Log<'_> {
    fn event(&mut self, machine: &Machine, moment: Moment, event: &KernelEvent<'_>) {
        let (kind, text) = match event {
            KernelEvent::Printk(line) => ("kernel", line.text),
            KernelEvent::Marker(marker) => ("program", marker.text),
            _ => return,
        };
        let text = text.trim_ascii_end();
        // The end of a line that was written in pieces says nothing.
        if !text.is_empty() {
            let thread = machine.current(moment.cpu);
            self.push(machine, moment, thread, (kind, super::guest_text(text)));
        }
    }

    fn frame_left(&mut self, machine: &Machine, interval: &FrameInterval<'_>) {
        let Frame::Syscall { abi, nr } = interval.frame() else {
            return;
        };
        let (Some(Transfer::Write), Some(bytes)) = (machine.transfer(abi, nr), interval.ret) else {
            return;
        };
        let thread = &machine.threads()[interval.thread];
        let fd = interval.open.args[0].map(descriptor_of);
        let name = fd.and_then(|fd| machine.files().name(thread.process(), fd));
        if let Some(name) = name.filter(|name| is_console(name))
            && bytes > 0
        {
            let moment = Moment {
                at: interval.span.end,
                cpu: interval.cpu,
            };
            let text = format!("{bytes} bytes to {}", super::guest_text(name));
            self.push(machine, moment, Some(interval.thread), ("console", text));
        }
    }
}
