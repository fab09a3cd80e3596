//! Text of a filter -> tokens.

use winnow::ascii::multispace0;
use winnow::combinator::{alt, opt, preceded, repeat};
use winnow::prelude::*;
use winnow::stream::LocatingSlice;
use winnow::token::{any, none_of, one_of, take_while};

use crate::error::{FilterError, FilterErrorKind};
use crate::expr::{CompareOp, Number, Span};
use crate::number;

/// A token and its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TokenKind {
    Word(String),
    Number(Number),
    Text(Vec<u8>),
    Operator(CompareOp),
    And,
    Or,
    Not,
    In,
    Open,
    Close,
    Comma,
    Dot,
}

type Input<'a> = LocatingSlice<&'a str>;

/// A token before its content is checked.
enum Raw<'a> {
    Kind(TokenKind),
    Word(&'a str),
    Number(&'a str),
    /// What follows the opening quote up to the closing one, and whether there is one.
    Quoted(&'a str, bool),
    Other(char),
}

/// Cuts a text into tokens.
pub(crate) fn tokens(text: &str) -> Result<Vec<Token>, FilterError> {
    let mut input = Input::new(text);
    let mut tokens = Vec::new();
    // `raw` fails only at the end of the text.
    while let Ok((raw, span)) = preceded(multispace0, raw.with_span()).parse_next(&mut input) {
        let error = |kind| FilterError::new(kind, span.clone(), text);
        let kind = match raw {
            Raw::Kind(kind) => kind,
            Raw::Word(word) => word_kind(word),
            Raw::Number(digits) => match number::parse(digits) {
                Ok(number) => TokenKind::Number(number),
                Err(reason) => return Err(error(FilterErrorKind::Number(reason))),
            },
            Raw::Quoted(_, false) => return Err(error(FilterErrorKind::OpenString)),
            Raw::Quoted(content, true) => match unescape(content) {
                Some(bytes) => TokenKind::Text(bytes),
                None => return Err(error(FilterErrorKind::Escape)),
            },
            Raw::Other(character) => return Err(error(other(character))),
        };
        tokens.push(Token { kind, span });
    }
    Ok(tokens)
}

/// What is wrong with a character that begins no token.
fn other(character: char) -> FilterErrorKind {
    let expected = match character {
        '=' => "== or =~",
        '&' => "&&",
        '|' => "||",
        _ => return FilterErrorKind::Character(character),
    };
    FilterErrorKind::Expected {
        expected,
        found: format!("`{character}`"),
    }
}

fn raw<'a>(input: &mut Input<'a>) -> ModalResult<Raw<'a>> {
    alt((
        operator.map(Raw::Kind),
        number_text.map(Raw::Number),
        word.map(Raw::Word),
        quoted('"'),
        quoted('\''),
        any.map(Raw::Other),
    ))
    .parse_next(input)
}

fn operator(input: &mut Input<'_>) -> ModalResult<TokenKind> {
    use TokenKind::Operator;
    let compare = alt((
        "==".value(Operator(CompareOp::Equal)),
        "!=".value(Operator(CompareOp::NotEqual)),
        alt(("=~", "~")).value(Operator(CompareOp::Matches)),
        "<=".value(Operator(CompareOp::LessOrEqual)),
        ">=".value(Operator(CompareOp::GreaterOrEqual)),
        "<".value(Operator(CompareOp::Less)),
        ">".value(Operator(CompareOp::Greater)),
    ));
    let other = alt((
        "&&".value(TokenKind::And),
        "||".value(TokenKind::Or),
        "!".value(TokenKind::Not),
        "(".value(TokenKind::Open),
        ")".value(TokenKind::Close),
        ",".value(TokenKind::Comma),
        ".".value(TokenKind::Dot),
    ));
    alt((compare, other)).parse_next(input)
}

/// A number with everything that clings to it, so that `5kib` is one wrong number and not two tokens.
fn number_text<'a>(input: &mut Input<'a>) -> ModalResult<&'a str> {
    let clinging = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    (opt('-'), one_of('0'..='9'), take_while(0.., clinging))
        .take()
        .parse_next(input)
}

fn word<'a>(input: &mut Input<'a>) -> ModalResult<&'a str> {
    let first = one_of(|c: char| c.is_ascii_alphabetic() || c == '_');
    let rest = take_while(0.., |c: char| c.is_ascii_alphanumeric() || c == '_');
    (first, rest).take().parse_next(input)
}

fn quoted<'a>(quote: char) -> impl FnMut(&mut Input<'a>) -> ModalResult<Raw<'a>> {
    move |input| {
        one_of(quote).parse_next(input)?;
        let inside = alt((preceded('\\', any), none_of(['\\', quote])));
        let content = repeat::<_, _, (), _, _>(0.., inside)
            .take()
            .parse_next(input)?;
        let closed = opt(quote).parse_next(input)?.is_some();
        Ok(Raw::Quoted(content, closed))
    }
}

fn word_kind(word: &str) -> TokenKind {
    let truth = |value| {
        TokenKind::Number(Number {
            value,
            hexadecimal: false,
            quantity: None,
        })
    };
    match word {
        "and" => TokenKind::And,
        "or" => TokenKind::Or,
        "not" => TokenKind::Not,
        "in" => TokenKind::In,
        "true" => truth(1),
        "false" => truth(0),
        _ => TokenKind::Word(word.to_owned()),
    }
}

/// The bytes that a string means; `None` when an escape has no meaning.
fn unescape(content: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(content.len());
    let mut rest = content.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let escaped = match rest.next()? {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'0' => 0,
            b'x' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                u8::try_from(high * 16 + low).ok()?
            }
            plain @ (b'\\' | b'"' | b'\'') => plain,
            wildcard @ (b'*' | b'?') => {
                // The backslash means something to a pattern: it stays.
                bytes.push(b'\\');
                wildcard
            }
            _ => return None,
        };
        bytes.push(escaped);
    }
    Some(bytes)
}
