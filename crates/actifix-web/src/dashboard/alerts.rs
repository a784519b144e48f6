//! Rules of alerts: who is told of what. A rule is tried on the last seven days before it is saved.

use super::acts::{self, Done, Question};
use super::forms::{Fields, Sent, Viewer, encoded, see};
use super::shell::{Nav, Shell, answer, base, render};
use super::text::{Marked, counted, grouped, many, marked, span};
use actifix_app::App;
use actifix_app::alerts::{DryRun, RuleView};
use actifix_app::error::Error;
use actifix_app::sessions::LiveSession;
use actifix_domain::alert::{AlertRule, Conditions, DailyHours, QuietHours, Rate, Trigger};
use actifix_domain::event::Level;
use actifix_domain::project::Project;
use actifix_domain::ticket::Priority;
use actifix_domain::time::MINUTE;
use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;
use std::str::FromStr;
use std::sync::Arc;

struct Row {
    name: String,
    edit: String,
    enabled: bool,
    default: bool,
    triggers: String,
    when: Marked,
    channels: String,
    pace: String,
}

/// What a rule listens for, for people.
pub const fn trigger_words(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::New => "new ticket",
        Trigger::Regressed => "came back",
        Trigger::Raised => "more urgent",
        Trigger::Rate => "many events",
        Trigger::Spike => "spike",
        Trigger::Users => "many users",
        Trigger::Brake => "brake",
        Trigger::Finding => "leaked secret",
        Trigger::Resolved => "resolved",
        Trigger::Doctor => "failed check",
        Trigger::Expiry => "ends soon",
        Trigger::Backup => "failed backup",
    }
}

/// A word that may be chosen.
struct Choice {
    value: String,
    label: String,
    on: bool,
}

/// The form, as it was sent or as a rule stands.
struct Form {
    name: String,
    enabled: bool,
    projects: Vec<Choice>,
    triggers: Vec<Choice>,
    rate_count: String,
    rate_minutes: String,
    users: String,
    priorities: Vec<Choice>,
    levels: Vec<Choice>,
    environment: String,
    release: String,
    source: String,
    tags: String,
    channels: Vec<Choice>,
    cooldown: String,
    burst: String,
    digest: String,
    quiet: String,
    quiet_except: Vec<Choice>,
}

struct Trial {
    from: String,
    matched: String,
    sent: String,
    digests: String,
    repeated: String,
    messages: Vec<Marked>,
    inexact: String,
}

#[derive(Template)]
#[template(path = "alerts.html")]
struct AlertsPage {
    s: Shell,
    rows: Vec<Row>,
    sentence: (String, &'static str),
    form: Form,
    trial: Option<Trial>,
}

/// Which rule the form shows.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RulesQuery {
    edit: String,
    #[serde(flatten)]
    done: Done,
}

/// What the form shows besides a rule that is there.
enum Draft<'a> {
    /// A rule as it was read.
    Rule(&'a AlertRule),
    /// What was sent and cannot be read: its writer mends it.
    Fields(&'a Fields),
}

/// Rules.
pub async fn list(State(app): State<Arc<App>>, viewer: Viewer, Query(query): Query<RulesQuery>) -> Response {
    answer(page(&app, &viewer.0, query, None, String::new(), None).await)
}

async fn page(
    app: &App,
    live: &LiveSession,
    query: RulesQuery,
    draft: Option<Draft<'_>>,
    problem: String,
    trial: Option<DryRun>,
) -> Result<Response, Error> {
    let rules = app.rules(&live.actor).await?;
    let channels: Vec<String> =
        app.endpoints(&live.actor).await?.into_iter().map(|view| view.record.name).collect();
    let projects = app.projects(&live.actor).await?;
    let s = Shell::load(app, live, Nav::Alerts, "Alert rules").await?.done(&query.done).refused(problem);
    let edited = rules.iter().find(|view| view.rule.name == query.edit).map(|view| view.rule.clone());
    let form = match draft {
        Some(Draft::Fields(fields)) => as_sent(fields, &channels, &projects),
        Some(Draft::Rule(rule)) => form(rule, &channels, &projects),
        None => form(&edited.unwrap_or_default(), &channels, &projects),
    };
    Ok(render(&AlertsPage {
        sentence: sentence(&rules),
        rows: rules.iter().map(|view| row(view, &projects)).collect(),
        form,
        trial: trial.map(of_trial),
        s,
    }))
}

/// A fact about all rules, and what follows from it.
fn sentence(rules: &[RuleView]) -> (String, &'static str) {
    let on = rules.iter().filter(|view| view.rule.enabled).count();
    match (rules.iter().all(|view| view.is_default), on) {
        (true, _) => ("The default rules hold.".to_owned(), "The first rule of your own ends them."),
        (false, 0) => ("Every rule is switched off.".to_owned(), "Nobody is told of anything."),
        (false, 1) => ("One rule of your own holds.".to_owned(), "The defaults do not."),
        (false, on) => {
            let on = counted(u64::try_from(on).unwrap_or(u64::MAX));
            (format!("{on} rules of your own hold."), "The defaults do not.")
        }
    }
}

fn row(view: &RuleView, projects: &[Project]) -> Row {
    let rule = &view.rule;
    let mut when = Vec::new();
    if let Some(id) = rule.project {
        let name = projects.iter().find(|project| project.id == id).map(|project| project.name.as_str());
        when.push(format!("project {}", name.unwrap_or("that is gone")));
    }
    if let Some(priority) = rule.when.priority_min {
        when.push(format!("{} or more urgent", priority.as_str()));
    }
    if let Some(level) = rule.when.level_min {
        when.push(format!("{} or more severe", level.as_str()));
    }
    for (word, globs) in [
        ("environment", &rule.when.environment),
        ("release", &rule.when.release),
        ("place", &rule.when.source),
    ] {
        if !globs.is_empty() {
            when.push(format!("{word} {}", globs.join(" or ")));
        }
    }
    when.extend(rule.when.tags.iter().map(|(tag, glob)| format!("{tag}:{glob}")));
    if let Some(rate) = rule.rate {
        when.push(format!("{} in {} min", many(rate.count.into(), "event"), rate.minutes));
    }
    if let Some(users) = rule.users {
        when.push(many(users, "user"));
    }
    if let Some(quiet) = &rule.quiet {
        when.push(format!("not {}", quiet.hours));
    }
    Row {
        name: rule.name.clone(),
        edit: encoded(&rule.name),
        enabled: rule.enabled,
        default: view.is_default,
        triggers: rule.triggers.iter().map(|of| trigger_words(*of)).collect::<Vec<_>>().join(", "),
        when: marked(&when.join("; "), 400),
        channels: if rule.endpoints.is_empty() { "all".to_owned() } else { rule.endpoints.join(", ") },
        pace: format!(
            "{} in {}, again after {}",
            rule.burst,
            span(i64::from(rule.digest_minutes) * MINUTE),
            span(i64::from(rule.cooldown_minutes) * MINUTE)
        ),
    }
}

fn choices<T: Copy + PartialEq>(
    all: &[T],
    word: fn(T) -> &'static str,
    chosen: impl Fn(T) -> bool,
) -> Vec<Choice> {
    let choice =
        |of: &T| Choice { value: word(*of).to_owned(), label: word(*of).to_owned(), on: chosen(*of) };
    all.iter().map(choice).collect()
}

fn form(rule: &AlertRule, channels: &[String], projects: &[Project]) -> Form {
    let number = |value: Option<u64>| value.map(|value| value.to_string()).unwrap_or_default();
    let tags = rule.when.tags.iter().map(|(tag, glob)| format!("{tag}:{glob}")).collect::<Vec<_>>();
    let except = rule.quiet.as_ref().and_then(|quiet| quiet.except);
    Form {
        name: rule.name.clone(),
        enabled: rule.enabled,
        projects: projects
            .iter()
            .map(|project| Choice {
                value: project.id.to_string(),
                label: project.name.clone(),
                on: rule.project == Some(project.id),
            })
            .collect(),
        triggers: Trigger::ALL
            .iter()
            .map(|of| Choice {
                value: of.as_str().to_owned(),
                label: trigger_words(*of).to_owned(),
                on: rule.triggers.contains(of),
            })
            .collect(),
        rate_count: number(rule.rate.map(|rate| rate.count.into())),
        rate_minutes: number(rule.rate.map(|rate| rate.minutes.into())),
        users: number(rule.users),
        priorities: choices(&Priority::ALL, Priority::as_str, |of| rule.when.priority_min == Some(of)),
        levels: choices(&Level::ALL, Level::as_str, |of| rule.when.level_min == Some(of)),
        environment: rule.when.environment.join(", "),
        release: rule.when.release.join(", "),
        source: rule.when.source.join(", "),
        tags: tags.join(", "),
        channels: channels
            .iter()
            .map(|name| Choice {
                value: name.clone(),
                label: name.clone(),
                on: rule.endpoints.contains(name),
            })
            .collect(),
        cooldown: rule.cooldown_minutes.to_string(),
        burst: rule.burst.to_string(),
        digest: rule.digest_minutes.to_string(),
        quiet: rule.quiet.as_ref().map(|quiet| quiet.hours.to_string()).unwrap_or_default(),
        quiet_except: choices(&Priority::ALL, Priority::as_str, |of| except == Some(of)),
    }
}

/// The form as it was sent.
fn as_sent(fields: &Fields, channels: &[String], projects: &[Project]) -> Form {
    let text = |name: &str| fields.get(name).unwrap_or_default().to_owned();
    let blank = form(&AlertRule::default(), channels, projects);
    let chosen = |name: &str, choices: Vec<Choice>| -> Vec<Choice> {
        let on = |choice: Choice| Choice { on: fields.all(name).any(|sent| sent == choice.value), ..choice };
        choices.into_iter().map(on).collect()
    };
    Form {
        name: text("name"),
        enabled: fields.get("enabled").is_some(),
        projects: chosen("project", blank.projects),
        triggers: chosen("triggers", blank.triggers),
        rate_count: text("rate_count"),
        rate_minutes: text("rate_minutes"),
        users: text("users"),
        priorities: chosen("priority_min", blank.priorities),
        levels: chosen("level_min", blank.levels),
        environment: text("environment"),
        release: text("release"),
        source: text("source"),
        tags: text("tags"),
        channels: chosen("channels", blank.channels),
        cooldown: text("cooldown"),
        burst: text("burst"),
        digest: text("digest"),
        quiet: text("quiet"),
        quiet_except: chosen("quiet_except", blank.quiet_except),
    }
}

fn of_trial(run: DryRun) -> Trial {
    Trial {
        from: run.from.to_string(),
        matched: grouped(run.matched),
        sent: many(run.would_have_sent, "message"),
        digests: grouped(run.digests),
        repeated: grouped(run.repeated),
        messages: run.messages.iter().map(|message| marked(message, 300)).collect(),
        inexact: run.inexact.join(", "),
    }
}

/// One value of a form through its parser; empty is none.
fn parsed<T: FromStr>(fields: &Fields, name: &'static str, wanted: &'static str) -> Result<Option<T>, Error> {
    let text = fields.get(name).map(str::trim).filter(|text| !text.is_empty());
    text.map(|text| text.parse().map_err(|_| Error::invalid(name, wanted))).transpose()
}

/// Words with commas between them.
fn listed(fields: &Fields, name: &str) -> Vec<String> {
    let text = fields.get(name).unwrap_or_default();
    text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn rule_of(fields: &Fields) -> Result<AlertRule, Error> {
    const NUMBER: &str = "a whole number";
    let defaults = AlertRule::default();
    let triggers: Result<Vec<Trigger>, _> = fields.all("triggers").map(str::parse).collect();
    let rate = match (parsed(fields, "rate_count", NUMBER)?, parsed(fields, "rate_minutes", NUMBER)?) {
        (None, None) => None,
        (Some(count), Some(minutes)) => Some(Rate { count, minutes }),
        _ => return Err(Error::invalid("rate", "give both: how many events, in how many minutes")),
    };
    let quiet = match fields.get("quiet").map(str::trim).filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => Some(QuietHours {
            hours: text.parse::<DailyHours>().map_err(|why| Error::invalid("quiet", why.to_string()))?,
            except: parsed(fields, "quiet_except", "P0 to P4")?,
        }),
    };
    let tags = listed(fields, "tags").into_iter().map(|pair| {
        pair.split_once(':')
            .map(|(tag, glob)| (tag.trim().to_owned(), glob.trim().to_owned()))
            .ok_or_else(|| Error::invalid("tags", "name:glob, with commas between them"))
    });
    Ok(AlertRule {
        name: fields.get("name").unwrap_or_default().trim().to_owned(),
        project: parsed(fields, "project", "a project of the list")?,
        enabled: fields.get("enabled").is_some(),
        triggers: triggers.map_err(|why| Error::invalid("triggers", why))?,
        rate,
        users: parsed(fields, "users", NUMBER)?,
        when: Conditions {
            priority_min: parsed(fields, "priority_min", "P0 to P4")?,
            level_min: parsed(fields, "level_min", "a level of the list")?,
            environment: listed(fields, "environment"),
            release: listed(fields, "release"),
            source: listed(fields, "source"),
            tags: tags.collect::<Result<_, _>>()?,
        },
        endpoints: fields.all("channels").map(str::to_owned).collect(),
        cooldown_minutes: parsed(fields, "cooldown", NUMBER)?.unwrap_or(defaults.cooldown_minutes),
        burst: parsed(fields, "burst", NUMBER)?.unwrap_or(defaults.burst),
        digest_minutes: parsed(fields, "digest", NUMBER)?.unwrap_or(defaults.digest_minutes),
        quiet,
    })
}

/// Tries, saves and removes rules.
pub async fn act(State(app): State<Arc<App>>, sent: Sent) -> Response {
    let actor = &sent.live.actor;
    let act = sent.fields.get("act").unwrap_or_default();
    if act == "remove" {
        return remove(&app, &sent).await;
    }
    let rule = match rule_of(&sent.fields) {
        Ok(rule) => rule,
        Err(error) => {
            let (query, draft) = (RulesQuery::default(), Some(Draft::Fields(&sent.fields)));
            return acts::again(error, |why| page(&app, &sent.live, query, draft, why, None)).await;
        }
    };
    let result = match act {
        "try" => match app.dry_run_rule(actor, rule.clone()).await {
            Ok(run) => {
                let (query, draft) = (RulesQuery::default(), Some(Draft::Rule(&rule)));
                return answer(page(&app, &sent.live, query, draft, String::new(), Some(run)).await);
            }
            Err(error) => Err(error),
        },
        "save" => app.save_rule(actor, rule.clone()).await.map(|_| ()),
        _ => Err(acts::unknown()),
    };
    match result {
        Ok(()) => see(&format!("{}/alerts?done=rule", base(&app))),
        Err(error) => {
            let (query, draft) = (RulesQuery::default(), Some(Draft::Rule(&rule)));
            acts::again(error, |why| page(&app, &sent.live, query, draft, why, None)).await
        }
    }
}

async fn remove(app: &App, sent: &Sent) -> Response {
    let actor = &sent.live.actor;
    let name = sent.fields.get("name").unwrap_or_default();
    let known = match app.rules(actor).await {
        Ok(rules) => rules.iter().any(|view| !view.is_default && view.rule.name == name),
        Err(error) => return acts::failed(error),
    };
    if !known {
        return acts::failed(Error::NotFound { what: "alert rule" });
    }
    if acts::is_sure(sent) {
        return match app.remove_rule(actor, name).await {
            Ok(()) => see(&format!("{}/alerts?done=unruled", base(app))),
            Err(error) => acts::failed(error),
        };
    }
    let question = Question {
        nav: Nav::Alerts,
        path: "/alerts",
        fact: format!("Remove the rule {name}?"),
        consequence: "Nobody is told by it any more. Without rules of your own the defaults hold again.",
        button: format!("Remove {name}"),
        fields: vec![("act", "remove".to_owned()), ("name", name.to_owned())],
        password: false,
        further: None,
    };
    acts::ask(app, &sent.live, question).await
}
