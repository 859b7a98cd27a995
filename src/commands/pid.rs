//! The pid file: who serves, and what came of its last reload.
//!
//! The file is locked for as long as the server lives, so a number that is left over from a crash deceives nobody.
//! What came of a reload stands in a second file beside it, for `calgate reload` to read.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use calgate::config::io_words;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use super::Failure;

/// The pid file of this process; given up when dropped.
pub struct Held {
    path: PathBuf,
    _locked: File,
    reloads: u64,
}

/// What came of a reload.
#[derive(Serialize, Deserialize)]
pub struct Verdict {
    /// The first reload of a server is 1.
    pub number: u64,
    pub applied: bool,
    /// For people: what is in force now, or the complaints.
    pub text: String,
}

/// Takes the pid file for this process. Fails when a living calgate has it.
pub fn hold(path: &Path) -> Result<Held, Failure> {
    let failed = |e: &std::io::Error| {
        let why = match e.kind() {
            std::io::ErrorKind::NotFound => "there is no such folder".to_owned(),
            _ => io_words(e),
        };
        let what = format!("the pid file {} can not be written: {why}", path.display());
        Failure::new(what, "Name another with `[server] pid_file`.")
    };
    let taken = || {
        let pid = written(path).map_or_else(String::new, |pid| format!(" (process {})", pid.as_raw_nonzero()));
        Failure::new(
            format!("another calgate serves here already{pid}"),
            format!(
                "Stop it, or give this one a database and a pid file of its own. The pid file is {}.",
                path.display()
            ),
        )
    };
    for _ in 0..8 {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|e| failed(&e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(taken()),
            Err(TryLockError::Error(e)) => return Err(failed(&e)),
        }
        // The one before may have removed the file after it was opened here: then this lock is on nothing.
        let (mine, there) = (file.metadata(), std::fs::metadata(path));
        if !matches!((mine, there), (Ok(mine), Ok(there)) if mine.ino() == there.ino()) {
            continue;
        }
        let write =
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
        write.map_err(|e| failed(&e))?;
        // A crash may have left what came of somebody else's last reload.
        let _ = std::fs::remove_file(verdict_file(path));
        return Ok(Held { path: path.to_owned(), _locked: file, reloads: 0 });
    }
    Err(taken())
}

/// The living server with that pid file.
pub fn server(path: &Path) -> Result<Option<Pid>, Failure> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Failure::new(format!("{} can not be read: {}", path.display(), io_words(&e)), "")),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(written(path)),
        Err(TryLockError::Error(e)) => {
            Err(Failure::new(format!("{} can not be locked: {}", path.display(), io_words(&e)), ""))
        }
    }
}

/// Tells the server with that pid file that some duty is due. `None`: none runs. False: it can not hear it, and finds it
/// within half a minute.
pub fn nudge(path: &Path) -> Option<bool> {
    let server = server(path).ok().flatten()?;
    Some(kill_process(server, Signal::USR1).is_ok())
}

/// What came of the last reload of the server with that pid file.
pub fn verdict(path: &Path) -> Option<Verdict> {
    serde_json::from_slice(&std::fs::read(verdict_file(path)).ok()?).ok()
}

impl Held {
    /// Says what came of a reload, for `calgate reload` to hear.
    pub fn tell(&mut self, applied: bool, text: String) {
        self.reloads += 1;
        let verdict = Verdict { number: self.reloads, applied, text };
        let file = verdict_file(&self.path);
        let whole = file.with_extension("new");
        // In one step, so that it is never read half.
        let told = serde_json::to_vec(&verdict)
            .map_err(std::io::Error::other)
            .and_then(|json| std::fs::write(&whole, json))
            .and_then(|()| std::fs::rename(&whole, &file));
        if let Err(e) = told {
            tracing::warn!(file = %file.display(), "what came of the reload could not be written: {}", io_words(&e));
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // While the lock is held: nobody else's file is removed.
        let _ = std::fs::remove_file(verdict_file(&self.path));
        let _ = std::fs::remove_file(&self.path);
    }
}

fn written(path: &Path) -> Option<Pid> {
    let mut text = String::new();
    File::open(path).ok()?.take(32).read_to_string(&mut text).ok()?;
    Pid::from_raw(text.trim().parse().ok()?)
}

fn verdict_file(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".reload");
    PathBuf::from(name)
}
