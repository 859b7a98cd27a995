//! The requests that are measured, and what a right answer to each is.

use std::collections::BTreeSet;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use crate::data::{self, Window};
use crate::servers::Server;
use crate::wire::{Answer, Connection, Request};

/// One line of the table.
pub struct Op {
    pub request: Request,
    /// What is wrong with an answer; `Ok` when nothing is.
    pub check: Check,
}

type Check = Box<dyn Fn(&Answer) -> Result<(), String>>;

/// What a calendar holds, as the generator knows it.
pub struct Expected {
    pub calendar: String,
    pub items: Vec<data::Item>,
    pub month: Window,
    pub today: Date,
}

impl Expected {
    pub fn new(calendar: &str, count: u32, today: Date) -> Expected {
        let items = (0..count).map(|number| data::item(calendar, number, today)).collect();
        Expected { calendar: calendar.to_owned(), items, month: Window::from_today(today, 30), today }
    }

    fn names(&self, wanted: impl Fn(&data::Item) -> bool) -> BTreeSet<String> {
        self.items.iter().filter(|item| wanted(item)).map(|item| item.name.clone()).collect()
    }

    fn in_month(&self, item: &data::Item) -> bool {
        item.instances.iter().any(|i| self.month.touches(*i))
    }
}

/// The reads, by the names under which performance.md has their goals; those after a token are made by [`sync_from`].
pub const READS: [&str; 10] = [
    "propfind0",
    "get_one",
    "multiget100",
    "propfind1",
    "sync_initial",
    "query_etags",
    "query_month",
    "query_expand",
    "freebusy90",
    "get_ics",
];

/// The read of that name.
pub fn read(name: &'static str, server: &Server, expected: &Expected) -> Op {
    let path = server.path(&expected.calendar);
    let one = &expected.items[expected.items.len() / 2];
    let every = expected.names(|_| true);
    let month = expected.names(|item| expected.in_month(item));
    let range = format!(r#"start="{}" end="{}""#, data::stamp(expected.month.start), data::stamp(expected.month.end));
    let filter = format!(
        r#"<C:filter><C:comp-filter name="VCALENDAR"><C:comp-filter name="VEVENT"><C:time-range {range}/></C:comp-filter></C:comp-filter></C:filter>"#
    );
    let (request, check): (Request, Check) = match name {
        "propfind0" => (poll(server, &expected.calendar), Box::new(|answer| responses(answer, 1))),
        "get_one" => {
            let uid = one.uid.clone();
            let request = Request::new("GET", format!("{path}{}", one.name), &server.authorization, "");
            (
                request,
                Box::new(move |answer| match (answer.status, contains(&answer.body, uid.as_bytes())) {
                    (200, true) => Ok(()),
                    (status, _) => Err(format!("{status}, and the UID is not in it")),
                }),
            )
        }
        "multiget100" => {
            let some: Vec<&data::Item> = expected.items.iter().step_by(expected.items.len() / 100).take(100).collect();
            let hrefs: String = some.iter().map(|i| format!("<D:href>{path}{}</D:href>", i.name)).collect();
            let body = format!(
                "<C:calendar-multiget NS><D:prop><D:getetag/><C:calendar-data/></D:prop>{hrefs}</C:calendar-multiget>"
            );
            let names: BTreeSet<String> = some.iter().map(|i| i.name.clone()).collect();
            (
                xml(server, "REPORT", &path, "1", &body),
                Box::new(move |answer| same(answer, &names).and_then(|()| bodies(answer, 100))),
            )
        }
        "propfind1" => {
            let body = "<D:propfind NS><D:prop><D:getetag/></D:prop></D:propfind>";
            (xml(server, "PROPFIND", &path, "1", body), Box::new(move |answer| same(answer, &every)))
        }
        "sync_initial" => return sync_from(server, expected, "", move |answer| same(answer, &every)),
        "query_etags" => (query(server, &path, "<D:getetag/>", &filter), Box::new(move |answer| same(answer, &month))),
        "query_month" => {
            let wanted = month.len();
            let request = query(server, &path, "<D:getetag/><C:calendar-data/>", &filter);
            (request, Box::new(move |answer| same(answer, &month).and_then(|()| bodies(answer, wanted))))
        }
        "query_expand" => {
            let instances = expected.items.iter().flat_map(|i| i.instances.iter());
            let wanted = instances.filter(|i| expected.month.touches(**i)).count();
            let props = format!("<D:getetag/><C:calendar-data><C:expand {range}/></C:calendar-data>");
            (
                query(server, &path, &props, &filter),
                Box::new(move |answer| {
                    same(answer, &month)?;
                    let found = count(&answer.body, b"BEGIN:VEVENT");
                    match has_rule(&answer.body) {
                        false if found == wanted => Ok(()),
                        rules => {
                            Err(format!("{found} instances, not {wanted}{}", if rules { ", and rules" } else { "" }))
                        }
                    }
                }),
            )
        }
        "freebusy90" => {
            return free_busy(server, &path, expected.items.iter(), expected.today);
        }
        "get_ics" => {
            let wanted = expected.items.len();
            (
                Request::new("GET", path, &server.authorization, ""),
                Box::new(move |answer| {
                    match (answer.status, count(&answer.body, b"BEGIN:VEVENT"), count(&answer.body, b"BEGIN:VCALENDAR"))
                    {
                        (200, found, 1) if found == wanted => Ok(()),
                        (status, found, files) => {
                            Err(format!("{status} with {found} events in {files} calendars, not {wanted}"))
                        }
                    }
                }),
            )
        }
        _ => unreachable!("a name of READS"),
    };
    Op { request, check }
}

/// The token that a calendar has now.
pub fn token(server: &Server, expected: &Expected) -> Result<String, String> {
    let answer = Connection::new(&server.address).send(&poll(server, &expected.calendar)).map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let token = text.split_once("sync-token>").and_then(|(_, rest)| rest.split_once('<')).map(|(token, _)| token);
    token.filter(|token| !token.is_empty()).map(str::to_owned).ok_or_else(|| "it has no sync-token".to_owned())
}

/// sync-collection when nothing has changed.
pub fn sync_noop(server: &Server, expected: &Expected, token: &str) -> Op {
    sync_from(server, expected, token, |answer| same(answer, &BTreeSet::new()))
}

/// sync-collection from a token that is ten changes old.
pub fn sync_of_ten(server: &Server, expected: &Expected, token: &str, changed: BTreeSet<String>) -> Op {
    sync_from(server, expected, token, move |answer| same(answer, &changed))
}

/// Changes ten objects; their names.
pub fn change_ten(server: &Server, expected: &Expected) -> Result<BTreeSet<String>, String> {
    let mut connection = Connection::new(&server.address);
    for number in 0..10 {
        let status = connection.send(&update(server, expected, number)).map_err(|e| e.to_string())?.status;
        if !(200..300).contains(&status) {
            return Err(format!("a PUT gave {status}"));
        }
    }
    Ok(expected.items[..10].iter().map(|item| item.name.clone()).collect())
}

fn sync_from(
    server: &Server,
    expected: &Expected,
    token: &str,
    check: impl Fn(&Answer) -> Result<(), String> + 'static,
) -> Op {
    let body = format!(
        "<D:sync-collection NS><D:sync-token>{token}</D:sync-token><D:sync-level>1</D:sync-level><D:prop><D:getetag/></D:prop></D:sync-collection>"
    );
    Op { request: xml(server, "REPORT", &server.path(&expected.calendar), "0", &body), check: Box::new(check) }
}

/// Free/busy of 90 days over the collection at `path`; `items`: what is in it.
pub fn free_busy<'a>(server: &Server, path: &str, items: impl Iterator<Item = &'a data::Item>, today: Date) -> Op {
    let window = Window::from_today(today, 90);
    let busy = items.filter(|i| i.busy).flat_map(|i| i.instances.iter().copied()).filter(|i| window.touches(*i));
    let wanted = data::merged(busy.collect(), window);
    let body = format!(
        r#"<C:free-busy-query NS><C:time-range start="{}" end="{}"/></C:free-busy-query>"#,
        data::stamp(window.start),
        data::stamp(window.end)
    );
    Op {
        request: xml(server, "REPORT", path, "1", &body),
        check: Box::new(move |answer| {
            let got = data::merged(periods(&String::from_utf8_lossy(&answer.body))?, window);
            if got == wanted {
                return Ok(());
            }
            let seconds = |periods: &[(i64, i64)]| periods.iter().map(|(start, end)| end - start).sum::<i64>();
            Err(format!("{} s busy, not {} s", seconds(&got), seconds(&wanted)))
        }),
    }
}

/// All of a calendar, with its data.
pub fn everything(server: &Server, expected: &Expected) -> Request {
    let filter = r#"<C:filter><C:comp-filter name="VCALENDAR"/></C:filter>"#;
    query(server, &server.path(&expected.calendar), "<D:getetag/><C:calendar-data/>", filter)
}

/// What many clients do in a minute: mostly polls, some reads, now and then a write. `number` is never used twice.
pub fn mixed(server: &Server, expected: &Expected, token: &str, number: usize) -> Request {
    let item = &expected.items[number * 7919 % expected.items.len()];
    match number % 20 {
        0..=11 => poll(server, &expected.calendar),
        12..=14 => sync_noop(server, expected, token).request,
        15..=17 => {
            Request::new("GET", format!("{}{}", server.path(&expected.calendar), item.name), &server.authorization, "")
        }
        18 => {
            let day = Window { start: expected.month.start, end: expected.month.start + 86_400 };
            let filter = format!(
                r#"<C:filter><C:comp-filter name="VCALENDAR"><C:comp-filter name="VEVENT"><C:time-range start="{}" end="{}"/></C:comp-filter></C:comp-filter></C:filter>"#,
                data::stamp(day.start),
                data::stamp(day.end)
            );
            query(server, &server.path(&expected.calendar), "<D:getetag/>", &filter)
        }
        _ => put(server, &expected.calendar, &item.name, data::edited(item, 1_000_000 + number as u64), ""),
    }
}

/// The `number`th update of objects that are there.
pub fn update(server: &Server, expected: &Expected, number: usize) -> Request {
    let item = &expected.items[number % expected.items.len()];
    put(server, &expected.calendar, &item.name, data::edited(item, 1 + number as u64), "")
}

/// A new object, never put before when `number` is new.
pub fn create(server: &Server, calendar: &str, number: usize) -> Request {
    let (name, text) = data::fresh(number);
    put(server, calendar, &name, text, "If-None-Match: *\r\n")
}

/// Removes what [`create`] put.
pub fn delete(server: &Server, calendar: &str, number: usize) -> Request {
    let (name, _) = data::fresh(number);
    Request::new("DELETE", format!("{}{name}", server.path(calendar)), &server.authorization, "")
}

/// The object `number` of the generator.
pub fn load(server: &Server, expected: &Expected, number: usize) -> Request {
    let item = &expected.items[number];
    put(server, &expected.calendar, &item.name, item.text.clone(), "If-None-Match: *\r\n")
}

fn put(server: &Server, calendar: &str, name: &str, text: String, condition: &str) -> Request {
    let headers = format!("{}Content-Type: text/calendar; charset=utf-8\r\n{condition}", server.authorization);
    Request::new("PUT", format!("{}{name}", server.path(calendar)), &headers, text)
}

fn poll(server: &Server, calendar: &str) -> Request {
    xml(server, "PROPFIND", &server.path(calendar), "0", "<D:propfind NS><D:prop><D:sync-token/></D:prop></D:propfind>")
}

fn query(server: &Server, path: &str, props: &str, filter: &str) -> Request {
    xml(
        server,
        "REPORT",
        path,
        "1",
        &format!("<C:calendar-query NS><D:prop>{props}</D:prop>{filter}</C:calendar-query>"),
    )
}

fn xml(server: &Server, method: &'static str, path: &str, depth: &str, body: &str) -> Request {
    let names = r#"xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav""#;
    let body = format!(r#"<?xml version="1.0" encoding="utf-8"?>{}"#, body.replacen("NS", names, 1));
    let headers = format!("{}Content-Type: application/xml; charset=utf-8\r\nDepth: {depth}\r\n", server.authorization);
    Request::new(method, path, &headers, body)
}

fn responses(answer: &Answer, wanted: usize) -> Result<(), String> {
    // Whatever the prefix: an opening and a closing tag each.
    let found = count(&answer.body, b"response>") / 2;
    right(answer, found, wanted)
}

/// Whether the responses are those of the objects of these names and of no others.
fn same(answer: &Answer, wanted: &BTreeSet<String>) -> Result<(), String> {
    let text = String::from_utf8_lossy(&answer.body);
    let mut found = BTreeSet::new();
    for one in text.split("response>").skip(1).step_by(2) {
        // Some servers write their namespace into each element.
        let href = one
            .split_once("href")
            .and_then(|(_, rest)| rest.split_once('>'))
            .and_then(|(_, rest)| rest.split_once('<'));
        let name = href.map_or("", |(href, _)| href.rsplit('/').next().unwrap_or(""));
        if !name.is_empty() && !found.insert(name.to_owned()) {
            return Err(format!("{name} twice"));
        }
    }
    if answer.status != 207 {
        return Err(format!("{}", answer.status));
    }
    if found == *wanted {
        return Ok(());
    }
    let (missing, more) = (wanted.difference(&found).count(), found.difference(wanted).count());
    Err(format!("of {} objects {missing} are missing, and {more} are told that should not be", wanted.len()))
}

fn bodies(answer: &Answer, wanted: usize) -> Result<(), String> {
    right(answer, count(&answer.body, b"BEGIN:VCALENDAR"), wanted)
}

fn right(answer: &Answer, found: usize, wanted: usize) -> Result<(), String> {
    if answer.status == 207 && found == wanted {
        return Ok(());
    }
    Err(format!("{} with {found} objects, not {wanted}", answer.status))
}

fn count(text: &[u8], what: &[u8]) -> usize {
    text.windows(what.len()).filter(|w| *w == what).count()
}

/// Whether an event has a rule still; a time zone may.
fn has_rule(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    let events = text.split("BEGIN:VEVENT").skip(1).map(|rest| rest.split("END:VEVENT").next().unwrap_or(rest));
    events.into_iter().any(|event| event.contains("RRULE:"))
}

fn contains(text: &[u8], what: &[u8]) -> bool {
    text.windows(what.len()).any(|w| w == what)
}

/// The periods of all FREEBUSY lines.
fn periods(text: &str) -> Result<Vec<(i64, i64)>, String> {
    let unfolded = text.replace("\r\n ", "").replace("\n ", "");
    let mut found = Vec::new();
    for line in unfolded.lines().filter(|line| line.starts_with("FREEBUSY")) {
        let (_, values) = line.split_once(':').ok_or("a line without a value")?;
        for value in values.split(',') {
            let (start, end) = value.split_once('/').ok_or("a period without an end")?;
            let start = instant(start)?;
            let end = match end.strip_prefix('P') {
                None => instant(end)?,
                Some(_) => {
                    let span: jiff::SignedDuration = end.parse().map_err(|e| format!("{end}: {e}"))?;
                    start + span.as_secs()
                }
            };
            found.push((start, end));
        }
    }
    Ok(found)
}

fn instant(stamp: &str) -> Result<i64, String> {
    DateTime::strptime("%Y%m%dT%H%M%SZ", stamp)
        .and_then(|time| time.to_zoned(TimeZone::UTC))
        .map(|time| time.timestamp().as_second())
        .map_err(|e| format!("{stamp}: {e}"))
}
