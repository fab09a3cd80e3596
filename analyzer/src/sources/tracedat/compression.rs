//! What parts of a trace.dat are compressed with.

use std::io::Read;

use flate2::read::ZlibDecoder;

/// More than trace-cmd ever puts into one piece: kallsyms of the largest kernels have 20 MiB, pieces of data 40 KiB.
const PIECE_BYTES_MAX: usize = 256 << 20;

/// How it is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Compression {
    /// Not at all.
    #[default]
    None,
    /// By zlib.
    Zlib,
    /// By Zstandard.
    Zstd,
}

impl Compression {
    /// That of the name.
    pub(super) fn named(name: &[u8]) -> Option<Self> {
        match name {
            b"none" | b"" => Some(Self::None),
            b"zlib" => Some(Self::Zlib),
            b"zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Unpacks a piece that has `size` bytes, instead of what `unpacked` has; `None` when it is damaged.
    pub(super) fn unpack(self, packed: &[u8], size: usize, unpacked: &mut Vec<u8>) -> Option<()> {
        unpacked.clear();
        if size > PIECE_BYTES_MAX {
            return None;
        }
        let limit = u64::try_from(size).ok()?;
        // Memory is taken as bytes come: the size is only what the file claims.
        let read = match self {
            Self::None => packed.take(limit).read_to_end(unpacked),
            Self::Zlib => ZlibDecoder::new(packed).take(limit).read_to_end(unpacked),
            Self::Zstd => {
                let decoder = zstd::Decoder::with_buffer(packed).ok()?;
                decoder.take(limit).read_to_end(unpacked)
            }
        };
        (read.ok()? == size).then_some(())
    }
}
