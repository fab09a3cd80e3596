//! Names of kernel addresses that occur in a trace.

/// A function larger than that is none: what lies so far behind a symbol is not of it.
const FUNCTION_BYTES_MAX: u64 = 1 << 16;

/// The symbols that hold addresses of a trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Symbols {
    /// By ascending address in the running guest.
    entries: Vec<(u64, String)>,
}

impl Symbols {
    /// Symbols as linked, of a kernel that was moved by `slide`.
    #[must_use]
    pub fn new(linked: &[(u64, String)], slide: u64) -> Self {
        let moved = linked
            .iter()
            .map(|(addr, name)| (addr.wrapping_add(slide), name.clone()));
        let mut entries: Vec<_> = moved.collect();
        entries.sort();
        Self { entries }
    }

    /// The symbol that holds an address, and how far behind its start that is.
    #[inline]
    #[must_use]
    pub fn find(&self, addr: u64) -> Option<(&str, u64)> {
        let after = self.entries.partition_point(|(start, _)| *start <= addr);
        let (start, name) = self.entries.get(after.checked_sub(1)?)?;
        let offset = addr - start;
        // An empty name ends the function before it.
        (offset < FUNCTION_BYTES_MAX && !name.is_empty()).then_some((name.as_str(), offset))
    }
}

#[cfg(test)]
mod tests {
    use super::Symbols;

    #[test]
    fn an_address_belongs_to_the_symbol_before_it() {
        let linked = [
            (0x3000, "later".to_owned()),
            (0x1000, "first".to_owned()),
            (0x3100, String::new()),
        ];
        let symbols = Symbols::new(&linked, 0x10_0000);
        assert_eq!(symbols.find(0x10_1000), Some(("first", 0)));
        assert_eq!(symbols.find(0x10_2fff), Some(("first", 0x1fff)));
        assert_eq!(symbols.find(0x10_3001), Some(("later", 1)));
        assert_eq!(symbols.find(0x10_0fff), None);
        assert_eq!(symbols.find(0x10_3100), None);
        assert_eq!(symbols.find(0x11_3000), None);
        assert_eq!(Symbols::default().find(0), None);
    }
}
