//! A stored event as a page shows it: exceptions, frames, breadcrumbs, request.

use super::text::{Marked, many, marked};
use actifix_domain::event::{Breadcrumb, Event, Exception, Frame, Level, Minified, Stacktrace};
use actifix_domain::time::Timestamp;
use serde_json::Value;

/// Variables of a frame that are shown.
const VARS_MAX: usize = 40;
/// Characters of one value.
const VALUE_CHARS: usize = 2_000;
/// Breadcrumbs that are shown.
const CRUMBS_MAX: usize = 40;

/// One exception of the chain.
pub struct Raised {
    pub rank: String,
    pub kind: Marked,
    pub value: Marked,
    pub groups: Vec<Group>,
    /// Another one follows that was raised while this was handled.
    pub then: bool,
    pub left_out: u32,
    pub raw: Option<Marked>,
}

/// Frames that stand together: one of the application, or a run of libraries.
pub struct Group {
    pub library: bool,
    pub frames: Vec<Shown>,
    pub open: bool,
    pub label: String,
}

/// One frame.
pub struct Shown {
    pub place: Marked,
    pub function: Marked,
    pub in_app: bool,
    pub lines: Vec<Line>,
    pub vars: Vec<Pair>,
    pub vars_more: usize,
    /// Where it was in the minified script, and its name there.
    pub minified: Option<(Marked, Marked)>,
}

/// One line of source.
pub struct Line {
    pub number: String,
    pub text: Marked,
    pub hit: bool,
}

/// A name and a value.
pub struct Pair {
    pub key: Marked,
    pub value: Marked,
    /// Named in the marked line.
    pub on: bool,
}

/// One thing that happened before.
pub struct Crumb {
    pub at: String,
    pub icon: &'static str,
    pub category: Marked,
    pub text: Marked,
    pub class: &'static str,
}

/// The chain, root cause first.
pub fn chain(event: &Event) -> Vec<Raised> {
    let many = event.exception.len();
    let mut out: Vec<Raised> =
        event.exception.iter().enumerate().map(|(at, e)| raised(e, at, many)).collect();
    if out.is_empty() {
        let stack = event.stacktrace.as_ref().or_else(|| {
            let threads = &event.threads;
            let chosen = threads.iter().find(|thread| thread.crashed == Some(true));
            chosen.or_else(|| threads.iter().find(|thread| thread.current == Some(true)))?.stacktrace.as_ref()
        });
        if let Some(stack) = stack {
            let exception = Exception {
                exception_type: Some(event.level.as_str().to_owned()),
                value: event
                    .logentry
                    .as_ref()
                    .and_then(|entry| entry.formatted.clone().or_else(|| entry.message.clone())),
                stacktrace: Some(stack.clone()),
                ..Exception::default()
            };
            out.push(raised(&exception, 0, 1));
        }
    }
    out
}

fn raised(exception: &Exception, at: usize, many: usize) -> Raised {
    let rank = match (at, many) {
        (_, 1) => String::new(),
        (0, many) => format!("1 of {many}, root cause"),
        (at, many) if at + 1 == many => format!("{many} of {many}, what was caught last"),
        (at, many) => format!("{} of {many}", at + 1),
    };
    let stack = exception.stacktrace.as_ref();
    Raised {
        rank,
        kind: marked(exception.exception_type.as_deref().unwrap_or("error"), 200),
        value: marked(exception.value.as_deref().unwrap_or_default(), VALUE_CHARS),
        groups: stack.map(groups).unwrap_or_default(),
        then: at + 1 < many,
        left_out: stack.and_then(|stack| stack.frames_left_out).unwrap_or(0),
        raw: stack.and_then(|stack| stack.raw.as_deref()).map(|raw| marked(raw, 20_000)),
    }
}

/// Crash first: what was running when it happened is what is looked for.
fn groups(stack: &Stacktrace) -> Vec<Group> {
    let mut out: Vec<Group> = Vec::new();
    let any_in_app = stack.frames.iter().any(|frame| frame.in_app == Some(true));
    let mut opened = false;
    for frame in stack.frames.iter().rev() {
        let library = any_in_app && frame.in_app != Some(true);
        let shown = shown(frame);
        match out.last_mut().filter(|last| library && last.library) {
            Some(last) => last.frames.push(shown),
            None => {
                let open = !library && !opened;
                opened |= open;
                out.push(Group { library, frames: vec![shown], open, label: String::new() });
            }
        }
    }
    for group in out.iter_mut().filter(|group| group.library) {
        group.label = many(group.frames.len() as u64, "library frame");
    }
    out
}

fn shown(frame: &Frame) -> Shown {
    let file = frame
        .filename
        .as_deref()
        .or(frame.abs_path.as_deref())
        .or(frame.module.as_deref())
        .or(frame.package.as_deref());
    let mut place = file.unwrap_or("unknown place").to_owned();
    if let Some(line) = frame.lineno {
        place.push_str(&format!(":{line}"));
    }
    let first = frame.lineno.map(|line| i64::from(line) - frame.pre_context.len() as i64);
    let mut lines: Vec<Line> = Vec::new();
    if let Some(context) = &frame.context_line {
        let all = frame.pre_context.iter().chain([context]).chain(&frame.post_context);
        lines = all
            .enumerate()
            .map(|(index, text)| Line {
                number: first.map_or_else(String::new, |first| (first + index as i64).to_string()),
                text: marked(text, 500),
                hit: index == frame.pre_context.len(),
            })
            .collect();
    }
    let hit = frame.context_line.as_deref().unwrap_or_default();
    let mut vars: Vec<Pair> = frame
        .vars
        .iter()
        .map(|(key, value)| Pair {
            key: marked(key, 100),
            value: marked(&plain(value), VALUE_CHARS),
            on: is_named(hit, key),
        })
        .collect();
    // Those of the marked line first; the rest in the order of the event.
    vars.sort_by_key(|pair| !pair.on);
    let vars_more = vars.len().saturating_sub(VARS_MAX);
    vars.truncate(VARS_MAX);
    Shown {
        place: marked(&place, 300),
        function: marked(
            frame.function.as_deref().or(frame.raw_function.as_deref()).unwrap_or_default(),
            200,
        ),
        in_app: frame.in_app == Some(true),
        lines,
        vars,
        vars_more,
        minified: frame.minified.as_deref().map(minified),
    }
}

/// Place and function of a frame as it was sent.
fn minified(frame: &Minified) -> (Marked, Marked) {
    let file = frame.abs_path.as_deref().or(frame.filename.as_deref()).unwrap_or("unknown place");
    let mut place = file.to_owned();
    for number in [frame.lineno, frame.colno].into_iter().flatten() {
        place.push_str(&format!(":{number}"));
    }
    (marked(&place, 300), marked(frame.function.as_deref().unwrap_or_default(), 200))
}

/// Whether a line names a variable, as a word.
fn is_named(line: &str, name: &str) -> bool {
    let word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    !name.is_empty()
        && line.match_indices(name).any(|(at, found)| {
            let before = line.get(..at).and_then(|before| before.chars().next_back());
            let after = line.get(at + found.len()..).and_then(|after| after.chars().next());
            !word(before) && !word(after)
        })
}

/// A value as text: strings as they are, the rest as JSON.
pub fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Pairs of a map.
pub fn pairs<'a>(map: impl IntoIterator<Item = (&'a String, &'a Value)>) -> Vec<Pair> {
    map.into_iter()
        .take(100)
        .map(|(key, value)| Pair {
            key: marked(key, 100),
            value: marked(&plain(value), VALUE_CHARS),
            on: false,
        })
        .collect()
}

/// Pairs of texts.
pub fn text_pairs(list: &[(String, String)]) -> Vec<Pair> {
    list.iter()
        .take(100)
        .map(|(key, value)| Pair { key: marked(key, 100), value: marked(value, VALUE_CHARS), on: false })
        .collect()
}

/// What happened before, the newest last, and how many there are.
pub fn crumbs(event: &Event) -> (Vec<Crumb>, usize) {
    let many = event.breadcrumbs.len();
    let shown = event.breadcrumbs.iter().skip(many.saturating_sub(CRUMBS_MAX));
    (shown.map(|crumb| of_crumb(crumb, event.timestamp)).collect(), many)
}

fn of_crumb(crumb: &Breadcrumb, at: Timestamp) -> Crumb {
    let offset = crumb.timestamp.map_or_else(String::new, |time| {
        let millis = at.since(time) / 1_000;
        let sign = if millis > 0 { "−" } else { "" };
        format!("{sign}{}.{:03}", millis.abs() / 1_000, millis.abs() % 1_000)
    });
    let kind = crumb.crumb_type.as_deref().or(crumb.category.as_deref()).unwrap_or("default");
    let icon = match kind {
        k if k.starts_with("http") || k == "xhr" || k == "fetch" => "http",
        k if k.starts_with("query") || k.starts_with("sql") || k == "db" => "query",
        k if k.starts_with("navigation") => "right",
        k if k.starts_with("error") => "cross",
        _ => "log",
    };
    let mut text = crumb.message.clone().unwrap_or_default();
    if text.is_empty() {
        let field = |name: &str| crumb.data.get(name).map(plain);
        let parts = [field("method"), field("url"), field("from"), field("to"), field("status_code")];
        text = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
    }
    if text.is_empty() && !crumb.data.is_empty() {
        text = Value::Object(crumb.data.clone()).to_string();
    }
    Crumb {
        at: offset,
        icon,
        category: marked(crumb.category.as_deref().unwrap_or(kind), 40),
        text: marked(&text, 500),
        class: match crumb.level {
            Some(Level::Error | Level::Fatal) => "err",
            Some(Level::Warning) => "warn",
            _ => "",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crash_comes_first_and_libraries_are_folded() {
        let frame = |name: &str, in_app| Frame {
            function: Some(name.to_owned()),
            in_app: Some(in_app),
            ..Frame::default()
        };
        let stack = Stacktrace {
            frames: vec![
                frame("main", true),
                frame("lib1", false),
                frame("lib2", false),
                frame("crash", true),
            ],
            ..Stacktrace::default()
        };
        let groups = groups(&stack);
        assert_eq!(groups.len(), 3);
        assert!(groups[0].open && groups[0].frames[0].function.to_string() == "crash");
        assert!(groups[1].library && groups[1].label == "2 library frames");
        assert!(!groups[2].open);
    }

    #[test]
    fn variables_of_the_marked_line_stand_first() {
        assert!(is_named("x = user.name + 1", "user"));
        assert!(!is_named("x = superuser", "user"));
    }
}
