//! Switches and wake-ups of a bundle in columns: each column is a field with all numbers in a row.

use super::proto::{Fields, varint};

/// The columns of a bundle.
#[derive(Clone, Debug, Default)]
pub(super) struct Compact {
    switch: Columns,
    waking: Columns,
    /// Names, as places in the bundle.
    names: Vec<(usize, usize)>,
    next_switch: Option<Row>,
    next_waking: Option<Row>,
}

/// Columns of one kind of event.
#[derive(Clone, Debug, Default)]
struct Columns {
    time: Column,
    numbers: [Column; 3],
    name: Column,
    ticks: u64,
}

/// What is left of a column, as a place in the bundle.
#[derive(Clone, Copy, Debug, Default)]
struct Column {
    at: usize,
    end: usize,
}

/// An event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) ticks: u64,
    /// Of a switch: state of the thread that leaves, thread that comes, its priority. Of a wake-up: thread, CPU, priority.
    pub(super) numbers: [Option<u64>; 3],
    /// Name of the thread, as a place in the bundle.
    pub(super) name: Option<(usize, usize)>,
}

impl Column {
    fn of(bundle: &[u8], column: &[u8]) -> Self {
        let at = column.as_ptr().addr().wrapping_sub(bundle.as_ptr().addr());
        Self {
            at,
            end: at.saturating_add(column.len()),
        }
    }

    fn next(&mut self, bundle: &[u8]) -> Option<u64> {
        let mut rest = bundle.get(self.at..self.end)?;
        let value = varint(&mut rest)?;
        self.at = self.end - rest.len();
        Some(value)
    }
}

impl Columns {
    fn next(&mut self, bundle: &[u8], names: &[(usize, usize)]) -> Option<Row> {
        self.ticks = self.ticks.wrapping_add(self.time.next(bundle)?);
        let name = self
            .name
            .next(bundle)
            .and_then(|index| usize::try_from(index).ok());
        let [first, second, third] = &mut self.numbers;
        Some(Row {
            ticks: self.ticks,
            numbers: [first.next(bundle), second.next(bundle), third.next(bundle)],
            name: name.and_then(|index| names.get(index).copied()),
        })
    }
}

impl Compact {
    /// Adds columns of a bundle.
    pub(super) fn take(&mut self, bundle: &[u8], message: &[u8]) {
        for (number, value) in Fields::new(message) {
            let Some(bytes) = value.bytes() else {
                continue;
            };
            let column = Column::of(bundle, bytes);
            match number {
                1 => self.switch.time = column,
                2 => self.switch.numbers[0] = column,
                3 => self.switch.numbers[1] = column,
                4 => self.switch.numbers[2] = column,
                5 => self.names.push((column.at, bytes.len())),
                6 => self.switch.name = column,
                7 => self.waking.time = column,
                8 => self.waking.numbers[0] = column,
                9 => self.waking.numbers[1] = column,
                10 => self.waking.numbers[2] = column,
                11 => self.waking.name = column,
                _ => {}
            }
        }
        self.next_switch = self.switch.next(bundle, &self.names);
        self.next_waking = self.waking.next(bundle, &self.names);
    }

    pub(super) fn switch_ticks(&self) -> Option<u64> {
        self.next_switch.map(|row| row.ticks)
    }

    pub(super) fn waking_ticks(&self) -> Option<u64> {
        self.next_waking.map(|row| row.ticks)
    }

    /// Goes to the next switch; the one before.
    pub(super) fn take_switch(&mut self, bundle: &[u8]) -> Option<Row> {
        let row = self.next_switch.take();
        self.next_switch = self.switch.next(bundle, &self.names);
        row
    }

    /// Goes to the next wake-up; the one before.
    pub(super) fn take_waking(&mut self, bundle: &[u8]) -> Option<Row> {
        let row = self.next_waking.take();
        self.next_waking = self.waking.next(bundle, &self.names);
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_out_of_columns() {
        let message = b"\x0a\x03\x64\x05\x06\x12\x03\x01\x00\x02\x1a\x03\x07\x08\x09\x22\x03\x78\x78\x78\x2a\x02ab\x2a\x01c\x32\x03\x01\x00\x05";
        let mut compact = Compact::default();
        compact.take(message, message);
        assert_eq!(
            (compact.switch_ticks(), compact.waking_ticks()),
            (Some(100), None)
        );
        let mut rows = Vec::new();
        while let Some(row) = compact.take_switch(message) {
            let name = row.name.map(|(at, length)| &message[at..at + length]);
            rows.push((row.ticks, row.numbers[1], name));
        }
        let expected = [
            (100, Some(7), Some(&b"c"[..])),
            (105, Some(8), Some(b"ab")),
            (111, Some(9), None),
        ];
        assert_eq!(rows, expected);
        for end in 0..message.len() {
            let mut compact = Compact::default();
            compact.take(&message[..end], &message[..end]);
            while compact.take_switch(&message[..end]).is_some() {}
        }
    }
}
