//! The checklist of the deployment: what fails stands first, each line with its evidence and what to do.

use super::acts::{self, Done, End, News};
use super::forms::{Sent, Viewer};
use super::shell::{Nav, Shell, answer, render};
use super::text::{Marked, When, are, marked};
use actifix_app::App;
use actifix_app::doctor::{Check, DoctorReport, Group, State as Found};
use actifix_app::error::Error;
use actifix_app::sessions::LiveSession;
use askama::Template;
use axum::extract::{Query, State};
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
    /// What to do: words, and what is to be typed.
    advice: Vec<(bool, Marked)>,
    /// The commands that stand in it.
    commands: Vec<String>,
}

/// Checks of one kind that hold.
struct Area {
    name: &'static str,
    fact: String,
    lines: Vec<Line>,
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
    /// When somebody looked; none where this process cannot.
    looked: Option<When>,
    tally: Tally,
    act_on: Vec<Line>,
    holding: Vec<Area>,
}

/// The checklist as it was found last: to look takes probes and a reading of the whole audit log.
pub async fn show(State(app): State<Arc<App>>, viewer: Viewer, Query(done): Query<Done>) -> Response {
    answer(page(&app, &viewer.0, done.into()).await)
}

async fn page(app: &App, live: &LiveSession, news: News) -> Result<Response, Error> {
    let report = match app.examined(&live.actor).await {
        Ok(report) => Some(report),
        // Nobody looks around this process.
        Err(Error::Conflict { .. }) => None,
        Err(error) => return Err(error),
    };
    let s = Shell::load(app, live, Nav::Doctor, "Doctor").await?.news(news);
    Ok(render(&page_of(s, report)))
}

/// Looks anew.
pub async fn act(State(app): State<Arc<App>>, sent: Sent) -> Response {
    let ended = match sent.fields.get("act") {
        Some("look") => app.doctor(&sent.live.actor).await.map(|_| End::Word("checked")),
        _ => Err(acts::unknown()),
    };
    acts::finish(&app, "/doctor", ended, |news| page(&app, &sent.live, news)).await
}

fn page_of(mut s: Shell, report: Option<DoctorReport>) -> DoctorPage {
    let Some(report) = report else {
        return DoctorPage {
            sentence: "Nothing was checked.".to_owned(),
            consequence: "This process does not look around itself.".to_owned(),
            looked: None,
            tally: tally(0, 0, 0),
            act_on: Vec::new(),
            holding: Vec::new(),
            s,
        };
    };
    let mut checks = report.checks;
    checks.sort_by_key(|check| rank(check.state));
    let (fail, pass, all) = (report.counts.fail, report.counts.pass, checks.len());
    let due = all.saturating_sub(fail + pass);
    let be = |many: usize| are(u64::try_from(many).unwrap_or(u64::MAX));
    let sentence = match (fail, due) {
        (0, 0) => "Every line holds.".to_owned(),
        (0, due) => format!("No line fails, {due} {} due.", be(due)),
        (1, _) => "One line fails.".to_owned(),
        (fail, _) => format!("{fail} lines fail."),
    };
    let strictly = if report.production { ", judged as a production deployment" } else { "" };
    let also = if fail == 0 { String::new() } else { format!(", {due} {} due", be(due)) };
    let consequence = format!("{pass} of {all} hold{also}{strictly}.");
    s.title = format!("Doctor: {fail} fail, {due} due");
    let holding = Group::ALL.into_iter().filter_map(|group| area(group, &checks)).collect();
    DoctorPage {
        sentence,
        consequence,
        looked: Some(When::new(report.checked_at, s.now)),
        tally: tally(fail, due, pass),
        act_on: checks.into_iter().filter(|check| check.state != Found::Pass).map(line).collect(),
        holding,
        s,
    }
}

/// What holds of a group.
fn area(group: Group, checks: &[Check]) -> Option<Area> {
    let of: Vec<&Check> = checks.iter().filter(|check| check.group == group).collect();
    let lines: Vec<Line> =
        of.iter().filter(|check| check.state == Found::Pass).map(|check| line((*check).clone())).collect();
    let fact = match of.len() - lines.len() {
        0 => format!("all {} pass", of.len()),
        1 => format!("{} of {} pass, the other stands above", lines.len(), of.len()),
        _ => format!("{} of {} pass, the others stand above", lines.len(), of.len()),
    };
    let name = match group {
        Group::Access => "Access",
        Group::Secrets => "Secrets",
        Group::Network => "Network",
        Group::Data => "Data",
        Group::Operation => "Operation",
    };
    (!lines.is_empty()).then_some(Area { name, fact, lines })
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
    let commands = commands(&check.advice);
    // A command that is all of the advice stands below once, to be copied.
    let is_all = matches!(commands.as_slice(), [only] if check.advice == format!("run `{only}`"));
    let advice = if is_all { "" } else { &check.advice };
    Line {
        id: check.id,
        word,
        class,
        icon,
        title: check.title,
        evidence: marked(&check.evidence, TEXT_CHARS),
        commands,
        advice: advice
            .split('`')
            .enumerate()
            .map(|(place, text)| (place % 2 == 1, marked(text, TEXT_CHARS)))
            .filter(|(_, text)| !text.is_empty())
            .collect(),
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
    use actifix_app::doctor::{Counts, Severity};
    use actifix_domain::time::SECOND;

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

    fn report(checks: Vec<Check>) -> DoctorReport {
        let count = |state| checks.iter().filter(|check| check.state == state).count();
        let counts = Counts {
            pass: count(Found::Pass),
            warn: count(Found::Warn),
            unknown: count(Found::Unknown),
            fail: count(Found::Fail),
        };
        let checked_at = Shell::sample().now.plus(-20 * SECOND);
        DoctorReport { checked_at, production: false, healthy: counts.fail == 0, counts, checks }
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
        let page = page_of(Shell::sample(), Some(report(checks)));
        let html = page.render().expect("a page");
        assert!(!html.contains("<hostile") && !html.contains('\u{202E}'), "{html}");
        assert!(html.contains("<title>Doctor: 1 fail, 2 due"), "{html}");
        let at = |id: &str| html.find(&format!("id=\"c-{id}\"")).unwrap_or_else(|| panic!("no {id}"));
        assert!(at("c") < at("d") && at("d") < at("b") && at("b") < at("a"));
        assert!(html.contains(">actifix token rotate ID</code>"), "{html}");
        assert_eq!(html.matches("data-copy").count(), 1, "only commands of ours are offered: {html}");
        assert!(html.contains("aria-label=\"1 fail, 2 due, 1 pass\""), "{html}");
        assert!(html.contains("One line fails.") && html.contains("1 of 4 hold, 2 are due."), "{html}");
        assert!(html.contains("1 of 4 pass, the others stand above"), "{html}");
    }

    #[test]
    fn an_empty_look_does_not_pass() {
        let html = page_of(Shell::sample(), None).render().expect("a page");
        assert!(html.contains("Nothing was checked.") && !html.contains(">pass<"), "{html}");
        let html = page_of(Shell::sample(), Some(report(vec![check("a", Found::Pass, "x", "")])));
        let html = html.render().expect("a page");
        assert!(html.contains("Every line holds.") && html.contains(">20 s ago</time>"), "{html}");
    }
}
