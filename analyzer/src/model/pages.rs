//! Which pages of memory are taken, and by whom.
//!
//! The kernel takes blocks of 2 to the power of `order` pages and may give them back in parts. Only what the trace saw
//! taken is known; giving back anything else changes nothing.

use std::collections::BTreeMap;

/// Size of the kernel's `struct page` on x86-64: pages that follow each other have descriptors so far apart.
const STRUCT_PAGE_BYTES: u64 = 64;

/// `MAX_ORDER` of every kernel is below; more would be a trace that makes it up.
const ORDER_MAX: u64 = 20;

/// Blocks that are kept are no more than this.
const BLOCKS_MAX: usize = 1 << 24;

/// Pages that are taken, by the addresses of their descriptors.
#[derive(Debug)]
pub struct Pages<O> {
    blocks: BTreeMap<u64, Block<O>>,
}

#[derive(Clone, Copy, Debug)]
struct Block<O> {
    pages: u64,
    owner: O,
}

/// How many pages a block of that order has.
#[must_use]
pub fn pages_of_order(order: u64) -> u64 {
    1 << order.min(ORDER_MAX)
}

impl<O> Default for Pages<O> {
    fn default() -> Self {
        Self {
            blocks: BTreeMap::new(),
        }
    }
}

impl<O: Copy> Pages<O> {
    /// Somebody takes the block that begins with that page.
    pub fn take(&mut self, page: u64, order: u64, owner: O) {
        self.give_back(page, order);
        if self.blocks.len() < BLOCKS_MAX {
            let pages = pages_of_order(order);
            self.blocks.insert(page, Block { pages, owner });
        }
    }

    /// A block, or a part of one, or several, are free again.
    pub fn give_back(&mut self, page: u64, order: u64) {
        let end = end_of(page, pages_of_order(order));
        while let Some((start, block)) = self.last_before(end) {
            let block_end = end_of(start, block.pages);
            if block_end <= page {
                break;
            }
            self.blocks.remove(&start);
            self.keep(start, page, block.owner);
            self.keep(end, block_end, block.owner);
            if start <= page {
                break;
            }
        }
    }

    /// What is taken: the owner of each block and its pages.
    pub fn taken(&self) -> impl Iterator<Item = (&O, u64)> + '_ {
        self.blocks
            .values()
            .map(|block| (&block.owner, block.pages))
    }

    fn last_before(&self, end: u64) -> Option<(u64, Block<O>)> {
        let (start, block) = self.blocks.range(..end).next_back()?;
        Some((*start, *block))
    }

    fn keep(&mut self, start: u64, end: u64, owner: O) {
        let pages = end.saturating_sub(start) / STRUCT_PAGE_BYTES;
        if pages > 0 {
            self.blocks.insert(start, Block { pages, owner });
        }
    }
}

fn end_of(start: u64, pages: u64) -> u64 {
    start.saturating_add(pages.saturating_mul(STRUCT_PAGE_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(pages: &Pages<char>) -> Vec<(char, u64)> {
        pages
            .taken()
            .map(|(owner, pages)| (*owner, pages))
            .collect()
    }

    #[test]
    fn a_block_may_be_given_back_in_parts() {
        let mut pages = Pages::default();
        pages.take(0x1000, 2, 'a');
        pages.give_back(0x1040, 0);
        assert_eq!(taken(&pages), [('a', 1), ('a', 2)]);
        pages.give_back(0x1000, 2);
        assert_eq!(taken(&pages), []);
    }

    #[test]
    fn what_was_not_seen_taken_changes_nothing() {
        let mut pages = Pages::default();
        pages.take(0x1000, 0, 'a');
        pages.give_back(0x1040, 3);
        pages.give_back(0x0fc0, 0);
        assert_eq!(taken(&pages), [('a', 1)]);
        // Its end was not seen: it is somebody else's now.
        pages.take(0x1000, 1, 'b');
        assert_eq!(taken(&pages), [('b', 2)]);
    }

    #[test]
    fn several_blocks_may_be_given_back_as_one() {
        let mut pages = Pages::default();
        pages.take(0x1000, 0, 'a');
        pages.take(0x1040, 0, 'b');
        pages.take(0x1080, 1, 'c');
        pages.give_back(0x1000, 2);
        assert_eq!(taken(&pages), []);
        pages.take(u64::MAX, 70, 'd');
        pages.give_back(u64::MAX, u64::MAX);
    }
}
