//! `calgate grant`: who may see or change whose calendar.

use std::path::Path;

use calgate::store::calendars::{self, Denied, Need};
use calgate::store::grants::{self, Grant, May, NotGranted};
use calgate::store::users::{self, Actor, User};
use serde_json::json;

use super::{Done, Failure, Here, calendar, pid, terminal};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Share a calendar with another user, or change what that user may
    #[command(after_help = "Example: calgate grant add anna/team bert --may write")]
    Add {
        /// The calendar, as `calgate calendar list` shows it
        #[arg(value_name = "USER/CALENDAR", value_parser = calendar::owner_and_slug)]
        calendar: (String, String),
        /// The user whom it is shared with
        to: String,
        /// busy: when time is taken. title: also titles. read: everything, but of private events only the time. write: everything, and change it
        #[arg(long, value_parser = may, default_value = "read")]
        may: May,
    },
    /// List what a user shares and what is shared with them, or all there is
    List {
        user: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Share a calendar with a user no more; it leaves their home at once
    Remove {
        /// The calendar, as `calgate calendar list` shows it
        #[arg(value_name = "USER/CALENDAR", value_parser = calendar::owner_and_slug)]
        calendar: (String, String),
        /// The user whom it is shared with
        to: String,
    },
}

fn may(text: &str) -> Result<May, String> {
    May::from_name(text).ok_or_else(|| "write busy, title, read or write".to_owned())
}

pub async fn run(config: &Path, command: Command) -> Done {
    let here = Here::open(config)?;
    match command {
        Command::Add { calendar, to, may } => {
            let (owner, slug, name) = named(&here, &calendar).await?;
            let to = here.user(&to).await?;
            let (id, now) = (to.id, here.clock.now());
            let done = here.store.write(move |tx| {
                let calendar = calendars::open(tx, &Actor::of(&owner), &owner.name, &slug, Need::Read)?;
                grants::add(tx, &calendar, id, may, "", now)?;
                Ok(grants::is_filled(tx, &calendar, id)?)
            });
            let filled = done.await.map_err(|e| refused(e, &name))?;
            let what = match may {
                May::Busy => "see when time is taken in",
                May::Title => "see times and titles in",
                May::Read => "read",
                May::Write => "read and change",
            };
            terminal::say(format!("{} may {what} {name}", to.name));
            if !filled {
                let who = match pid::nudge(&here.config.server.pid_file) {
                    Some(true) => "the running calgate fills it now",
                    Some(false) => "the running calgate fills it within half a minute",
                    None => "it is filled when `calgate serve` runs",
                };
                terminal::say(format!("  It is large: {who}, and {} sees all of it when that is done.", to.name));
            }
        }
        Command::List { user, json } => list(&here, user, json).await?,
        Command::Remove { calendar, to } => {
            let (owner, slug, name) = named(&here, &calendar).await?;
            let to = here.user(&to).await?;
            let id = to.id;
            let done = here.store.write(move |tx| {
                let calendar = calendars::open(tx, &Actor::of(&owner), &owner.name, &slug, Need::Read)?;
                Ok(grants::remove(tx, &calendar, id)?)
            });
            match done.await.map_err(|e| refused(e, &name))? {
                // It is out of sight. The rows of a large one are deleted by the server.
                true => {
                    pid::nudge(&here.config.server.pid_file);
                    terminal::say(format!("{name} is shared with {} no more", to.name));
                }
                false => {
                    let what = format!("{name} is not shared with {}", to.name);
                    return Err(Failure::new(what, "See `calgate grant list`."));
                }
            }
        }
    }
    Ok(())
}

/// The owner and the slug of a calendar that is there, and what it is called.
async fn named(here: &Here, calendar: &(String, String)) -> Result<(User, String, String), Failure> {
    let found = calendar::find(here, calendar).await?;
    let name = format!("{}/{}", found.owner, found.slug);
    Ok((here.user(&found.owner).await?, found.slug, name))
}

async fn list(here: &Here, user: Option<String>, json: bool) -> Done {
    let user = match user {
        Some(name) => Some(here.user(&name).await?),
        None => None,
    };
    let read = here.store.read(move |tx| {
        let Some(user) = user else {
            let mut all = Vec::new();
            for user in users::list(tx)? {
                all.extend(grants::given(tx, user.id)?);
            }
            return Ok::<_, calgate::store::Error>(all);
        };
        let mut both = grants::given(tx, user.id)?;
        both.extend(grants::taken(tx, user.id)?);
        Ok(both)
    });
    let list = read.await?;
    if json {
        let row = |g: &Grant| {
            json!({
                "owner": g.owner_name, "calendar": g.slug, "to": g.to_name, "may": g.may.name(),
                "summary": g.summary, "declared": g.declared,
            })
        };
        terminal::say_json(&list.iter().map(row).collect());
        return Ok(());
    }
    let row = |g: &Grant| {
        let by = if g.declared { "configuration" } else { "command or client" };
        let calendar = terminal::one_line(&format!("{}/{}", g.owner_name, g.slug));
        vec![calendar, g.to_name.clone(), g.may.name().to_owned(), by.to_owned()]
    };
    let rows: Vec<Vec<String>> = list.iter().map(row).collect();
    terminal::say_table(&["CALENDAR", "SHARED WITH", "MAY", "MADE BY"], &rows, "nothing is shared yet");
    Ok(())
}

/// Why nothing was changed.
enum Refused {
    Denied(Denied),
    Grant(NotGranted),
}

impl From<Denied> for Refused {
    fn from(e: Denied) -> Refused {
        Refused::Denied(e)
    }
}

impl From<NotGranted> for Refused {
    fn from(e: NotGranted) -> Refused {
        Refused::Grant(e)
    }
}

impl From<calgate::store::Error> for Refused {
    fn from(e: calgate::store::Error) -> Refused {
        Refused::Grant(NotGranted::Store(e))
    }
}

fn refused(e: Refused, calendar: &str) -> Failure {
    match e {
        Refused::Denied(Denied::Store(e)) | Refused::Grant(NotGranted::Store(e)) => e.into(),
        Refused::Denied(e) => Failure::new(format!("{calendar}: {e}"), ""),
        Refused::Grant(NotGranted::Declared) => Failure::new(
            format!("that {calendar} is shared with this user stands in the configuration"),
            "Change it there and run `calgate reload`.",
        ),
        Refused::Grant(e) => Failure::new(format!("{calendar}: {e}"), ""),
    }
}
