//! `calgate calendar`: the calendars that clients see.

use std::path::Path;

use calgate::config::{PublicUrl, nearest};
use calgate::dav::path;
use calgate::store::Store;
use calgate::store::calendars::{self, Calendar, Denied, Source};
use calgate::store::users::{self, Actor, User};
use serde_json::json;

use super::{Done, Failure, Here, terminal};

#[derive(clap::Subcommand)]
pub enum Command {
    /// List the calendars of one user or of all
    List {
        user: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub async fn run(config: &Path, command: Command) -> Done {
    let Command::List { user, json } = command;
    let here = Here::open(config)?;
    let owners = match user {
        Some(name) => vec![here.user(&name).await?],
        None => here.store.read(users::list).await?,
    };
    let list = of(&here.store, owners).await?;
    if json {
        terminal::say_json(&list.iter().map(|c| as_json(c, &here.config.server.public_url)).collect());
        return Ok(());
    }
    let row = |c: &Calendar| {
        let may = if c.writable { "read, write" } else { "read" };
        vec![format!("{}/{}", c.owner, c.slug), c.display_name.clone(), source(c).to_owned(), may.to_owned(), state(c)]
    };
    let rows: Vec<Vec<String>> = list.iter().map(row).collect();
    terminal::say_table(&["CALENDAR", "NAME", "KIND", "MAY", "STATE"], &rows, "there are no calendars yet");
    Ok(())
}

/// The calendars of these users, as their owners see them.
pub async fn of(store: &Store, owners: Vec<User>) -> Result<Vec<Calendar>, Failure> {
    let read = store.read(move |tx| {
        let mut list = Vec::new();
        for owner in &owners {
            list.extend(calendars::home(tx, &Actor::of(owner), &owner.name)?);
        }
        Ok::<_, Denied>(list)
    });
    read.await.map_err(|denied| match denied {
        Denied::Store(e) => e.into(),
        denied => Failure::new(denied.to_string(), ""),
    })
}

/// The calendar of that owner and slug, as its owner sees it.
pub async fn find(here: &Here, (owner, slug): &(String, String)) -> Result<Calendar, Failure> {
    let user = here.user(owner).await?;
    let all = of(&here.store, vec![user]).await?;
    if let Some(found) = all.iter().find(|c| c.slug == *slug) {
        return Ok(found.clone());
    }
    let names: Vec<String> = all.iter().map(|c| format!("{}/{}", c.owner, c.slug)).collect();
    let wanted = format!("{owner}/{slug}");
    let hint = match nearest(&wanted, names.iter().map(String::as_str)) {
        Some(near) => format!("Did you mean {near}?"),
        None => format!("See `calgate calendar list {owner}`."),
    };
    Err(Failure::new(format!("there is no calendar {wanted}"), hint))
}

/// `USER/CALENDAR` as an argument.
pub fn owner_and_slug(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((owner, slug)) if !owner.is_empty() && !slug.is_empty() => Ok((owner.to_owned(), slug.to_owned())),
        _ => Err("write it as USER/CALENDAR, as `calgate calendar list` shows it".to_owned()),
    }
}

fn source(calendar: &Calendar) -> &'static str {
    match calendar.source {
        _ if calendar.share.is_some() => "shared",
        Source::Local => "local",
        Source::Mirror { .. } => "mirror",
        Source::Unified { .. } => "unified",
    }
}

fn state(calendar: &Calendar) -> String {
    match (&calendar.source, &calendar.error) {
        (Source::Mirror { .. }, Some(error)) => terminal::one_line(error),
        (Source::Mirror { .. }, None) => match calendar.pulled_at {
            None => "not read yet".to_owned(),
            at => format!("read {}", terminal::when(at)),
        },
        (Source::Unified { write_to: None }, _) => "new events have nowhere to go: `write_to` is not there".to_owned(),
        _ => String::new(),
    }
}

fn as_json(calendar: &Calendar, public_url: &PublicUrl) -> serde_json::Value {
    json!({
        "user": calendar.owner, "name": calendar.slug, "display_name": calendar.display_name,
        "kind": source(calendar), "writable": calendar.writable,
        "url": format!("{}{}", public_url.origin(), path::calendar(public_url, &calendar.owner, &calendar.slug)),
        "color": calendar.color, "pulled_at": terminal::when_json(calendar.pulled_at), "error": calendar.error,
    })
}
