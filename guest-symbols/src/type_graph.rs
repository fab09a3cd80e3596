//! The types of one kernel: from ids and names to [`Type`]s, and what follows from those.
//!
//! BTF is read whole, being small. DWARF is read as it is asked for.
//! A program's types lie over those of the kernel: names mean the program's where it has them.

use std::sync::Arc;

use crate::c_type::{Member, MemberPlace, Type, TypeId};
use crate::dwarf::{DebugSections, LazyTypes};
use crate::name_index::{NameIndex, NameKind};

/// Ids of a program's types begin here; no kernel has as many.
const PROGRAM_IDS: u32 = 1 << 31;

/// The types of one kernel, or of a program that runs on it.
#[derive(Debug)]
pub struct Types {
    store: Store,
    /// The kernel's, where these are a program's.
    below: Option<Arc<Types>>,
}

#[derive(Debug)]
enum Store {
    /// Read whole, by id.
    Whole(Vec<Type>, Box<NameIndex>),
    /// Read as it is asked for.
    Lazy(Box<LazyTypes>),
    /// A module's own types, behind those of its kernel: their ids begin at `first`.
    Split {
        base: Arc<Types>,
        first: usize,
        types: Vec<Type>,
        names: Box<NameIndex>,
    },
}

impl Types {
    pub(crate) fn whole(types: Vec<Type>, names: NameIndex) -> Self {
        Self {
            store: Store::Whole(types, Box::new(names)),
            below: None,
        }
    }

    /// The types in debug information of a kernel.
    pub(crate) fn lazy(sections: Arc<DebugSections>) -> Self {
        Self {
            store: Store::Lazy(Box::new(LazyTypes::open(sections, 0))),
            below: None,
        }
    }

    /// The types of a program, if it has debug information, over those of the kernel.
    pub(crate) fn of_program(sections: Option<Arc<DebugSections>>, kernel: Arc<Types>) -> Self {
        let open = |sections| Store::Lazy(Box::new(LazyTypes::open(sections, PROGRAM_IDS)));
        let nothing = || Store::Whole(Vec::new(), Box::default());
        Self {
            store: sections.map_or_else(nothing, open),
            below: Some(kernel),
        }
    }

    /// The kernel's types.
    #[must_use]
    pub fn of_kernel(&self) -> &Self {
        self.below.as_deref().unwrap_or(self)
    }

    /// Where the type behind an id is.
    fn holder(&self, id: TypeId) -> &Self {
        match &self.below {
            Some(below) if id.0 < PROGRAM_IDS => below,
            _ => self,
        }
    }

    /// The types of a module, whose ids go on where those of the kernel end.
    pub(crate) fn split(
        base: Arc<Types>,
        first: usize,
        types: Vec<Type>,
        names: NameIndex,
    ) -> Self {
        Self {
            store: Store::Split {
                base,
                first,
                types,
                names: Box::new(names),
            },
            below: None,
        }
    }

    /// Whether they are read whole, by the ids of the kernel's BTF.
    pub(crate) fn is_whole(&self) -> bool {
        matches!(self.store, Store::Whole(..))
    }

    fn base(&self) -> Option<&Self> {
        match &self.store {
            Store::Split { base, .. } => Some(base),
            Store::Whole(..) | Store::Lazy(_) => self.below.as_deref(),
        }
    }

    fn index(&self) -> &NameIndex {
        match &self.store {
            Store::Whole(_, names) | Store::Split { names, .. } => names,
            Store::Lazy(types) => types.names(),
        }
    }

    /// The type behind an id.
    #[must_use]
    pub fn get(&self, id: TypeId) -> &Type {
        match &self.holder(id).store {
            Store::Whole(types, _) => types.get(crate::bytes::index(id.0)).unwrap_or(&Type::Void),
            Store::Lazy(types) => types.get(id),
            Store::Split {
                base, first, types, ..
            } => match crate::bytes::index(id.0).checked_sub(*first) {
                Some(own) => types.get(own).unwrap_or(&Type::Void),
                None => base.get(id),
            },
        }
    }

    /// `struct name`.
    #[must_use]
    pub fn struct_named(&self, name: &str) -> Option<TypeId> {
        self.first(NameKind::Struct, name)
    }

    /// `union name`.
    #[must_use]
    pub fn union_named(&self, name: &str) -> Option<TypeId> {
        self.first(NameKind::Union, name)
    }

    /// `enum name`.
    #[must_use]
    pub fn enum_named(&self, name: &str) -> Option<TypeId> {
        self.first(NameKind::Enum, name)
    }

    /// The typedef of that name.
    #[must_use]
    pub fn typedef_named(&self, name: &str) -> Option<TypeId> {
        self.first(NameKind::Typedef, name)
    }

    /// The prototype of a function: a [`Type::Function`]. The kernel's are not those of a program.
    #[must_use]
    pub fn function(&self, name: &str) -> Option<TypeId> {
        self.own(NameKind::Function, name)
    }

    /// The type of a variable. BTF knows the per-CPU variables alone. The kernel's are not those of a program.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<TypeId> {
        self.own(NameKind::Variable, name)
    }

    /// The value of an enumerator of any enumeration.
    #[must_use]
    pub fn enum_value(&self, name: &str) -> Option<i64> {
        let in_base = || self.base().and_then(|base| base.enum_value(name));
        self.index().enumerator(name).or_else(in_base)
    }

    /// Whether a pointer's target is `const`, which its type does not tell.
    #[must_use]
    pub fn points_to_const(&self, pointer: TypeId) -> bool {
        match &self.holder(pointer).store {
            Store::Whole(_, names) => names.points_to_const(pointer),
            Store::Lazy(types) => types.points_to_const(pointer),
            Store::Split { base, names, .. } => {
                names.points_to_const(pointer) || base.points_to_const(pointer)
            }
        }
    }

    /// All types of that name and kind: files of the kernel may define their own struct under the same tag.
    #[must_use]
    pub fn all_named(&self, kind: NameKind, name: &str) -> &[TypeId] {
        match (self.index().get(kind, name), self.base()) {
            ([], Some(base)) => base.all_named(kind, name),
            (own, _) => own,
        }
    }

    /// All names of that kind, sorted; of a module's types its own alone.
    #[must_use]
    pub fn names(&self, kind: NameKind) -> Vec<&str> {
        let mut names = self.index().names(kind);
        if let Some(below) = &self.below {
            names.extend(below.names(kind));
            names.sort_unstable();
        }
        names
    }

    /// As [`Types::first`]; of a program's types its own alone.
    fn own(&self, kind: NameKind, name: &str) -> Option<TypeId> {
        match self.below {
            Some(_) => self.index().get(kind, name).first().copied(),
            None => self.first(kind, name),
        }
    }

    fn first(&self, kind: NameKind, name: &str) -> Option<TypeId> {
        self.all_named(kind, name).first().copied()
    }

    /// The type behind any typedefs.
    #[must_use]
    pub fn resolve_typedefs(&self, id: TypeId) -> TypeId {
        let mut id = id;
        // A chain of typedefs is short; a malformed one might be a ring.
        for _ in 0..64 {
            match self.get(id) {
                Type::Typedef { target, .. } => id = *target,
                _ => return id,
            }
        }
        TypeId::VOID
    }

    /// Finds a member by name, in anonymous structs and unions too; `id` may be a typedef.
    #[must_use]
    pub fn member(&self, id: TypeId, name: &str) -> Option<MemberPlace> {
        // Structs are nested some levels deep; a malformed one might hold itself, many times over.
        let mut steps = 1000;
        self.member_within(id, name, &mut steps)
    }

    fn member_within(&self, id: TypeId, name: &str, steps: &mut u32) -> Option<MemberPlace> {
        *steps = steps.checked_sub(1)?;
        let Type::Struct(outer) = self.get(self.resolve_typedefs(id)) else {
            return None;
        };
        if let Some(found) = outer
            .members
            .iter()
            .find(|member| member.name.as_deref() == Some(name))
        {
            let Member {
                type_id,
                bit_offset,
                bitfield_bits,
                ..
            } = *found;
            return Some(MemberPlace {
                type_id,
                bit_offset,
                bitfield_bits,
            });
        }
        outer
            .members
            .iter()
            .filter(|member| member.name.is_none())
            .find_map(|member| {
                let inner = self.member_within(member.type_id, name, steps)?;
                Some(MemberPlace {
                    bit_offset: inner.bit_offset.checked_add(member.bit_offset)?,
                    ..inner
                })
            })
    }

    /// The size of a type in bytes; `None` for functions and what is only declared.
    #[must_use]
    pub fn byte_size(&self, id: TypeId) -> Option<u64> {
        let mut id = id;
        let mut count: u64 = 1;
        for _ in 0..64 {
            let bytes = match self.get(id) {
                Type::Typedef { target, .. } => {
                    id = *target;
                    continue;
                }
                Type::Array {
                    element,
                    count: elements,
                } => {
                    id = *element;
                    count = count.checked_mul(*elements)?;
                    continue;
                }
                Type::Int { bytes, .. } | Type::Float { bytes, .. } | Type::Enum { bytes, .. } => {
                    u64::from(*bytes)
                }
                Type::Pointer(_) => 8,
                Type::Struct(it) => it.bytes,
                Type::Void | Type::Function { .. } | Type::Forward { .. } => return None,
            };
            return bytes.checked_mul(count);
        }
        None
    }

    /// The type as C writes it, without qualifiers: `struct file *`, `unsigned int`, `char[16]`.
    #[must_use]
    pub fn c_name(&self, id: TypeId) -> String {
        // A malformed type might hold itself.
        let mut steps = 100;
        self.c_name_within(id, &mut steps)
    }

    fn c_name_within(&self, id: TypeId, steps: &mut u32) -> String {
        let Some(left) = steps.checked_sub(1) else {
            return "...".to_owned();
        };
        *steps = left;
        let tagged = |word: &str, name: &Option<String>| {
            name.as_ref().map_or_else(
                || format!("{word} {{...}}"),
                |name| format!("{word} {name}"),
            )
        };
        match self.get(id) {
            Type::Void => "void".to_owned(),
            Type::Int { name, .. } | Type::Float { name, .. } | Type::Typedef { name, .. } => {
                name.clone()
            }
            Type::Pointer(target) => {
                let target = self.c_name_within(*target, steps);
                if target.ends_with('*') {
                    target + "*"
                } else {
                    target + " *"
                }
            }
            Type::Struct(it) => tagged(if it.is_union { "union" } else { "struct" }, &it.name),
            Type::Forward { name, is_union } => {
                format!("{} {name}", if *is_union { "union" } else { "struct" })
            }
            Type::Enum { name, .. } => tagged("enum", name),
            Type::Array { element, count } => {
                format!("{}[{count}]", self.c_name_within(*element, steps))
            }
            Type::Function { returns, params } => {
                let returns = self.c_name_within(*returns, steps);
                let params: Vec<String> = params
                    .iter()
                    .map(|(_, id)| self.c_name_within(*id, steps))
                    .collect();
                format!("{returns} ({})", params.join(", "))
            }
        }
    }
}
