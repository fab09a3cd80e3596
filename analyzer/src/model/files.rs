//! Which files processes have open, by descriptor.
//!
//! Names come from events that carry a path; what a call only passes on (a copy of a descriptor, a child) keeps its name.
//! A descriptor whose opening was not seen has no name.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::calls::{CallArgs, Descriptors};
use super::event::{FileOpen, OpenFile, SocketCreate};
use super::ids::Pid;

/// Names beyond so many are not kept: a trace that has more of them makes them up.
const NAMES_MAX: usize = 1 << 20;

/// `include/uapi/asm-generic/fcntl.h`: the descriptor goes when another program is run.
const O_CLOEXEC: u64 = 0o2_000_000;

/// Name of an open file: a path as it was given, or what kind of thing it is, in brackets.
pub type FileName = Arc<[u8]>;

/// The open files of every process.
#[derive(Debug, Default)]
pub struct Files {
    tables: BTreeMap<Pid, BTreeMap<i64, OpenDescriptor>>,
    names: HashSet<FileName>,
}

#[derive(Clone, Debug)]
struct OpenDescriptor {
    name: FileName,
    closes_on_exec: bool,
}

/// The descriptor that a system call's argument is: an `int` of C.
#[must_use]
pub fn descriptor_of(arg: u64) -> i64 {
    #[allow(clippy::cast_possible_truncation, reason = "an int is the lower half")]
    let low = arg as u32;
    i64::from(low.cast_signed())
}

impl Files {
    /// Name of the file behind a descriptor, if it is known.
    #[must_use]
    pub fn name(&self, pid: Pid, fd: i64) -> Option<&FileName> {
        Some(&self.tables.get(&pid)?.get(&fd)?.name)
    }

    /// Whether a descriptor is that of a socket, as far as it is known.
    #[must_use]
    pub fn is_socket(&self, pid: Pid, fd: i64) -> bool {
        let is = |name: &FileName| {
            name.starts_with(b"[socket ")
                || name.starts_with(b"socket:")
                || [&b"[sockfs]"[..], b"[connection]"].contains(&&name[..])
        };
        self.name(pid, fd).is_some_and(is)
    }

    fn intern(&mut self, name: &[u8]) -> FileName {
        if let Some(known) = self.names.get(name) {
            return Arc::clone(known);
        }
        let name: FileName = Arc::from(name);
        if self.names.len() < NAMES_MAX {
            self.names.insert(Arc::clone(&name));
        }
        name
    }

    fn open(&mut self, pid: Pid, fd: i64, name: &[u8], closes_on_exec: bool) {
        if fd < 0 {
            return;
        }
        let name = self.intern(name);
        let descriptor = OpenDescriptor {
            name,
            closes_on_exec,
        };
        self.tables.entry(pid).or_default().insert(fd, descriptor);
    }

    pub(super) fn opened(&mut self, pid: Pid, event: &FileOpen<'_>) {
        let closes_on_exec = event.flags.is_some_and(|flags| flags & O_CLOEXEC != 0);
        if let Some(path) = event.path {
            self.open(pid, event.fd, path, closes_on_exec);
        }
    }

    /// A file that was open before recording began.
    pub(super) fn found(&mut self, event: &OpenFile<'_>) {
        let is_plain = |name: &[u8]| !name.is_empty() && name != b"/";
        let mut name = Vec::new();
        match (event.directory, event.name) {
            // Another tracer's path, or what it says of what has none: `socket:[4711]`.
            (None, Some(path)) if is_plain(path) => name.extend_from_slice(path),
            (Some(directory), Some(file)) if is_plain(file) => {
                if is_plain(directory) {
                    name.extend_from_slice(b".../");
                    name.extend_from_slice(directory);
                }
                name.push(b'/');
                name.extend_from_slice(file);
            }
            _ => {
                name.push(b'[');
                name.extend_from_slice(event.fs.unwrap_or(b"?"));
                name.push(b']');
            }
        }
        self.open(event.pid, descriptor_of(event.fd), &name, false);
    }

    pub(super) fn socket(&mut self, pid: Pid, event: &SocketCreate<'_>) {
        let name = [b"[socket ", event.family.unwrap_or(b"?"), b"]"].concat();
        self.open(pid, event.fd, &name, false);
    }

    /// A system call that has to do with descriptors has returned.
    pub(super) fn returned(&mut self, pid: Pid, what: Descriptors, args: &CallArgs, ret: i64) {
        let first = args[0].map(descriptor_of);
        match what {
            Descriptors::Close => {
                if let (Some(fd), Some(table)) = (first, self.tables.get_mut(&pid)) {
                    table.remove(&fd);
                }
            }
            Descriptors::Copy if ret >= 0 => {
                let from = first.and_then(|fd| self.tables.get(&pid)?.get(&fd).cloned());
                let table = self.tables.entry(pid).or_default();
                match from {
                    Some(descriptor) => table.insert(
                        ret,
                        OpenDescriptor {
                            closes_on_exec: false,
                            ..descriptor
                        },
                    ),
                    None => table.remove(&ret),
                };
            }
            Descriptors::Make(kind) => self.open(pid, ret, kind.as_bytes(), false),
            Descriptors::Copy | Descriptors::None => {}
        }
    }

    pub(super) fn forked(&mut self, parent: Pid, child: Pid) {
        if parent != child {
            let table = self.tables.get(&parent).cloned().unwrap_or_default();
            self.tables.insert(child, table);
        }
    }

    pub(super) fn execed(&mut self, pid: Pid) {
        if let Some(table) = self.tables.get_mut(&pid) {
            table.retain(|_, descriptor| !descriptor.closes_on_exec);
        }
    }

    pub(super) fn ended(&mut self, pid: Pid) {
        self.tables.remove(&pid);
    }

    /// Nothing is known any more.
    pub(super) fn forget(&mut self) {
        self.tables.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHELL: Pid = Pid(7);
    const CHILD: Pid = Pid(8);

    fn name(files: &Files, pid: Pid, fd: i64) -> String {
        let name = files.name(pid, fd);
        name.map_or_else(
            || "-".to_owned(),
            |name| String::from_utf8_lossy(name).into_owned(),
        )
    }

    fn args(first: u64) -> CallArgs {
        let mut args = CallArgs::default();
        args[0] = Some(first);
        args
    }

    #[test]
    fn a_child_has_what_its_parent_had_and_a_program_what_it_was_to_keep() {
        let mut files = Files::default();
        let open = |fd, path, flags| FileOpen {
            path: Some(path),
            flags: Some(flags),
            fd,
        };
        files.opened(SHELL, &open(3, b"/etc/passwd", 0));
        files.opened(SHELL, &open(4, b"secret", O_CLOEXEC));
        files.opened(SHELL, &open(-2, b"missing", 0));
        files.forked(SHELL, CHILD);
        files.returned(CHILD, Descriptors::Copy, &args(3), 0);
        files.returned(SHELL, Descriptors::Close, &args(3), 0);
        files.execed(CHILD);
        assert_eq!(name(&files, SHELL, 3), "-");
        assert_eq!(name(&files, CHILD, 3), "/etc/passwd");
        assert_eq!(name(&files, CHILD, 0), "/etc/passwd");
        assert_eq!(name(&files, SHELL, 4), "secret");
        assert_eq!(name(&files, CHILD, 4), "-");
        files.returned(CHILD, Descriptors::Copy, &args(9), 3);
        assert_eq!(name(&files, CHILD, 3), "-");
        files.returned(CHILD, Descriptors::Make("[epoll]"), &args(0), 5);
        assert_eq!(name(&files, CHILD, 5), "[epoll]");
        files.ended(CHILD);
        assert_eq!(name(&files, CHILD, 0), "-");
    }

    #[test]
    fn descriptors_are_ints() {
        assert_eq!(descriptor_of(0xffff_ffff), -1);
        assert_eq!(descriptor_of(0xdead_beef_0000_0003), 3);
    }
}
