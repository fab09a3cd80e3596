//! Ties a filter to a schema: specialises it for each event, and finds what no event can pass.
//!
//! A test that makes no sense for one event is false there. One that makes sense for none is an error, and the reason
//! that got furthest in the text is given.

use trace_format::{EventSchema, Schema};

use crate::bound::{BoundFilter, Check, Condition, Side};
use crate::error::{FilterError, FilterErrorKind};
use crate::expr::{CompareOp, Expr, Number, Operand, OperandKind, Span, Test, TestKind};
use crate::filter::Filter;
use crate::operand::{Label, Meaning, Reject, Scope, Type, When, scale};
use crate::pattern::Pattern;
use crate::suggest::no_field;

pub(crate) fn bind(
    filter: &Filter,
    schema: &Schema,
    when: When,
) -> Result<BoundFilter, FilterError> {
    let mut binder = Binder {
        when,
        schema,
        tests: Vec::new(),
        position: 0,
    };
    let mut conditions = Vec::with_capacity(schema.events.len());
    for event in &schema.events {
        binder.position = 0;
        conditions.push((event.id, binder.expr(&filter.expr, event)));
    }
    conditions.sort_by_key(|(id, _)| *id);
    match binder.failure() {
        Some((kind, span)) => Err(FilterError::new(kind, span, &filter.text)),
        None => Ok(BoundFilter { conditions }),
    }
}

struct Binder<'a> {
    when: When,
    schema: &'a Schema,
    /// What became of each test, in the order of the text.
    tests: Vec<Outcome<'a>>,
    position: usize,
}

/// What became of a test over the events so far.
enum Outcome<'a> {
    /// It makes sense for at least one.
    Bound,
    /// It does not; why, for which event.
    Rejected(Reject, &'a EventSchema),
}

impl<'a> Binder<'a> {
    fn expr(&mut self, expr: &Expr, event: &'a EventSchema) -> Condition {
        match expr {
            Expr::Or(terms) => {
                let terms = terms.iter().map(|term| self.expr(term, event)).collect();
                joined(terms, true, Condition::Any)
            }
            Expr::And(terms) => {
                let terms = terms.iter().map(|term| self.expr(term, event)).collect();
                joined(terms, false, Condition::All)
            }
            Expr::Not(inner) => match self.expr(inner, event) {
                Condition::Always(holds) => Condition::Always(!holds),
                Condition::Not(inner) => *inner,
                inner => Condition::Not(Box::new(inner)),
            },
            Expr::Test(test) => {
                let result = bind_test(
                    test,
                    Scope {
                        when: self.when,
                        schema: self.schema,
                        event,
                    },
                );
                let position = self.position;
                self.position += 1;
                self.note(position, result, event)
            }
        }
    }

    /// Keeps the best that became of a test.
    fn note(
        &mut self,
        position: usize,
        result: Result<Condition, Reject>,
        event: &'a EventSchema,
    ) -> Condition {
        let (condition, outcome) = match result {
            Ok(condition) => (condition, Outcome::Bound),
            Err(reject) => (Condition::Always(false), Outcome::Rejected(reject, event)),
        };
        match self.tests.get_mut(position) {
            None => self.tests.push(outcome),
            Some(known) if outcome.rank() > known.rank() => *known = outcome,
            Some(_) => {}
        }
        condition
    }

    /// The first test that no event can pass.
    fn failure(self) -> Option<(FilterErrorKind, Span)> {
        let schema = self.schema;
        self.tests.into_iter().find_map(|outcome| match outcome {
            Outcome::Bound => None,
            Outcome::Rejected(Reject::Error(kind, span), _) => Some((kind, span)),
            Outcome::Rejected(
                Reject::NoField {
                    qualifier,
                    name,
                    span,
                },
                event,
            ) => Some((no_field(schema, event, qualifier, name), span)),
        })
    }
}

impl Outcome<'_> {
    /// How far it got.
    fn rank(&self) -> (u8, usize) {
        match self {
            Self::Rejected(Reject::NoField { span, .. }, _) => (0, span.start),
            Self::Rejected(Reject::Error(_, span), _) => (1, span.start),
            Self::Bound => (2, 0),
        }
    }
}

/// Terms of `&&` or `||`, without those that do not matter; `decisive` is the value that decides by itself.
fn joined(
    terms: Vec<Condition>,
    decisive: bool,
    join: impl FnOnce(Vec<Condition>) -> Condition,
) -> Condition {
    if terms.contains(&Condition::Always(decisive)) {
        return Condition::Always(decisive);
    }
    let mut terms: Vec<_> = terms
        .into_iter()
        .filter(|term| !matches!(term, Condition::Always(_)))
        .collect();
    match terms.len() {
        0 => Condition::Always(!decisive),
        1 => terms.swap_remove(0),
        _ => join(terms),
    }
}

fn bind_test(test: &Test, scope: Scope<'_>) -> Result<Condition, Reject> {
    match &test.kind {
        TestKind::Truth => Ok(match scope.meaning(&test.left)? {
            Meaning::Source(source, _) => Condition::Check(source, Check::Truth),
            Meaning::Label(..) | Meaning::Number(_) | Meaning::Text(_) => Condition::Always(true),
        }),
        TestKind::Compare(op, right) => compare(&test.left, *op, right, scope),
        TestKind::In { negated, list } => {
            let op = if *negated {
                CompareOp::NotEqual
            } else {
                CompareOp::Equal
            };
            let terms = list.iter().map(|item| compare(&test.left, op, item, scope));
            let terms = terms.collect::<Result<Vec<_>, _>>()?;
            Ok(merged(&terms, *negated).unwrap_or_else(|| {
                if *negated {
                    joined(terms, false, Condition::All)
                } else {
                    joined(terms, true, Condition::Any)
                }
            }))
        }
    }
}

/// One look-up in place of many comparisons of the same source with constants.
fn merged(terms: &[Condition], negated: bool) -> Option<Condition> {
    let Some(Condition::Check(first, _)) = terms.first() else {
        return None;
    };
    let (mut numbers, mut runs, mut is_signed) = (Vec::new(), Vec::new(), false);
    for term in terms {
        match term {
            Condition::Check(
                source,
                Check::Number {
                    signed,
                    scale: 1,
                    value,
                    ..
                },
            ) if source == first => {
                numbers.push(*value);
                is_signed = *signed;
            }
            Condition::Check(source, Check::Bytes { value, .. }) if source == first => {
                runs.push(value.clone())
            }
            _ => return None,
        }
    }
    numbers.sort_unstable();
    runs.sort_unstable();
    Some(Condition::Check(
        *first,
        if runs.is_empty() {
            Check::OneNumber {
                signed: is_signed,
                negated,
                values: numbers,
            }
        } else {
            Check::OneRun {
                negated,
                values: runs,
            }
        },
    ))
}

fn compare(
    left: &Operand,
    op: CompareOp,
    right: &Operand,
    scope: Scope<'_>,
) -> Result<Condition, Reject> {
    let is_name = |operand: &Operand| matches!(operand.kind, OperandKind::Name { .. });
    let whole = || left.span.start.min(right.span.start)..right.span.end.max(left.span.end);
    if !is_name(left) {
        if !is_name(right) {
            return Err(Reject::Error(FilterErrorKind::Constant, whole()));
        }
        let Some(mirrored) = op.mirrored() else {
            let kind = FilterErrorKind::Operator {
                operator: "=~",
                operand: "a constant",
            };
            return Err(Reject::Error(kind, left.span.clone()));
        };
        return compare(right, mirrored, left, scope);
    }
    let value = scope.meaning(left)?;
    if op == CompareOp::Matches {
        return matches_pattern(value, left, right);
    }
    let other = scope.meaning_beside(value, right)?;
    let condition = match (value, other) {
        (Meaning::Label(_, name), Meaning::Text(text)) => match op {
            CompareOp::Equal => Some(Condition::Always(name.as_bytes() == text)),
            CompareOp::NotEqual => Some(Condition::Always(name.as_bytes() != text)),
            _ => {
                let kind = FilterErrorKind::Operator {
                    operator: "an order",
                    operand: "a name",
                };
                return Err(Reject::Error(kind, left.span.clone()));
            }
        },
        (Meaning::Source(source, kind), Meaning::Number(number)) => number_check(kind, op, number)
            .map_err(|kind| Reject::Error(kind, right.span.clone()))?
            .map(|check| Condition::Check(source, check)),
        (Meaning::Source(source, Type::Bytes), Meaning::Text(text)) => Some(Condition::Check(
            source,
            Check::Bytes {
                op,
                value: text.to_vec(),
            },
        )),
        (Meaning::Source(a, kind), Meaning::Source(b, other)) => {
            signs(kind, other).map(|(signed, other_signed)| {
                Condition::Pair(
                    Side { source: a, signed },
                    op,
                    Side {
                        source: b,
                        signed: other_signed,
                    },
                )
            })
        }
        _ => None,
    };
    condition.ok_or_else(|| {
        let kind = FilterErrorKind::Types {
            left: value.type_name(),
            right: other.type_name(),
        };
        Reject::Error(kind, whole())
    })
}

/// Whether two sources are signed; `None` when they cannot be compared.
fn signs(left: Type<'_>, right: Type<'_>) -> Option<(bool, bool)> {
    let signed = |kind| match kind {
        Type::Number { signed, .. } => Some(signed),
        Type::Enum(_) => Some(false),
        Type::Bytes => None,
    };
    match (signed(left), signed(right)) {
        (None, None) => Some((false, false)),
        (left, right) => left.zip(right),
    }
}

/// The comparison of a number with a constant; `None` when it is not a number.
fn number_check(
    kind: Type<'_>,
    op: CompareOp,
    number: Number,
) -> Result<Option<Check>, FilterErrorKind> {
    let (signed, unit) = match kind {
        Type::Number { signed, unit } => (signed, unit),
        Type::Enum(_) => (false, None),
        Type::Bytes => return Ok(None),
    };
    let misfit = || FilterErrorKind::Unit {
        unit: unit.unwrap_or("").to_owned(),
    };
    let scale = scale(unit, number.quantity).ok_or_else(misfit)?;
    let mut value = number.value;
    if number.hexadecimal && signed {
        // The 64 bits as written, so that 0xfffffffffffffff2 is -14 here.
        value = u64::try_from(value).map_or(value, |bits| i128::from(bits.cast_signed()));
    }
    Ok(Some(Check::Number {
        signed,
        scale,
        op,
        value,
    }))
}

fn matches_pattern(
    value: Meaning<'_>,
    left: &Operand,
    right: &Operand,
) -> Result<Condition, Reject> {
    let OperandKind::Text(text) = &right.kind else {
        let kind = FilterErrorKind::Types {
            left: "text",
            right: "anything but a string",
        };
        return Err(Reject::Error(kind, right.span.clone()));
    };
    let pattern = Pattern::new(text);
    match value {
        Meaning::Source(source, Type::Bytes) => {
            Ok(Condition::Check(source, Check::Pattern(pattern)))
        }
        Meaning::Source(source, Type::Enum(enumeration)) => {
            let named = enumeration
                .values
                .iter()
                .filter(|(_, name)| pattern.matches(name.as_bytes()));
            let values = named.map(|(value, _)| i128::from(*value)).collect();
            Ok(Condition::Check(
                source,
                Check::OneNumber {
                    signed: false,
                    negated: false,
                    values,
                },
            ))
        }
        Meaning::Label(Label::Event | Label::Category, name) => {
            Ok(Condition::Always(pattern.matches(name.as_bytes())))
        }
        Meaning::Source(_, Type::Number { .. }) | Meaning::Number(_) | Meaning::Text(_) => {
            let kind = FilterErrorKind::Operator {
                operator: "=~",
                operand: value.type_name(),
            };
            Err(Reject::Error(kind, left.span.clone()))
        }
    }
}
