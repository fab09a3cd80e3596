//! Reads CTF 2's metadata: a sequence of JSON texts (CTF2-SPEC-2.0).

use std::collections::HashMap;
use std::rc::Rc;

use serde_json::{Map, Value};

use super::class::{
    ALIGN_MAX, ByteOrder, Choice, Class, ClockClass, Encoding, EventClass, Int, Length, Metadata,
    Names, Path, Ranges, Role, Shown, StreamClass, TooDeep, Type, TypeRef, Version,
};
use super::error::MetadataError;

/// What each fragment begins with: RFC 7464.
const SEPARATOR: u8 = 0x1E;

type Object = Map<String, Value>;
type Parsed<T> = Result<T, String>;

/// Reads the fragments of a trace's metadata.
pub(super) fn parse(bytes: &[u8]) -> Result<Metadata, MetadataError> {
    let mut parser = Parser {
        aliases: HashMap::new(),
        metadata: Metadata::new(Version::Ctf2),
    };
    let fragments = bytes.split(|byte| *byte == SEPARATOR).skip(1);
    for (number, fragment) in fragments.enumerate() {
        let read = serde_json::from_slice::<Value>(fragment).map_err(|error| error.to_string());
        let taken = read.and_then(|value| match &value {
            Value::Object(fragment) => parser.fragment(fragment),
            _ => Err("it is no object".to_owned()),
        });
        taken.map_err(|what| MetadataError::new(format!("fragment {}", number + 1), what))?;
    }
    Ok(parser.metadata)
}

struct Parser {
    aliases: HashMap<String, TypeRef>,
    metadata: Metadata,
}

impl Parser {
    fn fragment(&mut self, fragment: &Object) -> Parsed<()> {
        match text(fragment, "type").unwrap_or_default() {
            "preamble" => {
                let version = number(fragment, "version");
                if version != Some(2) {
                    return Err("it is not of version 2".to_owned());
                }
                self.metadata.uuid = fragment.get("uuid").and_then(uuid);
            }
            "field-class-alias" => {
                let name = text(fragment, "name").ok_or("the alias has no name")?;
                let class = self
                    .member(fragment, "field-class")?
                    .ok_or("the alias has no class")?;
                self.aliases.insert(name.to_owned(), class);
            }
            "trace-class" => {
                self.metadata.packet_header = self.member(fragment, "packet-header-field-class")?;
                let rows = fragment.get("environment").and_then(Value::as_object);
                for (name, value) in rows.into_iter().flatten() {
                    let value = value
                        .as_str()
                        .map_or_else(|| value.to_string(), str::to_owned);
                    self.metadata.env.push((name.clone(), value));
                }
            }
            "clock-class" => self.clock(fragment),
            "data-stream-class" => {
                let stream = StreamClass {
                    id: unsigned(fragment, "id").unwrap_or(0),
                    packet_context: self.member(fragment, "packet-context-field-class")?,
                    event_header: self.member(fragment, "event-record-header-field-class")?,
                    event_context: self
                        .member(fragment, "event-record-common-context-field-class")?,
                    events: Vec::new(),
                };
                self.metadata.streams.push(stream);
            }
            "event-record-class" => self.event(fragment)?,
            // What a later version adds can be left out.
            _ => {}
        }
        Ok(())
    }

    fn clock(&mut self, fragment: &Object) {
        let offset = fragment
            .get("offset-from-origin")
            .and_then(Value::as_object);
        let of = |name| offset.and_then(|offset| number(offset, name)).unwrap_or(0);
        let name = text(fragment, "id").or(text(fragment, "name"));
        let origin = text(fragment, "origin");
        self.metadata.clocks.push(ClockClass {
            name: name.unwrap_or_default().to_owned(),
            hz: unsigned(fragment, "frequency").unwrap_or(0),
            offset_seconds: i64::try_from(of("seconds")).unwrap_or(0),
            offset_ticks: of("cycles"),
            description: text(fragment, "description").unwrap_or_default().to_owned(),
            is_unix: origin == Some("unix-epoch")
                || !fragment.contains_key("origin") && offset.is_some(),
        });
    }

    fn event(&mut self, fragment: &Object) -> Parsed<()> {
        let stream = unsigned(fragment, "data-stream-class-id").unwrap_or(0);
        let event = EventClass {
            id: unsigned(fragment, "id").unwrap_or(0),
            name: text(fragment, "name").unwrap_or("unnamed").to_owned(),
            context: self.member(fragment, "specific-context-field-class")?,
            payload: self.member(fragment, "payload-field-class")?,
        };
        let mut streams = self.metadata.streams.iter_mut();
        match streams.find(|known| known.id == stream) {
            Some(stream) => stream.events.push(event),
            None => return Err(format!("there is no stream {stream}")),
        }
        Ok(())
    }

    /// A class that an object has under a name, if it has one.
    fn member(&self, object: &Object, name: &str) -> Parsed<Option<TypeRef>> {
        object.get(name).map(|class| self.class(class)).transpose()
    }

    fn class(&self, value: &Value) -> Parsed<TypeRef> {
        let object = match value {
            Value::String(alias) => {
                let found = self.aliases.get(alias);
                return found
                    .map(Rc::clone)
                    .ok_or_else(|| format!("there is no field class {alias:?}"));
            }
            Value::Object(object) => object,
            _ => return Err("a field class is neither a name nor an object".to_owned()),
        };
        let kind = text(object, "type").unwrap_or_default();
        let mut align = 1;
        let class = match kind {
            "structure" => {
                align = alignment(object, "minimum-alignment")?;
                Class::Struct(self.fields(object)?)
            }
            "static-length-array" | "dynamic-length-array" => {
                align = alignment(object, "minimum-alignment")?;
                let element = self.member(object, "element-field-class")?;
                Class::Array {
                    element: element.ok_or("an array has no class of elements")?,
                    length: length(object, kind)?,
                }
            }
            "null-terminated-string" => Class::Text(encoding(object)?),
            "static-length-string" | "dynamic-length-string" => Class::Bytes {
                length: length(object, kind)?,
                text: Some(encoding(object)?),
            },
            "static-length-blob" | "dynamic-length-blob" => Class::Bytes {
                length: length(object, kind)?,
                text: None,
            },
            "optional" => Class::Optional {
                tag: location(object, "selector-field-location")?,
                // A truth value chooses without ranges.
                values: ranges(object.get("selector-field-ranges"))?
                    .unwrap_or_else(|| vec![(1, i128::from(u64::MAX))]),
                class: self
                    .member(object, "field-class")?
                    .ok_or("an optional field has no class")?,
            },
            "variant" => Class::Variant {
                tag: Some(location(object, "selector-field-location")?),
                choices: self.choices(object)?,
            },
            _ => plain(object, kind)?,
        };
        let deep = |TooDeep| "field classes are nested too deeply".to_owned();
        Type::aligned(class, align).map_err(deep)
    }

    fn fields(&self, object: &Object) -> Parsed<Vec<(String, TypeRef)>> {
        let members = object.get("member-classes").and_then(Value::as_array);
        let field = |member: &Value| {
            let member = member.as_object().ok_or("a member is no object")?;
            let name = text(member, "name").ok_or("a member has no name")?;
            let class = self
                .member(member, "field-class")?
                .ok_or("a member has no class")?;
            Ok((name.to_owned(), class))
        };
        members.into_iter().flatten().map(field).collect()
    }

    fn choices(&self, object: &Object) -> Parsed<Vec<Choice>> {
        let options = object.get("options").and_then(Value::as_array);
        let choice = |option: &Value| {
            let option = option.as_object().ok_or("an option is no object")?;
            Ok(Choice {
                name: text(option, "name").unwrap_or_default().to_owned(),
                class: self
                    .member(option, "field-class")?
                    .ok_or("an option has no class")?,
                values: Some(ranges(option.get("selector-field-ranges"))?.unwrap_or_default()),
            })
        };
        options.into_iter().flatten().map(choice).collect()
    }
}

/// Numbers.
fn plain(object: &Object, kind: &str) -> Parsed<Class> {
    let roles = object.get("roles").and_then(Value::as_array);
    let roles: Vec<&str> = roles
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let role = roles.iter().find_map(|name| role(name));
    let is_clock = roles.contains(&"default-clock-timestamp");
    let shown = shown(object, kind);
    let is_signed = matches!(
        kind,
        "fixed-length-signed-integer" | "variable-length-signed-integer"
    );
    match kind {
        "variable-length-unsigned-integer" | "variable-length-signed-integer" => {
            Ok(Class::VarInt {
                is_signed,
                shown,
                names: names(object)?,
                role: role.or(is_clock.then_some(Role::PacketStart)),
            })
        }
        "fixed-length-floating-point-number" => float(object),
        "fixed-length-bit-array"
        | "fixed-length-bit-map"
        | "fixed-length-boolean"
        | "fixed-length-unsigned-integer"
        | "fixed-length-signed-integer" => {
            let bits = unsigned(object, "length").and_then(|bits| u32::try_from(bits).ok());
            let bits = bits.filter(|bits| (1..=64).contains(bits));
            let int = Int {
                bits: bits.ok_or("numbers of that length cannot be read")?,
                align: alignment(object, "alignment")?,
                is_signed,
                order: order(object)?,
                shown,
                is_text: false,
                is_clock,
                role,
            };
            // The names of a map are those of its bits.
            let is_map = kind == "fixed-length-bit-map";
            Ok(Class::Int(int, if is_map { None } else { names(object)? }))
        }
        _ => Err(format!("fields of class {kind:?} cannot be read")),
    }
}

fn float(object: &Object) -> Parsed<Class> {
    let bits = match unsigned(object, "length") {
        Some(32) => 32,
        Some(64) => 64,
        _ => return Err("floating point numbers of that length cannot be read".to_owned()),
    };
    Ok(Class::Float {
        bits,
        align: alignment(object, "alignment")?,
        order: order(object)?,
    })
}

fn shown(object: &Object, kind: &str) -> Shown {
    match kind {
        "fixed-length-boolean" => Shown::Bool,
        "fixed-length-bit-array" | "fixed-length-bit-map" => Shown::Hex,
        _ if number(object, "preferred-display-base") == Some(16) => Shown::Hex,
        _ => Shown::Decimal,
    }
}

/// Names of values, if there are any.
fn names(object: &Object) -> Parsed<Option<Rc<Names>>> {
    let Some(mappings) = object.get("mappings").and_then(Value::as_object) else {
        return Ok(None);
    };
    let mut names = Vec::new();
    for (name, values) in mappings {
        let values = ranges(Some(values))?.unwrap_or_default();
        let named = values
            .into_iter()
            .map(|(from, to)| (name.clone(), from, to));
        names.extend(named);
    }
    Ok(Some(Rc::new(names)))
}

fn role(name: &str) -> Option<Role> {
    Some(match name {
        "packet-magic-number" => Role::Magic,
        "data-stream-class-id" => Role::StreamClass,
        "data-stream-id" => Role::StreamInstance,
        "packet-total-length" => Role::PacketBits,
        "packet-content-length" => Role::ContentBits,
        "packet-end-default-clock-timestamp" => Role::PacketEnd,
        "packet-sequence-number" => Role::PacketSequence,
        "discarded-event-record-counter-snapshot" => Role::Discarded,
        "event-record-class-id" => Role::EventClass,
        _ => return None,
    })
}

fn text<'v>(object: &'v Object, name: &str) -> Option<&'v str> {
    object.get(name).and_then(Value::as_str)
}

fn integer(value: &Value) -> Option<i128> {
    let signed = value.as_i64().map(i128::from);
    signed.or_else(|| value.as_u64().map(i128::from))
}

fn number(object: &Object, name: &str) -> Option<i128> {
    object.get(name).and_then(integer)
}

fn unsigned(object: &Object, name: &str) -> Option<u64> {
    object.get(name).and_then(Value::as_u64)
}

fn alignment(object: &Object, name: &str) -> Parsed<u64> {
    let align = object.get(name).map_or(Some(1), Value::as_u64);
    let align = align.filter(|align| align.is_power_of_two() && *align <= ALIGN_MAX);
    align.ok_or_else(|| format!("{name} is no power of two that can be"))
}

/// The byte order; bits have to go the same way.
fn order(object: &Object) -> Parsed<ByteOrder> {
    let order = match text(object, "byte-order") {
        Some("little-endian") => ByteOrder::Little,
        Some("big-endian") => ByteOrder::Big,
        _ => return Err("a number has no byte order".to_owned()),
    };
    let usual = match order {
        ByteOrder::Little => "first-to-last",
        ByteOrder::Big => "last-to-first",
    };
    match text(object, "bit-order") {
        None => Ok(order),
        Some(own) if own == usual => Ok(order),
        Some(_) => Err("bits that go another way than the bytes cannot be read".to_owned()),
    }
}

fn encoding(object: &Object) -> Parsed<Encoding> {
    Ok(match text(object, "encoding") {
        None | Some("utf-8") => Encoding::Utf8,
        Some("utf-16le") => Encoding::Utf16(ByteOrder::Little),
        Some("utf-16be") => Encoding::Utf16(ByteOrder::Big),
        Some("utf-32le") => Encoding::Utf32(ByteOrder::Little),
        Some("utf-32be") => Encoding::Utf32(ByteOrder::Big),
        Some(other) => return Err(format!("text in {other:?} cannot be read")),
    })
}

fn length(object: &Object, kind: &str) -> Parsed<Length> {
    if kind.starts_with("dynamic") {
        return location(object, "length-field-location").map(Length::Field);
    }
    let length = unsigned(object, "length").ok_or("a length is missing")?;
    Ok(Length::Fixed(length))
}

fn location(object: &Object, name: &str) -> Parsed<Path> {
    let found = object.get(name).and_then(Value::as_object);
    let found = found.ok_or_else(|| format!("{name} is missing"))?;
    let origin: &[&str] = match text(found, "origin") {
        None => &[],
        Some("packet-header") => &["trace", "packet", "header"],
        Some("packet-context") => &["stream", "packet", "context"],
        Some("event-record-header") => &["stream", "event", "header"],
        Some("event-record-common-context") => &["stream", "event", "context"],
        Some("event-record-specific-context") => &["event", "context"],
        Some("event-record-payload") => &["event", "fields"],
        Some(other) => return Err(format!("there is no origin {other:?}")),
    };
    // An element that is null means the structure around; names are looked for there in any case.
    let path = found.get("path").and_then(Value::as_array);
    let path = path.into_iter().flatten().filter_map(Value::as_str);
    Ok(origin
        .iter()
        .copied()
        .chain(path)
        .map(str::to_owned)
        .collect())
}

fn ranges(value: Option<&Value>) -> Parsed<Option<Ranges>> {
    let Some(value) = value else {
        return Ok(None);
    };
    let range = |pair: &Value| match pair.as_array().map(Vec::as_slice) {
        Some([from, to]) => Some((integer(from)?, integer(to)?)),
        _ => None,
    };
    let ranges = value
        .as_array()
        .and_then(|pairs| pairs.iter().map(range).collect());
    ranges
        .map(Some)
        .ok_or_else(|| "a range is no pair of numbers".to_owned())
}

fn uuid(value: &Value) -> Option<[u8; 16]> {
    let bytes = value
        .as_array()?
        .iter()
        .map(|byte| u8::try_from(byte.as_u64()?).ok());
    bytes.collect::<Option<Vec<u8>>>()?.try_into().ok()
}
