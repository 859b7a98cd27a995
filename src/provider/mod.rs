//! Upstreams. Nothing here knows the store or the web. A provider is its folder and one line in `KINDS`.

pub mod caldav;
pub mod http;
pub mod web_push;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::ical::{Kind, Object};
use crate::ids::{Cursor, Etag, RemoteId};
use crate::secrets::Secret;

/// Every kind of upstream there is: its name in `gateway.toml`, and how to open an account of it.
pub const KINDS: &[(&str, Open)] = &[("caldav", caldav::open)];

/// Opens an account of a kind. Nothing is asked yet, so nothing can fail yet.
pub type Open = fn(Settings) -> Box<dyn Provider>;

/// Opens an account; `None`: no such kind.
pub fn open(kind: &str, settings: Settings) -> Option<Box<dyn Provider>> {
    KINDS.iter().find(|(name, _)| *name == kind).map(|(_, open)| open(settings))
}

/// What a provider is opened with.
#[derive(Clone)]
pub struct Settings {
    pub url: url::Url,
    pub login: String,
    pub password: Secret,
    pub http: Arc<http::Client>,
}

/// What to do next after an upstream did not do what we asked. What happened is in the text, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// Try again, not before `after`. 429, 5xx, timeouts, half answers, HTML instead of XML.
    Retry { after: Option<Duration>, why: String },
    /// The credentials are wrong or withdrawn: only the user can help.
    Reconnect { why: String },
    /// The precondition failed: read again, then plan again.
    Stale,
    /// What was to be created is there already, under the same key or UID: this is it. Adopt it.
    Exists(Box<RemoteObject>),
    /// The cursor is not valid any more: read everything, without a cursor.
    CursorLost,
    /// It will never be taken: keep it here and say why.
    Refused(String),
    /// The calendar or object is not there, and who says so can know: of an object while its calendar answers, of a
    /// calendar while what it is in answers. A 404 from a server that answers 404 to everything is [`Error::Retry`].
    Missing,
}

/// A sentence for people, without a final full stop.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Retry { why, .. } | Error::Reconnect { why } | Error::Refused(why) => f.write_str(why),
            Error::Stale => f.write_str("it was changed upstream in the meantime"),
            Error::Exists(_) => f.write_str("it is there upstream already"),
            Error::CursorLost => f.write_str("the upstream no longer knows where we were; everything is read anew"),
            Error::Missing => f.write_str("it is not there upstream"),
        }
    }
}

impl std::error::Error for Error {}

/// What a kind of upstream can do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// It gives a cursor that tells changes from it.
    pub incremental: bool,
    /// Property names it does not hold; the engine keeps ours.
    pub loses: Vec<String>,
}

/// A calendar as the upstream lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteCalendar {
    pub id: RemoteId,
    pub name: String,
    /// `#RRGGBB[AA]`; empty: none.
    pub color: String,
    pub description: String,
    pub writable: bool,
    pub components: Vec<Kind>,
    /// Whether its events leave their owner free (RFC 6638 9.1).
    pub transparent: bool,
    /// Whether the upstream sends invitations to the guests of what is put here.
    pub schedules: bool,
}

/// The account as the upstream knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Mail addresses of the person there, lower case, without `mailto:`.
    pub addresses: Vec<String>,
}

/// An object as upstream holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteObject {
    pub id: RemoteId,
    /// As the upstream wrote it, without quotes when it was strong; weak ones keep their `W/"…"`.
    pub etag: Etag,
    /// The text as it came, each line ended by CRLF, whichever way it came; without U+0000, which databases refuse.
    /// The engine parses it, and sets aside what can not be parsed. When the upstream has it and no text can be had of
    /// it, the first line says why: [`RemoteObject::withheld`].
    pub text: String,
}

/// How a text begins that is none: no calendar data begins so, and nothing parses it.
const WITHHELD: &str = "# ";

impl RemoteObject {
    /// An object that is there and can not be had, so that one such object holds up no other. `why` is one line for
    /// people; `rest` is what there is of it all the same.
    pub fn without_text(id: &RemoteId, etag: Etag, why: &str, rest: &str) -> RemoteObject {
        let text = format!("{WITHHELD}{why}\r\n{rest}").replace('\0', "\u{fffd}");
        RemoteObject { id: id.clone(), etag, text }
    }

    /// Why there is no text that could be parsed; `None`: there is one.
    pub fn withheld(&self) -> Option<&str> {
        self.text.strip_prefix(WITHHELD)?.lines().next()
    }
}

/// One page of changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub objects: Vec<RemoteObject>,
    /// Objects that are there and have not changed since the etag the engine told of; only the etag ladder gives these.
    pub unchanged: Vec<RemoteId>,
    pub gone: Vec<RemoteId>,
    pub next: Next,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// More pages follow.
    More(Cursor),
    /// The last page. `whole`: the pages of this run together list everything; what was not listed is gone.
    Done { cursor: Option<Cursor>, whole: bool },
}

/// One change to make upstream.
#[derive(Clone, Copy)]
pub enum Op<'a> {
    /// `key` is the idempotency key: creating twice with it makes one object.
    Create {
        key: &'a str,
        after: &'a Object,
    },
    Update {
        id: &'a RemoteId,
        etag: &'a Etag,
        before: &'a Object,
        after: &'a Object,
    },
    Delete {
        id: &'a RemoteId,
        etag: &'a Etag,
    },
}

/// What the engine holds of a calendar: remote id → etag. Lets a provider without a change feed fetch only what is new.
pub type Known = std::collections::HashMap<RemoteId, Etag>;

/// An account at an upstream. The engine asks, the provider knows the protocol.
#[async_trait]
pub trait Provider: Send + Sync {
    /// What this account can do. The engine asks before it tries; the test suite skips by it.
    fn features(&self) -> Features;
    /// Who we are there. Also the test of the credentials.
    async fn identity(&self) -> Result<Identity, Error>;
    /// The calendars of the account, in upstream order.
    async fn calendars(&self) -> Result<Vec<RemoteCalendar>, Error>;
    /// Everything that changed since `cursor`, one page. Without a cursor: everything there is.
    /// Objects whose etag stands in `known` need not be given again: they are listed in `unchanged`.
    /// [`Error::Missing`]: the calendar itself is gone.
    async fn pull(&self, calendar: &RemoteId, cursor: Option<&Cursor>, known: &Known) -> Result<Page, Error>;
    /// One object as it is now; `None`: it is gone, or its id is none of this calendar.
    async fn fetch(&self, calendar: &RemoteId, id: &RemoteId) -> Result<Option<RemoteObject>, Error>;
    /// What an earlier `Op::Create` with this key made, if it arrived at all and is still there.
    async fn created(&self, calendar: &RemoteId, key: &str) -> Result<Option<RemoteObject>, Error>;
    /// Makes one change and returns the object as upstream now holds it (`None`: it is gone).
    async fn push(&self, calendar: &RemoteId, op: Op<'_>) -> Result<Option<RemoteObject>, Error>;
}
