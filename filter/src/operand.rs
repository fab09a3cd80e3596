//! What a name or a constant of a filter means for one event.

use trace_format::{EnumSchema, EventSchema, FieldKind, Schema};

use crate::bound::Source;
use crate::error::FilterErrorKind;
use crate::expr::{Number, Operand, OperandKind, Quantity, Span};
use crate::row::Context;
use crate::suggest::nearest;

/// An operand, looked up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Meaning<'a> {
    Source(Source, Type<'a>),
    /// Name of the event or of its category, known before any record.
    Label(Label, &'a str),
    Number(Number),
    Text(&'a [u8]),
}

/// What a source holds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Type<'a> {
    Number { signed: bool, unit: Option<&'a str> },
    Enum(&'a EnumSchema),
    Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Label {
    Event,
    Category,
}

/// Why a test cannot be made of an event.
#[derive(Debug)]
pub(crate) enum Reject {
    /// The event has no such field.
    NoField {
        qualifier: Option<String>,
        name: String,
        span: Span,
    },
    /// It makes no sense there.
    Error(FilterErrorKind, Span),
}

/// When a filter is applied, which decides what is known of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// To a record as it is made.
    Recording,
    /// To a trace.
    Afterwards,
}

/// Looks names up for one event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) when: When,
    pub(crate) schema: &'a Schema,
    pub(crate) event: &'a EventSchema,
}

impl<'a> Scope<'a> {
    /// What `operand` means by itself.
    pub(crate) fn meaning(self, operand: &'a Operand) -> Result<Meaning<'a>, Reject> {
        match &operand.kind {
            OperandKind::Number(number) => Ok(Meaning::Number(*number)),
            OperandKind::Text(bytes) => Ok(Meaning::Text(bytes)),
            OperandKind::Name { qualifier, name } => {
                if let Some(kind) = self.untimely(qualifier.as_deref(), name) {
                    return Err(Reject::Error(kind, operand.span.clone()));
                }
                self.named(qualifier.as_deref(), name)
                    .ok_or_else(|| Reject::NoField {
                        qualifier: qualifier.clone(),
                        name: name.clone(),
                        span: operand.span.clone(),
                    })
            }
        }
    }

    /// What `operand` means when it is compared with `left`.
    pub(crate) fn meaning_beside(
        self,
        left: Meaning<'_>,
        operand: &'a Operand,
    ) -> Result<Meaning<'a>, Reject> {
        match left {
            Meaning::Label(label, _) => self.label(label, operand),
            Meaning::Source(_, Type::Enum(enumeration)) => self.enum_value(enumeration, operand),
            Meaning::Source(_, Type::Bytes) => {
                self.meaning(operand).map_err(|reject| match reject {
                    Reject::NoField {
                        qualifier: None,
                        name,
                        span,
                    } if !self.is_field(&name) => {
                        Reject::Error(FilterErrorKind::Unquoted { name }, span)
                    }
                    other => other,
                })
            }
            _ => self.meaning(operand),
        }
    }

    /// Whether any event has such a field.
    fn is_field(self, name: &str) -> bool {
        self.schema
            .events
            .iter()
            .any(|event| event.field_index(name).is_some())
    }

    /// Why a name that is context cannot be used now.
    fn untimely(self, qualifier: Option<&str>, name: &str) -> Option<FilterErrorKind> {
        match (self.when, qualifier, name) {
            (_, Some("current"), name) => {
                let known = || Context::RECORDING.iter().map(|context| context.name());
                if !known().any(|known| known == name) {
                    let suggestion = nearest(name, known());
                    return Some(FilterErrorKind::UnknownValue {
                        what: "name after `current.`".to_owned(),
                        name: name.to_owned(),
                        suggestion,
                    });
                }
                (self.when == When::Afterwards).then(|| FilterErrorKind::NoLongerKnown {
                    name: name.to_owned(),
                })
            }
            _ => None,
        }
    }

    fn named(self, qualifier: Option<&str>, name: &str) -> Option<Meaning<'a>> {
        if qualifier == Some("current") {
            let context = Context::RECORDING
                .iter()
                .find(|context| context.name() == name)?;
            let kind = if context.is_bytes() {
                Type::Bytes
            } else {
                Type::Number {
                    signed: false,
                    unit: None,
                }
            };
            return Some(Meaning::Source(Source::Context(*context), kind));
        }
        let context = Context::ALL.iter().find(|context| context.name() == name);
        match (qualifier, name, context) {
            (None, "event", _) => return Some(Meaning::Label(Label::Event, &self.event.name)),
            (None, "category", _) => {
                return Some(Meaning::Label(Label::Category, &self.event.category));
            }
            (None, _, Some(context)) => {
                let kind = match context {
                    Context::Comm => Type::Bytes,
                    Context::Time => Type::Number {
                        signed: false,
                        unit: Some("ns"),
                    },
                    _ => Type::Number {
                        signed: false,
                        unit: None,
                    },
                };
                return Some(Meaning::Source(Source::Context(*context), kind));
            }
            (Some(event), ..) if event != "event" && event != self.event.name => return None,
            _ => {}
        }
        let index = self.event.field_index(name)?;
        let field = &self.event.fields[index];
        let unit = field.unit.as_deref();
        let kind = match &field.kind {
            FieldKind::Unsigned | FieldKind::Hex | FieldKind::Bool => Type::Number {
                signed: false,
                unit,
            },
            FieldKind::Signed => Type::Number { signed: true, unit },
            FieldKind::Enum(name) => match self.schema.enumeration(name) {
                Some(enumeration) => Type::Enum(enumeration),
                None => Type::Number {
                    signed: false,
                    unit,
                },
            },
            FieldKind::Text | FieldKind::Bytes | FieldKind::Addresses => Type::Bytes,
        };
        Some(Meaning::Source(Source::Field(index), kind))
    }

    /// The name of an event or a category, which must be one of the schema.
    fn label(self, label: Label, operand: &'a Operand) -> Result<Meaning<'a>, Reject> {
        let Some(name) = word(operand) else {
            let kind = FilterErrorKind::Types {
                left: "a name",
                right: "a number",
            };
            return Err(Reject::Error(kind, operand.span.clone()));
        };
        let names = || {
            self.schema.events.iter().map(|event| match label {
                Label::Event => event.name.as_str(),
                Label::Category => event.category.as_str(),
            })
        };
        if names().any(|known| known.as_bytes() == name) {
            return Ok(Meaning::Text(name));
        }
        let what = match label {
            Label::Event => "event",
            Label::Category => "category",
        };
        Err(unknown_value(what.to_owned(), name, names(), operand))
    }

    /// The value of an enumeration, by name where there is one.
    fn enum_value(
        self,
        enumeration: &EnumSchema,
        operand: &'a Operand,
    ) -> Result<Meaning<'a>, Reject> {
        let Some(name) = word(operand) else {
            return self.meaning(operand);
        };
        let named = enumeration
            .values
            .iter()
            .find(|(_, known)| known.as_bytes() == name);
        if let Some((value, _)) = named {
            let value = i128::from(*value);
            return Ok(Meaning::Number(Number {
                value,
                hexadecimal: false,
                quantity: None,
            }));
        }
        match (&operand.kind, self.meaning(operand)) {
            (OperandKind::Name { .. }, Ok(meaning)) => Ok(meaning),
            _ => {
                let what = format!("value of {}", enumeration.name);
                let names = enumeration.values.iter().map(|(_, name)| name.as_str());
                Err(unknown_value(what, name, names, operand))
            }
        }
    }
}

/// The bytes of a bare word or a string.
fn word(operand: &Operand) -> Option<&[u8]> {
    match &operand.kind {
        OperandKind::Name {
            qualifier: None,
            name,
        } => Some(name.as_bytes()),
        OperandKind::Text(bytes) => Some(bytes),
        OperandKind::Name { .. } | OperandKind::Number(_) => None,
    }
}

fn unknown_value<'n>(
    what: String,
    name: &[u8],
    names: impl Iterator<Item = &'n str>,
    operand: &Operand,
) -> Reject {
    let name = String::from_utf8_lossy(name).into_owned();
    let suggestion = nearest(&name, names);
    Reject::Error(
        FilterErrorKind::UnknownValue {
            what,
            name,
            suggestion,
        },
        operand.span.clone(),
    )
}

impl Meaning<'_> {
    /// The type, for messages.
    pub(crate) fn type_name(self) -> &'static str {
        match self {
            Self::Source(_, Type::Number { .. }) | Self::Number(_) => "a number",
            Self::Source(_, Type::Enum(_)) => "an enumeration",
            Self::Source(_, Type::Bytes) | Self::Text(_) => "text",
            Self::Label(..) => "a name",
        }
    }
}

/// Ticks of `quantity` in the unit of a field; `None` when the unit measures something else.
pub(crate) fn scale(unit: Option<&str>, quantity: Option<Quantity>) -> Option<i128> {
    let (Some(unit), Some(quantity)) = (unit, quantity) else {
        return Some(1);
    };
    Quantity::of_unit(unit)
        .filter(|(measured, _)| *measured == quantity)
        .map(|(_, scale)| scale)
}
