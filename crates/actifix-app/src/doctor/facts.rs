//! What is known of a deployment before anybody judges it.

use crate::ports::{AuditReport, BackupView};
use actifix_domain::clock::Jump;
use actifix_domain::id::ProjectId;
use actifix_domain::time::Timestamp;
use std::net::SocketAddr;

/// Everything that checks are decided from.
#[derive(Clone, Debug)]
pub struct Facts {
    /// What the program sees.
    pub site: Deployment,
    /// What the store tells.
    pub kept: Kept,
}

/// What the program sees.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// The server was started with `--production`.
    pub production: bool,
    /// Where the root key is.
    pub key: KeyPlace,
    /// What looks like a secret in the configuration file: line and rule.
    pub planted: Vec<(usize, String)>,
    /// Files and directories that hold data.
    pub files: Vec<FileFact>,
    /// Listeners.
    pub listeners: Vec<ListenerFact>,
    /// `server.public_url`, if it is set.
    pub public_url: Option<String>,
    /// A trusted proxy is named.
    pub trusted_proxies: bool,
    /// `server.allow_plain_http`
    pub allow_plain_http: bool,
    /// `ACTIFIX_RATE_LIMIT_DISABLED=1`
    pub rate_limit_disabled: bool,
    /// Limits with what they are set to.
    pub limits: Vec<(&'static str, u64)>,
    /// `cors.allowed_origins`
    pub allowed_origins: Vec<String>,
    /// The server's own log.
    pub logs: LogFacts,
    /// Where backups are kept.
    pub backups: BackupFacts,
    /// Repositories whose commits should be scanned.
    pub repositories: Vec<RepositoryFact>,
    /// The scanner of this program finds what it should.
    pub scanner_works: bool,
    /// The machine.
    pub machine: Machine,
    /// What a running server answers; none where none runs.
    pub live: Option<Live>,
}

/// Where the root key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPlace {
    /// The environment, a file elsewhere, or a credential store: named for people.
    Apart(String),
    /// A file within the home, where backups and copies of the home take it along.
    InHome(String),
}

/// What a file belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// The database and whatever is no other area.
    Data,
    /// The server's own log.
    Logs,
    /// Backups.
    Backups,
}

/// A file or directory that holds data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFact {
    /// Relative to the home.
    pub path: String,
    /// What it belongs to.
    pub area: Area,
    /// What is wrong with its mode, owner or kind.
    pub wrong: Option<String>,
}

/// One listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerFact {
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// It speaks TLS.
    pub tls: bool,
    /// It carries more than ingest and health.
    pub serves_people: bool,
}

impl ListenerFact {
    /// Only this machine can reach it.
    pub fn is_loopback(&self) -> bool {
        self.address.ip().to_canonical().is_loopback()
    }

    /// It listens on every address.
    pub fn is_everywhere(&self) -> bool {
        self.address.ip().to_canonical().is_unspecified()
    }
}

/// The server's own log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogFacts {
    /// Its directory is there.
    pub is_there: bool,
    /// Bytes of all files together.
    pub bytes: u64,
    /// Most that they may have.
    pub bytes_max: u64,
    /// Bytes of the largest.
    pub largest_bytes: u64,
    /// At this size a file is closed and a new one begun.
    pub file_bytes_max: u64,
    /// Closed files.
    pub closed_files: usize,
    /// When the last one was closed.
    pub closed_at: Option<Timestamp>,
}

/// Where backups are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackupFacts {
    /// Recipients who can read them.
    pub recipients: usize,
    /// The directory.
    pub directory: String,
    /// Files in it that are not encrypted.
    pub plain: Vec<String>,
    /// Files of the home that hold a key by which backups can be read.
    pub identities: Vec<String>,
    /// Why the directory could not be looked at.
    pub unreadable: Option<String>,
}

/// A repository whose commits should be scanned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryFact {
    /// Where.
    pub path: String,
    /// What scans its commits: a hook, a file of its CI.
    pub guards: Vec<String>,
    /// Why that could not be looked at.
    pub unreadable: Option<String>,
}

/// The machine; none where the system does not tell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Machine {
    /// Core files of this process.
    pub core: Option<CoreFact>,
    /// Randomness that the kernel says to have, bits.
    pub entropy_bits: Option<u64>,
    /// The system's clock is kept right by others.
    pub is_synchronised: Option<bool>,
    /// Latest change of a file of the database.
    pub newest_file_at: Option<Timestamp>,
    /// The disk of the database.
    pub disk: Option<DiskFact>,
    /// The file system of the database.
    pub file_system: Option<FileSystemFact>,
    /// Other processes that have the database open.
    pub holders: Option<Vec<Holder>>,
    /// Processes that could not be looked at.
    pub hidden_processes: usize,
}

/// Core files of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoreFact {
    /// Largest core file, bytes; none is without limit.
    pub bytes_max: Option<u64>,
    /// Others of the same user may look into its memory; none where there is no such switch.
    pub is_dumpable: Option<bool>,
}

/// A disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskFact {
    /// Free bytes.
    pub free_bytes: u64,
    /// All bytes.
    pub total_bytes: u64,
}

/// A file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSystemFact {
    /// Kind as the system names it: `ext4`.
    pub kind: String,
    /// Where it begins.
    pub mount: String,
    /// Whether it is encrypted.
    pub encryption: Encryption,
}

/// Whether what lies on a disk is encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// By this.
    By(String),
    /// The system does not tell of any.
    Unknown,
}

/// A process that has the database open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its number.
    pub pid: u32,
    /// Name of its program.
    pub program: String,
    /// Version of the SQLite in it, where that could be found.
    pub engine: Option<String>,
}

/// What a running server answers.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// What was seen of the certificate at the public address; none where that is not https.
    pub tls: Option<TlsProbe>,
    /// Answers over several statuses.
    pub answers: Vec<Answer>,
    /// Places that did not answer, and why.
    pub silent: Vec<String>,
    /// Whether too many requests are refused.
    pub rate: RateProbe,
    /// What this process really listens on; none where the system does not tell.
    pub sockets: Option<Vec<SocketAddr>>,
    /// Listeners of this machine alone that answered on an address of the network.
    pub leaking: Vec<String>,
    /// Addresses of the network from which they were tried.
    pub tried_from: usize,
}

/// What was seen of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsProbe {
    /// Its chain and name are good.
    Good {
        /// When it ends.
        expires_at: Timestamp,
        /// Version of the protocol.
        protocol: String,
    },
    /// It is refused; why.
    Refused(String),
    /// Nobody answered; why.
    Unreached(String),
}

/// One answer of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// By which way it came: `listeners.main`, `server.public_url`.
    pub place: String,
    /// What was asked.
    pub asked: String,
    /// Status.
    pub status: u16,
    /// The server takes the client to have come over HTTPS.
    pub https: bool,
    /// Header fields, names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Answer {
    /// All values of a field.
    pub fn values(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }
}

/// Whether too many requests are refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RateProbe {
    /// Nobody tried, or nobody answered.
    #[default]
    Untried,
    /// This request was refused with 429.
    Refused {
        /// Its number.
        at: u32,
    },
    /// None of so many was.
    NeverRefused {
        /// How many.
        asked: u32,
    },
}

/// What the store tells.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Now.
    pub now: Timestamp,
    /// Accounts of administrators that are open.
    pub admins: Vec<AdminFact>,
    /// Tokens that end soon and were not replaced.
    pub ending_tokens: Vec<TokenFact>,
    /// Channels of alerts that are switched on, and what is wrong with the address of each.
    pub webhooks: Vec<(String, Option<String>)>,
    /// All channels.
    pub channels: Vec<ChannelFact>,
    /// Rules that apply.
    pub rules: Vec<RuleFact>,
    /// Backups, newest first.
    pub backups: Vec<BackupView>,
    /// Hours between two; none: none are made.
    pub backup_every_hours: Option<u32>,
    /// When the root key in use was recorded.
    pub root_key_since: Option<Timestamp>,
    /// The last look for damage that ended.
    pub integrity: Option<IntegrityFact>,
    /// What is wrong with the audit log; none where it was not read.
    pub audit: Option<AuditReport>,
    /// When something was last recorded there.
    pub last_act_at: Option<Timestamp>,
    /// The clock is not where it can be: nothing is deleted by its age.
    pub clock_jump: Option<Jump>,
    /// Version of the database engine.
    pub engine_version: String,
}

/// An administrator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminFact {
    /// Name of the account.
    pub name: String,
    /// The password is kept with less work than the least that is good.
    pub is_weak: bool,
}

/// A token that ends soon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFact {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whole hours left.
    pub hours_left: i64,
}

/// A channel of alerts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelFact {
    /// Its name.
    pub name: String,
    /// Only for this project.
    pub project: Option<ProjectId>,
    /// Switched on.
    pub enabled: bool,
    /// Failed attempts in a row.
    pub streak: u32,
    /// Class of the last failure.
    pub last_failure: Option<String>,
    /// Why the server switched it off.
    pub disabled_reason: Option<String>,
}

/// A rule of alerts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleFact {
    /// Its name.
    pub name: String,
    /// Switched on.
    pub enabled: bool,
    /// Only for this project.
    pub project: Option<ProjectId>,
    /// That project was removed.
    pub project_is_gone: bool,
    /// Names of channels; empty = all.
    pub channels: Vec<String>,
}

/// A look for damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntegrityFact {
    /// When it ended.
    pub at: Timestamp,
    /// Nothing was wrong.
    pub intact: bool,
}
