//! Lines of a ticket's history in words: the same sentence on its page, on a terminal and in the API.

use crate::ports::ActivityEntry;
use actifix_domain::words::many;
use serde::Serialize;
use serde_json::Value;

/// Digits of a key or a commit that tell it from others.
const SHORT_DIGITS: usize = 12;
/// Digits of a token's id.
const TOKEN_DIGITS: usize = 8;

/// A line as people read it. Texts of others stand in `said` and `facts`, never in a sentence of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Told {
    /// Who: a name, `token 0123abcd`, `system`.
    pub who: String,
    /// What they did, after their name.
    pub did: String,
    /// What they said.
    pub said: String,
    /// What they gave with it: a name and a value each.
    pub facts: Vec<(&'static str, String)>,
}

impl Told {
    /// A line of the history.
    pub fn of(entry: &ActivityEntry) -> Self {
        let data = &entry.data;
        let text = |name: &str| data.get(name).and_then(Value::as_str).unwrap_or_default();
        let mut told = Self { who: who(&entry.actor), ..Self::default() };
        told.did = match entry.kind.as_str() {
            "claimed" => claimed(data),
            "released" => "ended the lease".to_owned(),
            "note" => "noted".to_owned(),
            "submitted" => "gave evidence; it waits for review".to_owned(),
            "resolved" => "resolved it with evidence".to_owned(),
            "approved" => "let agents have it".to_owned(),
            "unapproved" => "took the approval for agents back".to_owned(),
            "reopened" => "opened it again".to_owned(),
            "ignored" => "ignored it: its events only count from now on".to_owned(),
            "merged" => merged(data),
            "split" => "gave one of its keys a ticket of its own".to_owned(),
            "changed" => changed(data),
            "regressed" => "saw it come back".to_owned(),
            "raised" => format!("raised its priority from {} to {}", text("from"), text("to")),
            "promoted" if text("why") == "by_hand" => "let it in by hand".to_owned(),
            "promoted" => "let it in: the budget of new tickets had room".to_owned(),
            "shipped" => "saw the release that ships the fix".to_owned(),
            other => other.replace('_', " "),
        };
        told.said = [text("text"), text("reason")].concat();
        told.fact("why", if entry.kind == "raised" { text("why") } else { "" });
        told.fact("release", text("release"));
        told.fact("fixed in", text("resolved_in"));
        told.fact("fixed in the release after", text("in_next_release_after"));
        told.fact("was fixed in the release after", text("resolved_after"));
        told.fact("key", &short(text("fingerprint"), SHORT_DIGITS));
        told.evidence(data.get("evidence").unwrap_or(&Value::Null));
        told
    }

    fn fact(&mut self, name: &'static str, value: &str) {
        if !value.is_empty() {
            self.facts.push((name, value.to_owned()));
        }
    }

    fn evidence(&mut self, evidence: &Value) {
        let text =
            |of: &Value, name: &str| of.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        self.fact("root cause", &text(evidence, "root_cause"));
        self.fact("commit", &short(&text(evidence, "commit"), SHORT_DIGITS));
        self.fact("no commit", &text(evidence, "no_commit_reason"));
        if let Some(test) = evidence.get("test").filter(|test| test.is_object()) {
            let run = |name: &str| {
                let run = test.get(name).unwrap_or(&Value::Null);
                let code = run.get("exit_code").and_then(Value::as_i64).unwrap_or_default();
                format!("{code} on {}", short(&text(run, "commit"), SHORT_DIGITS))
            };
            let command = text(test, "command");
            self.fact("test", &format!("{command} (exit code {}, then {})", run("before"), run("after")));
        }
        self.fact("no test", &text(evidence, "no_test_reason"));
    }
}

fn who(actor: &str) -> String {
    match actor.split_once(':') {
        Some(("user", name)) => name.to_owned(),
        Some(("token", id)) => format!("token {}", short(id, TOKEN_DIGITS)),
        _ => actor.replace(':', " "),
    }
}

fn short(text: &str, digits: usize) -> String {
    text.chars().take(digits).collect()
}

fn claimed(data: &Value) -> String {
    let number = |name: &str| data.get(name).and_then(Value::as_u64);
    let mut did = "took a lease".to_owned();
    if let Some(minutes) = number("minutes") {
        did += &format!(" of {}", many(minutes, "minute"));
    }
    if let Some(fence) = number("fence") {
        did += &format!(" (fence {fence})");
    }
    if data.get("agent") == Some(&Value::Bool(true)) {
        did += ", as an agent";
    }
    did
}

fn merged(data: &Value) -> String {
    let from = data.get("from").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let ids: Vec<&str> = from.iter().filter_map(Value::as_str).collect();
    let mut did = format!("merged {} into it", ids.join(", "));
    if data.get("approval_ended") == Some(&Value::Bool(true)) {
        did += "; the approval for agents ended, since not all of them had one";
    }
    did
}

/// Nothing named means that the assignee was cleared.
fn changed(data: &Value) -> String {
    let text = |name: &str| data.get(name).and_then(Value::as_str);
    match (text("priority"), text("assignee")) {
        (Some(priority), Some(name)) => format!("set its priority to {priority} and assigned it to {name}"),
        (Some(priority), None) => format!("set its priority to {priority}"),
        (None, Some(name)) => format!("assigned it to {name}"),
        (None, None) => "took it from its assignee".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actifix_domain::time::Timestamp;
    use serde_json::json;

    #[track_caller]
    fn check(actor: &str, kind: &str, data: Value, sentence: &str) -> Told {
        let entry = ActivityEntry {
            at: Timestamp::from_micros(0),
            actor: actor.to_owned(),
            kind: kind.to_owned(),
            data,
        };
        let told = Told::of(&entry);
        assert_eq!(format!("{} {}", told.who, told.did), sentence);
        let whole = format!("{told:?}");
        assert!(!whole.contains("{\\\"") && !whole.contains("null"), "{whole}");
        told
    }

    #[test]
    fn every_line_is_a_sentence_and_what_was_said_stands_apart() {
        let lease = json!({ "fence": 3, "minutes": 30, "agent": true });
        check(
            "token:0123456789abcdef",
            "claimed",
            lease,
            "token 01234567 took a lease of 30 minutes (fence 3), as an agent",
        );
        check(
            "user:jo",
            "claimed",
            json!({ "fence": 1, "minutes": 1, "agent": false }),
            "jo took a lease of 1 minute (fence 1)",
        );
        let note = check("user:jo", "note", json!({ "text": "only at night" }), "jo noted");
        assert_eq!((note.said.as_str(), note.facts.len()), ("only at night", 0));
        check("user:jo", "released", json!({ "reason": "" }), "jo ended the lease");
        check(
            "user:jo",
            "changed",
            json!({ "priority": "P1", "assignee": null }),
            "jo set its priority to P1",
        );
        check("user:jo", "changed", json!({ "priority": null, "assignee": "mo" }), "jo assigned it to mo");
        check(
            "user:jo",
            "changed",
            json!({ "priority": null, "assignee": null }),
            "jo took it from its assignee",
        );
        check("user:jo", "unapproved", Value::Null, "jo took the approval for agents back");
        check("user:jo", "merged", json!({ "from": ["ACT-1", "ACT-2"] }), "jo merged ACT-1, ACT-2 into it");
        check(
            "user:jo",
            "merged",
            json!({ "from": ["ACT-1"], "approval_ended": true }),
            "jo merged ACT-1 into it; the approval for agents ended, since not all of them had one",
        );
        let raised = json!({ "from": "P2", "to": "P1", "why": "its rate spiked" });
        let raised = check("system", "raised", raised, "system raised its priority from P2 to P1");
        assert_eq!(raised.facts, [("why", "its rate spiked".to_owned())]);
        check(
            "system",
            "promoted",
            json!({ "why": "budget" }),
            "system let it in: the budget of new tickets had room",
        );
        check(
            "system",
            "shipped",
            json!({ "resolved_in": "web@2" }),
            "system saw the release that ships the fix",
        );
        check("system", "some_day", Value::Null, "system some day");
    }

    #[test]
    fn evidence_is_told_value_by_value() {
        let run =
            |code: i32, commit: &str| json!({ "exit_code": code, "output_digest": "0", "commit": commit });
        let evidence = json!({
            "root_cause": "the timeout was 2 s", "commit": "3f2a91c", "no_commit_reason": null, "no_test_reason": null,
            "test": { "command": "make test", "before": run(1, "aaaaaaa"), "after": run(0, "3f2a91c") },
        });
        let data = json!({ "evidence": evidence, "resolved_in": null, "in_next_release_after": "web@1" });
        let told = check("user:jo", "resolved", data, "jo resolved it with evidence");
        let facts: Vec<String> = told.facts.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        assert_eq!(
            facts,
            [
                "fixed in the release after: web@1",
                "root cause: the timeout was 2 s",
                "commit: 3f2a91c",
                "test: make test (exit code 1 on aaaaaaa, then 0 on 3f2a91c)",
            ]
        );
    }
}
