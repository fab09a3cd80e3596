//! What to watch in a guest and what to fetch there.
//!
//! Input: a plan made on the host. Output: field values, by one interpreter over the [`GuestView`] trait.
//! Knows no kernel: addresses, offsets and conditions are data. Knows no emulator: that implements [`GuestView`].

mod addr;
mod call_stack;
mod guest_view;
mod interpreter;
mod loaded_rules;
mod module_map;
mod module_plan;
mod pairing;
mod plan;
mod program;
mod recording;
mod unwind;
mod user;

pub use addr::{LinkAddr, RuntimeAddr, Slide};
pub use guest_view::{GuestView, Register};
pub use interpreter::{Entry, FieldSink, Interpreter, is_kernel_address};
pub use module_map::ModuleMap;
pub use module_plan::{ModuleChange, ModuleHook, ModulePlan, ModuleSection, SectionAnchor};
pub use pairing::{Entering, Expiry, Pairing};
pub use plan::{
    Birth, ContextProgram, EndReason, Hook, ImageSegment, Plan, PlanError, Site, Steps, SymbolName,
    ThreadEvent, Walk,
};
pub use program::{
    AddressSpace, Field, Op, Output, Program, ProgramError, SAVED_MAX, SLOTS_MAX, STACK_MAX,
    STRING_BYTES_MAX,
};
pub use recording::{
    Action, Command, HaltSpec, MatchedEvent, Mode, Recording, SessionSpec, Status, TimeSpec,
    WatchSpec, When,
};
pub use unwind::{
    FRAMES_MAX, FramePointer, FrameRule, LoadedRules, Reached, RuleEncoding, SavedRegisters,
    StackTop, Unwind,
};
pub use user::{Retry, UserPage};
