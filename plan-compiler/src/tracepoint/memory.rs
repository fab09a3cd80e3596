//! Memory as a walk sees it: what it stored, over what was there at the nop.
//!
//! Assumes that the per-CPU area and stack below the nop's rsp are reached through no other pointer, and that memory which
//! is allocated for each CPU is none of the kernel's per-CPU variables. Any other two addresses with different bases may
//! be the same, and a load that may see a store of the walk is unknown.

use std::ops::Range;

use probe_plan::Register;

use super::binary::{Binary, low_mask};
use super::expr::{Expr, Node, Pool};
use super::{Parameter, Unrecoverable};

/// What the walk wrote.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    stores: Vec<Store>,
    /// Globals that are the same whenever the tracepoint is on.
    steady: [Range<u64>; 2],
    /// The last function called that may have written anything but the caller's own stack slots.
    clobber: Option<Unrecoverable>,
}

/// A write of the walk.
#[derive(Clone, Debug)]
struct Store {
    base: Option<Expr>,
    offset: u64,
    bytes: u64,
    value: Written,
    /// Whether it may be to where something relative to another base lies.
    may_alias: bool,
}

/// What a write left behind.
#[derive(Clone, Debug)]
enum Written {
    Value(Expr),
    /// Nobody knows, because of this.
    Anything(Unrecoverable),
}

impl Memory {
    /// Memory as it is at the nop.
    pub(super) fn at_nop(steady: [Range<u64>; 2]) -> Self {
        Self {
            steady,
            ..Self::default()
        }
    }

    /// Records that `bytes` at `addr` hold `value`.
    pub(super) fn store(&mut self, pool: &Pool, addr: Expr, bytes: u8, value: Expr) {
        let (base, offset) = pool.split(addr);
        self.stores.push(Store {
            base,
            offset,
            bytes: u64::from(bytes),
            value: Written::Value(value),
            may_alias: true,
        });
    }

    /// Records that anything may be in `bytes` at `addr`.
    pub(super) fn spoil(&mut self, pool: &Pool, addr: Expr, bytes: u64, why: Unrecoverable) {
        let (base, offset) = pool.split(addr);
        self.stores.push(Store {
            base,
            offset,
            bytes,
            value: Written::Anything(why),
            may_alias: true,
        });
    }

    /// Records that a called function may have filled the object at `addr`, which is not reached any other way.
    pub(super) fn fill(&mut self, pool: &Pool, addr: Expr, bytes: u64, why: Unrecoverable) {
        let (base, offset) = pool.split(addr);
        self.stores.push(Store {
            base,
            offset,
            bytes,
            value: Written::Anything(why),
            may_alias: false,
        });
    }

    /// Records a call that may write anywhere but to stack slots whose address it was not given.
    pub(super) fn call(&mut self, why: Unrecoverable) {
        self.clobber = Some(why);
    }

    /// The number of `bytes` at `addr`; `at` is the instruction that wants it.
    pub(super) fn load(&self, pool: &mut Pool, addr: Expr, bytes: u8, at: u64) -> Expr {
        let steady = |node| matches!(node, Node::Image(at) if self.steady.iter().any(|range| range.contains(&at)));
        if pool.contains(addr, &steady) {
            return pool.load(addr, bytes);
        }
        let (base, offset) = pool.split(addr);
        let size = u64::from(bytes);
        for store in self.stores.iter().rev() {
            if store.base == base {
                let inside = offset.wrapping_sub(store.offset);
                if inside == 0 && size <= store.bytes {
                    return match &store.value {
                        Written::Value(value) => {
                            let bits = bytes.saturating_mul(8);
                            pool.zero_extend(bits, *value)
                        }
                        Written::Anything(why) => pool.unknown(why.clone()),
                    };
                }
                if inside < store.bytes || store.offset.wrapping_sub(offset) < size {
                    return pool.unknown(store.why(at));
                }
            } else if may_alias(pool, store, base) {
                return pool.unknown(store.why(at));
            }
        }
        match &self.clobber {
            Some(why) if !is_stack(pool, base, offset) => pool.unknown(why.clone()),
            _ => pool.load(addr, bytes),
        }
    }

    /// Why what `argument` points to is not there yet at the nop, if so: only the walk writes it.
    pub(super) fn pointee_written(
        &self,
        pool: &Pool,
        argument: Expr,
        parameter: Parameter,
        at: u64,
    ) -> Option<Unrecoverable> {
        let (base, offset) = pool.split(argument);
        let own_frame = base.is_some_and(|base| pool.node(base) == Node::Register(Register::Rsp));
        if own_frame && is_negative(offset) {
            return Some(Unrecoverable::PathStack { address: at });
        }
        // An object that a structure pointer names is the same whatever the walk does to it; text is what it says.
        let contents_matter = parameter == Parameter::Text || is_stack(pool, base, offset);
        if parameter == Parameter::Number
            || !contents_matter
            || matches!(pool.node(argument), Node::Const(_))
        {
            return None;
        }
        self.stores
            .iter()
            .find(|store| {
                let behind = store.offset.wrapping_sub(offset);
                store.base == base
                    && (behind < POINTEE_BYTES || offset.wrapping_sub(store.offset) < store.bytes)
            })
            .map(|store| store.why(at))
    }
}

/// How far behind an address its object is taken to reach.
const POINTEE_BYTES: u64 = 256;

impl Store {
    fn why(&self, at: u64) -> Unrecoverable {
        match &self.value {
            Written::Value(_) => Unrecoverable::Overwritten { address: at },
            Written::Anything(why) => why.clone(),
        }
    }
}

/// Whether a store may write to where something relative to another base lies.
fn may_alias(pool: &Pool, store: &Store, base: Option<Expr>) -> bool {
    let kind = |base: Option<Expr>| base.map(|base| pool.node(base));
    if !store.may_alias {
        return false;
    }
    let (written, read) = (kind(store.base), kind(base));
    let stack = Some(Node::Register(Register::Rsp));
    match (per_cpu(pool, store.base), per_cpu(pool, base)) {
        (PerCpu::No, PerCpu::No) => {}
        (PerCpu::Counter, PerCpu::Counter) => return true,
        _ => return false,
    }
    if written == stack && (is_negative(store.offset) || read.is_none()) {
        return false;
    }
    !(written.is_none() && read == stack)
}

/// How an address is reached through the per-CPU base.
enum PerCpu {
    No,
    /// A variable of the kernel.
    Variable,
    /// Memory that was allocated for each CPU, such as the counters of the read lock that tracepoints take since 7.0.
    Counter,
}

fn per_cpu(pool: &Pool, base: Option<Expr>) -> PerCpu {
    let (mut has_base, mut has_pointer) = (false, false);
    let mut pending: Vec<Expr> = base.into_iter().collect();
    while let Some(part) = pending.pop() {
        match pool.node(part) {
            Node::Binary(Binary::Add, a, b) => pending.extend([a, b]),
            Node::CpuBase => has_base = true,
            Node::Const(_) | Node::Image(_) => {}
            _ => has_pointer = true,
        }
    }
    match (has_base, has_pointer) {
        (false, _) => PerCpu::No,
        (true, false) => PerCpu::Variable,
        (true, true) => PerCpu::Counter,
    }
}

/// Whether an address is a slot of the stack: relative to rsp, or below a frame pointer.
pub(super) fn is_stack(pool: &Pool, base: Option<Expr>, offset: u64) -> bool {
    match base.map(|base| pool.node(base)) {
        Some(Node::Register(Register::Rsp)) => true,
        Some(Node::Register(Register::Rbp)) => is_negative(offset),
        _ => false,
    }
}

fn is_negative(offset: u64) -> bool {
    offset > low_mask(63)
}
