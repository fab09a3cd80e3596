//! Patterns of `=~`: a piece of text that occurs somewhere, or a glob over the whole.

/// A pattern, ready to match without allocating.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    pieces: Vec<Piece>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    /// Any bytes, or none.
    Star,
    /// Any one byte.
    One,
    Byte(u8),
}

impl Pattern {
    pub(crate) fn new(text: &[u8]) -> Self {
        let mut pieces = Vec::with_capacity(text.len() + 2);
        let mut rest = text.iter();
        while let Some(byte) = rest.next() {
            pieces.push(match byte {
                b'*' => Piece::Star,
                b'?' => Piece::One,
                b'\\' => Piece::Byte(*rest.next().unwrap_or(byte)),
                _ => Piece::Byte(*byte),
            });
        }
        if pieces.iter().all(|piece| matches!(piece, Piece::Byte(_))) {
            pieces.insert(0, Piece::Star);
            pieces.push(Piece::Star);
        }
        pieces.dedup_by(|next, before| *next == Piece::Star && *before == Piece::Star);
        Self { pieces }
    }

    /// Whether the pattern matches; takes time in proportion to both lengths multiplied, at most.
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        let (mut piece, mut byte) = (0, 0);
        // After the last star seen, and how much of the text that star has taken. An earlier star never needs to
        // take more: what it could gain, the last one gains too.
        let mut last_star = None;
        while byte < text.len() {
            match self.pieces.get(piece) {
                Some(Piece::Star) => {
                    piece += 1;
                    last_star = Some((piece, byte));
                    continue;
                }
                Some(Piece::One) => {
                    (piece, byte) = (piece + 1, byte + 1);
                    continue;
                }
                Some(Piece::Byte(expected)) if *expected == text[byte] => {
                    (piece, byte) = (piece + 1, byte + 1);
                    continue;
                }
                Some(Piece::Byte(_)) | None => {}
            }
            let Some((after_star, taken)) = last_star else {
                return false;
            };
            (piece, byte) = (after_star, taken + 1);
            last_star = Some((after_star, byte));
        }
        self.pieces[piece..]
            .iter()
            .all(|piece| *piece == Piece::Star)
    }
}
