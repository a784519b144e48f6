//! The command line: one definition feeds the parser, `--help`, completions and man pages.

mod admin;
mod audit;
mod client;
mod config;
mod error;
mod hook;
mod ingest;
mod output;
mod project;
mod proxy_config;
mod records;
mod reference;
mod remote;
mod scan;
mod secrets;
mod serve;
mod sheet;
mod ticket;
mod upkeep;
mod webhook;

pub use error::{CliError, exit};

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use std::io::Write;
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
    #[command(after_help = "Example:\n  SENTRY_DSN=$(actifix dsn) python app.py")]
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
    #[command(subcommand)]
    Ingest(ingest::IngestCommand),
    /// Work on tickets.
    #[command(subcommand)]
    Ticket(ticket::TicketCommand),
    /// Look at events.
    #[command(subcommand)]
    Events(upkeep::EventsCommand),
    /// Projects and their ingest keys.
    #[command(subcommand)]
    Project(project::ProjectCommand),
    /// API tokens.
    #[command(subcommand)]
    Token(project::TokenCommand),
    /// Secrets that the configuration refers to, and the root key.
    #[command(subcommand)]
    Secrets(secrets::SecretsCommand),
    /// Who is told of what: channels, rules, deliveries.
    #[command(subcommand)]
    Webhook(webhook::WebhookCommand),
    /// Look for secrets in files, commits and histories.
    Scan(scan::ScanArgs),
    /// Let git look for secrets before each commit.
    #[command(subcommand)]
    Hook(hook::HookCommand),
    /// Secrets found in events.
    #[command(subcommand)]
    Findings(upkeep::FindingsCommand),
    /// Input that could not be redacted.
    #[command(subcommand)]
    Quarantine(upkeep::QuarantineCommand),
    /// Flood protection.
    #[command(subcommand)]
    Throttle(upkeep::ThrottleCommand),
    /// The administrator's account.
    #[command(subcommand)]
    Admin(admin::AdminCommand),
    /// Accounts of people.
    #[command(subcommand)]
    User(admin::UserCommand),
    /// Logins that go on.
    #[command(subcommand)]
    Sessions(admin::SessionsCommand),
    /// Who did what.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// What is kept, and what is deleted.
    #[command(subcommand)]
    Retention(upkeep::RetentionCommand),
    /// The configuration.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Print a configuration for the reverse proxy in front.
    ProxyConfig(proxy_config::ProxyConfigArgs),
    /// This server's own log.
    #[command(subcommand)]
    Logs(upkeep::LogsCommand),
    /// Print a page of the generated reference.
    #[command(hide = true)]
    Reference {
        /// Which.
        page: reference::Page,
    },
    /// Print completions for a shell.
    #[command(after_help = "Example:\n  actifix completions bash > /etc/bash_completion.d/actifix")]
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
    let cli = Cli::parse();
    let json = cli.global.json;
    let result = match cli.command {
        // These need no runtime, and a hook that runs at each commit has no time for one.
        Command::Scan(args) => scan::run(&cli.global, args),
        Command::Hook(command) => hook::run(&cli.global, command),
        command => run(cli.global, command),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            output::error(&error, json);
            ExitCode::from(error.exit_code())
        }
    }
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
            Command::Throttle(command) => upkeep::throttle(&global, command).await,
            Command::Admin(command) => admin::admin(&global, command).await,
            Command::User(command) => admin::user(&global, command).await,
            Command::Sessions(command) => admin::sessions(&global, command).await,
            Command::Audit(command) => audit::run(&global, command).await,
            Command::Retention(command) => upkeep::retention(&global, command).await,
            Command::Logs(command) => upkeep::logs(&global, command).await,
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
            std::io::stdout().write_all(&page).map_err(CliError::other)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
