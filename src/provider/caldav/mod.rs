//! CalDAV upstreams (RFC 4791, 6578, 6764): the calls. Pull is in `pull.rs`, push in `push.rs`, finding in `discover.rs`.

mod discover;
mod href;
mod pull;
mod push;
mod xml;

use std::sync::Arc;

use ::http::header::{self, HeaderName, HeaderValue};
use ::http::{Method, StatusCode};
use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Mutex;
use url::Url;

use super::http::{self, Answer};
use super::{Error, Features, Identity, Known, Op, Page, Provider, RemoteCalendar, RemoteObject, Settings};
use crate::ids::{Cursor, Etag, RemoteId};
use xml::{CALDAV, DAV, Response};

/// Opens an account. Nothing is asked yet.
pub fn open(settings: Settings) -> Box<dyn Provider> {
    let home = http::bare(&settings.url);
    let login = http::Login { home: home.clone(), user: settings.login, password: settings.password };
    Box::new(Caldav { home, login, http: settings.http, found: Mutex::new(None), listing: Mutex::new(None) })
}

/// An account at a CalDAV server.
struct Caldav {
    /// What the user gave, without user name and password. Calendars at its origin are named by their path alone.
    home: Url,
    login: http::Login,
    http: Arc<http::Client>,
    /// What discovery found, kept as long as the account is open.
    found: Mutex<Option<Arc<discover::Found>>>,
    /// The listing that a pull of several pages is in the middle of.
    listing: Mutex<Option<pull::Held>>,
}

#[async_trait]
impl Provider for Caldav {
    fn features(&self) -> Features {
        Features { incremental: true, loses: Vec::new() }
    }

    async fn identity(&self) -> Result<Identity, Error> {
        Ok(Identity { addresses: self.found().await?.addresses.clone() })
    }

    async fn calendars(&self) -> Result<Vec<RemoteCalendar>, Error> {
        // A server may have moved the home since (iCloud does): each list begins at the beginning.
        *self.found.lock().await = None;
        let found = self.found().await?;
        discover::calendars(self, &found).await
    }

    async fn pull(&self, calendar: &RemoteId, cursor: Option<&Cursor>, known: &Known) -> Result<Page, Error> {
        pull::pull(self, calendar, cursor, known).await
    }

    async fn fetch(&self, calendar: &RemoteId, id: &RemoteId) -> Result<Option<RemoteObject>, Error> {
        let Some(url) = self.object_url(calendar, id)? else { return Ok(None) };
        let folder = self.calendar_url(calendar)?;
        match self.read(&url, id).await? {
            Read::There(object) => Ok(Some(object)),
            Read::Absent => self.still_there(&folder).await.map(|()| None),
            // Trouble that may pass is no reason to judge a row that waits to be sent.
            Read::Kept(status, why) if status.is_server_error() => Err(why),
            Read::Kept(status, _) => {
                self.still_there(&folder).await?;
                Ok(Some(kept(&folder, id, Etag::from(""), status)))
            }
        }
    }

    async fn created(&self, calendar: &RemoteId, key: &str) -> Result<Option<RemoteObject>, Error> {
        let id = push::id_of(self, calendar, key)?;
        let Some(url) = self.object_url(calendar, &id)? else { return Ok(None) };
        let there = self.get(&url, &id).await?;
        if there.is_none() {
            self.still_there(&self.calendar_url(calendar)?).await?;
        }
        Ok(there)
    }

    async fn push(&self, calendar: &RemoteId, op: Op<'_>) -> Result<Option<RemoteObject>, Error> {
        push::push(self, calendar, op).await
    }
}

impl Caldav {
    async fn found(&self) -> Result<Arc<discover::Found>, Error> {
        let mut held = self.found.lock().await;
        if let Some(found) = &*held {
            return Ok(found.clone());
        }
        let found = Arc::new(discover::discover(self).await?);
        *held = Some(found.clone());
        Ok(found)
    }

    /// One request. An answer from another site than the account's is no answer: see [`Answer::withheld`].
    async fn ask(
        &self,
        method: &str,
        url: &Url,
        headers: Vec<(HeaderName, String)>,
        body: impl Into<Bytes>,
    ) -> Result<Answer, Error> {
        let mut sent = Vec::with_capacity(headers.len());
        for (name, value) in headers {
            let value = HeaderValue::from_bytes(value.as_bytes())
                .map_err(|_| Error::Refused(format!("{name} has a value that can not be sent")))?;
            sent.push((name, value));
        }
        let method = Method::from_bytes(method.as_bytes()).expect("our methods are tokens");
        let request = http::Request { method, url: url.clone(), headers: sent, body: body.into() };
        let answer = self.http.send(Some(&self.login), request).await?;
        if answer.withheld {
            return Err(answer.trouble("looking for calendars"));
        }
        Ok(answer)
    }

    async fn propfind(&self, url: &Url, depth: &'static str, props: &str) -> Result<Answer, Error> {
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<d:propfind xmlns:d=\"DAV:\" xmlns:c=\"{}\" xmlns:cs=\"{}\" \
             xmlns:ic=\"{}\"><d:prop>{props}</d:prop></d:propfind>",
            xml::CALDAV,
            xml::CALENDARSERVER,
            xml::APPLE
        );
        self.ask("PROPFIND", url, xml_headers(depth), body).await
    }

    async fn report(&self, url: &Url, depth: &'static str, body: String) -> Result<Answer, Error> {
        self.ask("REPORT", url, xml_headers(depth), body).await
    }

    /// One object by GET; `None`: 404 or 410, which is to be believed only as [`Read::Absent`] says.
    async fn get(&self, url: &Url, id: &RemoteId) -> Result<Option<RemoteObject>, Error> {
        match self.read(url, id).await? {
            Read::There(object) => Ok(Some(object)),
            Read::Absent => Ok(None),
            Read::Kept(_, why) => Err(why),
        }
    }

    /// One object by GET. A web page, or a body that may have been cut, is an error and not an object; so is a status
    /// that can not be about this object alone.
    async fn read(&self, url: &Url, id: &RemoteId) -> Result<Read, Error> {
        let accept = (header::ACCEPT, "text/calendar".to_owned());
        let answer = self.ask("GET", url, vec![accept], Bytes::new()).await?;
        let trouble = || answer.trouble("reading an object");
        match answer.status.as_u16() {
            200 => {}
            404 | 410 => return Ok(Read::Absent),
            // Logins, throttling, and what comes with a time to wait are about all of them.
            401 | 407 | 408 | 423 | 425 | 429 => return Err(trouble()),
            400..=599 if answer.retry_after().is_none() => return Ok(Read::Kept(answer.status, trouble())),
            _ => return Err(trouble()),
        }
        let text = String::from_utf8_lossy(&answer.body);
        // What is damaged but whole is given on: the engine sets it aside, and the other objects are not held up.
        if !is_whole_calendar(&text) && (answer.is_web_page() || !answer.framed) {
            let host = http::place(&answer.url);
            let what = if answer.is_web_page() { "a web page" } else { "half an object" };
            return Err(Error::Retry { after: None, why: format!("{host} answered with {what} instead of an object") });
        }
        let etag = answer.headers.get(header::ETAG).map(|v| xml::etag(&String::from_utf8_lossy(v.as_bytes())));
        let etag = Etag(etag.unwrap_or_default());
        let text = canonical(&text);
        // Guessing what the bytes mean would be written back with the next change, over what is right upstream.
        let not_text = match std::str::from_utf8(&answer.body) {
            Err(_) => Some("bytes that are not UTF-8"),
            Ok(text) if text.contains('\0') => Some("U+0000 in it, which no text may hold"),
            Ok(_) => None,
        };
        Ok(Read::There(match not_text {
            Some(what) => {
                let why = format!("{} gives this object with {what}", http::place(&answer.url));
                RemoteObject::without_text(id, etag, &why, &text)
            }
            None => RemoteObject { id: id.clone(), etag, text },
        }))
    }

    /// Asks a calendar whether it is there, before what was said of one of its objects is believed: a proxy whose server is
    /// down says 404 of everything. `Err`: it does not answer for itself as a calendar.
    async fn still_there(&self, calendar: &Url) -> Result<(), Error> {
        match self.is_there(calendar, CALDAV, "calendar").await? {
            true => Ok(()),
            false => {
                let host = http::place(calendar);
                let why = format!("{host} does not give an object, and does not answer for its calendar either");
                Err(Error::Retry { after: None, why })
            }
        }
    }

    /// Whether a collection answers for itself, as one of that type.
    async fn is_there(&self, url: &Url, ns: &str, kind: &str) -> Result<bool, Error> {
        let answer = self.propfind(url, "0", "<d:resourcetype/>").await?;
        let mut is = false;
        let told = responses(&answer, "asking whether the calendar is there", |response| {
            let itself = href::is_itself(url.path(), answer.url.path(), &response.href);
            is |= itself && response.prop(DAV, "resourcetype").is_some_and(|of| of.holds(ns, kind));
        });
        match told {
            Ok(_) => Ok(is),
            Err(e @ (Error::Retry { .. } | Error::Reconnect { .. })) => Err(e),
            Err(_) => Ok(false),
        }
    }

    /// The URL of a calendar: its path at the account's origin, or a whole URL when it lives elsewhere.
    fn calendar_url(&self, id: &RemoteId) -> Result<Url, Error> {
        let id = id.as_str();
        if id.starts_with("https://") || id.starts_with("http://") {
            let why = || format!("{} has a calendar whose address can not be read", http::place(&self.home));
            return Url::parse(id).map_err(|_| Error::Retry { after: None, why: why() });
        }
        Ok(at(&self.home, id))
    }

    /// The URL of an object, which lives where its calendar does.
    /// `None`: the id leads out of the calendar, and the password follows no such path.
    fn object_url(&self, calendar: &RemoteId, id: &RemoteId) -> Result<Option<Url>, Error> {
        let calendar = self.calendar_url(calendar)?;
        let url = at(&calendar, id.as_str());
        // Asked of the URL and not of the id, for the URL is what remains when detours are resolved.
        Ok(href::is_member(&href::key(calendar.path()), &href::key(url.path())).then_some(url))
    }
}

/// What a GET of one object came to.
enum Read {
    There(RemoteObject),
    /// 404 or 410. It is gone if its calendar is still there: [`Caldav::still_there`] is asked before it is believed.
    Absent,
    /// A status that may be about this object alone, and the error that it is if it is about more.
    Kept(StatusCode, Error),
}

/// What the engine is given of an object that the server has and keeps to itself.
fn kept(calendar: &Url, id: &RemoteId, etag: Etag, status: StatusCode) -> RemoteObject {
    let why = format!("{} lists this object and does not give it: {status}", http::place(calendar));
    RemoteObject::without_text(id, etag, &why, "")
}

/// A text as it would have come by the other way. An object comes by GET as the server keeps it, and by multiget as XML left
/// it: there a bare LF may have been a CRLF (XML 1.0 2.11), and indentation may stand around it. As the one can not be
/// made from the other, both become what RFC 5545 3.1 asks for: every line ends with CRLF, also where the server keeps LF.
/// What was written with CRLF comes back byte for byte.
fn canonical(text: &str) -> String {
    let text = text.trim_start().trim_end_matches([' ', '\t']);
    let mut out = String::with_capacity(text.len() + text.len() / 32);
    for line in text.split_inclusive('\n') {
        match line.strip_suffix('\n') {
            Some(bare) if !bare.ends_with('\r') => out.extend([bare, "\r\n"]),
            _ => out.push_str(line),
        }
    }
    out
}

/// The same origin with another path.
fn at(origin: &Url, path: &str) -> Url {
    let mut url = origin.clone();
    url.set_query(None);
    url.set_path(path);
    url
}

/// Reads a multi-status answer. Anything else is an error, and so is a body that ends early: what `each` was
/// given counts only when this returns `Ok`. Gives the sync token, if there is one.
fn responses(answer: &Answer, doing: &str, each: impl FnMut(Response)) -> Result<Option<String>, Error> {
    if answer.status != StatusCode::MULTI_STATUS {
        return Err(answer.trouble(doing));
    }
    xml::multistatus(&answer.body, each).map_err(|why| {
        let host = http::place(&answer.url);
        let why = if answer.is_web_page() { "it is a web page".to_owned() } else { why };
        Error::Retry { after: None, why: format!("the answer of {host} can not be read ({doing}): {why}") }
    })
}

fn xml_headers(depth: &'static str) -> Vec<(HeaderName, String)> {
    vec![
        (header::CONTENT_TYPE, "application/xml; charset=utf-8".to_owned()),
        (HeaderName::from_static("depth"), depth.to_owned()),
    ]
}

/// Whether a text begins and ends as a calendar object does.
fn is_whole_calendar(text: &str) -> bool {
    let text = text.trim_start_matches('\u{feff}').trim();
    let starts = text.get(..15).is_some_and(|t| t.eq_ignore_ascii_case("BEGIN:VCALENDAR"));
    let ends = text.len() >= 13 && text.get(text.len() - 13..).is_some_and(|t| t.eq_ignore_ascii_case("END:VCALENDAR"));
    starts && ends
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_are_the_same_whichever_way_an_object_came() {
        let check = |text: &str, expect: &str| assert_eq!(canonical(text), expect, "{text:?}");
        check("A:1\nB:2\n", "A:1\r\nB:2\r\n");
        check("A:1\r\nB:2\r\n", "A:1\r\nB:2\r\n");
        check("A:1\r\nB:2\nC:3", "A:1\r\nB:2\r\nC:3");
        check("\n  A:1\n\tB\n  ", "A:1\r\n\tB\r\n");
        check("A:1\rB:2", "A:1\rB:2");
        check("", "");
    }
}
