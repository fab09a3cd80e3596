//! Names of system calls by their numbers, for tracers that write numbers alone.
//!
//! Numbers are for ever, so tables serve all kernels. What is newer than a table is shown as a number.

use trace_format::EnumSchema;

/// Name of the enumeration in schemas.
pub(super) const ENUMERATION: &str = "syscall";

const X86_64: &str = include_str!("dialects/syscalls_x86_64.txt");
const ARM64: &str = include_str!("dialects/syscalls_arm64.txt");

/// The names on machines of that kind, as `uname -m` calls it; `None` where no table is known.
pub(super) fn syscall_names(machine: &str) -> Option<EnumSchema> {
    let table = match machine {
        "x86_64" | "amd64" => X86_64,
        "aarch64" | "arm64" => ARM64,
        _ => return None,
    };
    let row = |line: &str| {
        let (number, name) = line.split_once(' ')?;
        Some((number.parse().ok()?, name.to_owned()))
    };
    Some(EnumSchema {
        name: ENUMERATION.to_owned(),
        values: table.lines().filter_map(row).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_ascend_and_have_the_names_of_the_kernel() {
        for (machine, count, (number, name)) in [
            ("x86_64", X86_64.lines().count(), (257, "openat")),
            ("aarch64", ARM64.lines().count(), (56, "openat")),
        ] {
            let names = syscall_names(machine).unwrap();
            assert_eq!(
                names.values.len(),
                count,
                "every line of {machine} is a call"
            );
            assert!(names.values.is_sorted_by(|one, other| one.0 < other.0));
            assert_eq!(names.name_of(number), Some(name));
        }
        assert_eq!(syscall_names("riscv64"), None);
    }
}
