//! Every check: its name, what it is about, who judges it, and when.

use super::{Check, Facts, Found, Group, Severity, State, boxes, machine, probes, upkeep};

/// One check before it has looked.
pub(super) struct Entry {
    pub(super) id: &'static str,
    pub(super) group: Group,
    pub(super) severity: Severity,
    pub(super) title: &'static str,
    /// A box of the guide's checklist.
    pub(super) guide: bool,
    /// Where nobody else reaches the server, a failure only warns.
    pub(super) production_only: bool,
    judge: fn(&Facts) -> Found,
    /// What `serve --production` asks instead, and refuses where it does not hold: no server can be asked yet.
    at_start: Option<fn(&Facts) -> Found>,
}

impl Entry {
    const fn new(
        id: &'static str,
        group: Group,
        severity: Severity,
        title: &'static str,
        judge: fn(&Facts) -> Found,
    ) -> Self {
        Self { id, group, severity, title, guide: false, production_only: false, judge, at_start: None }
    }

    const fn guide(mut self) -> Self {
        self.guide = true;
        self
    }

    const fn production_only(mut self) -> Self {
        self.production_only = true;
        self
    }

    const fn at_start(mut self) -> Self {
        self.at_start = Some(self.judge);
        self
    }

    const fn at_start_by(mut self, judge: fn(&Facts) -> Found) -> Self {
        self.at_start = Some(judge);
        self
    }

    fn check(&self, found: Found, production: bool) -> Check {
        let Found { mut state, evidence, advice } = found;
        if state == State::Fail && self.production_only && !production {
            state = State::Warn;
        }
        let Self { id, group, severity, title, guide, .. } = *self;
        Check { id, group, severity, title, guide, state, evidence, advice }
    }
}

/// Every check, by group, in the order in which they are shown.
pub(super) const CHECKS: [Entry; 26] = {
    use Group::{Access, Data, Network, Operation, Secrets};
    use Severity::{Critical, High, Low, Medium};
    [
        Entry::new("admin_password", Access, Critical, "an admin password is set", boxes::admin_password)
            .guide()
            .production_only()
            .at_start(),
        Entry::new("token_expiry", Access, Low, "tokens are rotated before they end", upkeep::token_expiry)
            .at_start(),
        Entry::new(
            "audit_chain",
            Access,
            Critical,
            "the audit log is as it was written",
            upkeep::audit_chain,
        ),
        Entry::new(
            "secret_backend",
            Secrets,
            Critical,
            "secrets are sealed under a key that is kept apart",
            boxes::secret_backend,
        )
        .guide()
        .production_only()
        .at_start(),
        Entry::new(
            "secret_scan",
            Secrets,
            Medium,
            "code is scanned for secrets before it is shared",
            boxes::secret_scan,
        )
        .guide()
        .production_only(),
        Entry::new(
            "core_dumps",
            Secrets,
            High,
            "no memory with keys is written to disk",
            machine::core_dumps,
        ),
        Entry::new("entropy", Secrets, Critical, "the system has randomness", machine::entropy),
        Entry::new("tls", Network, Critical, "clients come over HTTPS only", boxes::tls)
            .guide()
            .production_only()
            .at_start_by(boxes::tls_settings),
        Entry::new("headers", Network, High, "security headers are on every answer", probes::headers).guide(),
        Entry::new("rate_limit", Network, High, "rates are limited", boxes::rate_limit)
            .guide()
            .at_start_by(boxes::rate_limit_settings),
        Entry::new("cors", Network, High, "only listed https origins may read answers", boxes::cors)
            .guide()
            .production_only()
            .at_start(),
        Entry::new(
            "exposure",
            Network,
            High,
            "the API is reachable only from where it should be",
            probes::exposure,
        )
        .guide(),
        Entry::new("webhooks", Network, High, "webhook addresses are https", boxes::webhooks)
            .guide()
            .at_start(),
        Entry::new(
            "db_mode",
            Data,
            Critical,
            "the database and all other data are for the owner only",
            boxes::db_mode,
        )
        .guide()
        .at_start(),
        Entry::new(
            "backup",
            Data,
            Critical,
            "backups are encrypted, and their key is elsewhere",
            boxes::backup,
        )
        .guide()
        .production_only(),
        Entry::new(
            "backup_verified",
            Data,
            High,
            "the newest backup is young and was restored once",
            upkeep::backup_verified,
        )
        .production_only(),
        Entry::new("integrity", Data, Critical, "nothing that is kept is damaged", upkeep::integrity),
        Entry::new(
            "sqlite_version",
            Data,
            Critical,
            "the database engine loses nothing",
            upkeep::sqlite_version,
        ),
        Entry::new(
            "foreign_sqlite",
            Data,
            Critical,
            "no other program has the database open",
            machine::foreign_sqlite,
        ),
        Entry::new("disk_space", Data, High, "the disk has room", machine::disk_space),
        Entry::new("file_system", Data, High, "the file system keeps what is written", machine::file_system),
        Entry::new(
            "encryption_at_rest",
            Data,
            Medium,
            "the file system is encrypted",
            machine::encryption_at_rest,
        ),
        Entry::new("logs", Operation, Medium, "logs are private and rotated", boxes::logs).guide().at_start(),
        Entry::new("clock", Operation, High, "the clock is right", machine::clock),
        Entry::new("webhook_delivery", Operation, High, "alerts arrive", upkeep::webhook_delivery),
        Entry::new("alert_rules", Operation, Medium, "alert rules reach somebody", upkeep::alert_rules),
    ]
};

/// Ids of all checks, in order.
pub fn check_ids() -> Vec<&'static str> {
    CHECKS.iter().map(|entry| entry.id).collect()
}

/// What these facts mean.
pub fn judge(facts: &Facts, production: bool) -> Vec<Check> {
    CHECKS.iter().map(|entry| entry.check((entry.judge)(facts), production)).collect()
}

/// The checks that need nothing but the configuration, the files and the store, as `serve --production` judges them.
pub fn start_checks(facts: &Facts) -> Vec<Check> {
    CHECKS.iter().filter_map(|entry| Some(entry.check((entry.at_start?)(facts), true))).collect()
}
