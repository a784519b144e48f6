//! The lines of each list with their evidence.

use super::{GUIDE_REVIEWED, names, parts};
use crate::app::App;
use crate::error::{Error, Result};
use crate::ports::{AuditQuery, TokenRecord};
use actifix_domain::access::Actor;
use actifix_domain::alert::{Signal, Trigger};
use actifix_domain::audit::Action;
use actifix_domain::review::Period;
use actifix_domain::time::{DAY, Timestamp};
use actifix_domain::words::counted;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Rows of one kind that are counted.
const COUNTED_MAX: usize = 1_000;
/// Backups that are tried, until one is whole.
const TRIED_MAX: usize = 5;
/// Age of a token at which its rotation is due, days.
const TOKEN_DAYS: i64 = 30;
/// Age that no service's token may have, days.
const SERVICE_DAYS: i64 = 90;
/// A channel or origin without use for so long is asked about, days.
const UNUSED_DAYS: i64 = 30;
/// Names that are listed.
const NAMED_MAX: usize = 20;

/// Whether a line is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ItemState {
    /// It is.
    Pass,
    /// It is not.
    Due,
}

/// One line of a list.
#[derive(Clone, Debug, Serialize)]
pub struct Item {
    /// Word for programs.
    pub id: &'static str,
    /// The guide's line.
    pub line: &'static str,
    /// Whether it is done.
    pub state: ItemState,
    /// Somebody has to look; it is done when they sign.
    pub by_person: bool,
    /// What was found.
    pub evidence: Vec<String>,
    /// What to do.
    pub next: String,
}

impl Item {
    /// A line that somebody has to look at.
    pub(super) fn look(id: &'static str, line: &'static str, evidence: Vec<String>, next: &str) -> Self {
        Self { id, line, state: ItemState::Due, by_person: true, evidence, next: next.to_owned() }
    }

    /// A line that is judged here: done where nothing is left.
    pub(super) fn judged(
        id: &'static str,
        line: &'static str,
        evidence: Vec<String>,
        wrong: bool,
        next: &str,
    ) -> Self {
        let state = if wrong { ItemState::Due } else { ItemState::Pass };
        Self {
            id,
            line,
            state,
            by_person: false,
            evidence,
            next: if wrong { next.to_owned() } else { String::new() },
        }
    }
}

impl App {
    /// The lines of a list, and what the next review is compared with.
    pub(super) async fn items_of(
        self: &Arc<Self>,
        period: Period,
        since: Timestamp,
        before: &Value,
    ) -> Result<(Vec<Item>, Value)> {
        match period {
            Period::Weekly => {
                let items = vec![self.auth_item(since).await?, self.rates_item()?, self.backup_item().await?];
                Ok((items, json!({})))
            }
            Period::Monthly => {
                let origins = self.settings.cors_origins.clone();
                let (webhooks, channels) = self.webhook_item(before).await?;
                let made_of = self.reviews.components.get().map_or(&[][..], Vec::as_slice);
                let (dependencies, components) = parts::item(made_of, before);
                let items = vec![
                    self.token_item().await?,
                    self.origin_item(&origins, before),
                    self.name_item().await,
                    webhooks,
                    dependencies,
                ];
                Ok((items, json!({ "origins": origins, "webhooks": channels, "components": components })))
            }
            Period::Quarterly => {
                let items = vec![code_item(), self.guide_item(), pentest_item(), self.service_item().await?];
                Ok((items, json!({})))
            }
        }
    }

    async fn auth_item(&self, since: Timestamp) -> Result<Item> {
        let mut evidence = Vec::new();
        for (action, what) in [
            (Action::LoginFailed, "failed logins"),
            (Action::LoginThrottled, "logins that came too fast"),
            (Action::UserLocked, "accounts locked"),
            (Action::TokenRefused, "refused tokens"),
            (Action::AccessRefused, "refused requests"),
        ] {
            let (many, more) = self.count_acts(action, since).await?;
            evidence.push(format!(
                "{many}{} {what} since {}",
                if more { " or more" } else { "" },
                date(since)
            ));
        }
        let report = self.store.verify_audit().await?;
        let intact = if report.intact { "whole" } else { "NOT whole" };
        evidence.push(format!("audit log: rows {} to {}, {intact}", report.first, report.last));
        let mut item = Item::look(
            "auth_logs",
            "Review authentication logs",
            evidence,
            "look at `actifix audit list --action login.failed` and `actifix logs tail --auth`, then sign with --record --by NAME",
        );
        if !report.intact {
            item.by_person = false;
            item.next = "`actifix audit verify` says where; docs/incidents.md says what to do".to_owned();
        }
        Ok(item)
    }

    async fn count_acts(&self, action: Action, since: Timestamp) -> Result<(usize, bool)> {
        let (mut many, mut cursor) = (0usize, None);
        loop {
            let query = AuditQuery {
                since: Some(since),
                action: Some(action),
                cursor,
                limit: 200,
                ..AuditQuery::default()
            };
            let page = self.store.audit_log(query).await?;
            many += page.items.len();
            cursor = page.next_cursor;
            if cursor.is_none() || many >= COUNTED_MAX {
                return Ok((many, cursor.is_some()));
            }
        }
    }

    fn rates_item(&self) -> Result<Item> {
        let busiest = self.busiest(&Actor::System)?;
        let mut evidence: Vec<String> = busiest
            .iter()
            .take(NAMED_MAX)
            .map(|busy| {
                let times = counted(busy.count, "time", "times");
                format!("{} {}: refused {times}, last {}", busy.class, busy.key, busy.last_at)
            })
            .collect();
        if evidence.is_empty() {
            evidence.push("nobody was refused by a limit since the server started".to_owned());
        }
        if self.settings.rate_limit_disabled {
            evidence.push("limits are switched off (ACTIFIX_RATE_LIMIT_DISABLED)".to_owned());
        }
        let next = "are the limits right for those who reached them? `actifix config show` tells them; sign with --record --by NAME";
        Ok(Item::look("rate_limits", "Check rate limiter metrics", evidence, next))
    }

    /// The drill: the newest backup is restored and looked at; where it is not whole, the one before it, and so on.
    async fn backup_item(self: &Arc<Self>) -> Result<Item> {
        let line = "Verify backup integrity";
        let (mut evidence, mut wrong, mut whole) = (Vec::new(), false, false);
        let backups = match self.list_backups(&Actor::System).await {
            Ok(backups) => backups,
            Err(Error::Conflict { message, .. }) => {
                return Ok(Item::judged(
                    "backup_integrity",
                    line,
                    vec![message],
                    true,
                    "look on the server itself",
                ));
            }
            Err(error) => return Err(error),
        };
        for backup in backups.iter().take(TRIED_MAX) {
            let name = &backup.file.name;
            match self.verify_backup(&Actor::System, Some(name)).await {
                Ok(verdict) if verdict.intact => {
                    evidence.push(format!(
                        "{name}: restored on trial, whole, audit log up to {}",
                        verdict.audit_head
                    ));
                    whole = true;
                    break;
                }
                Ok(verdict) => {
                    let fault = verdict.faults.first().map_or("not told", String::as_str);
                    evidence.push(format!("{name}: cannot be restored: {fault}"));
                }
                Err(error) => evidence.push(format!("{name}: {}", crate::backup::told(&error))),
            }
            wrong = true;
        }
        if wrong {
            let title = "A backup that was tried cannot be restored";
            let mut signal = Signal::new(Trigger::Backup, self.now(), "backup:drill", title);
            signal.detail = evidence.join("; ");
            self.raise_signals(vec![signal]).await?;
        }
        if backups.is_empty() {
            evidence.push("there are no backups".to_owned());
        }
        let next =
            "make a new one now: `actifix backup create`, then `actifix backup verify` (docs/backups.md)";
        Ok(Item::judged("backup_integrity", line, evidence, wrong || !whole, next))
    }

    async fn token_item(&self) -> Result<Item> {
        let now = self.now();
        let mut tokens = self.live_tokens(&Actor::System).await?;
        tokens.retain(|token| !token.replaced);
        tokens.sort_by_key(|token| token.created_at);
        let old = tokens.iter().filter(|token| age(token, now) >= TOKEN_DAYS).count();
        let mut evidence: Vec<String> = tokens
            .iter()
            .take(NAMED_MAX)
            .map(|token| {
                let used = token
                    .last_used_at
                    .map_or_else(|| "never used".to_owned(), |at| format!("used {}", date(at)));
                format!("{} ({}): {} d old, {used}", token.name, token.id, age(token, now))
            })
            .collect();
        evidence.push(format!("{old} of {} older than {TOKEN_DAYS} d", tokens.len()));
        let next = "`actifix token rotate ID --overlap 24h` for each old one; `actifix token revoke ID` for what nobody uses";
        Ok(Item::judged("tokens", "Rotate API tokens", evidence, old > 0, next))
    }

    fn origin_item(&self, origins: &[String], before: &Value) -> Item {
        let mut evidence = vec![if origins.is_empty() {
            "no origins are configured: pages of localhost alone may read answers".to_owned()
        } else {
            format!("origins: {}", origins.join(", "))
        }];
        evidence.extend(changes("origins", origins, before));
        let far = self.settings.public_url.starts_with("https://");
        let local = |origin: &&String| {
            origin.starts_with("http://")
                || ["localhost", "127.0.0.1", "[::1]"].iter().any(|host| origin.contains(host))
        };
        if let Some(origin) = origins.iter().find(local).filter(|_| far) {
            evidence.push(format!("{origin} is of a developer's machine, and this server is public"));
            let next = "take it out of cors.allowed_origins, then SIGHUP";
            return Item::judged("cors_origins", "Review and update CORS origins", evidence, true, next);
        }
        let next =
            "is each still needed? change cors.allowed_origins and SIGHUP; sign with --record --by NAME";
        Item::look("cors_origins", "Review and update CORS origins", evidence, next)
    }

    async fn name_item(&self) -> Item {
        let found = match self.surroundings() {
            Ok(surroundings) => surroundings.names().await,
            Err(_) => Vec::new(),
        };
        names::item(&found, &self.settings.outbound)
    }

    async fn webhook_item(&self, before: &Value) -> Result<(Item, Vec<String>)> {
        let now = self.now();
        let (mut evidence, mut names, mut wrong) = (Vec::new(), Vec::new(), false);
        for view in self.endpoints(&Actor::System).await? {
            let record = view.record;
            let idle = record.last_success_at.unwrap_or(record.created_at);
            let unused = now.since(idle) >= UNUSED_DAYS * DAY;
            let failing = record.streak > 0 || record.disabled_reason.is_some();
            wrong |= unused || failing;
            let state = match (&record.disabled_reason, record.enabled) {
                (Some(reason), _) => format!("switched off by the server: {reason}"),
                (None, false) => "switched off".to_owned(),
                _ if record.streak > 0 => {
                    format!("failed {}", counted(record.streak.into(), "time", "times in a row"))
                }
                _ if unused => format!("nothing delivered for {UNUSED_DAYS} d or more"),
                _ => format!("last delivery {}", date(idle)),
            };
            evidence.push(format!("{} ({} to {}): {state}", record.name, record.kind, record.place));
            names.push(record.name);
        }
        evidence.extend(changes("webhooks", &names, before));
        evidence.truncate(NAMED_MAX);
        if names.is_empty() {
            evidence.push("there are none".to_owned());
        }
        let line = "Audit webhook configurations";
        let item = if wrong {
            let next =
                "`actifix webhook test NAME`, or remove what nobody needs: `actifix webhook remove NAME`";
            Item::judged("webhooks", line, evidence, true, next)
        } else {
            let next = "does each still lead to the right people? sign with --record --by NAME";
            Item::look("webhooks", line, evidence, next)
        };
        Ok((item, names))
    }

    fn guide_item(&self) -> Item {
        let reviewed = Timestamp::parse(&format!("{GUIDE_REVIEWED}T00:00:00Z")).unwrap_or_default();
        let days = self.now().since(reviewed) / DAY;
        let evidence = vec![format!(
            "docs/SECURITY_HARDENING.md was held against the code on {GUIDE_REVIEWED}, {days} d ago"
        )];
        let next = "take over a newer release, or read the guide against this deployment; sign with --record --by NAME";
        Item::look("guide", "Review and update this guide", evidence, next)
    }

    async fn service_item(&self) -> Result<Item> {
        let now = self.now();
        let tokens = self.live_tokens(&Actor::System).await?;
        let old: Vec<&TokenRecord> =
            tokens.iter().filter(|token| !token.replaced && age(token, now) >= SERVICE_DAYS).collect();
        let mut evidence =
            vec![format!("{} live tokens, {} older than {SERVICE_DAYS} d", tokens.len(), old.len())];
        evidence.extend(old.iter().take(NAMED_MAX).map(|token| format!("{} ({})", token.name, token.id)));
        let signs = self.signing_keys(&Actor::System).await?.into_iter().find(|key| key.retires_at.is_none());
        let stale = signs.as_ref().is_some_and(|key| now.since(key.created_at) >= SERVICE_DAYS * DAY);
        evidence.push(signs.map_or_else(
            || "no key signed access tokens yet".to_owned(),
            |key| format!("the key that signs access tokens is of {}", date(key.created_at)),
        ));
        if let Ok(status) = self.vault.status()
            && let Some(at) = status.recorded_at
        {
            evidence.push(format!("the root key ({}) is of {}", status.backend, date(at)));
        }
        let next = "`actifix token rotate ID`, `actifix token keys rotate`, `actifix secrets rotate-key`";
        let line = "Credential rotation for service accounts";
        Ok(Item::judged("service_accounts", line, evidence, !old.is_empty() || stale, next))
    }
}

fn code_item() -> Item {
    let evidence =
        vec!["changes of your own, rules of your own, proxies and units around the server".to_owned()];
    let next =
        "review them, `actifix scan --history` in their repository; sign with --record --by 'NAME, COMMIT'";
    Item::look("code_audit", "Security audit of custom code", evidence, next)
}

fn pentest_item() -> Item {
    let evidence =
        vec!["`cargo xtask pentest` attacks a real server on loopback and fails on any finding".to_owned()];
    let next =
        "run it on the version that you serve, read docs/security-tests.md; sign with --record --by NAME";
    Item::look("penetration_test", "Penetration testing (if applicable)", evidence, next)
}

fn age(token: &TokenRecord, now: Timestamp) -> i64 {
    now.since(token.created_at) / DAY
}

/// What came and what went since the last review.
fn changes(what: &str, now: &[String], before: &Value) -> Option<String> {
    let before: BTreeSet<&str> = before.get(what)?.as_array()?.iter().filter_map(Value::as_str).collect();
    let now: BTreeSet<&str> = now.iter().map(String::as_str).collect();
    let list = |names: Vec<&&str>| {
        let names: Vec<&str> = names.into_iter().copied().take(NAMED_MAX).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    let (came, went) = (list(now.difference(&before).collect()), list(before.difference(&now).collect()));
    Some(format!("since the last review: new {came}; gone {went}"))
}

fn date(at: Timestamp) -> String {
    at.to_string().chars().take(10).collect()
}
