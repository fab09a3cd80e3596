//! QEMU plugin: executes a probe plan and records events.
//!
//! Input: a plan and a guest that runs. Output: a trace file. Knows QEMU and x86; knows nothing of Linux.
//! What runs at translation: look addresses up, choose callbacks. What runs at execution: copy.

#![cfg_attr(test, allow(dead_code, reason = "only `ffi` calls some of it"))]

mod audit;
mod control;
mod cpu;
mod deliveries;
mod delivery;
mod entries;
mod files;
mod flush;
mod memory;
mod module_symbols;
mod modules;
mod recorder;
mod retries;
mod row;
mod session;
mod sink;
mod slide;
mod state_walk;
mod status;
mod symbols;
mod track;
mod user_code;
mod watch;
mod writer;
// The unit tests run without a QEMU to link against.
#[cfg(not(test))]
mod ffi;
