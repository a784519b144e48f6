//! The command line: one definition feeds the parser, `--help`, completions and man pages.

mod admin;
mod audit;
mod backup;
mod client;
mod config;
mod diagnostics;
mod doctor;
mod error;
mod export;
mod hook;
mod identity;
mod ids;
mod import;
mod incident;
mod ingest;
mod interrupt;
mod logs;
mod output;
mod project;
mod proxy_config;
mod records;
mod reference;
mod release;
mod remote;
mod retention;
mod review;
mod scan;
mod secrets;
mod serve;
mod sheet;
mod signing_keys;
mod sourcemaps;
mod throttle;
mod ticket;
mod totp;
mod upkeep;
mod usage;
mod webhook;

pub use error::{CliError, exit};
pub use hook::installed as installed_hooks;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;
use std::path::PathBuf;
use std::process::ExitCode;

/// Self-hosted error tracker: SDK errors in, redacted tickets out.
#[derive(Debug, Parser)]
#[command(
    name = "actifix",
    version,
    max_term_width = 100,
    after_help = "Examples:\n  actifix serve --demo                     look around with sample data\n  actifix serve                            start in this directory\n  SENTRY_DSN=$(actifix dsn) python app.py  point an SDK at it\n  actifix ticket list --priority P0,P1     what is urgent"
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Home of the installation.
    #[arg(
        long,
        global = true,
        env = "ACTIFIX_HOME",
        value_name = "DIR",
        default_value = ".",
        help_heading = "Global options"
    )]
    pub home: PathBuf,
    /// Print JSON instead of text.
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    Serve(serve::ServeArgs),
    /// Print the DSN of a project.
    #[command(after_help = "Examples:\n  actifix dsn\n  SENTRY_DSN=$(actifix dsn shop) python app.py")]
    Dsn {
        /// Name or id.
        #[arg(default_value = "default")]
        project: String,
    },
    /// Record an error.
    Record(records::RecordArgs),
    /// Run a program; when it fails, record the end of its standard error.
    Run(records::RunArgs),
    /// Turn other sources into events.
    #[command(subcommand, after_help = "Example:\n  journalctl -fu shop -o cat | actifix ingest logs -")]
    Ingest(ingest::IngestCommand),
    /// Work on tickets.
    #[command(
        subcommand,
        after_help = "Examples:\n  actifix ticket list --priority P0,P1\n  actifix ticket show 7K3QF            the end of an id is enough\n  actifix ticket claim 7K3QF\n  actifix ticket complete 7K3QF --root-cause 'timeout was 2 s' \\\n    --commit 3f2a91c --no-test-reason 'configuration only'"
    )]
    Ticket(ticket::TicketCommand),
    /// Look at events.
    #[command(
        subcommand,
        after_help = "Examples:\n  actifix events tail --project shop\n  actifix events show 9ec79c33ec9942ab8353589fcb2e04dc --json"
    )]
    Events(upkeep::EventsCommand),
    /// Projects and their ingest keys.
    #[command(
        subcommand,
        after_help = "Examples:\n  actifix project create shop\n  actifix project show shop\n  actifix project key list shop"
    )]
    Project(project::ProjectCommand),
    /// Releases: what began and ended with them, where they were brought.
    #[command(
        subcommand,
        after_help = "Examples:\n  actifix release list --project shop\n  actifix release show shop@1.4.0\n  actifix release deploys shop@1.4.0"
    )]
    Release(release::ReleaseCommand),
    /// Source maps, with which minified frames are shown as they were written.
    #[command(
        subcommand,
        after_help = "Examples:\n  actifix sourcemaps list --project shop\n  actifix sourcemaps remove --project shop 12"
    )]
    Sourcemaps(sourcemaps::SourceMapsCommand),
    /// API tokens.
    #[command(
        subcommand,
        after_help = "Examples:\n  actifix token create --name ci --role operator\n  actifix token list\n  actifix token revoke 0123456789abcdef"
    )]
    Token(project::TokenCommand),
    /// Secrets that the configuration refers to, and the root key.
    #[command(
        subcommand,
        after_help = "Examples:\n  actifix secrets set smtp.password     asked for without echo\n  actifix secrets list\n  actifix secrets status"
    )]
    Secrets(secrets::SecretsCommand),
    /// Who is told of what: channels, rules, deliveries.
    #[command(
        subcommand,
        after_help = "Examples:\n  actifix webhook add ops --stdin        the address is never an argument\n  actifix webhook test ops\n  actifix webhook rule list\n  actifix webhook deliveries ops --state dead"
    )]
    Webhook(webhook::WebhookCommand),
    /// Look for secrets in files, commits and histories.
    Scan(scan::ScanArgs),
    /// Let git look for secrets before each commit.
    #[command(subcommand, after_help = "Examples:\n  actifix hook install\n  actifix hook status")]
    Hook(hook::HookCommand),
    /// Secrets found in events.
    #[command(
        subcommand,
        after_help = "Examples:\n  actifix findings list --state open\n  actifix findings show 3f9a            the start of an id is enough\n  actifix findings resolve 3f9a --state rotated"
    )]
    Findings(upkeep::FindingsCommand),
    /// Input that could not be redacted.
    #[command(
        subcommand,
        after_help = "Examples:\n  actifix quarantine list\n  actifix quarantine release 01f3"
    )]
    Quarantine(upkeep::QuarantineCommand),
    /// Flood protection.
    #[command(
        subcommand,
        after_help = "Examples:\n  actifix throttle status --project shop\n  actifix throttle promote --project shop --limit 10"
    )]
    Throttle(throttle::ThrottleCommand),
    /// The administrator's account.
    #[command(subcommand, after_help = "Example:\n  actifix admin set-password")]
    Admin(admin::AdminCommand),
    /// Accounts of people.
    #[command(
        subcommand,
        after_help = "Examples:\n  actifix user create jo --role operator\n  actifix user list\n  actifix user disable jo"
    )]
    User(admin::UserCommand),
    /// Who at the sign-in provider may open which account.
    #[command(subcommand, after_help = "Example:\n  actifix identity link jo 248289761001")]
    Identity(identity::IdentityCommand),
    /// Logins that go on.
    #[command(subcommand, after_help = "Examples:\n  actifix sessions list\n  actifix sessions kill --all")]
    Sessions(admin::SessionsCommand),
    /// Who did what.
    #[command(
        subcommand,
        after_help = "Examples:\n  actifix audit list --action login.failed\n  actifix audit verify"
    )]
    Audit(audit::AuditCommand),
    /// What is kept, and what is deleted.
    #[command(
        subcommand,
        after_help = "Examples:\n  actifix retention show\n  actifix retention run --dry-run"
    )]
    Retention(retention::RetentionCommand),
    /// Encrypted backups.
    #[command(
        subcommand,
        after_help = "Examples:\n  actifix backup keygen --out backup.key\n  actifix backup create\n  actifix backup verify"
    )]
    Backup(backup::BackupCommand),
    /// Look at the deployment: a check per line, with evidence and what to do.
    Doctor(doctor::DoctorArgs),
    /// Write out what is kept, for other programs.
    Export(export::ExportArgs),
    /// Take over events of another tracker.
    #[command(subcommand, after_help = "Example:\n  actifix import sentry events.json --project shop")]
    Import(import::ImportCommand),
    /// The configuration.
    #[command(
        subcommand,
        after_help = "Examples:\n  actifix config show\n  actifix config check\n  actifix config schema"
    )]
    Config(config::ConfigCommand),
    /// Print a configuration for the reverse proxy in front.
    ProxyConfig(proxy_config::ProxyConfigArgs),
    /// What to do when something happened: shut the doors, replace what opens them, report.
    #[command(
        subcommand,
        after_help = "Examples:\n  actifix incident lockdown\n  actifix incident rotate --all\n  actifix incident rotate --leaked          paste what leaked; it is not shown\n  actifix incident report --out report.tar.zst"
    )]
    Incident(incident::IncidentCommand),
    /// Regular maintenance as the hardening guide lists it, with evidence.
    Review(review::ReviewArgs),
    /// A sanitised bundle for whoever helps.
    Diagnostics(diagnostics::DiagnosticsArgs),
    /// This server's own log.
    #[command(subcommand, after_help = "Example:\n  actifix logs tail --lines 50 --follow")]
    Logs(logs::LogsCommand),
    /// Print a page of the generated reference.
    #[command(hide = true)]
    Reference {
        /// Which.
        page: reference::Page,
    },
    /// Print completions for a shell.
    #[command(
        after_help = "Examples:\n  actifix completions bash > ~/.local/share/bash-completion/completions/actifix\n  actifix completions zsh > ~/.zfunc/_actifix\n  actifix completions fish > ~/.config/fish/completions/actifix.fish"
    )]
    Completions {
        /// bash, zsh, fish, …
        shell: Shell,
    },
    /// Write man pages.
    #[command(after_help = "Example:\n  actifix man --out man/ && man -l man/actifix.1")]
    Man {
        /// Directory to write to; default: the main page on standard output.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
}

/// Parses the arguments and runs the command.
pub fn main() -> ExitCode {
    let mut command = Cli::command();
    let parsed = command.try_get_matches_from_mut(std::env::args_os()).and_then(|matches| {
        let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
        Ok((cli, usage::chosen(&matches)))
    });
    let (cli, chosen) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return told(&error),
    };
    let json = cli.global.json;
    let result = match cli.command {
        // These need no runtime, and a hook that runs at each commit has no time for one.
        Command::Scan(args) => scan::run(&cli.global, args),
        Command::Hook(command) => hook::run(&cli.global, command),
        command => run(cli.global, command),
    };
    match result {
        Ok(code) => code,
        Err(error) if error.exit_code() == exit::READ_ENOUGH => ExitCode::SUCCESS,
        Err(error) => {
            let error = usage::in_words_of(&command, &chosen, error);
            output::error(&error, json);
            ExitCode::from(error.exit_code())
        }
    }
}

/// What was asked for instead of a command (help, version), or why the arguments are none.
fn told(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // A closed pipe has read what it wanted.
        let _closed = error.print();
        return ExitCode::SUCCESS;
    }
    if std::env::args_os().len() <= 1 {
        // Whoever types the name alone asks what there is.
        output::note(Cli::command().render_help().to_string().trim_end());
        return ExitCode::from(exit::USAGE);
    }
    let understood = Cli::command().ignore_errors(true).try_get_matches();
    let chosen = understood.map(|matches| usage::chosen(&matches)).unwrap_or_default();
    let json = std::env::args_os().take_while(|arg| arg != "--").any(|arg| arg == "--json");
    let error = usage::refused(error, &chosen);
    output::error(&error, json);
    ExitCode::from(error.exit_code())
}

fn run(global: Global, command: Command) -> Result<ExitCode, CliError> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(CliError::other)?;
    let result = runtime.block_on(async {
        match command {
            Command::Serve(args) => serve::run(&global, args).await,
            Command::Dsn { project } => project::dsn(&global, &project).await,
            Command::Record(args) => records::record(&global, args).await,
            Command::Run(args) => records::run(&global, args).await,
            Command::Ingest(command) => ingest::run(&global, command).await,
            Command::Ticket(command) => ticket::run(&global, command).await,
            Command::Events(command) => upkeep::events(&global, command).await,
            Command::Project(command) => project::run(&global, command).await,
            Command::Token(command) => project::token(&global, command).await,
            Command::Secrets(command) => secrets::run(&global, command).await,
            Command::Webhook(command) => webhook::run(&global, command).await,
            Command::Scan(args) => scan::run(&global, args),
            Command::Hook(command) => hook::run(&global, command),
            Command::Findings(command) => upkeep::findings(&global, command).await,
            Command::Quarantine(command) => upkeep::quarantine(&global, command).await,
            Command::Throttle(command) => throttle::throttle(&global, command).await,
            Command::Admin(command) => admin::admin(&global, command).await,
            Command::User(command) => admin::user(&global, command).await,
            Command::Identity(command) => identity::run(&global, command).await,
            Command::Sessions(command) => admin::sessions(&global, command).await,
            Command::Audit(command) => audit::run(&global, command).await,
            Command::Release(command) => release::run(&global, command).await,
            Command::Retention(command) => retention::run(&global, command).await,
            Command::Sourcemaps(command) => sourcemaps::run(&global, command).await,
            Command::Backup(command) => backup::run(&global, command).await,
            Command::Doctor(args) => doctor::run(&global, &args).await,
            Command::Export(args) => export::run(&global, args).await,
            Command::Import(command) => import::run(&global, command).await,
            Command::Incident(command) => incident::run(&global, command).await,
            Command::Review(args) => review::run(&global, args).await,
            Command::Diagnostics(args) => diagnostics::run(&global, args).await,
            Command::Logs(command) => logs::run(&global, command).await,
            Command::Config(command) => config::run(&global, command).await,
            Command::ProxyConfig(args) => proxy_config::run(&global, &args),
            Command::Reference { page } => reference::print(page),
            Command::Completions { shell } => completions(shell),
            Command::Man { out } => man(out),
        }
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    result
}

fn completions(shell: Shell) -> Result<ExitCode, CliError> {
    let mut bytes = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "actifix", &mut bytes);
    output::raw(&bytes)?;
    Ok(ExitCode::SUCCESS)
}

fn man(out: Option<PathBuf>) -> Result<ExitCode, CliError> {
    let command = Cli::command();
    match out {
        Some(dir) => {
            crate::files::public_dir(&dir).map_err(|error| CliError::io(&dir, error))?;
            clap_mangen::generate_to(command, &dir).map_err(|error| CliError::io(&dir, error))?;
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page).map_err(CliError::other)?;
            output::raw(&page)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
