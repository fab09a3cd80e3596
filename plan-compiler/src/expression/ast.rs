//! What an expression says.

use probe_plan::{AddressSpace, Register};

/// A part of an expression and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expr {
    /// Character of the text, counted from 0.
    pub(crate) at: usize,
    pub(crate) kind: ExprKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ExprKind {
    /// A number; hexadecimal ones are unsigned as soon as they do not fit, as in C.
    Number {
        value: u64,
        hex: bool,
    },
    /// An argument, a binding, a variable, a function, a constant or a built-in name.
    Name(String),
    Register(Register),
    /// `%rip`.
    ProbeAddress,
    Unary(UnaryOp, Box<Expr>),
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    Ternary {
        condition: Box<Expr>,
        then: Box<Expr>,
        otherwise: Box<Expr>,
    },
    Member {
        base: Box<Expr>,
        name: String,
        arrow: bool,
    },
    Index {
        base: Box<Expr>,
        index: Box<Expr>,
    },
    Cast(TypeName, Box<Expr>),
    SizeOfType(TypeName),
    SizeOf(Box<Expr>),
    OffsetOf {
        of: TypeName,
        member: Vec<Name>,
    },
    ContainerOf {
        base: Box<Expr>,
        of: TypeName,
        member: Vec<Name>,
    },
    PerCpu(Name),
    Text {
        space: AddressSpace,
        addr: Box<Expr>,
        max: Option<u16>,
    },
    Bytes {
        space: AddressSpace,
        addr: Box<Expr>,
        length: Box<Expr>,
        max: Option<u16>,
    },
    /// A call stack, of so many frames.
    Stack {
        space: AddressSpace,
        max: Option<u8>,
    },
    /// The first that this kernel and this hook can answer.
    Either(Vec<Expr>),
}

/// A name and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) at: usize,
    pub(crate) text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnaryOp {
    Not,
    Invert,
    Negate,
    Deref,
    AddressOf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BinaryOp {
    Mul,
    Div,
    Rem,
    Add,
    Sub,
    Shl,
    Shr,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Equal,
    NotEqual,
    And,
    Xor,
    Or,
    LogicalAnd,
    LogicalOr,
}

/// A type as written in a cast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TypeName {
    pub(crate) at: usize,
    pub(crate) base: BaseType,
    pub(crate) pointers: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BaseType {
    Void,
    Bool,
    Int { bytes: u8, signed: bool },
    Struct(String),
    Union(String),
    Enum(String),
    Typedef(String),
}
