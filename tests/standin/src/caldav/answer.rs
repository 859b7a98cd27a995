//! From a request and the state to an answer: every method the server has.

use std::collections::BTreeSet;

use base64::Engine as _;
use hyper::http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::state::{AutoSchedule, BadToken, Calendar, Hrefs, Manners, Role, State, Stored, UidConflict, WellKnown};
use super::xml::{self, Node, escape};

const DAV: &str = "DAV:";
const CALDAV: &str = "urn:ietf:params:xml:ns:caldav";
const CS: &str = "http://calendarserver.org/ns/";
const APPLE: &str = "http://apple.com/ns/ical/";
const TOKEN: &str = "http://standin.example.com/sync/";
/// What stays as it is in a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'@');

/// A request.
pub struct Asked {
    pub method: String,
    /// As it was sent.
    pub path: String,
    pub body: String,
    pub authorization: Option<String>,
    pub if_match: Option<String>,
    pub if_none_match: Option<String>,
    pub depth: Option<String>,
    host: String,
}

impl Asked {
    pub fn new(parts: &Parts, body: String) -> Asked {
        let header = |name: &str| parts.headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        Asked {
            method: parts.method.to_string(),
            path: parts.uri.path().to_owned(),
            body,
            authorization: header("authorization"),
            if_match: header("if-match"),
            if_none_match: header("if-none-match"),
            depth: header("depth"),
            host: header("host").unwrap_or_default(),
        }
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The connection is cut in the middle of the body.
    pub cut: bool,
}

impl Answer {
    pub fn new(status: u16) -> Answer {
        Answer { status, headers: Vec::new(), body: Vec::new(), cut: false }
    }

    pub fn header(mut self, name: &str, value: &str) -> Answer {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn body(mut self, kind: &str, body: &str) -> Answer {
        self.body = body.as_bytes().to_vec();
        self.header("content-type", &format!("{kind}; charset=utf-8"))
    }
}

pub fn unauthorized() -> Answer {
    Answer::new(401).header("www-authenticate", "Basic realm=\"standin\"").body("text/plain", "who are you?")
}

/// A DAV error body with one precondition.
fn precondition(status: u16, ns: &str, name: &str, inner: &str) -> Answer {
    let body = format!("<d:error xmlns:d=\"DAV:\"><p:{name} xmlns:p=\"{ns}\">{inner}</p:{name}></d:error>");
    Answer::new(status).body("application/xml", &body)
}

/// What a path names.
enum Target<'a> {
    Root,
    Principal(&'a str),
    Home(&'a str),
    Collection(String),
    Object(String, String),
}

impl State {
    pub fn answer(&mut self, asked: &Asked) -> Answer {
        if asked.path == "/.well-known/caldav" {
            return match &self.manners.well_known {
                WellKnown::Redirect(status, to) => Answer::new(*status).header("location", to),
                WellKnown::Missing => Answer::new(404),
            };
        }
        if let Some((from, to)) = &self.manners.moved
            && let Some(rest) = asked.path.strip_prefix(from.as_str())
        {
            return Answer::new(308).header("location", &format!("{to}{rest}"));
        }
        let Some(user) = self.login(asked) else { return unauthorized() };
        let path = percent_decode_str(&asked.path).decode_utf8_lossy().into_owned();
        let Some(target) = self.target(&path) else { return Answer::new(404).body("text/plain", "nothing here") };
        match (asked.method.as_str(), target) {
            ("OPTIONS", _) => {
                Answer::new(200).header("allow", "OPTIONS, GET, PUT, DELETE, PROPFIND, REPORT, MKCALENDAR")
            }
            ("PROPFIND", target) => self.propfind(asked, &user, &target),
            ("REPORT", Target::Collection(path)) => self.report(asked, &path),
            ("MKCALENDAR", Target::Collection(path)) => self.mkcalendar(asked, path),
            ("GET" | "HEAD", Target::Object(calendar, name)) => self.get(&calendar, &name),
            ("PUT", Target::Object(calendar, name)) => self.put(asked, &calendar, &name),
            ("DELETE", Target::Object(calendar, name)) => self.delete(asked, &calendar, &name),
            ("DELETE", Target::Collection(path)) => match self.calendars.remove(&path) {
                Some(_) => Answer::new(204),
                None => Answer::new(404),
            },
            _ => Answer::new(405).body("text/plain", "not here"),
        }
    }

    fn login(&self, asked: &Asked) -> Option<String> {
        let coded = asked.authorization.as_deref()?.strip_prefix("Basic ")?;
        let pair = base64::engine::general_purpose::STANDARD.decode(coded).ok()?;
        let pair = String::from_utf8(pair).ok()?;
        let (user, password) = pair.split_once(':')?;
        (self.users.get(user)?.password == password).then(|| user.to_owned())
    }

    fn target<'a>(&self, path: &'a str) -> Option<Target<'a>> {
        let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
        let collection = |user: &str, slug: &str| format!("/calendars/{user}/{slug}/");
        match parts.as_slice() {
            [] => Some(Target::Root),
            ["principals", user] => self.users.contains_key(*user).then_some(Target::Principal(user)),
            ["calendars", user] => Some(Target::Home(user)),
            ["calendars", user, slug] => Some(Target::Collection(collection(user, slug))),
            ["calendars", user, slug, name] => Some(Target::Object(collection(user, slug), (*name).to_owned())),
            _ => None,
        }
    }

    // PROPFIND

    fn propfind(&self, asked: &Asked, user: &str, target: &Target<'_>) -> Answer {
        let depth = asked.depth.as_deref().unwrap_or("infinity");
        if depth == "infinity" {
            return precondition(403, DAV, "propfind-finite-depth", "");
        }
        let Some(props) = asked_props(&asked.body) else { return Answer::new(400) };
        let deep = depth == "1";
        let mut out = Multistatus::new(&self.manners, &asked.host);
        match target {
            Target::Root => out.response("/", &props, |p| self.root_prop(user, p)),
            Target::Principal(of) => {
                out.response(&format!("/principals/{of}/"), &props, |p| self.principal_prop(user, of, p));
            }
            Target::Home(of) => {
                let path = format!("/calendars/{of}/");
                out.response(&path, &props, |p| self.root_prop(user, p));
                for (path, calendar) in self.calendars.iter().filter(|(p, _)| deep && p.starts_with(&path)) {
                    out.response(path, &props, |p| self.collection_prop(user, calendar, p));
                }
            }
            Target::Collection(path) => {
                let Some(calendar) = self.calendars.get(path) else { return Answer::new(404) };
                if !(deep && self.manners.lists_without_itself) {
                    out.response(path, &props, |p| self.collection_prop(user, calendar, p));
                }
                if deep {
                    self.list(&mut out, path, calendar, &props);
                }
            }
            Target::Object(path, name) => {
                let Some(object) = self.calendars.get(path).and_then(|c| c.objects.get(name)) else {
                    return Answer::new(404);
                };
                out.response(&format!("{path}{name}"), &props, |p| self.object_prop(object, p));
            }
        }
        out.end(None)
    }

    fn list(&self, out: &mut Multistatus<'_>, path: &str, calendar: &Calendar, props: &[Prop]) {
        for (at, (name, object)) in calendar.objects.iter().enumerate() {
            if self.manners.lists_nothing || (self.manners.lists_half && at % 2 == 1) {
                continue;
            }
            out.response(&format!("{path}{name}"), props, |p| self.object_prop(object, p));
        }
        for stranger in &self.manners.lists_strangers {
            let object = Stored { text: String::new(), etag: "stranger".to_owned() };
            out.response(stranger, props, |p| self.object_prop(&object, p));
        }
    }

    fn root_prop(&self, user: &str, (ns, name): &Prop) -> Option<String> {
        match (ns.as_str(), name.as_str()) {
            (DAV, "resourcetype") => Some("<d:collection/>".to_owned()),
            (DAV, "current-user-principal") => Some(format!("<d:href>/principals/{user}/</d:href>")),
            _ => None,
        }
    }

    fn principal_prop(&self, user: &str, of: &str, (ns, name): &Prop) -> Option<String> {
        let principal = self.users.get(of)?;
        let hrefs = |hrefs: Vec<String>| hrefs.iter().map(|h| format!("<d:href>{}</d:href>", escape(h))).collect();
        match (ns.as_str(), name.as_str()) {
            (DAV, "resourcetype") => Some("<d:collection/><d:principal/>".to_owned()),
            (DAV, "current-user-principal") => Some(format!("<d:href>/principals/{user}/</d:href>")),
            (CALDAV, "calendar-home-set") => Some(hrefs(principal.homes.clone())),
            (CALDAV, "schedule-outbox-URL")
                if matches!(self.manners.auto_schedule, AutoSchedule::Everywhere | AutoSchedule::InOptions) =>
            {
                Some(hrefs(vec![format!("/outbox/{of}/")]))
            }
            (CALDAV, "calendar-user-address-set") => {
                let mut all: Vec<String> = principal.addresses.iter().map(|a| format!("mailto:{a}")).collect();
                all.push(format!("/principals/{of}/"));
                Some(hrefs(all))
            }
            _ => None,
        }
    }

    fn collection_prop(&self, user: &str, calendar: &Calendar, (ns, name): &Prop) -> Option<String> {
        let text = |text: &str| Some(escape(text)).filter(|t| !t.is_empty());
        let synced = calendar.role == Role::Calendar && self.manners.sync;
        match (ns.as_str(), name.as_str()) {
            (DAV, "resourcetype") => Some(kind_of(calendar.role).to_owned()),
            (DAV, "displayname") => text(&calendar.name),
            (APPLE, "calendar-color") => text(&calendar.color),
            (CALDAV, "calendar-description") => text(&calendar.description),
            (CALDAV, "supported-calendar-component-set") if !calendar.components.is_empty() => {
                Some(calendar.components.iter().map(|c| format!("<c:comp name=\"{c}\"/>")).collect())
            }
            (DAV, "current-user-principal") => Some(format!("<d:href>/principals/{user}/</d:href>")),
            (DAV, "current-user-privilege-set") if self.manners.tells_privileges => {
                let write = if calendar.read_only { "" } else { "<d:privilege><d:write/></d:privilege>" };
                Some(format!("<d:privilege><d:read/></d:privilege>{write}"))
            }
            (DAV, "supported-report-set") => {
                let report =
                    |name: &str| format!("<d:supported-report><d:report>{name}</d:report></d:supported-report>");
                let sync = if synced { report("<d:sync-collection/>") } else { String::new() };
                Some(format!("{}{}{sync}", report("<c:calendar-multiget/>"), report("<c:calendar-query/>")))
            }
            (DAV, "sync-token") if synced => Some(format!("{TOKEN}{}", calendar.seq)),
            (CS, "getctag") if self.manners.ctag => Some(format!("ctag-{}", calendar.seq)),
            (CS, "source") if calendar.role == Role::Subscribed => {
                Some("<d:href>https://example.com/holidays.ics</d:href>".to_owned())
            }
            _ => None,
        }
    }

    fn object_prop(&self, object: &Stored, (ns, name): &Prop) -> Option<String> {
        match (ns.as_str(), name.as_str()) {
            (DAV, "resourcetype") => Some(String::new()),
            (DAV, "getetag") => Some(escape(&self.etag(object))),
            (DAV, "getcontenttype") => Some("text/calendar; charset=utf-8".to_owned()),
            (DAV, "getcontentlength") => Some(object.text.len().to_string()),
            (CALDAV, "calendar-data") => Some(escape(&object.text)),
            _ => None,
        }
    }

    fn etag(&self, object: &Stored) -> String {
        let weak = if self.manners.weak_etags { "W/" } else { "" };
        format!("{weak}\"{}\"", object.etag)
    }

    // REPORT

    fn report(&self, asked: &Asked, path: &str) -> Answer {
        let Some(calendar) = self.calendars.get(path) else { return Answer::new(404) };
        let Some(report) = xml::parse(&asked.body) else { return Answer::new(400) };
        let Some(props) = asked_props(&asked.body) else { return Answer::new(400) };
        match (report.ns.as_str(), report.name.as_str()) {
            (CALDAV, "calendar-multiget") if !self.manners.no_multiget => {
                self.multiget(asked, path, calendar, &report, &props)
            }
            (CALDAV, "calendar-query") => self.query(asked, path, calendar, &report, &props),
            (DAV, "sync-collection") if self.manners.sync => {
                let token = report.child("sync-token").map(|t| t.text.trim().to_owned()).unwrap_or_default();
                self.sync(asked, path, calendar, &token, &props)
            }
            _ => precondition(403, DAV, "supported-report", ""),
        }
    }

    fn multiget(&self, asked: &Asked, path: &str, calendar: &Calendar, report: &Node, props: &[Prop]) -> Answer {
        let mut out = Multistatus::new(&self.manners, &asked.host);
        for (at, href) in report.all("href").enumerate() {
            if self.manners.multiget_skips && at % 2 == 1 {
                continue;
            }
            let wanted = percent_decode_str(href.text.trim()).decode_utf8_lossy().into_owned();
            match wanted.strip_prefix(path).and_then(|name| calendar.objects.get(name)) {
                Some(object) => out.response(&wanted, props, |p| {
                    let hidden = self.manners.multiget_without_etags && p.1 == "getetag";
                    let value = if hidden { None } else { self.object_prop(object, p) };
                    match self.manners.multiget_reprints && p.1 == "calendar-data" {
                        true => value.map(|text| format!("\n    {}\n  ", text.replace('\r', "").trim_end())),
                        false => value,
                    }
                }),
                None => out.status(&wanted, 404),
            }
        }
        out.end(None)
    }

    /// By component; time ranges are not looked at.
    fn query(&self, asked: &Asked, path: &str, calendar: &Calendar, report: &Node, props: &[Prop]) -> Answer {
        let outer = report.child("filter").and_then(|f| f.child("comp-filter"));
        let inner = outer.and_then(|f| f.child("comp-filter"));
        let name = inner.and_then(|f| f.attributes.iter().find(|(n, _)| n == "name")).map(|(_, v)| v.as_str());
        let begin = name.map(|name| format!("BEGIN:{name}"));
        let mut out = Multistatus::new(&self.manners, &asked.host);
        for (name, object) in &calendar.objects {
            if begin.as_ref().is_none_or(|begin| object.text.lines().any(|l| l.trim_end() == begin)) {
                out.response(&format!("{path}{name}"), props, |p| self.object_prop(object, p));
            }
        }
        out.end(None)
    }

    fn sync(&self, asked: &Asked, path: &str, calendar: &Calendar, token: &str, props: &[Prop]) -> Answer {
        let seen = token.strip_prefix(TOKEN).and_then(|n| n.parse::<u64>().ok());
        let valid = seen.filter(|seen| (calendar.floor..=calendar.seq).contains(seen));
        let since = match (token, valid, self.manners.bad_token) {
            ("", ..) => 0,
            (_, Some(seen), _) => seen,
            (_, None, BadToken::Refuse(status, true)) => return precondition(status, DAV, "valid-sync-token", ""),
            (_, None, BadToken::Refuse(status, false)) => return Answer::new(status).body("text/plain", "no"),
            (_, None, BadToken::TellAll) => 0,
            (_, None, BadToken::TellNothing) => calendar.seq,
        };
        let mut changes = State::changes_since(calendar, since);
        // The first listing tells what is there, whatever is still known of how it came there.
        if since == 0 {
            changes.retain(|(_, name)| calendar.objects.contains_key(name));
            let told: BTreeSet<String> = changes.iter().map(|(_, name)| name.clone()).collect();
            let rest = calendar.objects.keys().filter(|name| !told.contains(*name));
            changes.splice(0..0, rest.map(|name| (0, name.clone())));
        }
        let page = self.manners.sync_page.unwrap_or(usize::MAX);
        let more = changes.len() > page;
        changes.truncate(page);
        let seq = if more { changes.last().map_or(since, |(at, _)| *at) } else { calendar.seq };
        let mut out = Multistatus::new(&self.manners, &asked.host);
        for (_, name) in &changes {
            let href = format!("{path}{name}");
            match calendar.objects.get(name) {
                Some(object) => out.response(&href, props, |p| self.object_prop(object, p)),
                None => out.status(&href, 404),
            }
        }
        if more {
            out.status(path, 507);
        }
        out.end(Some(&format!("{TOKEN}{seq}")))
    }

    // Everything else

    fn mkcalendar(&mut self, asked: &Asked, path: String) -> Answer {
        if self.calendars.contains_key(&path) {
            return precondition(405, DAV, "resource-must-be-null", "");
        }
        let slug = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let mut calendar = Calendar::new(slug);
        let named = xml::parse(&asked.body);
        let prop = named.as_ref().and_then(|m| m.child("set")).and_then(|s| s.child("prop"));
        if let Some(name) = prop.and_then(|p| p.child("displayname")) {
            calendar.name = name.text.clone();
        }
        self.calendars.insert(path, calendar);
        Answer::new(201)
    }

    fn get(&self, calendar: &str, name: &str) -> Answer {
        match self.calendars.get(calendar).and_then(|c| c.objects.get(name)) {
            Some(object) => Answer::new(200).header("etag", &self.etag(object)).body("text/calendar", &object.text),
            None => Answer::new(404).body("text/plain", "no such object"),
        }
    }

    fn put(&mut self, asked: &Asked, path: &str, name: &str) -> Answer {
        let Some(calendar) = self.calendars.get(path) else {
            return Answer::new(409).body("text/plain", "no calendar");
        };
        let there = calendar.objects.get(name);
        if calendar.read_only {
            return precondition(403, DAV, "need-privileges", "");
        }
        if !self.fits(asked, there) {
            return Answer::new(412).body("text/plain", "it is not as you think");
        }
        let Some(uid) = uid(&asked.body) else { return precondition(403, CALDAV, "valid-calendar-data", "") };
        let other = calendar.objects.iter().find(|(n, o)| *n != name && self::uid(&o.text).as_deref() == Some(&uid));
        if let Some((other, _)) = other.filter(|_| !self.manners.allows_same_uid) {
            let href = encode(&format!("{path}{other}"), Hrefs::Encoded, "");
            let named = format!("<d:href>{}</d:href>", escape(&href));
            return match self.manners.uid_conflict {
                UidConflict::Named => precondition(403, CALDAV, "no-uid-conflict", &named),
                UidConflict::Bare(status) => precondition(status, CALDAV, "no-uid-conflict", ""),
                UidConflict::Words => Answer::new(400).body("text/plain", "an object with this uid exists already"),
            };
        }
        let (status, created) = if there.is_some() { (204, false) } else { (201, true) };
        let text = match self.manners.rewrites {
            true => asked.body.replacen("END:VCALENDAR", "X-STANDIN-SEEN:yes\r\nEND:VCALENDAR", 1),
            false => asked.body.clone(),
        };
        let kept = match self.manners.renames && created {
            true => format!("kept-{}.ics", uid.replace(|c: char| !c.is_ascii_alphanumeric(), "-")),
            false => name.to_owned(),
        };
        let etag = self.store(path, &kept, &text);
        let mut answer = Answer::new(status);
        if kept != name {
            answer = answer.header("location", &encode(&format!("{path}{kept}"), Hrefs::Encoded, ""));
        }
        match self.manners.etag_on_put {
            true => answer.header("etag", &self.etag(&Stored { text, etag })),
            false => answer,
        }
    }

    fn delete(&mut self, asked: &Asked, path: &str, name: &str) -> Answer {
        let Some(calendar) = self.calendars.get(path) else { return Answer::new(404) };
        let there = calendar.objects.get(name);
        if there.is_none() {
            return Answer::new(404).body("text/plain", "no such object");
        }
        if calendar.read_only {
            return precondition(403, DAV, "need-privileges", "");
        }
        if !self.fits(asked, there) {
            return Answer::new(412).body("text/plain", "it is not as you think");
        }
        self.remove(path, name);
        Answer::new(204)
    }

    /// RFC 9110 13.1: If-Match compares strongly, If-None-Match is only looked at for `*`.
    fn fits(&self, asked: &Asked, there: Option<&Stored>) -> bool {
        let none = asked.if_none_match.as_deref() == Some("*") && !self.manners.ignores_if_none_match;
        if none && there.is_some() {
            return false;
        }
        let Some(wanted) = &asked.if_match else { return true };
        let Some(there) = there else { return false };
        let ours = self.etag(there);
        !ours.starts_with("W/") && wanted.split(',').any(|one| matches!(one.trim(), "*") || one.trim() == ours)
    }
}

fn kind_of(role: Role) -> &'static str {
    match role {
        Role::Calendar => "<d:collection/><c:calendar/>",
        Role::Folder => "<d:collection/>",
        Role::Inbox => "<d:collection/><c:schedule-inbox/>",
        Role::Outbox => "<d:collection/><c:schedule-outbox/>",
        Role::Subscribed => "<d:collection/><c:calendar/><cs:subscribed/>",
        Role::Trash => "<d:collection/><c:calendar/><x:deleted-calendar xmlns:x=\"http://nextcloud.com/ns\"/>",
    }
}

/// The UID of a calendar object; `None`: it is none.
fn uid(text: &str) -> Option<String> {
    let text = text.replace("\r\n ", "").replace("\n ", "");
    if !text.trim_start().starts_with("BEGIN:VCALENDAR") || text.contains("\nMETHOD:") {
        return None;
    }
    text.lines().find_map(|l| l.strip_prefix("UID:")).map(|u| u.trim().to_owned())
}

/// Namespace and name.
type Prop = (String, String);

/// The properties that a PROPFIND or REPORT asks for; `None`: it is not XML.
fn asked_props(body: &str) -> Option<Vec<Prop>> {
    let root = xml::parse(body)?;
    let prop = root.child("prop");
    Some(prop.map(|p| p.children.iter().map(|c| (c.ns.clone(), c.name.clone())).collect()).unwrap_or_default())
}

/// A path as an href.
fn encode(path: &str, how: Hrefs, host: &str) -> String {
    let segments: Vec<String> = path
        .split('/')
        .map(|segment| match how {
            Hrefs::Encoded | Hrefs::Absolute => utf8_percent_encode(segment, SEGMENT).to_string(),
            Hrefs::Overencoded => overencode(segment),
        })
        .collect();
    let path = segments.join("/");
    if how == Hrefs::Absolute { format!("http://{host}{path}") } else { path }
}

/// Every octet that is not a letter or digit, in lower-case digits: legal, and unlike what anybody else writes.
fn overencode(segment: &str) -> String {
    let one = |b: u8| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02x}") };
    segment.bytes().map(one).collect()
}

/// A multi-status answer that is being written.
struct Multistatus<'a> {
    manners: &'a Manners,
    host: &'a str,
    out: String,
}

impl<'a> Multistatus<'a> {
    fn new(manners: &'a Manners, host: &'a str) -> Multistatus<'a> {
        let out = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
             <d:multistatus xmlns:d=\"{DAV}\" xmlns:c=\"{CALDAV}\" xmlns:cs=\"{CS}\" xmlns:ic=\"{APPLE}\">\n"
        );
        Multistatus { manners, host, out }
    }

    fn open(&mut self, path: &str) {
        let href = encode(path, self.manners.hrefs, self.host);
        self.out.push_str(&format!("<d:response><d:href>{}</d:href>", escape(&href)));
    }

    fn response(&mut self, path: &str, props: &[Prop], value: impl Fn(&Prop) -> Option<String>) {
        self.open(path);
        let (mut found, mut missing) = (String::new(), String::new());
        for prop in props {
            let (ns, name) = prop;
            match value(prop) {
                Some(inner) => found.push_str(&format!("<p:{name} xmlns:p=\"{ns}\">{inner}</p:{name}>")),
                None => missing.push_str(&format!("<p:{name} xmlns:p=\"{ns}\"/>")),
            }
        }
        for (inner, status) in [(found, "200 OK"), (missing, "404 Not Found")] {
            if !inner.is_empty() {
                self.out.push_str(&format!(
                    "<d:propstat><d:prop>{inner}</d:prop><d:status>HTTP/1.1 {status}</d:status></d:propstat>"
                ));
            }
        }
        self.out.push_str("</d:response>\n");
    }

    fn status(&mut self, path: &str, status: u16) {
        self.open(path);
        self.out.push_str(&format!("<d:status>HTTP/1.1 {status} -</d:status></d:response>\n"));
    }

    fn end(mut self, token: Option<&str>) -> Answer {
        if let Some(token) = token {
            self.out.push_str(&format!("<d:sync-token>{}</d:sync-token>", escape(token)));
        }
        self.out.push_str("</d:multistatus>\n");
        Answer::new(207).body("application/xml", &self.out)
    }
}
