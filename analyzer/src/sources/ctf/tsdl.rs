//! Reads TSDL, the language of CTF 1.8's metadata: its blocks, and the words that they are made of.
//!
//! Types are in `tsdl_types.rs`.

use std::collections::HashMap;
use std::rc::Rc;

use super::class::{
    ByteOrder, Class, ClockClass, EventClass, Metadata, StreamClass, TooDeep, Type, TypeRef,
    Version,
};
use super::error::MetadataError;
use super::tsdl_lexer::{Token, split};

/// How deep blocks and types may be nested in the text.
const DEPTH_MAX: u32 = 32;

pub(super) type Parsed<T> = Result<T, MetadataError>;

/// Reads the text of a trace's metadata.
pub(super) fn parse(text: &str) -> Parsed<Metadata> {
    let tokens = split(text)?;
    let mut parser = Parser {
        tokens: &tokens,
        at: 0,
        depth: 0,
        order: byte_order(&tokens),
        scopes: vec![HashMap::new()],
        metadata: Metadata::new(Version::Ctf1),
    };
    while parser.at < tokens.len() {
        parser.declaration()?;
    }
    Ok(parser.metadata)
}

/// The trace's byte order, which types before its block may depend on.
fn byte_order(tokens: &[(Token, u32)]) -> ByteOrder {
    let is_name = |at: usize, name: &str| matches!(tokens.get(at), Some((Token::Name(own), _)) if own == name);
    let is_sign = |at: usize, sign: &str| matches!(tokens.get(at), Some((Token::Sign(own), _)) if *own == sign);
    let mut depth = 0;
    let mut is_trace = false;
    for at in 0..tokens.len() {
        if is_sign(at, "{") {
            is_trace |= depth == 0 && at > 0 && is_name(at - 1, "trace");
            depth += 1;
        } else if is_sign(at, "}") {
            depth -= 1;
            is_trace &= depth > 0;
        }
        if is_trace && depth == 1 && is_name(at, "byte_order") && is_sign(at + 1, "=") {
            let is_big = is_name(at + 2, "be") || is_name(at + 2, "network");
            return if is_big {
                ByteOrder::Big
            } else {
                ByteOrder::Little
            };
        }
    }
    ByteOrder::Little
}

pub(super) struct Parser<'a> {
    tokens: &'a [(Token, u32)],
    pub(super) at: usize,
    depth: u32,
    pub(super) order: ByteOrder,
    /// Named types, those of the innermost block last.
    scopes: Vec<HashMap<String, TypeRef>>,
    metadata: Metadata,
}

/// What a block says.
#[derive(Default)]
pub(super) struct Block {
    values: Vec<(String, Value)>,
    types: Vec<(String, TypeRef)>,
}

#[derive(Clone, Debug)]
enum Value {
    Number(i128),
    Text(String),
}

impl Block {
    pub(super) fn number(&self, key: &str) -> Option<i128> {
        self.values.iter().find_map(|(own, value)| match value {
            Value::Number(number) if own == key => Some(*number),
            _ => None,
        })
    }

    pub(super) fn unsigned(&self, key: &str) -> Option<u64> {
        self.number(key)
            .and_then(|number| u64::try_from(number).ok())
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.values.iter().find_map(|(own, value)| match value {
            Value::Text(text) if own == key => Some(text.as_str()),
            _ => None,
        })
    }

    pub(super) fn is_true(&self, key: &str) -> bool {
        match self.number(key) {
            Some(number) => number != 0,
            None => matches!(self.text(key), Some("true" | "TRUE")),
        }
    }

    fn class(&self, key: &str) -> Option<TypeRef> {
        let found = self.types.iter().find(|(own, _)| own == key);
        found.map(|(_, class)| Rc::clone(class))
    }
}

/// Words.
impl Parser<'_> {
    pub(super) fn fail<T>(&self, what: impl Into<String>) -> Parsed<T> {
        let at = self.at.min(self.tokens.len().saturating_sub(1));
        let line = self.tokens.get(at).map_or(1, |(_, line)| *line);
        Err(MetadataError::new(format!("line {line}"), what))
    }

    pub(super) fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    pub(super) fn is_sign(&self, sign: &str) -> bool {
        matches!(self.peek(), Some(Token::Sign(own)) if *own == sign)
    }

    fn is_name(&self, name: &str) -> bool {
        matches!(self.peek(), Some(Token::Name(own)) if own == name)
    }

    pub(super) fn take_sign(&mut self, sign: &str) -> bool {
        let is_it = self.is_sign(sign);
        self.at += usize::from(is_it);
        is_it
    }

    pub(super) fn take_name(&mut self, name: &str) -> bool {
        let is_it = self.is_name(name);
        self.at += usize::from(is_it);
        is_it
    }

    pub(super) fn need(&mut self, sign: &'static str) -> Parsed<()> {
        if self.take_sign(sign) {
            Ok(())
        } else {
            self.fail(format!("{sign:?} is missing"))
        }
    }

    pub(super) fn name(&mut self) -> Parsed<String> {
        match self.peek() {
            Some(Token::Name(name)) => {
                let name = name.clone();
                self.at += 1;
                Ok(name)
            }
            _ => self.fail("a name is missing"),
        }
    }

    pub(super) fn number(&mut self) -> Parsed<i128> {
        let is_negative = self.take_sign("-");
        if !is_negative {
            self.take_sign("+");
        }
        match self.peek() {
            Some(Token::Number(number)) => {
                let number = *number;
                self.at += 1;
                Ok(if is_negative { -number } else { number })
            }
            _ => self.fail("a number is missing"),
        }
    }

    /// The word after so many others, if it is a name.
    pub(super) fn name_after(&self, count: usize) -> Option<&str> {
        match self.tokens.get(self.at + count) {
            Some((Token::Name(name), _)) => Some(name),
            _ => None,
        }
    }

    /// Names with points between them.
    fn dotted(&mut self) -> Parsed<String> {
        let mut name = self.name()?;
        while self.take_sign(".") {
            name.push('.');
            name.push_str(&self.name()?);
        }
        Ok(name)
    }

    pub(super) fn deeper(&mut self) -> Parsed<()> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return self.fail("types are nested too deeply");
        }
        Ok(())
    }

    pub(super) fn shallower(&mut self) {
        self.depth -= 1;
    }

    pub(super) fn enter(&mut self) -> Parsed<()> {
        self.deeper()?;
        self.scopes.push(HashMap::new());
        Ok(())
    }

    pub(super) fn leave(&mut self) {
        self.shallower();
        self.scopes.pop();
    }

    pub(super) fn define(&mut self, name: String, class: TypeRef) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name, class);
        }
    }

    pub(super) fn find(&self, name: &str) -> Option<TypeRef> {
        let mut scopes = self.scopes.iter().rev();
        scopes.find_map(|scope| scope.get(name)).map(Rc::clone)
    }

    /// Makes a type of what was read.
    pub(super) fn typed(&self, class: Class, align: u64) -> Parsed<TypeRef> {
        Type::aligned(class, align).or_else(|TooDeep| self.fail("types are nested too deeply"))
    }
}

/// Blocks.
impl Parser<'_> {
    /// A declaration of the file.
    fn declaration(&mut self) -> Parsed<()> {
        let has_block = matches!(self.tokens.get(self.at + 1), Some((Token::Sign("{"), _)));
        let block = match self.peek() {
            Some(Token::Name(name)) if has_block => name.clone(),
            _ => String::new(),
        };
        match block.as_str() {
            "trace" | "env" | "clock" | "stream" | "event" | "callsite" => {
                self.at += 1;
                let content = self.block()?;
                self.take(&block, &content)?;
            }
            _ if self.take_sign(";") => return Ok(()),
            _ => {
                if !self.type_declaration()? {
                    self.class()?;
                }
            }
        }
        self.need(";")
    }

    /// `typealias` or `typedef`, if it is one.
    pub(super) fn type_declaration(&mut self) -> Parsed<bool> {
        if self.take_name("typealias") {
            let class = self.class()?;
            let class = self.arrays_of(class)?;
            self.need(":=")?;
            let name = self.alias_name();
            self.define(name, class);
            return Ok(true);
        }
        if self.take_name("typedef") {
            let class = self.class()?;
            let (name, class) = self.declarator(class)?;
            self.define(name, class);
            return Ok(true);
        }
        Ok(false)
    }

    /// Names and stars up to the end of a declaration, such as `unsigned long *`.
    fn alias_name(&mut self) -> String {
        let mut name = String::new();
        loop {
            let word = match self.peek() {
                Some(Token::Name(word)) => word.clone(),
                Some(Token::Sign("*")) => "*".to_owned(),
                _ => return name,
            };
            self.at += 1;
            if !name.is_empty() {
                name.push(' ');
            }
            name.push_str(&word);
        }
    }

    pub(super) fn block(&mut self) -> Parsed<Block> {
        self.need("{")?;
        self.enter()?;
        let mut block = Block::default();
        while !self.take_sign("}") {
            if !self.type_declaration()? {
                self.entry(&mut block)?;
            }
            self.need(";")?;
        }
        self.leave();
        Ok(block)
    }

    /// `key = value` or `key := type`; a type by itself, too.
    fn entry(&mut self, block: &mut Block) -> Parsed<()> {
        if ["struct", "variant", "enum"]
            .iter()
            .any(|kind| self.is_name(kind))
        {
            self.class()?;
            return Ok(());
        }
        let key = self.dotted()?;
        if self.take_sign(":=") {
            let class = self.class()?;
            let class = self.arrays_of(class)?;
            block.types.push((key, class));
        } else if self.take_sign("=") {
            let value = self.value()?;
            block.values.push((key, value));
        } else {
            return self.fail("`=` or `:=` is missing");
        }
        Ok(())
    }

    fn value(&mut self) -> Parsed<Value> {
        match self.peek() {
            Some(Token::Text(text)) => {
                let text = text.clone();
                self.at += 1;
                Ok(Value::Text(text))
            }
            Some(Token::Name(_)) => self.dotted().map(Value::Text),
            _ => self.number().map(Value::Number),
        }
    }

    fn take(&mut self, kind: &str, block: &Block) -> Parsed<()> {
        match kind {
            "trace" => {
                self.metadata.uuid = block.text("uuid").and_then(uuid);
                self.metadata.packet_header = block.class("packet.header");
            }
            "env" => {
                let text = |value: &Value| match value {
                    Value::Number(number) => number.to_string(),
                    Value::Text(text) => text.clone(),
                };
                let rows = block.values.iter();
                let rows = rows.map(|(key, value)| (key.clone(), text(value)));
                self.metadata.env.extend(rows);
            }
            "clock" => self.take_clock(block),
            "stream" => self.metadata.streams.push(StreamClass {
                id: block.unsigned("id").unwrap_or(0),
                packet_context: block.class("packet.context"),
                event_header: block.class("event.header"),
                event_context: block.class("event.context"),
                events: Vec::new(),
            }),
            "event" => return self.take_event(block),
            _ => {}
        }
        Ok(())
    }

    fn take_clock(&mut self, block: &Block) {
        let seconds = block.number("offset_s").unwrap_or(0);
        let description = block.text("description").unwrap_or_default();
        self.metadata.clocks.push(ClockClass {
            name: block.text("name").unwrap_or_default().to_owned(),
            hz: block.unsigned("freq").unwrap_or(1_000_000_000),
            offset_seconds: i64::try_from(seconds).unwrap_or(0),
            offset_ticks: block.number("offset").unwrap_or(0),
            description: description.to_owned(),
            is_unix: true,
        });
    }

    fn take_event(&mut self, block: &Block) -> Parsed<()> {
        let stream_id = block.unsigned("stream_id").unwrap_or(0);
        let event = EventClass {
            id: block.unsigned("id").unwrap_or(0),
            name: block.text("name").unwrap_or("unnamed").to_owned(),
            context: block.class("context"),
            payload: block.class("fields"),
        };
        let streams = &mut self.metadata.streams;
        if streams.is_empty() {
            // A trace with one kind of stream need not describe it.
            streams.push(StreamClass::default());
        }
        match streams.iter_mut().find(|stream| stream.id == stream_id) {
            Some(stream) => stream.events.push(event),
            None => return self.fail(format!("there is no stream {stream_id}")),
        }
        Ok(())
    }
}

/// 16 bytes by their digits.
pub(super) fn uuid(text: &str) -> Option<[u8; 16]> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let mut uuid = [0; 16];
    if digits.len() != 32 {
        return None;
    }
    for (byte, pair) in uuid.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(uuid)
}
