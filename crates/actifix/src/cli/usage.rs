//! Errors in the words of the command line: one line for what the parser refuses, and options instead of the names
//! that the API has for them.

use super::CliError;
use super::output::cut;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgMatches, Command, CommandFactory};
use std::error::Error as _;

/// Characters of a value that an error repeats.
const VALUE_CHARS_MAX: usize = 40;
/// Names of the API whose options are called otherwise.
const RENAMED: [(&str, &str); 7] = [
    ("scopes", "scope"),
    ("days", "expires"),
    ("overlap_hours", "overlap"),
    ("import", "key"),
    ("rate_per_minute", "events"),
    ("allowed_origins", "origins"),
    ("type", "error_type"),
];

/// Options that other programs have and ours has not, and what does the same here: the parser knows likenesses of
/// letters, not of meaning.
const MEANT: [(&str, &[&str], &str); 1] = [(
    "actifix serve",
    &["--port", "-p", "--bind", "-b", "--listen", "-l", "--host", "--address", "--addr"],
    "the address is a setting: `ACTIFIX_LISTENERS__MAIN__BIND=127.0.0.1:8000 actifix serve`, or `bind` below [listeners.main] in actifix.toml",
)];

/// The same of commands: below which, what people type, and what does it here.
const MEANT_COMMANDS: [(&str, &[&str], &str); 5] = [
    ("actifix", &["init", "start", "up", "server", "setup"], "`actifix serve` makes a home and starts it"),
    (
        "actifix",
        &["status", "health", "check"],
        "`actifix doctor` looks at the deployment, `actifix ticket list` at what came in",
    ),
    (
        "actifix",
        &["login", "signin"],
        "commands on the same machine need none; elsewhere they take ACTIFIX_URL and ACTIFIX_TOKEN (`actifix token create`)",
    ),
    (
        "actifix ticket",
        &["resolve", "close", "fix", "done"],
        "`actifix ticket complete` resolves it, with evidence",
    ),
    ("actifix ticket", &["unapprove", "disapprove"], "`actifix ticket approve --withdraw` takes it back"),
];

/// Names of the commands that were chosen, outermost first.
pub fn chosen(matches: &ArgMatches) -> Vec<String> {
    let mut names = Vec::new();
    let mut inner = matches.subcommand();
    while let Some((name, matches)) = inner {
        names.push(name.to_owned());
        inner = matches.subcommand();
    }
    names
}

/// An error of the API with the options of the command where it names its own fields.
pub fn in_words_of(root: &Command, chosen: &[String], error: CliError) -> CliError {
    let mut command = root;
    for name in chosen {
        match command.find_subcommand(name) {
            Some(inner) => command = inner,
            None => break,
        }
    }
    let options: Vec<&Arg> = command.get_arguments().filter(|arg| !arg.is_global_set()).collect();
    error.map_fields(
        |field| {
            let id = RENAMED.iter().find(|(name, _)| *name == field).map_or(field, |(_, id)| *id);
            // `from[0].x` is about `from`.
            let id = id.split(['.', '[']).next().unwrap_or(id);
            options.iter().find(|arg| arg.get_id() == id).map_or_else(|| field.to_owned(), |arg| name_of(arg))
        },
        |message| {
            let named = options.iter().filter(|arg| arg.get_long().is_some());
            named
                .filter(|arg| arg.get_id().as_str().contains('_'))
                .fold(message.to_owned(), |text, arg| text.replace(arg.get_id().as_str(), &name_of(arg)))
        },
    )
}

fn name_of(arg: &Arg) -> String {
    match (arg.get_long(), arg.get_value_names()) {
        (Some(long), _) => format!("--{long}"),
        (None, Some([name, ..])) => name.to_string(),
        (None, _) => arg.get_id().as_str().to_ascii_uppercase(),
    }
}

/// Names of the commands below the chosen ones.
fn subcommands(chosen: &[String]) -> Vec<String> {
    let mut command = &super::Cli::command();
    for name in chosen {
        let Some(inner) = command.find_subcommand(name) else { break };
        command = inner;
    }
    command.get_subcommands().map(|inner| inner.get_name().to_owned()).collect()
}

/// What the parser refused, in one line: what, why, what to do.
///
/// `chosen` are the commands as far as they were understood.
pub fn refused(error: &clap::Error, chosen: &[String]) -> CliError {
    let command =
        std::iter::once("actifix").chain(chosen.iter().map(String::as_str)).collect::<Vec<_>>().join(" ");
    let help = format!("`{command} --help` tells more");
    let argument = all(error, ContextKind::InvalidArg).join(", ");
    let value = one(error, ContextKind::InvalidValue);
    CliError::usage(match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let typed = one(error, ContextKind::InvalidSubcommand);
            let meant = MEANT_COMMANDS
                .iter()
                .find(|(of, names, _)| *of == command && names.contains(&typed.as_str()));
            if let Some((.., instead)) = meant {
                return CliError::usage(format!("{typed}: unknown command; {instead}"));
            }
            let word = word(&typed);
            let near = nearest(error, ContextKind::SuggestedSubcommand);
            format!("{word}unknown command{near} `{command} --help` lists all")
        }
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let known = subcommands(chosen);
            let known: Vec<&str> = known.iter().map(String::as_str).filter(|name| *name != "help").collect();
            let known = if known.is_empty() { String::new() } else { format!(": {}", known.join(", ")) };
            format!("{command}: a command is missing{known}; {help}")
        }
        // A value in the wrong place may be a secret: it is not repeated.
        ErrorKind::UnknownArgument if !argument.starts_with('-') => {
            format!("one argument too many: `{command}` takes none like it here; {help}")
        }
        ErrorKind::UnknownArgument => {
            let name = argument.split('=').next().unwrap_or_default();
            let meant = MEANT.iter().find(|(of, names, _)| *of == command && names.contains(&name));
            if let Some((.., instead)) = meant {
                return CliError::usage(format!("{name}: unknown option of `{command}`; {instead}"));
            }
            let near = nearest(error, ContextKind::SuggestedArg);
            format!("{}: unknown option of `{command}`{near} {help}", cut(name, VALUE_CHARS_MAX))
        }
        ErrorKind::InvalidValue if value.is_empty() => {
            format!("{}: its value is missing; {help}", bare(&argument))
        }
        ErrorKind::InvalidValue => {
            let known = all(error, ContextKind::ValidValue).join(", ");
            let near = nearest(error, ContextKind::SuggestedValue);
            format!(
                "{}: {:?} is not one of {known}{near} {help}",
                bare(&argument),
                cut(&value, VALUE_CHARS_MAX)
            )
        }
        ErrorKind::ValueValidation => {
            let why = error.source().map(ToString::to_string).unwrap_or_else(|| "not right".to_owned());
            format!("{}: {}; {help}", bare(&argument), plain(why.lines().next().unwrap_or_default()))
        }
        ErrorKind::MissingRequiredArgument => {
            let missing: Vec<String> =
                all(error, ContextKind::InvalidArg).iter().map(|arg| bare(arg)).collect();
            format!("{}: missing; write `{}`", missing.join(", "), usage(error).unwrap_or(command))
        }
        ErrorKind::ArgumentConflict => {
            let prior = all(error, ContextKind::PriorArg);
            let prior: Vec<String> =
                prior.iter().map(|arg| bare(arg)).filter(|arg| *arg != bare(&argument)).collect();
            match prior.is_empty() {
                true => format!("{}: given more than once; once is enough", bare(&argument)),
                false => format!("{}: not together with {}; {help}", bare(&argument), prior.join(", ")),
            }
        }
        ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues | ErrorKind::TooManyValues => {
            format!("{}: not this many values; {help}", bare(&argument))
        }
        ErrorKind::InvalidUtf8 => format!("an argument is not UTF-8 text; {help}"),
        _ => {
            let said = error.to_string();
            let first = said.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
            format!("{}; {help}", first.trim_start_matches("error: "))
        }
    })
}

/// What the parser says of numbers, in the words of people.
fn plain(why: &str) -> &str {
    match why {
        "invalid digit found in string" | "cannot parse integer from empty string" => "not a whole number",
        "number too large to fit in target type" => "the number is too large",
        other => other,
    }
}

/// `--sort <SORT>` without its placeholder, `<MESSAGE>` without brackets.
fn bare(argument: &str) -> String {
    let first = argument.split_whitespace().next().unwrap_or_default();
    let name = if first.starts_with('-') { first.split('=').next().unwrap_or(first) } else { first };
    name.trim_matches(['<', '>', '[', ']', '.']).to_owned()
}

/// A mistyped word, quoted; nothing where it could be anything.
fn word(typed: &str) -> String {
    let is_word = (1..=24).contains(&typed.len())
        && typed.bytes().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'_'));
    if is_word { format!("{typed}: ") } else { String::new() }
}

/// The likeliest of the parser's suggestions, which it gives last.
fn nearest(error: &clap::Error, kind: ContextKind) -> String {
    match all(error, kind).last() {
        Some(near) => format!("; did you mean `{near}`?"),
        None => ";".to_owned(),
    }
}

fn one(error: &clap::Error, kind: ContextKind) -> String {
    all(error, kind).into_iter().next().unwrap_or_default()
}

fn all(error: &clap::Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        Some(ContextValue::StyledStr(text)) => vec![text.to_string()],
        Some(ContextValue::StyledStrs(texts)) => texts.iter().map(ToString::to_string).collect(),
        Some(ContextValue::Number(number)) => vec![number.to_string()],
        _ => Vec::new(),
    }
}

/// `actifix record <MESSAGE>`
fn usage(error: &clap::Error) -> Option<String> {
    let text = one(error, ContextKind::Usage);
    let line = text.trim_start().strip_prefix("Usage:")?.lines().next()?.trim();
    // Where its variable is set, the parser takes it for a part of the command.
    (!line.is_empty()).then(|| line.replace("--home <DIR> ", "").replace("[OPTIONS] ", ""))
}
