//! OPTIONS: what can be done where. Answered without a login, and from the URL alone: whether something is there is
//! nobody's business before they have logged in.

use http::StatusCode;
use http::header::{ALLOW, CONTENT_LENGTH, HeaderName};

use super::path::Target;
use super::response::{self, Answer};

/// Compliance classes. No class 2 (there are no locks), no access-control, no scheduling: what is claimed here is
/// believed (a client that reads `calendar-auto-schedule` sends no invitations itself).
pub const DAV: &str = "1, 3, extended-mkcol, calendar-access";

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
    response::header(&mut answer, ALLOW, allow(target));
    response::header(&mut answer, CONTENT_LENGTH, "0");
    answer
}

/// The methods that do something at `target`.
pub fn allowed(target: &Target) -> &'static [&'static str] {
    match target {
        Target::Root { .. } | Target::Principals => &["OPTIONS", "GET", "HEAD", "PROPFIND", "REPORT"],
        Target::Principal { .. } => &["OPTIONS", "GET", "HEAD", "PROPFIND", "PROPPATCH", "REPORT"],
        Target::Home { .. } => &["OPTIONS", "GET", "HEAD", "PROPFIND", "PROPPATCH", "REPORT"],
        Target::Calendar { .. } => {
            &["OPTIONS", "GET", "HEAD", "DELETE", "PROPFIND", "PROPPATCH", "REPORT", "MKCALENDAR", "MKCOL"]
        }
        Target::Resource { .. } => &["OPTIONS", "GET", "HEAD", "PUT", "DELETE", "PROPFIND", "PROPPATCH", "REPORT"],
    }
}

/// The same for the `Allow` header. A calendar's has PUT, which is what can be done to what is in it: Evolution takes
/// a calendar for read-only without.
pub fn allow(target: Option<&Target>) -> &'static str {
    match target {
        None => "OPTIONS",
        Some(Target::Root { .. } | Target::Principals) => "OPTIONS, GET, HEAD, PROPFIND, REPORT",
        Some(Target::Principal { .. }) => "OPTIONS, GET, HEAD, PROPFIND, PROPPATCH, REPORT",
        Some(Target::Home { .. }) => "OPTIONS, GET, HEAD, PROPFIND, PROPPATCH, REPORT, MKCALENDAR, MKCOL",
        Some(Target::Calendar { .. }) => {
            "OPTIONS, GET, HEAD, PUT, DELETE, PROPFIND, PROPPATCH, REPORT, MKCALENDAR, MKCOL"
        }
        Some(Target::Resource { .. }) => "OPTIONS, GET, HEAD, PUT, DELETE, PROPFIND, PROPPATCH, REPORT",
    }
}
