//! The key of a recording changes exactly when an input does; the cache gives back what was put.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use guesttrace_ci::{Cache, Digests, Recipe, Word, key};
use proptest::prelude::*;

/// Inputs of a recording: programs, words, files.
type Inputs = (Vec<String>, Vec<String>, Vec<Vec<u8>>);

fn key_of(inputs: &Inputs) -> String {
    let dir = tempfile::tempdir().unwrap();
    let (identity, texts, files) = inputs;
    let mut recipe = Recipe::default();
    recipe.words.extend(texts.iter().cloned().map(Word::Text));
    for (index, bytes) in files.iter().enumerate() {
        let path = dir.path().join(format!("input-{index}"));
        fs::write(&path, bytes).unwrap();
        recipe.words.push(Word::File(path));
    }
    key(&recipe, identity, dir.path(), &mut Digests::default()).unwrap()
}

fn inputs() -> impl Strategy<Value = Inputs> {
    let texts = || prop::collection::vec("[a-z-]{0,3}", 0..4);
    let file = prop::collection::vec(any::<u8>(), 0..4);
    (texts(), texts(), prop::collection::vec(file, 0..3))
}

proptest! {
    #[test]
    fn keys_are_equal_exactly_when_inputs_are(a in inputs(), b in inputs()) {
        // Each directory is another: where files lie and what they are called is no input.
        prop_assert_eq!(key_of(&a), key_of(&a));
        prop_assert_eq!(key_of(&a) == key_of(&b), a == b);
    }
}

#[test]
fn files_that_options_name_are_inputs() {
    let dir = tempfile::tempdir().unwrap();
    let of = |text: &str| {
        let recipe = Recipe {
            words: vec![Word::Text(text.to_owned())],
        };
        key(&recipe, &[], dir.path(), &mut Digests::default()).unwrap()
    };
    let before = of("core,mine.toml");
    fs::write(dir.path().join("mine.toml"), "one").unwrap();
    let one = of("core,mine.toml");
    fs::write(dir.path().join("mine.toml"), "two").unwrap();
    let two = of("core,mine.toml");
    assert!(before != one && one != two && before != two);
    fs::create_dir_all(dir.path().join("modules/net")).unwrap();
    let empty = of("modules");
    fs::write(dir.path().join("modules/net/e1000.ko"), "bytes").unwrap();
    assert_ne!(of("modules"), empty);
    let missing = Recipe {
        words: vec![Word::File(dir.path().join("nosuch"))],
    };
    let error = key(&missing, &[], dir.path(), &mut Digests::default()).unwrap_err();
    assert!(error.to_string().starts_with("cannot read "), "{error}");
}

fn recording(dir: &Path, trace: &[u8]) {
    fs::create_dir_all(dir).unwrap();
    fs::write(dir.join("trace.bin"), trace).unwrap();
    fs::write(dir.join("console.txt"), "said").unwrap();
    fs::write(dir.join("record.txt"), "").unwrap();
}

#[test]
fn what_was_put_is_there_until_there_is_no_room() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::open(&dir.path().join("cache"), 30_000).unwrap();
    let take = |key: &str, identical| {
        let to = tempfile::tempdir().unwrap();
        let entry = cache.take(key, identical, to.path());
        let trace = fs::read(to.path().join("trace.bin")).unwrap_or_default();
        entry.map(|entry| (entry, trace))
    };
    assert_eq!(take("a", 1), None);
    for (index, name) in ["a", "b", "c"].into_iter().enumerate() {
        let from = dir.path().join(name);
        recording(&from, &[1; 10_000]);
        cache
            .put(name, 1, Duration::from_secs(2), 5, &from)
            .unwrap();
        let used = SystemTime::now() - Duration::from_secs(100 - index as u64);
        let entry = fs::File::open(dir.path().join("cache").join(name).join("entry.json"));
        entry.unwrap().set_modified(used).unwrap();
    }
    let (entry, trace) = take("a", 5).unwrap();
    assert_eq!((entry.status, entry.wall_ms, entry.identical), (1, 2000, 5));
    assert_eq!(trace, [1; 10_000]);
    assert_eq!(
        take("a", 6),
        None,
        "more recordings are wanted than were made"
    );
    // `a` was used just now, so that `b` is the first to go.
    cache.shrink().unwrap();
    assert!(take("b", 1).is_none() && take("a", 1).is_some() && take("c", 1).is_some());
}

#[test]
fn an_entry_that_was_changed_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::open(&dir.path().join("cache"), u64::MAX).unwrap();
    let from = dir.path().join("from");
    recording(&from, b"events");
    cache.put("a", 0, Duration::ZERO, 1, &from).unwrap();
    let trace = dir.path().join("cache/a/trace.bin");
    for bytes in [&b"others"[..], b"event", b""] {
        fs::write(&trace, bytes).unwrap();
        let to = tempfile::tempdir().unwrap();
        assert_eq!(cache.take("a", 1, to.path()), None);
    }
    fs::remove_file(&trace).unwrap();
    let to = tempfile::tempdir().unwrap();
    assert_eq!(cache.take("a", 1, to.path()), None);
    // And is replaced.
    recording(&from, b"events");
    cache.put("a", 0, Duration::ZERO, 1, &from).unwrap();
    assert!(
        cache.take("a", 1, &dir.path().join("from2")).is_none(),
        "no such directory"
    );
    fs::create_dir(dir.path().join("from2")).unwrap();
    assert!(cache.take("a", 1, &dir.path().join("from2")).is_some());
}
