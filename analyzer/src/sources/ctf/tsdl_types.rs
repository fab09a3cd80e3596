//! Types of TSDL: numbers, text, structures, variants, enumerations and arrays of them.

use std::rc::Rc;

use super::class::{
    ALIGN_MAX, ByteOrder, Choice, Class, Encoding, Int, Length, Names, Path, Shown, TypeRef,
};
use super::tsdl::{Block, Parsed, Parser};
use super::tsdl_lexer::Token;

/// Most words of a type's name: `unsigned long long int` has four.
const WORDS_MAX: usize = 8;

impl Parser<'_> {
    /// A type.
    pub(super) fn class(&mut self) -> Parsed<TypeRef> {
        self.deeper()?;
        let word = match self.peek() {
            Some(Token::Name(word)) => word.clone(),
            _ => return self.fail("a type is missing"),
        };
        let class = match word.as_str() {
            "integer" => self.integer(),
            "floating_point" => self.float(),
            "string" => self.text_class(),
            "struct" => self.structure(),
            "variant" => self.variant(),
            "enum" => self.enumeration(),
            _ => self.named(),
        };
        self.shallower();
        class
    }

    fn integer(&mut self) -> Parsed<TypeRef> {
        self.at += 1;
        let attributes = self.block()?;
        let bits = attributes.unsigned("size").unwrap_or(0);
        let Ok(bits @ 1..=64) = u32::try_from(bits) else {
            return self.fail(format!("numbers of {bits} bits cannot be read"));
        };
        let usual = if bits.is_multiple_of(8) { 8 } else { 1 };
        let align = self.alignment(&attributes, usual)?;
        let is_hex = match attributes.number("base") {
            Some(base) => base == 16,
            None => matches!(
                attributes.text("base"),
                Some("hexadecimal" | "hex" | "x" | "X" | "p")
            ),
        };
        let int = Int {
            bits,
            align,
            is_signed: attributes.is_true("signed"),
            order: self.order_of(&attributes),
            shown: if is_hex { Shown::Hex } else { Shown::Decimal },
            is_text: matches!(
                attributes.text("encoding"),
                Some("UTF8" | "ASCII" | "utf8" | "ascii")
            ),
            is_clock: attributes
                .text("map")
                .is_some_and(|map| map.starts_with("clock.")),
            role: None,
        };
        self.typed(Class::Int(int, None), 1)
    }

    fn alignment(&self, attributes: &Block, usual: u64) -> Parsed<u64> {
        let align = attributes.unsigned("align").unwrap_or(usual);
        self.check_align(align)
    }

    fn check_align(&self, align: u64) -> Parsed<u64> {
        if align.is_power_of_two() && align <= ALIGN_MAX {
            Ok(align)
        } else {
            self.fail(format!("an alignment of {align} bits cannot be"))
        }
    }

    fn order_of(&self, attributes: &Block) -> ByteOrder {
        match attributes.text("byte_order") {
            Some("le") => ByteOrder::Little,
            Some("be" | "network") => ByteOrder::Big,
            _ => self.order,
        }
    }

    fn float(&mut self) -> Parsed<TypeRef> {
        self.at += 1;
        let attributes = self.block()?;
        let digits = |key| attributes.unsigned(key).unwrap_or(0);
        let bits = match (digits("exp_dig"), digits("mant_dig")) {
            (8, 24) => 32,
            (11, 53) => 64,
            (exponent, mantissa) => {
                return self.fail(format!(
                    "floating point numbers of {exponent} and {mantissa} digits cannot be read"
                ));
            }
        };
        let align = self.alignment(&attributes, 8)?;
        let order = self.order_of(&attributes);
        self.typed(Class::Float { bits, align, order }, 1)
    }

    fn text_class(&mut self) -> Parsed<TypeRef> {
        self.at += 1;
        if self.is_sign("{") {
            self.block()?;
        }
        self.typed(Class::Text(Encoding::Utf8), 1)
    }

    /// The name behind `struct`, `variant` or `enum`, if it has one.
    fn tag_name(&mut self, kind: &str) -> Option<String> {
        let name = self.name_after(0).filter(|name| *name != "align")?;
        let name = format!("{kind} {name}");
        self.at += 1;
        Some(name)
    }

    /// What was defined under that name before.
    fn defined(&self, name: Option<&str>) -> Parsed<TypeRef> {
        match self.find(name.unwrap_or_default()) {
            Some(class) => Ok(class),
            None => self.fail(format!("there is no type {:?}", name.unwrap_or_default())),
        }
    }

    fn define_if_named(&mut self, name: Option<String>, class: &TypeRef) {
        if let Some(name) = name {
            self.define(name, Rc::clone(class));
        }
    }

    fn structure(&mut self) -> Parsed<TypeRef> {
        self.at += 1;
        let name = self.tag_name("struct");
        if !self.is_sign("{") {
            return self.defined(name.as_deref());
        }
        let fields = self.fields()?;
        let mut align = 1;
        if self.take_name("align") {
            self.need("(")?;
            let number = self.number()?;
            align = self.check_align(u64::try_from(number).unwrap_or(0))?;
            self.need(")")?;
        }
        let class = self.typed(Class::Struct(fields), align)?;
        self.define_if_named(name, &class);
        Ok(class)
    }

    /// Declarations between braces.
    fn fields(&mut self) -> Parsed<Vec<(String, TypeRef)>> {
        self.need("{")?;
        self.enter()?;
        let mut fields = Vec::new();
        while !self.take_sign("}") {
            if !self.type_declaration()? {
                let class = self.class()?;
                // A type that is only defined here has no field.
                if !self.is_sign(";") {
                    self.declarators(&class, &mut fields)?;
                }
            }
            self.need(";")?;
        }
        self.leave();
        Ok(fields)
    }

    fn declarators(&mut self, class: &TypeRef, fields: &mut Vec<(String, TypeRef)>) -> Parsed<()> {
        loop {
            fields.push(self.declarator(Rc::clone(class))?);
            if !self.take_sign(",") {
                return Ok(());
            }
        }
    }

    /// A name with brackets behind it.
    pub(super) fn declarator(&mut self, class: TypeRef) -> Parsed<(String, TypeRef)> {
        while self.take_sign("*") {}
        let name = self.name()?;
        Ok((name, self.arrays_of(class)?))
    }

    /// The type that brackets behind another make of it.
    pub(super) fn arrays_of(&mut self, class: TypeRef) -> Parsed<TypeRef> {
        let mut lengths = Vec::new();
        while self.take_sign("[") {
            lengths.push(match self.peek() {
                Some(Token::Name(_)) => Length::Field(self.path()?),
                _ => match u64::try_from(self.number()?) {
                    Ok(length) => Length::Fixed(length),
                    Err(_) => return self.fail("an array cannot have a negative length"),
                },
            });
            self.need("]")?;
        }
        let mut class = class;
        for length in lengths.into_iter().rev() {
            let element = class;
            class = self.typed(Class::Array { element, length }, 1)?;
        }
        Ok(class)
    }

    fn path(&mut self) -> Parsed<Path> {
        let mut path = vec![self.name()?];
        while self.take_sign(".") || self.take_sign("->") {
            path.push(self.name()?);
        }
        Ok(path)
    }

    fn variant(&mut self) -> Parsed<TypeRef> {
        self.at += 1;
        let name = self.tag_name("variant");
        let mut tag = None;
        if self.take_sign("<") {
            tag = Some(self.path()?);
            self.need(">")?;
        }
        let choices = if self.is_sign("{") {
            let choice = |(name, class)| Choice {
                name,
                class,
                values: None,
            };
            self.fields()?.into_iter().map(choice).collect()
        } else {
            match &self.defined(name.as_deref())?.class {
                Class::Variant { choices, .. } => choices.clone(),
                _ => return self.fail("this is no variant"),
            }
        };
        let class = self.typed(Class::Variant { tag, choices }, 1)?;
        self.define_if_named(name, &class);
        Ok(class)
    }

    fn enumeration(&mut self) -> Parsed<TypeRef> {
        self.at += 1;
        let name = self.tag_name("enum");
        let base = if self.take_sign(":") {
            Some(self.class()?)
        } else {
            None
        };
        if !self.is_sign("{") {
            return self.defined(name.as_deref());
        }
        let Some(base) = base.or_else(|| self.find("int")) else {
            return self.fail("an enumeration without its type");
        };
        let Class::Int(int, _) = &base.class else {
            return self.fail("an enumeration of what is no number");
        };
        let names = self.enumerators()?;
        let class = self.typed(Class::Int(int.clone(), Some(Rc::new(names))), 1)?;
        self.define_if_named(name, &class);
        Ok(class)
    }

    fn enumerators(&mut self) -> Parsed<Names> {
        self.need("{")?;
        let mut names = Vec::new();
        let mut next = 0;
        while !self.take_sign("}") {
            let name = match self.peek() {
                Some(Token::Text(text)) => {
                    let text = text.clone();
                    self.at += 1;
                    text
                }
                _ => self.name()?,
            };
            let (mut from, mut to) = (next, next);
            if self.take_sign("=") {
                from = self.number()?;
                to = if self.take_sign("...") {
                    self.number()?
                } else {
                    from
                };
            }
            next = to + 1;
            names.push((name, from, to));
            if !self.take_sign(",") && !self.is_sign("}") {
                return self.fail("`,` is missing");
            }
        }
        Ok(names)
    }

    /// A type by its name, of as many words as one has that is known.
    fn named(&mut self) -> Parsed<TypeRef> {
        let words = (0..WORDS_MAX).map_while(|count| self.name_after(count));
        let words: Vec<String> = words.map(str::to_owned).collect();
        for count in (1..=words.len()).rev() {
            if let Some(class) = self.find(&words[..count].join(" ")) {
                self.at += count;
                return Ok(class);
            }
        }
        let name = words.first().map_or("", String::as_str);
        self.fail(format!("there is no type {name:?}"))
    }
}
