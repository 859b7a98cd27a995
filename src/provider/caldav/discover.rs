//! From any URL a user may paste to the calendars of the account (RFC 6764 6): the URL itself, the well-known path,
//! the root; then principal → home sets → calendars.

use url::Url;

use super::super::http;
use super::xml::{APPLE, CALDAV, DAV, Element, Response};
use super::{Caldav, at, href, responses};
use crate::ical::Kind;
use crate::ids::RemoteId;
use crate::provider::{Error, RemoteCalendar};

/// What asks "who am I and where are my calendars".
const WHO: &str = "<d:resourcetype/><d:current-user-principal/><c:calendar-home-set/><c:calendar-user-address-set/>\
     <c:schedule-outbox-URL/>";
/// What asks "which calendar is this".
const CALENDAR: &str = "<d:displayname/><d:resourcetype/><ic:calendar-color/><c:calendar-description/>\
     <c:supported-calendar-component-set/><c:schedule-calendar-transp/><d:current-user-privilege-set/>";
/// Collections that say they are calendars and are not ours to mirror: scheduling boxes, other people's feeds, trash.
const NOT_OURS: &[&str] =
    &["schedule-inbox", "schedule-outbox", "notification", "subscribed", "trash-bin", "deleted-calendar"];

/// Where the calendars of an account are.
#[derive(Debug)]
pub(super) struct Found {
    /// Collections of calendars, asked with Depth 1.
    homes: Vec<Url>,
    /// The URL that was given, when that is a calendar itself: it may be one that no home lists.
    itself: Option<Url>,
    /// Lower case, without `mailto:`.
    pub(super) addresses: Vec<String>,
    /// Whether the principal has a place to send from, without which nothing is sent (RFC 6638 2.1).
    outbox: bool,
}

/// What one PROPFIND told.
#[derive(Default)]
struct Told {
    principal: Option<Url>,
    homes: Vec<Url>,
    addresses: Vec<String>,
    outbox: bool,
    /// Where the answer came from, if that is a calendar or another collection.
    calendar: Option<Url>,
    collection: Option<Url>,
}

/// Finds the principal and its home sets. `Reconnect`: the password is wrong; `Retry`: the server is away;
/// `Refused`: it answers, and does not speak CalDAV.
pub(super) async fn discover(account: &Caldav) -> Result<Found, Error> {
    let starts = [account.home.clone(), at(&account.home, "/.well-known/caldav"), at(&account.home, "/")];
    let mut itself = None;
    let mut collection = None;
    for start in starts {
        let mut told = match who(account, &start).await {
            Ok(Some(told)) => told,
            Ok(None) => continue,
            // What was found at the URL itself is enough; elsewhere the server may forbid us to look.
            Err(_) if itself.is_some() || collection.is_some() => break,
            Err(e) => return Err(e),
        };
        itself = itself.or(told.calendar.take());
        collection = collection.or(told.collection.take());
        if told.homes.is_empty()
            && let Some(principal) = told.principal.clone()
        {
            let more = who(account, &principal).await?.unwrap_or_default();
            told.homes = more.homes;
            told.addresses.extend(more.addresses);
            told.outbox |= more.outbox;
        }
        if !told.homes.is_empty() {
            return Ok(Found { homes: told.homes, itself, addresses: told.addresses, outbox: told.outbox });
        }
    }
    // No principal: the given URL may still be a calendar, or a folder of calendars.
    match (itself, collection) {
        (Some(calendar), _) => {
            Ok(Found { homes: Vec::new(), itself: Some(calendar), addresses: Vec::new(), outbox: false })
        }
        (None, Some(folder)) => Ok(Found { homes: vec![folder], itself: None, addresses: Vec::new(), outbox: false }),
        (None, None) => Err(Error::Refused(format!(
            "{} is there and does not speak CalDAV at this address; \
             ask for the CalDAV address of your calendar, it often ends in /dav/ or /caldav/",
            http::place(&account.home)
        ))),
    }
}

/// The calendars of all homes, in upstream order, each once. None at all is an error, for an account without
/// calendars is more often a wrong URL than a wish.
pub(super) async fn calendars(account: &Caldav, found: &Found) -> Result<Vec<RemoteCalendar>, Error> {
    let mut calendars: Vec<RemoteCalendar> = Vec::new();
    let listed = found.homes.iter().map(|url| (url, "1")).chain(found.itself.iter().map(|url| (url, "0")));
    for (url, depth) in listed {
        let answer = account.propfind(url, depth, CALENDAR).await?;
        let mut here = Vec::new();
        responses(&answer, "listing the calendars", |response| here.push(response))?;
        let schedules = found.outbox && schedules(account, &answer).await?;
        for response in here {
            let Some(mut calendar) = calendar(&account.home, &answer.url, &response) else { continue };
            calendar.schedules = schedules;
            let key = |id: &RemoteId| href::key(id.as_str());
            if !calendars.iter().any(|c| key(&c.id) == key(&calendar.id)) {
                calendars.push(calendar);
            }
        }
    }
    if calendars.is_empty() {
        let why = format!("{} has no calendars for this account", http::place(&account.home));
        return Err(Error::Retry { after: None, why });
    }
    Ok(calendars)
}

/// Whether the server sends invitations for what is put where `listing` came from (RFC 6638 2): it says so in each answer,
/// or at least when it is asked for nothing but that.
async fn schedules(account: &Caldav, listing: &http::Answer) -> Result<bool, Error> {
    if says_auto_schedule(listing) {
        return Ok(true);
    }
    let answer = account.ask("OPTIONS", &listing.url, Vec::new(), "").await?;
    // To take a server in trouble for one that sends nothing would have guests invited twice.
    match answer.status.is_server_error() || answer.status.as_u16() == 429 {
        true => Err(answer.trouble("asking what the server can do")),
        false => Ok(answer.status.is_success() && says_auto_schedule(&answer)),
    }
}

fn says_auto_schedule(answer: &http::Answer) -> bool {
    let said = answer.headers.get_all("dav").iter().filter_map(|v| v.to_str().ok());
    said.flat_map(|v| v.split(',')).any(|token| token.trim().eq_ignore_ascii_case("calendar-auto-schedule"))
}

/// Asks a URL who we are. `None`: there is something, and it is not WebDAV. An error is one that would meet us at every
/// other path too: the server is away or in trouble, or the password is wrong (and each attempt counts against the user).
async fn who(account: &Caldav, url: &Url) -> Result<Option<Told>, Error> {
    let answer = account.propfind(url, "0", WHO).await?;
    if matches!(answer.status.as_u16(), 200..=206 | 300..=400 | 402..=428 | 430..=499 | 501) {
        return Ok(None);
    }
    let mut told = Told::default();
    responses(&answer, "looking for calendars", |response| {
        let hrefs = |ns, name| {
            let of = response.prop(ns, name);
            of.into_iter().flat_map(|p| p.children(DAV, "href")).map(|h| h.text.trim().to_owned()).collect::<Vec<_>>()
        };
        let urls = |ns, name| hrefs(ns, name).iter().filter_map(|h| resolve(&answer.url, h)).collect::<Vec<_>>();
        told.principal = told.principal.take().or(urls(DAV, "current-user-principal").into_iter().next());
        told.homes.extend(urls(CALDAV, "calendar-home-set"));
        let mail = |h: String| {
            let (scheme, address) = h.split_once(':')?;
            scheme.eq_ignore_ascii_case("mailto").then(|| address.to_lowercase())
        };
        told.addresses.extend(hrefs(CALDAV, "calendar-user-address-set").into_iter().filter_map(mail));
        told.outbox |= !urls(CALDAV, "schedule-outbox-URL").is_empty();
        if let Some(kind) = response.prop(DAV, "resourcetype") {
            let here = || Some(answer.url.clone());
            told.calendar = told.calendar.take().or_else(|| here().filter(|_| kind.holds(CALDAV, "calendar")));
            told.collection = told.collection.take().or_else(|| here().filter(|_| kind.holds(DAV, "collection")));
        }
    })?;
    Ok(Some(told))
}

/// What a URL that a server gave means. A server behind a proxy that writes `http:` with its own name means the
/// origin that was asked.
fn resolve(asked: &Url, href: &str) -> Option<Url> {
    if href.is_empty() {
        return None;
    }
    let url = asked.join(href).ok()?;
    let downgraded = url.host() == asked.host() && url.scheme() == "http" && asked.scheme() == "https";
    Some(if downgraded { at(asked, url.path()) } else { http::bare(&url) })
}

/// A calendar of a listing that came from `asked`, for the account at `home`; `None`: something else.
fn calendar(home: &Url, asked: &Url, response: &Response) -> Option<RemoteCalendar> {
    let kind = response.prop(DAV, "resourcetype")?;
    if !kind.holds(CALDAV, "calendar") || kind.children.iter().any(|c| NOT_OURS.contains(&c.name.as_str())) {
        return None;
    }
    let url = resolve(asked, &response.href)?;
    let path = href::path(asked.path(), &response.href)?;
    let id = match url.origin() == home.origin() {
        true => path.clone(),
        false => format!("{}{path}", url.origin().ascii_serialization()),
    };
    let text = |ns, name| response.text(ns, name).unwrap_or_default().to_owned();
    let name = Some(text(DAV, "displayname")).filter(|n| !n.is_empty()).unwrap_or_else(|| href::last_segment(&path));
    Some(RemoteCalendar {
        id: RemoteId(id),
        name,
        color: color(&text(APPLE, "calendar-color")),
        description: text(CALDAV, "calendar-description"),
        writable: writable(response.prop(DAV, "current-user-privilege-set")),
        components: components(response.prop(CALDAV, "supported-calendar-component-set")),
        transparent: response.prop(CALDAV, "schedule-calendar-transp").is_some_and(|t| t.holds(CALDAV, "transparent")),
        schedules: false,
    })
}

/// `#RRGGBB` or `#RRGGBBAA` in upper case; anything else is no colour.
fn color(text: &str) -> String {
    let digits = text.strip_prefix('#').unwrap_or_default();
    let good = matches!(digits.len(), 6 | 8) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    if good { text.to_ascii_uppercase() } else { String::new() }
}

/// A server that tells no privileges lets us find out by trying.
fn writable(privileges: Option<&Element>) -> bool {
    let Some(privileges) = privileges.filter(|p| !p.children.is_empty()) else { return true };
    ["all", "write", "write-content", "bind"].iter().any(|name| privileges.holds(DAV, name))
}

/// RFC 4791 5.2.3: a calendar that does not say takes every component.
fn components(set: Option<&Element>) -> Vec<Kind> {
    let Some(set) = set else { return vec![Kind::Event, Kind::Todo, Kind::Journal] };
    let named = |name: &str| set.children(CALDAV, "comp").any(|c| c.attribute("name") == Some(name));
    [Kind::Event, Kind::Todo, Kind::Journal].into_iter().filter(|kind| named(kind.name())).collect()
}

#[cfg(test)]
mod tests {
    use super::super::xml;
    use super::*;

    /// `fixtures/caldav/NAME.xml`: what a kind of server lists at its own host; `NAME.expect`: the calendars in it.
    #[test]
    fn listings_of_real_shape_give_the_calendars_in_them() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/caldav");
        let home = Url::parse("https://caldav.example.com/").unwrap();
        let asked = Url::parse("https://p12-caldav.example.com/home/").unwrap();
        for name in ["bare", "files-and-calendars", "icloud"] {
            let body = std::fs::read(folder.join(format!("{name}.xml"))).unwrap();
            let expect = std::fs::read_to_string(folder.join(format!("{name}.expect"))).unwrap();
            let mut lines = String::new();
            xml::multistatus(&body, |response| {
                let Some(c) = calendar(&home, &asked, &response) else { return };
                let writable = if c.writable { "writable" } else { "read-only" };
                let kinds: Vec<String> = c.components.iter().map(|k| format!("{k:?}")).collect();
                let line = [c.id.as_str(), &c.name, &c.color, writable, &kinds.join(" ")].join(" | ");
                lines.push_str(&format!("{line}\n"));
            })
            .unwrap();
            assert_eq!(lines, expect, "{name}");
        }
    }

    #[test]
    fn a_color_is_hexadecimal_or_none() {
        let check = |text: &str, expect: &str| assert_eq!(color(text), expect);
        check("#ff2968ff", "#FF2968FF");
        check("#44A703", "#44A703");
        check("red", "");
        check("#12345", "");
        check("#12345g", "");
        check("", "");
    }

    #[test]
    fn a_calendar_is_writable_unless_the_server_says_otherwise() {
        let check = |privileges: &str, expect: bool| {
            let body = format!("<s xmlns='DAV:'>{privileges}</s>");
            assert_eq!(writable(Some(&xml::document(body.as_bytes()).unwrap())), expect, "{privileges}");
        };
        assert!(writable(None));
        check("", true);
        check("<privilege><read/></privilege>", false);
        check("<privilege><read/></privilege><privilege><write-properties/></privilege>", false);
        for name in ["write", "write-content", "bind", "all"] {
            check(&format!("<privilege><read/></privilege><privilege><{name}/></privilege>"), true);
        }
    }

    #[test]
    fn a_url_from_a_server_never_leaves_tls() {
        let check = |asked: &str, href: &str, expect: Option<&str>| {
            let url = resolve(&Url::parse(asked).unwrap(), href);
            assert_eq!(url.as_ref().map(Url::as_str), expect, "{href}");
        };
        check("https://a.example.com/dav/", "/cal/x%40y/", Some("https://a.example.com/cal/x%40y/"));
        check("https://a.example.com/dav/", "https://b.example.com:443/c/", Some("https://b.example.com/c/"));
        check("https://a.example.com:8443/dav/", "http://a.example.com/c/", Some("https://a.example.com:8443/c/"));
        check("https://a.example.com/dav/", "", None);
    }
}
