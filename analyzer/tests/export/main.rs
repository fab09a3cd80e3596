//! Exports: what each format says is what the trace says. Readers are those of others where there are any, and else
//! walkers written from the formats' public descriptions.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

mod ctf;
mod perfetto;
mod pictures;
mod round_trip;
mod source;
#[path = "../support/synthetic.rs"]
mod synthetic;
mod text;
