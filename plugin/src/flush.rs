//! When buffers are written: those of all CPUs together, so that whoever reads along knows what can no longer come.
//!
//! Invariant: what makes it happen is an event of the guest, never the host's time: the same guest gives the same chunks.

use trace_format::BufferFull;

use crate::recorder::{Here, Recorder};
use crate::track::Track;

impl Recorder {
    /// Appends to a CPU's buffers of a session; where they are full, all CPUs' are written first. `None` when there was
    /// no room.
    pub(crate) fn put<T>(
        &self,
        index: usize,
        here: Here,
        track: &mut Track,
        mut append: impl FnMut(&mut Track) -> Result<T, BufferFull>,
    ) -> Option<T> {
        if let Ok(done) = append(track) {
            return Some(done);
        }
        if track.is_flushed() {
            self.flush(index, here, track);
        } else {
            self.sessions[index].make_room(here.cpu, track, None);
        }
        let done = append(track).ok();
        if done.is_none() {
            self.sessions[index].note_loss(track);
        }
        done
    }

    /// Writes what all CPUs have in a session, this one's last; of a flight recorder nothing.
    pub(crate) fn flush(&self, index: usize, here: Here, track: &mut Track) {
        if !track.is_flushed() || track.current.record_count() == 0 {
            return;
        }
        let session = &self.sessions[index];
        let mut is_whole = true;
        for (cpu, slot) in self.cpus.iter().enumerate() {
            if cpu == here.cpu {
                continue;
            }
            // In wall mode another's state may be taken too: then it cannot be told what it is about to append.
            let mut slot = slot.try_lock();
            let Ok(other) = slot.as_deref_mut() else {
                is_whole = false;
                continue;
            };
            let other = other.as_mut().and_then(|other| other.tracks.get_mut(index));
            if let Some(other) = other.filter(|other| other.current.record_count() != 0) {
                is_whole &= session.make_room(cpu, other, None);
            }
        }
        session.make_room(here.cpu, track, is_whole.then_some(here.tsc));
    }
}
