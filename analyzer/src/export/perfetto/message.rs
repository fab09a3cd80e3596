//! Protocol buffers, as far as a writer needs them: numbers as varints, everything else with its length.

/// Appends a number of any length.
#[inline]
pub(super) fn push_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

/// Appends a field that is a number. Negative numbers of any type are those of 64 bits.
#[inline]
pub(super) fn push_number(out: &mut Vec<u8>, field: u32, number: u64) {
    push_varint(out, u64::from(field) << 3);
    push_varint(out, number);
}

/// Appends a field that is a run of bytes, or a message that is complete.
#[inline]
pub(super) fn push_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    push_varint(out, u64::from(field) << 3 | 2);
    push_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a field that is text; what is not UTF-8 becomes the character that says so.
pub(super) fn push_text(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    if bytes.is_ascii() {
        return push_bytes(out, field, bytes);
    }
    push_bytes(out, field, String::from_utf8_lossy(bytes).as_bytes());
}

/// Appends a field that is a message.
pub(super) fn push_message(out: &mut Vec<u8>, field: u32, fill: impl FnOnce(&mut Vec<u8>)) {
    let mut message = Vec::new();
    fill(&mut message);
    push_bytes(out, field, &message);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_as_the_format_documents_them() {
        let mut out = Vec::new();
        push_number(&mut out, 1, 150);
        push_text(&mut out, 2, b"testing");
        push_message(&mut out, 3, |out| push_number(out, 1, 150));
        push_number(&mut out, 16, u64::MAX);
        let expected = [
            &[0x08, 0x96, 0x01][..],
            b"\x12\x07testing",
            &[0x1a, 0x03, 0x08, 0x96, 0x01],
            &[0x80, 0x01],
            &[0xff; 9],
            &[0x01],
        ];
        assert_eq!(out, expected.concat());
    }

    #[test]
    fn text_is_text() {
        let mut out = Vec::new();
        push_text(&mut out, 1, b"a\xFF");
        assert_eq!(
            out,
            [b"\x0a\x04a".as_slice(), "\u{fffd}".as_bytes()].concat()
        );
    }
}
