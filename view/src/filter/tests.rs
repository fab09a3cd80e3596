//! What is offered where, as data.

use expect_test::{Expect, expect};
use trace_format::{EnumSchema, EventId, EventSchema, FieldKind, FieldSchema, Schema};

use super::*;

fn field(name: &str, kind: FieldKind) -> FieldSchema {
    FieldSchema {
        name: name.to_owned(),
        kind,
        unit: None,
        doc: format!("the {name}"),
    }
}

fn event(id: u16, name: &str, category: &str, fields: Vec<FieldSchema>) -> EventSchema {
    EventSchema {
        id: EventId(id),
        name: name.to_owned(),
        category: category.to_owned(),
        ltt: None,
        doc: format!("{name} happens"),
        sticky: false,
        fields,
    }
}

fn schema() -> Schema {
    let state = FieldKind::Enum("state".to_owned());
    Schema {
        events: vec![
            event(1, "tick", "timer", vec![field("user", FieldKind::Bool)]),
            event(
                2,
                "sched_switch",
                "sched",
                vec![
                    field("prev_pid", FieldKind::Unsigned),
                    field("prev_state", state),
                ],
            ),
            event(
                3,
                "sched:odd name",
                "sched",
                vec![field("name", FieldKind::Text)],
            ),
        ],
        enums: vec![EnumSchema {
            name: "state".to_owned(),
            values: vec![(0, "R".to_owned()), (1, "S|K".to_owned())],
        }],
    }
}

/// The cursor is at the `^` of the text.
#[track_caller]
fn check(text: &str, expected: Expect) {
    let cursor = text.find('^').unwrap();
    let text = text.replace('^', "");
    let checked = checked(&text, cursor, &schema());
    let mut said = match (checked.error, checked.at) {
        (Some(error), Some(at)) => format!("{at}: {error}\n"),
        _ => String::new(),
    };
    for completion in checked.completions {
        said.push_str(&format!("{} {}\n", completion.from, completion.text));
    }
    expected.assert_eq(&said);
}

#[test]
fn at_the_start_of_a_test_are_names() {
    check(
        "^",
        expect![[r#"
        0 event
        0 category
        0 cpu
        0 pid
        0 tid
        0 comm
        0 time
        0 tsc
        0 name
        0 prev_pid
        0 prev_state
        0 user
        0 tick.
        0 sched_switch.
    "#]],
    );
    check(
        "sta^",
        expect![[r#"
        0: no event has a field "sta"
        0 prev_state
    "#]],
    );
    check(
        "cpu == 1 && prev_^",
        expect![[r#"
        12: no event has a field "prev_"
        12 prev_pid
        12 prev_state
    "#]],
    );
    check(
        "(tick.^",
        expect![[r#"
        6: expected the name of a field, found the end
        6 user
    "#]],
    );
    check(
        "event == tick && (^",
        expect![[r#"
        18: expected a name, a number, a string or an opening parenthesis, found the end
        18 event
        18 category
        18 cpu
        18 pid
        18 tid
        18 comm
        18 time
        18 tsc
        18 user
        18 tick.
        18 sched_switch.
    "#]],
    );
}

#[test]
fn behind_a_name_are_operators_of_its_kind() {
    check(
        "prev_pid ^",
        expect![[r#"
        9 ==
        9 !=
        9 <
        9 <=
        9 >
        9 >=
        9 in
        9 not in
        9 &&
        9 ||
    "#]],
    );
    check(
        "(prev_state ^",
        expect![[r#"
        12: expected &&, || or a closing parenthesis, found the end
        12 ==
        12 !=
        12 =~
        12 <
        12 <=
        12 >
        12 >=
        12 in
        12 not in
        12 &&
        12 ||
        12 )
    "#]],
    );
    check(
        "event n^",
        expect![[r#"
        6: expected &&, || or the end, found `n`
        6 not in
        6 in
    "#]],
    );
    check(
        "user not ^",
        expect![[r#"
        9: expected in, found the end
        9 in
    "#]],
    );
}

#[test]
fn behind_an_operator_are_values() {
    check(
        "event == ^",
        expect![[r#"
        9: expected a value to compare with, found the end
        9 tick
        9 sched_switch
        9 "sched:odd name"
    "#]],
    );
    check(
        "event == sw^",
        expect![[r#"
        9: there is no event "sw"
        9 sched_switch
    "#]],
    );
    check(
        "event == \"o^",
        expect![[r#"
        9: the string has no closing quote
        9 "sched:odd name"
    "#]],
    );
    check(
        "event =~ ^",
        expect![[r#"
        9: expected a value to compare with, found the end
        9 "tick"
        9 "sched_switch"
        9 "sched:odd name"
    "#]],
    );
    check(
        "category != ^",
        expect![[r#"
        12: expected a value to compare with, found the end
        12 sched
        12 timer
    "#]],
    );
    check(
        "sched_switch.prev_state == ^",
        expect![[r#"
        27: expected a value to compare with, found the end
        27 R
        27 "S|K"
    "#]],
    );
    check(
        "prev_state in (R, ^",
        expect![[r#"
        18: expected a value of the list, found the end
        18 R
        18 "S|K"
    "#]],
    );
    check(
        "prev_state in (R^)",
        expect![[r#"
        15 R
    "#]],
    );
    check(
        "user == t^",
        expect![[r#"
        8: no event has a field "t"
        8 true
    "#]],
    );
    check(
        "cpu == ^",
        expect![[r#"
        7: expected a value to compare with, found the end
    "#]],
    );
}

#[test]
fn behind_a_test_are_joints() {
    check(
        "cpu == 1 ^",
        expect![[r#"
        9 &&
        9 ||
    "#]],
    );
    check(
        "(cpu == 1 a^",
        expect![[r#"
        10: expected &&, || or a closing parenthesis, found `a`
    "#]],
    );
    check(
        "prev_state in (R) ^",
        expect![[r#"
        18 &&
        18 ||
    "#]],
    );
    check(
        "cpu in (1 ^",
        expect![[r#"
        10: expected a comma or a closing parenthesis, found the end
        10 ,
        10 )
    "#]],
    );
}

#[test]
fn offsets_are_those_of_the_page() {
    check(
        "comm == \"\u{1F600}\" && cpux == 1^",
        expect![[r#"
        16: no event has a field "cpux"; did you mean "cpu"?
        25 &&
        25 ||
    "#]],
    );
    assert_eq!(units("a\u{1F600}b", 5), 3);
    assert_eq!(bytes("a\u{1F600}b", 3), 5);
    assert_eq!(bytes("a\u{1F600}b", 2), 1);
    assert_eq!(bytes("a", 99), 1);
}
