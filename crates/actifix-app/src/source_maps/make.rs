//! A bundle of artifacts becomes maps that may be kept: redacted.

use crate::ports::NewSourceMap;
use actifix_domain::debug_id::DebugId;
use actifix_protocol::artifacts::{
    Artifact, ArtifactKind, Bundle, BundleError, MapReference, inline_map, map_url,
};
use actifix_protocol::json::clean;
use actifix_protocol::sourcemap::{Map, MapError, Source};
use actifix_secrets::{Engine, Settings};
use serde_json::{Value, json};
use std::collections::HashMap;

/// The text of one source, bytes; of a larger one only the places are kept.
const SOURCE_BYTES_MAX: usize = 4 << 20;
/// The index of one map, bytes: what one row of the store may hold.
const INDEX_BYTES_MAX: usize = 15 << 20;
/// Scripts of one map that are told apart by where they are served.
const SCRIPTS_MAX: usize = 20;
/// How a key on several lines begins.
const ARMOUR: &str = "-----BEGIN";

/// Why no maps came of a bundle.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    /// The bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// One of its maps.
    #[error(transparent)]
    Map(#[from] MapError),
    /// Nothing to keep.
    #[error(
        "the bundle holds no source map: let the build write them (.map files), run `sentry-cli sourcemaps inject` and \
         upload the folder again"
    )]
    NoMaps,
    /// Nothing would be found again.
    #[error(
        "no source map of the bundle has a debug id, and the upload names no release: run `sentry-cli sourcemaps inject` \
         before the upload, or give --release"
    )]
    Nameless,
}

/// A map of a bundle with what belongs to it.
#[derive(Debug)]
pub(super) struct Planned {
    /// Its file; none where it stands in its script.
    map: Option<Artifact>,
    /// Where it is served.
    url: String,
    /// Its own debug id, else that of its script.
    pub(super) debug_id: Option<DebugId>,
    script: Option<Artifact>,
    urls: Vec<String>,
}

/// Which maps a bundle holds, and which scripts are theirs.
pub(super) fn plan(bundle: &mut Bundle<'_>, has_release: bool) -> Result<Vec<Planned>, Unusable> {
    let files = std::mem::take(&mut bundle.files);
    let mut planned: Vec<Planned> = files
        .iter()
        .filter(|file| file.kind == ArtifactKind::Map)
        .map(|map| Planned {
            map: Some(map.clone()),
            url: map.url.clone(),
            debug_id: map.debug_id,
            script: None,
            urls: Vec::new(),
        })
        .collect();
    let mut by_id = HashMap::new();
    let mut by_url = HashMap::new();
    for (place, one) in planned.iter().enumerate() {
        one.debug_id.map(|id| by_id.entry(id).or_insert(place));
        by_url.entry(one.url.clone()).or_insert(place);
    }
    for script in files.into_iter().filter(|file| file.kind == ArtifactKind::Script) {
        let mut place = script.debug_id.and_then(|id| by_id.get(&id)).copied();
        if place.is_none() {
            let reference = match &script.map_reference {
                Some(reference) => Some(reference.clone()),
                None => MapReference::in_script(&bundle.read(&script)?),
            };
            place = match reference {
                Some(MapReference::At(address)) => by_url.get(&map_url(&script.url, &address)).copied(),
                Some(MapReference::Inline) => {
                    planned.push(Planned {
                        map: None,
                        url: script.url.clone(),
                        debug_id: script.debug_id,
                        script: None,
                        urls: Vec::new(),
                    });
                    Some(planned.len() - 1)
                }
                None => None,
            };
        }
        let Some(owner) = place.and_then(|place| planned.get_mut(place)) else { continue };
        owner.debug_id = owner.debug_id.or(script.debug_id);
        if owner.urls.len() < SCRIPTS_MAX {
            owner.urls.push(script.url.clone());
        }
        owner.script.get_or_insert(script);
    }
    if planned.is_empty() {
        return Err(Unusable::NoMaps);
    }
    if !has_release && planned.iter().all(|one| one.debug_id.is_none()) {
        return Err(Unusable::Nameless);
    }
    Ok(planned)
}

/// Reads and redacts one map.
pub(super) fn make(
    bundle: &mut Bundle<'_>,
    planned: &Planned,
    engine: &Engine,
    settings: &Settings,
) -> Result<NewSourceMap, Unusable> {
    let script = planned.script.as_ref().map(|script| bundle.read(script)).transpose()?;
    let mut map = {
        let json = match &planned.map {
            Some(file) => bundle.read(file)?,
            None => inline_map(script.as_deref().unwrap_or_default())?,
        };
        Map::read(&json, script.as_deref())?
    };
    drop(script);
    let mut texts = Vec::new();
    for (number, source) in (0u32..).zip(&mut map.sources) {
        if let Some(text) = kept_text(source, engine, settings) {
            texts.push((number, text));
        }
    }
    let paths: Vec<String> = map.sources.iter().map(|source| source.path.clone()).collect();
    let paths = redact_lines(engine, settings, paths.iter().map(String::as_str));
    for (number, source) in map.sources.iter_mut().enumerate() {
        source.path = paths.as_ref().and_then(|paths| paths.get(number)).cloned().unwrap_or_default();
    }
    // Without its names a map still has its places.
    map.names = redact_lines(engine, settings, map.names.iter().map(String::as_str)).unwrap_or_default();
    forget_secret_functions(&mut map, engine, settings);
    let index = map.into_index().to_bytes();
    if index.len() > INDEX_BYTES_MAX {
        return Err(MapError::TooLarge.into());
    }
    let redacted = |url: &str| engine.redact_text(&clean(url), settings).0;
    Ok(NewSourceMap {
        debug_id: planned.debug_id,
        url: redacted(&planned.url),
        scripts: planned.urls.iter().map(|url| redacted(url)).collect(),
        index,
        sources: texts,
    })
}

/// Functions that are called like a secret in the script: what they are called is kept, as frames are found by it.
fn forget_secret_functions(map: &mut Map, engine: &Engine, settings: &Settings) {
    let names = map.minified_functions();
    let redacted = redact_lines(engine, settings, names.iter().map(String::as_str)).unwrap_or_default();
    let changed = |place: usize, name: &String| redacted.get(place) != Some(name);
    let secret = names.iter().enumerate().filter(|(place, name)| changed(*place, name));
    map.forget_functions(&secret.map(|(_, name)| name.clone()).collect());
}

/// The text of a source as it may be kept; none where it brings none, or too much, or cannot be redacted.
fn kept_text(source: &mut Source, engine: &Engine, settings: &Settings) -> Option<String> {
    let text = source.content.take().filter(|text| text.len() <= SOURCE_BYTES_MAX)?;
    redact_source(engine, settings, &text)
}

/// Redacts source code without moving a line of it: frames point to lines.
fn redact_source(engine: &Engine, settings: &Settings, text: &str) -> Option<String> {
    let text = blank_armour(engine, &clean(text));
    let lines = redact_lines(engine, settings, text.split('\n'))?;
    Some(lines.join("\n"))
}

/// Redacts lines of code, as many as there were; what is found secret in one goes from the others as well.
fn redact_lines<'a>(
    engine: &Engine,
    settings: &Settings,
    lines: impl Iterator<Item = &'a str>,
) -> Option<Vec<String>> {
    let lines: Vec<Value> = lines.map(|line| Value::String(clean(line).into_owned())).collect();
    let many = lines.len();
    // As the lines around a frame come in an event: what is secret there is secret here.
    let mut value = json!({ "pre_context": lines });
    let mut session = engine.session(settings);
    session.value("source_map", &mut value).ok()?;
    session.echo_value(&mut value);
    let Some(Value::Array(lines)) = value.get_mut("pre_context").map(Value::take) else { return None };
    let lines: Vec<String> = lines
        .into_iter()
        .map(|line| match line {
            // A replacement never has a line break; if one had, later lines would move.
            Value::String(text) => text.replace('\n', " "),
            _ => String::new(),
        })
        .collect();
    (lines.len() == many).then_some(lines)
}

/// Takes out secrets that go over several lines, which no line shows alone, and keeps the lines.
fn blank_armour(engine: &Engine, text: &str) -> String {
    if !text.contains(ARMOUR) {
        return text.to_owned();
    }
    let (mut out, mut end) = (String::with_capacity(text.len()), 0);
    for found in engine.candidates(text.as_bytes()) {
        let Some(secret) = text.get(found.span.clone()).filter(|secret| secret.contains('\n')) else {
            continue;
        };
        if found.span.start < end {
            continue;
        }
        out.push_str(text.get(end..found.span.start).unwrap_or_default());
        out.push_str("[redacted:");
        out.push_str(&found.rule);
        out.push(']');
        out.extend(secret.matches('\n'));
        end = found.span.end;
    }
    out.push_str(text.get(end..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> String {
        format!("ghp_{}", "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8")
    }

    #[test]
    fn no_line_moves_whatever_is_taken_out() {
        let engine = Engine::builtin();
        let kind = "PRIVATE KEY";
        let body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n".repeat(6);
        let text = format!(
            "first\nconst key = `-----BEGIN {kind}-----\n{body}-----END {kind}-----`;\nconst t = \"{}\";\nlast",
            token()
        );
        let out = redact_source(&engine, &Settings::default(), &text).unwrap();
        assert_eq!(out.lines().count(), text.lines().count());
        assert_eq!((out.lines().next(), out.lines().last()), (Some("first"), Some("last")));
        assert!(!out.contains("MIIEvQ") && !out.contains("ghp_"), "{out}");
        let plain = "function add(first, second) {\n\treturn first + second;\n}\n";
        assert_eq!(redact_source(&engine, &Settings::default(), plain).unwrap(), plain);
    }

    #[test]
    fn a_function_that_is_called_like_a_secret_is_forgotten() {
        let json = r#"{"version":3,"sources":["a.js"],"names":["priceOf"],"mappings":"SAAAA"}"#;
        let kept = |name: &str| {
            let script = format!("function {name}(a){{}}");
            let mut map = Map::read(json.as_bytes(), Some(script.as_bytes())).unwrap();
            forget_secret_functions(&mut map, &Engine::builtin(), &Settings::default());
            String::from_utf8(map.into_index().to_bytes()).unwrap()
        };
        assert!(kept("bX").contains(r#""m":"bX""#), "{}", kept("bX"));
        assert!(!kept(&token()).contains("ghp_"), "{}", kept(&token()));
    }
}
