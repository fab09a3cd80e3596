//! Event files damaged by chance: an error that says where, or a table, never a panic.

use guesttrace_events::EventTable;
use guesttrace_tests::fuzz_usually;

#[test]
fn fuzz_event_files() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("linux");
    let mut files: Vec<_> = { std::fs::read_dir(dir).expect("the table's files") }
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    let texts: Vec<Vec<u8>> = { files.iter() }
        .map(|path| std::fs::read_to_string(path).expect("a readable file"))
        // Some lean on the rows of others.
        .filter(|text| EventTable::from_toml("alone.toml", text).is_ok())
        .map(String::into_bytes)
        .collect();
    assert!(texts.len() > 5, "{} files read alone", texts.len());
    let mut outcomes = [0, 0];
    fuzz_usually(600, |chance| {
        let mut bytes = chance.pick(&texts).clone();
        chance.damage(&mut bytes);
        let text = String::from_utf8_lossy(&bytes);
        let table = EventTable::from_toml("damaged.toml", &text);
        outcomes[usize::from(table.is_ok())] += 1;
        match table {
            Ok(table) => assert!(table.events().len() <= text.lines().count()),
            Err(error) => assert!(error.to_string().contains("damaged.toml"), "{error}"),
        }
        // And beside the table that is there already.
        let mut whole = EventTable::builtin();
        let count = whole.events().len();
        if whole.add("damaged.toml", &text).is_err() {
            assert!(whole.events().len() >= count);
        }
    });
    assert!(outcomes[0] > 20 && outcomes[1] > 20, "{outcomes:?}");
}
