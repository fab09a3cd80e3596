//! One state machine for every source and every report.

mod bind;
mod doubt;
mod event;
mod frames;
mod ids;
mod machine;
mod observer;
mod scheduling;
#[cfg(test)]
mod script;
mod state;
mod thread;

pub use bind::{Binding, Reading, Row, UnusableEvent};
pub use doubt::{Doubt, Doubts};
pub use event::{
    CompatSyscallEntry, CompatSyscallExit, CpuIdle, EventNames, Halt, HrtimerExpireEntry,
    HrtimerExpireExit, IrqEntry, IrqExit, IrqHandlerEntry, IrqHandlerExit, KernelEvent,
    KthreadCreate, Panic, PowerOff, ProcessExec, ProcessExit, ProcessFork, ProcessWait,
    RecordingStart, RecordingStop, Restart, SchedMigrate, SchedSwitch, SchedWakeup, SchedWakeupNew,
    SchedWaking, SignalDeliver, SignalGenerate, SoftirqEntry, SoftirqExit, SoftirqRaise,
    SyscallEntry, SyscallExit, TaskRename, TaskState, Text, ThreadContext, Tick, TimerExpireEntry,
    TimerExpireExit, TrapEntry, TrapExit, model_events,
};
pub use ids::{CpuId, GuestNanos, Pid, Span, Tid};
pub use machine::Model;
pub use observer::{FrameInterval, Observer, ThreadInterval};
pub use state::{Abi, Activity, Frame, Ground, Scheduling, Wait};
pub use thread::{OpenFrame, Thread, ThreadIndex, Threads, Waker};
