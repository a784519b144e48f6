//! The checklist of the deployment: what fails stands first, each line with its evidence and what to do.

use super::forms::Viewer;
use super::shell::{Nav, Shell, answer, render};
use super::text::{Marked, marked};
use actifix_app::App;
use actifix_app::doctor::{Check, State as Found};
use actifix_app::error::Error;
use actifix_domain::access::Actor;
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use std::sync::Arc;

/// Characters of evidence or advice that are shown.
const TEXT_CHARS: usize = 1_000;

struct Line {
    id: &'static str,
    word: &'static str,
    class: &'static str,
    icon: &'static str,
    title: &'static str,
    evidence: Marked,
    /// What to do, in words.
    advice: Marked,
    /// The commands that stand in it.
    commands: Vec<String>,
}

struct Tally {
    fail: u32,
    due: u32,
    pass: u32,
    due_at: u32,
    pass_at: u32,
    words: String,
}

#[derive(Template)]
#[template(path = "doctor.html")]
struct DoctorPage {
    s: Shell,
    sentence: String,
    consequence: String,
    looked: bool,
    tally: Tally,
    act_on: Vec<Line>,
    holding: Vec<Line>,
}

/// The checklist.
pub async fn show(State(app): State<Arc<App>>, viewer: Viewer) -> Response {
    let page = async {
        let live = &viewer.0;
        let checks = checks(&app, &live.actor).await?;
        let s = Shell::load(&app, live, Nav::Doctor, "Doctor").await?;
        Ok::<_, Error>(render(&page_of(s, checks)))
    };
    answer(page.await)
}

/// The checks of this installation; none where this process cannot look.
async fn checks(app: &App, actor: &Actor) -> Result<Option<Vec<Check>>, Error> {
    match app.doctor(actor).await {
        Ok(report) => Ok(Some(report.checks)),
        Err(Error::Conflict { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn page_of(mut s: Shell, checks: Option<Vec<Check>>) -> DoctorPage {
    let looked = checks.is_some();
    let mut checks = checks.unwrap_or_default();
    checks.sort_by_key(|check| rank(check.state));
    let count = |state| checks.iter().filter(|check| check.state == state).count();
    let (fail, pass, all) = (count(Found::Fail), count(Found::Pass), checks.len());
    let due = all - fail - pass;
    let sentence = match (looked, fail, due) {
        (false, ..) => "Nothing was checked.".to_owned(),
        (true, 0, 0) => "Every line holds.".to_owned(),
        (true, 0, due) => format!("No line fails, {due} are due."),
        (true, 1, _) => "One line fails.".to_owned(),
        (true, fail, _) => format!("{fail} lines fail."),
    };
    let consequence = if looked {
        format!("{pass} of {all} hold, {due} are due. Checked at {} UTC.", s.clock)
    } else {
        "This process does not look around itself.".to_owned()
    };
    if looked {
        s.title = format!("Doctor: {fail} fail, {due} due");
    }
    let (holding, act_on): (Vec<Check>, Vec<Check>) =
        checks.into_iter().partition(|check| check.state == Found::Pass);
    DoctorPage {
        sentence,
        consequence,
        looked,
        tally: tally(fail, due, pass),
        act_on: act_on.into_iter().map(line).collect(),
        holding: holding.into_iter().map(line).collect(),
        s,
    }
}

/// Worst first.
const fn rank(state: Found) -> u8 {
    match state {
        Found::Fail => 0,
        Found::Unknown => 1,
        Found::Warn => 2,
        Found::Pass => 3,
    }
}

fn tally(fail: usize, due: usize, pass: usize) -> Tally {
    let all = (fail + due + pass).max(1);
    let percent = |many: usize| u32::try_from(many * 100 / all).unwrap_or(100);
    let (fail_percent, due_percent) = (percent(fail), percent(due));
    Tally {
        fail: fail_percent,
        due: due_percent,
        pass: 100 - fail_percent - due_percent,
        due_at: fail_percent,
        pass_at: fail_percent + due_percent,
        words: format!("{fail} fail, {due} due, {pass} pass"),
    }
}

fn line(check: Check) -> Line {
    let (word, class, icon) = match check.state {
        Found::Pass => ("pass", "ok", "check"),
        Found::Fail => ("fail", "bad", "cross"),
        Found::Warn => ("due", "due", "clock"),
        Found::Unknown => ("unknown", "due", "warn"),
    };
    Line {
        id: check.id,
        word,
        class,
        icon,
        title: check.title,
        evidence: marked(&check.evidence, TEXT_CHARS),
        commands: commands(&check.advice),
        advice: marked(&check.advice, TEXT_CHARS),
    }
}

/// What stands between backticks and is one of our commands.
fn commands(advice: &str) -> Vec<String> {
    let quoted = advice.split('`').skip(1).step_by(2);
    quoted.filter(|text| text.starts_with("actifix ")).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use actifix_app::doctor::{Group, Severity};

    fn check(id: &'static str, state: Found, evidence: &str, advice: &str) -> Check {
        Check {
            id,
            group: Group::Access,
            severity: Severity::High,
            title: "what should hold",
            guide: true,
            state,
            evidence: evidence.to_owned(),
            advice: advice.to_owned(),
        }
    }

    #[test]
    fn what_fails_stands_first_with_its_command_and_text_stays_text() {
        let hostile = "<hostile onclick=alert(1)>\u{202E}";
        let checks = vec![
            check("a", Found::Pass, "seen", ""),
            check("b", Found::Warn, hostile, "run `actifix token rotate ID`, not `rm -rf /`"),
            check("c", Found::Fail, "seen", hostile),
            check("d", Found::Unknown, "seen", ""),
        ];
        let page = page_of(Shell::sample(), Some(checks));
        let html = page.render().expect("a page");
        assert!(!html.contains("<hostile") && !html.contains('\u{202E}'), "{html}");
        assert!(html.contains("<title>Doctor: 1 fail, 2 due"), "{html}");
        let at = |id: &str| html.find(&format!("id=\"c-{id}\"")).unwrap_or_else(|| panic!("no {id}"));
        assert!(at("c") < at("d") && at("d") < at("b") && at("b") < at("a"));
        assert!(html.contains(">actifix token rotate ID</code>"), "{html}");
        assert!(!html.contains("rm -rf /</code>"), "{html}");
        assert!(html.contains("aria-label=\"1 fail, 2 due, 1 pass\""), "{html}");
    }

    #[test]
    fn an_empty_look_does_not_pass() {
        let html = page_of(Shell::sample(), None).render().expect("a page");
        assert!(html.contains("Nothing was checked.") && !html.contains(">pass<"), "{html}");
        let html = page_of(Shell::sample(), Some(vec![check("a", Found::Pass, "x", "")]));
        assert!(html.render().expect("a page").contains("Every line holds."));
    }
}
