//! Call stacks in lines: `func+0x1c <- caller+0x80`.

use trace_format::{CUT, addresses, within_function};

use super::escape::{push_json, push_text};
use super::line::LineFormat;
use super::number::push_hex;
use crate::sources::Symbols;

/// Appends the addresses of a stack as a value: in JSON an array, else as one text without names.
pub(super) fn push_addresses(out: &mut Vec<u8>, run: &[u8], format: LineFormat) {
    let is_json = format == LineFormat::Json;
    out.extend_from_slice(if is_json { b"[" } else { b"" });
    for (index, addr) in addresses(run).enumerate() {
        if index > 0 {
            out.push(if is_json { b',' } else { b';' });
        }
        let quote: &[u8] = if is_json { b"\"" } else { b"" };
        match addr {
            CUT if is_json => out.extend_from_slice(b"null"),
            CUT => out.push(b'?'),
            _ => {
                out.extend_from_slice(quote);
                push_hex(out, addr);
                out.extend_from_slice(quote);
            }
        }
    }
    out.extend_from_slice(if is_json { b"]" } else { b"" });
}

/// Appends a stack for people: the names of the functions, addresses where there is none.
pub fn push_named(out: &mut Vec<u8>, run: &[u8], symbols: &Symbols) {
    out.push(b'[');
    for (index, addr) in addresses(run).enumerate() {
        if index > 0 {
            out.extend_from_slice(b" <- ");
        }
        match find(symbols, index, addr) {
            _ if addr == CUT => out.push(b'?'),
            Some((name, offset)) => {
                push_text(out, name.as_bytes());
                push_offset(out, offset);
            }
            None => push_hex(out, addr),
        }
    }
    out.push(b']');
}

/// Appends the names of a stack's addresses as an array of JSON, null where there is none. Nothing if none has a name.
pub(super) fn push_names(out: &mut Vec<u8>, run: &[u8], symbols: &Symbols) {
    for (index, addr) in addresses(run).enumerate() {
        out.push(if index == 0 { b'[' } else { b',' });
        match find(symbols, index, addr) {
            Some((name, offset)) => {
                out.push(b'"');
                push_json(out, name.as_bytes());
                push_offset(out, offset);
                out.push(b'"');
            }
            None => out.extend_from_slice(b"null"),
        }
    }
    out.push(b']');
}

/// Whether any of the addresses has a name.
pub(super) fn has_names(run: &[u8], symbols: &Symbols) -> bool {
    let mut addresses = addresses(run).enumerate();
    addresses.any(|(index, addr)| find(symbols, index, addr).is_some())
}

/// The function, and how far behind its start the address is.
fn find(symbols: &Symbols, index: usize, addr: u64) -> Option<(&str, u64)> {
    let within = within_function(index, addr);
    let (name, offset) = symbols.find(within)?;
    Some((name, offset + addr.wrapping_sub(within)))
}

/// `+0x1a` behind the name of a symbol.
pub(super) fn push_offset(out: &mut Vec<u8>, offset: u64) {
    if offset > 0 {
        out.push(b'+');
        push_hex(out, offset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYMBOLS: [(u64, &str); 3] = [(0x1000, "inner"), (0x2000, "outer"), (0x3000, "next")];

    fn check(addresses: &[u64], text: &str, json: &str, names: &str) {
        let linked = SYMBOLS.map(|(addr, name)| (addr, name.to_owned()));
        let symbols = Symbols::new(&linked, 0x10_0000);
        let run: Vec<u8> = addresses
            .iter()
            .flat_map(|addr| addr.to_le_bytes())
            .collect();
        let shown = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            write(&mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(shown(&|out| push_named(out, &run, &symbols)), text);
        let format = LineFormat::Json;
        assert_eq!(shown(&|out| push_addresses(out, &run, format)), json);
        assert_eq!(has_names(&run, &symbols), !names.is_empty());
        if !names.is_empty() {
            assert_eq!(shown(&|out| push_names(out, &run, &symbols)), names);
        }
    }

    #[test]
    fn a_return_address_belongs_to_the_function_that_called() {
        check(
            &[0x10_1000, 0x10_2010, 0x10_3000],
            "[inner <- outer+0x10 <- outer+0x1000]",
            r#"["0x101000","0x102010","0x103000"]"#,
            r#"["inner","outer+0x10","outer+0x1000"]"#,
        );
    }

    #[test]
    fn a_stack_that_was_cut_says_so() {
        check(
            &[0x10_1004, 0x7fff_0000, 0],
            "[inner+0x4 <- 0x7fff0000 <- ?]",
            r#"["0x101004","0x7fff0000",null]"#,
            r#"["inner+0x4",null,null]"#,
        );
        check(&[0x40_0000], "[0x400000]", r#"["0x400000"]"#, "");
    }
}
