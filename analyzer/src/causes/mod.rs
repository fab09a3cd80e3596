//! Causes: why a thread did not go on, followed across threads, interrupts and devices.
//!
//! Two passes over a trace. The first remembers for each wait what ended it (`history`); waits are then explained backwards
//! (`explain`); the second pass tells what threads did in the stretches that an explanation is made of (`refine`).

mod chain;
mod effects;
mod explain;
mod flame;
mod history;
mod key;
mod naming;
mod path;
mod refine;
mod stretch;
mod tree;
mod wait;

pub use chain::ChainStart;
pub use effects::{ChainError, ChainOptions, chain};
pub use flame::{Flame, FlameKind, flame};
pub use naming::Names;
pub use path::{PathEnd, PathError, PathOptions, critical_path, path_stretches};
pub use stretch::{Stretch, StretchKind};
pub use wait::{Subject, WaitOptions, wait};
