//! Bytes of the guest as text that cannot break out of its line: it may hold anything.

use super::number::HEX_DIGITS;

/// Appends bytes as they are, but for control characters, backslashes, quotes and what is not UTF-8.
pub fn push_text(out: &mut Vec<u8>, bytes: &[u8]) {
    push_escaped(out, bytes, |out, byte| match byte {
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\t' => out.extend_from_slice(b"\\t"),
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        _ => push_hex_byte(out, b"\\x", byte),
    });
}

/// Appends the inside of a JSON string. What is not UTF-8 becomes `\xHH`, a backslash of its own.
pub fn push_json(out: &mut Vec<u8>, bytes: &[u8]) {
    push_escaped(out, bytes, |out, byte| match byte {
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\t' => out.extend_from_slice(b"\\t"),
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        ..0x80 => push_hex_byte(out, b"\\u00", byte),
        0x80.. => push_hex_byte(out, b"\\\\x", byte),
    });
}

/// Appends a CSV field, in quotes where it needs them. What is not UTF-8 becomes `\xHH`.
pub fn push_csv(out: &mut Vec<u8>, bytes: &[u8]) {
    let plain = |byte: &u8| (0x20..0x7F).contains(byte) && !b"\",".contains(byte);
    if bytes.iter().all(plain) {
        return out.extend_from_slice(bytes);
    }
    out.push(b'"');
    push_escaped(out, bytes, |out, byte| match byte {
        b'"' => out.extend_from_slice(b"\"\""),
        b'\n' | b'\t' | b'\\' => out.push(byte),
        _ => push_hex_byte(out, b"\\x", byte),
    });
    out.push(b'"');
}

/// Appends what can stay; everything else goes to `escape`.
#[inline]
fn push_escaped(out: &mut Vec<u8>, bytes: &[u8], escape: impl Fn(&mut Vec<u8>, u8)) {
    let special = |byte: &u8| !(0x20..0x7F).contains(byte) || *byte == b'"' || *byte == b'\\';
    if !bytes.iter().any(special) {
        return out.extend_from_slice(bytes);
    }
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match u8::try_from(character) {
                Ok(byte) if byte < 0x80 && special(&byte) => escape(out, byte),
                _ => {
                    let mut buffer = [0; 4];
                    out.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
                }
            }
        }
        chunk.invalid().iter().for_each(|byte| escape(out, *byte));
    }
}

fn push_hex_byte(out: &mut Vec<u8>, prefix: &[u8], byte: u8) {
    out.extend_from_slice(prefix);
    out.push(HEX_DIGITS[usize::from(byte >> 4)]);
    out.push(HEX_DIGITS[usize::from(byte & 0xF)]);
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
        check(b"a\nb", ["a\\nb", "a\\nb", "\"a\nb\""]);
        check(b"a\x1bb", ["a\\x1bb", "a\\u001bb", "\"a\\x1bb\""]);
        check(b"a\xFFb", ["a\\xffb", "a\\\\xffb", "\"a\\xffb\""]);
        check(b"a,b", ["a,b", "a,b", "\"a,b\""]);
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
