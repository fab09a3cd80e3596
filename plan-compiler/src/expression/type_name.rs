//! Types as casts and `sizeof` write them.

use super::ast::{BaseType, TypeName};
use super::error::ExprError;
use super::parser::Parser;
use super::token::Word;

impl Parser {
    /// Whether the parenthesis here holds a type. A lone name does when an operand follows that cannot be an operator.
    pub(super) fn is_cast(&self) -> bool {
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

    pub(super) fn type_name(&mut self) -> Result<TypeName, ExprError> {
        let start = self.at();
        let base = self.base_type()?;
        // What may be wrong with `struct name` is the name.
        let at = match base {
            BaseType::Struct(_) | BaseType::Union(_) | BaseType::Enum(_) => self.last_at(),
            _ => start,
        };
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
}

fn is_int_word(word: &str) -> bool {
    matches!(
        word,
        "char" | "short" | "int" | "long" | "signed" | "unsigned" | "const" | "volatile"
    )
}

pub(super) fn is_type_word(word: &str) -> bool {
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
