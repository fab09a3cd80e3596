//! Compiles the event table against one kernel: names in, probe plan out.
//!
//! Input: rows of `guesttrace-events`, facts of `guest-symbols`. Output: a validated [`probe_plan::Plan`], and for
//! every event which hook was chosen and why others were not. Runs nothing and knows no emulator.

mod additions;
mod call_site;
mod compile;
mod exits;
mod expression;
mod facts;
mod fault;
mod hook;
mod hook_problem;
mod locals;
mod modules;
mod own;
mod pairing;
mod returns;
mod schema;
mod selection;
mod site;
mod state;
mod suggest;
mod thread;
mod tracepoint;
mod typed;
mod unwind;
mod user;
mod wanted;

pub use additions::{Additions, ContextChoice, ContextChoiceError, StackChoice, StackChoiceError};
pub use call_site::{CallSite, CallSiteError, FRAMES_MAX};
pub use compile::{CompileError, Compiled, compile};
pub use expression::{ExprError, ExprProblem};
pub use fault::RowFault;
pub use hook::HookProblem;
pub use own::{ProbeError, ProbeSpec, SpecError, SpecProblem, add_probe};
pub use schema::event_schema;
pub use selection::{Selection, UnknownEvent};
pub use site::Resolution;
pub use tracepoint::{
    RecoveredSite, TracepointArgument, TracepointReport, Unrecoverable, list_tracepoints,
    recover_arguments, recover_site, tracepoint_arguments,
};
pub use wanted::{Offered, Wanted};
