//! Metadata of CTF 2 (CTF2-SPEC-2.0): a sequence of JSON texts, each after a byte 0x1E (RFC 7464).

use serde_json::{Map, Value, json};

use super::class::{Class, Member, MemberKind, length_of};
use super::environment::{Entry, Environment};

/// The file.
pub(super) fn metadata(environment: &Environment, classes: &[Class]) -> String {
    let mut out = String::new();
    let mut push = |fragment: Value| {
        out.push('\u{1e}');
        out.push_str(&fragment.to_string());
        out.push('\n');
    };
    push(json!({ "type": "preamble", "version": 2, "uuid": environment.uuid }));
    push(trace_class(environment));
    let (seconds, cycles) = environment.offset;
    push(json!({
        "type": "clock-class",
        "id": CLOCK,
        "name": CLOCK,
        "description": "Time stamp counter",
        "frequency": environment.hz,
        "origin": "unix-epoch",
        "offset-from-origin": { "seconds": seconds, "cycles": cycles },
    }));
    push(stream_class());
    for (id, class) in classes.iter().enumerate() {
        push(json!({
            "type": "event-record-class",
            "id": id,
            "data-stream-class-id": 0,
            "name": class.name,
            "payload-field-class": payload(class),
        }));
    }
    out
}

/// Name of the clock.
const CLOCK: &str = "guest";

fn trace_class(environment: &Environment) -> Value {
    let mut entries = Map::new();
    for (name, value) in &environment.entries {
        let value = match value {
            Entry::Number(number) => json!(number),
            Entry::Text(text) => json!(text),
        };
        entries.insert(name.clone(), value);
    }
    let uuid = json!({
        "type": "static-length-blob", "length": 16, "roles": ["metadata-stream-uuid"],
    });
    json!({
        "type": "trace-class",
        "name": "guesttrace",
        "uid": environment.uuid_text(),
        "environment": entries,
        "packet-header-field-class": structure([
            ("magic", with_role(integer(32), "packet-magic-number")),
            ("uuid", uuid),
            ("stream_id", with_role(integer(32), "data-stream-class-id")),
        ]),
    })
}

fn stream_class() -> Value {
    json!({
        "type": "data-stream-class",
        "id": 0,
        "default-clock-class-id": CLOCK,
        "packet-context-field-class": structure([
            ("timestamp_begin", with_role(integer(64), "default-clock-timestamp")),
            ("timestamp_end", with_role(integer(64), "packet-end-default-clock-timestamp")),
            ("content_size", with_role(integer(64), "packet-content-length")),
            ("packet_size", with_role(integer(64), "packet-total-length")),
            ("packet_seq_num", with_role(integer(64), "packet-sequence-number")),
            ("events_discarded", with_role(integer(64), "discarded-event-record-counter-snapshot")),
            ("cpu_id", integer(32)),
        ]),
        "event-record-header-field-class": structure([
            ("id", with_role(integer(16), "event-record-class-id")),
            ("timestamp", with_role(integer(64), "default-clock-timestamp")),
        ]),
    })
}

fn structure<const N: usize>(members: [(&str, Value); N]) -> Value {
    let member = |(name, class): (&str, Value)| json!({ "name": name, "field-class": class });
    json!({ "type": "structure", "member-classes": members.map(member).to_vec() })
}

fn integer(bits: u32) -> Value {
    json!({
        "type": "fixed-length-unsigned-integer",
        "length": bits,
        "byte-order": "little-endian",
        "alignment": 8,
    })
}

fn with_role(mut class: Value, role: &str) -> Value {
    class["roles"] = json!([role]);
    class
}

fn hexadecimal(mut class: Value) -> Value {
    class["preferred-display-base"] = json!(16);
    class
}

fn payload(class: &Class) -> Value {
    let mut members = Vec::new();
    for member in &class.members {
        push_member(&mut members, member);
    }
    json!({ "type": "structure", "member-classes": members })
}

/// Appends a member, and before it the one that has its length if there is such.
fn push_member(members: &mut Vec<Value>, member: &Member) {
    let length = length_of(&member.name);
    let location = || json!({ "origin": "event-record-payload", "path": [length] });
    let mut push = |name: &str, class: Value| {
        members.push(json!({ "name": name, "field-class": class }));
    };
    let mut signed = integer(64);
    signed["type"] = json!("fixed-length-signed-integer");
    let class = match &member.kind {
        MemberKind::Unsigned => integer(64),
        MemberKind::Signed => signed,
        MemberKind::Hex => hexadecimal(integer(64)),
        MemberKind::Bool => integer(8),
        MemberKind::Enum(names) => {
            let mut mappings: Map<String, Value> = Map::new();
            for (value, label) in &names.values {
                let value = value.cast_signed();
                let ranges = mappings.entry(label.as_str()).or_insert_with(|| json!([]));
                if let Some(ranges) = ranges.as_array_mut() {
                    ranges.push(json!([value, value]));
                }
            }
            signed["mappings"] = Value::Object(mappings);
            signed
        }
        MemberKind::Text => json!({ "type": "null-terminated-string" }),
        MemberKind::Bytes => {
            push(&length, integer(32));
            json!({ "type": "dynamic-length-blob", "length-field-location": location() })
        }
        MemberKind::Addresses => {
            push(&length, integer(32));
            json!({
                "type": "dynamic-length-array",
                "length-field-location": location(),
                "element-field-class": hexadecimal(integer(64)),
            })
        }
    };
    push(&member.name, class);
}
