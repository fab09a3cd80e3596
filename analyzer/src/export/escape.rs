//! Bytes of the guest as text that cannot break out of its line: it may hold anything.

use super::number::HEX_DIGITS;

/// Appends bytes as they are, but for control characters, backslashes, quotes and what is not UTF-8.
pub fn push_text(out: &mut Vec<u8>, bytes: &[u8]) {
    push_escaped(out, bytes, push_for_people);
}

/// Appends the inside of a JSON string. What is not UTF-8 becomes `\xHH`, a backslash of its own.
pub fn push_json(out: &mut Vec<u8>, bytes: &[u8]) {
    push_escaped(out, bytes, |out, piece| match piece {
        Piece::Character('\n') => out.extend_from_slice(b"\\n"),
        Piece::Character('\t') => out.extend_from_slice(b"\\t"),
        Piece::Character('"') => out.extend_from_slice(b"\\\""),
        Piece::Character('\\') => out.extend_from_slice(b"\\\\"),
        // None of the characters that are escaped needs more than four digits.
        Piece::Character(other) => {
            out.extend_from_slice(b"\\u");
            push_hex(out, u32::from(other), 4);
        }
        Piece::NoText(byte) => {
            out.extend_from_slice(b"\\\\x");
            push_hex(out, byte.into(), 2);
        }
    });
}

/// Appends a CSV field, in quotes where it needs them, escaped as [`push_text`] does but for quotes and backslashes.
///
/// A CSV reader would take line breaks within quotes; programs that work line by line would not.
pub fn push_csv(out: &mut Vec<u8>, bytes: &[u8]) {
    let plain = |byte: &u8| (0x20..0x7F).contains(byte) && !b"\",".contains(byte);
    if bytes.iter().all(plain) {
        return out.extend_from_slice(bytes);
    }
    out.push(b'"');
    push_escaped(out, bytes, |out, piece| match piece {
        Piece::Character('"') => out.extend_from_slice(b"\"\""),
        Piece::Character('\\') => out.push(b'\\'),
        other => push_for_people(out, other),
    });
    out.push(b'"');
}

/// What cannot stay as it is.
#[derive(Clone, Copy)]
enum Piece {
    /// A quote, a backslash, or what [`moves_text`].
    Character(char),
    /// A byte that is not UTF-8.
    NoText(u8),
}

fn push_for_people(out: &mut Vec<u8>, piece: Piece) {
    match piece {
        Piece::Character('\n') => out.extend_from_slice(b"\\n"),
        Piece::Character('\t') => out.extend_from_slice(b"\\t"),
        Piece::Character('"') => out.extend_from_slice(b"\\\""),
        Piece::Character('\\') => out.extend_from_slice(b"\\\\"),
        Piece::Character(other) if !other.is_ascii() => {
            out.extend_from_slice(b"\\u{");
            push_hex(out, u32::from(other), 4);
            out.push(b'}');
        }
        Piece::Character(other) => {
            out.extend_from_slice(b"\\x");
            push_hex(out, u32::from(other), 2);
        }
        Piece::NoText(byte) => {
            out.extend_from_slice(b"\\x");
            push_hex(out, byte.into(), 2);
        }
    }
}

/// Whether a terminal or an editor would do something else than show the character: the control characters, those of
/// the upper half included (U+009B begins a command as ESC [ does), line breaks, and what turns the direction of text.
fn moves_text(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}'
        )
}

/// Appends what can stay; everything else goes to `escape`.
#[inline]
fn push_escaped(out: &mut Vec<u8>, bytes: &[u8], escape: impl Fn(&mut Vec<u8>, Piece)) {
    let special = |byte: &u8| !(0x20..0x7F).contains(byte) || *byte == b'"' || *byte == b'\\';
    if !bytes.iter().any(special) {
        return out.extend_from_slice(bytes);
    }
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if matches!(character, '"' | '\\') || moves_text(character) {
                escape(out, Piece::Character(character));
            } else {
                let mut buffer = [0; 4];
                out.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
            }
        }
        for byte in chunk.invalid() {
            escape(out, Piece::NoText(*byte));
        }
    }
}

/// Appends the lowest `digits` hexadecimal digits.
fn push_hex(out: &mut Vec<u8>, number: u32, digits: u32) {
    for digit in (0..digits).rev() {
        out.push(HEX_DIGITS[(number >> (4 * digit)) as usize & 0xF]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: [&str; 3]) {
        for (push, expected) in [push_text, push_json, push_csv].into_iter().zip(expected) {
            let mut out = Vec::new();
            push(&mut out, bytes);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn bytes_of_the_guest_stay_on_their_line() {
        check(b"bash", ["bash", "bash", "bash"]);
        check(
            "gr\u{fc}n".as_bytes(),
            ["gr\u{fc}n", "gr\u{fc}n", "\"gr\u{fc}n\""],
        );
        check(b"a\"b", ["a\\\"b", "a\\\"b", "\"a\"\"b\""]);
        check(b"a\\b", ["a\\\\b", "a\\\\b", "a\\b"]);
        check(b"a\nb", ["a\\nb", "a\\nb", "\"a\\nb\""]);
        check(b"a\x1bb", ["a\\x1bb", "a\\u001bb", "\"a\\x1bb\""]);
        check(b"a\xFFb", ["a\\xffb", "a\\\\xffb", "\"a\\xffb\""]);
        check(b"a,b", ["a,b", "a,b", "\"a,b\""]);
        check(
            b"\xC2\x9B2J",
            ["\\u{009b}2J", "\\u009b2J", "\"\\u{009b}2J\""],
        );
        check(
            "a\u{202E}b\u{2028}".as_bytes(),
            [
                "a\\u{202e}b\\u{2028}",
                "a\\u202eb\\u2028",
                "\"a\\u{202e}b\\u{2028}\"",
            ],
        );
    }

    #[test]
    fn json_is_what_a_json_reader_understands() {
        for bytes in [
            &b"a\x00\x01\x7f\"\\\n"[..],
            "\u{1F600}\u{2028}".as_bytes(),
            b"\xC3\x28",
        ] {
            let mut out = b"\"".to_vec();
            push_json(&mut out, bytes);
            out.push(b'"');
            let text: String = serde_json::from_slice(&out).unwrap();
            if let Ok(valid) = std::str::from_utf8(bytes) {
                assert_eq!(text, valid);
            }
        }
    }
}
