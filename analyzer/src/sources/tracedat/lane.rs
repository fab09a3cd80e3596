//! Events of one CPU in one buffer.

use trace_format::{EventId, Severity};

use super::compression::Compression;
use super::page::{Missed, Next, Page, PageLayout};
use super::stamps::Stamps;
use crate::model::CpuId;
use crate::sources::foreign::{Head, Laid, Lane, LaneLoss, Layout, Step};
use crate::sources::ftrace::Bytes;
use crate::sources::ftrace::EventTable;
use crate::sources::{Fields, Finding, TraceError};

/// Everything that a lane needs of its file.
#[derive(Clone, Copy, Debug)]
pub(super) struct LanePlan<'t> {
    pub(super) table: &'t EventTable,
    pub(super) stamps: &'t Stamps,
    pub(super) layout: PageLayout,
    pub(super) compression: Compression,
    pub(super) cpu: u32,
    /// Added to the ids of the table: another buffer has its own.
    pub(super) first_id: u16,
    /// What the file has of the CPU.
    pub(super) data: &'t [u8],
    /// Whether that is less than it says.
    pub(super) is_cut: bool,
}

/// The lane.
#[derive(Debug)]
pub(super) struct DatLane<'t> {
    plan: LanePlan<'t>,
    /// Compressed pieces that are not unpacked yet, and how many there are.
    pieces: Bytes<'t>,
    pieces_left: u32,
    /// The piece that is being read, where data are compressed.
    piece: Vec<u8>,
    page: Page,
    /// Where the page after it starts in the block.
    next_page: usize,
    /// Events were lost before the next.
    loss: Option<Missed>,
    /// The data of the event.
    record: (usize, usize),
    event: EventId,
    findings: Vec<Finding>,
}

const DAMAGED: &str = "damaged";
const UNKNOWN: &str = "event_unknown";

impl<'t> DatLane<'t> {
    pub(super) fn new(plan: LanePlan<'t>) -> Self {
        let mut pieces = Bytes::new(plan.data, plan.layout.is_big_endian);
        let is_packed = plan.compression != Compression::None;
        let pieces_left = if is_packed {
            pieces.u32().unwrap_or(0)
        } else {
            0
        };
        let mut lane = Self {
            plan,
            pieces,
            pieces_left,
            piece: Vec::new(),
            page: Page::default(),
            next_page: 0,
            loss: None,
            record: (0, 0),
            event: EventId(0),
            findings: Vec::new(),
        };
        if plan.is_cut {
            lane.damage("the file ends before the events do");
        }
        lane
    }

    #[inline]
    fn block(&self) -> &[u8] {
        match self.plan.compression {
            Compression::None => self.plan.data,
            Compression::Zlib | Compression::Zstd => &self.piece,
        }
    }

    /// Goes to the next page; whether there is one.
    fn turn(&mut self) -> bool {
        loop {
            if self.next_page >= self.block().len() {
                if !self.unpack() {
                    return false;
                }
                continue;
            }
            let start = self.next_page;
            self.next_page = start + self.plan.layout.page_bytes;
            match Page::open(self.block(), start, self.plan.layout) {
                Some(page) => {
                    self.loss = page.missed.or(self.loss);
                    self.page = page;
                    return true;
                }
                None => self.damage("a page has no proper start"),
            }
        }
    }

    /// Unpacks the next piece; whether there is one.
    fn unpack(&mut self) -> bool {
        while self.pieces_left > 0 {
            self.pieces_left -= 1;
            let piece = (|| {
                let (packed, size) = (self.pieces.u32()? as usize, self.pieces.u32()? as usize);
                Some((self.pieces.take(packed)?, size))
            })();
            let Some((packed, size)) = piece else {
                self.pieces_left = 0;
                self.damage("compressed pages are cut off");
                return false;
            };
            self.next_page = 0;
            let unpacked = self.plan.compression.unpack(packed, size, &mut self.piece);
            if unpacked.is_some() && size > 0 {
                return true;
            }
            self.piece.clear();
            self.damage("compressed pages cannot be unpacked");
        }
        false
    }

    /// Leaves out all but the last page, or the last compressed piece.
    pub(super) fn skip_to_end(&mut self) {
        while self.pieces_left > 1 {
            let skipped = (|| {
                let packed = self.pieces.u32()? as usize;
                self.pieces.u32()?;
                self.pieces.take(packed)
            })();
            if skipped.is_none() {
                return;
            }
            self.pieces_left -= 1;
        }
        let pages = self.block().len().saturating_sub(1) / self.plan.layout.page_bytes;
        let last = pages * self.plan.layout.page_bytes;
        if self.plan.compression == Compression::None && last > self.next_page {
            self.next_page = last;
            self.page = Page::default();
        } else if self.plan.compression != Compression::None && self.pieces_left > 0 {
            self.piece.clear();
            self.page = Page::default();
            self.next_page = 0;
        }
    }

    /// Something is wrong: events are missing before the next one.
    #[cold]
    fn damage(&mut self, what: &str) {
        self.loss = self.loss.or(Some(Missed(None)));
        let cpu = self.plan.cpu;
        self.tell(DAMAGED, Severity::DataLoss, || {
            format!("The file is damaged: of CPU {cpu}, {what}.")
        });
    }

    /// Counts what is wrong; the text is that of the first time.
    #[cold]
    fn tell(&mut self, name: &str, severity: Severity, text: impl FnOnce() -> String) {
        if let Some(finding) = self
            .findings
            .iter_mut()
            .find(|finding| finding.name == name)
        {
            finding.count = finding.count.map(|count| count + 1);
            return;
        }
        let mut finding = Finding::of_file(severity, text());
        finding.name = name.to_owned();
        finding.count = Some(1);
        self.findings.push(finding);
    }

    #[inline]
    fn ticks(&self) -> u64 {
        self.plan.stamps.nanos(self.plan.cpu, self.page.stamp)
    }

    fn step(&mut self, start: usize, length: usize) -> Step {
        self.record = (start, start + length);
        let record = self.record();
        let event = self.plan.table.event(record);
        let tid = self.plan.table.tid(record);
        self.event = event;
        if self.plan.table.is_unknown(event) {
            self.tell(UNKNOWN, Severity::Notice, || {
                "Events whose format the file does not have: they are shown as unknown_event, as bytes.".to_owned()
            });
        }
        Step::Event(Head {
            ticks: self.ticks(),
            cpu: CpuId(self.plan.cpu),
            event: EventId(event.0.saturating_add(self.plan.first_id)),
            tid,
            pid: None,
        })
    }

    #[inline]
    fn record(&self) -> &[u8] {
        self.block()
            .get(self.record.0..self.record.1)
            .unwrap_or(&[])
    }
}

impl Lane for DatLane<'_> {
    #[inline]
    fn advance(&mut self) -> Result<Step, TraceError> {
        loop {
            let block = match self.plan.compression {
                Compression::None => self.plan.data,
                Compression::Zlib | Compression::Zstd => &self.piece,
            };
            match self.page.next(block, self.plan.layout.is_big_endian) {
                Next::Event(start, length) => return Ok(self.step(start, length)),
                Next::Damage => self.damage("an event is longer than its page"),
                Next::End => {}
            }
            let is_more = self.turn();
            if let Some(Missed(count)) = self.loss.take() {
                return Ok(Step::Loss(LaneLoss {
                    cpu: CpuId(self.plan.cpu),
                    ticks: self.ticks(),
                    count,
                }));
            }
            if !is_more {
                return Ok(Step::End);
            }
        }
    }

    #[inline]
    fn fields(&self) -> Fields<'_> {
        static NONE: Layout = Layout {
            places: Vec::new(),
            is_big_endian: false,
        };
        Fields::Laid(Laid {
            layout: self.plan.table.layout(self.event).unwrap_or(&NONE),
            bytes: self.record(),
        })
    }

    fn findings(&self) -> &[Finding] {
        &self.findings
    }
}
