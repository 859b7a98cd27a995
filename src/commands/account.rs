//! `calgate account`: logins at other servers. Adding one tries it first and says in words what is wrong.

use std::path::Path;
use std::sync::Arc;

use calgate::config::{self, values};
use calgate::provider::{self, Provider, RemoteCalendar, Settings};
use calgate::secrets::{Place, Secret};
use calgate::store::accounts::{self, Account, Password, Take, Taken};
use calgate::store::jobs::{self, Duty};
use calgate::store::users::User;
use serde_json::json;

use super::{Done, Failure, Here, count, terminal};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Connect an account; the password is asked for, tried, and sealed in the database
    #[command(after_help = "\
Examples:
  calgate account add anna work --url https://dav.example.org --login anna@example.org
  calgate account add anna work --url … --login … --take \"Team Calendar=team\" --take Home=home
  calgate account add anna work          give the password of an account that is there, declared or not")]
    Add(Add),
    /// List the accounts of one user or of all
    List {
        user: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Try an account: is the server there, is the password right, which calendars are there
    Test {
        user: String,
        name: String,
        /// Print the calendars as JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove an account made by command; its calendars are hidden
    Remove {
        user: String,
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(clap::Args)]
pub struct Add {
    user: String,
    /// What the account is called here
    #[arg(value_parser = values::name)]
    name: String,
    /// The address of the server, or of its CalDAV part
    #[arg(long, requires = "login")]
    url: Option<String>,
    /// The login there
    #[arg(long, requires = "url")]
    login: Option<String>,
    /// What the server speaks
    #[arg(long, default_value = "caldav", value_parser = kind)]
    kind: String,
    /// Read the password from the first line of standard input
    #[arg(long)]
    password_stdin: bool,
    /// Take only this calendar, under this name; may be given several times
    #[arg(long, value_name = "REMOTE=NAME", value_parser = taken, requires = "url")]
    take: Vec<Taken>,
}

pub async fn run(config: &Path, command: Command) -> Done {
    let command = with_checked_url(command);
    let here = Here::open(config)?;
    match command {
        Command::Add(add) => connect(&here, add).await,
        Command::List { user, json } => list(&here, user.as_deref(), json).await,
        Command::Test { user, name, json } => test(&here, &user, &name, json).await,
        Command::Remove { user, name, yes } => remove(&here, &user, &name, yes).await,
    }
}

/// Ends with a usage error for a wrong `--url`. Clap's own check would repeat it, and a password may stand in it.
fn with_checked_url(mut command: Command) -> Command {
    if let Command::Add(Add { url: Some(url), .. }) = &mut command {
        *url = values::upstream_url(url).unwrap_or_else(|wrong| {
            clap::Error::raw(clap::error::ErrorKind::ValueValidation, format!("--url: {wrong}\n")).exit()
        });
    }
    command
}

async fn connect(here: &Here, add: Add) -> Done {
    let user = here.user(&add.user).await?;
    let known = find(here, &user, &add.name).await?;
    match (known, &add.url, &add.login) {
        (None, Some(url), Some(login)) => connect_new(here, &user, &add, url, login).await,
        (None, ..) => Err(Failure::new(
            format!("{} has no account {}", user.name, add.name),
            "To connect a new one, say --url and --login.",
        )),
        (Some(_), Some(_), _) => Err(Failure::new(
            format!("{} has an account {} already", user.name, add.name),
            format!(
                "To give it a new password, leave out --url and --login: `calgate account add {} {}`.",
                user.name, add.name
            ),
        )),
        (Some(account), ..) => new_password(here, &account, add.password_stdin).await,
    }
}

async fn connect_new(here: &Here, user: &User, add: &Add, url: &str, login: &str) -> Done {
    let secrets = here.secrets().await?;
    let password = terminal::password(add.password_stdin, &format!("Password of {login} at {}: ", host(url)))?;
    let there = look(&add.kind, url, login, &password).await?;
    let take = match add.take.is_empty() {
        true => Take::All,
        false => {
            for wanted in &add.take {
                if !there.calendars.iter().any(|c| answers_to(c, &wanted.remote)) {
                    show_calendars(&there.calendars);
                    let what = format!("there is no calendar \"{}\" at {}", wanted.remote, host(url));
                    return Err(Failure::new(what, "Nothing was stored. Choose from those above."));
                }
            }
            Take::Some(add.take.clone())
        }
    };
    let place = format!("{}/{}", user.name, add.name);
    let sealed = secrets.seal(&Place { table: "accounts", column: "password", row: &place }, &password);
    let (owner, now) = (user.id, here.clock.now());
    let (name, kind, url, login) = (add.name.clone(), add.kind.clone(), url.to_owned(), login.to_owned());
    let added = here.store.write(move |tx| {
        let added = accounts::add(tx, owner, &name, &kind, &url, &login, &Password::Sealed(sealed), &take)?;
        if let Some(id) = added {
            jobs::due_now(tx, Duty::Discover(id), now)?;
        }
        Ok::<_, calgate::store::Error>(added)
    });
    if added.await?.is_none() {
        return Err(Failure::new(format!("{} has an account {} already", user.name, add.name), ""));
    }
    show_calendars(&there.calendars);
    terminal::say(format!("connected {place}: {}", next_step(here)));
    Ok(())
}

/// Gives an account that is there its password.
async fn new_password(here: &Here, account: &Account, stdin: bool) -> Done {
    let place = format!("{}/{}", account.user_name, account.name);
    if let Password::Reference(reference) = &account.password {
        let file = here.file.display();
        return Err(Failure::new(
            format!("the password of {place} is read from {reference}, as {file} says"),
            format!("Change it there, or write password = \"sealed\" in {file} and run `calgate reload`."),
        ));
    }
    let secrets = here.secrets().await?;
    let prompt = format!("Password of {} at {}: ", account.login, host(&account.url));
    let password = terminal::password(stdin, &prompt)?;
    let there = look(&account.kind, &account.url, &account.login, &password).await?;
    let sealed = secrets.seal(&Place { table: "accounts", column: "password", row: &place }, &password);
    let (id, now) = (account.id, here.clock.now());
    let stored = here.store.write(move |tx| {
        accounts::set_password(tx, id, &Password::Sealed(sealed))?;
        jobs::due_now(tx, Duty::Discover(id), now)
    });
    stored.await?;
    show_calendars(&there.calendars);
    terminal::say(format!("{place} has its password: {}", next_step(here)));
    Ok(())
}

async fn list(here: &Here, user: Option<&str>, json: bool) -> Done {
    let owner = match user {
        Some(name) => Some(here.user(name).await?.id),
        None => None,
    };
    let list = here.store.read(move |tx| accounts::list(tx, owner)).await?;
    if json {
        let list = list.iter().map(|a| {
            json!({
                "user": a.user_name, "name": a.name, "kind": a.kind, "url": a.url, "login": a.login,
                "declared": a.declared, "password": password_words(&a.password),
                "error": a.error, "checked_at": terminal::when_json(a.checked_at),
            })
        });
        terminal::say_json(&list.collect());
        return Ok(());
    }
    let row = |a: &Account| {
        let state = match (&a.password, &a.error, a.checked_at) {
            (Password::Absent, ..) => format!("no password yet: `calgate account add {} {}`", a.user_name, a.name),
            (_, Some(error), _) => terminal::one_line(error),
            (_, None, None) => "not read yet".to_owned(),
            (_, None, at) => format!("read {}", terminal::when(at)),
        };
        let from = if a.declared { "configuration" } else { "command" };
        let name = format!("{}/{}", a.user_name, a.name);
        vec![name, a.kind.clone(), a.url.clone(), a.login.clone(), from.to_owned(), state]
    };
    let rows: Vec<Vec<String>> = list.iter().map(row).collect();
    let none = "there are no accounts yet; connect one with `calgate account add`";
    terminal::say_table(&["ACCOUNT", "KIND", "URL", "LOGIN", "MADE BY", "STATE"], &rows, none);
    Ok(())
}

async fn test(here: &Here, user: &str, name: &str, json: bool) -> Done {
    let user = here.user(user).await?;
    let Some(account) = find(here, &user, name).await? else { return Err(no_account(here, &user, name).await) };
    let place = format!("{}/{}", account.user_name, account.name);
    let password = match &account.password {
        Password::Reference(reference) => config::read_reference(reference).map_err(|why| Failure::new(why, ""))?,
        Password::Sealed(sealed) => {
            let place = Place { table: "accounts", column: "password", row: &place };
            here.secrets().await?.unseal(&place, sealed).map_err(|why| Failure::new(why, ""))?
        }
        Password::Absent => {
            let give = format!("Give it with `calgate account add {} {}`.", account.user_name, account.name);
            return Err(Failure::new(format!("{place} has no password yet"), give));
        }
    };
    let there = look(&account.kind, &account.url, &account.login, &password).await?;
    if json {
        let list = there
            .calendars
            .iter()
            .map(|c| json!({ "remote": c.id.as_str(), "name": c.name, "color": c.color, "writable": c.writable }));
        terminal::say_json(&list.collect());
        return Ok(());
    }
    show_calendars(&there.calendars);
    terminal::say(format!("{place} works: {}", count(there.calendars.len(), "calendar")));
    Ok(())
}

async fn remove(here: &Here, user: &str, name: &str, yes: bool) -> Done {
    let user = here.user(user).await?;
    let Some(account) = find(here, &user, name).await? else { return Err(no_account(here, &user, name).await) };
    if account.declared {
        return Err(Failure::new(
            format!("{}/{name} is declared in {}", user.name, here.file.display()),
            "Take it out there and run `calgate reload`.",
        ));
    }
    terminal::confirm(yes, &format!("Remove {}/{name} and hide its calendars?", user.name))?;
    let (owner, wanted) = (user.id, name.to_owned());
    let now = here.clock.now();
    match here.store.write(move |tx| accounts::remove(tx, owner, &wanted, now)).await? {
        true => {
            terminal::say(format!("removed {}/{name}; nothing was changed at {}", user.name, host(&account.url)));
            Ok(())
        }
        false => Err(Failure::new(format!("{} has no account {name} made by command", user.name), "")),
    }
}

/// What was found at an upstream.
struct There {
    calendars: Vec<RemoteCalendar>,
}

/// Tries discovery and the credentials.
async fn look(kind: &str, url: &str, login: &str, password: &Secret) -> Result<There, Failure> {
    let parsed = url::Url::parse(url).map_err(|e| Failure::new(format!("{url} is not a URL: {e}"), ""))?;
    let http = Arc::new(provider::http::Client::new());
    let settings = Settings { url: parsed, login: login.to_owned(), password: password.clone(), http };
    let Some(upstream) = provider::open(kind, settings) else {
        return Err(Failure::new(format!("this calgate does not speak {kind}"), ""));
    };
    let calendars = ask(upstream.as_ref()).await.map_err(|e| in_words(e, url))?;
    if calendars.is_empty() {
        return Err(Failure::new(
            format!("{} lets {login} in, and has no calendars for this login", host(url)),
            "Make one there first, or look whether this is the right login.",
        ));
    }
    Ok(There { calendars })
}

async fn ask(upstream: &dyn Provider) -> Result<Vec<RemoteCalendar>, provider::Error> {
    upstream.identity().await?;
    upstream.calendars().await
}

/// What the provider says, and what to do about it.
fn in_words(e: provider::Error, url: &str) -> Failure {
    let (what, hint) = match e {
        provider::Error::Reconnect { why } => {
            (why, "Look at login and password. Some servers want an app password here, made in their own settings.")
        }
        provider::Error::Retry { why, .. } => {
            (why, "Look at the address and the login; if the server is down, try again later.")
        }
        provider::Error::Refused(why) => (why, ""),
        provider::Error::Missing => {
            (format!("there is nothing at {url}"), "Look in the server's manual for its CalDAV address.")
        }
        provider::Error::Stale | provider::Error::CursorLost | provider::Error::Exists(_) => {
            (format!("{} gave an answer that makes no sense here", host(url)), "Try again.")
        }
    };
    Failure::new(terminal::one_line(&what), hint)
}

fn show_calendars(calendars: &[RemoteCalendar]) {
    let row = |c: &RemoteCalendar| {
        let may = if c.writable { "read, write" } else { "read" };
        vec![terminal::one_line(&c.name), may.to_owned(), terminal::one_line(c.id.as_str())]
    };
    let rows: Vec<Vec<String>> = calendars.iter().map(row).collect();
    terminal::say_table(&["CALENDAR", "MAY", "THERE"], &rows, "no calendars");
}

/// Whether a calendar is meant by `remote`: its name, the last part of its path, or the whole path.
fn answers_to(calendar: &RemoteCalendar, remote: &str) -> bool {
    let path = calendar.id.as_str();
    let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or(path);
    let decoded = percent_encoding::percent_decode_str(last).decode_utf8_lossy();
    calendar.name == remote || last == remote || decoded == remote || path == remote
}

async fn find(here: &Here, user: &User, name: &str) -> Result<Option<Account>, Failure> {
    let (owner, name) = (user.id, name.to_owned());
    Ok(here.store.read(move |tx| accounts::by_name(tx, owner, &name)).await?)
}

async fn no_account(here: &Here, user: &User, name: &str) -> Failure {
    let owner = user.id;
    let known = here.store.read(move |tx| accounts::list(tx, Some(owner))).await.unwrap_or_default();
    let hint = match config::nearest(name, known.iter().map(|a| a.name.as_str())) {
        Some(near) => format!("Did you mean {near}?"),
        None => format!("See `calgate account list {}`.", user.name),
    };
    Failure::new(format!("{} has no account {name}", user.name), hint)
}

/// Tells a running server that there is something to read, and says who will read it.
fn next_step(here: &Here) -> String {
    match super::pid::nudge(&here.config.server.pid_file) {
        Some(true) => "the running calgate reads it now".to_owned(),
        Some(false) => "the running calgate reads it within half a minute".to_owned(),
        None => "it is read when `calgate serve` runs, or now with `calgate sync`".to_owned(),
    }
}

fn password_words(password: &Password) -> &str {
    match password {
        Password::Reference(reference) => reference,
        Password::Sealed(_) => "sealed",
        Password::Absent => "absent",
    }
}

fn host(url: &str) -> String {
    let parsed = url::Url::parse(url).ok();
    parsed.and_then(|u| u.host_str().map(str::to_owned)).unwrap_or_else(|| url.to_owned())
}

fn kind(text: &str) -> Result<String, config::Wrong> {
    let kinds: Vec<(&str, &str)> = provider::KINDS.iter().map(|(name, _)| (*name, *name)).collect();
    values::one_of(text, &kinds).map(str::to_owned)
}

fn taken(text: &str) -> Result<Taken, String> {
    let (remote, slug) = text.rsplit_once('=').ok_or("write it as REMOTE=NAME")?;
    let slug = values::name(slug).map_err(|wrong| wrong.to_string())?;
    if remote.is_empty() {
        return Err("the name of the calendar there is missing".to_owned());
    }
    Ok(Taken { remote: remote.to_owned(), slug, display_name: None, color: None })
}
