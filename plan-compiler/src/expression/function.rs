//! The functions of the language.

use probe_plan::AddressSpace;

use super::ast::{ExprKind, Name};
use super::error::{ExprError, ExprProblem};
use super::parser::Parser;
use super::token::Word;
use super::type_name::is_type_word;
use crate::suggest::nearest;

/// The functions, for those who slip.
const FUNCTIONS: [&str; 8] = [
    "container_of",
    "offsetof",
    "sizeof",
    "percpu",
    "string",
    "bytes",
    "stack",
    "either",
];

impl Parser {
    /// A function of the language; its opening parenthesis was taken.
    pub(super) fn call(&mut self, name: &str, at: usize) -> Result<ExprKind, ExprError> {
        let kind = match name {
            "sizeof" => self.size_of()?,
            "offsetof" => {
                let of = self.type_name()?;
                self.need(",")?;
                ExprKind::OffsetOf {
                    of,
                    member: self.member_path()?,
                }
            }
            "container_of" => {
                let base = Box::new(self.ternary()?);
                self.need(",")?;
                let of = self.type_name()?;
                self.need(",")?;
                ExprKind::ContainerOf {
                    base,
                    of,
                    member: self.member_path()?,
                }
            }
            "percpu" => ExprKind::PerCpu(self.placed_name("the name of a per-CPU variable")?),
            "either" => {
                let mut alternatives = vec![self.ternary()?];
                while self.take(",") {
                    alternatives.push(self.ternary()?);
                }
                ExprKind::Either(alternatives)
            }
            "string" => {
                let space = self.space()?;
                let addr = Box::new(self.ternary()?);
                ExprKind::Text {
                    space,
                    addr,
                    max: self.max()?,
                }
            }
            "bytes" => {
                let space = self.space()?;
                let addr = Box::new(self.ternary()?);
                self.need(",")?;
                let length = Box::new(self.ternary()?);
                ExprKind::Bytes {
                    space,
                    addr,
                    length,
                    max: self.max()?,
                }
            }
            "stack" => self.stack()?,
            _ => {
                return Err(ExprError {
                    at,
                    problem: ExprProblem::UnknownFunction {
                        name: name.to_owned(),
                        suggestion: nearest(name, FUNCTIONS),
                    },
                });
            }
        };
        self.need(")")?;
        Ok(kind)
    }

    fn size_of(&mut self) -> Result<ExprKind, ExprError> {
        // The operand's parenthesis was taken, so a type begins right here.
        let is_type = matches!(self.word(), Word::Name(name) if is_type_word(name));
        if is_type {
            Ok(ExprKind::SizeOfType(self.type_name()?))
        } else {
            Ok(ExprKind::SizeOf(Box::new(self.ternary()?)))
        }
    }

    /// `kernel` or `user`, and perhaps how many frames.
    fn stack(&mut self) -> Result<ExprKind, ExprError> {
        let space = match self.word() {
            Word::Name(name) if name == "kernel" => AddressSpace::Kernel,
            Word::Name(name) if name == "user" => AddressSpace::User,
            _ => return Err(self.expected("`kernel` or `user`")),
        };
        self.advance();
        if !self.take(",") {
            return Ok(ExprKind::Stack { space, max: None });
        }
        let at = self.at();
        let Word::Number { value, .. } = *self.word() else {
            return Err(self.expected("a number"));
        };
        self.advance();
        let max = probe_plan::FRAMES_MAX;
        match u8::try_from(value) {
            Ok(value) if (1..=max).contains(&value) => {
                let max = Some(value);
                Ok(ExprKind::Stack { space, max })
            }
            _ => Err(ExprError {
                at,
                problem: ExprProblem::TooManyFrames { max },
            }),
        }
    }

    /// `kernel,` or `user,`; when nothing is said, wherever the address is.
    fn space(&mut self) -> Result<AddressSpace, ExprError> {
        let space = match self.word() {
            Word::Name(name) if name == "kernel" => AddressSpace::Kernel,
            Word::Name(name) if name == "user" => AddressSpace::User,
            _ => return Ok(AddressSpace::Any),
        };
        if *self.peek(1) != Word::Sign(",") {
            return Ok(AddressSpace::Any);
        }
        self.advance();
        self.need(",")?;
        Ok(space)
    }

    fn max(&mut self) -> Result<Option<u16>, ExprError> {
        if !self.take(",") {
            return Ok(None);
        }
        let at = self.at();
        let Word::Number { value, .. } = *self.word() else {
            return Err(self.expected("a number"));
        };
        self.advance();
        let max = probe_plan::STRING_BYTES_MAX;
        match u16::try_from(value) {
            Ok(value) if value <= max => Ok(Some(value)),
            _ => Err(ExprError {
                at,
                problem: ExprProblem::TooLong { max },
            }),
        }
    }

    fn member_path(&mut self) -> Result<Vec<Name>, ExprError> {
        let mut path = vec![self.placed_name("the name of a field")?];
        while self.take(".") {
            path.push(self.placed_name("the name of a field")?);
        }
        Ok(path)
    }

    fn placed_name(&mut self, expected: &'static str) -> Result<Name, ExprError> {
        let at = self.at();
        let text = self.name(expected)?;
        Ok(Name { at, text })
    }
}
