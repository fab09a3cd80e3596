//! What the compiler asks of a kernel: the seam at which tests put types and symbols of their own.

use guest_symbols::{Kernel, NameKind, Type, TypeId};
use probe_plan::{LinkAddr, Op};

/// A namespace of C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    Struct,
    Union,
    Enum,
    Typedef,
}

/// A symbol by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SymbolFact {
    pub(crate) addr: LinkAddr,
    pub(crate) is_function: bool,
}

/// What to add to a CPU's per-CPU base to reach a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PerCpuOffset {
    /// To 6.14: the distance from the start of the area.
    Fixed(u64),
    /// Since 6.15: the address of the area's image, which moves with the kernel.
    Linked(LinkAddr),
}

impl PerCpuOffset {
    /// The step that pushes it.
    pub(crate) fn op(self) -> Op {
        match self {
            Self::Fixed(offset) => Op::Const(offset),
            Self::Linked(addr) => Op::LinkAddr(addr.0),
        }
    }

    /// So many bytes further.
    pub(crate) fn plus(self, bytes: u64) -> Self {
        match self {
            Self::Fixed(offset) => Self::Fixed(offset.wrapping_add(bytes)),
            Self::Linked(addr) => Self::Linked(LinkAddr(addr.0.wrapping_add(bytes))),
        }
    }
}

/// Types and symbols of a kernel.
pub(crate) trait Facts {
    fn ty(&self, id: TypeId) -> &Type;
    fn named(&self, tag: Tag, name: &str) -> Option<TypeId>;
    /// A struct of the kernel, where a program may have another one of that name.
    fn kernel_struct(&self, name: &str) -> Option<TypeId> {
        self.named(Tag::Struct, name)
    }
    /// All names of a namespace, for those who slip.
    fn names(&self, tag: Tag) -> Vec<&str>;
    /// Names of per-CPU variables, and some that are none.
    fn variable_names(&self) -> Vec<&str>;
    /// Whether what a pointer points to is not written through it.
    fn points_to_const(&self, pointer: TypeId) -> bool;
    fn enum_value(&self, name: &str) -> Option<i64>;
    /// Type of a variable.
    fn variable(&self, name: &str) -> Option<TypeId>;
    fn symbol(&self, name: &str) -> Option<SymbolFact>;
    /// What to add to a CPU's per-CPU base to reach a variable.
    fn per_cpu(&self, name: &str) -> Option<PerCpuOffset>;
    /// Why the kernel's call stacks cannot be climbed; `None` when they can.
    fn why_no_unwind(&self) -> Option<String>;
    /// Whether the code is a program's of user space.
    fn is_program(&self) -> bool;
}

impl Facts for Kernel {
    fn ty(&self, id: TypeId) -> &Type {
        self.types().get(id)
    }

    fn named(&self, tag: Tag, name: &str) -> Option<TypeId> {
        let types = self.types();
        match tag {
            Tag::Struct => types.struct_named(name),
            Tag::Union => types.union_named(name),
            Tag::Enum => types.enum_named(name),
            Tag::Typedef => types.typedef_named(name),
        }
    }

    fn kernel_struct(&self, name: &str) -> Option<TypeId> {
        self.types().of_kernel().struct_named(name)
    }

    fn names(&self, tag: Tag) -> Vec<&str> {
        self.types().names(match tag {
            Tag::Struct => NameKind::Struct,
            Tag::Union => NameKind::Union,
            Tag::Enum => NameKind::Enum,
            Tag::Typedef => NameKind::Typedef,
        })
    }

    fn variable_names(&self) -> Vec<&str> {
        let data = self.kernel_symbols().iter();
        data.filter(|symbol| !matches!(symbol.kind, 't' | 'T' | 'w' | 'W'))
            .map(|symbol| symbol.name)
            .collect()
    }

    fn points_to_const(&self, pointer: TypeId) -> bool {
        self.types().points_to_const(pointer)
    }

    fn enum_value(&self, name: &str) -> Option<i64> {
        self.types().enum_value(name)
    }

    fn variable(&self, name: &str) -> Option<TypeId> {
        let is_own = self.symbols().all(name).next().is_some();
        let own = self.types().variable(name);
        own.or_else(|| self.types().of_kernel().variable(name).filter(|_| !is_own))
    }

    fn symbol(&self, name: &str) -> Option<SymbolFact> {
        let kernels = || self.kernel_symbols().all(name).next();
        let symbol = self.symbols().all(name).next().or_else(kernels)?;
        let is_function = matches!(symbol.kind, 't' | 'T' | 'w' | 'W');
        Some(SymbolFact {
            addr: LinkAddr(symbol.addr.0),
            is_function,
        })
    }

    fn per_cpu(&self, name: &str) -> Option<PerCpuOffset> {
        let offset = Self::per_cpu(self, name)?;
        let moves = self.per_cpu_moves_with_image();
        Some(if moves {
            PerCpuOffset::Linked(LinkAddr(offset))
        } else {
            PerCpuOffset::Fixed(offset)
        })
    }

    fn why_no_unwind(&self) -> Option<String> {
        if Facts::is_program(self) {
            return Some("in a program it has none".to_owned());
        }
        self.orc().err().map(|error| error.to_string())
    }

    fn is_program(&self) -> bool {
        self.program().is_some()
    }
}
