//! Who brought about what happens later: timers that were set, work items that were queued, packets that were sent.
//!
//! Each is known by its address from the one event to the other.

use std::collections::HashMap;

use super::event::KernelEvent;
use super::follow::Model;
use super::ids::{CpuId, GuestNanos};
use super::observer::Observer;
use super::thread::Waker;
use super::wait::{Origin, Via};

/// More than so many are not under way at once; a trace that has more makes them up.
const UNDER_WAY_MAX: usize = 1 << 16;

/// What is under way, by address.
#[derive(Debug, Default)]
pub(super) struct Origins {
    timers: HashMap<u64, Origin>,
    works: HashMap<u64, Waker>,
    packets: HashMap<u64, Origin>,
}

impl Origins {
    pub(super) fn work(&self, work: u64) -> Option<&Waker> {
        self.works.get(&work)
    }

    pub(super) fn clear(&mut self) {
        self.timers.clear();
        self.works.clear();
        self.packets.clear();
    }
}

fn keep<T>(map: &mut HashMap<u64, T>, addr: u64, what: T) {
    if map.len() >= UNDER_WAY_MAX {
        map.clear();
    }
    map.insert(addr, what);
}

impl<O: Observer> Model<O> {
    /// Who does something on `cpu` now: nobody in particular, in an interrupt.
    fn origin(&self, at: GuestNanos, cpu: CpuId) -> Origin {
        let actor = self.machine.actor(at, cpu);
        let thread = actor.thread.filter(|_| actor.via == Via::Thread);
        match actor.via {
            // What a softirq answers to a packet was brought about by whoever sent that.
            Via::Packet {
                sent: Some(sent), ..
            } => sent,
            _ => Origin { thread, at },
        }
    }

    /// Follows what is brought about now and happens later.
    pub(super) fn trace_back(&mut self, at: GuestNanos, cpu: CpuId, event: &KernelEvent<'_>) {
        use KernelEvent as E;
        match event {
            E::TimerStart(timer) => self.timer_set(at, cpu, timer.timer),
            E::HrtimerStart(timer) => self.timer_set(at, cpu, timer.hrtimer),
            E::TimerExpireEntry(timer) => self.timer_expires(cpu, timer.timer, timer.function),
            E::HrtimerExpireEntry(timer) => {
                self.timer_expires(cpu, timer.hrtimer, timer.function);
            }
            E::TimerExpireExit(_) | E::HrtimerExpireExit(_) => self.evidence(cpu).timer = None,
            E::NetifRx(packet) => self.packet_handed_over(at, cpu, packet.skbaddr),
            E::NetifReceiveSkb(packet) => self.packet_received(cpu, packet.skbaddr, packet.len),
            E::WorkQueue(work) => self.work_queued(at, cpu, work.work),
            E::WorkStart(work) => self.work_started(cpu, work.work, work.function),
            E::WorkEnd(_) => self.work_ended(cpu),
            _ => {}
        }
    }

    fn timer_set(&mut self, at: GuestNanos, cpu: CpuId, timer: u64) {
        let origin = self.origin(at, cpu);
        keep(&mut self.machine.origins.timers, timer, origin);
    }

    fn timer_expires(&mut self, cpu: CpuId, timer: Option<u64>, function: Option<u64>) {
        let set = timer.and_then(|timer| self.machine.origins.timers.remove(&timer));
        self.evidence(cpu).timer = Some((function.unwrap_or(0), set));
    }

    /// A packet is handed over in this machine: over the loopback device by its sender.
    fn packet_handed_over(&mut self, at: GuestNanos, cpu: CpuId, addr: Option<u64>) {
        if let Some(addr) = addr {
            let origin = self.origin(at, cpu);
            keep(&mut self.machine.origins.packets, addr, origin);
        }
    }

    fn packet_received(&mut self, cpu: CpuId, addr: Option<u64>, bytes: u64) {
        let sent = addr.and_then(|addr| self.machine.origins.packets.remove(&addr));
        self.evidence(cpu).packet = Some((bytes, sent));
    }

    fn work_queued(&mut self, at: GuestNanos, cpu: CpuId, work: u64) {
        let actor = self.machine.actor(at, cpu);
        keep(&mut self.machine.origins.works, work, actor);
    }

    /// The thread that runs on `cpu` begins a work item.
    fn work_started(&mut self, cpu: CpuId, work: Option<u64>, function: Option<u64>) {
        if let Some(work) = work {
            self.machine.origins.works.remove(&work);
        }
        if let Some(thread) = self.machine.current(cpu) {
            self.machine.threads[thread].work = function;
        }
    }

    /// It has ended it.
    fn work_ended(&mut self, cpu: CpuId) {
        if let Some(thread) = self.machine.current(cpu) {
            self.machine.threads[thread].work = None;
        }
    }
}
