//! Tokens -> [`Expr`]: one function for each rule of the grammar.
//!
//! By hand rather than by combinators, because here the message counts: each place knows what it expects.

use crate::error::{FilterError, FilterErrorKind};
use crate::expr::{Expr, Operand, OperandKind, Span, Test, TestKind};
use crate::lexer::{Token, TokenKind, tokens};

/// Most parentheses and negations around a test: bounds the stack of everything that walks a filter.
const DEPTH_MAX: usize = 64;

/// Understands a whole text.
pub(crate) fn parse(text: &str) -> Result<Expr, FilterError> {
    let tokens = tokens(text)?;
    let mut parser = Parser {
        text,
        tokens: &tokens,
        depth: 0,
    };
    let expr = parser.or()?;
    if parser.tokens.is_empty() {
        Ok(expr)
    } else {
        Err(parser.expected("&&, || or the end"))
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: &'a [Token],
    depth: usize,
}

impl Parser<'_> {
    fn or(&mut self) -> Result<Expr, FilterError> {
        let mut terms = vec![self.and()?];
        while self.take(&TokenKind::Or) {
            terms.push(self.and()?);
        }
        Ok(single(terms, Expr::Or))
    }

    fn and(&mut self) -> Result<Expr, FilterError> {
        let mut terms = vec![self.not()?];
        while self.take(&TokenKind::And) {
            terms.push(self.not()?);
        }
        Ok(single(terms, Expr::And))
    }

    fn not(&mut self) -> Result<Expr, FilterError> {
        let span = self.span();
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let kind = FilterErrorKind::TooDeep { max: DEPTH_MAX };
            return Err(FilterError::new(kind, span, self.text));
        }
        let expr = if self.take(&TokenKind::Not) {
            Expr::Not(Box::new(self.not()?))
        } else if self.take(&TokenKind::Open) {
            let inner = self.or()?;
            self.require(&TokenKind::Close, "&&, || or a closing parenthesis")?;
            inner
        } else {
            Expr::Test(self.test()?)
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn test(&mut self) -> Result<Test, FilterError> {
        let left = self.operand("a name, a number, a string or an opening parenthesis")?;
        if let Some(Token {
            kind: TokenKind::Operator(operator),
            ..
        }) = self.tokens.first()
        {
            self.tokens = &self.tokens[1..];
            let right = self.operand("a value to compare with")?;
            return Ok(Test {
                left,
                kind: TestKind::Compare(*operator, right),
            });
        }
        let negated = self.take(&TokenKind::Not);
        if self.take(&TokenKind::In) {
            let list = self.list()?;
            return Ok(Test {
                left,
                kind: TestKind::In { negated, list },
            });
        }
        let bare = matches!(left.kind, OperandKind::Name { .. });
        if negated {
            Err(self.expected("in"))
        } else if bare {
            Ok(Test {
                left,
                kind: TestKind::Truth,
            })
        } else {
            Err(self.expected("an operator: == != < <= > >= =~ in"))
        }
    }

    fn list(&mut self) -> Result<Vec<Operand>, FilterError> {
        self.require(&TokenKind::Open, "a list in parentheses")?;
        let mut list = Vec::new();
        loop {
            list.push(self.operand("a value of the list")?);
            if !self.take(&TokenKind::Comma) {
                self.require(&TokenKind::Close, "a comma or a closing parenthesis")?;
                return Ok(list);
            }
        }
    }

    fn operand(&mut self, expected: &'static str) -> Result<Operand, FilterError> {
        let Some((Token { kind, span }, rest)) = self.tokens.split_first() else {
            return Err(self.expected(expected));
        };
        let kind = match kind {
            TokenKind::Word(word) => {
                self.tokens = rest;
                return self.name(word, span);
            }
            TokenKind::Number(number) => OperandKind::Number(*number),
            TokenKind::Text(bytes) => OperandKind::Text(bytes.clone()),
            _ => return Err(self.expected(expected)),
        };
        self.tokens = rest;
        Ok(Operand {
            span: span.clone(),
            kind,
        })
    }

    /// The rest of a name that starts with `word`.
    fn name(&mut self, word: &str, span: &Span) -> Result<Operand, FilterError> {
        if !self.take(&TokenKind::Dot) {
            let kind = OperandKind::Name {
                qualifier: None,
                name: word.to_owned(),
            };
            return Ok(Operand {
                span: span.clone(),
                kind,
            });
        }
        let Some((
            Token {
                kind: TokenKind::Word(name),
                span: name_span,
            },
            rest,
        )) = self.tokens.split_first()
        else {
            return Err(self.expected("the name of a field"));
        };
        self.tokens = rest;
        let kind = OperandKind::Name {
            qualifier: Some(word.to_owned()),
            name: name.clone(),
        };
        Ok(Operand {
            span: span.start..name_span.end,
            kind,
        })
    }

    fn take(&mut self, kind: &TokenKind) -> bool {
        let found = self.tokens.first().is_some_and(|token| token.kind == *kind);
        if found {
            self.tokens = &self.tokens[1..];
        }
        found
    }

    fn require(&mut self, kind: &TokenKind, expected: &'static str) -> Result<(), FilterError> {
        if self.take(kind) {
            Ok(())
        } else {
            Err(self.expected(expected))
        }
    }

    /// Place of the next token.
    fn span(&self) -> Span {
        self.tokens
            .first()
            .map_or(self.text.len()..self.text.len(), |token| token.span.clone())
    }

    fn expected(&self, expected: &'static str) -> FilterError {
        let span = self.span();
        let found = match self.text.get(span.clone()) {
            Some(found) if !found.is_empty() => format!("`{found}`"),
            _ => "the end".to_owned(),
        };
        FilterError::new(
            FilterErrorKind::Expected { expected, found },
            span,
            self.text,
        )
    }
}

/// One term by itself, several joined.
fn single(mut terms: Vec<Expr>, join: impl FnOnce(Vec<Expr>) -> Expr) -> Expr {
    match terms.pop() {
        Some(term) if terms.is_empty() => term,
        last => {
            terms.extend(last);
            join(terms)
        }
    }
}
