//! What a scan says on standard error: remarks, what it saw, and what it did not.

use super::super::output;
use super::WhatArgs;
use crate::scan::{Batch, Config, Format, printable};

/// Unused baseline entries that are told one by one.
const UNUSED_SHOWN: usize = 20;

/// What `--explain` says besides the dropped candidates.
pub(super) fn explain(batch: &Batch, config: &Config, format: Format) {
    for phrase in config.off() {
        output::note(format!("explain: switched off by the configuration: {}", printable(phrase.as_bytes())));
    }
    if batch.dropped.is_empty() && format == Format::Text {
        output::note("explain: nothing else looked like a secret");
    }
}

/// What goes to standard error: remarks, unused entries, one line of sum.
pub(super) fn tell(batch: &Batch, unused: &[String], what: &WhatArgs, format: Format, quiet: bool) {
    let totals = &batch.totals;
    // Who wants findings only must still learn why there might be more of them.
    if quiet && totals.unread == 0 {
        return;
    }
    for note in &batch.notes {
        output::note(format!("note: {note}"));
    }
    if totals.notes_more > 0 {
        output::note(format!("note: {}", output::plural(totals.notes_more, "more remark", "more remarks")));
    }
    for entry in unused.iter().take(UNUSED_SHOWN) {
        output::note(format!("note: the baseline has an entry that is not needed any more: {entry}"));
    }
    if unused.len() > UNUSED_SHOWN {
        output::note(format!("note: and {} more of them", unused.len() - UNUSED_SHOWN));
    }
    if !quiet && let Some(warning) = nothing_seen(batch, what) {
        output::note(warning);
    }
    let clean = batch.hits.is_empty() && totals.unread == 0;
    let hook = what.staged || what.commit_msg.is_some() || what.pre_receive;
    if quiet || format != Format::Text || (hook && clean) {
        return;
    }
    output::note(summary(batch));
    if !batch.hits.is_empty() && hook {
        output::note(if what.pre_receive {
            "The push is refused. Take the secret out of all of its commits, and change it: it has left your machine."
        } else {
            "Nothing was committed. Take the secret out, and change it if it was ever shared; \
             what is no secret can be marked in its line: `actifix:allow RULE reason`."
        });
    }
}

fn summary(batch: &Batch) -> String {
    let totals = &batch.totals;
    let found = batch.hits.len() as u64 + totals.hits_more;
    let mut text = match found {
        0 => "no secrets found".to_owned(),
        1 => "1 secret found".to_owned(),
        _ => format!("{} secrets found", output::grouped(found)),
    };
    text.push_str(&format!(
        " in {}, {}",
        output::plural(totals.files, "file", "files"),
        output::plural(totals.bytes, "byte", "bytes")
    ));
    if totals.commits + totals.commits_known > 0 {
        text.push_str(&format!(", {}", output::plural(totals.commits, "commit", "commits")));
    }
    if totals.commits_known > 0 {
        let known = output::plural(totals.commits_known, "commit was", "commits were");
        text.push_str(&format!(
            "; {known} read by a former scan, of which only what had findings was read again (--anew reads all)"
        ));
    }
    for (count, what) in [
        (totals.binary, "binary, searched for tokens of known formats only"),
        (totals.skipped, "left out by the configuration"),
        (totals.special, "neither file nor link, not scanned"),
        (totals.submodules, "of a submodule, not scanned"),
        (totals.baselined, "accepted by the baseline"),
        (totals.allowed_inline, "accepted by markers"),
        (totals.allowed_config, "accepted by the configuration"),
        (totals.unread, "could not be read"),
    ] {
        if count > 0 {
            text.push_str(&format!("; {} {what}", output::grouped(count)));
        }
    }
    text
}

/// A scan of nothing must not look like a scan that found nothing.
fn nothing_seen(batch: &Batch, what: &WhatArgs) -> Option<&'static str> {
    let totals = &batch.totals;
    let seen = totals.files + totals.moved + totals.skipped + totals.submodules + totals.unread;
    if seen + totals.commits + totals.commits_known > 0 || !batch.hits.is_empty() {
        return None;
    }
    Some(if what.staged {
        "note: nothing was scanned: no staged file is new or changed"
    } else if what.pre_receive {
        return None;
    } else if what.history.is_some() || what.since_commit.is_some() {
        "warning: nothing was scanned: there are no commits in it"
    } else {
        "warning: nothing was scanned: there are no files, or .gitignore names all of them (--no-ignore reads those, too)"
    })
}
