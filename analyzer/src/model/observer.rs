//! What the model tells those who account for time.

use super::ids::{CpuId, GuestNanos, Span};
use super::state::{Activity, Frame};
use super::thread::{Thread, ThreadIndex};

/// Listens to the model. Whatever is not of interest need not be written.
pub trait Observer {
    /// A thread did one thing for the whole of `span`, on `cpu` if it ran.
    fn thread_interval(&mut self, interval: &ThreadInterval<'_>) {
        let _ = interval;
    }

    /// A CPU did one thing for the whole of `span`.
    fn cpu_interval(&mut self, cpu: CpuId, activity: Activity, span: Span) {
        let _ = (cpu, activity, span);
    }

    /// A thread entered a system call, trap, interrupt or softirq.
    fn frame_entered(&mut self, thread: ThreadIndex, frame: Frame, at: GuestNanos) {
        let _ = (thread, frame, at);
    }

    /// A thread left it by its exit.
    fn frame_left(&mut self, frame: &FrameInterval) {
        let _ = frame;
    }
}

/// Nobody listens.
impl Observer for () {}

/// A stretch of a thread's life.
#[derive(Clone, Copy, Debug)]
pub struct ThreadInterval<'a> {
    /// Which thread.
    pub index: ThreadIndex,
    /// The same, after the stretch.
    pub thread: &'a Thread,
    /// What it did.
    pub activity: Activity,
    /// Where, if it ran.
    pub cpu: Option<CpuId>,
    /// When.
    pub span: Span,
}

/// A system call, trap, interrupt or softirq from entry to exit, whatever was nested in it or ran meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct FrameInterval {
    /// Whose.
    pub thread: ThreadIndex,
    /// What.
    pub frame: Frame,
    /// When.
    pub span: Span,
    /// What a system call or a handler returned.
    pub ret: Option<i64>,
}
