//! `calgate backup`: the database in one file, while it is in use.

use std::path::{Path, PathBuf};

use super::{Done, Failure, Here, terminal};

/// The copy is whole and consistent, whatever the gateway does meanwhile. Passwords in it stay sealed: it is of no use
/// without the key file, which belongs somewhere else.
#[derive(clap::Args)]
#[command(after_help = "Example: calgate backup /var/backups/calgate-$(date +%F).db")]
pub struct Arguments {
    /// The file to make; it must not be there yet
    file: PathBuf,
}

pub async fn run(config: &Path, arguments: Arguments) -> Done {
    let here = Here::open(config)?;
    let file = arguments.file;
    if file.exists() {
        return Err(Failure::new(format!("{} is there already", file.display()), "Name a new file."));
    }
    let folder = file.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(Failure::new(format!("{} is no folder", folder.display()), "Make it first."));
    }
    here.store.backup(&file).await?;
    let size = std::fs::metadata(&file).map_or(0, |meta| meta.len());
    terminal::say(format!("{}: {size} bytes", file.display()));
    Ok(())
}
