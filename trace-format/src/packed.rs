//! Payloads that are compressed as a whole: the length of what they hold, then one zstd frame.

use crate::block::u32_at;
use crate::diagnostic::Fault;
use crate::write_error::WriteError;

/// zstd's level for them: there are few, and they are small; the next levels take thrice as long for a hundredth.
const LEVEL: i32 = 15;

/// Appends the packed form of `content`, at most `max` bytes; `what` names it in errors.
pub(crate) fn pack(
    what: &'static str,
    content: &[u8],
    max: usize,
    out: &mut Vec<u8>,
) -> Result<(), WriteError> {
    let bytes = content.len();
    let length = u32::try_from(bytes).ok().filter(|_| bytes <= max);
    let length = length.ok_or(WriteError::TooLarge { what, bytes, max })?;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&zstd::bulk::compress(content, LEVEL)?);
    Ok(())
}

/// What is packed in `payload`, at most `max` bytes.
pub(crate) fn unpack(payload: &[u8], max: usize) -> Result<Vec<u8>, Fault> {
    let length = u32_at(payload, 0).ok_or(Fault::Numbers)?;
    decompress(&payload[4..], length, max)
}

/// Decompresses exactly `bytes` bytes.
pub(crate) fn decompress(compressed: &[u8], bytes: u32, max: usize) -> Result<Vec<u8>, Fault> {
    let bytes = bytes as usize;
    if bytes > max {
        return Err(Fault::TooLarge {
            bytes: bytes as u64,
            max: max as u64,
        });
    }
    let data = zstd::bulk::decompress(compressed, bytes).or(Err(Fault::Compression))?;
    if data.len() == bytes {
        Ok(data)
    } else {
        Err(Fault::Compression)
    }
}
