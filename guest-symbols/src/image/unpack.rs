//! Unpacking a kernel's payload, whichever way its configuration packed it.

use std::fmt;
use std::io::{self, Read};

use crate::SymbolError;
use crate::bytes::{slice, u32_at};

/// More than any kernel unpacks to; a damaged size must not make us allocate without bound.
const UNPACKED_BYTES_MAX: u32 = 1 << 30;

/// How a kernel packs itself (`CONFIG_KERNEL_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// `CONFIG_KERNEL_GZIP`.
    Gzip,
    /// `CONFIG_KERNEL_XZ`.
    Xz,
    /// `CONFIG_KERNEL_LZ4`: the legacy frame.
    Lz4,
    /// `CONFIG_KERNEL_ZSTD`.
    Zstd,
    /// `CONFIG_KERNEL_BZIP2`.
    Bzip2,
    /// `CONFIG_KERNEL_LZMA`: the stand-alone `.lzma` format.
    Lzma,
    /// `CONFIG_KERNEL_LZO`: the `lzop` file format.
    Lzo,
    /// `CONFIG_KERNEL_UNCOMPRESSED`.
    None,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Lzma => "lzma",
            Self::Lzo => "lzo",
            Self::None => "uncompressed",
        })
    }
}

impl Compression {
    /// Recognises the compression by the first bytes.
    #[must_use]
    pub fn of(packed: &[u8]) -> Option<Self> {
        const MAGICS: [(&[u8], Compression); 8] = [
            (b"\x1f\x8b", Compression::Gzip),
            (b"\xfd7zXZ\0", Compression::Xz),
            (&[0x02, 0x21, 0x4c, 0x18], Compression::Lz4),
            (&[0x28, 0xb5, 0x2f, 0xfd], Compression::Zstd),
            (b"BZh", Compression::Bzip2),
            (&[0x5d, 0x00, 0x00], Compression::Lzma),
            (b"\x89LZO", Compression::Lzo),
            (b"\x7fELF", Compression::None),
        ];
        MAGICS
            .iter()
            .find(|(magic, _)| packed.starts_with(magic))
            .map(|(_, method)| *method)
    }
}

/// Unpacks the payload of a bzImage.
pub(super) fn payload(payload: &[u8]) -> Result<Vec<u8>, SymbolError> {
    let method = Compression::of(payload).ok_or_else(|| SymbolError::UnknownCompression {
        magic: payload.iter().take(8).copied().collect(),
    })?;
    if method == Compression::None {
        return Ok(payload.to_vec());
    }
    let size_at = payload.len().saturating_sub(4);
    let expected = u32_at(payload, size_at).unwrap_or(0);
    if expected > UNPACKED_BYTES_MAX {
        return Err(SymbolError::UnpackedSize {
            method,
            expected: expected.into(),
            found: 0,
        });
    }
    let packed = payload.get(..size_at).unwrap_or(payload);
    let out = unpack(method, payload, packed, expected)
        .map_err(|source| SymbolError::Unpack { method, source })?;
    if out.len() as u64 != u64::from(expected) {
        return Err(SymbolError::UnpackedSize {
            method,
            expected: expected.into(),
            found: out.len() as u64,
        });
    }
    Ok(out)
}

/// `whole` is the payload with its last four bytes, which belong to gzip's format; `packed` is without.
fn unpack(method: Compression, whole: &[u8], packed: &[u8], expected: u32) -> io::Result<Vec<u8>> {
    match method {
        Compression::None => Ok(whole.to_vec()),
        Compression::Gzip => read_bounded(flate2::read::GzDecoder::new(whole), expected),
        Compression::Xz => read_bounded(liblzma::read::XzDecoder::new(packed), expected),
        Compression::Zstd => read_bounded(
            zstd::stream::read::Decoder::with_buffer(packed)?.single_frame(),
            expected,
        ),
        Compression::Bzip2 => read_bounded(bzip2::read::BzDecoder::new(packed), expected),
        Compression::Lzma => {
            let stream =
                liblzma::stream::Stream::new_lzma_decoder(u64::MAX).map_err(io::Error::other)?;
            read_bounded(
                liblzma::read::XzDecoder::new_stream(packed, stream),
                expected,
            )
        }
        Compression::Lz4 => unpack_lz4(packed, expected),
        Compression::Lzo => unpack_lzo(packed, expected),
    }
}

/// Reads at most one byte more than `expected`, so that a bomb is seen and not inflated.
fn read_bounded(from: impl Read, expected: u32) -> io::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(expected as usize);
    from.take(u64::from(expected) + 1).read_to_end(&mut out)?;
    Ok(out)
}

fn cut_short() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "a block is cut short")
}

/// The legacy lz4 frame: blocks of 8 MiB, each behind its packed size.
fn unpack_lz4(packed: &[u8], expected: u32) -> io::Result<Vec<u8>> {
    const MAGIC: u32 = 0x184c_2102;
    const BLOCK_BYTES: usize = 8 << 20;
    let expected = expected as usize;
    let mut out = vec![0; expected];
    let mut filled = 0;
    let mut at = 4;
    while at < packed.len() {
        let size = u32_at(packed, at).ok_or_else(cut_short)?;
        at += 4;
        if size == MAGIC {
            continue;
        }
        let block = slice(packed, at, size as usize).ok_or_else(cut_short)?;
        at += block.len();
        let end = expected.min(filled + BLOCK_BYTES);
        let room = out.get_mut(filled..end).unwrap_or_default();
        filled += lz4_flex::block::decompress_into(block, room).map_err(io::Error::other)?;
    }
    out.truncate(filled);
    Ok(out)
}

/// The lzop format: a header of which only the length matters here, then blocks with their sizes and checksums.
fn unpack_lzo(packed: &[u8], expected: u32) -> io::Result<Vec<u8>> {
    let be32 = |at: usize| {
        slice(packed, at, 4)
            .and_then(|b| b.try_into().ok())
            .map(u32::from_be_bytes)
    };
    let (mut at, checksums) = lzop_header(packed).ok_or_else(cut_short)?;
    let mut out = Vec::with_capacity(expected as usize);
    while out.len() <= expected as usize {
        let unpacked_bytes = be32(at).ok_or_else(cut_short)? as usize;
        if unpacked_bytes == 0 {
            break;
        }
        let packed_bytes = be32(at + 4).ok_or_else(cut_short)? as usize;
        if unpacked_bytes > expected as usize - out.len() {
            return Err(io::Error::other("more data than the image states"));
        }
        // A stored block has no checksum of its packed form.
        let sums = checksums.unpacked
            + if packed_bytes < unpacked_bytes {
                checksums.packed
            } else {
                0
            };
        at += 8 + 4 * sums;
        let block = slice(packed, at, packed_bytes).ok_or_else(cut_short)?;
        at += packed_bytes;
        if packed_bytes == unpacked_bytes {
            out.extend_from_slice(block);
        } else {
            let data = lzokay_native::decompress_all(block, Some(unpacked_bytes))
                .map_err(io::Error::other)?;
            out.extend_from_slice(&data);
        }
    }
    Ok(out)
}

/// How many checksums each block carries.
struct LzopChecksums {
    unpacked: usize,
    packed: usize,
}

/// Length of the lzop header, and the checksums its flags promise.
fn lzop_header(packed: &[u8]) -> Option<(usize, LzopChecksums)> {
    const ADLER32_UNPACKED: u32 = 1;
    const ADLER32_PACKED: u32 = 2;
    const EXTRA_FIELD: u32 = 0x40;
    const CRC32_UNPACKED: u32 = 0x100;
    const CRC32_PACKED: u32 = 0x200;
    const FILTER: u32 = 0x800;
    let be16 = |at: usize| {
        slice(packed, at, 2)
            .and_then(|b| b.try_into().ok())
            .map(u16::from_be_bytes)
    };
    let be32 = |at: usize| {
        slice(packed, at, 4)
            .and_then(|b| b.try_into().ok())
            .map(u32::from_be_bytes)
    };
    // Magic (9), version (2), library version (2), version needed (2 from 0x0940), method (1), level (1 from 0x0940).
    let recent = be16(9)? >= 0x0940;
    let mut at = if recent {
        9 + 2 + 2 + 2 + 1 + 1
    } else {
        9 + 2 + 2 + 1
    };
    let flags = be32(at)?;
    at += 4;
    if flags & FILTER != 0 {
        at += 4;
    }
    // Mode, time, and from 0x0940 the high half of the time.
    at += if recent { 12 } else { 8 };
    let name_bytes = usize::from(*packed.get(at)?);
    // The name with its length, and the checksum of the header.
    at += 1 + name_bytes + 4;
    if flags & EXTRA_FIELD != 0 {
        at += 4 + be32(at)? as usize + 4;
    }
    let count = |masks: [u32; 2]| masks.iter().filter(|mask| flags & **mask != 0).count();
    let checksums = LzopChecksums {
        unpacked: count([ADLER32_UNPACKED, CRC32_UNPACKED]),
        packed: count([ADLER32_PACKED, CRC32_PACKED]),
    };
    Some((at, checksums))
}
