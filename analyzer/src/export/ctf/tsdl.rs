//! Metadata of CTF 1.8: the Trace Stream Description Language.

use std::fmt::Write as _;

use super::class::{Class, Member, MemberKind, length_of};
use super::environment::{Entry, Environment};

/// The file.
pub(super) fn metadata(environment: &Environment, classes: &[Class]) -> String {
    let mut out = head(environment);
    for (id, class) in classes.iter().enumerate() {
        out.push_str("event {\n\tname = ");
        push_string(&mut out, &class.name);
        push(
            &mut out,
            format_args!(";\n\tid = {id};\n\tstream_id = 0;\n"),
        );
        out.push_str("\tfields := struct {\n");
        for member in &class.members {
            push_member(&mut out, member);
        }
        out.push_str("\t};\n};\n\n");
    }
    out
}

/// Writing into memory does not fail.
fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

/// Numbers of all sizes; the version comes first, by which readers know the language.
const TYPES: &str = "/* CTF 1.8 */

typealias integer { size = 8; align = 8; signed = false; } := uint8_t;
typealias integer { size = 8; align = 8; signed = false; base = 16; } := hex8_t;
typealias integer { size = 16; align = 8; signed = false; } := uint16_t;
typealias integer { size = 32; align = 8; signed = false; } := uint32_t;
typealias integer { size = 64; align = 8; signed = false; } := uint64_t;
typealias integer { size = 64; align = 8; signed = true; } := int64_t;
typealias integer { size = 64; align = 8; signed = false; base = 16; } := hex64_t;

";

/// What stands in a packet and before an event.
const STREAM: &str = "typealias integer {
\tsize = 64; align = 8; signed = false;
\tmap = clock.guest.value;
} := stamp_t;

stream {
\tid = 0;
\tpacket.context := struct {
\t\tstamp_t timestamp_begin;
\t\tstamp_t timestamp_end;
\t\tuint64_t content_size;
\t\tuint64_t packet_size;
\t\tuint64_t packet_seq_num;
\t\tuint64_t events_discarded;
\t\tuint32_t cpu_id;
\t};
\tevent.header := struct {
\t\tuint16_t id;
\t\tstamp_t timestamp;
\t};
};

";

fn head(environment: &Environment) -> String {
    let uuid = environment.uuid_text();
    let (seconds, ticks) = environment.offset;
    let hz = environment.hz;
    let mut env = String::new();
    for (name, value) in &environment.entries {
        push(&mut env, format_args!("\t{name} = "));
        match value {
            Entry::Number(number) => push(&mut env, format_args!("{number}")),
            Entry::Text(text) => push_string(&mut env, text),
        }
        env.push_str(";\n");
    }
    format!(
        "{TYPES}trace {{
\tmajor = 1;
\tminor = 8;
\tuuid = \"{uuid}\";
\tbyte_order = le;
\tpacket.header := struct {{
\t\tuint32_t magic;
\t\tuint8_t uuid[16];
\t\tuint32_t stream_id;
\t}};
}};

env {{
{env}}};

clock {{
\tname = \"guest\";
\tuuid = \"{uuid}\";
\tdescription = \"Time stamp counter\";
\tfreq = {hz};
\toffset_s = {seconds};
\toffset = {ticks};
}};

{STREAM}"
    )
}

/// Names begin with an underscore, which readers take off: so none is a word of the language.
fn push_member(out: &mut String, member: &Member) {
    let name = &member.name;
    let length = length_of(name);
    out.push_str("\t\t");
    match &member.kind {
        MemberKind::Unsigned => push(out, format_args!("uint64_t _{name};\n")),
        MemberKind::Signed => push(out, format_args!("int64_t _{name};\n")),
        MemberKind::Hex => push(out, format_args!("hex64_t _{name};\n")),
        MemberKind::Bool => push(out, format_args!("uint8_t _{name};\n")),
        MemberKind::Enum(names) => {
            out.push_str("enum : int64_t { ");
            for (value, label) in &names.values {
                push_string(out, label);
                push(out, format_args!(" = {}, ", value.cast_signed()));
            }
            push(out, format_args!("}} _{name};\n"));
        }
        MemberKind::Text => push(out, format_args!("string _{name};\n")),
        MemberKind::Bytes => {
            push(
                out,
                format_args!("uint32_t _{length};\n\t\thex8_t _{name}[_{length}];\n"),
            );
        }
        MemberKind::Addresses => {
            push(
                out,
                format_args!("uint32_t _{length};\n\t\thex64_t _{name}[_{length}];\n"),
            );
        }
    }
}

/// Appends text in quotes.
fn push_string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                out.push('\\');
                out.push(character);
            }
            '\n' => out.push_str("\\n"),
            // Readers differ in what else they take.
            character if character.is_control() => out.push('?'),
            character => out.push(character),
        }
    }
    out.push('"');
}
