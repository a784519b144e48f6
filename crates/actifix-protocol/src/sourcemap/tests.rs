//! Maps of scripts that were minified by hand.

use super::*;
use sourcemap::SourceMapBuilder;

/// `function add(first,second){return first+second}` as `function a(b,c){return b+c}`, with a caller.
fn map() -> (String, Vec<u8>) {
    let script = "function a(b,c){return b+c}var d=(e)=>a(e,1);d(2);".to_owned();
    let mut builder = SourceMapBuilder::new(None);
    for (column, line, source_column, name) in [
        (0, 0, 0, None),
        (9, 0, 9, Some("add")),
        (11, 0, 13, Some("first")),
        (16, 1, 2, None),
        (23, 1, 9, Some("first")),
        (31, 3, 6, Some("twice")),
        (38, 3, 24, Some("add")),
        (45, 4, 0, Some("twice")),
    ] {
        builder.add(0, column, line, source_column, Some("webpack://shop/./src/app.js"), name, false);
    }
    let id = builder.add_source("webpack://shop/./src/app.js");
    builder.set_source_contents(id, Some("function add(first, second) {\n  return first + second;\n}\n"));
    let mut json = Vec::new();
    builder.into_sourcemap().to_writer(&mut json).unwrap();
    (script, json)
}

#[test]
fn places_and_functions_are_found_again_also_after_they_were_stored() {
    let (script, json) = map();
    let read = Map::read(&json, Some(script.as_bytes())).unwrap();
    assert_eq!(read.sources[0].content.as_deref().unwrap().lines().count(), 3);
    let stored = read.into_index().to_bytes();
    let index = Index::from_bytes(&stored).unwrap();
    let place = index.lookup(0, 24).unwrap();
    assert_eq!((place.line, place.column, place.name), (1, 9, Some("first")));
    assert_eq!(place.path, "webpack://shop/./src/app.js");
    assert_eq!(index.lookup(0, 22).map(|place| (place.line, place.column)), Some((1, 2)));
    assert_eq!(index.lookup(0, 9_999).map(|place| place.line), Some(4));
    assert_eq!(index.lookup(1, 0), None, "a line that the map does not know");
    assert_eq!(index.function(0, 24, "a"), Some("add"));
    assert_eq!(index.function(0, 38, "d"), Some("twice"));
    assert_eq!(index.function(0, 24, "d"), None, "defined later");
    assert!(!String::from_utf8_lossy(&stored).contains("return first"), "no text of a source");
}

#[test]
fn many_places_are_all_found() {
    let mut builder = SourceMapBuilder::new(None);
    for number in 0..10_000u32 {
        let (line, column) = (number / 700, number % 700 * 3);
        builder.add(
            line,
            column,
            number / 7,
            number % 7,
            Some(if number % 2 == 0 { "a" } else { "b" }),
            None,
            false,
        );
    }
    let mut json = Vec::new();
    builder.into_sourcemap().to_writer(&mut json).unwrap();
    let index = Map::read(&json, None).unwrap().into_index();
    for number in 0..10_000u32 {
        let place = index.lookup(number / 700, number % 700 * 3 + 2).unwrap();
        assert_eq!((place.line, place.column), (number / 7, number % 7), "{number}");
        assert_eq!(place.path, if number % 2 == 0 { "a" } else { "b" });
    }
}

#[test]
fn index_maps_are_flattened_and_guards_taken_off() {
    let (_, json) = map();
    let text = String::from_utf8(json).unwrap();
    let sections =
        format!(r#"{{"version":3,"sections":[{{"offset":{{"line":2,"column":0}},"map":{text}}}]}}"#);
    let index = Map::read(sections.as_bytes(), None).unwrap().into_index();
    assert_eq!(index.lookup(2, 24).map(|place| place.line), Some(1));
    let guarded = format!(")]}}'\n{text}");
    assert!(Map::read(guarded.as_bytes(), None).is_ok());
}

#[test]
fn broken_and_huge_maps_are_errors() {
    let read = |text: &str| Map::read(text.as_bytes(), None).map(|_| ()).unwrap_err();
    for broken in [
        "",
        "{",
        "[]",
        r#"{"version":3,"sources":["a"],"mappings":"AAAA,!!!!"}"#,
        r#"{"version":3,"sources":["a"],"mappings":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#,
        r#"{"version":3,"sources":[],"mappings":"ACAA"}"#,
        r#"{"version":3,"sources":["a"],"mappings":"DDDD"}"#,
        r#"{"version":3,"sections":[{"offset":{"line":0,"column":0},"url":"http://x.example/a.map"}]}"#,
        r#"{"version":3,"sections":[{"offset":{"line":0,"column":0},"map":{"version":3,"sections":[]}}]}"#,
    ] {
        assert_eq!(read(broken), MapError::Broken, "{broken}");
    }
    let deep = format!("{}{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    assert_eq!(read(&deep), MapError::Broken);
    let huge = format!(r#"{{"version":3,"sources":["a"],"mappings":"{}"}}"#, "A,".repeat(MAP_TOKENS_MAX + 1));
    assert_eq!(read(&huge), MapError::TooLarge);
    let names = vec!["\"n\""; MAP_NAMES_MAX + 1].join(",");
    assert_eq!(
        read(&format!(r#"{{"version":3,"sources":["a"],"names":[{names}],"mappings":"AAAA"}}"#)),
        MapError::TooLarge
    );
}

#[test]
fn stored_bytes_that_changed_are_no_index_and_no_panic() {
    let (script, json) = map();
    let stored = Map::read(&json, Some(script.as_bytes())).unwrap().into_index().to_bytes();
    assert!(Index::from_bytes(b"{}").is_none());
    for at in 0..stored.len() {
        let mut changed = stored.clone();
        changed[at] = changed[at].wrapping_add(1);
        if let Some(index) = Index::from_bytes(&changed) {
            let _found = index.lookup(0, 24);
            let _found = index.function(0, 24, "a");
        }
    }
}
