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
fn sections_are_put_together_and_guards_taken_off() {
    let (_, json) = map();
    let text = String::from_utf8(json).unwrap();
    let section = |line: u32, column: u32, map: &str| {
        format!(r#"{{"offset":{{"line":{line},"column":{column}}},"map":{map}}}"#)
    };
    let other = text.replace("src/app.js", "src/other.js");
    let whole = |sections: &[String]| format!(r#"{{"version":3,"sections":[{}]}}"#, sections.join(","));
    let sections = whole(&[section(2, 100, &text), section(3, 0, &other), section(5, 0, &text)]);
    let read = Map::read(sections.as_bytes(), None).unwrap();
    assert_eq!(read.sources.len(), 2, "what two sections share is there once: {:?}", read.sources);
    let index = read.into_index();
    let place = index.lookup(2, 124).unwrap();
    assert_eq!((place.line, place.path, place.name), (1, "webpack://shop/./src/app.js", Some("first")));
    assert_eq!(index.lookup(2, 24), None, "before the first column of the section");
    assert_eq!(
        index.lookup(3, 24).map(|place| (place.line, place.path)),
        Some((1, "webpack://shop/./src/other.js"))
    );
    assert_eq!(index.lookup(5, 24).map(|place| place.path), Some("webpack://shop/./src/app.js"));
    // Offsets beyond what a place can be.
    let second_line = r#"{"version":3,"sources":["a"],"mappings":";AAAA"}"#;
    for beyond in [section(0, u32::MAX, &text), section(u32::MAX, 0, second_line)] {
        assert_eq!(Map::read(whole(&[beyond]).as_bytes(), None).map(|_| ()), Err(MapError::Broken));
    }
    let guarded = format!(")]}}'\n{text}");
    assert!(Map::read(guarded.as_bytes(), None).is_ok());
}

/// A map of Metro: `render` from the first line on, `save` from the third on, places without names.
fn metro(further: &str) -> String {
    format!(
        r#"{{"version":3,"sources":["src/App.js","src/other.js"],"sourcesContent":["a\nb\nc\nd\n",null],"names":["x"],
        "mappings":"AAAA,IACA,IACAA,ICCA","x_facebook_sources":[[{{"names":["<global>","App#render","save"],
        "mappings":"AAA;ACC;ACE"}}],null]{further}}}"#
    )
}

#[test]
fn the_functions_that_a_map_of_react_native_names_are_those_of_its_places() {
    let index = Map::read(metro("").as_bytes(), Some(b"function x(){}")).unwrap().into_index();
    let index = Index::from_bytes(&index.to_bytes()).unwrap();
    assert!(index.is_scoped());
    let at = |column: u32| {
        index
            .lookup(0, column)
            .map(|place| (place.path.to_owned(), place.line, place.name.map(str::to_owned)))
    };
    let own = |line: u32, name: &str| Some(("src/App.js".to_owned(), line, Some(name.to_owned())));
    assert_eq!(at(0), own(0, "<global>"));
    assert_eq!(at(4), own(1, "App#render"));
    assert_eq!(at(9), own(2, "App#render"));
    assert_eq!(at(12), Some(("src/other.js".to_owned(), 3, None)), "nothing is known of its functions");
    assert_eq!(index.function(0, 9, "x"), None, "the script is not searched");
    // In sections as well; beside a plain map the names are those of places.
    let section = |line: u32, map: &str| format!(r#"{{"offset":{{"line":{line},"column":0}},"map":{map}}}"#);
    let whole = |one: &str, other: &str| {
        let text = format!(r#"{{"version":3,"sections":[{},{}]}}"#, section(0, one), section(1, other));
        Map::read(text.as_bytes(), None).unwrap().into_index()
    };
    let both = whole(&metro(""), &metro(""));
    assert_eq!((both.is_scoped(), both.lookup(1, 4).unwrap().name), (true, Some("App#render")));
    let plain = String::from_utf8(map().1).unwrap();
    let mixed = whole(&metro(""), &plain);
    assert_eq!((mixed.is_scoped(), mixed.lookup(0, 8).unwrap().name), (false, Some("x")));
    assert_eq!(mixed.lookup(1, 24).unwrap().name, Some("first"));
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
    let scopes = |mappings: &str| metro("").replace("AAA;ACC;ACE", mappings);
    assert_eq!(read(&scopes(&"A,".repeat(MAP_SCOPES_MAX + 1))), MapError::TooLarge);
    // Scopes that make no sense name no function, and cost the map nothing else.
    for odd in ["", "!", ";;;", "AAAAAAAAAAAAAAAAAAAAAA", "D", "ADDDDDDD"] {
        assert!(Map::read(scopes(odd).as_bytes(), None).is_ok(), "{odd}");
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

#[test]
fn values_are_counted_without_decoding_and_bounded_wherever_they_stand() {
    for (json, many) in [
        ("{}", 1),
        (r#"{"a":1,"b":[1,2,3]}"#, 4),
        (r#"{"mappings":"AAAA,CAAC;,","a\"b,":[0,0]}"#, 3),
        (r#"{"a":"\\",b:"\\\",",c"#, 3),
        (r#"{"a":"never ended, it goes on"#, 1),
    ] {
        assert_eq!(values(json.as_bytes()), many, "{json}");
    }
    let many = vec!["0"; MAP_VALUES_MAX + 1].join(",");
    let members = [
        "names",
        "sources",
        "sourcesContent",
        "file",
        "sections",
        "ignoreList",
        "x_facebook_offsets",
        "unknown",
    ];
    for member in members {
        let json = format!(r#"{{"version":3,"mappings":"AAAA","{member}":[{many}]}}"#);
        assert_eq!(Map::read(json.as_bytes(), None).err(), Some(MapError::TooLarge), "{member}");
    }
}

#[test]
fn the_root_of_the_sources_is_not_multiplied_without_bound() {
    let json = |root: usize, sources: usize| {
        let (root, sources) = ("r".repeat(root), vec!["\"\""; sources].join(","));
        format!(r#"{{"version":3,"sourceRoot":"{root}","names":[],"mappings":"AAAA","sources":[{sources}]}}"#)
    };
    assert_eq!(Map::read(json(1 << 20, 400).as_bytes(), None).err(), Some(MapError::TooLarge));
    assert!(Map::read(json(100, 400).as_bytes(), None).is_ok());
}
