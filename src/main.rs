//! calgate: arguments → one of the commands.

mod commands;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use commands::{
    account, app_password, backup, calendar, check, explain, export, grant, import, keygen, reload, serve, setup, sync,
    user,
};

/// A self-hosted CalDAV gateway: all your calendars as one, and one free/busy over them.
#[derive(Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "\
Begin like this:
  touch gateway.toml            every key has a default
  calgate user add anna         make a user
  calgate account add anna work --url https://dav.example.org --login anna
  calgate serve
  calgate setup anna            what to type into calendar programs

Exit codes: 0 done, 1 failed, 2 wrong usage.")]
struct Arguments {
    /// The configuration
    #[arg(short, long, global = true, env = "CALGATE_CONFIG", hide_env_values = true, default_value = "gateway.toml")]
    #[arg(value_name = "FILE")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the gateway
    Serve,
    /// Find every mistake in the configuration
    Check(check::Arguments),
    /// Let the running gateway apply the changed configuration
    Reload,
    /// Users: add, list, remove, passwd, hash
    #[command(subcommand)]
    User(user::Command),
    /// App passwords, one for each device: add, list, revoke
    #[command(subcommand)]
    AppPassword(app_password::Command),
    /// Show a person how to set up their calendar programs
    Setup(setup::Arguments),
    /// Accounts at other servers: add, list, test, remove
    #[command(subcommand)]
    Account(account::Command),
    /// Calendars: list
    #[command(subcommand)]
    Calendar(calendar::Command),
    /// Sharing between users: add, list, remove
    #[command(subcommand)]
    Grant(grant::Command),
    /// Read the upstream calendars now
    Sync(sync::Arguments),
    /// Take a whole .ics file into a calendar
    Import(import::Arguments),
    /// Write a whole calendar as one .ics file
    Export(export::Arguments),
    /// Show what is stored of an event, and why it is as it is
    Explain(explain::Arguments),
    /// Copy the database into a file, while it is in use
    Backup(backup::Arguments),
    /// Make the key that seals passwords in the database
    Keygen(keygen::Arguments),
    /// Print the completions of a shell
    #[command(after_help = "Example: calgate completions bash > /etc/bash_completion.d/calgate")]
    Completions { shell: clap_complete::Shell },
}

#[tokio::main]
async fn main() -> ExitCode {
    commands::log::catch_panics();
    // The database, its backups and the pid file are for this user alone.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let Arguments { config, command } = Arguments::parse();
    let done = match command {
        Command::Serve => serve::run(&config).await,
        Command::Check(arguments) => check::run(&config, arguments),
        Command::Reload => reload::run(&config).await,
        Command::User(command) => user::run(&config, command).await,
        Command::AppPassword(command) => app_password::run(&config, command).await,
        Command::Setup(arguments) => setup::run(&config, arguments).await,
        Command::Account(command) => account::run(&config, command).await,
        Command::Calendar(command) => calendar::run(&config, command).await,
        Command::Grant(command) => grant::run(&config, command).await,
        Command::Sync(arguments) => sync::run(&config, arguments).await,
        Command::Import(arguments) => import::run(&config, arguments).await,
        Command::Export(arguments) => export::run(&config, arguments).await,
        Command::Explain(arguments) => explain::run(&config, arguments).await,
        Command::Backup(arguments) => backup::run(&config, arguments).await,
        Command::Keygen(arguments) => keygen::run(&config, arguments),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "calgate", &mut script);
            commands::say(String::from_utf8_lossy(&script));
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.show();
            ExitCode::FAILURE
        }
    }
}
