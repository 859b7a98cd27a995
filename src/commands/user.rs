//! `calgate user`: users that live in the database, beside those of the configuration.

use std::path::Path;

use calgate::config::values;
use calgate::secrets::{Secret, hash_password};
use calgate::store::users;
use serde_json::json;

use super::{Done, Failure, Here, terminal};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Make a user in the database; the password is asked for
    #[command(after_help = "Example: calgate user add anna --email anna@example.org --timezone Europe/Zurich")]
    Add {
        /// The login, and the user's place in URLs
        #[arg(value_parser = values::user_name)]
        name: String,
        /// A mail address of the user; the first is the preferred one
        #[arg(long, value_parser = values::address)]
        email: Vec<String>,
        /// For all-day events and times without a zone
        #[arg(long, value_parser = values::zone, default_value = "UTC")]
        timezone: String,
        /// Read the password from the first line of standard input
        #[arg(long)]
        password_stdin: bool,
        /// Give no password: only app passwords open the door
        #[arg(long, conflicts_with = "password_stdin")]
        no_password: bool,
    },
    /// List the users
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove a user made by command, with everything of theirs
    Remove {
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Change the password of a user made by command
    Passwd {
        name: String,
        /// Read the password from the first line of standard input
        #[arg(long)]
        password_stdin: bool,
    },
    /// Print the hash of a password, for `password` in the configuration
    Hash {
        /// Read the password from the first line of standard input
        #[arg(long)]
        password_stdin: bool,
    },
}

pub async fn run(config: &Path, command: Command) -> Done {
    match command {
        Command::Add { name, email, timezone, password_stdin, no_password } => {
            let here = Here::open(config)?;
            refuse_declared(&here, &name, "is declared in", "A declared user is changed there.")?;
            // Before a password is asked for; the insert below asks again.
            let wanted = name.clone();
            if here.store.read(move |tx| users::by_name(tx, &wanted)).await?.is_some() {
                return Err(taken(&name));
            }
            let password = if no_password { None } else { Some(terminal::new_password(password_stdin)?) };
            add(&here, name, email, timezone, password).await
        }
        Command::List { json } => list(&Here::open(config)?, json).await,
        Command::Remove { name, yes } => remove(&Here::open(config)?, name, yes).await,
        Command::Passwd { name, password_stdin } => {
            let here = Here::open(config)?;
            refuse_declared(
                &here,
                &name,
                "has its password in",
                "Write a hash of `calgate user hash` there and run `calgate reload`.",
            )?;
            here.user(&name).await?;
            let hash = hash(terminal::new_password(password_stdin)?).await?;
            let wanted = name.clone();
            match here.store.write(move |tx| users::set_password(tx, &wanted, &hash)).await? {
                true => terminal::say(format!("{name} has a new password")),
                false => return Err(Failure::new(format!("there is no user {name} made by command"), "")),
            }
            Ok(())
        }
        Command::Hash { password_stdin } => {
            terminal::say(hash(terminal::new_password(password_stdin)?).await?);
            Ok(())
        }
    }
}

async fn add(here: &Here, name: String, email: Vec<String>, zone: String, password: Option<Secret>) -> Done {
    let hash = match password {
        Some(password) => Some(hash(password).await?),
        None => None,
    };
    let wanted = name.clone();
    match here.store.write(move |tx| users::add(tx, &wanted, hash.as_deref(), &email, &zone)).await? {
        Some(_) => {
            terminal::say(format!("made the user {name}; clients connect to {}/", here.config.server.public_url));
            Ok(())
        }
        None => Err(taken(&name)),
    }
}

fn taken(name: &str) -> Failure {
    Failure::new(
        format!("there is a user {name} already"),
        format!("For a new password: `calgate user passwd {name}`."),
    )
}

async fn list(here: &Here, json: bool) -> Done {
    let users = here.store.read(users::list).await?;
    if json {
        let list = users.iter().map(|u| {
            json!({
                "name": u.name, "display_name": u.display_name, "email": u.addresses, "timezone": u.zone,
                "has_password": u.password.is_some(), "declared": u.declared,
            })
        });
        terminal::say_json(&list.collect());
        return Ok(());
    }
    let row = |u: &users::User| {
        let from = if u.declared { "configuration" } else { "command" };
        vec![u.name.clone(), u.display_name.clone(), u.addresses.join(", "), u.zone.clone(), from.to_owned()]
    };
    let rows: Vec<Vec<String>> = users.iter().map(row).collect();
    terminal::say_table(&["NAME", "DISPLAY NAME", "EMAIL", "TIME ZONE", "MADE BY"], &rows, "there are no users yet");
    Ok(())
}

async fn remove(here: &Here, name: String, yes: bool) -> Done {
    refuse_declared(here, &name, "is declared in", "Take it out there and run `calgate reload`.")?;
    here.user(&name).await?;
    terminal::confirm(yes, &format!("Remove {name}, with all calendars and everything in them?"))?;
    let (wanted, now) = (name.clone(), here.clock.now());
    match here.store.write(move |tx| users::remove(tx, &wanted, now)).await? {
        true => {
            terminal::say(format!("removed {name}"));
            Ok(())
        }
        false => Err(Failure::new(format!("there is no user {name} made by command"), "")),
    }
}

/// Fails for a user of the configuration, which only the configuration changes.
fn refuse_declared(here: &Here, name: &str, how: &str, hint: &str) -> Done {
    if !here.config.users.iter().any(|u| u.name == name) {
        return Ok(());
    }
    Err(Failure::new(format!("{name} {how} {}", here.file.display()), hint))
}

/// Takes tens of milliseconds of computing, so not on a thread that others wait for.
async fn hash(password: Secret) -> Result<String, Failure> {
    let hashed = tokio::task::spawn_blocking(move || hash_password(&password)).await;
    hashed.map_err(|e| Failure::new(format!("the password could not be hashed: {e}"), ""))
}
