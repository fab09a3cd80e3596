//! Traces of every source to one model, and from there to reports and exports.
//!
//! Input: a trace. Output: tables and lines of text. Does not record, and knows nothing of QEMU.
//!
//! # A library for programs of your own
//!
//! A trace is opened, and its events come one by one, each with its time, thread and fields:
//!
//! ```
//! use analyzer::browse::Browser;
//! use analyzer::sources::Trace;
//!
//! let trace = Trace::open("tests/golden/first_program.trace")?;
//! let mut browser = Browser::new(&trace)?;
//! let first = browser.next_event()?.expect("a trace with events").clone();
//! assert_eq!(browser.name(&first), "tick");
//! assert_eq!((first.at.0, first.cpu.0, first.tid.0), (1000, 0, 0));
//! # Ok::<(), analyzer::sources::TraceError>(())
//! ```
//!
//! A [`browse::Browser`] goes backward as well, from any time, and finds events by the filters of the command line:
//!
//! ```
//! use analyzer::browse::Browser;
//! use analyzer::model::GuestNanos;
//! use analyzer::sources::Trace;
//! use guesttrace_filter::Filter;
//!
//! let trace = Trace::open("tests/golden/first_program.trace")?;
//! let exec = Filter::parse("event == sched_process_exec")?.bind(trace.schema())?;
//!
//! let mut browser = Browser::new(&trace)?;
//! browser.seek(GuestNanos(20_000))?;
//! let event = browser.find_previous(&exec)?.expect("a program was started").clone();
//! assert_eq!(browser.text(&event, "filename").as_deref(), Some("/sbin/init"));
//! assert_eq!(browser.number(&event, "pid"), Some(1));
//!
//! // The place is before what was found: going forward gives it again.
//! assert_eq!(browser.next_event()?, Some(&event));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The model knows at each event who runs where, and in the end who there was. This is where control goes into the kernel
//! and back, and the tree of processes:
//!
//! ```
//! use analyzer::browse::transitions;
//! use analyzer::model::Activity;
//! use analyzer::report::Selection;
//! use analyzer::sources::Trace;
//!
//! let trace = Trace::open("tests/golden/first_program.trace")?;
//! let mut entries = Vec::new();
//! let machine = transitions(&trace, &Selection::default(), |_, change| {
//!     if change.enters_kernel() {
//!         entries.push((change.at.0, change.to));
//!     }
//! })?;
//! assert_eq!(entries[0], (8000, Activity::Trap));
//!
//! let threads = machine.threads();
//! let children = |tid: u32| -> Vec<u32> {
//!     let is_child = |thread: &&analyzer::model::Thread| {
//!         thread.parent.is_some_and(|parent| threads[parent].tid.0 == tid)
//!     };
//!     let all = threads.iter().map(|(_, thread)| thread);
//!     all.filter(is_child).map(|thread| thread.tid.0).collect()
//! };
//! assert_eq!((children(0), children(1)), (vec![1, 2], vec![3]));
//! # Ok::<(), analyzer::sources::TraceError>(())
//! ```
//!
//! An analysis of one's own is a [`report::Analysis`]: [`report::run`] tells it every record, every stretch of a thread's and
//! a CPU's time, every system call with its length, and what is lost. All reports are made so.
//!
//! ```
//! use analyzer::model::{Frame, FrameInterval, Machine, Observer};
//! use analyzer::report::{Analysis, Selection, run};
//! use analyzer::sources::Trace;
//!
//! #[derive(Default)]
//! struct LongestCall(u64);
//!
//! impl Observer for LongestCall {
//!     fn frame_left(&mut self, _: &Machine, frame: &FrameInterval<'_>) {
//!         if matches!(frame.frame(), Frame::Syscall { .. }) {
//!             self.0 = self.0.max(frame.span.length().0);
//!         }
//!     }
//! }
//! impl Analysis for LongestCall {}
//!
//! let trace = Trace::open("tests/golden/first_program.trace")?;
//! let pass = run(&trace, &Selection::default(), LongestCall::default())?;
//! assert_eq!(pass.analysis.0, 8000);
//! assert!(pass.findings.is_empty(), "nothing is lost");
//! # Ok::<(), analyzer::sources::TraceError>(())
//! ```

pub mod browse;
pub mod causes;
pub mod check;
pub mod export;
pub mod inside;
pub mod model;
pub mod report;
pub mod sources;
