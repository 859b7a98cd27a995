//! WebDAV-Push (draft-bitfire-webdav-push): what is offered, and POST that subscribes. Who is told, when and how is
//! `sync/notify.rs`'s to say.

use std::fmt::Write;
use std::sync::Arc;

use http::header::{ETAG, EXPIRES, HeaderName, LOCATION};
use http::{HeaderMap, StatusCode};

use super::path::Target;
use super::props::{Node, Scene};
use super::response::{self, Answer, Ns, http_date};
use super::xml::Element;
use super::{Asked, Error};
use crate::app::App;
use crate::ical::Instant;
use crate::secrets;
use crate::store::calendars::{self, Need};
use crate::store::subscriptions::{self, New, NotMade, Subject, Triggers};
use crate::store::users::{self, Actor};
use crate::sync::notify::{self, Deed, Quiet, Still};

/// What the address of a subscription begins with; its token follows.
pub const ADDRESS: &str = "/push/";
/// Seconds that a subscription holds when nothing is said, and at most. Clients renew them in time.
const USUAL: i64 = 7 * 86_400;
const LONGEST: i64 = 30 * 86_400;

pub(super) const PUSH: &str = Ns::Push.uri();

/// What has a topic.
fn subject(node: &Node<'_>) -> Option<Subject> {
    match node {
        Node::Home(user) => Some(Subject::Home(user.id)),
        Node::Calendar(calendar) => Some(Subject::Calendar(calendar.id)),
        _ => None,
    }
}

/// The property `transports`.
pub fn transports(scene: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    let (Some(push), Some(_)) = (&scene.push, subject(node)) else { return false };
    let key = push.public_key();
    write!(out, "<web-push><vapid-public-key type=\"p256ecdsa\">{key}</vapid-public-key></web-push>").is_ok()
}

/// The property `topic`.
pub fn topic(scene: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    let (Some(push), Some(subject)) = (&scene.push, subject(node)) else { return false };
    out.push_str(&push.topic(subject));
    true
}

/// The property `supported-triggers`. In a home, what changes are the calendars in it.
pub fn supported_triggers(scene: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    let there = scene.push.is_some() && subject(node).is_some();
    if there {
        out.push_str("<content-update><D:depth>1</D:depth></content-update>");
        out.push_str("<property-update><D:depth>0</D:depth></property-update>");
    }
    there
}

/// A `push-register`, read.
pub(super) struct Register {
    url: String,
    key: String,
    auth: String,
    triggers: Triggers,
    expires: Option<Instant>,
}

pub(super) fn read(root: &Element<'_>) -> Result<Register, Error> {
    let subscription = root.child(PUSH, "subscription").and_then(|s| s.child(PUSH, "web-push-subscription"));
    let Some(subscription) = subscription else {
        return Err(invalid("a web-push-subscription is wanted, no other transport is spoken here"));
    };
    let text = |name: &str| subscription.child(PUSH, name).map(|e| e.text().trim().to_owned());
    // DAVx5 leaves it out, and there is only one.
    if text("content-encoding").is_some_and(|coding| coding != "aes128gcm") {
        return Err(invalid("messages are encrypted by aes128gcm and in no other way"));
    }
    let needed = |name: &str| text(name).ok_or_else(|| invalid(&format!("{name} is missing")));
    let triggers = match root.child(PUSH, "trigger") {
        Some(trigger) => Triggers {
            content: trigger.child(PUSH, "content-update").is_some(),
            look: trigger.child(PUSH, "property-update").is_some(),
        },
        // The draft has no such request; DAVx5 sends it, and wants to hear of everything.
        None => Triggers { content: true, look: true },
    };
    if !triggers.content && !triggers.look {
        let condition = format!("<no-supported-trigger xmlns=\"{PUSH}\"/>");
        return Err(Error::refused(condition, "ask for content-update, property-update or both"));
    }
    let date = |e: &Element<'_>| jiff::fmt::rfc2822::parse(e.text().trim()).ok();
    let expires = root.child(PUSH, "expires").and_then(date).map(|z| Instant(z.timestamp().as_second()));
    let (url, key) = (needed("push-resource")?, needed("subscription-public-key")?);
    Ok(Register { url, key, auth: needed("auth-secret")?, triggers, expires })
}

fn invalid(why: &str) -> Error {
    Error::refused(format!("<invalid-subscription xmlns=\"{PUSH}\"/>"), why)
}

fn not_available(why: &str) -> Error {
    Error::refused(format!("<push-not-available xmlns=\"{PUSH}\"/>"), why)
}

/// POST of a `push-register` on a home or a calendar: makes a subscription, or renews it.
pub(super) async fn register(asked: Asked<'_>, wanted: Register) -> Result<Answer, Error> {
    if asked.app.push.load().is_none() {
        return Err(not_available("push messages are switched off here"));
    }
    let (app, actor) = (asked.app.clone(), asked.actor.clone());
    let store = &asked.app.store;
    let receiver = notify::receiver(&app, &wanted.url, &wanted.key, &wanted.auth).map_err(|why| invalid(&why))?;
    let now = app.clock.now();
    let longest = now.plus(LONGEST);
    let expires = wanted.expires.unwrap_or(now.plus(USUAL)).max(now.plus(60)).min(longest);
    let (target, triggers) = (asked.target.clone(), wanted.triggers);
    let made = store.write(move |tx| -> Result<String, Error> {
        let subject = match &target {
            Target::Home { owner } => {
                calendars::home(tx, &actor, owner)?;
                Subject::Home(users::by_name(tx, owner)?.ok_or_else(Error::not_found)?.id)
            }
            Target::Calendar { owner, slug } => {
                Subject::Calendar(calendars::open(tx, &actor, owner, slug, Need::Read)?.id)
            }
            _ => return Err(not_available("subscribe to a calendar, or to the home")),
        };
        let hash = app.secrets.keyed_hash(&wanted.url);
        let known = subscriptions::find(tx, actor.user, subject, &hash)?;
        let token = known.unwrap_or_else(secrets::new_token);
        let sealed = notify::seal(&app, &token, &receiver);
        let state = notify::state(tx, subject)?.ok_or_else(Error::not_found)?;
        let own = match actor.app_password {
            Some(_) => None,
            None => users::by_id(tx, actor.user)?.map(|user| notify::password_of(&user)),
        };
        let new = New {
            token: &token,
            receiver: &sealed,
            receiver_hash: &hash,
            triggers,
            expires,
            app_password: actor.app_password,
            password: own.as_deref(),
        };
        match subscriptions::save(tx, actor.user, subject, &new, &state, now) {
            Ok(()) => Ok(token),
            Err(NotMade::TooMany) => Err(not_available("there are too many subscriptions; end some of them first")),
            Err(NotMade::Store(e)) => Err(e.into()),
        }
    });
    let token = made.await?;
    let mut answer = response::empty(StatusCode::NO_CONTENT);
    response::header(&mut answer, LOCATION, &address(asked.app, &token));
    response::header(&mut answer, EXPIRES, &http_date(expires));
    Ok(answer)
}

/// The absolute address of a subscription.
fn address(app: &App, token: &str) -> String {
    format!("{}{ADDRESS}{token}", app.config.load().server.public_url)
}

/// DELETE of the address of a subscription: ends it. Somebody else's looks like none.
pub async fn end(app: &Arc<App>, actor: &Actor, method: &str, token: &str) -> Result<Answer, Error> {
    if method != "DELETE" {
        let message = "a subscription can be ended by DELETE; it is renewed where it was made";
        return Err(Error { allow: Some("OPTIONS, DELETE"), ..Error::new(StatusCode::METHOD_NOT_ALLOWED, message) });
    }
    let (user, token) = (actor.user, token.to_owned());
    let ended = app.store.write(move |tx| subscriptions::remove(tx, user, &token)).await?;
    if ended { Ok(response::empty(StatusCode::NO_CONTENT)) } else { Err(Error::not_found()) }
}

/// `Push-Dont-Notify`: remembers what the client is not to be told of. `None`: it said nothing.
pub async fn quiet(app: &App, actor: &Actor, headers: &HeaderMap) -> Option<Quiet> {
    const NAME: HeaderName = HeaderName::from_static("push-dont-notify");
    if !headers.contains_key(NAME) || app.push.load().is_none() {
        return None;
    }
    let begin = address(app, "");
    let tokens = still(headers.get_all(NAME).iter().filter_map(|v| v.to_str().ok()), &begin);
    let still = match &tokens {
        None => Still::All,
        Some(tokens) => Still::These(tokens),
    };
    // A message too many does no harm.
    Quiet::take(app, actor.user, still).await.ok()
}

/// What a request that went well has done. `None`: nothing that could be told from what others did.
pub fn deed(method: &str, target: Option<&Target>, answer: &Answer) -> Option<Deed> {
    match (method, target?) {
        ("PUT", Target::Resource { .. }) => {
            let etag = answer.headers().get(ETAG)?.to_str().ok()?;
            Some(Deed::Put(etag.trim_matches('"').to_owned()))
        }
        ("DELETE", Target::Resource { .. }) => Some(Deed::Deleted),
        ("MOVE" | "COPY", Target::Resource { .. }) => Some(Deed::Moved),
        ("DELETE" | "PROPPATCH" | "MKCALENDAR" | "MKCOL", Target::Calendar { .. }) => Some(Deed::Calendar),
        _ => None,
    }
}

/// The tokens that a `Push-Dont-Notify` names; `None`: all. Whatever else it holds is passed over.
fn still<'a>(values: impl Iterator<Item = &'a str>, begin: &str) -> Option<Vec<String>> {
    let mut tokens = Vec::new();
    for part in values.flat_map(|v| v.split(',')).map(str::trim) {
        if part == "*" {
            return None;
        }
        let url = part.strip_prefix('"').and_then(|p| p.strip_suffix('"'));
        tokens.extend(url.and_then(|u| u.strip_prefix(begin)).map(str::to_owned));
    }
    Some(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_keeps_still() {
        let check = |value: &str, expect: Option<&[&str]>| {
            let tokens = still([value].into_iter(), "https://c.example/push/");
            assert_eq!(tokens.as_deref().map(|t| t.iter().map(String::as_str).collect::<Vec<_>>()).as_deref(), expect);
        };
        check("*", None);
        check("\"https://c.example/push/abc\"", Some(&["abc"]));
        check("\"https://c.example/push/abc\" , \"https://c.example/push/def\"", Some(&["abc", "def"]));
        check("\"https://other.example/push/abc\"", Some(&[]));
        check("https://c.example/push/abc", Some(&[]));
        check("", Some(&[]));
        check("\"", Some(&[]));
    }
}
