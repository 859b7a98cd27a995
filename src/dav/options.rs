//! OPTIONS: what can be done where. Answered without a login, and from the URL alone: whether something is there is
//! nobody's business before they have logged in.

use http::StatusCode;
use http::header::{ALLOW, CONTENT_LENGTH, HeaderName};

use super::path::Target;
use super::response::{self, Answer};

/// Compliance classes. No class 2 (there are no locks), no access-control (there is no ACL method, and who reads the token
/// would offer to use it), no scheduling: what is claimed here is believed (a client that reads `calendar-auto-schedule`
/// sends no invitations itself). By `calendarserver-sharing` Apple's clients show their dialog to share a calendar.
pub const DAV: &str = "1, 3, extended-mkcol, calendar-access, calendarserver-sharing, calendarserver-principal-search, \
                       calendarserver-principal-property-search";

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

/// 200 and not 204: Thunderbird and Evolution ask for it.
pub fn answer(target: Option<&Target>) -> Answer {
    let mut answer = response::empty(StatusCode::OK);
    response::header(&mut answer, HeaderName::from_static("dav"), DAV);
    response::header(&mut answer, ALLOW, offered(target));
    response::header(&mut answer, CONTENT_LENGTH, "0");
    answer
}

/// The methods that do something at `target`, as `Allow` lists them in a 405.
pub fn allowed(target: &Target) -> &'static str {
    match target {
        Target::Root { .. } | Target::Principals => "OPTIONS, GET, HEAD, PROPFIND, REPORT",
        Target::Principal { .. } | Target::Home { .. } => "OPTIONS, GET, HEAD, PROPFIND, PROPPATCH, REPORT",
        Target::Inbox { .. } => "OPTIONS, GET, HEAD, PROPFIND, PROPPATCH, REPORT",
        Target::Outbox { .. } => "OPTIONS, GET, HEAD, POST, PROPFIND, PROPPATCH",
        Target::Calendar { .. } => "OPTIONS, GET, HEAD, POST, DELETE, PROPFIND, PROPPATCH, REPORT",
        Target::Resource { .. } => "OPTIONS, GET, HEAD, PUT, DELETE, PROPFIND, PROPPATCH, REPORT",
    }
}

/// What OPTIONS says. Clients read it as what can be done to the collection and in it: a home without MKCALENDAR, or a
/// calendar without PUT (Evolution), is read-only for them.
fn offered(target: Option<&Target>) -> &'static str {
    match target {
        None => "OPTIONS",
        Some(Target::Home { .. }) => "OPTIONS, GET, HEAD, PROPFIND, PROPPATCH, REPORT, MKCALENDAR, MKCOL",
        Some(Target::Calendar { .. }) => {
            "OPTIONS, GET, HEAD, PUT, POST, DELETE, PROPFIND, PROPPATCH, REPORT, MKCALENDAR, MKCOL"
        }
        Some(target) => allowed(target),
    }
}
