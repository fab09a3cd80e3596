//! How a value of a C type is recorded when nobody says.

use guest_symbols::Type;
use guesttrace_events::FieldType;

use crate::facts::Facts;
use crate::typed::{Shape, Ty};

/// Endings of the names of numbers that people read in hexadecimal.
const HEX_NAMES: [&str; 11] = [
    "addr", "address", "ip", "pc", "sp", "flags", "mask", "opf", "ptr", "caller", "site",
];

/// The type of the field for a number, pointer or truth value of that type; `None` for what is no single value.
pub(crate) fn scalar_field(facts: &dyn Facts, ty: &Ty, name: &str) -> Option<FieldType> {
    match ty.shape(facts) {
        Shape::Pointer(_) => Some(FieldType::Hex),
        Shape::Int { bytes: 1, .. } if is_bool(facts, ty) => Some(FieldType::Bool),
        Shape::Int { signed: true, .. } => Some(FieldType::Signed),
        Shape::Int { .. } => Some(if is_read_in_hex(name) {
            FieldType::Hex
        } else {
            FieldType::Unsigned
        }),
        _ => None,
    }
}

/// Whether people read a number of that name in hexadecimal: those in the kernel's code have symbols then, too.
fn is_read_in_hex(name: &str) -> bool {
    let word = name.rsplit('_').next().unwrap_or(name);
    HEX_NAMES.contains(&word)
}

/// Whether it is a character, which text is made of; `u8` and `s8` are numbers.
pub(crate) fn is_char(facts: &dyn Facts, ty: &Ty) -> bool {
    match ty {
        Ty::Int { .. } | Ty::Void | Ty::Pointer(_) => false,
        Ty::Of(id) => matches!(facts.ty(*id), Type::Int { name, .. } if name.ends_with("char")),
    }
}

fn is_bool(facts: &dyn Facts, ty: &Ty) -> bool {
    let Ty::Of(id) = ty else { return false };
    match facts.ty(*id) {
        Type::Int { name, .. } => name == "_Bool",
        Type::Typedef { name, .. } => name == "bool",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_read_in_hex;

    #[test]
    fn addresses_are_told_by_the_last_word_of_their_name() {
        for name in ["call_site", "ip", "parent_ip", "gfp_flags"] {
            assert!(is_read_in_hex(name), "{name}");
        }
        for name in ["bytes_req", "website", "ip_count", "node"] {
            assert!(!is_read_in_hex(name), "{name}");
        }
    }
}
