//! `calgate explain`: what is stored of an event, and why it is as it is.

use std::path::Path;

use calgate::ical::scheduling;
use calgate::store::resources::{self, Explained, Held, Kept, Verdict};
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
        None => format!("{user}/{}: something that can not be read", explained.slug),
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
            fact("last sent", &format!("{}, seq {seq}", words(verdict)));
        }
    }
    if explained.held.as_ref().and_then(|held| held.body.as_deref()).is_some_and(invites) {
        fact("invitations", who_sends(explained.schedules));
    }
    if let Some(remote) = &explained.remote {
        fact("at its server", remote.as_str());
    }
    if let Some(etag) = explained.held.as_ref().and_then(|held| held.remote_etag.as_ref()) {
        fact("etag there", etag.as_str());
    }
    if let Some(held) = &explained.held {
        if let Some(body) = &held.body {
            text("text", body);
        }
        match &held.base {
            Some(base) if held.body.as_ref() != Some(base) => text("what both sides last agreed on", base),
            Some(_) => fact("last agreed", "the same text"),
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

/// In one sentence, what holds of it and what will happen next, in words of somebody who has a calendar.
fn state(explained: &Explained) -> String {
    let why = terminal::one_line(explained.error.as_deref().unwrap_or_default());
    let Some(held) = &explained.held else {
        return format!(
            "not shown here, because it can not be read: {}; it stays at its server, and is read again when it changes there",
            if why.is_empty() { "it is no calendar data" } else { &why }
        );
    };
    if let Some((slug, name)) = &explained.shows {
        return match held.body {
            Some(_) => {
                format!("masked: shows {slug}/{name} without what the configuration hides; it can not be changed here")
            }
            None => format!("shows {slug}/{name}; it is one event, and a change here is a change there"),
        };
    }
    match held {
        Held { refused: Some(refused), body, .. } => {
            let what = if body.is_some() { "only here" } else { "deleted only here" };
            format!("{what}: its server refused the change ({}); it is sent again when it changes", terminal::one_line(refused))
        }
        Held { dirty: true, body, .. } => {
            let what = if body.is_some() { "saved here" } else { "deleted here" };
            match why.is_empty() {
                true => format!("{what}, and about to be sent to its server"),
                false => format!("{what}, and not yet sent to its server, because: {why}; it is tried again by itself"),
            }
        }
        Held { body: None, .. } => "deleted".to_owned(),
        Held { verdict: Some((_, Verdict::Conflict)), remote: Some(_), .. } => {
            "the same here and at its server: it was changed in both places at the same time, the server's version won, \
             and the one from here is kept below"
                .to_owned()
        }
        Held { remote: Some(_), .. } => "the same here and at its server".to_owned(),
        Held { origin: Some(_), .. } => "shows an event that is gone".to_owned(),
        _ => "only here: its calendar has no other server".to_owned(),
    }
}

/// Whether somebody is invited to it.
fn invites(text: &str) -> bool {
    scheduling::tag(text, &[]).is_some()
}

/// Who tells the guests.
fn who_sends(schedules: bool) -> &'static str {
    match schedules {
        true => "its server sends them, when it gets the event",
        false => "not sent from here: its calendar has no server that says it sends them",
    }
}

/// What became of a version, for people.
fn words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Sent => "its server took it as it was",
        Verdict::Altered => "its server took it and changed it",
        Verdict::Conflict => "its server had a newer version, which won",
        Verdict::Refused => "its server refused it",
        Verdict::Away => "its server did not answer",
    }
}

fn as_json(explained: &Explained) -> serde_json::Value {
    let held = explained.held.as_ref();
    json!({
        "calendar": explained.slug,
        "state": state(explained),
        "schedules": explained.schedules,
        "name": held.map(|h| h.name.as_str()),
        "uid": held.map(|h| &h.uid),
        "seq": held.map(|h| h.seq.0),
        "changed_at": terminal::when_json(held.map(|h| h.changed_at)),
        "text": held.and_then(|h| h.body.as_ref()),
        "base": held.and_then(|h| h.base.as_ref()),
        "remote": explained.remote.as_ref().map(|r| r.as_str()),
        "remote_etag": held.and_then(|h| h.remote_etag.as_ref()).map(|e| e.as_str()),
        "masked": explained.shows.is_some() && held.is_some_and(|h| h.body.is_some()),
        "refused": held.and_then(|h| h.refused.as_ref()),
        "last_sent": held.and_then(|h| h.verdict).map(|(seq, verdict)| json!({ "seq": seq.0, "became": verdict.name() })),
        "to_send": held.is_some_and(|h| h.dirty),
        "error": explained.error,
        "shows": explained.shows.as_ref().map(|(slug, name)| json!({ "calendar": slug, "name": name.as_str() })),
        "kept": explained.kept.iter().map(|k| json!({
            "at": terminal::when_json(Some(k.at)), "reason": k.reason, "text": k.body,
        })).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use calgate::ical::Instant;
    use calgate::ids::{CalendarId, Etag, Name, RemoteId, ResourceId, Seq};

    use super::*;

    fn held(change: impl FnOnce(&mut Held)) -> Option<Held> {
        let mut held = Held {
            id: ResourceId(1),
            calendar: CalendarId(1),
            name: Name::new("standup.ics").expect("a name"),
            uid: "standup".to_owned(),
            seq: Seq(7),
            etag: Etag("e".to_owned()),
            body: Some("text".to_owned()),
            base: Some("text".to_owned()),
            sent: Vec::new(),
            remote: Some(RemoteId("/standup.ics".to_owned())),
            remote_etag: None,
            dirty: false,
            refused: None,
            error: None,
            verdict: None,
            origin: None,
            moving: None,
            changed_at: Instant(0),
        };
        change(&mut held);
        Some(held)
    }

    fn check(held: Option<Held>, shows: bool, error: Option<&str>, expect: &str) {
        let shows = shows.then(|| ("work".to_owned(), Name::new("standup.ics").expect("a name")));
        let error = error.map(str::to_owned);
        let explained =
            Explained { slug: "home".to_owned(), schedules: false, held, shows, remote: None, error, kept: Vec::new() };
        assert_eq!(state(&explained), expect);
        assert!(!state(&explained).contains("upstream"), "a word of ours: {expect}");
    }

    #[test]
    fn each_state_is_told_in_words_of_a_calendar() {
        check(held(|_| ()), false, None, "the same here and at its server");
        check(held(|h| h.remote = None), false, None, "only here: its calendar has no other server");
        check(held(|h| h.dirty = true), false, None, "saved here, and about to be sent to its server");
        check(
            held(|h| h.dirty = true),
            false,
            Some("503"),
            "saved here, and not yet sent to its server, because: 503; it is tried again by itself",
        );
        check(
            held(|h| (h.dirty, h.body) = (true, None)),
            false,
            None,
            "deleted here, and about to be sent to its server",
        );
        check(held(|h| h.body = None), false, None, "deleted");
        check(
            held(|h| (h.dirty, h.refused) = (true, Some("too long".to_owned()))),
            false,
            Some("too long"),
            "only here: its server refused the change (too long); it is sent again when it changes",
        );
        check(
            held(|h| h.verdict = Some((Seq(6), Verdict::Conflict))),
            false,
            None,
            "the same here and at its server: it was changed in both places at the same time, the server's version won, \
             and the one from here is kept below",
        );
        check(
            held(|h| (h.body, h.origin) = (None, Some(ResourceId(2)))),
            true,
            None,
            "shows work/standup.ics; it is one event, and a change here is a change there",
        );
        check(
            held(|h| h.origin = Some(ResourceId(2))),
            true,
            None,
            "masked: shows work/standup.ics without what the configuration hides; it can not be changed here",
        );
        check(
            None,
            false,
            Some("line 3 has no name"),
            "not shown here, because it can not be read: line 3 has no name; it stays at its server, and is read again \
             when it changes there",
        );
    }
}
