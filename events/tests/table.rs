//! The built-in table keeps its promises, and a wrong table is refused with its file and row.

use std::fmt::Write as _;

use expect_test::{Expect, expect, expect_file};
use guesttrace_events::{EventTable, FieldType, USER_ID_FIRST};

/// Ids, names and fields are in every trace ever written: lines of this file may be added, and fields at the end of a line;
/// nothing is changed or removed. Readers find the fields of a trace by its own schema.
#[test]
fn frozen_names_and_numbers() {
    let table = EventTable::builtin();
    let mut events: Vec<_> = table.events().iter().collect();
    events.sort_by_key(|event| event.id);
    let mut text = String::new();
    for event in events {
        assert!(event.id < USER_ID_FIRST);
        let fields: Vec<_> = event
            .fields
            .iter()
            .map(|field| format!("{}:{}", field.name, field.field_type))
            .collect();
        writeln!(text, "{} {}({})", event.id, event.name, fields.join(", ")).unwrap();
    }
    expect_file!["frozen.txt"].assert_eq(&text);
}

#[test]
fn what_readers_need_is_always_recorded() {
    let table = EventTable::builtin();
    let always: Vec<_> = table
        .events()
        .iter()
        .filter(|row| row.is_always_recorded())
        .map(|row| &row.name)
        .collect();
    assert_eq!(
        always,
        ["thread_context", "power_off", "restart", "halt", "panic"]
    );
}

#[test]
fn rows_of_a_user_get_ids_and_may_use_built_in_enumerations() {
    let mut table = EventTable::builtin();
    let row = |name: &str| {
        format!(
            "[[event]]\nname = \"{name}\"\ndoc = \"mine\"\nhooks = [\"entry:f\"]\n\
             fields = [{{ name = \"v\", type = \"enum:softirq\", doc = \"v\", fetch = \"%rdi\" }}]\n"
        )
    };
    table
        .add(
            "mine.toml",
            &format!("category = \"mine\"\n{}{}", row("a"), row("b")),
        )
        .unwrap();
    let added = &table.events()[table.events().len() - 2..];
    assert_eq!(
        [added[0].id, added[1].id],
        [USER_ID_FIRST, USER_ID_FIRST + 1]
    );
    assert_eq!(
        added[0].fields[0].field_type,
        FieldType::Enum("softirq".to_owned())
    );
    assert!(!added[0].core);
}

#[test]
fn a_refused_file_leaves_the_table_unchanged() {
    let mut table = EventTable::builtin();
    let text = "category = \"mine\"\n[[event]]\nname = \"a\"\ndoc = \"a\"\nhooks = [\"entry:f\"]\n[[event]]\nname = \"b\"\n";
    assert!(table.add("mine.toml", text).is_err());
    assert_eq!(table, EventTable::builtin());
}

fn check(rows: &str, expected: &Expect) {
    let found = match EventTable::from_toml("mine.toml", &format!("category = \"mine\"\n{rows}")) {
        Ok(_) => "accepted".to_owned(),
        Err(error) => error.to_string(),
    };
    expected.assert_eq(&found);
}

/// A good event with a line more.
fn check_event(line: &str, expected: &Expect) {
    let fields = if line.contains("fields =") {
        ""
    } else {
        "fields = [{ name = \"x\", type = \"u64\", doc = \"d\", fetch = \"1\" }]\n"
    };
    let hooks = if line.contains("hooks =") {
        ""
    } else {
        "hooks = [\"entry:f\"]\n"
    };
    check(
        &format!("[[event]]\nname = \"e\"\ndoc = \"d\"\n{hooks}{fields}{line}\n"),
        expected,
    );
}

#[test]
fn events_are_checked() {
    check_event("", &expect!["accepted"]);
    check_event(
        "id = 40000",
        &expect![[
            r#"mine.toml:3: event "e": id 40000 is kept for events without an id in their row; take one below 32768"#
        ]],
    );
    check_event(
        "bind = [\"x = 1\"]",
        &expect![[
            r#"mine.toml:3: event "e": the names "x" of two fields or bindings are the same"#
        ]],
    );
    check_event(
        "bind = [\"= 1\"]",
        &expect![[
            r#"mine.toml:3: event "e": binding "= 1" is neither NAME = EXPRESSION nor NAME"#
        ]],
    );
    check_event(
        "bind = [\"y\"]",
        &expect![[r#"mine.toml:3: event "e": "y" has no expression, and site 0 sets none"#]],
    );
    check_event(
        "end = \"explosion\"",
        &expect![[
            r#"mine.toml:3: event "e": end = "explosion" is none of power_off, restart, halt, panic"#
        ]],
    );
    check_event(
        "hooks = []",
        &expect![[r#"mine.toml:3: event "e": no hooks, or a site without"#]],
    );
    check_event(
        "hooks = [\"probe:f\"]",
        &expect![[
            r#"mine.toml:3: event "e": hook "probe:f" is none of tracepoint:SYSTEM:NAME, entry:FUNCTION[+OFFSET], return:FUNCTION, address:0xADDRESS, line:FILE:LINE, uprobe:PROGRAM:PLACE"#
        ]],
    );
    check_event(
        "[[event.site]]\nhooks = [\"entry:g\"]\nset = { y = \"2\" }",
        &expect![[
            r#"mine.toml:3: event "e": site 0 sets "y", which is neither a field nor a binding"#
        ]],
    );
    let name = "[[event]]\nname = \"Bad\"\ndoc = \"d\"\nhooks = [\"entry:f\"]";
    check(
        name,
        &expect![[
            r#"mine.toml:3: event "Bad": "Bad" is not a name: a small letter, then small letters, digits and underscores"#
        ]],
    );
    let doc = "[[event]]\nname = \"e\"\ndoc = \" \"\nhooks = [\"entry:f\"]";
    check(
        doc,
        &expect![[r#"mine.toml:3: event "e": no sentence (doc) for the event"#]],
    );
    let twice = "[[event]]\nid = 7\nname = \"e\"\ndoc = \"d\"\nhooks = [\"entry:f\"]\n";
    check(
        &format!("{twice}{twice}"),
        &expect![[r#"mine.toml:9: event "e": the name is taken by a row in the category "mine""#]],
    );
    check(
        &format!("{twice}{}", twice.replace("\"e\"", "\"g\"")),
        &expect![[r#"mine.toml:9: event "g": id 7 is that of "e""#]],
    );
    check(
        "[[event]]\nname = \"e\"\ndoc = \"d\"\nretired = true",
        &expect!["accepted"],
    );
}

#[test]
fn rows_share_what_a_template_or_another_row_has() {
    let text = "category = \"mine\"
[[template]]
name = \"base\"
doc = \"d\"
bind = [\"at = %rdi\"]
fields = [
  { name = \"a\", type = \"u64\", doc = \"d\", fetch = \"at\" },
  { name = \"b\", type = \"u64\", doc = \"d\", fetch = \"at\" },
]
[[event]]
name = \"e\"
doc = \"d\"
hooks = [\"entry:f\"]
fields_like = \"base\"
fields = [
  { name = \"b\", type = \"hex\", doc = \"mine\", fetch = \"at + 8\" },
  { name = \"c\", type = \"u64\", doc = \"d\", fetch = \"at\" },
]
[[event]]
name = \"g\"
doc = \"d\"
like = \"e\"
fields_like = \"e\"
";
    let table = EventTable::from_toml("mine.toml", text).unwrap();
    let told: Vec<String> = { table.events().iter() }
        .map(|row| {
            let fields: Vec<_> = { row.fields.iter() }
                .map(|field| format!("{}:{}", field.name, field.field_type))
                .collect();
            format!(
                "{} {} {} {}",
                row.name,
                row.bind.len(),
                row.sites.len(),
                fields.join(" ")
            )
        })
        .collect();
    assert_eq!(told, ["e 1 1 a:u64 b:hex c:u64", "g 1 1 a:u64 b:hex c:u64"]);
    check_event(
        "fields_like = \"nothing\"",
        &expect![[
            r#"mine.toml:3: event "e": `fields_like = "nothing"` needs an event of that name above this one"#
        ]],
    );
}

#[test]
fn unknown_keys_are_refused_with_their_line() {
    let text = "category = \"mine\"\n[[event]]\ncolour = \"red\"\n";
    let message = EventTable::from_toml("mine.toml", text)
        .unwrap_err()
        .to_string();
    assert!(
        message.starts_with("mine.toml: TOML parse error at line 3, column 1"),
        "{message}"
    );
    assert!(message.contains("unknown field `colour`"), "{message}");
}

#[test]
fn fields_are_checked() {
    let field = |text: &str| format!("fields = [{{ {text} }}]");
    check_event(
        &field("name = \"x\", type = \"u16\", doc = \"d\", fetch = \"1\""),
        &expect![[
            r#"mine.toml:3: event "e": field "x" has the unknown type "u16": one of u64, i64, hex, bool, tid, pid, cpu, string, bytes, enum:NAME"#
        ]],
    );
    check_event(
        &field("name = \"x\", type = \"enum:colour\", doc = \"d\", fetch = \"1\""),
        &expect![[
            r#"mine.toml:3: event "e": field "x" refers to the unknown enumeration "colour""#
        ]],
    );
    check_event(
        &field("name = \"x\", type = \"u64\", fetch = \"1\""),
        &expect![[r#"mine.toml:3: event "e": no sentence (doc) for field "x""#]],
    );
    check_event(
        &field("name = \"x\", type = \"u64\", doc = \"d\""),
        &expect![[r#"mine.toml:3: event "e": "x" has no expression, and site 0 sets none"#]],
    );
    let many: Vec<_> = (0..33)
        .map(|i| format!("{{ name = \"f{i}\", type = \"u64\", doc = \"d\", fetch = \"1\" }}"))
        .collect();
    check_event(
        &format!("fields = [{}]", many.join(",")),
        &expect![[r#"mine.toml:3: event "e": 33 fields, at most 32 are possible"#]],
    );
}

#[test]
fn enumerations_are_checked() {
    check(
        "[[enum]]\nname = \"c\"\nvalues = { 0 = \"a\", 0x10 = \"b\" }",
        &expect!["accepted"],
    );
    check(
        "[[enum]]\nname = \"c\"\nvalues = { red = \"a\" }",
        &expect![[r#"mine.toml:3: enum "c": "red" is not a number"#]],
    );
    check(
        "[[enum]]\nname = \"c\"\nsource = \"errno\"",
        &expect![[r#"mine.toml:3: enum "c": "errno" is none of syscalls:x64, syscalls:ia32"#]],
    );
    check(
        "[[enum]]\nname = \"c\"",
        &expect![[r#"mine.toml:3: enum "c": either values or a source, and not both"#]],
    );
    let twice = "[[enum]]\nname = \"c\"\nvalues = { 0 = \"a\" }\n";
    check(
        &format!("{twice}{twice}"),
        &expect![[r#"mine.toml:6: enum "c": the name is taken by another enumeration"#]],
    );
}
