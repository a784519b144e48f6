//! Errors of the command line: one line that says what, why and what to do, and an exit code.

use crate::home::Home;
use actifix_app::error::Error;
use std::fmt;
use std::io;
use std::path::Path;

/// Why a command did not do what it should.
#[derive(Debug)]
pub struct CliError {
    message: String,
    /// Fields of the API that were wrong, and why; then this is said instead of the message.
    fields: Vec<(String, String)>,
    code: u8,
}

/// Exit codes (`sysexits.h` where it has one).
pub mod exit {
    /// Whoever read the output has read enough (`| head`): nothing is wrong, and nothing is left to do.
    pub const READ_ENOUGH: u8 = 0;
    /// Usage or input.
    pub const USAGE: u8 = 2;
    /// Server cannot be reached.
    pub const UNAVAILABLE: u8 = 69;
    /// A file cannot be made.
    pub const CANNOT_CREATE: u8 = 73;
    /// Input or output failed.
    pub const IO: u8 = 74;
    /// Try later.
    pub const TRY_LATER: u8 = 75;
    /// The configuration is refused.
    pub const CONFIG: u8 = 78;
}

/// Where things are listed that were not found.
const LISTS: [(&str, &str); 11] = [
    ("project", "project list"),
    ("key", "project key list PROJECT"),
    ("ticket", "ticket list --all"),
    ("finding", "findings list"),
    ("account", "user list"),
    ("token", "token list"),
    ("secret", "secrets list"),
    ("webhook", "webhook list"),
    ("alert rule", "webhook rule list"),
    ("inbound source", "webhook inbound list"),
    ("delivery", "webhook deliveries"),
];

/// What the system says about a file, and what to do about it.
fn advised(said: &str) -> String {
    let words = said.split(" (os error").next().unwrap_or(said);
    match words {
        "No such file or directory" => "no such file: check the path".to_owned(),
        "Permission denied" => "permission denied: run this as the user that it belongs to".to_owned(),
        "Is a directory" => "is a directory: name a file".to_owned(),
        "No space left on device" => "no space left on the device: make room, then try again".to_owned(),
        other => other.to_owned(),
    }
}

impl CliError {
    /// An error with its exit code.
    pub fn new(code: u8, message: impl Into<String>) -> Self {
        Self { message: message.into(), fields: Vec::new(), code }
    }

    /// Wrong arguments or input.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(exit::USAGE, message)
    }

    /// Nothing of ours is where somebody looks for it.
    pub fn no_home(home: &Home) -> Self {
        let place = std::path::absolute(home.root()).unwrap_or_else(|_| home.root().to_owned());
        Self::usage(format!(
            "no home at {}: `actifix serve` makes one; where there is one already, name it with --home or ACTIFIX_HOME",
            place.display()
        ))
    }

    /// Wrong arguments, by an error that says so.
    pub fn usage_of(error: impl fmt::Display) -> Self {
        Self::usage(error.to_string())
    }

    /// A file that cannot be read or written.
    pub fn io(path: &Path, error: impl fmt::Display) -> Self {
        Self::new(exit::IO, format!("{}: {}", path.display(), advised(&error.to_string())))
    }

    /// Anything else of the system.
    pub fn other(error: impl fmt::Display) -> Self {
        Self::new(exit::IO, error.to_string())
    }

    /// Output that could not be written. A closed pipe is the reader's choice.
    pub fn written(error: impl Into<io::Error>) -> Self {
        let error = error.into();
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(exit::READ_ENOUGH, "nobody reads on"),
            _ => Self::other(error),
        }
    }

    /// The configuration is refused.
    pub fn config(error: impl fmt::Display) -> Self {
        Self::new(exit::CONFIG, error.to_string())
    }

    /// The vault cannot be opened.
    pub fn from_vault(error: crate::vault::VaultError) -> Self {
        use crate::vault::VaultError;
        use std::io::ErrorKind::{ReadOnlyFilesystem, StorageFull};
        match &error {
            VaultError::Io { source, .. } if matches!(source.kind(), ReadOnlyFilesystem | StorageFull) => {
                Self::new(exit::IO, format!("{error}: a home must lie where it can be written"))
            }
            _ => Self::config(error),
        }
    }

    /// The database cannot be opened.
    pub fn from_open(error: actifix_store::OpenError) -> Self {
        use actifix_store::OpenError;
        use actifix_store::files::FileError;
        let code = match &error {
            OpenError::File(FileError::Locked { .. }) => exit::TRY_LATER,
            OpenError::Schema(_)
            | OpenError::Engine { .. }
            | OpenError::Lost { .. }
            | OpenError::LogLost { .. } => exit::CONFIG,
            _ => exit::IO,
        };
        Self::new(code, error.to_string())
    }

    /// From an answer of the API: its status, its `detail`, and the fields that were wrong.
    pub fn from_answer(status: u16, detail: &str, fields: Vec<(String, String)>) -> Self {
        let code = match status {
            429 | 503 => exit::TRY_LATER,
            500..=599 => exit::UNAVAILABLE,
            _ => exit::USAGE,
        };
        let list =
            LISTS.iter().find(|(what, _)| status == 404 && detail.strip_suffix(" not found") == Some(*what));
        let detail = match list {
            Some((_, list)) => format!("{detail}: `actifix {list}` shows all"),
            None => detail.to_owned(),
        };
        Self { fields, ..Self::new(code, detail) }
    }

    /// With other names of the fields that were wrong, and other words about them.
    pub fn map_fields(mut self, name: impl Fn(&str) -> String, words: impl Fn(&str) -> String) -> Self {
        for (field, message) in &mut self.fields {
            *field = name(field);
            *message = words(message);
        }
        self.message = match self.message.split_once(": ") {
            // A text of the API that begins with a field.
            Some((field, rest)) if name(field) != field => format!("{}: {}", name(field), words(rest)),
            _ => words(&self.message),
        };
        self
    }

    /// What the process exits with.
    pub const fn exit_code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.fields.is_empty() {
            return f.write_str(&self.message);
        }
        for (place, (field, message)) in self.fields.iter().enumerate() {
            write!(f, "{}{field}: {message}", if place > 0 { "; " } else { "" })?;
        }
        Ok(())
    }
}

impl From<Error> for CliError {
    fn from(error: Error) -> Self {
        match &error {
            Error::Unavailable { .. } | Error::Throttled { .. } => {
                Self::new(exit::TRY_LATER, error.to_string())
            }
            Error::Invalid(fields) => {
                let fields =
                    fields.iter().map(|wrong| (wrong.field.clone(), wrong.message.clone())).collect();
                Self { fields, ..Self::usage(error.to_string()) }
            }
            Error::Damaged { .. } => Self::new(exit::IO, error.to_string()),
            Error::Internal(source) => Self::new(exit::IO, format!("internal error: {source}")),
            _ => Self::usage(error.to_string()),
        }
    }
}
