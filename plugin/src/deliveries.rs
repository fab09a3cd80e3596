//! Interrupts and exceptions as QEMU itself counts them: how often a CPU was sent to which handler.
//!
//! Independent of the probes, so that what they recorded can be compared with it. A QEMU that reports none leaves it empty.

use std::collections::BTreeMap;
use std::sync::Mutex;

use probe_plan::{LinkAddr, Plan};
use trace_format::HandlerCount;

use crate::recorder::lock;

/// A guest may change its handlers for ever.
const HANDLERS_MAX: usize = 4096;

/// Counts by handler.
#[derive(Debug, Default)]
pub(crate) struct Deliveries(Mutex<BTreeMap<LinkAddr, u64>>);

impl Deliveries {
    /// A CPU was sent to the handler at `link`.
    #[cfg_attr(feature = "api4", allow(dead_code, reason = "QEMU does not say"))]
    pub(crate) fn note(&self, link: LinkAddr) {
        let mut counts = lock(&self.0);
        if counts.len() < HANDLERS_MAX || counts.contains_key(&link) {
            *counts.entry(link).or_default() += 1;
        }
    }

    /// The counts so far, by the names that the plan has for the handlers.
    pub(crate) fn counts(&self, plan: &Plan) -> Vec<HandlerCount> {
        let counts = lock(&self.0);
        let count = |(link, count): (&LinkAddr, &u64)| HandlerCount {
            handler: name(plan, *link),
            count: *count,
        };
        counts.iter().map(count).collect()
    }
}

/// Such as `irq_entries_start+0x8`.
fn name(plan: &Plan, link: LinkAddr) -> String {
    let following = plan.symbols.partition_point(|symbol| symbol.addr <= link);
    let symbol = following
        .checked_sub(1)
        .and_then(|index| plan.symbols.get(index));
    match symbol {
        Some(symbol) if symbol.addr == link => symbol.name.clone(),
        Some(symbol) => format!("{}+{:#x}", symbol.name, link.0 - symbol.addr.0),
        None => format!("{:#x}", link.0),
    }
}
