//! Comma-separated values as they come, block by block.

/// Rows of text, the first of which names the columns.
#[derive(Debug)]
pub(super) struct Rows {
    rows: Vec<Vec<String>>,
    row: Vec<String>,
    cell: Vec<u8>,
    place: Place,
    rows_max: usize,
    bytes_left: usize,
    is_cut: bool,
}

/// Where in a row the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// At the start of a row.
    Row,
    /// In a cell without quotes, or before its first byte.
    Cell,
    /// Between quotes.
    Quoted,
    /// Behind a quote, which may be the first of two.
    Quote,
}

impl Rows {
    /// Takes so many rows besides the first, and so many bytes.
    pub(super) fn at_most(rows_max: usize, bytes_max: usize) -> Self {
        Self {
            rows: Vec::new(),
            row: Vec::new(),
            cell: Vec::new(),
            place: Place::Row,
            rows_max,
            bytes_left: bytes_max,
            is_cut: false,
        }
    }

    /// Takes more; false when nothing more is wanted.
    pub(super) fn add(&mut self, bytes: &[u8]) -> bool {
        for byte in bytes {
            self.take(*byte);
            if self.is_cut {
                return false;
            }
        }
        true
    }

    fn take(&mut self, byte: u8) {
        self.place = match (self.place, byte) {
            (Place::Quoted, b'"') => Place::Quote,
            (Place::Quoted, _) => self.keep(byte, Place::Quoted),
            (Place::Quote, b'"') => self.keep(byte, Place::Quoted),
            (Place::Row, b'\n') => Place::Row,
            (Place::Cell | Place::Quote, b'\n') => {
                self.end_row();
                Place::Row
            }
            (_, b',') => {
                self.end_cell();
                Place::Cell
            }
            (Place::Row | Place::Cell, b'"') if self.cell.is_empty() => Place::Quoted,
            (Place::Row | Place::Cell | Place::Quote, _) => self.keep(byte, Place::Cell),
        };
    }

    fn keep(&mut self, byte: u8, place: Place) -> Place {
        self.cell.push(byte);
        self.is_cut |= self.cell.len() > self.bytes_left;
        place
    }

    fn end_cell(&mut self) {
        self.bytes_left = self.bytes_left.saturating_sub(self.cell.len() + 1);
        self.is_cut |= self.bytes_left == 0;
        let cell = String::from_utf8_lossy(&self.cell).into_owned();
        self.row.push(cell);
        self.cell.clear();
    }

    fn end_row(&mut self) {
        self.end_cell();
        let row = std::mem::take(&mut self.row);
        if self.rows.len() > self.rows_max {
            self.is_cut = true;
        } else {
            self.rows.push(row);
        }
    }

    /// Whether rows were left out.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Whether not even columns were named.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The names of the columns, and the rows.
    pub(super) fn finish(mut self) -> (Vec<String>, Vec<Vec<String>>) {
        if self.place != Place::Row && !self.is_cut {
            self.end_row();
        }
        let mut rows = self.rows.into_iter();
        (rows.next().unwrap_or_default(), rows.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&[&str]]) {
        for block in [1, 2, 1000] {
            let mut rows = Rows::at_most(10, 1000);
            for bytes in text.as_bytes().chunks(block) {
                assert!(rows.add(bytes));
            }
            let (columns, rows) = rows.finish();
            let mut all = vec![columns];
            all.extend(rows);
            assert_eq!(all, expected);
        }
    }

    #[test]
    fn cells_may_hold_what_separates_them() {
        check("a,b\n1,2\n", &[&["a", "b"], &["1", "2"]]);
        check("a,b\n,\n", &[&["a", "b"], &["", ""]]);
        check("a\n\"x,\"\"y\"\"\nz\"\n", &[&["a"], &["x,\"y\"\nz"]]);
        check("a\n1", &[&["a"], &["1"]]);
        check("a\n\"\"\n", &[&["a"], &[""]]);
    }

    #[test]
    fn no_more_is_kept_than_wanted() {
        let mut rows = Rows::at_most(2, 1000);
        assert!(!rows.add(b"a\n1\n2\n3\n4\n"));
        assert!(rows.is_cut());
        assert_eq!(rows.finish().1.len(), 2);
        let mut rows = Rows::at_most(2, 10);
        assert!(!rows.add(b"a\n12345678901234567890"));
        assert_eq!(rows.finish().0, ["a"]);
    }
}
