//! OPTIONS: what can be done where, in `Allow` and `DAV`. Without a login it is answered from the URL alone: whether
//! something is there is nobody's business before that. Who is logged in hears what the calendar can do.

use http::StatusCode;
use http::header::{ALLOW, CONTENT_LENGTH, HeaderName};

use super::path::Target;
use super::response::{self, Answer};
use super::{Asked, Error};
use crate::app::App;
use crate::store::calendars::{self, Calendar, Denied, Need, Source};

/// One token of the `DAV` header. What is claimed there is believed (a client that reads `calendar-auto-schedule` sends
/// no invitations itself), so each says where it holds. No class 2 (there are no locks), and no access-control (there is no
/// ACL method, and who reads the token would offer to use it).
pub struct Class {
    pub token: &'static str,
    pub holds: Holds,
}

/// Where a token holds.
pub enum Holds {
    /// At every URL, those that are nothing of ours included: clients look for a server at paths of other servers.
    Everywhere,
    /// Of URLs of ours, by what they are.
    At(fn(&Target) -> bool),
    /// Of homes and calendars, where push messages are switched on.
    Pushed,
    /// In and on calendars, by what they can do. Without a login that is not known, and not claimed.
    In(fn(&Calendar) -> bool),
}

/// To claim something, add a row and a line in `fixtures/dav/4918-18-options.http`.
pub const CLASSES: &[Class] = &[
    Class { token: "1", holds: Holds::Everywhere },
    Class { token: "3", holds: Holds::Everywhere },
    Class { token: "extended-mkcol", holds: Holds::Everywhere },
    Class { token: "calendar-access", holds: Holds::Everywhere },
    // The draft's anyof and allof.
    Class { token: "calendar-query-extended", holds: Holds::Everywhere },
    // Clients may leave out the rules of well-known zones (RFC 7809).
    Class { token: "calendar-no-timezone", holds: Holds::Everywhere },
    // By this Apple's clients show their dialog to share a calendar.
    Class { token: "calendarserver-sharing", holds: Holds::Everywhere },
    Class { token: "calendarserver-principal-search", holds: Holds::Everywhere },
    Class { token: "calendarserver-principal-property-search", holds: Holds::Everywhere },
    Class { token: "webdav-push", holds: Holds::Pushed },
];

/// Methods that are known of, so that they are 405 where they are not possible; any other is 501.
pub const KNOWN: &[&str] = &[
    "OPTIONS",
    "GET",
    "HEAD",
    "PUT",
    "DELETE",
    "POST",
    "PATCH",
    "TRACE",
    "CONNECT",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "MKCALENDAR",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "REPORT",
    "ACL",
    "SEARCH",
];

/// The `DAV` header at `target`, as far as `calendar` is known: the one that it is, or is in.
pub fn dav(app: &App, target: Option<&Target>, calendar: Option<&Calendar>) -> String {
    let pushed = matches!(target, Some(Target::Home { .. } | Target::Calendar { .. })) && app.push.load().is_some();
    let holds = |class: &&Class| match class.holds {
        Holds::Everywhere => true,
        Holds::At(holds) => target.is_some_and(holds),
        Holds::Pushed => pushed,
        Holds::In(holds) => calendar.is_some_and(holds),
    };
    let tokens: Vec<&str> = CLASSES.iter().filter(holds).map(|class| class.token).collect();
    tokens.join(", ")
}

/// Whether some token depends on what the calendar can do, which then has to be looked up.
pub fn depends_on_calendar() -> bool {
    CLASSES.iter().any(|class| matches!(class.holds, Holds::In(_)))
}

/// The calendar at `target`, or around it, as far as the actor may know of it.
pub async fn calendar_of(asked: &Asked<'_>) -> Result<Option<Calendar>, Error> {
    let (Target::Calendar { owner, slug } | Target::Resource { owner, slug, .. }) = &asked.target else {
        return Ok(None);
    };
    let (actor, owner, slug) = (asked.actor.clone(), owner.clone(), slug.clone());
    match asked.app.store.read(move |tx| calendars::open(tx, &actor, &owner, &slug, Need::Read)).await {
        Ok(calendar) => Ok(Some(calendar)),
        Err(Denied::Store(e)) => Err(e.into()),
        Err(_) => Ok(None),
    }
}

/// The answer to who is logged in.
pub async fn answer(asked: Asked<'_>) -> Result<Answer, Error> {
    let calendar = calendar_of(&asked).await?;
    Ok(say(asked.app, Some(&asked.target), calendar.as_ref(), asked.actor.may_write))
}

/// 200 and not 204: Thunderbird and Evolution ask for it. `may_write`: the password may, or there is none yet.
pub fn say(app: &App, target: Option<&Target>, calendar: Option<&Calendar>, may_write: bool) -> Answer {
    let mut answer = response::empty(StatusCode::OK);
    response::header(&mut answer, HeaderName::from_static("dav"), &dav(app, target, calendar));
    let offered = target.map_or("OPTIONS".to_owned(), |target| offered(target, calendar, may_write));
    response::header(&mut answer, ALLOW, &offered);
    response::header(&mut answer, CONTENT_LENGTH, "0");
    answer
}

/// The methods that do something at `target`, as `Allow` lists them in a 405.
pub fn allowed(target: &Target) -> &'static str {
    match target {
        Target::Root { .. } | Target::Principals => "OPTIONS, GET, HEAD, PROPFIND, REPORT",
        Target::Principal { .. } => "OPTIONS, GET, HEAD, PROPFIND, PROPPATCH, REPORT",
        Target::Home { .. } => "OPTIONS, GET, HEAD, POST, PROPFIND, PROPPATCH, REPORT",
        Target::Inbox { .. } => "OPTIONS, GET, HEAD, PROPFIND, PROPPATCH, REPORT",
        Target::Outbox { .. } => "OPTIONS, GET, HEAD, POST, PROPFIND, PROPPATCH",
        Target::Calendar { .. } => "OPTIONS, GET, HEAD, POST, DELETE, PROPFIND, PROPPATCH, REPORT",
        Target::Resource { .. } => "OPTIONS, GET, HEAD, PUT, DELETE, COPY, MOVE, PROPFIND, PROPPATCH, REPORT",
    }
}

/// Methods that change a calendar's contents.
const WRITING: [&str; 6] = ["PUT", "POST", "DELETE", "MOVE", "MKCALENDAR", "MKCOL"];

/// What OPTIONS says. Clients read it as what can be done to the collection and in it: a home without MKCALENDAR, or a
/// calendar without PUT (Evolution), is read-only for them. So one that is read-only has none of these.
fn offered(target: &Target, calendar: Option<&Calendar>, may_write: bool) -> String {
    let all = match target {
        Target::Home { .. } => "OPTIONS, GET, HEAD, POST, PROPFIND, PROPPATCH, REPORT, MKCALENDAR, MKCOL",
        Target::Calendar { .. } => {
            "OPTIONS, GET, HEAD, PUT, POST, DELETE, COPY, MOVE, PROPFIND, PROPPATCH, REPORT, MKCALENDAR, MKCOL"
        }
        target => allowed(target),
    };
    // The resources of a unified calendar have the rights of their origins, whatever holds for new ones.
    let read_only = calendar.is_some_and(|c| !c.writable && !matches!(c.source, Source::Unified { .. }));
    if may_write && !read_only {
        return all.to_owned();
    }
    let left: Vec<&str> = all.split(", ").filter(|method| !WRITING.contains(method)).collect();
    left.join(", ")
}
