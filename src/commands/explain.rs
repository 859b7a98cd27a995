//! `calgate explain`: what is stored of an event, and why it is as it is.

use std::path::Path;

use calgate::store::resources::{self, Explained, Held, Kept};
use serde_json::json;

use super::{Done, Failure, Here, terminal};

/// Shows each calendar that has it: its text, what both sides last agreed on, what the upstream calls it, what is still
/// to be sent, what went wrong, and versions that were kept aside.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  calgate explain anna /dav/anna/work/standup.ics
  calgate explain anna 6f1c0a52-standup@example.org")]
pub struct Arguments {
    user: String,
    /// A UID, the name of a resource, or a whole href
    #[arg(value_name = "HREF|UID")]
    what: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(config: &Path, arguments: Arguments) -> Done {
    let here = Here::open(config)?;
    let user = here.user(&arguments.user).await?;
    let (owner, what) = (user.id, arguments.what.clone());
    let found = here.store.read(move |tx| resources::explain(tx, owner, &what)).await?;
    if found.is_empty() {
        return Err(Failure::new(
            format!("{} has nothing called {}", user.name, terminal::one_line(&arguments.what)),
            "Give a UID, the name of a resource as \"standup.ics\", or a whole href as \"/dav/anna/work/standup.ics\".",
        ));
    }
    if arguments.json {
        terminal::say_json(&found.iter().map(as_json).collect());
        return Ok(());
    }
    for (n, explained) in found.iter().enumerate() {
        if n > 0 {
            terminal::say("");
        }
        show(&user.name, explained);
    }
    Ok(())
}

fn show(user: &str, explained: &Explained) {
    let title = match &explained.held {
        Some(held) => format!("/dav/{user}/{}/{}", explained.slug, held.name),
        None => format!("{user}/{}: an object that could not be read", explained.slug),
    };
    terminal::say(terminal::one_line(&title));
    let fact = |name: &str, value: &str| terminal::say(format!("  {name:<13} {}", terminal::one_line(value)));
    fact("state", &state(explained));
    if let Some(held) = &explained.held {
        fact("uid", &held.uid);
        fact("changed", &format!("{}, seq {}", terminal::when(Some(held.changed_at)), held.seq));
        if held.body.is_some() {
            fact("etag", held.etag.as_str());
        }
        if let Some((seq, verdict)) = held.verdict {
            fact("last sent", &format!("seq {seq}: {}", verdict.name()));
        }
    }
    if let Some(remote) = &explained.remote {
        fact("upstream", remote.as_str());
    }
    if let Some(etag) = explained.held.as_ref().and_then(|held| held.remote_etag.as_ref()) {
        fact("upstream etag", etag.as_str());
    }
    if let Some(held) = &explained.held {
        if let Some(body) = &held.body {
            text("text", body);
        }
        match &held.base {
            Some(base) if held.body.as_ref() != Some(base) => text("base (what both sides last agreed on)", base),
            Some(_) => fact("base", "the same text"),
            None => {}
        }
    }
    for Kept { at, reason, body } in &explained.kept {
        text(&format!("kept {}: {}", terminal::when(Some(*at)), terminal::one_line(reason)), body);
    }
}

fn text(name: &str, body: &str) {
    terminal::say(format!("  {name}"));
    for line in body.lines() {
        terminal::say(format!("    {}", terminal::one_line(line)));
    }
}

/// In one sentence, what holds of it and what will happen next.
fn state(explained: &Explained) -> String {
    let why = explained.error.as_deref();
    let Some(held) = &explained.held else {
        return format!("set aside: {}", why.unwrap_or("its text is no calendar data"));
    };
    if let Some((slug, name)) = &explained.shows {
        return format!("shows {slug}/{name}");
    }
    match held {
        Held { refused: Some(refused), .. } => format!("kept here; the upstream will never take it: {refused}"),
        Held { dirty: true, body, .. } => {
            let what = if body.is_some() { "to be sent" } else { "deleted here; the upstream is still to be told" };
            match why {
                Some(why) => format!("{what}; the last attempt failed: {why}"),
                None => what.to_owned(),
            }
        }
        Held { body: None, .. } => "deleted".to_owned(),
        Held { remote: Some(_), .. } => "the same here and upstream".to_owned(),
        Held { origin: Some(_), .. } => "shows an object that is gone".to_owned(),
        _ => "only here".to_owned(),
    }
}

fn as_json(explained: &Explained) -> serde_json::Value {
    let held = explained.held.as_ref();
    json!({
        "calendar": explained.slug,
        "state": state(explained),
        "name": held.map(|h| h.name.as_str()),
        "uid": held.map(|h| &h.uid),
        "seq": held.map(|h| h.seq.0),
        "changed_at": terminal::when_json(held.map(|h| h.changed_at)),
        "text": held.and_then(|h| h.body.as_ref()),
        "base": held.and_then(|h| h.base.as_ref()),
        "remote": explained.remote.as_ref().map(|r| r.as_str()),
        "remote_etag": held.and_then(|h| h.remote_etag.as_ref()).map(|e| e.as_str()),
        "to_send": held.is_some_and(|h| h.dirty),
        "error": explained.error,
        "shows": explained.shows.as_ref().map(|(slug, name)| json!({ "calendar": slug, "name": name.as_str() })),
        "kept": explained.kept.iter().map(|k| json!({
            "at": terminal::when_json(Some(k.at)), "reason": k.reason, "text": k.body,
        })).collect::<Vec<_>>(),
    })
}
