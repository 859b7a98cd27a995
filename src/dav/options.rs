//! OPTIONS: what can be done where, in `Allow` and `DAV`. Without a login it is answered from the URL alone: whether
//! something is there is nobody's business before that. Who is logged in hears what the calendar can do.

use http::StatusCode;
use http::header::{ALLOW, CONTENT_LENGTH, HeaderName};

use super::path::Target;
use super::response::{self, Answer};
use super::{Asked, Error};
use crate::app::App;
use crate::store::calendars::{self, Denied, Need, Source};
use crate::store::grants::May;
use crate::store::users::Actor;
use crate::store::{self, Tx, resources, scheduling, unified};

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
    /// At every URL of ours.
    Ours,
    /// Of homes and calendars, where push messages are switched on.
    Pushed,
    /// Where an upstream sends the invitations of what is put there. Without a login that is not known, and not claimed.
    Scheduled,
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
    Class { token: "calendar-auto-schedule", holds: Holds::Scheduled },
    Class { token: "calendar-availability", holds: Holds::Ours },
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

/// The `DAV` header at `target`. `scheduled`: what [`scheduled`] says, false where that was not asked.
pub fn dav(app: &App, target: Option<&Target>, scheduled: bool) -> String {
    let pushed = matches!(target, Some(Target::Home { .. } | Target::Calendar { .. })) && app.push.load().is_some();
    let holds = |class: &&Class| match class.holds {
        Holds::Everywhere => true,
        Holds::Ours => target.is_some(),
        Holds::Pushed => pushed,
        Holds::Scheduled => scheduled,
    };
    let tokens: Vec<&str> = CLASSES.iter().filter(holds).map(|class| class.token).collect();
    tokens.join(", ")
}

/// Whether an upstream sends the invitations of all that can be put into the calendars of a home.
///
/// What stands in the header is believed: a client that reads `calendar-auto-schedule` sends no invitations itself, and one
/// that does not sends them beside an upstream's. So it is said of a calendar whose upstream sends them, and of a home, its
/// principal and its boxes when that holds for every calendar of it that takes events: Thunderbird asks the calendar,
/// Apple's clients the principal.
pub fn scheduled(tx: &mut Tx<'_>, actor: &Actor, owner: &str) -> store::Result<bool> {
    // Mostly there is no such upstream at all.
    if !scheduling::any(tx)? {
        return Ok(false);
    }
    match calendars::home(tx, actor, owner) {
        Ok(calendars) => Ok(scheduling::all_schedule(&calendars)),
        Err(Denied::Store(e)) => Err(e),
        Err(_) => Ok(false),
    }
}

/// What of a place only a look-up says.
#[derive(Default)]
struct Known {
    /// Nothing here can be changed.
    read_only: bool,
    /// Of a calendar that somebody shares: it can be left, whatever may be done in it.
    shared: bool,
    scheduled: bool,
}

fn look_up(tx: &mut Tx<'_>, actor: &Actor, target: &Target) -> store::Result<Known> {
    let owner = match target {
        Target::Calendar { owner, slug } | Target::Resource { owner, slug, .. } => {
            let calendar = match calendars::open(tx, actor, owner, slug, Need::Read) {
                Ok(calendar) => calendar,
                Err(Denied::Store(e)) => return Err(e),
                Err(_) => return Ok(Known::default()),
            };
            let unified = matches!(calendar.source, Source::Unified { .. });
            let for_reading = calendar.share.as_ref().is_some_and(|share| share.may != May::Write);
            let read_only = match target {
                _ if for_reading || !unified => !calendar.writable,
                // Each resource of a unified calendar has the right of its origin, whatever holds for new ones.
                Target::Resource { name, .. } if resources::get(tx, &calendar, name)?.is_some() => {
                    !unified::is_writable(tx, calendar.id, name.as_str())?
                }
                Target::Resource { .. } => !calendar.writable,
                _ => false,
            };
            return Ok(Known { read_only, shared: calendar.share.is_some(), scheduled: calendar.schedules });
        }
        Target::Home { owner } | Target::Inbox { owner } | Target::Outbox { owner } => owner,
        Target::Principal { user } => user,
        Target::Root { .. } | Target::Principals => return Ok(Known::default()),
    };
    Ok(Known { scheduled: scheduled(tx, actor, owner)?, ..Known::default() })
}

/// The answer to who is logged in.
pub async fn answer(asked: Asked<'_>) -> Result<Answer, Error> {
    let (actor, target) = (asked.actor.clone(), asked.target.clone());
    let known = asked.app.store.glance(move |tx| look_up(tx, &actor, &target)).await?;
    let dav = dav(asked.app, Some(&asked.target), known.scheduled);
    Ok(with_dav(say(Some(&asked.target), &known, asked.actor.may_write), &dav))
}

/// The answer without a login, or where nothing of ours is. `may_write`: the password may, or there is none yet.
pub fn plain(app: &App, target: Option<&Target>, may_write: bool) -> Answer {
    with_dav(say(target, &Known::default(), may_write), &dav(app, target, false))
}

pub fn with_dav(mut answer: Answer, dav: &str) -> Answer {
    response::header(&mut answer, HeaderName::from_static("dav"), dav);
    answer
}

/// 200 and not 204: Thunderbird and Evolution ask for it.
fn say(target: Option<&Target>, known: &Known, may_write: bool) -> Answer {
    let mut answer = response::empty(StatusCode::OK);
    let offered = target.map_or("OPTIONS".to_owned(), |target| offered(target, known, may_write));
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
        Target::Outbox { .. } => "OPTIONS, GET, HEAD, POST, PROPFIND, PROPPATCH, REPORT",
        Target::Calendar { .. } => "OPTIONS, GET, HEAD, POST, DELETE, PROPFIND, PROPPATCH, REPORT",
        Target::Resource { .. } => "OPTIONS, GET, HEAD, PUT, DELETE, COPY, MOVE, PROPFIND, PROPPATCH, REPORT",
    }
}

/// Methods that change a calendar's contents.
const WRITING: [&str; 6] = ["PUT", "POST", "DELETE", "MOVE", "MKCALENDAR", "MKCOL"];

/// What OPTIONS says. Clients read it as what can be done to the collection and in it: a home without MKCALENDAR, or a
/// calendar without PUT (Evolution), is read-only for them. So one that is read-only has none of these.
fn offered(target: &Target, known: &Known, may_write: bool) -> String {
    let all = match target {
        Target::Home { .. } => "OPTIONS, GET, HEAD, POST, PROPFIND, PROPPATCH, REPORT, MKCALENDAR, MKCOL",
        Target::Calendar { .. } => {
            "OPTIONS, GET, HEAD, PUT, POST, DELETE, COPY, MOVE, PROPFIND, PROPPATCH, REPORT, MKCALENDAR, MKCOL"
        }
        target => allowed(target),
    };
    if may_write && !known.read_only {
        return all.to_owned();
    }
    let leaves = may_write && known.shared && matches!(target, Target::Calendar { .. });
    let possible = |method: &&str| !WRITING.contains(method) || leaves && *method == "DELETE";
    let left: Vec<&str> = all.split(", ").filter(possible).collect();
    left.join(", ")
}
