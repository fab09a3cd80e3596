//! What a filter's text says.

use std::ops::Range;

/// Place in the text, in bytes.
pub(crate) type Span = Range<usize>;

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expr {
    Or(Vec<Expr>),
    And(Vec<Expr>),
    Not(Box<Expr>),
    Test(Test),
}

impl Expr {
    /// Every name and every string that is one word.
    pub(crate) fn collect_words<'a>(&'a self, words: &mut Vec<&'a str>) {
        match self {
            Self::Or(terms) | Self::And(terms) => {
                for term in terms {
                    term.collect_words(words);
                }
            }
            Self::Not(inner) => inner.collect_words(words),
            Self::Test(test) => {
                test.left.collect_words(words);
                match &test.kind {
                    TestKind::Truth => {}
                    TestKind::Compare(_, right) => right.collect_words(words),
                    TestKind::In { list, .. } => {
                        for item in list {
                            item.collect_words(words);
                        }
                    }
                }
            }
        }
    }
}

impl Operand {
    fn collect_words<'a>(&'a self, words: &mut Vec<&'a str>) {
        match &self.kind {
            OperandKind::Name { qualifier, name } => {
                words.extend(qualifier.as_deref());
                words.push(name);
            }
            OperandKind::Text(bytes) => words.extend(std::str::from_utf8(bytes)),
            OperandKind::Number(_) => {}
        }
    }
}

/// A comparison, the only part that looks at a record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Test {
    pub(crate) left: Operand,
    pub(crate) kind: TestKind,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TestKind {
    /// The left side is neither 0 nor empty.
    Truth,
    Compare(CompareOp, Operand),
    In {
        negated: bool,
        list: Vec<Operand>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CompareOp {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Matches,
}

impl CompareOp {
    /// The operator when both sides are exchanged; none for a pattern.
    pub(crate) fn mirrored(self) -> Option<Self> {
        Some(match self {
            Self::Equal | Self::NotEqual => self,
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            Self::Matches => return None,
        })
    }

    /// Whether the operator holds between `left` and `right`; never for a pattern.
    #[inline]
    pub(crate) fn holds<T: Ord + ?Sized>(self, left: &T, right: &T) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
            Self::Matches => false,
        }
    }
}

/// One side of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Operand {
    pub(crate) span: Span,
    pub(crate) kind: OperandKind,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum OperandKind {
    Name {
        qualifier: Option<String>,
        name: String,
    },
    Number(Number),
    Text(Vec<u8>),
}

/// A number as written: `value` is in the smallest unit of its suffix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number {
    pub(crate) value: i128,
    pub(crate) hexadecimal: bool,
    pub(crate) quantity: Option<Quantity>,
}

/// What a suffix measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quantity {
    /// In nanoseconds.
    Time,
    /// In bytes.
    Size,
}

impl Quantity {
    /// What a field's unit measures, and the field's unit in the smallest one.
    pub(crate) fn of_unit(unit: &str) -> Option<(Self, i128)> {
        Some(match unit {
            "ns" => (Self::Time, 1),
            "us" => (Self::Time, 1000),
            "ms" => (Self::Time, 1_000_000),
            "s" => (Self::Time, 1_000_000_000),
            "bytes" | "B" => (Self::Size, 1),
            "KiB" => (Self::Size, 1 << 10),
            "MiB" => (Self::Size, 1 << 20),
            "GiB" => (Self::Size, 1 << 30),
            "TiB" => (Self::Size, 1 << 40),
            _ => return None,
        })
    }
}
