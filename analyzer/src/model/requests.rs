//! What block devices have under way.
//!
//! A request is known by its device and first sector while it is under way; its parts may be done one after the other.

use std::collections::HashMap;

use super::event::{BlockRqComplete, BlockRqInsert, BlockRqIssue, BlockRqRequeue};
use super::follow::Model;
use super::ids::{CpuId, GuestNanos};
use super::observer::Observer;
use super::thread::ThreadIndex;
use super::wait::Asked;

/// Requests that are not over are no more than this; more would be a trace that makes them up.
const UNDER_WAY_MAX: usize = 1 << 16;

/// A request to a block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The device: major << 20 | minor.
    pub dev: u64,
    /// Its first sector.
    pub sector: u64,
    /// Bytes asked for.
    pub bytes: u64,
    /// What to do, as the kernel numbers it: 0 read, 1 write.
    pub op: Option<u64>,
    /// The thread that queued or issued it, whichever was seen first; often a thread of the kernel.
    pub thread: Option<ThreadIndex>,
    /// What that thread asked the kernel for.
    pub asked: Asked,
    /// When it was queued, if that was seen.
    pub inserted: Option<GuestNanos>,
    /// When it went to the device, if that was seen.
    pub issued: Option<GuestNanos>,
    /// Bytes that are done.
    pub done: u64,
}

/// The requests under way.
#[derive(Debug, Default)]
pub struct Requests {
    under_way: HashMap<(u64, u64), Request>,
}

impl Requests {
    /// How many are under way at a device, queued or issued.
    #[must_use]
    pub fn count(&self, dev: u64) -> usize {
        self.under_way.keys().filter(|(at, _)| *at == dev).count()
    }

    fn begin(&mut self, request: Request) -> &mut Request {
        if self.under_way.len() >= UNDER_WAY_MAX {
            self.under_way.clear();
        }
        self.under_way
            .entry((request.dev, request.sector))
            .or_insert(request)
    }

    pub(super) fn clear(&mut self) {
        self.under_way.clear();
    }
}

impl<O: Observer> Model<O> {
    fn new_request(
        &self,
        cpu: CpuId,
        dev: u64,
        sector: u64,
        bytes: Option<u64>,
        op: Option<u64>,
    ) -> Request {
        Request {
            dev,
            sector,
            bytes: bytes.unwrap_or(0),
            op,
            thread: self.machine.current(cpu),
            asked: self.machine.asked_on(cpu),
            inserted: None,
            issued: None,
            done: 0,
        }
    }

    pub(super) fn queue_request(&mut self, at: GuestNanos, cpu: CpuId, event: &BlockRqInsert) {
        let request = self.new_request(
            cpu,
            event.dev,
            event.sector,
            bytes(event.bytes, event.nr_sector),
            event.op,
        );
        self.machine.requests.begin(request).inserted = Some(at);
    }

    pub(super) fn issue_request(&mut self, at: GuestNanos, cpu: CpuId, event: &BlockRqIssue) {
        let request = self.new_request(
            cpu,
            event.dev,
            event.sector,
            bytes(event.bytes, event.nr_sector),
            event.op,
        );
        let request = self.machine.requests.begin(request);
        request.issued = Some(at);
        // It may have been merged with others since it was queued.
        request.bytes = bytes(event.bytes, event.nr_sector).unwrap_or(request.bytes);
    }

    pub(super) fn requeue_request(&mut self, event: &BlockRqRequeue) {
        if let Some(request) = self
            .machine
            .requests
            .under_way
            .get_mut(&(event.dev, event.sector))
        {
            request.issued = None;
        }
    }

    pub(super) fn complete_request(&mut self, at: GuestNanos, cpu: CpuId, event: &BlockRqComplete) {
        let part = bytes(event.bytes, event.nr_sector).unwrap_or(0);
        let known = self
            .machine
            .requests
            .under_way
            .remove(&(event.dev, event.sector));
        let mut request = known.unwrap_or_else(|| Request {
            thread: None,
            ..self.new_request(
                cpu,
                event.dev,
                event.sector,
                bytes(event.bytes, event.nr_sector),
                event.op,
            )
        });
        request.done = request.done.saturating_add(part);
        self.evidence(cpu).request = Some(request);
        if request.done < request.bytes && part > 0 {
            // The rest is known by its own first sector.
            let next = event.sector.saturating_add(part / SECTOR_BYTES);
            self.machine
                .requests
                .under_way
                .insert((event.dev, next), request);
        } else {
            self.observer
                .request_done(&self.machine, &request, at, event.error);
        }
    }
}

const SECTOR_BYTES: u64 = 512;

/// Bytes of a request or a part of it; not every source has both numbers.
fn bytes(bytes: Option<u64>, sectors: Option<u64>) -> Option<u64> {
    bytes.or(sectors.map(|sectors| sectors.saturating_mul(SECTOR_BYTES)))
}
