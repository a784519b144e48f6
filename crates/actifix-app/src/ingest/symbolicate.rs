//! Frames of minified scripts become frames of their sources, before anything is redacted or grouped.
//!
//! An event names the maps of its scripts by debug id (`debug_meta.images`), or by its release and the address of each
//! script. Where a map is known the frame is rewritten, and what it was stays beside it; where it is missing that is
//! said. What comes from the sender is bounded: maps looked for, frames looked at.

use super::decode::{RawItem, Shape};
use crate::app::App;
use crate::error::Result;
use crate::ports::MapKey;
use crate::recall::Recalled;
use crate::source_maps::DIST_CHARS_MAX;
use actifix_domain::debug_id::DebugId;
use actifix_domain::project::Project;
use actifix_domain::release::RELEASE_CHARS_MAX;
use actifix_domain::words::many;
use actifix_protocol::sourcemap::{Index, Place};
use serde_json::{Map, Value, json};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use tokio::runtime::Handle;

/// Frames of one event that are looked at, from the one that failed.
const FRAMES_MAX: usize = 500;
/// Scripts of one event whose maps are looked for.
const SCRIPTS_MAX: usize = 20;
/// Images of one event that are looked at.
const IMAGES_MAX: usize = 2_000;
/// Notes about maps that are missing.
const NOTES_MAX: usize = 3;
/// Lines of code on either side.
const CONTEXT_LINES: usize = 5;
/// Text of sources that one event may have looked through, and indices of maps that it may hold, bytes: usual stacks
/// take some MiB.
const SOURCE_BYTES_MAX: usize = 64 << 20;
const INDEX_BYTES_MAX: usize = 64 << 20;
/// Longest line of code, characters.
const LINE_CHARS_MAX: usize = 300;
/// What the frame was, in the event.
const MINIFIED: &str = "minified";
/// Members of a frame that tell of the minified script.
const OWN_MEMBERS: [&str; 6] = ["function", "filename", "abs_path", "module", "lineno", "colno"];

/// A map, and how to get at its sources.
type Found = Option<(u64, Arc<Index>)>;

/// One event that is looked at.
struct Look<'a> {
    app: &'a App,
    project: &'a Project,
    runtime: Handle,
    ids: HashMap<String, DebugId>,
    release: Option<(String, String)>,
    maps: HashMap<MapKey, Found>,
    frames_left: usize,
    source_bytes_left: usize,
    index_bytes_left: usize,
    missing: BTreeSet<DebugId>,
    /// A script whose map has no such place.
    uncovered: bool,
}

impl App {
    /// Shows the frames of scripts as they were written. Blocks for reads of the store; events without scripts cost a
    /// look at their platform and images.
    pub(super) fn symbolicate(&self, project: &Project, items: &mut [RawItem]) {
        for item in items.iter_mut().filter(|item| item.shape == Shape::Event) {
            let Some(event) = item.value.as_object_mut() else { continue };
            let ids = debug_ids(event);
            let release = release_of(event);
            if ids.is_empty() && release.is_none() {
                continue;
            }
            let mut look = Look {
                app: self,
                project,
                runtime: Handle::current(),
                ids,
                release,
                maps: HashMap::new(),
                frames_left: FRAMES_MAX,
                source_bytes_left: SOURCE_BYTES_MAX,
                index_bytes_left: INDEX_BYTES_MAX,
                missing: BTreeSet::new(),
                uncovered: false,
            };
            if look.ids.is_empty() && !look.has_any_map() {
                continue;
            }
            look.event(event);
            item.notes.extend(look.notes());
        }
    }
}

impl Look<'_> {
    fn event(&mut self, event: &mut Map<String, Value>) {
        for member in ["exception", "threads"] {
            let list = match event.get_mut(member) {
                Some(Value::Object(map)) if map.contains_key("values") => map.get_mut("values"),
                other => other,
            };
            match list {
                Some(Value::Array(list)) => list.iter_mut().for_each(|one| self.holder(one)),
                Some(one) => self.holder(one),
                None => {}
            }
        }
        if let Some(stack) = event.get_mut("stacktrace") {
            self.stack(stack);
        }
    }

    /// What has a stack.
    fn holder(&mut self, holder: &mut Value) {
        if let Some(stack) = holder.get_mut("stacktrace") {
            self.stack(stack);
        }
    }

    fn stack(&mut self, stack: &mut Value) {
        let frames = match stack {
            Value::Object(map) => map.get_mut("frames").and_then(Value::as_array_mut),
            other => other.as_array_mut(),
        };
        let Some(frames) = frames else { return };
        // The last frame is the one that failed. Its caller names it where it was called.
        for place in (0..frames.len()).rev() {
            if self.frames_left == 0 {
                return;
            }
            self.frames_left -= 1;
            let called_as = place.checked_sub(1).and_then(|caller| frames.get(caller)).and_then(|frame| {
                let (_, index, line, column) = self.found(frame)?;
                index.lookup(line, column)?.name.map(str::to_owned)
            });
            if let Some(frame) = frames.get_mut(place) {
                self.frame(frame, called_as);
            }
        }
    }

    /// The map of a frame, and its place in the script, from 0.
    fn found(&mut self, frame: &Value) -> Option<(u64, Arc<Index>, u32, u32)> {
        let number = |name: &str| frame.get(name)?.as_u64().and_then(|number| u32::try_from(number).ok());
        let (line, column) = (number("lineno")?.checked_sub(1)?, number("colno")?.checked_sub(1)?);
        let paths =
            ["abs_path", "filename"].map(|name| frame.get(name).and_then(Value::as_str).unwrap_or_default());
        let by_id = paths.iter().find_map(|path| self.ids.get(*path)).copied();
        let key = match (by_id, &self.release) {
            (Some(id), _) => MapKey::DebugId(id),
            (None, Some((release, dist))) => {
                let path = paths.into_iter().find(|path| !path.is_empty())?;
                MapKey::Script { release: release.clone(), dist: dist.clone(), urls: addresses(path)? }
            }
            (None, None) => return None,
        };
        let found = self.map(&key);
        if let (None, Some(id)) = (&found, by_id) {
            self.missing.insert(id);
        }
        found.map(|(map, index)| (map, index, line, column))
    }

    fn frame(&mut self, frame: &mut Value, called_as: Option<String>) {
        let Some((map, index, line, column)) = self.found(frame) else { return };
        let Some(place) = index.lookup(line, column) else {
            self.uncovered = true;
            return;
        };
        let Some(frame) = frame.as_object_mut() else { return };
        let minified = frame.get("function").and_then(Value::as_str).map(bare_name);
        let function = minified
            .and_then(|name| index.function(line, column, name).map(str::to_owned))
            .or_else(|| called_as.filter(|_| minified.is_some()));
        let text = self.source(map, place.source);
        rewrite(frame, &place, function, text.as_deref());
        self.app.source_maps.cache.note_use(map, self.app.now());
    }

    fn has_any_map(&self) -> bool {
        let (cache, id) = (&self.app.source_maps.cache, self.project.id);
        let read = match cache.any.get(&id, self.app.clock.monotonic_micros()) {
            Recalled::Known(any) => return any,
            Recalled::Ask(read) => read,
        };
        // A store that cannot answer costs the event its sources, not the event.
        let Some(usage) = self.asked(self.app.store.map_usage(id)) else { return false };
        cache.any.put(read, id, usage.maps > 0);
        usage.maps > 0
    }

    fn map(&mut self, key: &MapKey) -> Found {
        if let Some(found) = self.maps.get(key) {
            return found.clone();
        }
        if self.maps.len() >= SCRIPTS_MAX {
            return None;
        }
        let found = self.load(key).filter(|(_, index)| index.weight() <= self.index_bytes_left);
        self.index_bytes_left -= found.as_ref().map_or(0, |(_, index)| index.weight());
        self.maps.insert(key.clone(), found.clone());
        found
    }

    fn load(&self, key: &MapKey) -> Found {
        if !self.has_any_map() {
            return None;
        }
        let (app, cache) = (self.app, &self.app.source_maps.cache);
        let asked = (self.project.id, key.clone());
        let number = match cache.found.get(&asked, app.clock.monotonic_micros()) {
            Recalled::Known(number) => number,
            Recalled::Ask(read) => {
                let number = self.asked(app.store.find_source_map(self.project.id, key))?;
                cache.found.put(read, asked, number);
                number
            }
        }?;
        if let Some(index) = cache.map(number) {
            return Some((number, index));
        }
        let index = Arc::new(Index::from_bytes(&self.asked(app.store.source_map(number))??)?);
        cache.put_map(number, &index);
        Some((number, index))
    }

    fn source(&mut self, map: u64, number: u32) -> Option<Arc<str>> {
        let text = self.source_text(map, number).filter(|text| text.len() <= self.source_bytes_left)?;
        self.source_bytes_left -= text.len();
        Some(text)
    }

    fn source_text(&self, map: u64, number: u32) -> Option<Arc<str>> {
        if self.source_bytes_left == 0 {
            return None;
        }
        let cache = &self.app.source_maps.cache;
        if let Some(text) = cache.source(map, number) {
            return Some(text);
        }
        let text: Arc<str> = self.asked(self.app.store.map_source(map, number))??.into();
        cache.put_source(map, number, &text);
        Some(text)
    }

    fn asked<T>(&self, question: impl Future<Output = Result<T>>) -> Option<T> {
        match self.runtime.block_on(question) {
            Ok(answer) => Some(answer),
            Err(error) => {
                tracing::warn!(error = %error, "source maps could not be read");
                None
            }
        }
    }

    fn notes(self) -> Vec<String> {
        let more = self.missing.len().saturating_sub(NOTES_MAX);
        let told = self.missing.iter().take(NOTES_MAX).map(|id| {
            format!("no source map for debug id {id}: upload it with `sentry-cli sourcemaps upload`")
        });
        let mut notes: Vec<String> = told.collect();
        if more > 0 {
            notes.push(format!("no source maps for {}", many(more as u64, "more debug id")));
        }
        if self.uncovered {
            notes.push(
                "a source map does not cover all places of its script: was it made by the same build?"
                    .to_owned(),
            );
        }
        notes
    }
}

/// Debug ids of scripts by where they are served.
fn debug_ids(event: &Map<String, Value>) -> HashMap<String, DebugId> {
    let images = event.get("debug_meta").and_then(|meta| meta.get("images")).and_then(Value::as_array);
    let mut ids = HashMap::new();
    for image in images.into_iter().flatten().take(IMAGES_MAX) {
        let text = |name: &str| image.get(name).and_then(Value::as_str);
        if text("type") == Some("sourcemap")
            && let (Some(file), Some(Ok(id))) = (text("code_file"), text("debug_id").map(str::parse))
        {
            ids.insert(file.to_owned(), id);
        }
    }
    ids
}

/// Release and distribution of an event of a script.
fn release_of(event: &Map<String, Value>) -> Option<(String, String)> {
    let text = |name: &str| event.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let fits = |text: &&str, chars_max: usize| text.chars().nth(chars_max).is_none();
    text("platform").filter(|platform| matches!(*platform, "javascript" | "node"))?;
    // What is longer names no upload, and answers about it are remembered.
    let release = text("release").filter(|text| fits(text, RELEASE_CHARS_MAX))?;
    let dist = text("dist").unwrap_or_default();
    fits(&dist, DIST_CHARS_MAX).then(|| (release.to_owned(), dist.to_owned()))
}

/// Where a script may have been uploaded for: its address, the same without query, and each with `~` for the host.
fn addresses(path: &str) -> Option<Vec<String>> {
    if path.len() > actifix_protocol::artifacts::ARTIFACT_URL_BYTES_MAX {
        return None;
    }
    let bare = path.split(['?', '#']).next().unwrap_or(path);
    let mut urls = vec![path.to_owned()];
    let below_host = bare
        .split_once("://")
        .map(|(_, rest)| rest.find('/').map_or("/", |at| rest.get(at..).unwrap_or("/")));
    let tilde = match below_host {
        Some(rest) => format!("~{rest}"),
        None => format!("~/{}", bare.trim_start_matches('/')),
    };
    for url in [bare.to_owned(), tilde] {
        if !urls.contains(&url) {
            urls.push(url);
        }
    }
    Some(urls)
}

/// `new a`, `async Object.a`, `t.a [as b]`: the name itself.
fn bare_name(function: &str) -> &str {
    let name = function.split(" [as ").next().unwrap_or(function);
    let name = name.rsplit([' ', '.']).next().unwrap_or(name);
    name.trim_end_matches("()")
}

/// The frame as it was written; what it was goes below [`MINIFIED`].
fn rewrite(frame: &mut Map<String, Value>, place: &Place<'_>, function: Option<String>, text: Option<&str>) {
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
    if let Some((before, hit, after)) = text.and_then(|text| context(text, place.line)) {
        put("pre_context", json!(before));
        put("context_line", json!(hit));
        put("post_context", json!(after));
    }
    put(MINIFIED, Value::Object(minified));
}

/// The lines around a line.
fn context(text: &str, line: u32) -> Option<(Vec<String>, String, Vec<String>)> {
    let line = usize::try_from(line).ok()?;
    let cut = |text: &str| text.chars().take(LINE_CHARS_MAX).collect::<String>();
    let first = line.saturating_sub(CONTEXT_LINES);
    let mut lines = text.split('\n').skip(first).map(cut);
    let before: Vec<String> = lines.by_ref().take(line - first).collect();
    let hit = lines.next()?;
    Some((before, hit, lines.take(CONTEXT_LINES).collect()))
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
    fn paths_are_shown_short_and_addresses_looked_for_from_the_surest() {
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
        for (path, urls) in [
            (
                "https://x.example/a.js?v=1",
                &["https://x.example/a.js?v=1", "https://x.example/a.js", "~/a.js"][..],
            ),
            ("https://x.example", &["https://x.example", "~/"]),
            ("/srv/app/a.js", &["/srv/app/a.js", "~/srv/app/a.js"]),
            ("app:///a.js", &["app:///a.js", "~/a.js"]),
        ] {
            assert_eq!(addresses(path).unwrap(), urls, "{path}");
        }
        for (function, name) in
            [("a", "a"), ("new a", "a"), ("Object.a [as b]", "a"), ("async t.a", "a"), ("a()", "a")]
        {
            assert_eq!(bare_name(function), name);
        }
    }

    #[test]
    fn lines_around_a_line_are_bounded_by_the_text() {
        let text = "0\n1\n2\n3\n4\n5\n6\n7";
        assert_eq!(context(text, 0).unwrap().0, Vec::<String>::new());
        let (before, hit, after) = context(text, 6).unwrap();
        assert_eq!(
            (before.join(""), hit.as_str(), after.join("")),
            ("12345".to_owned(), "6", "7".to_owned())
        );
        assert!(context(text, 8).is_none());
        assert_eq!(context(&"x".repeat(9_000), 0).unwrap().1.len(), LINE_CHARS_MAX);
    }

    #[test]
    fn a_release_that_names_no_upload_is_not_looked_for_and_so_not_remembered() {
        let of = |release: &str, dist: &str| {
            let event = json!({ "platform": "javascript", "release": release, "dist": dist });
            release_of(event.as_object().unwrap())
        };
        let (release, dist) = ("r".repeat(RELEASE_CHARS_MAX), "d".repeat(DIST_CHARS_MAX));
        assert_eq!(of(&release, &dist), Some((release.clone(), dist.clone())));
        assert_eq!(of(&format!("{release}r"), &dist), None);
        assert_eq!(of(&release, &format!("{dist}d")), None);
    }
}
