//! What is worth knowing of an object to which an argument points.
//!
//! One rule for all structs, so that a tracepoint of any kernel tells something: of a small struct everything that is
//! a number or characters, of a large one the members by whose names people know an object (a thread's `pid` and
//! `comm`, an inode's `i_ino`), at most [`FOLLOWED_MAX`] of them. Pointers inside are not followed further.

use guesttrace_events::FieldType;

use super::field::{is_char, scalar_field};
use crate::facts::Facts;
use crate::typed::{Shape, Ty};

/// Most members of one object.
pub(super) const FOLLOWED_MAX: usize = 8;

/// A struct of no more bytes is recorded whole when it has no more members than [`FOLLOWED_MAX`].
const SMALL_BYTES: u64 = 64;

/// Longest array of characters that is a name and not a buffer.
const NAME_BYTES_MAX: u64 = 64;

/// Deepest nesting of anonymous structs; damaged types could go on for ever.
const NESTING_MAX: usize = 8;

/// Most members looked at: `task_struct` has some 250.
const LOOKED_AT_MAX: usize = 2000;

/// Names by which people know an object, without the kernel's prefixes such as `i_` and `__`.
const TELLING: [&str; 40] = [
    "pid", "tgid", "comm", "prio", "state", "name", "ino", "dev", "flags", "cpu", "irq", "id",
    "nr", "size", "len", "index", "sector", "offset", "type", "protocol", "family", "status",
    "error", "mode", "opf", "addr", "count", "vec", "order", "policy", "code", "op", "start",
    "end", "ip", "mtu", "uid", "tag", "handle", "function",
];

/// Longest prefix that a telling name may have: `i_ino`, `bi_opf`, `skc_family`, `cmd_flags`.
const PREFIX_MAX: usize = 4;

/// A member that is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Followed {
    /// How the member is reached from the object: `comm`, `bi_iter.bi_sector`.
    pub(super) path: String,
    pub(super) field_type: FieldType,
    rank: Rank,
}

/// How much a member tells by its name, most first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Telling,
    WithPrefix,
    Inside,
    Silent,
}

/// The members to record of an object of that type, in their order; none of what is no struct.
pub(super) fn followed(facts: &dyn Facts, object: &Ty) -> Vec<Followed> {
    let mut walk = Walk {
        facts,
        looked_at: 0,
        found: Vec::new(),
    };
    walk.collect(object, "", 0);
    let is_small = object
        .bytes(facts)
        .is_some_and(|bytes| bytes <= SMALL_BYTES);
    if !is_small || walk.found.len() > FOLLOWED_MAX {
        walk.found.retain(|member| member.rank != Rank::Silent);
    }
    let mut order: Vec<usize> = (0..walk.found.len()).collect();
    order.sort_by_key(|index| walk.found[*index].rank);
    order.truncate(FOLLOWED_MAX);
    order.sort_unstable();
    order
        .into_iter()
        .map(|index| walk.found[index].clone())
        .collect()
}

struct Walk<'a> {
    facts: &'a dyn Facts,
    looked_at: usize,
    found: Vec<Followed>,
}

impl Walk<'_> {
    fn collect(&mut self, object: &Ty, prefix: &str, depth: usize) {
        let facts = self.facts;
        let Shape::Struct(layout) = object.shape(facts) else {
            return;
        };
        // Members of a union are one and the same memory: the first says what it usually is.
        let members = if layout.is_union { 1 } else { usize::MAX };
        for member in layout.members.iter().take(members) {
            self.looked_at += 1;
            if self.looked_at > LOOKED_AT_MAX || depth > NESTING_MAX {
                return;
            }
            let ty = Ty::Of(member.type_id);
            let Some(name) = &member.name else {
                self.collect(&ty, prefix, depth + 1);
                continue;
            };
            let path = format!("{prefix}{name}");
            if matches!(ty.shape(facts), Shape::Struct(_)) {
                // A struct inside a struct is looked into once.
                if !prefix.contains('.') {
                    self.collect(&ty, &format!("{path}."), depth + 1);
                }
                continue;
            }
            let Some(field_type) = self.field_type(&ty, name) else {
                continue;
            };
            let rank = match rank(name) {
                // Text that is pointed to is there to be read; an array of characters may be anything.
                Rank::Silent if is_text_elsewhere(facts, &ty) => Rank::WithPrefix,
                Rank::Silent => Rank::Silent,
                _ if prefix.contains('.') => Rank::Inside,
                rank => rank,
            };
            self.found.push(Followed {
                path,
                field_type,
                rank,
            });
        }
    }

    /// Numbers, names and pointers to names; other pointers say nothing to people.
    fn field_type(&self, ty: &Ty, name: &str) -> Option<FieldType> {
        match ty.shape(self.facts) {
            Shape::Array { element, count } if is_char(self.facts, &element) => (2
                ..=NAME_BYTES_MAX)
                .contains(&count)
                .then_some(FieldType::Text),
            Shape::Pointer(target) if is_char(self.facts, &target) => Some(FieldType::Text),
            Shape::Pointer(target) => {
                let is_code = matches!(target.shape(self.facts), Shape::Function);
                is_code.then_some(FieldType::Hex)
            }
            _ => scalar_field(self.facts, ty, name),
        }
    }
}

fn is_text_elsewhere(facts: &dyn Facts, ty: &Ty) -> bool {
    matches!(ty.shape(facts), Shape::Pointer(target) if is_char(facts, &target))
}

fn rank(name: &str) -> Rank {
    let bare = name.trim_start_matches('_');
    if TELLING.contains(&bare) {
        return Rank::Telling;
    }
    match bare.split_once('_') {
        Some((prefix, rest)) if prefix.len() <= PREFIX_MAX && TELLING.contains(&rest) => {
            Rank::WithPrefix
        }
        _ => Rank::Silent,
    }
}
