//! `calgate check`: every mistake in the configuration, in one run.

use std::path::{Path, PathBuf};

use calgate::config;

use super::{Done, Failure, count, terminal};

/// Reads the file as `serve` would, changes nothing, and needs no running gateway. References (env:, file:) are looked
/// at from here.
#[derive(clap::Args)]
#[command(after_help = "Example: calgate check new.toml && mv new.toml gateway.toml && calgate reload")]
pub struct Arguments {
    /// The file to check; without it, the configuration
    file: Option<PathBuf>,
    /// Print the mistakes as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(config: &Path, arguments: Arguments) -> Done {
    let file = arguments.file.as_deref().unwrap_or(config);
    let read = config::load(file);
    if arguments.json {
        let complaints = read.as_ref().err().map(Vec::as_slice).unwrap_or_default();
        terminal::say_json(&serde_json::json!({ "ok": complaints.is_empty(), "mistakes": complaints }));
    }
    match read {
        Ok(config) => {
            if !arguments.json {
                let accounts = config.users.iter().map(|u| u.accounts.len()).sum();
                let users = count(config.users.len(), "user");
                terminal::say(format!("{}: no mistake; {users}, {}", file.display(), count(accounts, "account")));
            }
            Ok(())
        }
        Err(complaints) if arguments.json => {
            Err(Failure::new(format!("{} in {}", count(complaints.len(), "mistake"), file.display()), ""))
        }
        Err(complaints) => Err(Failure::Complaints(complaints)),
    }
}
