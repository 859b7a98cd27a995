//! Tells subscribers that something changed (WebDAV-Push). A standing duty for each user: it looks what each subscriber
//! was told last, and sends a message to those who do not know yet. A lost message costs the time until the client
//! looks by itself; a message says that there is something new and never what.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::task::{JoinError, JoinSet};

use super::Trouble;
use crate::app::App;
use crate::ical::Instant;
use crate::ids::UserId;
use crate::provider::http::Limits;
use crate::provider::web_push::{self, Receiver, Sent, Vapid};
use crate::secrets::{self, Place, Secret};
use crate::store::calendars::{self, Calendar};
use crate::store::homes::{self, Home};
use crate::store::subscriptions::{self, PATIENCE, State, Subject, Subscription};
use crate::store::users::{self, Actor, User};
use crate::store::{self, Tx};

/// What one message may cost: a push service answers a few octets.
pub const LIMITS: Limits = Limits { connect: Duration::from_secs(10), whole: Duration::from_secs(20), body: 64 << 10 };
/// Messages under way at one time for one user.
const AT_ONCE: usize = 16;
/// What one subscription is sealed for.
const TABLE: &str = "subscriptions";
const COLUMN: &str = "receiver";

/// What is offered to clients that want to be told, and what telling needs.
pub struct Push {
    vapid: Vapid,
    /// Makes topics: they must not change, and say nothing of what they name.
    topics: [u8; 32],
}

impl Push {
    /// The key by which push services know us, made by whichever node came first.
    pub async fn open(app: &App) -> Result<Push, String> {
        let place = || Place { table: "common_secrets", column: "sealed", row: "vapid" };
        let made = app.secrets.seal(&place(), &Vapid::generate());
        let new = made.clone();
        let kept = app.store.write(move |tx| subscriptions::common_secret(tx, "vapid", &new)).await;
        let kept = kept.map_err(|e: store::Error| e.to_string())?;
        let secret = match app.secrets.unseal(&place(), &kept) {
            Ok(secret) => secret,
            // With another key file the subscriptions can not be read either: clients make new ones with the new key.
            Err(why) => {
                tracing::warn!(why, "the key for push services can not be opened, and a new one is made: {why}");
                let replaced = app.store.write(move |tx| subscriptions::begin_anew(tx, "vapid", &kept, &made)).await;
                app.secrets.unseal(&place(), &replaced.map_err(|e: store::Error| e.to_string())?)?
            }
        };
        let vapid = Vapid::restore(&secret, app.config.load().server.public_url.origin()).map_err(|e| e.to_string())?;
        let topics = secrets::sha256(format!("topics {}", secret.reveal()).as_bytes());
        Ok(Push { vapid, topics })
    }

    /// The VAPID public key, as clients hand it to their push service.
    pub fn public_key(&self) -> &str {
        self.vapid.public()
    }

    /// The topic of a subject: unique here, and the same for as long as the subject lives.
    pub fn topic(&self, subject: Subject) -> String {
        let name = match subject {
            Subject::Home(user) => format!("home {user}"),
            Subject::Calendar(id) => format!("calendar {id}"),
        };
        URL_SAFE_NO_PAD.encode(&secrets::hmac(&self.topics, name.as_bytes())[..18])
    }
}

/// What a subject is like now; `None`: it is not there any more, or hidden.
pub fn state(tx: &mut Tx<'_>, subject: Subject) -> store::Result<Option<State>> {
    match subject {
        Subject::Calendar(id) => {
            Ok(calendars::for_engine(tx, id)?.map(|c| State { content: c.token(), look: look(&c) }))
        }
        Subject::Home(id) => {
            let Some(user) = users::by_id(tx, id)? else { return Ok(None) };
            let calendars = match calendars::home(tx, &Actor::of(&user), &user.name) {
                Ok(calendars) => calendars,
                Err(calendars::Denied::Store(e)) => return Err(e),
                Err(_) => return Ok(None),
            };
            let list: Vec<String> = calendars.iter().map(|c| format!("{} {:x}", c.slug, c.epoch)).collect();
            Ok(Some(State { content: digest(&list.join("\n")), look: digest(&user.display_name) }))
        }
    }
}

/// The properties that a client shows, or acts by.
fn look(c: &Calendar) -> String {
    let kinds: Vec<&str> = c.components.iter().map(|k| k.name()).collect();
    let texts = [&c.display_name, &c.color, &c.order, &c.description, &c.timezone, &kinds.join(" ")];
    digest(&format!("{texts:?} {}", c.writable))
}

/// A digest of the user's password, by which a subscription knows whether it is still the one it was made with.
pub fn password_of(user: &User) -> String {
    digest(user.password.as_deref().unwrap_or_default())
}

fn digest(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(secrets::sha256(text.as_bytes()))
}

/// Reads where messages shall go. The error is a sentence for the client.
pub fn receiver(app: &App, url: &str, key: &str, auth: &str) -> Result<Receiver, String> {
    let private = app.config.load().push.private_networks;
    let receiver = Receiver::read(url, key, auth, private).map_err(|e| e.to_string())?;
    if !private && app.public_http.refuses(&receiver.url) {
        return Err("the push resource is in a private network, which is not reached".to_owned());
    }
    Ok(receiver)
}

/// Seals where messages go, for the row of that token.
pub fn seal(app: &App, token: &str, receiver: &Receiver) -> Vec<u8> {
    app.secrets.seal(&Place { table: TABLE, column: COLUMN, row: token }, &receiver.write())
}

/// One message on its way.
struct Message {
    subscription: Subscription,
    receiver: Receiver,
    state: State,
    text: String,
    topic: String,
}

/// Tells every subscriber of the user what it does not know yet. Gives when the next one may be tried that could not be
/// reached, if there is one.
pub async fn run(app: &Arc<App>, user: UserId) -> Result<Option<Instant>, Trouble> {
    let Some(push) = app.push.load_full() else { return Ok(None) };
    let now = app.clock.now();
    let (subscriptions, states) = app
        .store
        .read(move |tx| {
            // Whoever was removed is not written to, nor who came by a password that is another one now.
            let mut subscriptions = Vec::new();
            if let Some(user) = users::by_id(tx, user)? {
                let password = password_of(&user);
                subscriptions = subscriptions::of(tx, user.id, now)?;
                subscriptions.retain(|s| s.password.as_ref().is_none_or(|made| *made == password));
            }
            let mut states: HashMap<Subject, Option<State>> = HashMap::new();
            for subscription in &subscriptions {
                if let Entry::Vacant(unknown) = states.entry(subscription.subject) {
                    unknown.insert(state(tx, subscription.subject)?);
                }
            }
            Ok::<_, store::Error>((subscriptions, states))
        })
        .await?;
    let mut going = JoinSet::new();
    let mut again: Vec<Instant> = Vec::new();
    for subscription in subscriptions {
        let Some(Some(state)) = states.get(&subscription.subject) else { continue };
        let not_before = subscription.not_before;
        let Some(message) = message(app, &push, subscription, state.clone()) else { continue };
        if not_before > now {
            again.push(not_before);
            continue;
        }
        if going.len() >= AT_ONCE
            && let Some(done) = going.join_next().await
        {
            again.extend(told(done)?);
        }
        let (app, push) = (app.clone(), push.clone());
        going.spawn(async move { tell(&app, &push, message, now).await });
    }
    while let Some(done) = going.join_next().await {
        again.extend(told(done)?);
    }
    Ok(again.into_iter().min())
}

/// When the subscriber of one message may be tried again; `None`: it need not be.
fn told(done: Result<store::Result<Option<Instant>>, JoinError>) -> Result<Option<Instant>, Trouble> {
    match done {
        Ok(again) => Ok(again?),
        Err(e) => Err(Trouble { why: e.to_string(), after: None }),
    }
}

/// What a subscriber is to be told; `None`: it knows.
fn message(app: &App, push: &Push, subscription: Subscription, state: State) -> Option<Message> {
    let content = subscription.content.as_ref().is_some_and(|told| *told != state.content);
    let look = subscription.look.as_ref().is_some_and(|told| *told != state.look);
    if !content && !look {
        return None;
    }
    let place = Place { table: TABLE, column: COLUMN, row: &subscription.token };
    let sealed: Result<Secret, String> = app.secrets.unseal(&place, &subscription.receiver);
    let receiver = sealed.and_then(|text| Receiver::restore(&text).map_err(|e| e.to_string()));
    let receiver =
        receiver.inspect_err(|why| tracing::warn!(why, "a push subscription can not be read: {why}")).ok()?;
    let topic = push.topic(subscription.subject);
    // Nothing in it needs an escape: a topic is base64url, a token a URN.
    let token = match subscription.subject {
        Subject::Calendar(_) => format!("<D:sync-token>{}</D:sync-token>", state.content),
        Subject::Home(_) => String::new(),
    };
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
         <push-message xmlns=\"https://bitfire.at/webdav-push\" xmlns:D=\"DAV:\"><topic>{topic}</topic>{}{}</push-message>\n",
        if content { format!("<content-update>{token}</content-update>") } else { String::new() },
        if look { "<property-update/>" } else { "" },
    );
    Some(Message { subscription, receiver, state, text, topic: service_topic(&topic, content, look) })
}

/// What the push service sees of a topic. A message replaces an undelivered one only when it says as much.
fn service_topic(topic: &str, content: bool, look: bool) -> String {
    let name = format!("{topic} {content} {look}");
    URL_SAFE_NO_PAD.encode(&secrets::sha256(name.as_bytes())[..18])
}

async fn tell(app: &App, push: &Push, message: Message, now: Instant) -> store::Result<Option<Instant>> {
    let client = match app.config.load().push.private_networks {
        true => &app.http,
        false => &app.public_http,
    };
    let Message { subscription, receiver, state, text, topic } = message;
    let token = subscription.token;
    let too_long = subscription.failing.is_some_and(|since| since.plus(PATIENCE) < now);
    match web_push::send(client, &receiver, &push.vapid, &text, &topic, now).await {
        Sent::Done => app.store.write(move |tx| subscriptions::told(tx, &token, &state)).await?,
        Sent::Failed { why, after } if !too_long => {
            let rest = after.map_or(0, |after| i64::try_from(after.as_secs()).unwrap_or(i64::MAX));
            let again = now.plus(rest.max(pause(subscription.tries)));
            tracing::info!(why, "a push message was not delivered: {why}");
            app.store.write(move |tx| subscriptions::failed(tx, &token, now, again)).await?;
            return Ok(Some(again));
        }
        Sent::Gone(why) | Sent::Failed { why, .. } => {
            tracing::info!(why, "a push subscription ended: {why}");
            app.store.write(move |tx| subscriptions::forget(tx, &token)).await?;
        }
    }
    Ok(None)
}

/// Half a minute, a minute, two … up to an hour, in seconds.
fn pause(tries: i64) -> i64 {
    (30 << tries.clamp(0, 7)).min(3600)
}

/// Wakes the workers in a moment, when what a client just wrote has been gathered. Called after every write; nearly all
/// of them find that somebody has called already.
pub fn soon(app: &Arc<App>) {
    if app.push.load().is_none() || app.stirring.swap(true, Ordering::Relaxed) {
        return;
    }
    let app = app.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(2500)).await;
        app.stirring.store(false, Ordering::Relaxed);
        app.wake.notify_one();
    });
}

/// What a client that causes a change itself is not to be told of. Taken before the request, and settled after it.
pub struct Quiet {
    user: UserId,
    /// Where the user's clock and that of the home stood.
    at: Home,
    /// By the tokens of the subscriptions.
    before: Vec<(String, Subject, State)>,
}

/// Which subscriptions keep still.
pub enum Still<'a> {
    All,
    /// By the tokens of their addresses.
    These(&'a [String]),
}

/// What a request has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// An object was put, and has this etag.
    Put(String),
    Deleted,
    /// An object came to another place.
    Moved,
    /// A calendar came, went, or looks different.
    Calendar,
}

impl Quiet {
    pub async fn take(app: &App, user: UserId, still: Still<'_>) -> store::Result<Quiet> {
        let only = match still {
            Still::All => None,
            Still::These(tokens) => Some(tokens.to_vec()),
        };
        let now = app.clock.now();
        app.store
            .read(move |tx| {
                let mut before = Vec::new();
                for s in subscriptions::of(tx, user, now)? {
                    if only.as_ref().is_none_or(|tokens| tokens.contains(&s.token))
                        && let Some(state) = state(tx, s.subject)?
                    {
                        before.push((s.token, s.subject, state));
                    }
                }
                Ok(Quiet { user, at: homes::home(tx, user)?, before })
            })
            .await
    }

    /// The request is over. What changed meanwhile is passed over only where it can be nobody's doing but its own:
    /// better a message too many than one that somebody waits for.
    pub async fn settle(self, app: &App, deed: Deed) -> store::Result<()> {
        if self.before.is_empty() {
            return Ok(());
        }
        app.store
            .write(move |tx| {
                let home = homes::home(tx, self.user)?;
                let etag = if let Deed::Put(etag) = &deed { etag.as_str() } else { "" };
                let traces = subscriptions::traces(tx, self.user, self.at.seq, etag)?;
                let looks = home.looks.0 - self.at.looks.0;
                // Every number of the clock belongs to a row, and all rows are the one object.
                let one = looks == 0 && traces.ticks == traces.rows && traces.objects == 1;
                let alone = match deed {
                    Deed::Put(_) => one && traces.has_etag,
                    Deed::Deleted => one && !traces.live,
                    Deed::Moved => one,
                    Deed::Calendar => looks == 1 && traces.ticks == 0,
                };
                for (token, subject, before) in self.before.iter().filter(|_| alone) {
                    if let Some(after) = state(tx, *subject)? {
                        subscriptions::pass_over(tx, token, before, &after)?;
                    }
                }
                Ok(())
            })
            .await
    }
}
