//! One frame: what it was in the minified script, and what it is in the source.

use crate::source_maps::Lines;
use actifix_protocol::sourcemap::Place;
use serde_json::{Map, Value, json};

/// Lines of code on either side.
const CONTEXT_LINES: usize = 5;
/// Longest line of code, characters.
const LINE_CHARS_MAX: usize = 300;
/// What the frame was, in the event.
pub(super) const MINIFIED: &str = "minified";
/// Members of a frame that tell of the minified script.
const OWN_MEMBERS: [&str; 6] = ["function", "filename", "abs_path", "module", "lineno", "colno"];

/// `new a`, `async Object.a`, `t.a [as b]`: the name itself.
pub(super) fn bare_name(function: &str) -> &str {
    let name = function.split(" [as ").next().unwrap_or(function);
    let name = name.rsplit([' ', '.']).next().unwrap_or(name);
    name.trim_end_matches("()")
}

/// The frame as it was written; what it was goes below [`MINIFIED`].
pub(super) fn rewrite(
    frame: &mut Map<String, Value>,
    place: &Place<'_>,
    function: Option<String>,
    lines: Option<&Lines>,
) {
    let mut minified = Map::new();
    for member in OWN_MEMBERS {
        if let Some(value) = frame.get(member) {
            minified.insert(member.to_owned(), value.clone());
        }
    }
    // A name of the minified script's file says nothing about the source, nor does whose code the SDK took it for.
    for member in ["module", "in_app", "context_line", "pre_context", "post_context"] {
        frame.remove(member);
    }
    let mut put = |name: &str, value: Value| drop(frame.insert(name.to_owned(), value));
    if let Some(function) = function {
        put("function", json!(function));
    }
    put("filename", json!(short_path(place.path)));
    put("abs_path", json!(place.path));
    put("lineno", json!(place.line.saturating_add(1)));
    put("colno", json!(place.column.saturating_add(1)));
    if is_of_bundler(place.path) {
        put("in_app", json!(false));
    }
    if let Some((before, hit, after)) = lines.and_then(|lines| context(lines, place.line)) {
        put("pre_context", json!(before));
        put("context_line", json!(hit));
        put("post_context", json!(after));
    }
    put(MINIFIED, Value::Object(minified));
}

/// The lines around a line.
fn context(lines: &Lines, line: u32) -> Option<(Vec<String>, String, Vec<String>)> {
    let line = usize::try_from(line).ok()?;
    let cut =
        |number: usize| lines.get(number).map(|text| text.chars().take(LINE_CHARS_MAX).collect::<String>());
    let hit = cut(line)?;
    let before = (line.saturating_sub(CONTEXT_LINES)..line).filter_map(cut).collect();
    let after = (line + 1..=line + CONTEXT_LINES).filter_map(cut).collect();
    Some((before, hit, after))
}

/// `webpack://shop/./src/app.js?a1b2` as `src/app.js`.
fn short_path(path: &str) -> &str {
    let path = match path.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or(rest, |(_, rest)| rest),
        None => path,
    };
    let mut path = path.split('?').next().unwrap_or(path);
    while let Some(rest) = ["./", "../", "~/", "/"].iter().find_map(|start| path.strip_prefix(start)) {
        path = rest;
    }
    path
}

/// What a bundler adds to a build.
fn is_of_bundler(path: &str) -> bool {
    ["webpack/bootstrap", "webpack/runtime/", "(webpack)", "vite/preload-helper", "commonjsHelpers"]
        .iter()
        .any(|part| path.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_names_are_shown_short() {
        for (path, short) in [
            ("webpack://shop/./src/app.js?a1b2", "src/app.js"),
            ("webpack:///src/app.js", "src/app.js"),
            ("../../src/app.ts", "src/app.ts"),
            ("src/app.js", "src/app.js"),
            ("webpack://shop/../node_modules/react/index.js", "node_modules/react/index.js"),
            ("https://shop.example/static/app.js", "static/app.js"),
        ] {
            assert_eq!(short_path(path), short);
        }
        for (function, name) in
            [("a", "a"), ("new a", "a"), ("Object.a [as b]", "a"), ("async t.a", "a"), ("a()", "a")]
        {
            assert_eq!(bare_name(function), name);
        }
    }

    #[test]
    fn lines_around_a_line_are_bounded_by_the_text() {
        let text = &Lines::new("0\n1\n2\n3\n4\n5\n6\n7".to_owned());
        assert_eq!(context(text, 0).unwrap().0, Vec::<String>::new());
        let (before, hit, after) = context(text, 6).unwrap();
        assert_eq!(
            (before.join(""), hit.as_str(), after.join("")),
            ("12345".to_owned(), "6", "7".to_owned())
        );
        assert!(context(text, 8).is_none());
        assert_eq!(context(&Lines::new("x".repeat(9_000)), 0).unwrap().1.len(), LINE_CHARS_MAX);
    }
}
