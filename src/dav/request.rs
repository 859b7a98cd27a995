//! Bodies and headers → what is asked. Pure, and tolerant: an element that is not known is passed over (RFC 4918 17),
//! only what can not be understood at all is an error.

use http::header::{ACCEPT, HOST, HeaderName, IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, StatusCode};
use jiff::civil;
use jiff::tz::TimeZone;

use super::path::Target;
use super::response::Ns;
use super::xml::{self, Element};
use super::{Error, no_parent};
use crate::config::{Limits, PublicUrl};
use crate::ical::filter::{Collation, CompFilter, MatchType, ParamFilter, PropFilter, Test, TextMatch};
use crate::ical::select::{CompSelect, PropSelect, Select};
use crate::ical::{Instant, Reading, Window};
use crate::ids::Etag;
use crate::sync::write::{About, Check, Condition, List, Place, State};

/// Octets of one text-match.
const MAX_TEXT: usize = 4096;
const DAV: &str = Ns::Dav.uri();
const CALDAV: &str = Ns::CalDav.uri();

/// A property's full name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PropName {
    pub ns: String,
    pub name: String,
}

impl PropName {
    pub(super) fn of(element: &Element<'_>) -> PropName {
        PropName { ns: element.ns.to_string(), name: element.name.to_owned() }
    }
}

/// What a PROPFIND or a REPORT wants to know of each resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    Named(Vec<PropName>),
    /// `allprop`, with what `include` names besides.
    All(Vec<PropName>),
    /// `propname`: only which there are.
    Names,
}

/// A property to set or to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    pub name: PropName,
    /// `None`: remove it.
    pub value: Option<Value>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// The text directly in the element.
    pub text: String,
    /// The whole element, standing alone.
    pub xml: String,
    /// Whether `xml:lang` says in which language it is (RFC 4918 4.3); `xml` has it.
    pub language: bool,
    /// Its children, and their `name` attributes: what `resourcetype` and component sets are made of.
    pub children: Vec<(PropName, Option<String>)>,
}

/// A REPORT.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    Multiget {
        want: Fetch,
        hrefs: Vec<String>,
    },
    Query {
        want: Fetch,
        filter: CompFilter,
        zone: Option<Zone>,
    },
    Sync {
        want: Fetch,
        token: String,
        limit: Option<u32>,
        /// `sync-level` is infinite.
        deep: bool,
    },
    FreeBusy {
        window: Window,
    },
    /// One that we do not have.
    Other(PropName),
}

/// What a REPORT wants of each resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    pub wanted: Wanted,
    /// How `calendar-data`, if it is wanted, is to be given.
    pub select: Select,
    /// As jCal.
    pub json: bool,
}

/// The zone for floating times that a query brings along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Zone {
    /// `C:timezone`: a VCALENDAR with one VTIMEZONE.
    Text(String),
    /// `C:timezone-id` (RFC 7809).
    Id(String),
}

/// RFC 4918 9.1. No body is `allprop`.
pub fn propfind(body: &[u8], limits: &Limits) -> Result<Wanted, Error> {
    if body.trim_ascii().is_empty() {
        return Ok(Wanted::All(Vec::new()));
    }
    let root = root(body)?;
    if !root.is(DAV, "propfind") {
        return Err(Error::bad("the body of a PROPFIND must be DAV:propfind"));
    }
    wanted(&root, limits)?.ok_or_else(|| Error::bad("DAV:propfind must have one of prop, allprop and propname in it"))
}

/// RFC 4918 9.2, in the order of the document.
pub fn proppatch(body: &[u8], limits: &Limits) -> Result<Vec<Patch>, Error> {
    let root = root(body)?;
    if !root.is(DAV, "propertyupdate") {
        return Err(Error::bad("the body of a PROPPATCH must be DAV:propertyupdate"));
    }
    let patches = patches(&root, limits)?;
    if patches.is_empty() {
        return Err(Error::bad("DAV:propertyupdate changes nothing"));
    }
    Ok(patches)
}

/// The properties of MKCALENDAR (RFC 4791 5.3.1) or extended MKCOL (RFC 5689); no body sets none.
pub fn mkcalendar(body: &[u8], mkcol: bool, limits: &Limits) -> Result<Vec<Patch>, Error> {
    if body.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    if mkcol && xml::parse(body).is_err() {
        // RFC 4918 9.3: a body that MKCOL does not know is a media type that it does not know.
        return Err(Error::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body of MKCOL must be XML: DAV:mkcol"));
    }
    let root = root(body)?;
    if !(root.is(CALDAV, "mkcalendar") || root.is(DAV, "mkcol")) {
        return Err(Error::bad("the body must be CALDAV:mkcalendar, or DAV:mkcol for an MKCOL"));
    }
    let patches = patches(&root, limits)?;
    if patches.iter().any(|p| p.value.is_none()) {
        return Err(Error::bad("something that is being made has nothing to remove"));
    }
    Ok(patches)
}

/// Any REPORT.
pub fn report(body: &[u8], limits: &Limits) -> Result<Report, Error> {
    let root = root(body)?;
    match (&*root.ns, root.name) {
        (CALDAV, "calendar-multiget") => {
            let hrefs: Vec<String> =
                root.children().filter(|e| e.is(DAV, "href")).map(|e| e.text().trim().to_owned()).collect();
            if hrefs.len() > limits.hrefs {
                let message = format!("ask for at most {} hrefs at once", limits.hrefs);
                return Err(Error::refused("<D:number-of-matches-within-limits/>", message));
            }
            if hrefs.is_empty() {
                return Err(Error::bad("a calendar-multiget needs at least one DAV:href"));
            }
            Ok(Report::Multiget { want: fetch(&root, limits)?, hrefs })
        }
        (CALDAV, "calendar-query") => {
            let filter = root.child(CALDAV, "filter").ok_or_else(|| invalid("a calendar-query needs a filter"))?;
            let mut roots = filter.children().filter(|e| e.is(CALDAV, "comp-filter"));
            let (Some(calendar), None) = (roots.next(), roots.next()) else {
                return Err(invalid("a filter has exactly one comp-filter, for VCALENDAR"));
            };
            let filter = comp_filter(calendar, &mut Count { of: 0, most: limits.filters })?;
            if !filter.name.eq_ignore_ascii_case("VCALENDAR") {
                return Err(invalid("the outermost comp-filter must be for VCALENDAR"));
            }
            let text = root.child(CALDAV, "timezone").map(|e| Zone::Text(e.text().into_owned()));
            let id = root.child(CALDAV, "timezone-id").map(|e| Zone::Id(e.text().trim().to_owned()));
            Ok(Report::Query { want: fetch(&root, limits)?, filter, zone: id.or(text) })
        }
        (CALDAV, "free-busy-query") => {
            let range =
                root.child(CALDAV, "time-range").ok_or_else(|| invalid("a free-busy-query needs a time-range"))?;
            Ok(Report::FreeBusy { window: bounded(range, limits)? })
        }
        (DAV, "sync-collection") => sync(&root, limits),
        _ => Ok(Report::Other(PropName::of(&root))),
    }
}

/// RFC 6578 6.1. The order of the elements is free, and `sync-level` may be missing (Mac OS X 10.7).
fn sync(root: &Element<'_>, limits: &Limits) -> Result<Report, Error> {
    let token = root.child(DAV, "sync-token").map(|e| e.text().trim().to_owned());
    let token =
        token.ok_or_else(|| Error::bad("a sync-collection needs a sync-token, which is empty the first time"))?;
    let deep = match root.child(DAV, "sync-level").map(|level| level.text().trim().to_owned()).as_deref() {
        None | Some("1") => false,
        Some("infinite") => true,
        Some(_) => return Err(Error::bad("sync-level must be 1 or infinite")),
    };
    let limit = match root.child(DAV, "limit").and_then(|l| l.child(DAV, "nresults")) {
        None => None,
        Some(n) => match n.text().trim().parse::<u32>() {
            // Pages of none would never come to an end, and more than was asked for may not be told (RFC 6578 3.6).
            Ok(0) => {
                let message = "pages of nothing never come to an end: ask for at least one result";
                return Err(Error::refused("<D:number-of-matches-within-limits/>", message));
            }
            Ok(n) => Some(n),
            Err(_) => return Err(Error::bad("nresults must be a number")),
        },
    };
    Ok(Report::Sync { want: fetch(root, limits)?, token, limit, deep })
}

fn root(body: &[u8]) -> Result<Element<'_>, Error> {
    xml::parse(body).map_err(Error::bad)
}

/// `None`: none of the three is there.
pub(super) fn wanted(parent: &Element<'_>, limits: &Limits) -> Result<Option<Wanted>, Error> {
    let names = |e: &Element<'_>| -> Result<Vec<PropName>, Error> {
        let mut names: Vec<PropName> = Vec::new();
        for child in e.children() {
            let name = PropName::of(child);
            // Each at most once: a property that is given twice confuses clients.
            if !names.contains(&name) {
                names.push(name);
            }
            if names.len() > limits.properties {
                return Err(Error::bad(format!("ask for at most {} properties at once", limits.properties)));
            }
        }
        Ok(names)
    };
    if let Some(prop) = parent.child(DAV, "prop") {
        return Ok(Some(Wanted::Named(names(prop)?)));
    }
    if parent.child(DAV, "allprop").is_some() {
        let include = parent.child(DAV, "include").map(names).transpose()?;
        return Ok(Some(Wanted::All(include.unwrap_or_default())));
    }
    Ok(parent.child(DAV, "propname").map(|_| Wanted::Names))
}

fn fetch(report: &Element<'_>, limits: &Limits) -> Result<Fetch, Error> {
    let wanted = wanted(report, limits)?.unwrap_or(Wanted::Named(Vec::new()));
    let data = report.child(DAV, "prop").and_then(|p| p.child(CALDAV, "calendar-data"));
    let json = data.map(is_json).transpose()?.unwrap_or(false);
    Ok(Fetch { wanted, select: data.map(|data| select(data, limits)).transpose()?.unwrap_or_default(), json })
}

fn patches(root: &Element<'_>, limits: &Limits) -> Result<Vec<Patch>, Error> {
    let mut patches = Vec::new();
    for action in root.children().filter(|e| e.is(DAV, "set") || e.is(DAV, "remove")) {
        for prop in action.children().filter(|e| e.is(DAV, "prop")) {
            let lang = prop.lang().or(action.lang()).or(root.lang());
            for element in prop.children() {
                let value = (action.name == "set").then(|| Value {
                    text: element.text().into_owned(),
                    xml: element.standalone(lang),
                    language: element.lang().or(lang).is_some_and(|lang| !lang.is_empty()),
                    children: element
                        .children()
                        .map(|c| (PropName::of(c), c.attribute("name").map(str::to_owned)))
                        .collect(),
                });
                patches.push(Patch { name: PropName::of(element), value });
                if patches.len() > limits.properties {
                    return Err(Error::bad(format!("change at most {} properties at once", limits.properties)));
                }
            }
        }
    }
    Ok(patches)
}

/// RFC 4791 9.6.
fn select(data: &Element<'_>, limits: &Limits) -> Result<Select, Error> {
    let expand = data.child(CALDAV, "expand").map(|range| bounded(range, limits)).transpose()?;
    let window = |name: &str| data.child(CALDAV, name).map(time_range).transpose();
    Ok(Select {
        comp: data.child(CALDAV, "comp").map(|comp| comp_select(comp, limits)).transpose()?,
        expand,
        limit_recurrence_set: window("limit-recurrence-set")?,
        limit_freebusy_set: window("limit-freebusy-set")?,
        timezones: None,
    })
}

/// RFC 4791 9.6: the type and version that calendar data is asked for in. True: jCal.
fn is_json(data: &Element<'_>) -> Result<bool, Error> {
    let kind = data.attribute("content-type").unwrap_or("text/calendar").trim();
    let json = kind.eq_ignore_ascii_case("application/calendar+json");
    if !json && !kind.eq_ignore_ascii_case("text/calendar") || data.attribute("version").unwrap_or("2.0") != "2.0" {
        let message = "calendar data is given as text/calendar and as application/calendar+json, of version 2.0";
        return Err(Error::refused("<C:supported-calendar-data/>", message));
    }
    Ok(json)
}

fn comp_select(comp: &Element<'_>, limits: &Limits) -> Result<CompSelect, Error> {
    let all = |name| comp.child(CALDAV, name).is_some();
    // Who says nothing of its content wants all of it: RFC 4791 7.8.1 asks so for a VTIMEZONE.
    let said = ["prop", "allprop", "comp", "allcomp"].into_iter().any(all);
    let props = comp
        .children()
        .filter(|e| e.is(CALDAV, "prop"))
        .map(|e| Ok(PropSelect { name: name_of(e)?, novalue: e.attribute("novalue") == Some("yes") }))
        .collect::<Result<Vec<_>, Error>>()?;
    let comps = comp
        .children()
        .filter(|e| e.is(CALDAV, "comp"))
        .map(|e| comp_select(e, limits))
        .collect::<Result<Vec<_>, _>>()?;
    if props.len() + comps.len() > limits.properties {
        let message = format!("ask for at most {} properties and components at once", limits.properties);
        return Err(Error::bad(message));
    }
    Ok(CompSelect {
        name: name_of(comp)?,
        props: (said && !all("allprop")).then_some(props),
        comps: (said && !all("allcomp")).then_some(comps),
    })
}

/// Filter elements of a whole query.
struct Count {
    of: usize,
    most: usize,
}

/// RFC 4791 9.7.1.
fn comp_filter(element: &Element<'_>, count: &mut Count) -> Result<CompFilter, Error> {
    count.one_more()?;
    let children = |name: &'static str| element.children().filter(move |e| e.is(CALDAV, name));
    let filter = CompFilter {
        name: name_of(element)?,
        is_not_defined: element.child(CALDAV, "is-not-defined").is_some(),
        test: test(element)?,
        time_range: element.child(CALDAV, "time-range").map(time_range).transpose()?,
        props: children("prop-filter").map(|e| prop_filter(e, count)).collect::<Result<_, _>>()?,
        comps: children("comp-filter").map(|e| comp_filter(e, count)).collect::<Result<_, _>>()?,
    };
    if filter.is_not_defined && !(filter.time_range.is_none() && filter.props.is_empty() && filter.comps.is_empty()) {
        return Err(invalid("is-not-defined stands alone"));
    }
    Ok(filter)
}

/// RFC 4791 9.7.2.
fn prop_filter(element: &Element<'_>, count: &mut Count) -> Result<PropFilter, Error> {
    count.one_more()?;
    Ok(PropFilter {
        name: name_of(element)?,
        is_not_defined: element.child(CALDAV, "is-not-defined").is_some(),
        test: test(element)?,
        time_range: element.child(CALDAV, "time-range").map(time_range).transpose()?,
        text: element.child(CALDAV, "text-match").map(text_match).transpose()?,
        params: element
            .children()
            .filter(|e| e.is(CALDAV, "param-filter"))
            .map(|e| {
                count.one_more()?;
                Ok(ParamFilter {
                    name: name_of(e)?,
                    is_not_defined: e.child(CALDAV, "is-not-defined").is_some(),
                    text: e.child(CALDAV, "text-match").map(text_match).transpose()?,
                })
            })
            .collect::<Result<_, Error>>()?,
    })
}

/// RFC 4791 9.7.5.
fn text_match(element: &Element<'_>) -> Result<TextMatch, Error> {
    let collation = match element.attribute("collation") {
        None | Some("default" | "i;ascii-casemap") => Collation::AsciiCasemap,
        Some("i;octet") => Collation::Octet,
        Some("i;unicode-casemap") => Collation::UnicodeCasemap,
        Some(_) => {
            let message = "use one of the collations of supported-collation-set";
            return Err(Error::refused("<C:supported-collation/>", message));
        }
    };
    let match_type = match element.attribute("match-type") {
        None | Some("contains") => MatchType::Contains,
        Some("equals") => MatchType::Equals,
        Some("starts-with") => MatchType::StartsWith,
        Some("ends-with") => MatchType::EndsWith,
        Some(_) => return Err(invalid("match-type must be equals, contains, starts-with or ends-with")),
    };
    let negate = element.attribute("negate-condition") == Some("yes");
    let text = element.text();
    if text.len() > MAX_TEXT {
        return Err(invalid("a text-match is longer than 4096 octets"));
    }
    Ok(TextMatch { text: text.into_owned().into(), collation, match_type, negate })
}

/// draft-daboo-caldav-extensions 3.1: RFC 4791 knows no other test than the default.
fn test(element: &Element<'_>) -> Result<Test, Error> {
    match element.attribute("test") {
        None | Some("allof") => Ok(Test::All),
        Some("anyof") => Ok(Test::Any),
        Some(_) => Err(invalid("test must be allof or anyof")),
    }
}

impl Count {
    fn one_more(&mut self) -> Result<(), Error> {
        self.of += 1;
        if self.of > self.most {
            return Err(invalid(format!("a query may have at most {} filters", self.most)));
        }
        Ok(())
    }
}

/// The `name` attribute in upper case, as components and properties are kept.
fn name_of(element: &Element<'_>) -> Result<String, Error> {
    let name = element.attribute("name").map(str::trim).filter(|n| !n.is_empty());
    name.map(str::to_ascii_uppercase).ok_or_else(|| invalid(format!("{} needs a name", element.name)))
}

/// RFC 4791 9.9: both ends in UTC, one of them may be missing.
fn time_range(element: &Element<'_>) -> Result<Window, Error> {
    let end = |name: &str| -> Result<Option<Instant>, Error> {
        let Some(text) = element.attribute(name) else { return Ok(None) };
        utc(text.trim())
            .map(Some)
            .ok_or_else(|| invalid(format!("{name} must be a time in UTC such as 20260601T000000Z")))
    };
    let (start, until) = (end("start")?, end("end")?);
    if start.is_none() && until.is_none() {
        return Err(invalid("a time range needs a start or an end"));
    }
    Window::new(start.unwrap_or(Instant::MIN), until.unwrap_or(Instant::MAX))
        .ok_or_else(|| invalid("a time range must start before it ends"))
}

/// A window that is gone through instance by instance: both ends, and not too long.
fn bounded(element: &Element<'_>, limits: &Limits) -> Result<Window, Error> {
    let window = time_range(element)?;
    if window.start == Instant::MIN || window.end == Instant::MAX {
        return Err(invalid(format!("{} needs a start and an end", element.name)));
    }
    if window.end.0 - window.start.0 > limits.longest_window() {
        let message = format!("ask for at most {} years at once", limits.expand_years);
        return Err(Error::refused("<C:max-instances/>", message));
    }
    Ok(window)
}

/// `YYYYMMDDTHHMMSSZ`. A leap second is the last one before it.
fn utc(text: &str) -> Option<Instant> {
    let b = text.as_bytes();
    if b.len() != 16 || b[8] != b'T' || b[15] != b'Z' {
        return None;
    }
    let number = |from: usize, to: usize| -> Option<i16> {
        b[from..to].iter().try_fold(0i16, |n, d| d.is_ascii_digit().then(|| n * 10 + i16::from(d - b'0')))
    };
    let part = |from| number(from, from + 2).and_then(|n| i8::try_from(n).ok());
    let at = civil::DateTime::new(number(0, 4)?, part(4)?, part(6)?, part(9)?, part(11)?, part(13)?.min(59), 0).ok()?;
    Some(Instant(at.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second()))
}

fn invalid(message: impl Into<String>) -> Error {
    Error::refused("<C:valid-filter/>", message)
}

/// `Depth`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    Zero,
    One,
    Infinity,
}

/// `Ok(None)`: the header is not there.
pub fn depth(headers: &HeaderMap) -> Result<Option<Depth>, Error> {
    let Some(value) = headers.get(HeaderName::from_static("depth")) else { return Ok(None) };
    match value.to_str().unwrap_or("").trim() {
        "0" => Ok(Some(Depth::Zero)),
        "1" => Ok(Some(Depth::One)),
        text if text.eq_ignore_ascii_case("infinity") => Ok(Some(Depth::Infinity)),
        _ => Err(Error::bad("Depth must be 0, 1 or infinity")),
    }
}

/// What the client would like of the answer (RFC 7240, RFC 8144; `Brief` is what came before them).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prefer {
    /// Leave out what is not there, or need not be said.
    pub minimal: bool,
    /// Give what was written.
    pub representation: bool,
    /// Leave out the collection itself.
    pub noroot: bool,
    /// Put nothing right.
    pub strict: bool,
}

impl Prefer {
    /// What a method that lists can do.
    pub const LISTING: Prefer = Prefer { minimal: true, representation: false, noroot: true, strict: false };
    /// What a method can do that changes properties.
    pub const SETTING: Prefer = Prefer { noroot: false, ..Prefer::LISTING };
    /// What a method can do that writes a resource.
    pub const WRITING: Prefer = Prefer { minimal: false, representation: true, noroot: false, strict: true };
    /// What a method can do that carries a resource from one place to another.
    pub const CARRYING: Prefer = Prefer { strict: false, ..Prefer::WRITING };

    /// Of two that say the opposite the first holds (RFC 7240 2).
    pub fn read(headers: &HeaderMap) -> Prefer {
        let mut prefer = Prefer::default();
        let (mut returns, mut handling) = (false, false);
        for value in headers.get_all(HeaderName::from_static("prefer")) {
            for one in value.to_str().unwrap_or("").split([',', ';']) {
                let (name, value) = one.split_once('=').unwrap_or((one, ""));
                let name = name.trim().to_ascii_lowercase();
                match (name.as_str(), value.trim().trim_matches('"').to_ascii_lowercase().as_str()) {
                    ("return", how @ ("minimal" | "representation")) if !returns => {
                        returns = true;
                        prefer.minimal = how == "minimal";
                        prefer.representation = how == "representation";
                    }
                    ("return-minimal", _) if !returns => (returns, prefer.minimal) = (true, true),
                    ("handling", how @ ("strict" | "lenient")) if !handling => {
                        (handling, prefer.strict) = (true, how == "strict");
                    }
                    ("depth-noroot", _) => prefer.noroot = true,
                    _ => {}
                }
            }
        }
        let brief = headers.get(HeaderName::from_static("brief"));
        prefer.minimal |= !returns && brief.is_some_and(|b| b.as_bytes().trim_ascii().eq_ignore_ascii_case(b"t"));
        prefer
    }

    /// The value of `Preference-Applied` of a method that can do `possible`; empty: none was.
    pub fn applied(self, possible: Prefer) -> String {
        let all = [
            (self.minimal && possible.minimal, "return=minimal"),
            (self.representation && possible.representation, "return=representation"),
            (self.noroot && possible.noroot, "depth-noroot"),
            (self.strict && possible.strict, "handling=strict"),
        ];
        let applied: Vec<&str> = all.into_iter().filter(|(was, _)| *was).map(|(_, name)| name).collect();
        applied.join(", ")
    }

    /// How much of calendar data is put right: all that good clients put right, or nothing (RFC 7240 4.4).
    pub fn reading(self) -> Reading {
        if self.strict { Reading::Strict } else { Reading::Tolerant }
    }
}

/// `CalDAV-Timezones` (RFC 7809 3.1): whether the rules of zones are wanted that everybody knows by name.
pub fn timezones(headers: &HeaderMap) -> Result<Option<bool>, Error> {
    let Some(value) = headers.get(HeaderName::from_static("caldav-timezones")) else { return Ok(None) };
    match value.to_str().unwrap_or("").trim() {
        "T" | "t" => Ok(Some(true)),
        "F" | "f" => Ok(Some(false)),
        _ => Err(Error::bad("CalDAV-Timezones must be T or F")),
    }
}

/// Which of `offers`, types with the one that is given by default first, `Accept` likes best (RFC 9110 12.5.1); `None`:
/// it wants none of them.
pub fn accepted<'o>(headers: &HeaderMap, offers: &[&'o str]) -> Option<&'o str> {
    let mut ranges: Vec<(String, u32)> = Vec::new();
    for value in headers.get_all(ACCEPT) {
        for range in value.to_str().unwrap_or("").split(',').filter(|range| !range.trim().is_empty()) {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or("").to_ascii_lowercase();
            let quality = parts.find_map(|p| p.strip_prefix("q=").or(p.strip_prefix("Q=")));
            // In thousandths; what is no number is as good as not said.
            let quality = quality.and_then(|q| q.trim().parse::<f32>().ok()).unwrap_or(1.0).clamp(0.0, 1.0);
            ranges.push((kind, (quality * 1000.0) as u32));
        }
    }
    if ranges.is_empty() {
        return offers.first().copied();
    }
    let quality = |offer: &str| {
        let whole = offer.split('/').next().unwrap_or("").to_owned() + "/*";
        // The range that says most is the one that holds.
        let said = [offer, &whole, "*/*"].into_iter().find_map(|name| ranges.iter().find(|(range, _)| range == name));
        said.map_or(0, |(_, quality)| *quality)
    };
    // Of two that are liked as much, the first.
    let best = offers.iter().rev().max_by_key(|offer| quality(offer))?;
    (quality(best) > 0).then_some(*best)
}

/// `If-Match`, `If-None-Match`, `If-Schedule-Tag-Match` and `If`. The error is that `If` can not be read.
pub fn condition(headers: &HeaderMap, base: &PublicUrl, target: &Target) -> Result<Condition, Error> {
    // An empty one is none: Apple's clients send that.
    let tag = etags(headers, HeaderName::from_static("if-schedule-tag-match"), false);
    Ok(Condition {
        matches: etags(headers, IF_MATCH, false).map(of_resource),
        none_match: unless(headers).map(of_resource),
        schedule_tag: tag.map(|tags| tags.into_iter().next().unwrap_or_else(|| Etag("*".to_owned()))),
        lists: lists(headers, base, target)?,
    })
}

/// `If-None-Match` as it was sent, for who asks in one form.
pub fn unless(headers: &HeaderMap) -> Option<Vec<Etag>> {
    etags(headers, IF_NONE_MATCH, true)
}

/// What the etag of a resource ends in where it is given as jCal: other bytes have another strong etag (RFC 9110 8.8.3.3).
/// None of ours ends so by itself.
const JSON: &str = "-j";

/// The etag of a resource as jCal.
pub fn json_etag(etag: &Etag) -> Etag {
    Etag(format!("{etag}{JSON}"))
}

/// Whoever writes speaks of the resource, in whatever form they read it.
fn of_resource(list: Vec<Etag>) -> Vec<Etag> {
    list.into_iter().map(|etag| etag.as_str().strip_suffix(JSON).map_or(etag.clone(), Etag::from)).collect()
}

/// The etags of a header; an empty list is `*`; `None`: there is no such header, or it is empty (Apple sends that).
///
/// Compared `weak`ly, a weak etag is taken for the strong one that it was made of, as a proxy does that compresses; else it
/// never matches (RFC 9110 8.8.3.2). Backslashes before quotes are Evolution's of old.
fn etags(headers: &HeaderMap, name: HeaderName, weak: bool) -> Option<Vec<Etag>> {
    let mut etags = Vec::new();
    let mut star = false;
    for value in headers.get_all(name) {
        let text = value.to_str().unwrap_or("").replace("\\\"", "\"");
        let mut rest = text.trim_matches([' ', '\t', ',']);
        while !rest.is_empty() {
            let strong = rest.strip_prefix("W/").or(rest.strip_prefix("w/"));
            let is_weak = strong.is_some();
            rest = strong.unwrap_or(rest);
            let (etag, after) = match rest.strip_prefix('"') {
                Some(inside) => inside.split_once('"').unwrap_or((inside, "")),
                // Without quotes: up to the next comma.
                None => rest.split_once(',').unwrap_or((rest, "")),
            };
            star |= etag == "*" && !rest.starts_with('"');
            let etag = etag.trim();
            // None of ours has a slash.
            etags.push(Etag(if is_weak && !weak { format!("W/{etag}") } else { etag.to_owned() }));
            rest = after.trim_start_matches([' ', '\t', ',']);
        }
    }
    if star {
        return Some(Vec::new());
    }
    (!etags.is_empty()).then_some(etags)
}

/// The lists of `If` (RFC 4918 10.4).
fn lists(headers: &HeaderMap, base: &PublicUrl, target: &Target) -> Result<Option<Vec<List>>, Error> {
    let name = HeaderName::from_static("if");
    if !headers.contains_key(&name) {
        return Ok(None);
    }
    let wrong = || Error::bad("If must be lists such as (<urn:x> [\"etag\"]), each after its <URL> or none");
    let values: Vec<&str> = headers.get_all(&name).iter().map(|v| v.to_str().unwrap_or("?")).collect();
    let text = values.join(" ");
    let mut rest = text.trim();
    let mut lists = Vec::new();
    let mut about = match about(Some(target)) {
        // What is there is known where the request is done.
        About::Resource(_) => About::This,
        about => about,
    };
    // Lists with a URL and lists without are not mixed.
    let tagged = rest.starts_with('<');
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('<').filter(|_| tagged) {
            let (url, after) = inside.split_once('>').ok_or_else(wrong)?;
            about = self::about(Target::read_href(url, base).as_ref());
            rest = after.trim_start();
            if !rest.starts_with('(') {
                return Err(wrong());
            }
        }
        let mut inside = rest.strip_prefix('(').ok_or_else(wrong)?.trim_start();
        let mut checks = Vec::new();
        while !inside.starts_with(')') {
            let not = inside.get(..3).is_some_and(|n| n.eq_ignore_ascii_case("not"));
            inside = if not { inside[3..].trim_start() } else { inside };
            let (state, after) = match inside.as_bytes().first() {
                Some(b'<') => {
                    let (token, after) = inside[1..].split_once('>').ok_or_else(wrong)?;
                    (State::Token(token.trim().to_owned()), after)
                }
                Some(b'[') => {
                    let (etag, after) = inside[1..].split_once(']').ok_or_else(wrong)?;
                    let etag = etag.trim();
                    let plain = etag.strip_prefix('"').and_then(|e| e.strip_suffix('"'));
                    // A weak one never matches.
                    let plain = plain.map(|plain| plain.strip_suffix(JSON).unwrap_or(plain));
                    (State::Etag(Etag(plain.unwrap_or(etag).to_owned())), after)
                }
                _ => return Err(wrong()),
            };
            checks.push(Check { not, state });
            inside = after.trim_start();
        }
        if checks.is_empty() || lists.len() == MAX_LISTS {
            return Err(wrong());
        }
        lists.push(List { about: about.clone(), checks });
        rest = inside[1..].trim_start();
    }
    if lists.is_empty() { Err(wrong()) } else { Ok(Some(lists)) }
}

/// What has a state at a target.
fn about(target: Option<&Target>) -> About {
    match target.cloned() {
        Some(Target::Resource { owner, slug, name }) => About::Resource(Place { owner, slug, name }),
        Some(Target::Calendar { owner, slug }) => About::Calendar { owner, slug },
        Some(Target::Home { owner }) => About::Home { owner },
        _ => About::Nothing,
    }
}

/// Lists of one `If` header.
const MAX_LISTS: usize = 100;

/// `Destination` (RFC 4918 10.3): a path of ours, at no host or at one of ours, which are that of `base`, the one that
/// this request was sent to, and those that a proxy was asked for (where it is believed, `X-Forwarded-Host` says them).
/// What is elsewhere is 502 (9.8.5).
pub fn destination(headers: &HeaderMap, base: &PublicUrl) -> Result<Target, Error> {
    let sent = headers.get(HeaderName::from_static("destination"));
    let sent = sent.ok_or_else(|| Error::bad("a Destination header must say where it goes to"))?;
    // Clients send it with characters that should have been escaped.
    let sent = std::str::from_utf8(sent.as_bytes()).unwrap_or("").trim();
    let elsewhere = || Error::new(StatusCode::BAD_GATEWAY, "Destination is not on this server");
    let path = match sent.split_once("://") {
        Some((_, rest)) => {
            let path = rest.find('/').unwrap_or(rest.len());
            let asked = headers.get(HOST).and_then(|h| h.to_str().ok());
            let proxied = headers.get(HeaderName::from_static("x-forwarded-host")).and_then(|h| h.to_str().ok());
            let proxied = proxied.into_iter().flat_map(|hosts| hosts.split(','));
            let mut ours = [Some(base.origin()), asked].into_iter().flatten().chain(proxied);
            // HTTP/1.0 may have no Host: then the path alone is looked at.
            if asked.is_some() && !ours.any(|own| host(own) == host(&rest[..path])) {
                return Err(elsewhere());
            }
            if path == rest.len() { "/" } else { &rest[path..] }
        }
        None => sent,
    };
    if !path.starts_with('/') {
        return Err(Error::bad("Destination must be a URL, or the path of one"));
    }
    match Target::read_href(sent, base) {
        Some(target) => Ok(target),
        None if base.inside(path).starts_with("/dav/") => Err(no_parent()),
        None => Err(elsewhere()),
    }
}

/// The host of an origin or an authority, without its port: proxies listen on other ones.
fn host(text: &str) -> String {
    let authority = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = authority.rsplit_once('@').map_or(authority, |(_, rest)| rest);
    let port = authority.rfind(':').filter(|at| authority[at + 1..].bytes().all(|b| b.is_ascii_digit()));
    authority[..port.unwrap_or(authority.len())].to_ascii_lowercase()
}

/// `Overwrite` (RFC 4918 10.6): whether what is at the destination may be replaced.
pub fn overwrite(headers: &HeaderMap) -> Result<bool, Error> {
    match headers.get(HeaderName::from_static("overwrite")).map(|v| v.as_bytes().trim_ascii()) {
        None | Some(b"T" | b"t") => Ok(true),
        Some(b"F" | b"f") => Ok(false),
        Some(_) => Err(Error::bad("Overwrite must be T or F")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Name;

    fn report(body: &[u8]) -> Result<Report, Error> {
        super::report(body, &Limits::default())
    }

    fn headers(table: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in table {
            headers.append(HeaderName::from_static(name), http::HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn etags_are_read_in_every_form_that_is_sent() {
        let check = |sent: &'static str, expect: Option<&[&str]>| {
            let expect = expect.map(|list| list.iter().map(|e| Etag::from(*e)).collect());
            assert_eq!(etags(&headers(&[("if-match", sent)]), IF_MATCH, true), expect, "{sent}");
        };
        check("\"abc\"", Some(&["abc"]));
        check("*", Some(&[]));
        check("", None);
        check(" ", None);
        check("W/\"abc\"", Some(&["abc"]));
        check("\"a\", W/\"b\" ,\"c\"", Some(&["a", "b", "c"]));
        check("\\\"abc\\\"", Some(&["abc"]));
        check("abc", Some(&["abc"]));
        check("\"a,b\"", Some(&["a,b"]));
        check("\"*\"", Some(&["*"]));
        check("\"open", Some(&["open"]));
        check("\"\"", Some(&[""]));
        check(",,,", None);
        let strong = |sent| etags(&headers(&[("if-match", sent)]), IF_MATCH, false);
        assert_eq!(strong("W/\"a\", \"b\""), Some(vec!["W/a".into(), "b".into()]), "a weak one is nothing of ours");
    }

    /// Each list as `resource: checks`, `!` for Not, tokens in `<>`.
    #[test]
    fn lists_of_if_are_read() {
        let check = |sent: &'static str, expect: &str| {
            let base = PublicUrl::example("https://example.org/cal");
            let (owner, slug) = ("anna".to_owned(), "work".to_owned());
            let target = Target::Resource { owner, slug, name: Name::new("a.ics").unwrap() };
            let said = match lists(&headers(&[("if", sent)]), &base, &target) {
                Err(error) => error.status.as_str().to_owned(),
                Ok(lists) => {
                    let one = |list: &List| {
                        let about = match &list.about {
                            About::This => "this".to_owned(),
                            About::Nothing => "nothing".to_owned(),
                            About::Resource(place) => format!("{}/{}", place.slug, place.name),
                            About::Calendar { slug, .. } => format!("{slug}/"),
                            About::Home { owner } => owner.clone(),
                        };
                        let one = |c: &Check| {
                            let state = match &c.state {
                                State::Etag(etag) => etag.to_string(),
                                State::Token(token) => format!("<{token}>"),
                            };
                            format!("{}{state}", if c.not { "!" } else { "" })
                        };
                        let checks: Vec<String> = list.checks.iter().map(one).collect();
                        format!("{about}: {}", checks.join(" "))
                    };
                    lists.unwrap().iter().map(one).collect::<Vec<_>>().join("; ")
                }
            };
            assert_eq!(said, expect, "{sent}");
        };
        check("([\"a\"])", "this: a");
        check("(<urn:uuid:1> [\"a\"]) ([W/\"b\"])", "this: <urn:uuid:1> a; this: W/\"b\"");
        check("(Not <DAV:no-lock> not [\"a\"])", "this: !<DAV:no-lock> !a");
        check("<https://x/cal/dav/anna/work/a.ics> ([\"a\"]) (<b>)", "work/a.ics: a; work/a.ics: <b>");
        check("</dav/anna/work/> ([\"a\"]) <http://elsewhere/> (<b>)", "work/: a; nothing: <b>");
        check("</dav/anna/> (<a>)", "anna: <a>");
        for wrong in ["", "()", "(", "([\"a\"", "[\"a\"]", "<urn:x>", "([\"a\"]) </dav/> (<b>)", "(a)", "(Not)", "(<a)"]
        {
            check(wrong, "400");
        }
    }

    #[test]
    fn a_destination_is_at_a_host_of_ours() {
        let check = |sent: &'static str, expect: bool| {
            let base = PublicUrl::example("https://cal.example.org/cal");
            let proxied = ("x-forwarded-host", "front.example:8443,other.example");
            let headers = headers(&[("host", "10.0.0.2:8080"), proxied, ("destination", sent)]);
            assert_eq!(destination(&headers, &base).is_ok(), expect, "{sent}");
        };
        check("https://cal.example.org/cal/dav/anna/work/a.ics", true);
        check("https://CAL.example.org:443/cal/dav/anna/work/a.ics", true);
        check("http://10.0.0.2:8080/dav/anna/work/a.ics", true);
        check("http://anna@10.0.0.2/dav/anna/work/a.ics", true);
        check("https://front.example/cal/dav/anna/work/a.ics", true);
        check("https://Other.example:444/dav/anna/work/a.ics", true);
        check("/dav/anna/work/a.ics", true);
        check("https://evil.example/dav/anna/work/a.ics", false);
        check("https://cal.example.org.evil.example/dav/anna/work/a.ics", false);
        check("https://cal.example.org@evil.example/dav/anna/work/a.ics", false);
    }

    #[test]
    fn a_destination_is_known_by_its_path() {
        let check = |sent: &'static str, expect: &str| {
            let base = PublicUrl::example("https://example.org/cal");
            let said = match destination(&headers(&[("destination", sent)]), &base) {
                Ok(target) => target.href(&base),
                Err(error) => error.status.as_str().to_owned(),
            };
            assert_eq!(said, expect, "{sent}");
        };
        check("https://example.org/cal/dav/anna/work/a.ics", "/cal/dav/anna/work/a.ics");
        check("http://internal:8080/dav/anna/work/a%20b.ics", "/cal/dav/anna/work/a%20b.ics");
        check("/dav/anna/work/a.ics", "/cal/dav/anna/work/a.ics");
        check("https://example.org/other/a.ics", "502");
        check("https://example.org", "/cal/");
        check("/dav/anna/work/a/b/c.ics", "409");
        check("/dav/anna/../x", "409");
        check("a.ics", "400");
        assert_eq!(destination(&headers(&[]), &PublicUrl::example("https://e.org")).unwrap_err().status, 400);
    }

    #[test]
    fn preferences_are_read_from_prefer_and_brief() {
        let all = Prefer { minimal: true, representation: true, noroot: true, strict: true };
        let check = |name: &'static str, value: &'static str, applied: &str| {
            assert_eq!(Prefer::read(&headers(&[(name, value)])).applied(all), applied, "{name}: {value}");
        };
        check("prefer", "return=minimal", "return=minimal");
        check("prefer", "return=minimal, depth-noroot", "return=minimal, depth-noroot");
        check("prefer", "respond-async; wait=10, depth-noroot", "depth-noroot");
        check("prefer", "return=representation", "return=representation");
        check("prefer", "Return = \"representation\", return=minimal", "return=representation");
        check("prefer", "handling=strict; foo, handling=lenient", "handling=strict");
        check("prefer", "handling=lenient, handling=strict", "");
        check("prefer", "return=other", "");
        check("brief", "t", "return=minimal");
        check("brief", "f", "");
        let both = headers(&[("prefer", "return=representation"), ("brief", "t")]);
        assert_eq!(Prefer::read(&both).applied(all), "return=representation");
        let one = Prefer::read(&headers(&[("prefer", "return=minimal, handling=strict")]));
        assert_eq!(
            (one.applied(Prefer::LISTING), one.applied(Prefer::WRITING)),
            ("return=minimal".into(), "handling=strict".into())
        );
    }

    #[test]
    fn the_best_liked_type_is_chosen() {
        const OFFERS: [&str; 2] = ["text/calendar", "application/calendar+json"];
        let check = |sent: &'static str, expect: Option<&str>| {
            assert_eq!(accepted(&headers(&[("accept", sent)]), &OFFERS), expect, "{sent}");
        };
        let (text, json) = (Some(OFFERS[0]), Some(OFFERS[1]));
        assert_eq!(accepted(&headers(&[]), &OFFERS), text);
        check("", text);
        check("*/*", text);
        check("text/calendar", text);
        check("application/calendar+json", json);
        check("APPLICATION/Calendar+JSON;q=0.5", json);
        check("application/calendar+json, text/calendar", text);
        check("application/calendar+json;q=0.9, text/calendar;q=0.8", json);
        check("application/calendar+json;q=0.9, */*;q=0.95", text);
        check("application/*", json);
        check("application/json", None);
        check("text/html, */*;q=0.1", text);
        check("text/calendar;q=0, */*", json);
        check("text/calendar;q=0", None);
        check("text/calendar;q=much", text);
    }

    #[test]
    fn times_are_utc_or_nothing() {
        assert_eq!(utc("19700101T000000Z"), Some(Instant(0)));
        assert_eq!(utc("20260601T000000Z"), Some(Instant(1_780_272_000)));
        assert_eq!(utc("20161231T235960Z"), utc("20161231T235959Z"));
        for wrong in [
            "20260601T000000",
            "20260601",
            "2026-06-01T00:00:00Z",
            "20260231T000000Z",
            "20260601T240000Z",
            "+0260601T000000Z",
        ] {
            assert_eq!(utc(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn depth_is_one_of_three() {
        assert_eq!(depth(&headers(&[])).unwrap(), None);
        assert_eq!(depth(&headers(&[("depth", "0")])).unwrap(), Some(Depth::Zero));
        assert_eq!(depth(&headers(&[("depth", "Infinity")])).unwrap(), Some(Depth::Infinity));
        assert_eq!(depth(&headers(&[("depth", "2")])).unwrap_err().status, 400);
    }

    /// RFC 4791 9.7, and what draft-daboo-caldav-extensions adds: what is not said is as it was before.
    #[test]
    fn filters_are_read_with_their_tests() {
        let read = |inner: &str| {
            let body = format!(
                "<calendar-query xmlns='{CALDAV}'><filter><comp-filter name='VCALENDAR'>{inner}</comp-filter></filter>\
                 </calendar-query>"
            );
            report(body.as_bytes()).map(|report| match report {
                Report::Query { mut filter, .. } => filter.comps.remove(0),
                other => panic!("{other:?}"),
            })
        };
        let plain = read(
            "<comp-filter name='vevent'><prop-filter name='x'><text-match>a</text-match></prop-filter></comp-filter>",
        );
        let text = TextMatch { text: "a".into(), ..TextMatch::default() };
        let prop = PropFilter { name: "X".to_owned(), text: Some(text), ..PropFilter::default() };
        let expect = CompFilter { name: "VEVENT".to_owned(), props: vec![prop], ..CompFilter::default() };
        assert_eq!(plain.unwrap(), expect);
        let extended = read(
            "<comp-filter name='*' test='anyof'><prop-filter name='x' test='anyof'><text-match match-type='ends-with' \
             collation='i;unicode-casemap' negate-condition='yes'>a</text-match></prop-filter></comp-filter>",
        );
        let text = TextMatch {
            text: "a".into(),
            collation: Collation::UnicodeCasemap,
            match_type: MatchType::EndsWith,
            negate: true,
        };
        let prop = PropFilter { name: "X".to_owned(), test: Test::Any, text: Some(text), ..PropFilter::default() };
        let expect = CompFilter { name: "*".to_owned(), test: Test::Any, props: vec![prop], ..CompFilter::default() };
        assert_eq!(extended.unwrap(), expect);
        for (name, place) in
            [("equals", MatchType::Equals), ("contains", MatchType::Contains), ("starts-with", MatchType::StartsWith)]
        {
            let filter = read(&format!(
                "<comp-filter name='a'><prop-filter name='x'><text-match match-type='{name}'/></prop-filter></comp-filter>"
            ));
            assert_eq!(filter.unwrap().props[0].text.as_ref().unwrap().match_type, place);
        }
        for wrong in [
            "<comp-filter name='a' test='some'/>",
            "<comp-filter name='a'><prop-filter name='x' test=''/></comp-filter>",
            "<comp-filter name='a'><prop-filter name='x'><text-match match-type='is'/></prop-filter></comp-filter>",
        ] {
            assert_eq!(read(wrong).unwrap_err().condition, "<C:valid-filter/>", "{wrong}");
        }
    }

    /// RFC 4791 9.6.1: one that says nothing of its content is wanted whole.
    #[test]
    fn parts_of_calendar_data_are_read() {
        let read = |comp: &str| {
            let body = format!(
                "<calendar-multiget xmlns='{CALDAV}' xmlns:D='DAV:'><D:prop><calendar-data>{comp}</calendar-data></D:prop>\
                 <D:href>/</D:href></calendar-multiget>"
            );
            match report(body.as_bytes()).unwrap() {
                Report::Multiget { want, .. } => want.select.comp.unwrap(),
                other => panic!("{other:?}"),
            }
        };
        let shape = |c: &CompSelect| (c.props.as_ref().map(Vec::len), c.comps.as_ref().map(Vec::len));
        let cases = [
            ("", (None, None)),
            ("<allprop/>", (None, Some(0))),
            ("<allcomp/>", (Some(0), None)),
            ("<allprop/><allcomp/>", (None, None)),
            ("<prop name='UID'/>", (Some(1), Some(0))),
            ("<comp name='VEVENT'/>", (Some(0), Some(1))),
            ("<prop name='UID' novalue='yes'/><allcomp/>", (Some(1), None)),
        ];
        for (inside, expect) in cases {
            assert_eq!(shape(&read(&format!("<comp name='VCALENDAR'>{inside}</comp>"))), expect, "{inside}");
        }
    }

    /// The text of a property and the standing-alone XML that is kept of it.
    #[test]
    fn a_dead_property_is_kept_with_what_it_needs_to_stand_alone() {
        let check = |body: &str, xml: &str| {
            let body = format!(
                "<D:propertyupdate xmlns:D='DAV:' xmlns:x='urn:x' xml:lang='de'><D:set><D:prop>{body}</D:prop></D:set>\
                 </D:propertyupdate>"
            );
            assert_eq!(proppatch(body.as_bytes(), &Limits::default()).unwrap()[0].value.as_ref().unwrap().xml, xml);
        };
        check("<x:a/>", r#"<a xmlns="urn:x" xml:lang="de"/>"#);
        check("<x:a xml:lang='en'>1 &lt; 2</x:a>", r#"<a xmlns="urn:x" xml:lang="en">1 &lt; 2</a>"#);
        check("<b x:c='1&quot;2' d='3'/>", r#"<b xmlns="" xml:lang="de" xmlns:a0="urn:x" a0:c="1&quot;2" d="3"/>"#);
        check("<x:a><D:b> t </D:b></x:a>", r#"<a xmlns="urn:x" xml:lang="de"><b xmlns="DAV:"> t </b></a>"#);
        check("<x:a><![CDATA[<&]]>&#13;\r\n</x:a>", "<a xmlns=\"urn:x\" xml:lang=\"de\">&lt;&amp;&#13;\n</a>");
    }

    #[test]
    fn what_is_not_well_formed_is_400_with_a_sentence() {
        let mut lax = Vec::new();
        for body in [
            "",
            "  ",
            "nonsense",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<a/>text",
            "text<a/>",
            "<a b=c/>",
            "<a b='1' b='2'/>",
            "<a x:b='1'/>",
            "<x:a/>",
            "<a xmlns:x=''/>",
            "<a xmlns:xmlns='urn:x'/>",
            "<a b='<'/>",
            "<a>&nbsp;</a>",
            "<a>&#0;</a>",
            "<a>&#x1;</a>",
            "<a>& </a>",
            "<a>\u{1}</a>",
            "<a>]]></a>",
            "<a><!-- -- --></a>",
            "<1a/>",
            "<a:b:c xmlns:a='urn:a'/>",
            "<a><?xml version='1.0'?></a>",
            " <?xml version='1.0'?><a/>",
            "<?xml version='1.0' encoding='utf-16'?><a/>",
            "<!DOCTYPE a><a/>",
            "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
            "<a xmlns:x='urn:x' xmlns:y='urn:x' x:b='1' y:b='2'/>",
            "<a b='1'c='2'/>",
            "<a b/>",
            "<a b='1/>",
            "< a/>",
            "<a></ a>",
            "<a/ >",
            "<a>&amp</a>",
            "<![CDATA[x]]><a/>",
            "<a><![CDATA[x</a>",
            "<a><? ?></a>",
            "<a>\u{FFFE}</a>",
            "<a b='&#xB;'/>",
            "<a b='&c;'/>",
            "<?xml?><a/>",
            "<?xml encoding='utf-8'?><a/>",
            "<?xml version='1.0'?><?xml version='1.0'?><a/>",
        ] {
            match report(body.as_bytes()) {
                Err(error) => assert_eq!((error.status.as_u16(), error.message.is_empty()), (400, false), "{body}"),
                Ok(read) => lax.push(format!("{body} is read as {read:?}")),
            }
        }
        assert_eq!(lax, Vec::<String>::new());
        assert_eq!(report(b"\xff\xfe<\0a\0/\0>\0").unwrap_err().status, 400);
        let hrefs = |n: usize| {
            let hrefs = "<h xmlns='DAV:'>/</h>".replace("h", "href").repeat(n);
            report(format!("<calendar-multiget xmlns='{CALDAV}'>{hrefs}</calendar-multiget>").as_bytes())
        };
        assert!(hrefs(5000).is_ok());
        assert_eq!(hrefs(5001).unwrap_err().condition, "<D:number-of-matches-within-limits/>");
        assert_eq!(hrefs(60_000).unwrap_err().status, 400);
        let deep = "<a>".repeat(65) + &"</a>".repeat(65);
        assert_eq!(report(deep.as_bytes()).unwrap_err().status, 400);
        let wide: String = (0..65).map(|n| format!(" a{n}=''")).collect();
        assert_eq!(report(format!("<a{wide}/>").as_bytes()).unwrap_err().status, 400);
    }
}
