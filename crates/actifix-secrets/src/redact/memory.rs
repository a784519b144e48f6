//! What sessions hand on to later ones: texts, keys and names that come again from event to event, as stack traces do.
//! All of it follows from the rules and from a part of the settings alone, and none of it was found to be a secret.
use std::collections::BTreeSet;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

use super::clean::CleanMemo;
use super::keys::KeyMemo;
use crate::detect::memo::NameMemo;
use crate::settings::{PersonalData, SensitiveKeys, Settings};

/// Memories that wait for a session; of more the oldest goes. Each holds some 600 KiB at most.
const WAITING_MAX: usize = 8;

/// The part of the settings that decides what is found in a text.
#[derive(Default)]
struct Terms {
    email: PersonalData,
    ip: PersonalData,
    sensitive_keys: SensitiveKeys,
    allow: BTreeSet<String>,
}

impl Terms {
    fn of(settings: &Settings) -> Self {
        // Named in full, so that a new setting is not forgotten here: neither of the other two changes what is found.
        let Settings { email, ip, hash_key: _, budget: _, sensitive_keys, allow } = settings;
        Self { email: *email, ip: *ip, sensitive_keys: sensitive_keys.clone(), allow: allow.clone() }
    }

    fn are_of(&self, settings: &Settings) -> bool {
        self.email == settings.email
            && self.ip == settings.ip
            && self.sensitive_keys == settings.sensitive_keys
            && self.allow == settings.allow
    }
}

/// What is known under some settings.
#[derive(Default)]
pub(crate) struct Memory {
    terms: Terms,
    pub(crate) keys: KeyMemo,
    pub(crate) clean: CleanMemo,
    pub(crate) names: NameMemo,
}

/// The memories of an engine that no session has.
#[derive(Default)]
pub(crate) struct Memories {
    waiting: Mutex<Vec<Memory>>,
}

impl Memories {
    /// A memory for these settings, for one session at a time.
    pub(crate) fn lend(&self, settings: &Settings) -> Lent<'_> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let known = waiting.iter().rposition(|memory| memory.terms.are_of(settings));
        let memory = known.map(|place| waiting.remove(place));
        drop(waiting);
        let memory = memory.unwrap_or_else(|| Memory { terms: Terms::of(settings), ..Memory::default() });
        Lent { memory, memories: self }
    }

    fn take_back(&self, memory: Memory) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= WAITING_MAX {
            waiting.remove(0);
        }
        waiting.push(memory);
    }
}

/// A memory that goes back when the session ends.
pub(crate) struct Lent<'m> {
    memory: Memory,
    memories: &'m Memories,
}

impl Deref for Lent<'_> {
    type Target = Memory;

    #[inline]
    fn deref(&self) -> &Memory {
        &self.memory
    }
}

impl DerefMut for Lent<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Memory {
        &mut self.memory
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.memories.take_back(mem::take(&mut self.memory));
    }
}

#[cfg(test)]
mod tests {
    use crate::{Engine, PersonalData, SensitiveKeys, Settings};
    use serde_json::json;

    fn redacted(engine: &Engine, settings: &Settings) -> String {
        let mut event = json!({
            "message": "written to jane.roe@example.org about the cargo 4711",
            "extra": {"harbour": "quay nine-and-twenty", "from": "203.0.113.77", "note": "paint it harbour-blue"},
        });
        engine.session(settings).value("event", &mut event).unwrap();
        event.to_string()
    }

    /// What becomes of an event under settings, after it came under others, and if it did not.
    fn after(first: &Settings, second: &Settings) -> (String, String) {
        let engine = Engine::from_rules(&[]).unwrap();
        redacted(&engine, first);
        (redacted(&engine, second), redacted(&Engine::from_rules(&[]).unwrap(), second))
    }

    #[test]
    fn what_was_clean_under_other_settings_is_looked_at_again() {
        let keep = Settings { email: PersonalData::Keep, ip: PersonalData::Keep, ..Settings::default() };
        let own = |name: &str| Settings { sensitive_keys: SensitiveKeys::new([name]), ..Settings::default() };
        let allowing = Settings { allow: ["quay nine-and-twenty".to_owned()].into(), ..own("harbour") };
        let all = [Settings::default(), keep, own("harbour"), own("note"), allowing];
        for first in &all {
            for second in &all {
                let (remembered, anew) = after(first, second);
                assert_eq!(remembered, anew);
            }
        }
        let (kept, _) = after(&all[0], &all[1]);
        assert!(kept.contains("jane.roe@example.org"), "{kept}");
        let (masked, _) = after(&all[1], &all[2]);
        assert!(!masked.contains("jane.roe") && !masked.contains("nine-and-twenty"), "{masked}");
    }

    #[test]
    fn a_secret_that_other_events_showed_to_be_one_is_not_known_from_them_and_a_clean_text_still_has_echoes()
    {
        let engine = Engine::from_rules(&[]).unwrap();
        let settings = Settings::default();
        let text = "sailing with marmalade-cutter tonight";
        for named in [false, true, false] {
            let mut event = if named {
                json!({"message": text, "extra": {"password": "marmalade-cutter"}})
            } else {
                json!({"message": text})
            };
            let mut session = engine.session(&settings);
            session.value("event", &mut event).unwrap();
            session.echo_value(&mut event);
            session.finish();
            assert_eq!(event["message"].as_str().unwrap().contains("marmalade"), !named, "{event}");
        }
    }

    #[test]
    fn memories_are_lent_to_one_session_at_a_time_and_few_wait() {
        let engine = Engine::from_rules(&[]).unwrap();
        for number in 0..100 {
            let settings = Settings {
                sensitive_keys: SensitiveKeys::new([format!("own{number}")]),
                ..Settings::default()
            };
            let sessions = [engine.session(&settings), engine.session(&settings)];
            drop(sessions);
            assert!(engine.memories.waiting.lock().unwrap().len() <= super::WAITING_MAX);
        }
    }

    #[test]
    fn what_is_remembered_counts_as_input_too() {
        let engine = Engine::from_rules(&[]).unwrap();
        let settings = Settings::default();
        let mut costs = Vec::new();
        for _ in 0..3 {
            // More than the work that is free.
            let lines = vec!["a line that says nothing of interest to anybody"; 200_000];
            let mut event = json!({ "lines": lines });
            let mut session = engine.session(&settings);
            session.value("event", &mut event).unwrap();
            costs.push(session.work());
        }
        assert!(costs.iter().all(|cost| cost.abs_diff(costs[0]) < 10_000), "{costs:?}");
    }
}
