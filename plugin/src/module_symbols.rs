//! The symbols of one module, as its kernel keeps them: `Elf64_Sym` with run-time addresses.

use std::ops::Range;

/// Larger than the symbol table of any module.
const SYMBOLS_MAX: u64 = 1 << 17;
const SYMBOL_BYTES: usize = 24;
/// Longest name that counts, as the kernel has it (`KSYM_NAME_LEN`).
const NAME_BYTES_MAX: usize = 512;
/// In the low bits of `st_info`: a function.
const FUNCTION: u8 = 2;

/// Reads guest memory: address and number of bytes.
pub(crate) type ReadMemory<'a> = dyn FnMut(u64, usize) -> Option<Vec<u8>> + 'a;

/// The symbols of one module.
#[derive(Debug)]
pub(crate) struct ModuleSymbols {
    module: String,
    /// Address, length and place of the name, by ascending address.
    functions: Vec<(u64, u64, u32)>,
    /// Address and place of the name of every symbol, in the order of the table.
    all: Vec<(u64, u32)>,
    names: Vec<u8>,
}

impl ModuleSymbols {
    /// Reads `count` symbols at `table`, whose names begin at `names`.
    pub(crate) fn read(
        module: &str,
        table: u64,
        count: u64,
        names: u64,
        memory: &mut ReadMemory<'_>,
    ) -> Option<Self> {
        let count = usize::try_from(count.min(SYMBOLS_MAX)).ok()?;
        let bytes = memory(table, count * SYMBOL_BYTES)?;
        let mut functions = Vec::new();
        let mut all = Vec::with_capacity(count);
        let mut names_bytes = 0;
        for symbol in bytes.chunks_exact(SYMBOL_BYTES) {
            let word = |at: usize| symbol.get(at..at + 8).and_then(|it| it.try_into().ok());
            let (value, size) = (u64::from_le_bytes(word(8)?), u64::from_le_bytes(word(16)?));
            let name_at = u32::from_le_bytes(symbol.get(..4)?.try_into().ok()?);
            if name_at == 0 || value == 0 {
                continue;
            }
            names_bytes = names_bytes.max(name_at);
            all.push((value, name_at));
            if symbol.get(4).is_some_and(|info| info & 0xf == FUNCTION) && size > 0 {
                functions.push((value, size, name_at));
            }
        }
        functions.sort_unstable();
        let names = read_names(names, usize::try_from(names_bytes).ok()?, memory)?;
        Some(Self {
            module: module.to_owned(),
            functions,
            all,
            names,
        })
    }

    fn name(&self, at: u32) -> Option<&[u8]> {
        let rest = self.names.get(usize::try_from(at).ok()?..)?;
        let end = rest
            .iter()
            .take(NAME_BYTES_MAX)
            .position(|byte| *byte == 0)?;
        rest.get(..end)
    }

    /// Where the symbol of that name is.
    pub(crate) fn address(&self, name: &str) -> Option<u64> {
        let has_name = |at: u32| {
            let rest = usize::try_from(at).ok().and_then(|at| self.names.get(at..));
            let rest = rest.and_then(|rest| rest.strip_prefix(name.as_bytes()));
            rest.is_some_and(|rest| rest.first() == Some(&0))
        };
        let found = self.all.iter().find(|(_, at)| has_name(*at));
        found.map(|(value, _)| *value)
    }

    /// The function that holds `addr`: its name as `name [module]`, and its addresses.
    pub(crate) fn function_at(&self, addr: u64) -> Option<(Range<u64>, String)> {
        let after = self.functions.partition_point(|(start, ..)| *start <= addr);
        let (start, size, name_at) = *self.functions.get(after.checked_sub(1)?)?;
        if addr - start >= size {
            return None;
        }
        let name = String::from_utf8_lossy(self.name(name_at)?);
        let end = start.saturating_add(size);
        Some((start..end, format!("{name} [{}]", self.module)))
    }

    /// Name of the module.
    pub(crate) fn module(&self) -> &str {
        &self.module
    }

    /// What it takes in memory, roughly.
    pub(crate) fn bytes(&self) -> usize {
        self.names.len() + self.all.len() * 16 + self.functions.len() * SYMBOL_BYTES
    }
}

/// The names up to the end of the last one.
fn read_names(names: u64, last_at: usize, memory: &mut ReadMemory<'_>) -> Option<Vec<u8>> {
    let mut bytes = memory(names, last_at)?;
    // The last name ends somewhere behind its beginning, perhaps just before memory that cannot be read.
    for _ in 0..NAME_BYTES_MAX {
        let Some(byte) = memory(names.wrapping_add(bytes.len() as u64), 1) else {
            break;
        };
        bytes.extend(&byte);
        if byte == [0] {
            break;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: u64 = 0x1000;
    const NAMES: u64 = 0x9000;

    fn symbol(name_at: u32, info: u8, value: u64, size: u64) -> Vec<u8> {
        let mut bytes = name_at.to_le_bytes().to_vec();
        bytes.extend([info, 0, 1, 0]);
        bytes.extend(value.to_le_bytes());
        bytes.extend(size.to_le_bytes());
        bytes
    }

    fn read(symbols: &[Vec<u8>], count: u64, names: &[u8]) -> Option<ModuleSymbols> {
        let table = symbols.concat();
        let mut memory = |addr: u64, length: usize| {
            let (base, bytes) = if addr < NAMES {
                (TABLE, table.as_slice())
            } else {
                (NAMES, names)
            };
            let at = usize::try_from(addr.checked_sub(base)?).ok()?;
            Some(bytes.get(at..at.checked_add(length)?)?.to_vec())
        };
        ModuleSymbols::read("m", TABLE, count, NAMES, &mut memory)
    }

    #[test]
    fn functions_are_found_by_any_address_in_them() {
        let symbols = [
            symbol(0, 0, 0, 0),
            symbol(1, 0x12, 0x7000, 0x10),
            symbol(5, 1, 0x8000, 8),
            symbol(10, 2, 0x7010, 0x20),
        ];
        let read = read(&symbols, 4, b"\0foo\0data\0bar\0").unwrap();
        assert_eq!(
            read.function_at(0x7000),
            Some((0x7000..0x7010, "foo [m]".to_owned()))
        );
        assert_eq!(
            read.function_at(0x702f),
            Some((0x7010..0x7030, "bar [m]".to_owned()))
        );
        assert_eq!(read.function_at(0x7030), None);
        assert_eq!(read.function_at(0x8000), None);
        assert_eq!(read.address("data"), Some(0x8000));
        assert_eq!(read.address("dat"), None);
    }

    #[test]
    fn a_table_that_cannot_be_read_is_none() {
        assert!(read(&[symbol(1, 2, 0x7000, 1)], u64::MAX, b"\0foo\0").is_none());
        assert!(read(&[symbol(u32::MAX, 2, 0x7000, 1)], 1, b"\0foo\0").is_none());
        let unterminated = read(&[symbol(1, 2, 0x7000, 1)], 1, b"\0foo").unwrap();
        assert_eq!(unterminated.function_at(0x7000), None);
    }
}
