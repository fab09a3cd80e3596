//! Types as expressions see them: those of the kernel, and what casts and calculations make of them.

use guest_symbols::{StructType, Type, TypeId};

use crate::expression::{BaseType, ExprError, ExprProblem, TypeName};
use crate::facts::{Facts, Tag};
use crate::suggest::nearest;

/// Longest chain of typedefs that is followed; damaged types could go round in circles.
const CHAIN_MAX: usize = 32;

/// A type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ty {
    Void,
    Int {
        bytes: u8,
        signed: bool,
    },
    Pointer(Box<Ty>),
    /// One of the kernel's own.
    Of(TypeId),
}

/// What a type is underneath its names.
#[derive(Clone, Debug)]
pub(crate) enum Shape<'a> {
    Void,
    Int { bytes: u8, signed: bool },
    Pointer(Ty),
    Array { element: Ty, count: u64 },
    Struct(&'a StructType),
    Function,
    Float { bytes: u8 },
    Incomplete(&'a str),
}

impl Ty {
    pub(crate) const U64: Self = Self::Int {
        bytes: 8,
        signed: false,
    };
    pub(crate) const S32: Self = Self::Int {
        bytes: 4,
        signed: true,
    };
    pub(crate) const U32: Self = Self::Int {
        bytes: 4,
        signed: false,
    };

    pub(crate) fn pointer_to(self) -> Self {
        Self::Pointer(Box::new(self))
    }

    /// What it is underneath its names.
    pub(crate) fn shape<'a>(&self, facts: &'a dyn Facts) -> Shape<'a> {
        let mut id = match self {
            Self::Void => return Shape::Void,
            Self::Int { bytes, signed } => {
                return Shape::Int {
                    bytes: *bytes,
                    signed: *signed,
                };
            }
            Self::Pointer(target) => return Shape::Pointer((**target).clone()),
            Self::Of(id) => *id,
        };
        for _ in 0..CHAIN_MAX {
            return match facts.ty(id) {
                Type::Typedef { target, .. } => {
                    id = *target;
                    continue;
                }
                Type::Forward { name, is_union } => {
                    let tag = if *is_union { Tag::Union } else { Tag::Struct };
                    match facts.named(tag, name) {
                        // The same declaration again would never end.
                        Some(defined) if !matches!(facts.ty(defined), Type::Forward { .. }) => {
                            id = defined;
                            continue;
                        }
                        _ => Shape::Incomplete(name),
                    }
                }
                Type::Void => Shape::Void,
                Type::Int { bytes, signed, .. } | Type::Enum { bytes, signed, .. } => Shape::Int {
                    bytes: *bytes,
                    signed: *signed,
                },
                Type::Float { bytes, .. } => Shape::Float { bytes: *bytes },
                Type::Pointer(target) => Shape::Pointer(Self::Of(*target)),
                Type::Struct(layout) => Shape::Struct(layout),
                Type::Array { element, count } => Shape::Array {
                    element: Self::Of(*element),
                    count: *count,
                },
                Type::Function { .. } => Shape::Function,
                #[allow(
                    unreachable_patterns,
                    reason = "kinds that a later version of the types may have"
                )]
                _ => Shape::Incomplete("?"),
            };
        }
        Shape::Incomplete("?")
    }

    /// The size of a floating-point number.
    pub(crate) fn bytes_of_float(&self, facts: &dyn Facts) -> Option<u8> {
        match self.shape(facts) {
            Shape::Float { bytes } => Some(bytes),
            _ => None,
        }
    }

    /// Its size; `None` for what has none.
    pub(crate) fn bytes(&self, facts: &dyn Facts) -> Option<u64> {
        let mut ty = self.clone();
        let mut count = 1_u64;
        for _ in 0..CHAIN_MAX {
            let bytes = match ty.shape(facts) {
                Shape::Int { bytes, .. } => u64::from(bytes),
                Shape::Pointer(_) => 8,
                Shape::Struct(layout) => layout.bytes,
                Shape::Array {
                    element,
                    count: more,
                } => {
                    count = count.checked_mul(more)?;
                    ty = element;
                    continue;
                }
                Shape::Void | Shape::Function | Shape::Float { .. } | Shape::Incomplete(_) => {
                    return None;
                }
            };
            return count.checked_mul(bytes);
        }
        None
    }

    /// How messages name it.
    pub(crate) fn name(&self, facts: &dyn Facts) -> String {
        match self {
            Self::Void => "void".to_owned(),
            Self::Int { bytes, signed } => format!(
                "{}{}",
                if *signed { 's' } else { 'u' },
                u32::from(*bytes) * 8
            ),
            Self::Pointer(target) => format!("{} *", target.name(facts)).replace("* *", "**"),
            Self::Of(id) => match facts.ty(*id) {
                Type::Struct(layout) => {
                    let kind = if layout.is_union { "union" } else { "struct" };
                    format!("{kind} {}", layout.name.as_deref().unwrap_or("{...}"))
                }
                Type::Int { name, .. } | Type::Float { name, .. } | Type::Typedef { name, .. } => {
                    name.clone()
                }
                Type::Enum { name, .. } => format!("enum {}", name.as_deref().unwrap_or("{...}")),
                Type::Forward { name, .. } => format!("struct {name}"),
                Type::Pointer(target) => match facts.ty(*target) {
                    // One level is enough for a message, and cannot go round in circles.
                    Type::Pointer(_) => "pointer".to_owned(),
                    _ => format!("{} *", Self::Of(*target).name(facts)),
                },
                Type::Array { .. } => "array".to_owned(),
                Type::Function { .. } => "function".to_owned(),
                _ => "void".to_owned(),
            },
        }
    }

    /// The type that a cast names.
    pub(crate) fn from_name(name: &TypeName, facts: &dyn Facts) -> Result<Self, ExprError> {
        let find = |tag, text: &str| {
            let found = facts.named(tag, text).map(Self::Of);
            found.ok_or_else(|| ExprError {
                at: name.at,
                problem: ExprProblem::UnknownType {
                    name: text.to_owned(),
                    suggestion: nearest(text, facts.names(tag)),
                },
            })
        };
        let base = match &name.base {
            BaseType::Void => Self::Void,
            BaseType::Bool => Self::Int {
                bytes: 1,
                signed: false,
            },
            BaseType::Int { bytes, signed } => Self::Int {
                bytes: *bytes,
                signed: *signed,
            },
            BaseType::Struct(text) => find(Tag::Struct, text)?,
            BaseType::Union(text) => find(Tag::Union, text)?,
            BaseType::Enum(text) => find(Tag::Enum, text)?,
            BaseType::Typedef(text) => find(Tag::Typedef, text)?,
        };
        Ok((0..name.pointers).fold(base, |ty, _| ty.pointer_to()))
    }
}
