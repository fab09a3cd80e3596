//! Where and what the fields of a format are.

use trace_format::{FieldKind, FieldSchema};

use super::format::{EventFormat, FormatField};
use super::print::Hints;
use super::schema::Machine;
use crate::sources::foreign::{Layout, Place, PlaceKind};

/// Longest array of numbers that is shown as single fields.
const ELEMENTS_MAX: u32 = 8;

/// Fields of an event with their places.
#[derive(Clone, Debug)]
pub(in crate::sources) struct Columns {
    /// As they are shown.
    pub(in crate::sources) fields: Vec<FieldSchema>,
    /// Where they are.
    pub(in crate::sources) layout: Layout,
}

impl Columns {
    /// None yet.
    pub(in crate::sources) fn new(machine: &Machine) -> Self {
        Self {
            fields: Vec::new(),
            layout: Layout {
                places: Vec::new(),
                is_big_endian: machine.is_big_endian,
            },
        }
    }

    /// One more.
    pub(in crate::sources) fn push(&mut self, name: &str, kind: FieldKind, place: Place) {
        let mut name = name.to_owned();
        while self.fields.iter().any(|field| field.name == name) {
            name.push('_');
        }
        self.fields.push(FieldSchema {
            name,
            kind,
            unit: None,
            doc: String::new(),
        });
        self.layout.places.push(place);
    }
}

/// Places all fields of a format.
pub(super) fn place_fields(format: &EventFormat, machine: &Machine, hints: &Hints) -> Columns {
    let mut columns = Columns::new(machine);
    for field in &format.fields {
        if let Some((kind, place)) = place_run(field, machine) {
            columns.push(&field.name, kind, place);
        } else if let Some(element) = element_bytes(field, machine)
            && field.extent.is_some()
        {
            place_elements(&mut columns, field, element, hints);
        } else {
            let kind = kind_of_number(field, hints);
            let place = Place {
                offset: field.offset,
                size: field.size,
                kind: place_of_number(field, &kind),
            };
            columns.push(&field.name, kind, place);
        }
    }
    columns
}

/// A field that is a run of bytes; `None` for numbers and short arrays of them.
fn place_run(field: &FormatField, machine: &Machine) -> Option<(FieldKind, Place)> {
    let is_text = matches!(element_type(field), "char" | "const char");
    let is_array = field.extent.is_some();
    let is_call_stack =
        field.name == "caller" && element_type(field) == "unsigned long" && machine.long_bytes == 8;
    let is_number = matches!(field.size, 1 | 2 | 4 | 8);
    let is_elements =
        element_bytes(field, machine).is_some_and(|bytes| field.size / bytes <= ELEMENTS_MAX);
    let (kind, place) = match () {
        () if field.is_far() && field.is_relative() && is_text => {
            (FieldKind::Text, PlaceKind::RelativeText)
        }
        () if field.is_far() && field.is_relative() => (FieldKind::Bytes, PlaceKind::RelativeBytes),
        () if field.is_far() && is_text => (FieldKind::Text, PlaceKind::FarText),
        () if field.is_far() => (FieldKind::Bytes, PlaceKind::FarBytes),
        // The kernel records more frames than the format says, as many as there are.
        () if is_array && is_call_stack && !machine.is_big_endian => {
            (FieldKind::Addresses, PlaceKind::OpenBytes)
        }
        () if is_array && is_text && field.size == 0 => (FieldKind::Text, PlaceKind::OpenText),
        () if is_array && is_text => (FieldKind::Text, PlaceKind::Text),
        () if field.size == 0 => (FieldKind::Bytes, PlaceKind::OpenBytes),
        () if is_array && !is_elements => (FieldKind::Bytes, PlaceKind::Bytes),
        () if !is_array && !is_number => (FieldKind::Bytes, PlaceKind::Bytes),
        () => return None,
    };
    let (offset, size) = (field.offset, field.size);
    let place = Place {
        offset,
        size,
        kind: place,
    };
    Some((kind, place))
}

/// Shows an array of numbers as fields of their own: `args[6]` is `args0` to `args5`.
fn place_elements(columns: &mut Columns, field: &FormatField, element: u32, hints: &Hints) {
    let kind = match kind_of_number(field, hints) {
        FieldKind::Enum(_) | FieldKind::Bool => FieldKind::Unsigned,
        // Arguments of system calls and the like: no more is known of them than their bits.
        FieldKind::Unsigned if element == 8 => FieldKind::Hex,
        other => other,
    };
    for index in 0..field.size / element {
        let place = Place {
            offset: field.offset.saturating_add(index * element),
            size: element,
            kind: place_of_number(field, &kind),
        };
        columns.push(&format!("{}{index}", field.name), kind.clone(), place);
    }
}

/// The type of what is in a far field or array.
fn element_type(field: &FormatField) -> &str {
    let (_, element) = field
        .c_type
        .rsplit_once("_loc ")
        .unwrap_or(("", &field.c_type));
    element
}

/// Bytes of an element of an array of numbers of more than a byte.
fn element_bytes(field: &FormatField, machine: &Machine) -> Option<u32> {
    let bytes = match field.extent.as_deref()?.parse::<u32>() {
        Ok(count) if count > 0 && field.size.is_multiple_of(count) => field.size / count,
        _ => match element_type(field) {
            "short" | "unsigned short" | "u16" | "__u16" | "s16" | "__s16" => 2,
            "int" | "unsigned int" | "u32" | "__u32" | "s32" | "__s32" => 4,
            "long" | "unsigned long" => machine.long_bytes,
            "long long" | "unsigned long long" | "u64" | "__u64" | "s64" | "__s64" => 8,
            _ => return None,
        },
    };
    let is_whole = bytes > 0 && field.size > 0 && field.size.is_multiple_of(bytes);
    (is_whole && matches!(bytes, 2 | 4 | 8)).then_some(bytes)
}

fn kind_of_number(field: &FormatField, hints: &Hints) -> FieldKind {
    if field.c_type.ends_with('*') || hints.hex.contains(&field.name) {
        FieldKind::Hex
    } else if matches!(field.c_type.as_str(), "bool" | "_Bool") && field.size == 1 {
        FieldKind::Bool
    } else if is_signed(field) {
        FieldKind::Signed
    } else {
        FieldKind::Unsigned
    }
}

/// What is shown in hexadecimal has no sign.
fn place_of_number(field: &FormatField, kind: &FieldKind) -> PlaceKind {
    if is_signed(field) && *kind != FieldKind::Hex {
        PlaceKind::Signed
    } else {
        PlaceKind::Unsigned
    }
}

fn is_signed(field: &FormatField) -> bool {
    let is_address = field.c_type.ends_with('*');
    let by_type = || {
        let words = [
            "char",
            "short",
            "int",
            "long",
            "long long",
            "pid_t",
            "s8",
            "s16",
            "s32",
            "s64",
        ];
        words.contains(&field.c_type.as_str())
    };
    !is_address && field.is_signed.unwrap_or_else(by_type)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn fields_get_their_places() {
        let text = "name: all\nID: 7\nformat:\n\
            \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
            \tfield:char comm[16];\toffset:8;\tsize:16;\tsigned:1;\n\
            \tfield:pid_t pid;\toffset:24;\tsize:4;\tsigned:1;\n\
            \tfield:bool ok;\toffset:28;\tsize:1;\tsigned:0;\n\
            \tfield:void * ptr;\toffset:32;\tsize:8;\tsigned:0;\n\
            \tfield:unsigned long args[6];\toffset:40;\tsize:48;\tsigned:0;\n\
            \tfield:u8 mac[6];\toffset:88;\tsize:6;\tsigned:0;\n\
            \tfield:unsigned long many[9];\toffset:96;\tsize:72;\tsigned:0;\n\
            \tfield:__data_loc char[] name;\toffset:168;\tsize:4;\tsigned:1;\n\
            \tfield:__rel_loc u32[] list;\toffset:172;\tsize:4;\tsigned:1;\n\
            \tfield:struct sockaddr addr;\toffset:176;\tsize:28;\tsigned:0;\n\
            \tfield:int flags;\toffset:204;\tsize:4;\tsigned:1;\n\
            \tfield:char buf[];\toffset:208;\tsize:0;\tsigned:0;\n\
            print fmt: \"%x\", REC->flags\n";
        let format = EventFormat::parse("test", text).unwrap();
        let machine = Machine {
            is_big_endian: false,
            long_bytes: 8,
            name: String::new(),
        };
        let columns = place_fields(&format, &machine, &Hints::of(&format.print));
        let rows = columns
            .fields
            .iter()
            .zip(&columns.layout.places)
            .map(|(field, place)| {
                format!(
                    "{} {:?} {:?} {}+{}\n",
                    field.name, field.kind, place.kind, place.offset, place.size
                )
            });
        expect![[r#"
            comm Text Text 8+16
            pid Signed Signed 24+4
            ok Bool Unsigned 28+1
            ptr Hex Unsigned 32+8
            args0 Hex Unsigned 40+8
            args1 Hex Unsigned 48+8
            args2 Hex Unsigned 56+8
            args3 Hex Unsigned 64+8
            args4 Hex Unsigned 72+8
            args5 Hex Unsigned 80+8
            mac Bytes Bytes 88+6
            many Bytes Bytes 96+72
            name Text FarText 168+4
            list Bytes RelativeBytes 172+4
            addr Bytes Bytes 176+28
            flags Hex Unsigned 204+4
            buf Text OpenText 208+0
        "#]]
        .assert_eq(&rows.collect::<String>());
    }
}
