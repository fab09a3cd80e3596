//! Translated blocks: which instructions one has, so that a block left half-way can be charged exactly.

/// What a block ends with, as far as the clock cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// RDTSC or RDTSCP.
    ReadsClock,
    /// Anything else.
    Other,
}

/// A translated block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    start: u64,
    end: u64,
    offsets: Box<[u16]>,
    ending: Ending,
}

impl Block {
    /// Makes a block of instructions at `addresses`, the last of which has `last_bytes` bytes.
    pub(crate) fn new(addresses: &[u64], last_bytes: u64, ending: Ending) -> Self {
        let start = addresses.first().copied().unwrap_or(0);
        let last = addresses.last().copied().unwrap_or(0);
        let offsets = addresses
            .iter()
            .map(|address| u16::try_from(address.wrapping_sub(start)).unwrap_or(u16::MAX))
            .collect();
        Self {
            start,
            end: last.wrapping_add(last_bytes),
            offsets,
            ending,
        }
    }

    /// First address after the block.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    pub(crate) fn begins_at(&self, address: u64) -> bool {
        self.start == address
    }

    pub(crate) fn ending(&self) -> Ending {
        self.ending
    }

    /// Number of instructions.
    pub(crate) fn instruction_count(&self) -> u64 {
        self.offsets.len() as u64
    }

    /// Number of instructions from the one at `address` to the end, that one included; `None` when it is not in the block.
    pub(crate) fn instructions_from(&self, address: u64) -> Option<u64> {
        let offset = u16::try_from(address.wrapping_sub(self.start)).ok()?;
        let index = self.offsets.binary_search(&offset).ok()?;
        Some((self.offsets.len() - index) as u64)
    }
}

/// What an instruction is to the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClockInstruction {
    /// RDTSC, RDTSCP.
    ReadsClock,
    /// HLT, MWAIT.
    Halts,
}

/// Recognises the instructions that matter to the clock by their bytes.
pub(crate) fn clock_instruction(bytes: &[u8]) -> Option<ClockInstruction> {
    match bytes {
        [0x0f, 0x31] | [0x0f, 0x01, 0xf9] => Some(ClockInstruction::ReadsClock),
        [0xf4] | [0x0f, 0x01, 0xc9] => Some(ClockInstruction::Halts),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_left_half_way_knows_what_was_not_executed() {
        let block = Block::new(&[0x1000, 0x1003, 0x1004], 2, Ending::Other);
        assert_eq!(block.instructions_from(0x1000), Some(3));
        assert_eq!(block.instructions_from(0x1003), Some(2));
        assert_eq!(block.instructions_from(0x1004), Some(1));
        assert_eq!(block.instructions_from(0x1005), None);
        assert_eq!(block.instructions_from(0xfff), None);
        assert_eq!((block.end(), block.instruction_count()), (0x1006, 3));
    }
}
