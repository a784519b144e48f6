//! What is recorded about each act: who did what to which thing, from where, and whether it was let.
//!
//! A record is data of ours: ids, names, words of this list. Text that somebody wrote comes in redacted and bounded.

use crate::id::ProjectId;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;
use std::str::FromStr;

/// Longest actor, target or network of a record, characters.
pub const AUDIT_TEXT_CHARS_MAX: usize = 200;
/// Largest detail of a record, bytes of JSON.
pub const AUDIT_DETAIL_BYTES_MAX: usize = 4 << 10;

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// What was done. Closed: a log whose words are made up by its writers cannot be searched.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action {
            $($(#[$doc])* $name,)*
        }

        impl Action {
            /// All actions.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word used in the log, JSON and on the command line.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

actions! {
    /// Somebody logged in.
    LoginOk = "login.ok",
    /// A login was refused: unknown name, wrong password, disabled, locked; the detail says which.
    LoginFailed = "login.failed",
    /// The right password of an account with a second factor was given; a code is asked for.
    LoginChallenged = "login.challenged",
    /// A login was not looked at: too many, too fast.
    LoginThrottled = "login.throttled",
    /// Somebody logged out.
    Logout = "logout",
    /// Sessions were ended by somebody, or by a change of password, role or state.
    SessionKilled = "session.killed",
    /// An account was made.
    UserCreated = "user.created",
    /// A person got another role.
    UserRoleChanged = "user.role_changed",
    /// An account was closed.
    UserDisabled = "user.disabled",
    /// An account was opened again.
    UserEnabled = "user.enabled",
    /// An account failed so often that only devices that it knows get in.
    UserLocked = "user.locked",
    /// An account that failed too often was let in again.
    UserUnlocked = "user.unlocked",
    /// A password was set.
    PasswordChanged = "password.changed",
    /// Somebody at a sign-in provider may open an account from now on.
    IdentityLinked = "identity.linked",
    /// Nobody at a sign-in provider may open an account any more.
    IdentityUnlinked = "identity.unlinked",
    /// Enrolment of a second factor began.
    TotpStarted = "totp.started",
    /// A second factor is asked for from now on.
    TotpConfirmed = "totp.confirmed",
    /// A second factor is no longer asked for.
    TotpRemoved = "totp.removed",
    /// One of the recovery codes was used.
    TotpRecovered = "totp.recovered",
    /// New recovery codes were made, in the place of the former ones.
    TotpCodesReplaced = "totp.codes_replaced",
    /// An API token was made.
    TokenCreated = "token.created",
    /// An API token was replaced.
    TokenRotated = "token.rotated",
    /// API tokens were revoked.
    TokenRevoked = "token.revoked",
    /// A short-lived token was given out.
    TokenIssued = "token.issued",
    /// A token that is not valid was presented.
    TokenRefused = "token.refused",
    /// Keys that sign short-lived tokens were replaced.
    SigningKeyRotated = "signing_key.rotated",
    /// Somebody asked for what they may not have.
    AccessRefused = "access.refused",
    /// A project was made.
    ProjectCreated = "project.created",
    /// Settings were changed.
    SettingChanged = "setting.changed",
    /// An ingest key was made or taken over.
    KeyCreated = "key.created",
    /// An ingest key was changed.
    KeyChanged = "key.changed",
    /// An ingest key was replaced.
    KeyRotated = "key.rotated",
    /// Windows of a throttle were forgotten, its brake released.
    ThrottleReset = "throttle.reset",
    /// Held tickets were opened by hand.
    ThrottlePromoted = "throttle.promoted",
    /// Quarantined input went through the pipeline again.
    QuarantineReleased = "quarantine.released",
    /// Quarantined input was deleted.
    QuarantineDeleted = "quarantine.deleted",
    /// The state of a finding was set.
    FindingResolved = "finding.resolved",
    /// Retention was run by hand.
    RetentionRun = "retention.run",
    /// A legal hold was set.
    HoldSet = "hold.set",
    /// A legal hold was released.
    HoldReleased = "hold.released",
    /// Source maps of a build were stored.
    SourceMapsUploaded = "source_maps.uploaded",
    /// Source maps were removed by hand.
    SourceMapsRemoved = "source_maps.removed",
    /// A build told of a release: that there is one, when it was finished, what is in it.
    ReleaseSaved = "release.saved",
    /// A build told where a release was brought.
    ReleaseDeployed = "release.deployed",
    /// A release was removed, with its deploys and commits.
    ReleaseRemoved = "release.removed",
    /// Events of another tracker were taken over.
    EventsImported = "events.imported",
    /// A ticket was claimed.
    TicketClaimed = "ticket.claimed",
    /// A lease was prolonged.
    TicketRenewed = "ticket.renewed",
    /// A lease was given back.
    TicketReleased = "ticket.released",
    /// A note was added.
    TicketNoted = "ticket.noted",
    /// Evidence was given.
    TicketSubmitted = "ticket.submitted",
    /// A ticket was resolved.
    TicketResolved = "ticket.resolved",
    /// Agents were let at a ticket.
    TicketApproved = "ticket.approved",
    /// The approval of a ticket for agents was taken back.
    TicketUnapproved = "ticket.unapproved",
    /// A ticket was opened again.
    TicketReopened = "ticket.reopened",
    /// A ticket was ignored.
    TicketIgnored = "ticket.ignored",
    /// Priority, assignee or another field was set.
    TicketChanged = "ticket.changed",
    /// Tickets were merged.
    TicketMerged = "ticket.merged",
    /// A ticket was split.
    TicketSplit = "ticket.split",
    /// A secret of the credential store was written, read or removed, or its key replaced.
    SecretChanged = "secret.changed",
    /// A channel of alerts or a source of signed requests was made, changed, tried or removed.
    WebhookChanged = "webhook.changed",
    /// A rule of alerts was made, changed or removed.
    AlertRuleChanged = "alert_rule.changed",
    /// A backup was made, verified or restored.
    BackupDone = "backup.done",
    /// A step of incident response was taken.
    IncidentStep = "incident.step",
    /// A regular review was signed.
    ReviewRecorded = "review.recorded",
    /// The server started, or its configuration was read again.
    ServerStarted = "server.started",
    /// Old rows of this log were deleted as the retention says.
    AuditPruned = "audit.pruned",
    /// The witness of this log was begun anew.
    AuditWitnessRenewed = "audit.witness_renewed",
}

impl Action {
    /// The action behind a line of a ticket's history.
    pub fn of_ticket(kind: &str) -> Self {
        match kind {
            "claimed" => Self::TicketClaimed,
            "released" => Self::TicketReleased,
            "note" => Self::TicketNoted,
            "submitted" => Self::TicketSubmitted,
            "resolved" => Self::TicketResolved,
            "approved" => Self::TicketApproved,
            "unapproved" => Self::TicketUnapproved,
            "reopened" => Self::TicketReopened,
            "ignored" => Self::TicketIgnored,
            "merged" => Self::TicketMerged,
            "split" => Self::TicketSplit,
            "promoted" => Self::ThrottlePromoted,
            _ => Self::TicketChanged,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Action {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .iter()
            .copied()
            .find(|action| action.as_str() == text)
            .ok_or_else(|| "unknown action, such as login.failed or token.created".to_owned())
    }
}

impl Serialize for Action {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Action {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// How an act ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Done.
    Ok,
    /// Not let.
    Refused,
    /// Let, but it did not work.
    Failed,
}

impl Verdict {
    /// The word used in the log, JSON and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

impl FromStr for Verdict {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Ok, Self::Refused, Self::Failed]
            .into_iter()
            .find(|verdict| verdict.as_str() == text)
            .ok_or_else(|| "unknown result; one of ok, refused, failed".to_owned())
    }
}

/// One act.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AuditRecord {
    /// When.
    pub at: Timestamp,
    /// Who, as [`crate::access::Actor::label`] names them; `anonymous` before a login.
    pub actor: String,
    /// What.
    pub action: Action,
    /// To which thing: an id or name of ours such as `user:jo`, `token:1f…`, a ticket id.
    pub target: String,
    /// In which project.
    pub project: Option<ProjectId>,
    /// Address of the client; none for acts of this machine. Only here, never in a log file.
    pub network: Option<String>,
    /// How it ended.
    pub result: Verdict,
    /// Further facts, an object; redacted.
    pub detail: Value,
}

impl AuditRecord {
    /// An act of the server or of a command that owns the home.
    pub fn system(at: Timestamp, action: Action, target: impl Into<String>) -> Self {
        Self {
            at,
            actor: "system".to_owned(),
            action,
            target: target.into(),
            project: None,
            network: None,
            result: Verdict::Ok,
            detail: json!({}),
        }
    }

    /// The record within its bounds, with control characters taken out; what is too large is cut and says so.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        for text in [&mut self.actor, &mut self.target] {
            *text = bounded_text(text);
        }
        self.network = self.network.map(|text| bounded_text(&text));
        let bytes = self.detail.to_string().len();
        if bytes > AUDIT_DETAIL_BYTES_MAX {
            self.detail = json!({ "cut": true, "bytes": bytes });
        }
        self
    }
}

fn bounded_text(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(AUDIT_TEXT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_has_one_dotted_word_and_comes_back_from_it() {
        let mut words: Vec<&str> = Action::ALL.iter().map(|action| action.as_str()).collect();
        for action in Action::ALL {
            assert_eq!(action.as_str().parse(), Ok(*action));
            assert!(action.as_str().bytes().all(|b| b.is_ascii_lowercase() || b == b'.' || b == b'_'));
        }
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Action::ALL.len());
        assert!("login.OK".parse::<Action>().is_err());
    }

    #[test]
    fn a_record_is_cut_to_its_bounds_and_holds_no_control_characters() {
        let mut record = AuditRecord::system(Timestamp::from_micros(0), Action::LoginFailed, "user:a\r\nb");
        record.actor = "x".repeat(1_000);
        record.detail = json!({ "text": "y".repeat(10_000) });
        let bounded = record.bounded();
        assert_eq!(bounded.target, "user:ab");
        assert_eq!(bounded.actor.chars().count(), AUDIT_TEXT_CHARS_MAX);
        assert_eq!(bounded.detail["cut"], true);
    }
}
