//! The text of a filter in pieces, however wrong or unfinished it is.

use std::ops::Range;

/// A piece of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) kind: PieceKind,
    /// Its bytes.
    pub(super) place: Range<usize>,
}

/// What a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PieceKind {
    /// A name.
    Word,
    Number,
    /// A string with both its quotes.
    Text,
    /// A string without the closing one.
    OpenText,
    Compare,
    /// The comparison with a pattern.
    Matches,
    /// `&&`, `||`.
    Join,
    Not,
    In,
    Open,
    Close,
    Comma,
    Dot,
    /// Nothing that means anything.
    Other,
}

/// Cuts a text into pieces.
pub(super) fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let length = if first.is_whitespace() {
            first.len_utf8()
        } else {
            let (kind, length) = piece(&text[at..], first);
            let place = at..at + length;
            pieces.push(Piece { kind, place });
            length
        };
        at += length;
    }
    pieces
}

fn piece(rest: &str, first: char) -> (PieceKind, usize) {
    let run = |is_in: fn(char) -> bool| rest.find(|c| !is_in(c)).unwrap_or(rest.len());
    if is_word_start(first) {
        let length = run(is_word);
        return (word_kind(&rest[..length]), length);
    }
    let is_negative = first == '-' && rest[1..].starts_with(|c: char| c.is_ascii_digit());
    if first.is_ascii_digit() || is_negative {
        let clinging = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        return (PieceKind::Number, run(clinging));
    }
    if matches!(first, '"' | '\'') {
        return quoted(rest, first);
    }
    const SIGNS: &[(&str, PieceKind)] = &[
        ("==", PieceKind::Compare),
        ("!=", PieceKind::Compare),
        ("<=", PieceKind::Compare),
        (">=", PieceKind::Compare),
        ("=~", PieceKind::Matches),
        ("&&", PieceKind::Join),
        ("||", PieceKind::Join),
        ("<", PieceKind::Compare),
        (">", PieceKind::Compare),
        ("~", PieceKind::Matches),
        ("!", PieceKind::Not),
        ("(", PieceKind::Open),
        (")", PieceKind::Close),
        (",", PieceKind::Comma),
        (".", PieceKind::Dot),
    ];
    let sign = SIGNS.iter().find(|(sign, _)| rest.starts_with(sign));
    sign.map_or((PieceKind::Other, first.len_utf8()), |(sign, kind)| {
        (*kind, sign.len())
    })
}

fn is_word_start(character: char) -> bool {
    character.is_ascii_alphabetic() || character == '_'
}

fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

fn word_kind(word: &str) -> PieceKind {
    match word {
        "and" | "or" => PieceKind::Join,
        "not" => PieceKind::Not,
        "in" => PieceKind::In,
        "true" | "false" => PieceKind::Number,
        _ => PieceKind::Word,
    }
}

fn quoted(rest: &str, quote: char) -> (PieceKind, usize) {
    let mut is_escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            _ if character == quote => return (PieceKind::Text, at + 1),
            _ => {}
        }
    }
    (PieceKind::OpenText, rest.len())
}

/// A name as it is written in a filter: in quotes if it would not be one word, or if `is_quoted`.
pub(super) fn written(name: &str, is_quoted: bool) -> String {
    let is_word = name.starts_with(is_word_start)
        && name.chars().all(is_word)
        && word_kind(name) == PieceKind::Word;
    if is_word && !is_quoted {
        return name.to_owned();
    }
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}
