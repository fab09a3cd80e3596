//! From words to expressions, by the precedence of C.

use probe_plan::{AddressSpace, Register};

use super::ast::{BaseType, BinaryOp, Expr, ExprKind, TypeName, UnaryOp};
use super::error::{ExprError, ExprProblem};
use super::token::{Token, Word, tokens};

/// Expressions come from people; this only keeps a hostile one from exhausting the stack.
const DEPTH_MAX: usize = 64;

/// Reads an expression.
///
/// # Errors
/// When the text is not an expression of the language.
pub(crate) fn parse(text: &str) -> Result<Expr, ExprError> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        next: 0,
        depth: 0,
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

struct Parser {
    tokens: Vec<Token>,
    next: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self, ahead: usize) -> &Word {
        // The last token is the end, which everything after it repeats.
        &self.tokens[(self.next + ahead).min(self.tokens.len() - 1)].word
    }

    fn word(&self) -> &Word {
        self.peek(0)
    }

    fn at(&self) -> usize {
        self.tokens[self.next].at
    }

    fn advance(&mut self) {
        self.next = (self.next + 1).min(self.tokens.len() - 1);
    }

    fn expected(&self, expected: &'static str) -> ExprError {
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

    fn take(&mut self, sign: &'static str) -> bool {
        let found = *self.word() == Word::Sign(sign);
        if found {
            self.advance();
        }
        found
    }

    fn need(&mut self, sign: &'static str) -> Result<(), ExprError> {
        if self.take(sign) {
            Ok(())
        } else {
            Err(self.expected(sign))
        }
    }

    fn name(&mut self, expected: &'static str) -> Result<String, ExprError> {
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

    fn ternary(&mut self) -> Result<Expr, ExprError> {
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

    /// Whether the parenthesis here holds a type. A lone name does when an operand follows that cannot be an operator.
    fn is_cast(&self) -> bool {
        let Word::Name(name) = self.peek(1) else {
            return false;
        };
        if is_type_word(name) {
            return true;
        }
        let stars = (2..)
            .take_while(|ahead| *self.peek(*ahead) == Word::Sign("*"))
            .count();
        if *self.peek(2 + stars) != Word::Sign(")") {
            return false;
        }
        let after = self.peek(3 + stars);
        stars > 0
            || matches!(
                after,
                Word::Number { .. } | Word::Name(_) | Word::Sign("(" | "!" | "~")
            )
    }

    fn type_name(&mut self) -> Result<TypeName, ExprError> {
        let at = self.at();
        let base = self.base_type()?;
        let mut pointers = 0;
        while self.take("*") {
            pointers += 1;
        }
        Ok(TypeName { at, base, pointers })
    }

    fn base_type(&mut self) -> Result<BaseType, ExprError> {
        let mut words = Vec::new();
        loop {
            let word = match self.word() {
                Word::Name(name) if words.is_empty() || is_int_word(name) => name.clone(),
                _ => break,
            };
            self.advance();
            match word.as_str() {
                "const" | "volatile" => {}
                "struct" => return Ok(BaseType::Struct(self.name("the name of a struct")?)),
                "union" => return Ok(BaseType::Union(self.name("the name of a union")?)),
                "enum" => return Ok(BaseType::Enum(self.name("the name of an enumeration")?)),
                "void" => return Ok(BaseType::Void),
                "bool" | "_Bool" => return Ok(BaseType::Bool),
                _ if is_int_word(&word) => words.push(word),
                _ => return Ok(fixed_int(&word).unwrap_or(BaseType::Typedef(word))),
            }
        }
        if words.is_empty() {
            return Err(self.expected("a type"));
        }
        let has = |word: &str| words.iter().any(|known| known == word);
        let bytes = match () {
            () if has("char") => 1,
            () if has("short") => 2,
            () if has("long") => 8,
            () => 4,
        };
        Ok(BaseType::Int {
            bytes,
            signed: !has("unsigned"),
        })
    }

    fn postfix(&mut self) -> Result<Expr, ExprError> {
        let mut expr = self.primary()?;
        loop {
            let mut at = self.at();
            let kind = if self.take("[") {
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
                self.register(at)?
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

    fn register(&mut self, at: usize) -> Result<ExprKind, ExprError> {
        let name = self.name("the name of a register")?;
        if name == "rip" {
            return Ok(ExprKind::ProbeAddress);
        }
        match Register::ALL
            .iter()
            .find(|register| register.name() == name)
        {
            Some(register) => Ok(ExprKind::Register(*register)),
            None => Err(ExprError {
                at,
                problem: ExprProblem::UnknownRegister { name },
            }),
        }
    }

    /// A function of the language; its opening parenthesis was taken.
    fn call(&mut self, name: &str, at: usize) -> Result<ExprKind, ExprError> {
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
            "percpu" => ExprKind::PerCpu(self.name("the name of a per-CPU variable")?),
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
            _ => {
                return Err(ExprError {
                    at,
                    problem: ExprProblem::UnknownFunction {
                        name: name.to_owned(),
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

    /// `kernel,` or `user,`; the kernel when nothing is said.
    fn space(&mut self) -> Result<AddressSpace, ExprError> {
        let space = match self.word() {
            Word::Name(name) if name == "kernel" => AddressSpace::Kernel,
            Word::Name(name) if name == "user" => AddressSpace::User,
            _ => return Ok(AddressSpace::Kernel),
        };
        if *self.peek(1) != Word::Sign(",") {
            return Ok(AddressSpace::Kernel);
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

    fn member_path(&mut self) -> Result<Vec<String>, ExprError> {
        let mut path = vec![self.name("the name of a field")?];
        while self.take(".") {
            path.push(self.name("the name of a field")?);
        }
        Ok(path)
    }
}

fn is_int_word(word: &str) -> bool {
    matches!(
        word,
        "char" | "short" | "int" | "long" | "signed" | "unsigned" | "const" | "volatile"
    )
}

fn is_type_word(word: &str) -> bool {
    is_int_word(word)
        || matches!(
            word,
            "struct" | "union" | "enum" | "void" | "bool" | "_Bool"
        )
        || fixed_int(word).is_some()
}

/// The kernel's integers, which are the same everywhere.
fn fixed_int(word: &str) -> Option<BaseType> {
    let (signed, bits) = match word.split_at_checked(1)? {
        ("u", bits) => (false, bits),
        ("s" | "i", bits) => (true, bits),
        _ => return None,
    };
    let bytes = match bits {
        "8" => 1,
        "16" => 2,
        "32" => 4,
        "64" => 8,
        _ => return None,
    };
    Some(BaseType::Int { bytes, signed })
}
