//! Feeds: `GET /feed/TOKEN.ifb` gives free/busy, `GET /feed/TOKEN.ics` gives events. The token is all the login there is.
//!
//! An ETag is made of what an answer is made from (the window, the calendar's and its members' clocks, who is stale), so
//! that a client that has it costs no rendering. Everything in an answer, DTSTAMP too, follows from the same things. That of
//! events is weak: they go out page by page, and what changes meanwhile may be in it.
//! `If-Modified-Since` is not looked at: a member can become stale without any change, and a date does not tell.

use std::time::Duration;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH, LAST_MODIFIED};
use http::request::Parts;
use http::{Response, StatusCode};
use jiff::tz::TimeZone;
use tokio::time::timeout;

use super::server::Peer;
use super::throttle::Block;
use super::{Web, router, say, say_later, store_trouble};
use crate::body::{Body, Cut};
use crate::busy::{self, Member};
use crate::config;
use crate::dav::page::{self, Pace, Page};
use crate::dav::response::http_date;
use crate::export::{self, Ask, Export, Shown};
use crate::ical::file;
use crate::ical::recur::{self, Busy, Limits};
use crate::ical::redact::Viewer;
use crate::ical::{self, Component, Instant, Kind, Mask, Object, Property, Window, freebusy, redact};
use crate::secrets;
use crate::store::feeds::{self, Feed, FeedKind};
use crate::store::walk::Seen;
use crate::store::{self, Tx, calendars, instances, scheduling, shape};

/// A window begins at a quarter of an hour when it is not asked for, so that its ETag lasts as long.
const QUARTER: i64 = 900;
const DAY: i64 = 86_400;
const DEFAULT_DAYS: i64 = 60;
const MOST_DAYS: i64 = 366;

/// Feeds looked up, and pages of them made, at one time.
pub(super) const AT_ONCE: usize = 2;
/// For how long a request waits for its turn.
const TURN: Duration = Duration::from_secs(10);

/// What a URL asks for.
struct Asked {
    form: Form,
    /// SHA-256 of the token.
    token: [u8; 32],
    start: Option<String>,
    end: Option<String>,
    /// `If-None-Match`.
    has: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    FreeBusy,
    Events,
}

/// What the store says to it, in one snapshot.
enum Found {
    /// No such token, or nothing of that form under it.
    Nothing,
    /// A window that can not be: why, as a sentence.
    Wrong(String),
    /// `tag` is what the client has already.
    Same(Version),
    FreeBusy(Version, Box<FreeBusy>),
    Events(Version, Box<Events>),
}

/// Which answer it is.
struct Version {
    /// With its quotes.
    tag: String,
    /// It does not stand for the same bytes always.
    weak: bool,
    /// Since when it is this one: the last change, or the quarter of an hour that its window begins with.
    since: Instant,
}

struct FreeBusy {
    answer: busy::Answer,
    window: Window,
    organizer: Option<String>,
    stamp: Instant,
    uid: String,
}

struct Events {
    feed: Feed,
    /// For the UIDs of masked events: they say nothing to who has another feed.
    viewer: Viewer,
    /// Under which the owner is invited in any of the members.
    addresses: Vec<String>,
    token: [u8; 32],
    /// `None`: all there is.
    chosen: Option<Window>,
    /// Whether the time of a member is not known. A masked feed then has an event over the whole of `window`; a full
    /// one shows what was last known, as its reader's calendar would.
    unknown: bool,
    window: Window,
    stamp: Instant,
}

/// Why a feed does not go on.
enum Lost {
    /// It was taken away, or its calendar is another one.
    Gone,
    Export(export::Error),
}

impl From<store::Error> for Lost {
    fn from(e: store::Error) -> Lost {
        Lost::Export(e.into())
    }
}

impl From<Lost> for Cut {
    fn from(lost: Lost) -> Cut {
        Cut(match lost {
            Lost::Gone => "the feed is there no more".to_owned(),
            Lost::Export(export::Error::Store(e)) => e.to_string(),
            Lost::Export(export::Error::TooMany) => "there are too many instances".to_owned(),
        })
    }
}

/// Answers GET and HEAD. A right token is always served: nobody guesses 128 bits, and behind a proxy all clients have
/// one address. Wrong ones are counted, so that trying costs more time than it gives.
pub(super) async fn get(web: &Web, peer: Peer, head: &Parts) -> Response<Body> {
    let now = web.app.clock.now();
    let Ok(turn) = timeout(TURN, web.feeding.acquire()).await else {
        return unlisted(say_later(StatusCode::SERVICE_UNAVAILABLE, 30, "Too many feeds are read at this moment."));
    };
    let found = match asked(head) {
        None => Ok(Found::Nothing),
        Some(asked) => {
            let rules = web.app.config.load().sync.clone();
            web.app.store.read(move |tx| find(tx, &asked, &rules, now)).await
        }
    };
    // Whoever reads events takes turns anew, page by page.
    drop(turn);
    let answer = match found {
        Ok(Found::Nothing) => match web.wrong_tokens.take(Block::of(peer.address.ip()), now) {
            Ok(()) => say(StatusCode::NOT_FOUND, "There is no such feed."),
            Err(seconds) => say_later(StatusCode::TOO_MANY_REQUESTS, seconds, "There were too many wrong addresses."),
        },
        Ok(Found::Wrong(why)) => say(StatusCode::BAD_REQUEST, &why),
        Ok(Found::Same(version)) => {
            let mut answer = Response::new(Body::default());
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
            versioned(answer, &version)
        }
        Ok(Found::FreeBusy(version, busy)) => versioned(calendar(busy.print()), &version),
        Ok(Found::Events(version, events)) => match events.body(web).await {
            Ok(body) => versioned(calendar(body), &version),
            Err(Lost::Export(export::Error::Store(trouble))) => store_trouble(&trouble),
            Err(Lost::Gone | Lost::Export(export::Error::TooMany)) => {
                say(StatusCode::NOT_FOUND, "There is no such feed.")
            }
        },
        Err(busy::Error::Stale(member)) => {
            tracing::warn!(member, "a feed is not given: `{member}` was not read for too long");
            say_later(StatusCode::SERVICE_UNAVAILABLE, 300, "A calendar in this feed could not be read for too long.")
        }
        Err(busy::Error::Store(trouble)) => store_trouble(&trouble),
    };
    unlisted(answer)
}

fn asked(head: &Parts) -> Option<Asked> {
    let (token, ending) = head.uri.path().strip_prefix(router::FEED)?.rsplit_once('.')?;
    let form = match ending {
        "ifb" => Form::FreeBusy,
        "ics" => Form::Events,
        _ => return None,
    };
    let token: Vec<u8> = percent_encoding::percent_decode_str(token).collect();
    let query = |name: &str| {
        let mut pairs = url::form_urlencoded::parse(head.uri.query()?.as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    let has = head.headers.get_all(IF_NONE_MATCH).iter().filter_map(|v| v.to_str().ok());
    Some(Asked {
        form,
        token: secrets::sha256(&token),
        start: query("start"),
        end: query("end"),
        has: has.flat_map(|v| v.split(',')).map(|tag| tag.trim().trim_start_matches("W/").to_owned()).collect(),
    })
}

fn find(tx: &mut Tx<'_>, asked: &Asked, rules: &config::Sync, now: Instant) -> Result<Found, busy::Error> {
    let Some(feed) = feeds::find(tx, &asked.token)? else { return Ok(Found::Nothing) };
    if asked.form == Form::Events && feed.kind == FeedKind::FreeBusy {
        return Ok(Found::Nothing);
    }
    let zone = feed.calendar.time_zone();
    let chosen = asked.start.is_some() || asked.end.is_some();
    let from = match asked.form {
        Form::FreeBusy => Instant(now.0.div_euclid(QUARTER) * QUARTER),
        // Events do not depend on the window unless it was chosen; what is not known is, and moves with the day.
        Form::Events => Instant(now.0.div_euclid(DAY) * DAY),
    };
    let window = match window(asked.start.as_deref(), asked.end.as_deref(), from, &zone) {
        Ok(window) => window,
        Err(why) => return Ok(Found::Wrong(why)),
    };
    let members = busy::members(tx, &feed.calendar, rules, now)?;
    let mut addresses = feed.owner.addresses.clone();
    for id in members.iter().filter_map(|member| member.known) {
        addresses.extend(instances::addresses(tx, id)?);
    }
    let version = version(tx, asked, &feed, &members, &addresses, window, chosen)?;
    if asked.has.iter().any(|tag| *tag == version.tag || tag == "*") {
        return Ok(Found::Same(version));
    }
    match asked.form {
        Form::FreeBusy => {
            let answer = busy::gather(tx, &feed.calendar, window, rules, now)?;
            let busy = FreeBusy {
                answer,
                window,
                organizer: feed.owner.addresses.first().cloned(),
                stamp: version.since,
                uid: format!("{}@calgate", secrets::hex(&asked.token[..16])),
            };
            Ok(Found::FreeBusy(version, Box::new(busy)))
        }
        Form::Events => {
            let events = Events {
                addresses,
                viewer: calendars::viewer(tx, feed.calendar.id, &secrets::hex(&asked.token))?,
                token: asked.token,
                chosen: chosen.then_some(window),
                unknown: members.iter().any(|member| member.known.is_none()),
                window,
                stamp: version.since,
                feed,
            };
            Ok(Found::Events(version, Box::new(events)))
        }
    }
}

/// The ETag over everything an answer is made from.
fn version(
    tx: &mut Tx<'_>,
    asked: &Asked,
    feed: &Feed,
    members: &[Member],
    addresses: &[String],
    window: Window,
    chosen: bool,
) -> store::Result<Version> {
    let Feed { kind, calendar, .. } = feed;
    let form = match asked.form {
        Form::FreeBusy => "ifb",
        Form::Events => "ics",
    };
    let unknown = members.iter().any(|member| member.known.is_none());
    let of_window = chosen || unknown || asked.form == Form::FreeBusy;
    let mut since = calendar.changed_at;
    if asked.form == Form::FreeBusy && !chosen {
        since = since.max(window.start);
    }
    let availability = match asked.form {
        Form::FreeBusy => scheduling::settings(tx, calendar.members_of())?.availability,
        Form::Events => String::new(),
    };
    let mut parts = vec![
        format!("{} {form} {} {}", busy::PRODID, kind.name(), secrets::hex(&asked.token)),
        format!("{} {} {} {}", calendar.token(), calendar.changed_at.0, calendar.zone, calendar.display_name),
        // What was declined, and so what is busy, follows from them without any change of a calendar.
        addresses.join(" "),
        // Neither does any change when hours of work do, which are by the clock of their owner.
        format!("{} {availability}", feed.owner.zone),
        if of_window { format!("{} {}", window.start.0, window.end.0) } else { String::new() },
    ];
    for member in members {
        // The unified calendar's clock does not move when a member's version of an event that another shows first
        // changes; the busy time does.
        let held = match member.known {
            Some(id) => calendars::for_engine(tx, id)?,
            None => None,
        };
        since = held.as_ref().map_or(since, |held| since.max(held.changed_at));
        // Neither does it move for what could not be read, and whose time is therefore not known.
        let aside = match member.known {
            Some(id) => instances::aside(tx, id)?,
            None => String::new(),
        };
        let clock = held.map_or_else(|| "unknown".to_owned(), |held| held.token());
        parts.push(format!("{} {clock} {aside}", member.slug));
    }
    let hash = secrets::sha256(parts.join("\n").as_bytes());
    let tag = format!("\"{}\"", secrets::hex(&hash[..16]));
    Ok(Version { tag, weak: asked.form == Form::Events, since })
}

/// The window asked for; without a start from `from` on, without an end for 60 days. The error is a sentence.
fn window(start: Option<&str>, end: Option<&str>, from: Instant, zone: &TimeZone) -> Result<Window, String> {
    let read = |name: &str, text: &str| {
        export::instant(text, zone).ok_or_else(|| {
            format!("`{name}` is not a time: write 2026-06-01, 20260601T083000Z or 2026-06-01T08:30:00+02:00.")
        })
    };
    let start = match start {
        Some(text) => read("start", text)?,
        None => from,
    };
    let end = match end {
        Some(text) => read("end", text)?,
        None => start.plus(DEFAULT_DAYS * DAY),
    };
    let window = Window::new(start, end).ok_or("`end` has to be after `start`.")?;
    match end.0 - start.0 > MOST_DAYS * DAY {
        true => Err(format!("At most {MOST_DAYS} days can be asked for at once.")),
        false => Ok(window),
    }
}

impl FreeBusy {
    fn print(&self) -> String {
        let organizer = self.organizer.as_deref();
        busy::to_ical(&self.answer, self.window, organizer, self.stamp, &self.uid, Some("PUBLISH"))
    }
}

impl Events {
    /// One VCALENDAR of all of them, page by page. An object that can not be read any more is left out of a full feed, and
    /// makes the time of a masked one unknown; it is logged by name.
    async fn body(self: Box<Events>, web: &Web) -> Result<Body, Lost> {
        let Feed { kind, calendar, .. } = &self.feed;
        let mut head = calendar.clone();
        if *kind != FeedKind::Full {
            // What the owner wrote about it is not for who sees only when they are busy.
            head.description = String::new();
        }
        // Nothing is expanded.
        let ask =
            Ask { form: file::Form::Text, window: self.chosen, expand: false, limits: Limits::default(), octets: 0 };
        let mut export = Export::of(&ask, export::head(&head), self.stamp);
        let (mut unknown, mut made_of) = (self.unknown, None);
        let write = move |tx: &mut Tx<'_>, out: &mut String| {
            let Feed { kind, calendar, .. } = &self.feed;
            let same = |now: &Feed| {
                now.kind == *kind && now.calendar.id == calendar.id && now.calendar.epoch == calendar.epoch
            };
            let now = feeds::find(tx, &self.token)?.filter(same).ok_or(Lost::Gone)?;
            // Not all of it is there yet, or more than may be seen by now still is; and what a page had of other rows than
            // the next one would have is no feed.
            let whole = shape::whole(tx, calendar.id)?.ok_or(store::Error::Busy)?;
            if *made_of.get_or_insert_with(|| whole.clone()) != whole {
                return Err(Lost::Gone);
            }
            let mut show = |seen: &Seen<'_>, object: Result<&Object, &ical::Error>| {
                if !matches!(seen.kind, Kind::Event | Kind::Other) {
                    return None;
                }
                let shown = object.map_err(Clone::clone).and_then(|object| self.shown(seen.kind, object));
                shown.unwrap_or_else(|e| {
                    tracing::error!("the object {} of a feed can not be read: {e}", seen.name);
                    unknown = true;
                    None
                })
            };
            if !export.next(tx, &now.calendar, Some(&mut show), out).map_err(Lost::Export)? {
                return Ok(Page::More(Pace::Slow));
            }
            if unknown && *kind == FeedKind::Busy {
                out.push_str(&self.not_known(self.window).print_new());
            }
            out.push_str(export.close());
            Ok(Page::Last)
        };
        page::body_in_turn(&web.app, &web.feeding, write).await
    }

    /// An object as this feed may show it, and the first instant it touches; `None` for what takes no time.
    fn shown(&self, kind: Kind, object: &Object) -> Result<Option<Shown>, ical::Error> {
        let first = object.span().first;
        if kind == Kind::Other {
            return self.taken(object).map(|shown| shown.map(|shown| (shown, first)));
        }
        let whole = self.feed.kind == FeedKind::Full && !redact::is_private(object);
        let mask = if whole { Mask::Full } else { Mask::Busy };
        let text = redact::redact(object, mask, &self.viewer, &self.addresses);
        Ok(Some((Component::parse(&text)?, first)))
    }

    /// What the VFREEBUSYs of an object take, as events: who reads this feed reads nothing else.
    fn taken(&self, object: &Object) -> Result<Option<Component>, ical::Error> {
        let found = freebusy::periods(object, &self.feed.calendar.time_zone());
        let found = found.map_err(|e| match e {
            recur::Error::Unreadable(reason) => ical::Error { line: 0, reason },
            recur::Error::TooMany => ical::Error { line: 0, reason: "it is too much to read".to_owned() },
        })?;
        let taken = found.into_iter().filter(|(_, kind)| *kind != Busy::Free).enumerate();
        let events = taken.map(|(at, (window, kind))| {
            let uid = format!("{}-{at}", redact::masked_uid(object.uid(), &self.viewer));
            block(uid, self.stamp, window, "Busy", kind)
        });
        let events: Vec<Component> = events.collect();
        Ok((!events.is_empty()).then(|| Component::new("VCALENDAR").with_components(events)))
    }

    /// The event that says that the time is not known.
    fn not_known(&self, window: Window) -> Component {
        // No object has an empty UID.
        let uid = format!("{}-unknown@calgate", redact::masked_uid("", &self.viewer));
        block(uid, self.stamp, window, "Not known", Busy::Unavailable)
    }
}

/// An event that says no more than that a stretch is taken.
fn block(uid: String, stamp: Instant, window: Window, title: &str, kind: Busy) -> Component {
    let mut properties = vec![
        Property::new("UID", uid),
        Property::new("DTSTAMP", stamp.utc()),
        Property::new("DTSTART", window.start.utc()),
        Property::new("DTEND", window.end.utc()),
        Property::new("SUMMARY", title),
        Property::new("TRANSP", "OPAQUE"),
    ];
    properties.extend(match kind {
        Busy::Unavailable => Some(Property::new("X-MICROSOFT-CDO-BUSYSTATUS", "OOF")),
        Busy::Tentative => Some(Property::new("STATUS", "TENTATIVE")),
        Busy::Busy | Busy::Free => None,
    });
    Component::new("VEVENT").with(properties)
}

fn calendar(body: impl Into<Body>) -> Response<Body> {
    let mut answer = Response::new(body.into());
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/calendar; charset=utf-8"));
    answer
}

fn versioned(mut answer: Response<Body>, version: &Version) -> Response<Body> {
    let headers = answer.headers_mut();
    let weak = if version.weak { "W/" } else { "" };
    if let Ok(tag) = HeaderValue::from_str(&format!("{weak}{}", version.tag)) {
        headers.insert(ETAG, tag);
    }
    if let Ok(date) = HeaderValue::from_str(&http_date(version.since)) {
        headers.insert(LAST_MODIFIED, date);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, max-age=300"));
    answer
}

/// What keeps the URL, which is a secret, out of the world; right or wrong, the answer carries it.
fn unlisted(mut answer: Response<Body>) -> Response<Body> {
    const ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");
    answer.headers_mut().insert(ROBOTS, HeaderValue::from_static("noindex"));
    if answer.status() != StatusCode::OK && answer.status() != StatusCode::NOT_MODIFIED {
        answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    answer
}
