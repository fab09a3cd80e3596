//! From words to expressions, by the precedence of C.

use probe_plan::Register;

use super::ast::{BinaryOp, Expr, ExprKind, UnaryOp};
use super::error::{ExprError, ExprProblem};
use super::token::{Token, Word, tokens};
use crate::suggest::nearest;

/// Expressions come from people; this only keeps a hostile one from exhausting the stack.
const DEPTH_MAX: usize = 64;
/// As long as that a chain of operators may be, for each is a level of the tree.
const CHAIN_MAX: usize = 256;

/// Reads an expression.
///
/// # Errors
/// When the text is not an expression of the language.
pub(crate) fn parse(text: &str) -> Result<Expr, ExprError> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        next: 0,
        depth: 0,
        chained: 0,
    };
    let expr = parser.ternary()?;
    match parser.word() {
        Word::End => Ok(expr),
        _ => Err(parser.expected("an operator or the end")),
    }
}

/// Operators from loose to tight; all associate to the left.
const LEVELS: [&[(&str, BinaryOp)]; 10] = [
    &[("||", BinaryOp::LogicalOr)],
    &[("&&", BinaryOp::LogicalAnd)],
    &[("|", BinaryOp::Or)],
    &[("^", BinaryOp::Xor)],
    &[("&", BinaryOp::And)],
    &[("==", BinaryOp::Equal), ("!=", BinaryOp::NotEqual)],
    &[
        ("<", BinaryOp::Less),
        ("<=", BinaryOp::LessEqual),
        (">", BinaryOp::Greater),
        (">=", BinaryOp::GreaterEqual),
    ],
    &[("<<", BinaryOp::Shl), (">>", BinaryOp::Shr)],
    &[("+", BinaryOp::Add), ("-", BinaryOp::Sub)],
    &[
        ("*", BinaryOp::Mul),
        ("/", BinaryOp::Div),
        ("%", BinaryOp::Rem),
    ],
];

pub(super) struct Parser {
    tokens: Vec<Token>,
    next: usize,
    depth: usize,
    chained: usize,
}

impl Parser {
    pub(super) fn peek(&self, ahead: usize) -> &Word {
        // The last token is the end, which everything after it repeats.
        &self.tokens[(self.next + ahead).min(self.tokens.len() - 1)].word
    }

    pub(super) fn word(&self) -> &Word {
        self.peek(0)
    }

    pub(super) fn at(&self) -> usize {
        self.tokens[self.next].at
    }

    /// Where the word before this one stands.
    pub(super) fn last_at(&self) -> usize {
        self.tokens[self.next.saturating_sub(1)].at
    }

    pub(super) fn advance(&mut self) {
        self.next = (self.next + 1).min(self.tokens.len() - 1);
    }

    pub(super) fn expected(&self, expected: &'static str) -> ExprError {
        let found = match self.word() {
            Word::Number { value, .. } => format!("{value}"),
            Word::Name(name) => format!("`{name}`"),
            Word::Sign(sign) => format!("`{sign}`"),
            Word::End => "the end".to_owned(),
        };
        ExprError {
            at: self.at(),
            problem: ExprProblem::Expected { expected, found },
        }
    }

    pub(super) fn take(&mut self, sign: &'static str) -> bool {
        let found = *self.word() == Word::Sign(sign);
        if found {
            self.advance();
        }
        found
    }

    pub(super) fn need(&mut self, sign: &'static str) -> Result<(), ExprError> {
        if self.take(sign) {
            Ok(())
        } else {
            Err(self.expected(sign))
        }
    }

    pub(super) fn name(&mut self, expected: &'static str) -> Result<String, ExprError> {
        let Word::Name(name) = self.word() else {
            return Err(self.expected(expected));
        };
        let name = name.clone();
        self.advance();
        Ok(name)
    }

    fn nested<T>(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<T, ExprError>,
    ) -> Result<T, ExprError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(ExprError {
                at: self.at(),
                problem: ExprProblem::TooDeep,
            });
        }
        let result = parse(self);
        self.depth -= 1;
        result
    }

    /// Counts an operator that takes all before it as its left side.
    fn chain(&mut self) -> Result<(), ExprError> {
        self.chained += 1;
        if self.chained > CHAIN_MAX {
            return Err(ExprError {
                at: self.at(),
                problem: ExprProblem::TooDeep,
            });
        }
        Ok(())
    }

    pub(super) fn ternary(&mut self) -> Result<Expr, ExprError> {
        self.nested(|parser| {
            let condition = parser.binary(0)?;
            let at = parser.at();
            if !parser.take("?") {
                return Ok(condition);
            }
            let then = Box::new(parser.ternary()?);
            parser.need(":")?;
            let otherwise = Box::new(parser.ternary()?);
            let condition = Box::new(condition);
            Ok(Expr {
                at,
                kind: ExprKind::Ternary {
                    condition,
                    then,
                    otherwise,
                },
            })
        })
    }

    fn binary(&mut self, level: usize) -> Result<Expr, ExprError> {
        let Some(operators) = LEVELS.get(level) else {
            return self.unary();
        };
        let mut left = self.binary(level + 1)?;
        while let Word::Sign(sign) = *self.word()
            && let Some((_, operator)) = operators.iter().find(|(known, _)| *known == sign)
        {
            let at = self.at();
            self.chain()?;
            self.advance();
            let right = self.binary(level + 1)?;
            left = Expr {
                at,
                kind: ExprKind::Binary(*operator, Box::new(left), Box::new(right)),
            };
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr, ExprError> {
        let at = self.at();
        let operator = match self.word() {
            Word::Sign("!") => UnaryOp::Not,
            Word::Sign("~") => UnaryOp::Invert,
            Word::Sign("-") => UnaryOp::Negate,
            Word::Sign("*") => UnaryOp::Deref,
            Word::Sign("&") => UnaryOp::AddressOf,
            Word::Sign("(") if self.is_cast() => return self.nested(Self::cast),
            _ => return self.postfix(),
        };
        self.advance();
        let operand = self.nested(Self::unary)?;
        Ok(Expr {
            at,
            kind: ExprKind::Unary(operator, Box::new(operand)),
        })
    }

    fn cast(&mut self) -> Result<Expr, ExprError> {
        let at = self.at();
        self.need("(")?;
        let to = self.type_name()?;
        self.need(")")?;
        let operand = self.unary()?;
        Ok(Expr {
            at,
            kind: ExprKind::Cast(to, Box::new(operand)),
        })
    }

    fn postfix(&mut self) -> Result<Expr, ExprError> {
        let mut expr = self.primary()?;
        loop {
            let mut at = self.at();
            let kind = if self.take("[") {
                self.chain()?;
                let index = Box::new(self.ternary()?);
                self.need("]")?;
                ExprKind::Index {
                    base: Box::new(expr),
                    index,
                }
            } else {
                let arrow = *self.word() == Word::Sign("->");
                if !arrow && *self.word() != Word::Sign(".") {
                    return Ok(expr);
                }
                self.chain()?;
                self.advance();
                at = self.at();
                ExprKind::Member {
                    base: Box::new(expr),
                    name: self.name("the name of a field")?,
                    arrow,
                }
            };
            expr = Expr { at, kind };
        }
    }

    fn primary(&mut self) -> Result<Expr, ExprError> {
        let at = self.at();
        let kind = match self.word().clone() {
            Word::Number { value, hex } => {
                self.advance();
                ExprKind::Number { value, hex }
            }
            Word::Sign("(") => {
                self.advance();
                let inner = self.ternary()?;
                self.need(")")?;
                return Ok(inner);
            }
            Word::Sign("%") => {
                self.advance();
                self.register()?
            }
            Word::Name(name) => {
                self.advance();
                if self.take("(") {
                    self.call(&name, at)?
                } else {
                    ExprKind::Name(name)
                }
            }
            Word::Sign(_) | Word::End => return Err(self.expected("a value")),
        };
        Ok(Expr { at, kind })
    }

    fn register(&mut self) -> Result<ExprKind, ExprError> {
        let at = self.at();
        let name = self.name("the name of a register")?;
        if name == "rip" {
            return Ok(ExprKind::ProbeAddress);
        }
        match Register::ALL
            .iter()
            .find(|register| register.name() == name)
        {
            Some(register) => Ok(ExprKind::Register(*register)),
            None => {
                let names = Register::ALL.iter().map(|register| register.name());
                let suggestion = nearest(&name, names);
                Err(ExprError {
                    at,
                    problem: ExprProblem::UnknownRegister { name, suggestion },
                })
            }
        }
    }
}
