//! What the source calls the arguments of system calls.
//!
//! Relies on `struct syscall_metadata` of `include/trace/syscall.h` (CONFIG_FTRACE_SYSCALLS), else on the prototype of
//! the inner function `__do_sys_*`, where the compiler left one.

use std::collections::HashMap;

use crate::bytes::{text_at, u64_at};
use crate::c_type::{MemberPlace, Type};
use crate::{Kernel, LinkAddr};

/// More arguments than the ABI has registers for.
const ARGUMENTS_MAX: u64 = 6;

type Arguments = Vec<(String, String)>;

/// Arguments by function, such as `sys_openat`.
pub(super) struct Declarations {
    from_metadata: HashMap<String, Arguments>,
}

impl Declarations {
    pub(super) fn read(kernel: &Kernel) -> Self {
        Self {
            from_metadata: metadata(kernel).unwrap_or_default(),
        }
    }

    /// The arguments of `sys_openat`, `compat_sys_openat` and the like.
    pub(super) fn of(&self, kernel: &Kernel, function: &str) -> Arguments {
        let found = self.from_metadata.get(function).cloned();
        found
            .or_else(|| from_prototype(kernel, &format!("__do_{function}")))
            .unwrap_or_default()
    }
}

fn from_prototype(kernel: &Kernel, function: &str) -> Option<Arguments> {
    let types = kernel.types();
    let Type::Function { params, .. } = types.get(types.function(function)?) else {
        return None;
    };
    params
        .iter()
        .map(|(name, id)| Some((name.clone()?, types.c_name(*id))))
        .collect()
}

/// Reads `__start_syscalls_metadata`; `None` on kernels without it.
fn metadata(kernel: &Kernel) -> Option<HashMap<String, Arguments>> {
    let types = kernel.types();
    let metadata = types.struct_named("syscall_metadata")?;
    let member = |name: &str| types.member(metadata, name);
    let (name, count) = (member("name")?, member("nb_args")?);
    let (type_names, names) = (member("types")?, member("args")?);
    let start = kernel.symbols().address("__start_syscalls_metadata")?;
    let stop = kernel.symbols().address("__stop_syscalls_metadata")?;
    let table = kernel.read(start, crate::bytes::distance(start, stop)?)?;
    let read = |at: LinkAddr| {
        let function = text(kernel, number(kernel, at, &name)?)?;
        let count = number(kernel, at, &count)?.min(ARGUMENTS_MAX);
        let strings = |place: &MemberPlace| strings(kernel, number(kernel, at, place)?, count);
        // Without arguments both pointers are null.
        let arguments = if count == 0 {
            Vec::new()
        } else {
            pair(strings(&names)?, strings(&type_names)?)
        };
        Some((function.to_owned(), arguments))
    };
    Some(
        table
            .chunks_exact(8)
            .filter_map(|word| read(LinkAddr(u64_at(word, 0)?)))
            .collect(),
    )
}

fn pair(names: Vec<String>, types: Vec<String>) -> Arguments {
    names.into_iter().zip(types).collect()
}

/// A member's value, of up to eight bytes or a bit-field within them.
fn number(kernel: &Kernel, at: LinkAddr, place: &MemberPlace) -> Option<u64> {
    let bits = match place.bitfield_bits {
        Some(bits) => u64::from(bits),
        None => kernel.types().byte_size(place.type_id)?.checked_mul(8)?,
    };
    let (first_byte, skip) = (place.bit_offset / 8, place.bit_offset % 8);
    let len = usize::try_from((skip + bits).div_ceil(8))
        .ok()
        .filter(|len| (1..=8).contains(len))?;
    let bytes = kernel.read(at.checked_add(first_byte)?, len)?;
    let mut word = [0; 8];
    word.get_mut(..len)?.copy_from_slice(bytes);
    let value = u64::from_le_bytes(word) >> skip;
    Some(if bits < 64 {
        value & ((1 << bits) - 1)
    } else {
        value
    })
}

fn text(kernel: &Kernel, at: u64) -> Option<&str> {
    text_at(kernel.rest(LinkAddr(at))?, 0)
}

/// The texts behind an array of pointers.
fn strings(kernel: &Kernel, at: u64, count: u64) -> Option<Vec<String>> {
    let pointers = kernel.read(LinkAddr(at), usize::try_from(count).ok()?.checked_mul(8)?)?;
    pointers
        .chunks_exact(8)
        .map(|word| text(kernel, u64_at(word, 0)?).map(str::to_owned))
        .collect()
}
