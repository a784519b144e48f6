//! Frames of minified scripts become frames of their sources, before anything is redacted or grouped.
//!
//! An event names the maps of its scripts by debug id (`debug_meta.images`), or by its release and the address of each
//! script. Where a map is known the frame is rewritten, and what it was stays beside it; where it is not, the reason is
//! said. What comes from the sender is bounded: maps looked for, frames looked at.

mod frame;
mod notes;

use super::decode::{RawItem, Shape};
use crate::app::App;
use crate::error::Result;
use crate::ports::MapKey;
use crate::recall::Recalled;
use crate::source_maps::{DIST_CHARS_MAX, Lines};
use actifix_domain::debug_id::DebugId;
use actifix_domain::project::Project;
use actifix_protocol::event::release_name;
use actifix_protocol::sourcemap::{Index, Place};
use frame::{MINIFIED, bare_name, rewrite};
use notes::notes;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::runtime::Handle;

/// Frames of one event that are looked at, from the one that failed.
const FRAMES_MAX: usize = 500;
/// The same of all events of a request: anybody may send, and thousands of events pack into some KiB.
const REQUEST_FRAMES_MAX: usize = 5_000;
/// Scripts of one request whose maps are looked for.
const SCRIPTS_MAX: usize = 20;
/// Images of one event that are looked at.
const IMAGES_MAX: usize = 2_000;
/// Text of sources that one request may have read from the store, and indices of maps that it may hold and have read,
/// bytes: usual stacks take some MiB.
const SOURCE_BYTES_MAX: usize = 16 << 20;
const INDEX_BYTES_MAX: usize = 64 << 20;
const INDEX_READ_BYTES_MAX: usize = 32 << 20;

/// What came of looking for a script's map.
#[derive(Clone)]
enum Found {
    /// Its number, and where its places are.
    Map(u64, Arc<Index>),
    /// Nobody uploaded it.
    NotThere,
    /// It may be there: the request has used what one may use.
    Beyond,
    /// It may be there: the store could not be asked, or what it keeps cannot be read.
    Unread,
}

/// A place in a script whose map is known.
struct Spot {
    map: u64,
    index: Arc<Index>,
    /// From 0.
    line: u32,
    column: u32,
}

impl Spot {
    fn place(&self) -> Option<Place<'_>> {
        self.index.lookup(self.line, self.column)
    }

    /// How the function is called here that the next frame is in.
    fn callee(&self) -> Option<String> {
        let place = self.place().filter(|_| !self.index.is_scoped())?;
        place.name.map(str::to_owned)
    }
}

/// One request whose events are looked at, and the one that is now.
struct Look<'a> {
    app: &'a App,
    project: &'a Project,
    runtime: Handle,
    /// Every script that was looked for: no more than there are frames.
    known: HashMap<MapKey, Found>,
    left: Left,
    ids: HashMap<String, DebugId>,
    release: Option<(String, String)>,
    /// Those of them that the event names.
    maps: HashMap<MapKey, Found>,
    event_frames: usize,
    lost: Lost,
}

/// What the request may still use.
struct Left {
    frames: usize,
    scripts: usize,
    source_bytes: usize,
    index_bytes: usize,
    index_read_bytes: usize,
}

/// What is not shown as it was written, beside whole scripts.
#[derive(Default)]
struct Lost {
    /// Places that the map of their script does not know.
    uncovered: bool,
    /// Frames that were not looked at.
    frames: bool,
    /// Lines of code, as the request has read as many as it may.
    lines: bool,
    /// Lines of code that could not be read.
    unread_lines: bool,
}

impl App {
    /// Shows the frames of scripts as they were written. Blocks for reads of the store; events without scripts cost a
    /// look at their platform and images.
    pub(super) fn symbolicate(&self, project: &Project, items: &mut [RawItem]) {
        let mut look = None;
        for item in items.iter_mut().filter(|item| item.shape == Shape::Event) {
            let Some(event) = item.value.as_object_mut() else { continue };
            let ids = debug_ids(event);
            let release = release_of(event);
            if ids.is_empty() && release.is_none() {
                continue;
            }
            let look = look.get_or_insert_with(|| Look::new(self, project));
            look.turn_to(ids, release);
            if look.ids.is_empty() && look.has_any_map() != Some(true) {
                continue;
            }
            look.event(event);
            item.notes.extend(notes(&look.maps, &look.lost));
        }
    }
}

impl<'a> Look<'a> {
    fn new(app: &'a App, project: &'a Project) -> Self {
        let left = Left {
            frames: REQUEST_FRAMES_MAX,
            scripts: SCRIPTS_MAX,
            source_bytes: SOURCE_BYTES_MAX,
            index_bytes: INDEX_BYTES_MAX,
            index_read_bytes: INDEX_READ_BYTES_MAX,
        };
        Self {
            app,
            project,
            runtime: Handle::current(),
            known: HashMap::new(),
            left,
            ids: HashMap::new(),
            release: None,
            maps: HashMap::new(),
            event_frames: 0,
            lost: Lost::default(),
        }
    }

    /// The next event. What the request has used stays used.
    fn turn_to(&mut self, ids: HashMap<String, DebugId>, release: Option<(String, String)>) {
        self.ids = ids;
        self.release = release;
        self.maps.clear();
        self.event_frames = FRAMES_MAX;
        self.lost = Lost::default();
    }

    fn may_look(&self) -> bool {
        self.event_frames > 0 && self.left.frames > 0
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
        // The last frame is the one that failed. Its caller names it where it was called, and is the next one.
        let mut own = frames.last().filter(|_| self.may_look()).and_then(|frame| self.spot(frame));
        for number in (0..frames.len()).rev() {
            if !self.may_look() {
                self.lost.frames = true;
                return;
            }
            self.event_frames -= 1;
            self.left.frames -= 1;
            let caller = number.checked_sub(1).and_then(|caller| frames.get(caller));
            let caller = caller.and_then(|frame| self.spot(frame));
            if let (Some(spot), Some(frame)) = (&own, frames.get_mut(number).and_then(Value::as_object_mut)) {
                self.frame(frame, spot, caller.as_ref().and_then(Spot::callee));
            }
            own = caller;
        }
    }

    /// Where a frame is in a script whose map is known. What was rewritten once is not looked at again.
    fn spot(&mut self, frame: &Value) -> Option<Spot> {
        if frame.get(MINIFIED).is_some_and(Value::is_object) {
            return None;
        }
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
        match self.map(key) {
            Found::Map(map, index) => Some(Spot { map, index, line, column }),
            Found::NotThere | Found::Beyond | Found::Unread => None,
        }
    }

    fn frame(&mut self, frame: &mut Map<String, Value>, spot: &Spot, called_as: Option<String>) {
        let Some(place) = spot.place() else {
            self.lost.uncovered = true;
            return;
        };
        let function = if spot.index.is_scoped() {
            place.name.map(str::to_owned)
        } else {
            let minified = frame.get("function").and_then(Value::as_str).map(bare_name);
            let defined = minified.and_then(|name| spot.index.function(spot.line, spot.column, name));
            defined.map(str::to_owned).or_else(|| called_as.filter(|_| minified.is_some()))
        };
        let text = self.source(spot.map, place.source);
        rewrite(frame, &place, function, text.as_deref());
        self.app.source_maps.cache.note_use(spot.map, self.app.now());
    }

    /// Whether the project has any map; none where the store cannot answer, which costs the event its sources, not the
    /// event.
    fn has_any_map(&self) -> Option<bool> {
        let (cache, id) = (&self.app.source_maps.cache, self.project.id);
        let read = match cache.any.get(&id, self.app.clock.monotonic_micros()) {
            Recalled::Known(any) => return Some(any),
            Recalled::Ask(read) => read,
        };
        let any = self.asked(self.app.store.map_usage(id))?.maps > 0;
        cache.any.put(read, id, any);
        Some(any)
    }

    fn map(&mut self, key: MapKey) -> Found {
        if let Some(found) = self.maps.get(&key) {
            return found.clone();
        }
        let found = match self.known.get(&key) {
            Some(found) => found.clone(),
            None if self.left.scripts == 0 => Found::Beyond,
            None => {
                self.left.scripts -= 1;
                let found = self.load(&key).unwrap_or(Found::Unread);
                self.known.insert(key.clone(), found.clone());
                found
            }
        };
        self.maps.insert(key, found.clone());
        found
    }

    fn load(&mut self, key: &MapKey) -> std::result::Result<Found, Unreadable> {
        if !self.has_any_map().ok_or(Unreadable)? {
            return Ok(Found::NotThere);
        }
        let (app, cache) = (self.app, &self.app.source_maps.cache);
        let asked = (self.project.id, key.clone());
        let number = match cache.found.get(&asked, app.clock.monotonic_micros()) {
            Recalled::Known(number) => number,
            Recalled::Ask(read) => {
                let number = self.asked(app.store.find_source_map(self.project.id, key)).ok_or(Unreadable)?;
                cache.found.put(read, asked, number);
                number
            }
        };
        let Some(number) = number else { return Ok(Found::NotThere) };
        let index = match cache.map(number) {
            Some(index) => index,
            None if self.left.index_read_bytes == 0 => return Ok(Found::Beyond),
            None => {
                // Removed since it was found: as if it had never been there.
                let Some(bytes) = self.asked(app.store.source_map(number)).ok_or(Unreadable)? else {
                    return Ok(Found::NotThere);
                };
                self.left.index_read_bytes = self.left.index_read_bytes.saturating_sub(bytes.len());
                let index = Arc::new(Index::from_bytes(&bytes).ok_or(Unreadable)?);
                cache.put_map(number, &index);
                index
            }
        };
        let Some(left) = self.left.index_bytes.checked_sub(index.weight()) else { return Ok(Found::Beyond) };
        self.left.index_bytes = left;
        Ok(Found::Map(number, index))
    }

    /// The text of a source, where it was uploaded and the request may read it.
    fn source(&mut self, map: u64, number: u32) -> Option<Arc<Lines>> {
        let cache = &self.app.source_maps.cache;
        if let Some(lines) = cache.source(map, number) {
            return Some(lines);
        }
        if self.left.source_bytes == 0 {
            self.lost.lines = true;
            return None;
        }
        let Some(text) = self.asked(self.app.store.map_source(map, number)) else {
            self.lost.unread_lines = true;
            return None;
        };
        let text = text?;
        self.left.source_bytes = self.left.source_bytes.saturating_sub(text.len());
        let lines = Arc::new(Lines::new(text));
        cache.put_source(map, number, &lines);
        Some(lines)
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
}

/// A map that cannot be read now.
struct Unreadable;

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

/// Release and distribution of an event of a script, as an upload may name them.
fn release_of(event: &Map<String, Value>) -> Option<(String, String)> {
    let text = |name: &str| event.get(name).and_then(Value::as_str);
    text("platform").filter(|platform| matches!(*platform, "javascript" | "node"))?;
    let release = release_name(event.get("release")?.clone()).ok()??;
    let dist = text("dist").unwrap_or_default();
    // What is longer names no upload, and answers about it are remembered.
    dist.chars().nth(DIST_CHARS_MAX).is_none().then(|| (release, dist.to_owned()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use actifix_domain::release::RELEASE_CHARS_MAX;
    use serde_json::json;

    #[test]
    fn addresses_are_looked_for_from_the_surest() {
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
        assert_eq!(of(" shop@1 ", ""), Some(("shop@1".to_owned(), String::new())), "as it is shown");
        assert_eq!(of("shop/", ""), None);
    }
}
