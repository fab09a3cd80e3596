//! What the model found not to fit: each way is a row, counted and shown, never a panic and never silent.

macro_rules! doubts {
    ($($variant:ident $name:literal $doc:literal;)*) => {
        /// A way in which a trace contradicts itself or the model.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Doubt {
            $(#[doc = $doc] $variant,)*
        }

        impl Doubt {
            /// Every doubt, in the order in which they are shown.
            pub const ALL: &[Doubt] = &[$(Doubt::$variant,)*];

            /// Short name, for JSON and CSV.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Doubt::$variant => $name,)* }
            }

            /// One sentence.
            #[must_use]
            pub fn doc(self) -> &'static str {
                match self { $(Doubt::$variant => $doc,)* }
            }
        }
    };
}

doubts! {
    TimeBackwards "time_backwards" "Events earlier than one before them; taken as simultaneous.";
    SwitchFromUnexpectedThread "switch_from_unexpected_thread" "Scheduling changes away from a thread that was not the last one switched to.";
    SwitchToRunningThread "switch_to_running_thread" "Scheduling changes to a thread that was running on another CPU.";
    SwitchToBlockedThread "switch_to_blocked_thread" "Scheduling changes to a thread that nothing had woken.";
    SwitchToDeadThread "switch_to_dead_thread" "Scheduling changes to a thread that had ended.";
    ContextDisagrees "context_disagrees" "Context records naming a thread that was not switched to.";
    EventOfOtherThread "event_of_other_thread" "Exec or exit of a thread that was not running on that CPU.";
    TidReused "tid_reused" "New threads with the number of a thread that was not seen to end.";
    ExitWithoutEntry "exit_without_entry" "Exits from a system call, trap, interrupt or softirq that was not seen to begin.";
    EntryWithoutExit "entry_without_exit" "System calls, traps, interrupts and softirqs that were over without having been seen to end.";
    SyscallNumberDiffers "syscall_number_differs" "System calls that ended with a number other than they began with.";
    EventWithoutThread "event_without_thread" "Events on a CPU whose thread was not known.";
    PartitionBroken "partition_broken" "CPUs or threads whose states do not add up to their time.";
}

/// How often each doubt arose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubts {
    counts: [u64; Doubt::ALL.len()],
}

impl Default for Doubts {
    fn default() -> Self {
        Self {
            counts: [0; Doubt::ALL.len()],
        }
    }
}

impl Doubts {
    /// Counts one.
    pub fn count(&mut self, doubt: Doubt) {
        self.add(doubt, 1);
    }

    /// Counts several.
    pub fn add(&mut self, doubt: Doubt, count: u64) {
        self.counts[doubt as usize] += count;
    }

    /// Forgets those that turned out to be none.
    pub(super) fn clear(&mut self, doubt: Doubt) {
        self.counts[doubt as usize] = 0;
    }

    /// How often it arose.
    #[must_use]
    pub fn get(&self, doubt: Doubt) -> u64 {
        self.counts[doubt as usize]
    }

    /// Those that arose.
    pub fn iter(&self) -> impl Iterator<Item = (Doubt, u64)> + '_ {
        Doubt::ALL
            .iter()
            .map(|doubt| (*doubt, self.get(*doubt)))
            .filter(|(_, count)| *count != 0)
    }
}
