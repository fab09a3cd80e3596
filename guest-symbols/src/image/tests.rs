//! bzImages made here, in each compression.

use std::io::Write as _;

use super::{FileKind, elf_from};
use crate::SymbolError;

type Packer = fn(&[u8]) -> Vec<u8>;

/// What every payload unpacks to: long enough for several windows, with repetition and without.
fn elf() -> Vec<u8> {
    let noise =
        (0_u32..200_000).flat_map(|i| (i.wrapping_mul(2_654_435_761) >> (i % 7)).to_le_bytes());
    b"\x7fELF".iter().copied().chain(noise).collect()
}

fn bzimage(payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 0x400];
    out[0x1f1] = 0;
    out[0x1fe..0x202].copy_from_slice(&[0x55, 0xaa, 0, 0]);
    out[0x202..0x206].copy_from_slice(b"HdrS");
    out[0x248..0x24c].copy_from_slice(&0x100_u32.to_le_bytes());
    out[0x24c..0x250].copy_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
    // No setup sectors means four, and the boot sector before them.
    out.resize(5 * 512 + 0x100, 0);
    out.extend(payload);
    out.extend(b"what follows the payload");
    out
}

fn with_size(mut packed: Vec<u8>, unpacked: &[u8]) -> Vec<u8> {
    packed.extend(u32::try_from(unpacked.len()).unwrap().to_le_bytes());
    packed
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut out = liblzma::write::XzEncoder::new(Vec::new(), 1);
    out.write_all(bytes).unwrap();
    with_size(out.finish().unwrap(), bytes)
}

fn lzma(bytes: &[u8]) -> Vec<u8> {
    let options = liblzma::stream::LzmaOptions::new_preset(1).unwrap();
    let stream = liblzma::stream::Stream::new_lzma_encoder(&options).unwrap();
    let mut out = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
    out.write_all(bytes).unwrap();
    with_size(out.finish().unwrap(), bytes)
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut out = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    out.write_all(bytes).unwrap();
    with_size(out.finish().unwrap(), bytes)
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    with_size(zstd::encode_all(bytes, 1).unwrap(), bytes)
}

/// Blocks smaller than the 8 MiB of `lz4 -l`, whose only difference is their number.
fn lz4(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x02, 0x21, 0x4c, 0x18];
    let packed = lz4_flex::block::compress(bytes);
    out.extend(u32::try_from(packed.len()).unwrap().to_le_bytes());
    out.extend(packed);
    with_size(out, bytes)
}

#[test]
fn every_compression_unpacks() {
    let elf = elf();
    let packers: [Packer; 6] = [gzip, xz, lzma, bzip2, zstd, lz4];
    for (number, pack) in packers.iter().enumerate() {
        let unpacked = elf_from(&bzimage(&pack(&elf)));
        assert!(
            unpacked
                .unwrap_or_else(|error| panic!("packer {number}: {error}"))
                .as_ref()
                == Some(&elf)
        );
    }
    let plain = elf_from(&bzimage(&elf)).unwrap();
    assert!(plain.as_ref() == Some(&elf), "an uncompressed payload");
}

#[test]
fn what_lzop_packs_unpacks() {
    let packed = include_bytes!("../../tests/fixtures/mini.c.lzo").to_vec();
    let source = include_bytes!("../../tests/fixtures/mini.c");
    let unpacked = super::unpack::payload(&with_size(packed, source)).unwrap();
    assert!(unpacked == source);
}

#[test]
fn a_damaged_or_cut_payload_is_an_error() {
    let elf = elf();
    for pack in [gzip, xz, lzma, bzip2, zstd, lz4] {
        let packed = pack(&elf);
        for at in (0..packed.len()).step_by(packed.len() / 20) {
            let mut damaged = packed.clone();
            damaged[at] ^= 0x5a;
            // A flip that the format does not notice may pass, but never with another size.
            if let Ok(out) = super::unpack::payload(&damaged) {
                assert_eq!(out.len(), elf.len());
            }
            assert!(super::unpack::payload(&packed[..at]).is_err());
        }
    }
    let cut = bzimage(&gzip(&elf));
    assert!(matches!(
        elf_from(&cut[..5000]),
        Err(SymbolError::Truncated { start: 0xb00, .. })
    ));
}

#[test]
fn fuzz_boot_images() {
    let elf = elf();
    let images = [gzip, xz, lzma, bzip2, zstd, lz4].map(|pack| bzimage(&pack(&elf)));
    guesttrace_tests::fuzz(|chance| {
        let mut image = chance.pick(&images).clone();
        // The header at the front and the payload's own are small: they get more than their share.
        let kept = image.split_off(*chance.pick(&[0x600, 0xb40, image.len()]));
        chance.damage(&mut image);
        image.extend(kept);
        if let Ok(Some(out)) = elf_from(&image) {
            assert!(out.len() <= 2 * elf.len(), "{} bytes", out.len());
        }
    });
}

#[test]
fn what_is_no_kernel_is_named() {
    let cases: [(&[u8], FileKind); 8] = [
        (b"", FileKind::Empty),
        (b"!<arch>\ndebian-binary", FileKind::ArArchive),
        (b"070701000", FileKind::Cpio),
        (b"0000000000000000 A fixed_percpu_data\n", FileKind::Text),
        (b"MZ\x90\x00\x03", FileKind::EfiProgram),
        (b"QFI\xfb\0\0\0\x03", FileKind::Qcow2),
        (
            b"\x1f\x8b\x08\0",
            FileKind::Compressed(super::Compression::Gzip),
        ),
        (&[0, 1, 2, 3], FileKind::Unknown),
    ];
    for (bytes, expected) in cases {
        match elf_from(bytes) {
            Err(SymbolError::NotAKernel { found }) => assert_eq!(found, expected),
            other => panic!("{bytes:02x?}: {other:?}"),
        }
    }
}
