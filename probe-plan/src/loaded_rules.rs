//! Finds rules for code that was loaded later in the guest's own memory.
//!
//! Budget: so many owners of code for each stack, and a search by halves in the rules of one.

use crate::guest_view::GuestView;
use crate::interpreter::Interpreter;
use crate::unwind::{FrameRule, LoadedRules};

/// Owners of code that are looked at for one stack.
const OWNERS_MAX: usize = 1024;
/// Rules of one owner; more than any has.
const RULES_MAX: u64 = 1 << 20;

/// What is known of owners while one stack is climbed: before the next they may have gone.
#[derive(Debug)]
pub(crate) struct Owners {
    left: usize,
    found: Option<Owner>,
}

/// Who has a run of code, and where the rules are.
#[derive(Clone, Copy, Debug)]
struct Owner {
    code: u64,
    code_bytes: u64,
    count: u64,
    starts: u64,
    rules: u64,
}

impl Owners {
    pub(crate) fn new() -> Self {
        Self {
            left: OWNERS_MAX,
            found: None,
        }
    }
}

impl Owner {
    fn holds(&self, addr: u64) -> bool {
        addr.wrapping_sub(self.code) < self.code_bytes
    }
}

impl Interpreter {
    /// The rule for an address of the running guest; `None` where nobody has one.
    pub(crate) fn loaded_rule(
        &mut self,
        loaded: &LoadedRules,
        owners: &mut Owners,
        addr: u64,
        guest: &mut impl GuestView,
    ) -> Option<FrameRule> {
        let owner = match owners.found.filter(|owner| owner.holds(addr)) {
            Some(owner) => owner,
            None => self.find_owner(loaded, owners, addr, guest)?,
        };
        owners.found = Some(owner);
        let (mut low, mut high) = (0, owner.count.min(RULES_MAX));
        while low < high {
            let middle = u64::midpoint(low, high);
            let at = owner.starts.wrapping_add(4 * middle);
            // A distance of 32 bits with a sign.
            let distance = (self.load(at, 4, guest)? << 32).cast_signed() >> 32;
            if at.wrapping_add_signed(distance) <= addr {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let bytes = loaded.encoding.bytes;
        let index = low.checked_sub(1)?;
        let at = owner.rules.wrapping_add(index * u64::from(bytes));
        let word = self.load(at, bytes.into(), guest)?;
        Some(loaded.encoding.decode(word))
    }

    fn find_owner(
        &mut self,
        loaded: &LoadedRules,
        owners: &mut Owners,
        addr: u64,
        guest: &mut impl GuestView,
    ) -> Option<Owner> {
        let list = self.slide().to_runtime(loaded.list).0;
        let mut node = self.load(list, 8, guest)?;
        while node != list {
            owners.left = owners.left.checked_sub(1)?;
            let at = |offset: i32| node.wrapping_add_signed(offset.into());
            for (code, bytes) in &loaded.code {
                let mut owner = Owner {
                    code: self.load(at(*code), 8, guest)?,
                    code_bytes: self.load(at(*bytes), 4, guest)?,
                    count: 0,
                    starts: 0,
                    rules: 0,
                };
                if owner.holds(addr) {
                    owner.count = self.load(at(loaded.count), 4, guest)?;
                    owner.starts = self.load(at(loaded.starts), 8, guest)?;
                    owner.rules = self.load(at(loaded.rules), 8, guest)?;
                    return Some(owner);
                }
            }
            node = self.load(node, 8, guest)?;
        }
        None
    }
}
