//! A record as a filter sees it.

use trace_format::{EventId, Value};

/// What is known of a record besides its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Context {
    /// CPU on which it happened; a number.
    Cpu,
    /// Process; a number.
    Pid,
    /// Thread; a number.
    Tid,
    /// Name of the thread; bytes.
    Comm,
    /// Nanoseconds since the start of the trace; a number.
    Time,
    /// The guest's TSC; a number.
    Tsc,
    /// User who the thread acts for; a number. From here on: known only while recording.
    Uid,
    /// Group that the thread acts for; a number.
    Gid,
    /// Process that created the thread's own; a number.
    Ppid,
    /// Process group; a number.
    Pgrp,
    /// Session, as `setsid` makes it; a number.
    Sid,
    /// Last part of the cgroup's path in the unified hierarchy; bytes, empty for the root.
    Cgroup,
    /// Number of that cgroup: the inode of its directory.
    CgroupId,
    /// Whether the process is one of those that are followed, or descends from one; a truth value.
    Followed,
}

impl Context {
    /// Every context, in the order in which they are documented.
    pub const ALL: &[Self] = &[
        Self::Cpu,
        Self::Pid,
        Self::Tid,
        Self::Comm,
        Self::Time,
        Self::Tsc,
    ];

    /// What only a guest that still runs can tell, in the order in which it is documented; names begin with `current.`.
    pub const RECORDING: &[Self] = &[
        Self::Uid,
        Self::Gid,
        Self::Ppid,
        Self::Pgrp,
        Self::Sid,
        Self::Cgroup,
        Self::CgroupId,
        Self::Followed,
    ];

    /// Whether it is text rather than a number.
    #[must_use]
    pub fn is_bytes(self) -> bool {
        matches!(self, Self::Comm | Self::Cgroup)
    }

    /// Name in a filter; those of [`Context::RECORDING`] come after `current.`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Pid => "pid",
            Self::Tid => "tid",
            Self::Comm => "comm",
            Self::Time => "time",
            Self::Tsc => "tsc",
            Self::Uid => "uid",
            Self::Gid => "gid",
            Self::Ppid => "ppid",
            Self::Pgrp => "pgrp",
            Self::Sid => "sid",
            Self::Cgroup => "cgroup",
            Self::CgroupId => "cgroup_id",
            Self::Followed => "followed",
        }
    }
}

/// A record that can be filtered.
pub trait Row {
    /// Kind of event.
    fn event(&self) -> EventId;

    /// What is known besides the fields; [`Value::Missing`] when it is not known.
    fn context(&self, context: Context) -> Value<'_>;

    /// The field at `index` of the event's schema.
    fn field(&self, index: usize) -> Value<'_>;
}
