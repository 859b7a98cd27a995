//! `calgate keygen`: the key file, or a token for a feed.

use std::path::{Path, PathBuf};

use calgate::{config, secrets};

use super::{Done, Failure, terminal};

/// The key seals the passwords of accounts in the database, and app passwords are found by it.
/// Keep a copy of it apart from the backups: neither opens anything without the other.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  calgate keygen              make the key file that the configuration names
  calgate keygen --token      print a new token for a feed")]
pub struct Arguments {
    /// The file to make; without it, `key_file` of the configuration
    file: Option<PathBuf>,
    /// Make no key file; print a new token for a feed
    #[arg(long, conflicts_with = "file")]
    token: bool,
}

pub fn run(config: &Path, arguments: Arguments) -> Done {
    if arguments.token {
        terminal::say(secrets::new_token());
        return Ok(());
    }
    let file = match arguments.file {
        Some(file) => file,
        None => config::load_beside(config)?.secrets.key_file,
    };
    secrets::Secrets::generate(&file).map_err(|why| Failure::new(why, "A key in use must not be replaced."))?;
    terminal::say(format!("made {}: keep a copy of it apart from the backups", file.display()));
    Ok(())
}
