//! Spans as the page gets them, in bytes.

use crate::index::{Piece, RowId};

/// Puts rows of pieces behind one another.
#[derive(Debug)]
pub(crate) struct SpanWriter {
    bytes: Vec<u8>,
    rows: u32,
}

impl SpanWriter {
    pub(crate) fn new() -> Self {
        // The number of rows is filled in at the end.
        Self {
            bytes: vec![0; 8],
            rows: 0,
        }
    }

    pub(crate) fn row(&mut self, row: RowId, pieces: &[Piece]) {
        let count = u32::try_from(pieces.len()).unwrap_or(u32::MAX);
        let pieces = &pieces[..count as usize];
        self.rows += 1;
        self.bytes.extend_from_slice(&row.to_le_bytes());
        self.bytes.extend_from_slice(&count.to_le_bytes());
        for piece in pieces {
            self.number(piece.start);
        }
        self.number(pieces.last().map_or(0, |piece| piece.end));
        for piece in pieces {
            self.bytes.extend_from_slice(&piece.busy.to_le_bytes());
        }
        for piece in pieces {
            self.bytes.extend_from_slice(&piece.rest.to_le_bytes());
        }
        for piece in pieces {
            self.bytes.extend_from_slice(&piece.part.to_le_bytes());
        }
        let whole = self.bytes.len().next_multiple_of(8);
        self.bytes.resize(whole, 0);
    }

    #[allow(
        clippy::cast_precision_loss,
        reason = "exact up to 2^53 ns, a hundred days"
    )]
    fn number(&mut self, value: u64) {
        self.bytes.extend_from_slice(&(value as f64).to_le_bytes());
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.bytes[..4].copy_from_slice(&self.rows.to_le_bytes());
        self.bytes
    }
}
