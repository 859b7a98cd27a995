//! `calgate app-password`: one password for each device, shown once.

use std::path::Path;

use calgate::secrets;
use calgate::store::app_passwords;
use serde_json::json;

use super::{Done, Failure, Here, terminal};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Make an app password and show it, this once
    #[command(after_help = "Example: calgate app-password add anna --label phone")]
    Add {
        user: String,
        /// Which device or program it is for
        #[arg(long, value_parser = calgate::config::values::title)]
        label: String,
        /// It may read and not write
        #[arg(long)]
        read_only: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the app passwords of a user
    List {
        user: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take an app password back; a running gateway locks the device out within a minute
    Revoke {
        user: String,
        /// The number in `calgate app-password list`
        id: i64,
    },
}

pub async fn run(config: &Path, command: Command) -> Done {
    let here = Here::open(config)?;
    match command {
        Command::Add { user, label, read_only, json } => add(&here, &user, label, read_only, json).await,
        Command::List { user, json } => list(&here, &user, json).await,
        Command::Revoke { user, id } => {
            let user = here.user(&user).await?;
            match here.store.write(move |tx| app_passwords::revoke(tx, user.id, id)).await? {
                true => terminal::say(format!("revoked app password {id} of {}", user.name)),
                false => {
                    return Err(Failure::new(
                        format!("{} has no app password {id}", user.name),
                        format!("See `calgate app-password list {}`.", user.name),
                    ));
                }
            }
            Ok(())
        }
    }
}

async fn add(here: &Here, user: &str, label: String, read_only: bool, json: bool) -> Done {
    let user = here.user(user).await?;
    let password = secrets::new_app_password();
    let hash = here.secrets().await?.keyed_hash(password.reveal());
    let now = here.clock.now();
    let (owner, named) = (user.id, label.clone());
    let id = here.store.write(move |tx| app_passwords::add(tx, owner, &named, &hash, read_only, now)).await?;
    if json {
        terminal::say_json(&json!({
            "id": id, "user": user.name, "label": label, "read_only": read_only, "password": password.reveal(),
        }));
        return Ok(());
    }
    // The password alone goes to standard output, so that a script can take it.
    eprintln!("App password {id} of {} for \"{label}\". It is shown this once:", user.name);
    terminal::say(password.reveal());
    eprintln!("Server {}/, login {1}; step by step: `calgate setup {1}`.", here.config.server.public_url, user.name);
    Ok(())
}

async fn list(here: &Here, user: &str, json: bool) -> Done {
    let user = here.user(user).await?;
    let owner = user.id;
    let list = here.store.read(move |tx| app_passwords::list(tx, owner)).await?;
    if json {
        let list = list.iter().map(|p| {
            json!({
                "id": p.id, "label": p.label, "read_only": p.read_only,
                "created": terminal::when_json(Some(p.created)), "last_used": terminal::when_json(p.last_used),
            })
        });
        terminal::say_json(&list.collect());
        return Ok(());
    }
    let row = |p: &app_passwords::AppPassword| {
        let right = if p.read_only { "read" } else { "read, write" };
        let (made, used) = (terminal::when(Some(p.created)), terminal::when(p.last_used));
        vec![p.id.to_string(), p.label.clone(), right.to_owned(), made, used]
    };
    let rows: Vec<Vec<String>> = list.iter().map(row).collect();
    let none =
        format!("{} has no app passwords; make one with `calgate app-password add {0} --label phone`", user.name);
    terminal::say_table(&["ID", "LABEL", "MAY", "MADE", "LAST USED"], &rows, &none);
    Ok(())
}
