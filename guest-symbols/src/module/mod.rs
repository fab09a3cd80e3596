//! Loadable modules: what a `.ko` file defines, and its code and data as the kernel's loader would leave them.
//!
//! A module has no addresses of its own. Here it is linked behind the kernel image, at addresses that no kernel has;
//! where the running guest put each section is for others to find, by the section's [`Anchor`]s.
//! Relies on `kernel/module/main.c` and `arch/x86/kernel/module.c` (5.10 to the last tested).

mod anchors;
mod file;
mod linked;
mod relocate;

pub use anchors::Anchor;
pub use file::ModuleFile;
pub use linked::{LinkedModule, LinkedSection};

use crate::LinkAddr;

/// First address of modules as linked here: behind every kernel image (`KERNEL_IMAGE_SIZE`, 1 GiB at most).
pub const MODULE_LINK_BASE: LinkAddr = LinkAddr(0xffff_ffff_c000_0000);
