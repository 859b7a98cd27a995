//! What goes back: multistatus bodies, error bodies, dates. Pure: bytes in, bytes out.

use std::borrow::Cow;

use http::header::{ALLOW, CONTENT_TYPE, ETAG, HeaderName, RETRY_AFTER, VARY};
use http::{HeaderValue, Response, StatusCode};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;

use super::Error;
use super::xml::{escape, escape_attribute};
use crate::body::Body;
use crate::ical::Instant;
use crate::ids::Etag;

/// The namespaces that there are properties in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ns {
    Dav,
    CalDav,
    CalendarServer,
    Apple,
    /// WebDAV-Push: seldom asked for, so its prefix is not in every answer.
    Push,
}

impl Ns {
    /// Those that have a prefix in every answer.
    pub const DECLARED: [Ns; 4] = [Ns::Dav, Ns::CalDav, Ns::CalendarServer, Ns::Apple];

    pub const fn uri(self) -> &'static str {
        match self {
            Ns::Dav => "DAV:",
            Ns::CalDav => "urn:ietf:params:xml:ns:caldav",
            Ns::CalendarServer => "http://calendarserver.org/ns/",
            Ns::Apple => "http://apple.com/ns/ical/",
            Ns::Push => "https://bitfire.at/webdav-push",
        }
    }

    pub const fn prefix(self) -> &'static str {
        match self {
            Ns::Dav => "D",
            Ns::CalDav => "C",
            Ns::CalendarServer => "CS",
            Ns::Apple => "A",
            Ns::Push => "P",
        }
    }

    pub fn of(uri: &str) -> Option<Ns> {
        Ns::DECLARED.into_iter().chain([Ns::Push]).find(|ns| ns.uri() == uri)
    }
}

/// What begins every XML body of ours.
pub const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n";

pub type Answer = Response<Body>;

/// The start tag of a root element, with the prefixes of [`Ns`] declared.
pub fn open_root(name: &str, out: &mut String) {
    out.push_str(DECLARATION);
    out.push('<');
    out.push_str(name);
    for ns in Ns::DECLARED {
        out.push_str(" xmlns:");
        out.push_str(ns.prefix());
        out.push_str("=\"");
        out.push_str(ns.uri());
        out.push('"');
    }
    out.push_str(">\n");
}

/// The end tag of a root element.
pub fn close_root(name: &str, out: &mut String) {
    out.push_str("</");
    out.push_str(name);
    out.push_str(">\n");
}

/// `HTTP/1.1 200 OK`, the very form clients compare with.
pub fn status_line(status: StatusCode, out: &mut String) {
    out.push_str("<D:status>HTTP/1.1 ");
    out.push_str(status.as_str());
    out.push(' ');
    out.push_str(status.canonical_reason().unwrap_or("Unknown"));
    out.push_str("</D:status>");
}

/// A response element that has a status and no properties. `href` needs no escapes; `condition` is XML, or empty.
pub fn bare_response(href: &str, status: StatusCode, condition: &str, out: &mut String) {
    out.push_str("<D:response><D:href>");
    out.push_str(href);
    out.push_str("</D:href>");
    status_line(status, out);
    if !condition.is_empty() {
        out.push_str("<D:error>");
        out.push_str(condition);
        out.push_str("</D:error>");
    }
    out.push_str("</D:response>\n");
}

/// Start tag, end tag and empty tag of an element in any namespace.
pub struct Tags {
    pub open: String,
    pub close: String,
    pub empty: String,
}

/// The tags of `name` in `ns`: by a prefix that is declared at the root, else with a declaration of its own.
pub fn tags(ns: &str, name: &str) -> Tags {
    if let Some(ns) = Ns::of(ns).filter(|ns| Ns::DECLARED.contains(ns)) {
        let prefix = ns.prefix();
        return Tags {
            open: format!("<{prefix}:{name}>"),
            close: format!("</{prefix}:{name}>"),
            empty: format!("<{prefix}:{name}/>"),
        };
    }
    let mut start = format!("<{name} xmlns=\"");
    escape_attribute(ns, &mut start);
    start.push('"');
    Tags { open: format!("{start}>"), close: format!("</{name}>"), empty: format!("{start}/>") }
}

/// 207 with a multistatus.
pub fn multistatus(body: impl Into<Body>) -> Answer {
    xml(StatusCode::MULTI_STATUS, body)
}

pub fn xml(status: StatusCode, body: impl Into<Body>) -> Answer {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml; charset=utf-8"));
    answer
}

/// An answer without a body.
pub fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Body::default());
    *answer.status_mut() = status;
    answer
}

/// Sets a header whose value is made of ours; one that can not be a header value is left out.
pub fn header(answer: &mut Answer, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
}

/// Says which preferences were followed (RFC 7240 3), and that they make a difference.
pub fn with_preference(mut answer: Answer, applied: &str) -> Answer {
    header(&mut answer, VARY, "Brief, Prefer");
    if !applied.is_empty() {
        header(&mut answer, HeaderName::from_static("preference-applied"), applied);
    }
    answer
}

/// An etag in its quotes.
pub fn quoted(etag: &Etag) -> String {
    format!("\"{etag}\"")
}

/// The date form of HTTP (RFC 9110 5.6.7).
pub fn http_date(at: Instant) -> String {
    let text = Timestamp::from_second(at.0).and_then(|t| DateTimePrinter::new().timestamp_to_rfc9110_string(&t));
    text.unwrap_or_else(|_| "Thu, 01 Jan 1970 00:00:00 GMT".to_owned())
}

/// An error as a client hears it: `D:error` with the precondition, and a sentence for people in an element that
/// clients pass over. Never an empty `D:error`: Thunderbird takes that for "slow down".
pub fn error(error: &Error) -> Answer {
    let mut body = String::new();
    open_root("D:error", &mut body);
    body.push_str(&error.condition);
    body.push_str("<CG:message xmlns:CG=\"urn:calgate\">");
    escape(&error.message, &mut body);
    body.push_str("</CG:message>\n</D:error>\n");
    let mut answer = xml(error.status, body);
    if let Some(etag) = &error.etag {
        header(&mut answer, ETAG, &quoted(etag));
    }
    if let Some(after) = error.retry_after {
        header(&mut answer, RETRY_AFTER, &after.to_string());
    }
    if let Some(allow) = error.allow {
        header(&mut answer, ALLOW, allow);
    }
    answer
}

/// A condition element with hrefs in it; the hrefs need no escapes.
pub fn condition_with_href(name: &str, href: &str) -> Cow<'static, str> {
    Cow::Owned(format!("<{name}><D:href>{href}</D:href></{name}>"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_lines_are_spelt_as_clients_compare_them() {
        for (code, line) in [
            (200, "HTTP/1.1 200 OK"),
            (404, "HTTP/1.1 404 Not Found"),
            (424, "HTTP/1.1 424 Failed Dependency"),
            (507, "HTTP/1.1 507 Insufficient Storage"),
        ] {
            let mut out = String::new();
            status_line(StatusCode::from_u16(code).unwrap(), &mut out);
            assert_eq!(out, format!("<D:status>{line}</D:status>"));
        }
    }

    #[test]
    fn dates_are_of_the_form_of_http() {
        assert_eq!(http_date(Instant(784_111_777)), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(http_date(Instant::MAX), "Thu, 01 Jan 1970 00:00:00 GMT");
    }
}
