//! Places in programs: recognised when a block of user space is translated, by all that is in the block's page.
//!
//! QEMU translates a physical page's code once for every process that maps it, and drops what it translated when the page
//! is written or used for something else. So what a page holds at translation is what is executed, whatever process it
//! is and wherever the page is mapped. Two files with the same page cannot be told apart: both are watched.

use probe_plan::{LinkAddr, Plan, UserPage};

use crate::watch::Armed;

/// Places in programs, by their offset in a page.
#[derive(Debug)]
pub(crate) struct UserCode {
    places: Vec<UserPlace>,
    /// One bit for each offset that has a place.
    offsets: [u64; UserPage::BYTES / 64],
}

/// A place in a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UserPlace {
    /// Bytes from the start of the page.
    pub(crate) offset: u16,
    pub(crate) addr: LinkAddr,
    /// Index into the plan's pages.
    page: usize,
}

impl UserCode {
    /// The places of a plan that something is armed at.
    pub(crate) fn new(plan: &Plan, armed: &[Armed]) -> Self {
        let mut places: Vec<UserPlace> = armed
            .iter()
            .filter(|armed| armed.addr.is_user())
            .filter_map(|armed| {
                let offset = armed.addr.0 % UserPage::BYTES as u64;
                let start = LinkAddr(armed.addr.0 - offset);
                let page = plan
                    .user_pages
                    .binary_search_by_key(&start, |page| page.addr);
                Some(UserPlace {
                    offset: u16::try_from(offset).ok()?,
                    addr: armed.addr,
                    page: page.ok()?,
                })
            })
            .collect();
        places.sort_unstable_by_key(|place| (place.offset, place.addr));
        places.dedup();
        let mut offsets = [0; UserPage::BYTES / 64];
        for place in &places {
            let offset = usize::from(place.offset);
            offsets[offset / 64] |= 1 << (offset % 64);
        }
        Self { places, offsets }
    }

    /// Places that an instruction may be, by where it is in its page.
    pub(crate) fn candidates(&self, addr: u64) -> &[UserPlace] {
        let offset = usize::try_from(addr % UserPage::BYTES as u64).unwrap_or(0);
        if self.offsets[offset / 64] >> (offset % 64) & 1 == 0 {
            return &[];
        }
        let of = |place: &UserPlace| usize::from(place.offset);
        let start = self.places.partition_point(|place| of(place) < offset);
        let end = self.places.partition_point(|place| of(place) <= offset);
        &self.places[start..end]
    }

    /// Whether an instruction may be the one at the place: its bytes, as far as they are in the page, are the same.
    pub(crate) fn begins_with(&self, plan: &Plan, place: &UserPlace, bytes: &[u8]) -> bool {
        let page = plan.user_pages.get(place.page);
        let rest = page.and_then(|page| page.bytes.get(usize::from(place.offset)..));
        rest.is_some_and(|rest| rest.iter().zip(bytes).all(|(a, b)| a == b))
    }

    /// Whether that is the place's page.
    pub(crate) fn is_page(&self, plan: &Plan, place: &UserPlace, found: &[u8]) -> bool {
        let page = plan.user_pages.get(place.page);
        page.is_some_and(|page| page.bytes == found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::What;

    const PAGE: u64 = 0x5000;

    fn armed(addr: u64) -> Armed {
        Armed {
            addr: LinkAddr(addr),
            what: What::Site(0),
        }
    }

    fn page(addr: u64, byte: u8) -> UserPage {
        UserPage {
            addr: LinkAddr(addr),
            bytes: vec![byte; UserPage::BYTES],
        }
    }

    #[test]
    fn places_are_found_by_offset_and_told_apart_by_their_pages() {
        let plan = Plan {
            user_pages: vec![page(PAGE, 1), page(PAGE + 0x1000, 2)],
            ..Plan::default()
        };
        let kernel = 1 << 63;
        let of = [PAGE + 8, PAGE + 8, PAGE + 0x1008, PAGE + 0xfff, kernel];
        let code = UserCode::new(&plan, &of.map(armed));
        let found = |addr| -> Vec<u64> {
            let candidates = code.candidates(addr).iter();
            candidates.map(|place| place.addr.0).collect()
        };
        assert_eq!(found(0x7f00_0000_0008), [PAGE + 8, PAGE + 0x1008]);
        assert_eq!(found(0xfff), [PAGE + 0xfff]);
        assert!(found(0x1000).is_empty() && found(9).is_empty());

        let [first, second] = code.candidates(8) else {
            panic!("two places");
        };
        assert!(code.begins_with(&plan, first, &[1, 1, 1]));
        assert!(!code.begins_with(&plan, second, &[2, 1]));
        assert!(code.is_page(&plan, second, &plan.user_pages[1].bytes));
        let mut changed = plan.user_pages[1].bytes.clone();
        changed[0] = 0xcc;
        assert!(!code.is_page(&plan, second, &changed));
        // An instruction may go on in the next page.
        let [last] = code.candidates(0xfff) else {
            panic!("one place");
        };
        assert!(code.begins_with(&plan, last, &[1, 7, 7]));
    }
}
