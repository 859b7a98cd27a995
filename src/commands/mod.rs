//! The commands. Each file is one command of the command line; what they share is here and in `terminal.rs`.

pub mod account;
pub mod app_password;
pub mod backup;
pub mod calendar;
pub mod check;
pub mod explain;
pub mod export;
pub mod grant;
pub mod import;
pub mod keygen;
pub mod log;
mod pid;
pub mod reload;
pub mod serve;
pub mod setup;
pub mod sync;
mod terminal;
pub mod user;

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

pub use terminal::say;

use calgate::clock::Clock;
use calgate::config::{self, Complaint, Config, io_words, nearest};
use calgate::secrets::Secrets;
use calgate::store::{self, Store, accounts, app_passwords, declared, users};

/// Why a command failed, for the person who gave it.
pub enum Failure {
    /// What is wrong, and what to do about it (may be empty).
    Said { what: String, hint: String },
    /// The configuration is wrong.
    Complaints(Vec<Complaint>),
}

/// What a command comes to. Each prints its result by itself.
pub type Done = Result<(), Failure>;

impl Failure {
    pub fn new(what: impl Into<String>, hint: impl Into<String>) -> Failure {
        Failure::Said { what: what.into(), hint: hint.into() }
    }

    /// Prints it on standard error.
    pub fn show(&self) {
        let colour = terminal::colour(&std::io::stderr());
        match self {
            Failure::Said { what, hint } => {
                eprintln!("{} {what}", if colour { "\x1b[1;31merror:\x1b[0m" } else { "error:" });
                if !hint.is_empty() {
                    eprintln!("{} {hint}", if colour { "\x1b[1;32mhint:\x1b[0m" } else { "hint:" });
                }
            }
            Failure::Complaints(complaints) => {
                for complaint in complaints {
                    eprintln!("{}\n", complaint.paint(colour));
                }
                let file = complaints.first().map_or("the configuration", |c| &c.file);
                eprintln!("{} in {file}", count(complaints.len(), "mistake"));
            }
        }
    }
}

impl From<store::Error> for Failure {
    fn from(e: store::Error) -> Failure {
        let hint = match e {
            store::Error::Busy => "Try again.",
            store::Error::Unavailable(_) => {
                "Look at `[storage] url` in the configuration, and at the rights and space there."
            }
            store::Error::Broken(_) => "",
        };
        Failure::new(e.to_string(), hint)
    }
}

impl From<Vec<Complaint>> for Failure {
    fn from(complaints: Vec<Complaint>) -> Failure {
        Failure::Complaints(complaints)
    }
}

/// What a command works on: the configuration and the database. A server may use both at the same time.
pub struct Here {
    pub file: PathBuf,
    pub config: Config,
    pub store: Store,
    pub clock: Clock,
}

impl Here {
    /// Opens the database that `file` names. The configuration is not applied: that is for `serve` and `reload`.
    pub fn open(file: &Path) -> Result<Here, Failure> {
        let config = config::load_beside(file)?;
        let store = Store::open(&config.storage.url)?;
        Ok(Here { file: file.to_owned(), config, store, clock: Clock::system() })
    }

    /// The keys. Makes the key file when there is none and nothing needs the one that there may have been: a first
    /// start then needs no second command, and a lost key is never papered over by a new one.
    pub async fn secrets(&self) -> Result<Secrets, Failure> {
        let file = &self.config.secrets.key_file;
        if !file.exists() {
            if let Some(what) = self.store.read(anything_sealed).await? {
                return Err(Failure::new(
                    format!("the key file {} is not there, and {what} needs it", file.display()),
                    "Put the key file back from its copy. If it is lost for ever: `calgate keygen` makes a new one; the \
                     passwords of accounts must then be given again, and app passwords made anew.",
                ));
            }
            Secrets::generate(file).map_err(|why| Failure::new(why, ""))?;
            let made = format!("made the key file {}: keep a copy of it apart from the backups", file.display());
            match tracing::dispatcher::has_been_set() {
                true => tracing::info!("{made}"),
                false => eprintln!("{made}"),
            }
        }
        Secrets::open(file).map_err(|why| {
            let hint = "Put it back from its copy if it is damaged. It must be readable by the user that runs calgate, and by \
                        nobody else.";
            Failure::new(why, hint)
        })
    }

    /// The user of that name. One that is declared and not in the database yet is put there, unless a server runs:
    /// what is in force is then for the server to say.
    pub async fn user(&self, name: &str) -> Result<users::User, Failure> {
        let wanted = name.to_owned();
        if let Some(user) = self.store.read(move |tx| users::by_name(tx, &wanted)).await? {
            return Ok(user);
        }
        if self.config.users.iter().any(|u| u.name == name) {
            self.apply().await?;
            let wanted = name.to_owned();
            if let Some(user) = self.store.read(move |tx| users::by_name(tx, &wanted)).await? {
                return Ok(user);
            }
        }
        let known: Vec<String> = self.store.read(users::list).await?.into_iter().map(|u| u.name).collect();
        let hint = match nearest(name, known.iter().map(String::as_str)) {
            Some(near) => format!("Did you mean {near}?"),
            None => format!("See `calgate user list`, or make one: `calgate user add {name}`."),
        };
        Err(Failure::new(format!("there is no user {name}"), hint))
    }

    /// Puts the configuration in force in the database.
    async fn apply(&self) -> Done {
        if pid::server(&self.config.server.pid_file)?.is_some() {
            return Err(Failure::new(
                format!("{} declares more than the running server knows", self.file.display()),
                "Run `calgate reload` first.",
            ));
        }
        // Whole this time: what is applied must be known to be right.
        let config = config::load(&self.file)?;
        let now = self.clock.now();
        Ok(self.store.write(move |tx| declared::apply(tx, &config, now)).await?)
    }
}

/// Something in the database that only the key opens, in words.
fn anything_sealed(tx: &mut store::Tx<'_>) -> store::Result<Option<String>> {
    for account in accounts::list(tx, None)? {
        if matches!(account.password, accounts::Password::Sealed(_)) {
            return Ok(Some(format!("the password of the account {}/{}", account.user_name, account.name)));
        }
    }
    for user in users::list(tx)? {
        if let Some(password) = app_passwords::list(tx, user.id)?.first() {
            return Ok(Some(format!("the app password \"{}\" of {}", password.label, user.name)));
        }
    }
    Ok(None)
}

/// A file that was not there before. `secret`: nobody but this user may read it.
fn new_file(path: &Path, secret: bool) -> Result<File, Failure> {
    let mode = if secret { 0o600 } else { 0o666 };
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(|e| {
        let shown = path.display();
        match e.kind() {
            ErrorKind::AlreadyExists => {
                Failure::new(format!("{shown} is there already"), "Move it away, or choose another name.")
            }
            ErrorKind::NotFound => Failure::new(format!("{shown} can not be made: there is no such folder"), ""),
            _ => Failure::new(format!("{shown} can not be made: {}", io_words(&e)), ""),
        }
    })
}

/// `1 mistake`, `3 mistakes`.
pub fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
