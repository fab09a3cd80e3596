//! Places of a packet where types stand.

use super::class::{Path, Role, Version};

/// Where a type stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    PacketHeader,
    PacketContext,
    EventHeader,
    /// Of all events of the stream.
    CommonContext,
    /// Of the kind of event.
    Context,
    Payload,
}

impl Scope {
    /// All of them, in the order in which they are read.
    pub(super) const ALL: [Self; 6] = [
        Self::PacketHeader,
        Self::PacketContext,
        Self::EventHeader,
        Self::CommonContext,
        Self::Context,
        Self::Payload,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::PacketHeader => "packet.header",
            Self::PacketContext => "packet.context",
            Self::EventHeader => "event.header",
            Self::CommonContext => "stream.event.context",
            Self::Context => "event.context",
            Self::Payload => "event.fields",
        }
    }

    /// What a field is needed for, by the name that CTF 1.8 gives it there. In CTF 2 the metadata says that itself, but
    /// for CPUs, of which the format knows nothing.
    pub(super) fn role_of(self, name: &str, version: Version) -> Option<Role> {
        // babeltrace2 writes what is not of the format itself with an underscore.
        let name = if name == "_cpu_id" { "cpu_id" } else { name };
        if version == Version::Ctf2 && name != "cpu_id" {
            return None;
        }
        match (self, name) {
            (Self::PacketHeader, "magic") => Some(Role::Magic),
            (Self::PacketHeader, "stream_id") => Some(Role::StreamClass),
            (Self::PacketHeader, "stream_instance_id") => Some(Role::StreamInstance),
            (Self::PacketContext, "packet_size") => Some(Role::PacketBits),
            (Self::PacketContext, "content_size") => Some(Role::ContentBits),
            (Self::PacketContext, "timestamp_begin") => Some(Role::PacketStart),
            (Self::PacketContext, "timestamp_end") => Some(Role::PacketEnd),
            (Self::PacketContext, "packet_seq_num") => Some(Role::PacketSequence),
            (Self::PacketContext, "events_discarded") => Some(Role::Discarded),
            (Self::PacketContext, "cpu_id") => Some(Role::Cpu),
            (Self::EventHeader, "id") => Some(Role::EventClass),
            _ => None,
        }
    }

    /// A path that begins with a scope, as known numbers have it.
    pub(super) fn absolute(path: &Path) -> Option<Vec<String>> {
        let words: Vec<&str> = path.iter().map(String::as_str).collect();
        let (scope, rest) = match words[..] {
            ["trace", "packet", "header", ref rest @ ..] => (Self::PacketHeader, rest),
            ["stream", "packet", "context", ref rest @ ..] => (Self::PacketContext, rest),
            ["stream", "event", "header", ref rest @ ..] => (Self::EventHeader, rest),
            ["stream", "event", "context", ref rest @ ..] => (Self::CommonContext, rest),
            ["event", "context", ref rest @ ..] => (Self::Context, rest),
            ["event", "fields", ref rest @ ..] => (Self::Payload, rest),
            _ => return None,
        };
        let mut full = vec![scope.name().to_owned()];
        full.extend(rest.iter().map(|word| (*word).to_owned()));
        Some(full)
    }
}
