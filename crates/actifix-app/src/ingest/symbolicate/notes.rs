//! What is told of frames that are not shown as they were written: the reason, and what to do.

use super::{FRAMES_MAX, Found, INDEX_BYTES_MAX, Lost, REQUEST_FRAMES_MAX, SCRIPTS_MAX, SOURCE_BYTES_MAX};
use crate::ports::MapKey;
use actifix_domain::debug_id::DebugId;
use actifix_domain::words::many;
use std::collections::HashMap;

/// Scripts that are named for one reason; of others their number is told.
const NAMED_MAX: usize = 3;

/// Scripts that stay minified for the same reason.
#[derive(Default)]
struct Scripts {
    /// Those that a debug id names.
    ids: Vec<DebugId>,
    /// Those that only their address names, which is the sender's text and so is not repeated.
    others: usize,
}

impl Scripts {
    fn add(&mut self, key: &MapKey) {
        match key {
            MapKey::DebugId(id) => self.ids.push(*id),
            MapKey::Script { .. } => self.others += 1,
        }
    }

    /// One sentence for each of the first scripts, and one for all others.
    fn tell(
        mut self,
        notes: &mut Vec<String>,
        one: impl Fn(DebugId) -> String,
        more: impl Fn(usize) -> String,
    ) {
        self.ids.sort_unstable();
        notes.extend(self.ids.iter().take(NAMED_MAX).copied().map(one));
        let rest = self.ids.len().saturating_sub(NAMED_MAX) + self.others;
        if rest > 0 {
            notes.push(more(rest));
        }
    }
}

/// All that an event's page says about its maps.
pub(super) fn notes(maps: &HashMap<MapKey, Found>, lost: &Lost) -> Vec<String> {
    let (mut missing, mut beyond, mut unread) = (Scripts::default(), Scripts::default(), Scripts::default());
    for (key, found) in maps {
        match (found, key) {
            (Found::Map(..), _) => {}
            // A script without a debug id may never have been minified.
            (Found::NotThere, MapKey::Script { .. }) => {}
            (Found::NotThere, _) => missing.add(key),
            (Found::Beyond, _) => beyond.add(key),
            (Found::Unread, _) => unread.add(key),
        }
    }
    let mut notes = Vec::new();
    missing.tell(
        &mut notes,
        |id| format!("no source map for debug id {id}: upload it with `sentry-cli sourcemaps upload`"),
        |more| format!("no source maps for {}", many(more as u64, "more debug id")),
    );
    let bound = format!(
        "the events of one request may use the maps of {SCRIPTS_MAX} scripts, and {} MiB of maps in all",
        INDEX_BYTES_MAX >> 20
    );
    beyond.tell(
        &mut notes,
        |id| format!("the script with debug id {id} stays minified: {bound}"),
        |more| format!("{} minified: {bound}", scripts_stay(more)),
    );
    let unreadable = "its source map could not be read, as the log of the server says";
    unread.tell(
        &mut notes,
        |id| format!("the script with debug id {id} stays minified: {unreadable}"),
        |more| format!("{} minified: {unreadable}", scripts_stay(more)),
    );
    let mut told = |is_so: bool, words: String| notes.extend(is_so.then_some(words));
    told(
        lost.uncovered,
        "a source map does not cover all places of its script: was it made by the same build?".to_owned(),
    );
    told(
        lost.frames,
        format!(
            "only the {FRAMES_MAX} frames nearest to the failure were looked up in source maps, and {REQUEST_FRAMES_MAX} \
             of all events of a request"
        ),
    );
    told(
        lost.lines,
        format!(
            "lines of code are missing: the events of one request may read {} MiB of sources",
            SOURCE_BYTES_MAX >> 20
        ),
    );
    told(lost.unread_lines, "lines of code could not be read: the log of the server says why".to_owned());
    notes
}

fn scripts_stay(many: usize) -> String {
    if many == 1 { "1 more script stays".to_owned() } else { format!("{many} more scripts stay") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> MapKey {
        MapKey::DebugId(DebugId([number; 16]))
    }

    fn script(number: u8) -> MapKey {
        MapKey::Script { release: "r".to_owned(), dist: String::new(), urls: vec![number.to_string()] }
    }

    #[track_caller]
    fn check(maps: Vec<(MapKey, Found)>, lost: Lost, told: &[&str]) {
        let notes = notes(&maps.into_iter().collect(), &lost);
        assert_eq!(notes.len(), told.len(), "{notes:#?}");
        for (note, told) in notes.iter().zip(told) {
            assert!(note.contains(told), "{told}: {note}");
        }
    }

    #[test]
    fn each_reason_is_told_by_itself_and_scripts_by_name_up_to_a_bound() {
        check(vec![], Lost::default(), &[]);
        check(vec![(script(1), Found::NotThere)], Lost::default(), &[]);
        check(
            vec![(id(1), Found::NotThere), (id(2), Found::Beyond), (id(3), Found::Unread)],
            Lost::default(),
            &[
                "no source map for debug id 01010101-",
                "debug id 02020202-0202-0202-0202-020202020202 stays minified: the events of one request may use the maps of 20 scripts, and \
                 64 MiB",
                "debug id 03030303-0303-0303-0303-030303030303 stays minified: its source map could not be read",
            ],
        );
        let many = (1..=5).map(|number| (id(number), Found::Beyond)).chain([(script(1), Found::Beyond)]);
        check(
            many.collect(),
            Lost::default(),
            &["id 0101", "id 0202", "id 0303", "3 more scripts stay minified"],
        );
        check(
            vec![(script(1), Found::Unread)],
            Lost::default(),
            &["1 more script stays minified: its source map could not"],
        );
        let all = Lost { uncovered: true, frames: true, lines: true, unread_lines: true };
        check(vec![], all, &["does not cover", "500 frames", "16 MiB of sources", "could not be read"]);
    }
}
