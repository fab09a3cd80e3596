//! One state machine for every source and every report.

mod alias;
mod bind;
mod calls;
mod doubt;
mod errno;
mod event;
mod files;
mod follow;
mod frames;
mod futex;
mod ids;
mod lines;
mod machine;
mod observer;
mod origins;
mod pages;
mod requests;
mod scheduling;
#[cfg(test)]
mod script;
mod signal;
mod state;
mod thread;
mod wait;

pub use alias::{Alias, Aliases, Conversion, FieldSource, THREADS_OF_MACHINE, is_thread_field};
pub use bind::{Binding, Reading, Row, UnusableEvent, own_aliases};
pub use calls::{CallArgs, Transfer};
pub use doubt::{Doubt, Doubts};
pub use errno::{errno_name, errno_of};
pub use event::*;
pub use files::{FileName, Files, descriptor_of};
pub use follow::Model;
pub use futex::FutexUse;
pub use ids::{CpuId, GuestNanos, Pid, Span, Tid};
pub use lines::Lines;
pub use machine::Machine;
pub use observer::{FrameInterval, Moment, Observer, ThreadInterval};
pub use pages::{Pages, pages_of_order};
pub use requests::{Request, Requests};
pub use signal::signal_name;
pub use state::{Abi, Activity, Doing, Frame, Ground, Scheduling, Wait};
pub use thread::{OpenFrame, Thread, ThreadIndex, Threads, Waker};
pub use wait::{Asked, Cause, Origin, Via};
