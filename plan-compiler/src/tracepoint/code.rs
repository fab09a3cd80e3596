//! What a walk needs to know of a kernel, and of the site that it starts from.

use std::ops::Range;

use super::state::ImageRange;

/// Access to a kernel's code and symbols.
pub(super) trait Code {
    /// The bytes of the image from `addr` on, as many as are at hand but no fewer than an instruction.
    fn bytes(&self, addr: u64) -> Option<&[u8]>;
    /// Name of the function or object that starts at `addr`.
    fn symbol_at(&self, addr: u64) -> Option<&str>;
    /// Address of the symbol of that name.
    fn address_of(&self, name: &str) -> Option<u64>;
    /// Size of `struct tracepoint`.
    fn tracepoint_bytes(&self) -> u64;
    /// First address behind the module that the code is of; `None` for the kernel's own.
    fn module_end(&self) -> Option<u64> {
        None
    }
}

/// Bytes of `cpu_online_mask`: `CONFIG_NR_CPUS` is at most 8192.
const CPU_MASK_BYTES: u64 = 1024;

/// One site of a tracepoint, and how the call of its handlers is recognised.
#[derive(Debug)]
pub(super) struct Place<'a> {
    /// The nop.
    pub(super) code: u64,
    /// Where it branches to when the tracepoint is on.
    pub(super) target: u64,
    /// All sites of the tracepoint, this one included: (nop, target).
    pub(super) sites: &'a [(u64, u64)],
    pub(super) image: ImageRange,
    goals: [Option<u64>; 2],
    tracepoint: Range<u64>,
    cpu_mask: Range<u64>,
}

impl<'a> Place<'a> {
    pub(super) fn new<C: Code>(
        code: &C,
        name: &str,
        site: (u64, u64),
        sites: &'a [(u64, u64)],
    ) -> Self {
        // As `kernel_image` is linked: without symbols of its bounds, the last 2 GiB hold nothing but it and modules.
        let start = code.address_of("_text").unwrap_or(0xffff_ffff_8000_0000);
        let end = code.address_of("_end").unwrap_or(0xffff_ffff_c000_0000);
        let end = code.module_end().unwrap_or(end);
        Self {
            code: site.0,
            target: site.1,
            sites,
            image: ImageRange(start..end),
            goals: [
                code.address_of(&format!("__SCT__tp_func_{name}")),
                code.address_of(&format!("__traceiter_{name}")),
            ],
            tracepoint: range(
                code.address_of(&format!("__tracepoint_{name}")),
                code.tracepoint_bytes(),
            ),
            cpu_mask: range(code.address_of("__cpu_online_mask"), CPU_MASK_BYTES),
        }
    }

    /// Whether a call of `target` runs the tracepoint's handlers.
    pub(super) fn is_goal(&self, target: u64) -> bool {
        self.goals.contains(&Some(target))
    }

    /// Whether handlers are called through `tp->funcs` only: before 5.10.
    pub(super) fn calls_through_pointer(&self) -> bool {
        self.goals == [None, None]
    }

    /// Where the tracepoint's site at `addr` branches to, when there is one other than this.
    pub(super) fn other_site(&self, addr: u64) -> Option<u64> {
        let site = self
            .sites
            .iter()
            .find(|site| site.0 == addr && addr != self.code)?;
        Some(site.1)
    }

    /// The tracepoint's own structure: its handlers and its state.
    pub(super) fn tracepoint(&self) -> Range<u64> {
        self.tracepoint.clone()
    }

    /// The set of CPUs that are on: each site tests its own, which always is.
    pub(super) fn cpu_mask(&self) -> Range<u64> {
        self.cpu_mask.clone()
    }
}

/// So many bytes from `start` on; nothing without a start.
fn range(start: Option<u64>, bytes: u64) -> Range<u64> {
    start.map_or(0..0, |start| start..start.saturating_add(bytes))
}
