//! Finds how far the running kernel image was moved, by its bytes.
//!
//! The slide is the multiple of 2 MiB, 0 included, under which the first blocks that the guest translates in the image's
//! range are those of the image. Patched and relocated instructions differ, so a share of the bytes has to agree.

use probe_plan::{ImageSegment, LinkAddr, RuntimeAddr, Slide};

const STEP: u64 = 2 << 20;
/// x86-64 kernels are moved within this range.
const RANGE: u64 = 1 << 30;
/// Bytes that must have been compared before one slide can win.
const BYTES_MIN: usize = 256;
/// Bytes after which the search is given up.
const BYTES_MAX: usize = 64 * 1024;

/// State of the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Search {
    /// More blocks are needed.
    Undecided,
    /// Only this slide explains the blocks.
    Found(Slide),
    /// No slide, or more than one, explains them: the guest runs another kernel.
    Failed,
}

/// Compares blocks with the image under every possible slide.
#[derive(Debug)]
pub(crate) struct SlideFinder {
    /// Bytes that agree under each slide still possible.
    candidates: Vec<(Slide, usize)>,
    compared: usize,
    failed: bool,
}

impl SlideFinder {
    pub(crate) fn new() -> Self {
        let candidates = (0..RANGE / STEP)
            .map(|index| (Slide(index * STEP), 0))
            .collect();
        Self {
            candidates,
            compared: 0,
            failed: false,
        }
    }

    /// Whether a block there can be the image's.
    pub(crate) fn concerns(image: &[ImageSegment], block: RuntimeAddr) -> bool {
        let first = image
            .iter()
            .map(|segment| segment.addr.0)
            .min()
            .unwrap_or(u64::MAX);
        let last = image
            .iter()
            .map(|segment| segment.addr.0 + segment.bytes.len() as u64)
            .max()
            .unwrap_or(0);
        (first..last.saturating_add(RANGE)).contains(&block.0)
    }

    /// Takes the instructions of a block into account.
    pub(crate) fn observe(
        &mut self,
        image: &[ImageSegment],
        instructions: &[(RuntimeAddr, Vec<u8>)],
    ) -> Search {
        if self.failed {
            return Search::Failed;
        }
        for (addr, bytes) in instructions {
            self.compared += bytes.len();
            for (slide, agreeing) in &mut self.candidates {
                if image_bytes(image, slide.to_link(*addr), bytes.len()) == Some(bytes.as_slice()) {
                    *agreeing += bytes.len();
                }
            }
        }
        if self.compared < BYTES_MIN {
            return Search::Undecided;
        }
        let mut ranked = self.candidates.clone();
        ranked.sort_by_key(|(slide, agreeing)| (std::cmp::Reverse(*agreeing), *slide));
        let (slide, best) = ranked[0];
        let second = ranked[1].1;
        if best * 4 >= self.compared * 3 && second * 2 < best {
            return Search::Found(slide);
        }
        self.failed = self.compared > BYTES_MAX;
        if self.failed {
            Search::Failed
        } else {
            Search::Undecided
        }
    }
}

/// Bytes of the image.
pub(crate) fn image_bytes(image: &[ImageSegment], addr: LinkAddr, length: usize) -> Option<&[u8]> {
    let index = image
        .partition_point(|segment| segment.addr <= addr)
        .checked_sub(1)?;
    let segment = &image[index];
    let start = usize::try_from(addr.0 - segment.addr.0).ok()?;
    segment.bytes.get(start..start.checked_add(length)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Vec<ImageSegment> {
        let bytes = (0..4 << 20)
            .map(|index: u32| (index.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        vec![ImageSegment {
            addr: LinkAddr(0xffff_ffff_8100_0000),
            bytes,
        }]
    }

    fn instructions(
        image: &[ImageSegment],
        slide: u64,
        count: usize,
    ) -> Vec<(RuntimeAddr, Vec<u8>)> {
        (0..count)
            .map(|index| {
                let link = LinkAddr(0xffff_ffff_8100_0100 + index as u64 * 8);
                (
                    Slide(slide).to_runtime(link),
                    image_bytes(image, link, 8).unwrap().to_vec(),
                )
            })
            .collect()
    }

    #[test]
    fn finds_the_slide_although_some_instructions_are_patched() {
        let image = image();
        for slide in [0, 0x0200_0000, 0x14e0_0000] {
            let mut observed = instructions(&image, slide, 64);
            for (_, bytes) in observed.iter_mut().step_by(8) {
                bytes.fill(0x90);
            }
            let mut finder = SlideFinder::new();
            assert_eq!(
                finder.observe(&image, &observed),
                Search::Found(Slide(slide))
            );
        }
    }

    #[test]
    fn another_kernel_is_no_match() {
        let image = image();
        let mut finder = SlideFinder::new();
        let foreign: Vec<_> = (0..16_384)
            .map(|index| {
                (
                    RuntimeAddr(0xffff_ffff_8100_0000 + index * 8),
                    vec![0x90; 8],
                )
            })
            .collect();
        assert_eq!(finder.observe(&image, &foreign), Search::Failed);
    }
}
