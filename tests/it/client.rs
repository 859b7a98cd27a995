//! Real clients against the real server over sockets: `fixtures/client/*.replay` are what each sends from its first contact
//! on, in its own words, and what it needs to read in the answers.
//!
//! ```text
//! # what it shows, and where the requests are from
//!
//! User-Agent: …                       headers of every request
//!
//! === the root                        what the client is about
//! without credentials                 or `another device`: not the client but somebody else with Anna's password,
//!                                     or `as ben`: the client of another user
//! PROPFIND {root}                     values that were kept are named in braces
//! Depth: 0                            headers of this request; one without a value takes the client's away
//!                                     an empty line
//! <propfind …                         the body; `event UID 20260610T090000Z Title` is a VCALENDAR of that event
//! --- 207                             the status of the answer
//! D:getetag of {item} is there        what else is asserted or kept, a line each: see `ROWS`
//! ```
//!
//! Every replay begins in the world of `tests/it/dav.rs`. What holds for every answer whoever asks is in `always`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use quick_xml::events::Event;
use quick_xml::name::ResolveResult;
use tokio::net::TcpStream;

use crate::web::{Answer, Gateway, PASSWORD, Wire, basic, hash, start_on, wire};

/// The world of `tests/it/dav.rs` behind a socket.
pub(crate) async fn house() -> Gateway {
    let text = crate::dav::CONFIG.replace("[server]\n", "[server]\nlisten = \"127.0.0.1:0\"\n");
    let text = ["anna", "ben"].iter().fold(text, |text, name| {
        let user = format!("[[user]]\nname = \"{name}\"\n");
        text.replace(&user, &format!("{user}password = \"{}\"\n", hash()))
    });
    let gateway = start_on(&text).await;
    crate::dav::furnish(&gateway.app).await;
    gateway
}

/// One request on a connection that stays. `headers`: whole lines.
pub(crate) async fn say(wire: &mut Wire<TcpStream>, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let length = if body.is_empty() && !matches!(method, "PUT" | "POST" | "PROPFIND" | "REPORT") {
        String::new()
    } else {
        format!("Content-Length: {}\r\n", body.len())
    };
    wire.send(format!("{method} {path} HTTP/1.1\r\nHost: cal.example.org\r\n{headers}{length}\r\n{body}")).await;
    wire.answer_to(method == "HEAD").await.expect("an answer")
}

/// One request by Anna, on a connection of its own.
pub(crate) async fn ask(gateway: &Gateway, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let mut wire = wire(gateway).await;
    say(&mut wire, method, path, &format!("{}{headers}", basic("anna", PASSWORD)), body).await
}

/// An element as it was read; its name has the prefix by which this page calls its namespace.
#[derive(Debug, Default)]
pub(crate) struct Element {
    pub(crate) name: String,
    attributes: Vec<(String, String)>,
    /// All text below it.
    pub(crate) text: String,
    pub(crate) children: Vec<Element>,
}

impl Element {
    pub(crate) fn find(&self, name: &str) -> Option<&Element> {
        self.children.iter().find_map(|child| if child.name == name { Some(child) } else { child.find(name) })
    }

    fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }
}

fn prefixed(ns: &str, name: &str) -> String {
    let prefix = match ns {
        "DAV:" => "D",
        "urn:ietf:params:xml:ns:caldav" => "C",
        "http://calendarserver.org/ns/" => "CS",
        "http://apple.com/ns/ical/" => "A",
        "http://me.com/_namespace/" => "ME",
        "urn:ietf:params:xml:ns:carddav" => "CARD",
        "https://bitfire.at/webdav-push" => "P",
        other => return format!("{{{other}}}{name}"),
    };
    format!("{prefix}:{name}")
}

/// The tree of an XML body, or why it is none.
pub(crate) fn tree(text: &str) -> Result<Element, String> {
    let mut reader = quick_xml::NsReader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut open = vec![Element::default()];
    let put = |open: &mut Vec<Element>, text: &str| open.iter_mut().for_each(|element| element.text.push_str(text));
    loop {
        let (ns, event) = reader.read_resolved_event().map_err(|e| e.to_string())?;
        match event {
            Event::Start(start) => {
                let ns = match ns {
                    ResolveResult::Bound(ns) => ns.as_ref().to_owned(),
                    _ => String::new(),
                };
                let attributes = start.attributes().map(|a| a.map_err(|e| e.to_string()));
                let attributes = attributes
                    .map(|a| a.map(|a| (a.key.as_ref().to_owned(), a.value.into_owned())))
                    .collect::<Result<_, _>>()?;
                let name = prefixed(&ns, start.local_name().as_ref());
                open.push(Element { name, attributes, ..Element::default() });
            }
            Event::End(_) => {
                let done = open.pop().ok_or("an end without a start")?;
                open.last_mut().ok_or("an end without a start")?.children.push(done);
            }
            Event::Text(text) => put(&mut open, &text.into_inner()),
            Event::CData(data) => put(&mut open, &data.into_inner()),
            Event::GeneralRef(name) => match name.resolve_char_ref().map_err(|e| e.to_string())? {
                Some(c) => put(&mut open, c.encode_utf8(&mut [0; 4])),
                None => put(
                    &mut open,
                    match name.into_inner().as_ref() {
                        "lt" => "<",
                        "gt" => ">",
                        "amp" => "&",
                        "quot" => "\"",
                        "apos" => "'",
                        other => return Err(format!("&{other}; is nothing")),
                    },
                ),
            },
            Event::Eof => break,
            _ => {}
        }
    }
    let mut top = open.pop().ok_or("nothing")?;
    if !open.is_empty() || top.children.len() != 1 {
        return Err("it has not one root".to_owned());
    }
    Ok(top.children.remove(0))
}

/// An answer, and the trees and texts that assertions ask about.
pub(crate) struct Seen {
    pub(crate) answer: Answer,
    /// The body, when it is XML.
    xml: Option<Element>,
    /// The last body that was put.
    put: String,
}

type Said<T> = Result<T, String>;

impl Seen {
    pub(crate) fn of(answer: Answer, put: &str) -> Seen {
        let is_xml = answer.header("content-type").starts_with("application/xml");
        let xml = is_xml.then(|| tree(&answer.body).unwrap_or_else(|e| panic!("{e}: {}", answer.body)));
        Seen { answer, xml, put: put.to_owned() }
    }

    fn multistatus(&self) -> Said<&Element> {
        let root = self.xml.as_ref().filter(|root| root.name == "D:multistatus");
        root.ok_or_else(|| "the answer is no multistatus".to_owned())
    }

    pub(crate) fn responses(&self) -> Said<Vec<&Element>> {
        Ok(self.multistatus()?.all("D:response").collect())
    }

    /// hrefs of all responses.
    pub(crate) fn hrefs(&self) -> Said<Vec<String>> {
        Ok(self.responses()?.iter().map(|r| href_of(r)).collect())
    }

    fn response(&self, href: &str) -> Said<&Element> {
        let all = self.responses()?;
        let found: Vec<_> = all.into_iter().filter(|r| decoded(&href_of(r)) == decoded(href)).collect();
        match found.as_slice() {
            [one] => Ok(one),
            [] => Err(format!("{href} is not in the answer")),
            _ => Err(format!("{href} is in the answer {} times", found.len())),
        }
    }

    /// A property with the status of its propstat.
    fn stated(&self, href: &str, prop: &str) -> Said<Option<(u16, &Element)>> {
        Ok(stated(self.response(href)?, prop))
    }

    /// A property that is there.
    pub(crate) fn prop(&self, href: &str, prop: &str) -> Said<&Element> {
        match self.stated(href, prop)? {
            Some((200, element)) => Ok(element),
            Some((status, _)) => Err(format!("{prop} is {status}")),
            None => Err(format!("{prop} is not told of")),
        }
    }

    pub(crate) fn token(&self) -> Said<&str> {
        let token = self.multistatus()?.child("D:sync-token").ok_or("there is no sync-token")?;
        Ok(token.text.trim())
    }

    fn header(&self, name: &str) -> Said<&str> {
        let found = self.answer.headers.get(&name.to_lowercase());
        found.map(String::as_str).ok_or_else(|| format!("there is no header {name}"))
    }

    fn calendars(&self) -> Said<Vec<&Element>> {
        let is = |r: &&Element| stated(r, "D:resourcetype").is_some_and(|(_, p)| p.child("C:calendar").is_some());
        Ok(self.responses()?.into_iter().filter(is).collect())
    }

    /// The href of the calendar that is called so.
    fn called(&self, name: &str) -> Said<String> {
        let all = self.calendars()?;
        let found = all
            .into_iter()
            .find(|r| stated(r, "D:displayname").is_some_and(|(status, p)| status == 200 && p.text == name));
        found.map(href_of).ok_or_else(|| format!("no calendar is called {name}"))
    }
}

fn href_of(response: &Element) -> String {
    response.child("D:href").map_or(String::new(), |href| href.text.trim().to_owned())
}

fn decoded(href: &str) -> String {
    percent_encoding::percent_decode_str(href).decode_utf8_lossy().into_owned()
}

fn stated<'a>(response: &'a Element, prop: &str) -> Option<(u16, &'a Element)> {
    response.all("D:propstat").find_map(|propstat| {
        let found = propstat.child("D:prop")?.child(prop)?;
        Some((status(propstat)?, found))
    })
}

/// 404 from `HTTP/1.1 404 Not Found`.
fn status(of: &Element) -> Option<u16> {
    of.child("D:status")?.text.split(' ').nth(1)?.parse().ok()
}

fn holds(what: bool, otherwise: impl FnOnce() -> String) -> Said<()> {
    if what { Ok(()) } else { Err(otherwise()) }
}

fn same(found: &str, expected: &str) -> Said<()> {
    holds(found == expected, || format!("it is {found:?}"))
}

/// What can be asserted: `{}` is one word, `{*}` the rest of the line.
struct Row(&'static str, fn(&Seen, &[&str]) -> Said<()>);

const ROWS: &[Row] = &[
    Row("header {} is {*}", |s, w| same(s.header(w[0])?, w[1])),
    Row("header {} begins with {*}", |s, w| {
        let found = s.header(w[0])?;
        holds(found.starts_with(w[1]), || format!("it is {found:?}"))
    }),
    Row("header {} has {*}", |s, w| {
        let found = s.header(w[0])?;
        holds(found.split(',').any(|item| item.trim() == w[1]), || format!("it is {found:?}"))
    }),
    Row("header {} lacks {*}", |s, w| {
        let found = s.header(w[0])?;
        holds(!found.split(',').any(|item| item.trim() == w[1]), || format!("it is {found:?}"))
    }),
    Row("no header {}", |s, w| holds(s.header(w[0]).is_err(), || "it is there".to_owned())),
    Row("ETag is strong", |s, _| {
        let etag = s.header("etag")?;
        holds(etag.len() > 2 && etag.starts_with('"') && etag.ends_with('"'), || format!("it is {etag}"))
    }),
    Row("body is empty", |s, _| same(&s.answer.body, "")),
    Row("body is what was put", |s, _| {
        holds(!s.put.is_empty(), || "nothing was put".to_owned())?;
        same(&s.answer.body, &s.put)
    }),
    Row("body holds {*}", |s, w| holds(s.answer.body.contains(w[0]), || s.answer.body.clone())),
    Row("body lacks {*}", |s, w| {
        holds(!s.answer.body.is_empty() && !s.answer.body.contains(w[0]), || s.answer.body.clone())
    }),
    Row("error is {}", |s, w| {
        let root = s.xml.as_ref().filter(|root| root.name == "D:error").ok_or("there is no error in XML")?;
        holds(root.child(w[0]).is_some(), || s.answer.body.clone())
    }),
    Row("{} responses", |s, w| same(&s.responses()?.len().to_string(), w[0])),
    Row("{} is listed", |s, w| s.response(w[0]).map(drop)),
    Row("{} is not listed", |s, w| {
        s.multistatus()?;
        holds(s.response(w[0]).is_err(), || "it is".to_owned())
    }),
    Row("status of {} is {}", |s, w| {
        let response = s.response(w[0])?;
        holds(response.child("D:propstat").is_none(), || "it has propstats".to_owned())?;
        same(&status(response).ok_or("it has no status")?.to_string(), w[1])
    }),
    Row("{} of {} is there", |s, w| s.prop(w[1], w[0]).map(drop)),
    Row("{} of {} is 404", |s, w| {
        let found = s.stated(w[1], w[0])?.ok_or("it is not told of")?;
        same(&found.0.to_string(), "404")
    }),
    Row("{} of {} is left out", |s, w| {
        let found = s.stated(w[1], w[0])?;
        holds(found.is_none(), || format!("it is {}", found.map_or(0, |f| f.0)))
    }),
    Row("{} of {} is href {}", |s, w| {
        let prop = s.prop(w[1], w[0])?;
        let hrefs: Vec<&str> = prop.all("D:href").map(|href| href.text.trim()).collect();
        same(&hrefs.join(" "), w[2])
    }),
    Row("first and last href in {} of {} are {}", |s, w| {
        let hrefs: Vec<&str> = s.prop(w[1], w[0])?.all("D:href").map(|href| href.text.trim()).collect();
        holds(hrefs.first() == Some(&w[2]) && hrefs.last() == Some(&w[2]), || hrefs.join(" "))
    }),
    Row("{} of {} is not {*}", |s, w| {
        let found = s.prop(w[1], w[0])?.text.trim();
        holds(found != w[2], || "it is".to_owned())
    }),
    Row("{} of {} is {*}", |s, w| same(s.prop(w[1], w[0])?.text.trim(), w[2])),
    Row("{} of {} holds {*}", |s, w| {
        let found = &s.prop(w[1], w[0])?.text;
        holds(found.contains(w[2]), || format!("it is {found:?}"))
    }),
    Row("{} of {} lacks text {*}", |s, w| {
        let found = &s.prop(w[1], w[0])?.text;
        holds(!found.contains(w[2]), || format!("it is {found:?}"))
    }),
    Row("{} of {} has {}", |s, w| {
        let found = s.prop(w[1], w[0])?;
        holds(found.find(w[2]).is_some(), || format!("{found:?}"))
    }),
    Row("{} of {} lacks {}", |s, w| {
        let found = s.prop(w[1], w[0])?;
        holds(!found.children.is_empty() && found.find(w[2]).is_none(), || format!("{found:?}"))
    }),
    Row("{} of {} has component {}", |s, w| {
        let found = s.prop(w[1], w[0])?;
        let named = |comp: &Element| comp.attributes.iter().any(|(name, value)| name == "name" && value == w[2]);
        holds(found.all("C:comp").any(named), || format!("{found:?}"))
    }),
    Row("{} of {} has no component {}", |s, w| {
        let found = s.prop(w[1], w[0])?;
        let named = |comp: &Element| comp.attributes.iter().any(|(name, value)| name == "name" && value == w[2]);
        holds(!found.children.is_empty() && !found.all("C:comp").any(named), || format!("{found:?}"))
    }),
    Row("every response has {}", |s, w| {
        let all = s.responses()?;
        holds(!all.is_empty(), || "there are none".to_owned())?;
        let without =
            all.into_iter().find(|r| !stated(r, w[0]).is_some_and(|(status, p)| status == 200 && !p.text.is_empty()));
        holds(without.is_none(), || format!("{} has none", without.map_or(String::new(), href_of)))
    }),
    Row("every calendar has {}", |s, w| {
        let all = s.calendars()?;
        holds(!all.is_empty(), || "there are none".to_owned())?;
        let without = all.into_iter().find(|r| stated(r, w[0]).is_none_or(|(status, _)| status != 200));
        holds(without.is_none(), || format!("{} has none", without.map_or(String::new(), href_of)))
    }),
    Row("no calendar takes {}", |s, w| {
        let all = s.calendars()?;
        holds(!all.is_empty(), || "there are none".to_owned())?;
        let takes = |r: &&Element| {
            let prop = stated(r, "C:supported-calendar-component-set").map(|(_, p)| p);
            prop.is_none_or(|p| p.all("C:comp").any(|c| c.attributes.iter().any(|(_, value)| value == w[0])))
        };
        let found = all.into_iter().find(takes);
        holds(found.is_none(), || format!("{} does", found.map_or(String::new(), href_of)))
    }),
    Row("sync-token has a colon", |s, _| {
        let token = s.token()?;
        holds(token.contains(':'), || format!("it is {token}"))
    }),
    Row("sync-token is {}", |s, w| same(s.token()?, w[0])),
    Row("sync-token is not {}", |s, w| holds(s.token()? != w[0], || "it is".to_owned())),
];

type Kept = fn(&Seen, &[&str]) -> Said<String>;

/// What can be kept under a name, from `keep NAME from …`.
const KEPT: &[(&str, Kept)] = &[
    ("path of header {}", |s, w| {
        let url = s.header(w[0])?;
        let path = url.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| rest[at..].to_owned()));
        path.ok_or_else(|| format!("{url} is no URL"))
    }),
    ("header {} without quotes", |s, w| s.header(w[0]).map(|value| value.trim_matches('"').to_owned())),
    ("header {}", |s, w| s.header(w[0]).map(str::to_owned)),
    ("sync-token", |s, _| s.token().map(str::to_owned)),
    ("calendar called {*}", |s, w| s.called(w[0])),
    ("href in {} of {}", |s, w| {
        let prop = s.prop(w[1], w[0])?;
        Ok(prop.child("D:href").ok_or("it has no href")?.text.trim().to_owned())
    }),
    ("{} of {}", |s, w| s.prop(w[1], w[0]).map(|p| p.text.trim().to_owned())),
];

/// The words for the holes of `pattern`, if `line` is of that form.
fn matched<'a>(pattern: &str, line: &'a str) -> Option<Vec<&'a str>> {
    let mut rest = line;
    let mut words = Vec::new();
    for part in pattern.split(' ') {
        if part == "{*}" {
            words.push(rest);
            return (!rest.is_empty()).then_some(words);
        }
        let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
        match part {
            "{}" if !word.is_empty() => words.push(word),
            _ if part == word => {}
            _ => return None,
        }
        rest = after;
    }
    rest.is_empty().then_some(words)
}

/// The first row of that form; those that say more stand before those that say less.
fn row(line: &str) -> Option<(usize, Vec<&str>)> {
    ROWS.iter().enumerate().find_map(|(at, row)| matched(row.0, line).map(|words| (at, words)))
}

/// What every client may take for granted, whatever it asked.
fn always(method: &str, seen: &Seen) -> Said<()> {
    let answer = &seen.answer;
    if answer.status == 401 {
        same(answer.header("www-authenticate"), "Basic realm=\"calgate\", charset=\"UTF-8\"")?;
    }
    let etag = answer.header("etag");
    holds(etag.is_empty() || etag.starts_with('"'), || format!("the ETag is weak: {etag}"))?;
    if method == "OPTIONS" && answer.status != 301 {
        // 204 is taken for a failure by some.
        same(&answer.status.to_string(), "200")?;
        same(answer.header("content-length"), "0")?;
    }
    if method == "PROPFIND" && answer.status == 207 {
        let dav = answer.header("dav");
        holds(dav.split(", ").any(|class| class == "calendar-access"), || format!("DAV is {dav:?}"))?;
        holds(!dav.split(", ").any(|class| class == "2"), || "DAV claims locks".to_owned())?;
    }
    if answer.status != 207 {
        return Ok(());
    }
    let mut hrefs = BTreeSet::new();
    for response in seen.responses()? {
        let href = href_of(response);
        holds(href.starts_with('/') && !href.contains(' '), || format!("{href} is no absolute path"))?;
        holds(hrefs.insert(href.clone()), || format!("{href} is there twice"))?;
        let mut names = BTreeSet::new();
        let lines = response.all("D:propstat").chain([response]).filter_map(|r| r.child("D:status"));
        for line in lines {
            let known = [
                "HTTP/1.1 200 OK",
                "HTTP/1.1 403 Forbidden",
                "HTTP/1.1 404 Not Found",
                "HTTP/1.1 424 Failed Dependency",
                "HTTP/1.1 507 Insufficient Storage",
            ];
            holds(known.contains(&line.text.as_str()), || format!("the status line {:?}", line.text))?;
        }
        for prop in response.all("D:propstat").filter_map(|p| p.child("D:prop")).flat_map(|p| &p.children) {
            holds(names.insert(prop.name.clone()), || format!("{} of {href} is there twice", prop.name))?;
        }
    }
    Ok(())
}

/// Puts kept values into a text.
fn fill(text: &str, kept: &BTreeMap<String, String>) -> Said<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        let end = rest[at..].find('}').map(|end| at + end).ok_or("a brace is not closed")?;
        let name = &rest[at + 1..end];
        out.push_str(&rest[..at]);
        out.push_str(kept.get(name).ok_or_else(|| format!("{name} was not kept"))?);
        rest = &rest[end + 1..];
    }
    Ok(out + rest)
}

/// `event UID 20260610T090000Z Title` as a VCALENDAR; any other as it is, with the line ends of calendar data.
fn body(text: &str) -> String {
    if let Some(words) = matched("event {} {} {*}", text) {
        return crate::web::event(&format!(
            "UID:{}\nDTSTART:{}\nDURATION:PT1H\nSUMMARY:{}",
            words[0], words[1], words[2]
        ));
    }
    if text.starts_with("BEGIN:") { format!("{text}\n").replace('\n', "\r\n") } else { text.to_owned() }
}

/// An XML body with elements in it that nobody knows: behind the root, and wherever properties are listed.
fn with_strangers(text: &str) -> String {
    let stranger = "<x:never-seen xmlns:x=\"urn:x-strange\" a=\"1\"><x:more>&amp;</x:more></x:never-seen>";
    let mut out = String::new();
    let mut rest = text;
    let mut root = true;
    while let Some(at) = rest.find('<') {
        let end = at + rest[at..].find('>').expect("an element ends") + 1;
        let tag = &rest[at..end];
        out.push_str(&rest[..end]);
        rest = &rest[end..];
        if tag.starts_with("<![CDATA[") || tag.starts_with("<?") || tag.starts_with("</") || tag.ends_with("/>") {
            continue;
        }
        let name = tag[1..tag.len() - 1].split_whitespace().next().expect("a name");
        if root || name == "prop" || name.ends_with(":prop") {
            out.push_str(stranger);
        }
        root = false;
    }
    out + rest
}

/// Plays one replay; what was wrong, and the rows it made use of.
async fn play(text: &str, strangers: bool) -> (String, BTreeSet<usize>) {
    let gateway = house().await;
    let (head, sections) = text.split_once("\n=== ").expect("a replay has requests");
    let (intro, common) = head.split_once("\n\n").expect("headers stand after what it shows");
    assert!(intro.starts_with("# "), "it says what it shows");
    let common: Vec<(&str, &str)> = common.lines().map(|l| l.split_once(": ").expect("a header")).collect();
    assert!(common.iter().any(|(name, _)| name.eq_ignore_ascii_case("user-agent")), "a client has a name");

    let (mut wrong, mut used) = (String::new(), BTreeSet::new());
    let mut kept = BTreeMap::new();
    let mut put = String::new();
    let mut connection = wire(&gateway).await;
    for section in sections.split("\n=== ") {
        let (title, rest) = section.split_once('\n').expect("a request under its title");
        let (request, asserted) = rest.split_once("\n--- ").unwrap_or_else(|| panic!("{title}: no status"));
        let request = fill(request, &kept).unwrap_or_else(|e| panic!("{title}: {e}\n{wrong}"));
        let (head, text) = request.split_once("\n\n").unwrap_or((&request, ""));
        let mut lines = head.lines();
        let mut first = lines.next().expect("a request line");
        let mut who = Some("anna");
        let mut client = true;
        if first == "without credentials" {
            who = None;
        } else if first == "another device" {
            client = false;
        } else if let Some(name) = first.strip_prefix("as ") {
            who = Some(if name == "ben" { "ben" } else { panic!("{name} has no password") });
        }
        if who != Some("anna") || !client {
            first = lines.next().expect("a request line");
        }
        let (method, path) = first.split_once(' ').expect("a method and a path");
        let own: Vec<(&str, &str)> =
            lines.map(|line| line.split_once(':').expect("a header")).map(|(n, v)| (n, v.trim())).collect();
        let mut headers: String = who.map_or(String::new(), |name| basic(name, PASSWORD));
        let mut closes = false;
        let of_client = if client { common.as_slice() } else { &[] };
        let of_client = of_client.iter().filter(|(name, _)| !own.iter().any(|(n, _)| n.eq_ignore_ascii_case(name)));
        for (name, value) in of_client.chain(&own) {
            // An empty If-Schedule-Tag-Match is what a client sends; any other empty one is one taken away.
            if !value.is_empty() || name.starts_with("If-") {
                closes |= name.eq_ignore_ascii_case("connection") && value.contains("close");
                write!(headers, "{name}: {value}\r\n").unwrap();
            }
        }
        let sent = body(text);
        let sent = if strangers && sent.starts_with('<') { with_strangers(&sent) } else { sent };
        let answer = say(&mut connection, method, path, &headers, &sent).await;
        if closes {
            assert!(connection.answer().await.is_none(), "{title}: the connection was to be closed");
            connection = wire(&gateway).await;
        }
        if method == "PUT" {
            put = sent;
        }
        let seen = Seen::of(answer, &put);
        let mut faults = Vec::new();
        let mut asserted = asserted.lines();
        let status = asserted.next().unwrap_or("");
        if seen.answer.status.to_string() != status {
            faults.push(format!("status is {}, not {status}", seen.answer.status));
        }
        faults.extend(always(method, &seen).err());
        for line in asserted.filter(|line| !line.is_empty()) {
            let line = match fill(line, &kept) {
                Ok(line) => line,
                Err(e) => panic!("{title}: {line}: {e}\n{wrong}\n{faults:?}"),
            };
            if let Some(words) = matched("keep {} from {*}", &line) {
                let found = KEPT.iter().find_map(|(form, get)| matched(form, words[1]).map(|words| get(&seen, &words)));
                match found.unwrap_or_else(|| panic!("{title}: nobody understands {line:?}")) {
                    Ok(value) => drop(kept.insert(words[0].to_owned(), value)),
                    Err(e) => faults.push(format!("{line}: {e}")),
                }
                continue;
            }
            let (at, words) = row(&line).unwrap_or_else(|| panic!("{title}: nobody understands {line:?}"));
            used.insert(at);
            if let Err(e) = ROWS[at].1(&seen, &words) {
                faults.push(format!("{line}: {e}"));
            }
        }
        if !faults.is_empty() {
            writeln!(wrong, "  {title}: {method} {path}\n    {}", faults.join("\n    ")).unwrap();
            writeln!(wrong, "    answered {:?}\n    {}", seen.answer.headers, seen.answer.body).unwrap();
        }
    }
    (wrong, used)
}

fn replays() -> Vec<(String, String)> {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/client");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let named = |p: &PathBuf| p.file_stem().unwrap().to_string_lossy().into_owned();
    files.iter().map(|p| (named(p), std::fs::read_to_string(p).unwrap())).collect()
}

/// Each client goes through its replay; `CLIENT=thunderbird` plays one.
#[tokio::test(flavor = "multi_thread")]
async fn every_client_finds_its_way() {
    let one = std::env::var("CLIENT").ok();
    let replays = replays();
    assert!(replays.len() >= 12, "{} clients", replays.len());
    let (mut wrong, mut used) = (String::new(), BTreeSet::new());
    for (name, text) in replays.iter().filter(|(name, _)| one.as_ref().is_none_or(|one| one == name)) {
        let (faults, rows) = play(text, false).await;
        if !faults.is_empty() {
            writeln!(wrong, "{name}\n{faults}").unwrap();
        }
        used.extend(rows);
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    let unused: Vec<&str> =
        ROWS.iter().enumerate().filter(|(at, _)| !used.contains(at)).map(|(_, row)| row.0).collect();
    assert!(one.is_some() || unused.is_empty(), "nobody asserts {unused:?}");
}

/// What nobody knows is passed over (RFC 4918 17): with strange elements in every body, all that a client needs is still so.
#[tokio::test(flavor = "multi_thread")]
async fn every_client_finds_its_way_with_elements_that_nobody_knows() {
    assert_eq!(
        with_strangers("<?xml version='1.0'?><D:propfind><D:prop><D:x/></D:prop></D:propfind>")
            .matches("strange")
            .count(),
        2
    );
    let mut wrong = String::new();
    for (name, text) in replays() {
        let (faults, _) = play(&text, true).await;
        if !faults.is_empty() {
            writeln!(wrong, "{name}\n{faults}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// Every kind of assertion holds of an answer where it is so, and fails where it is not.
#[test]
fn every_assertion_can_fail() {
    let answer = |status: u16, headers: &[(&str, &str)], body: &str| {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Seen::of(Answer { status, headers, body: body.to_owned() }, "BEGIN")
    };
    let xml = ("content-type", "application/xml; charset=utf-8");
    let listed = answer(
        207,
        &[xml, ("etag", "\"1\""), ("dav", "1, 3")],
        r#"<D:multistatus xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav">
        <D:response><D:href>/a/</D:href><D:propstat><D:prop><D:displayname>A &amp; B</D:displayname>
        <D:resourcetype><D:collection/><C:calendar/></D:resourcetype><D:owner><D:href>/p/</D:href></D:owner>
        <C:supported-calendar-component-set><C:comp name="VEVENT"/></C:supported-calendar-component-set></D:prop>
        <D:status>HTTP/1.1 200 OK</D:status></D:propstat><D:propstat><D:prop><D:getetag/></D:prop>
        <D:status>HTTP/1.1 404 Not Found</D:status></D:propstat></D:response>
        <D:response><D:href>/a/b%20c.ics</D:href><D:status>HTTP/1.1 404 Not Found</D:status></D:response>
        <D:sync-token>urn:x</D:sync-token></D:multistatus>"#,
    );
    let all_named = answer(
        207,
        &[xml, ("etag", "W/\"1\"")],
        r#"<D:multistatus xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:response><D:href>/a</D:href><D:propstat>
        <D:prop><D:displayname>A</D:displayname></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>
        <D:sync-token>x</D:sync-token></D:multistatus>"#,
    );
    let refused = answer(403, &[xml], r#"<D:error xmlns:D="DAV:"><D:valid-sync-token/></D:error>"#);
    let (stored, nothing) = (answer(200, &[("etag", "\"1\"")], "BEGIN"), answer(204, &[], ""));
    let pairs: &[(&str, &Seen, &str, &Seen)] = &[
        ("header DAV is 1, 3", &listed, "header DAV is 1", &listed),
        ("header DAV begins with 1,", &listed, "header DAV begins with 3", &listed),
        ("header DAV has 3", &listed, "header DAV has 2", &listed),
        ("header DAV lacks 2", &listed, "header DAV lacks 3", &listed),
        ("no header ETag", &nothing, "no header ETag", &listed),
        ("ETag is strong", &listed, "ETag is strong", &all_named),
        ("body is empty", &nothing, "body is empty", &stored),
        ("body is what was put", &stored, "body is what was put", &listed),
        ("body holds EGI", &stored, "body holds END", &stored),
        ("body lacks END", &stored, "body lacks BEG", &stored),
        ("error is D:valid-sync-token", &refused, "error is D:need-privileges", &refused),
        ("2 responses", &listed, "1 responses", &listed),
        ("/a/b c.ics is listed", &listed, "/a/c.ics is listed", &listed),
        ("/a/c.ics is not listed", &listed, "/a/ is not listed", &listed),
        ("status of /a/b%20c.ics is 404", &listed, "status of /a/ is 200", &listed),
        ("D:displayname of /a/ is there", &listed, "D:getetag of /a/ is there", &listed),
        ("D:getetag of /a/ is 404", &listed, "D:displayname of /a/ is 404", &listed),
        ("D:acl of /a/ is left out", &listed, "D:getetag of /a/ is left out", &listed),
        ("D:owner of /a/ is href /p/", &listed, "D:owner of /a/ is href /a/", &listed),
        (
            "first and last href in D:owner of /a/ are /p/",
            &listed,
            "first and last href in D:owner of /a/ are /a/",
            &listed,
        ),
        ("D:displayname of /a/ is A & B", &listed, "D:displayname of /a/ is A", &listed),
        ("D:displayname of /a/ is not A", &listed, "D:displayname of /a/ is not A & B", &listed),
        ("D:displayname of /a/ holds &", &listed, "D:displayname of /a/ holds C", &listed),
        ("D:displayname of /a/ lacks text C", &listed, "D:displayname of /a/ lacks text B", &listed),
        ("D:resourcetype of /a/ has C:calendar", &listed, "D:resourcetype of /a/ has D:principal", &listed),
        ("D:resourcetype of /a/ lacks D:principal", &listed, "D:resourcetype of /a/ lacks C:calendar", &listed),
        (
            "C:supported-calendar-component-set of /a/ has component VEVENT",
            &listed,
            "C:supported-calendar-component-set of /a/ has component VTODO",
            &listed,
        ),
        (
            "C:supported-calendar-component-set of /a/ has no component VTODO",
            &listed,
            "C:supported-calendar-component-set of /a/ has no component VEVENT",
            &listed,
        ),
        ("every response has D:displayname", &all_named, "every response has D:displayname", &listed),
        ("every calendar has D:displayname", &listed, "every calendar has D:getetag", &listed),
        ("no calendar takes VPOLL", &listed, "no calendar takes VEVENT", &listed),
        ("sync-token has a colon", &listed, "sync-token has a colon", &all_named),
        ("sync-token is urn:x", &listed, "sync-token is urn:y", &listed),
        ("sync-token is not urn:y", &listed, "sync-token is not urn:x", &listed),
    ];
    let mut shown = BTreeSet::new();
    for (good, of, bad, of_bad) in pairs {
        // Paths with spaces are one word in a replay, where they are encoded.
        let (good, bad) = (good.replace("b c", "b%20c"), bad.replace("b c", "b%20c"));
        let (at, words) = row(&good).expect("a row");
        assert_eq!(ROWS[at].1(of, &words), Ok(()), "{good}");
        let (at_bad, words) = row(&bad).expect("a row");
        assert_eq!(at, at_bad, "{bad} is of another row than {good}");
        assert!(ROWS[at].1(of_bad, &words).is_err(), "{bad}");
        shown.insert(at);
    }
    assert_eq!(shown.len(), ROWS.len(), "each row is shown to fail");
}
