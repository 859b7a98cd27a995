//! The requests that are measured, and what a right answer to each is.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use crate::data::{self, Window};
use crate::servers::Server;
use crate::wire::{Answer, Connection, Request};

/// One line of the table.
pub struct Op {
    pub name: &'static str,
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
}

impl Expected {
    pub fn new(calendar: &str, count: u32, today: Date) -> Expected {
        let items = (0..count).map(|number| data::item(calendar, number, today)).collect();
        Expected { calendar: calendar.to_owned(), items, month: Window::from_today(today, 30) }
    }

    /// How many objects have an instance in the month.
    fn in_month(&self) -> usize {
        self.items.iter().filter(|item| item.instances.iter().any(|i| self.month.touches(*i))).count()
    }
}

/// The requests that only read.
pub fn reads(server: &Server, expected: &Expected) -> Vec<Op> {
    let path = server.path(&expected.calendar);
    let count = expected.items.len();
    let one = &expected.items[count / 2];
    let hrefs: String = expected
        .items
        .iter()
        .step_by(count / 100)
        .take(100)
        .map(|i| format!("<D:href>{path}{}</D:href>", i.name))
        .collect();
    let range = format!(
        r#"<C:filter><C:comp-filter name="VCALENDAR"><C:comp-filter name="VEVENT"><C:time-range start="{}" end="{}"/></C:comp-filter></C:comp-filter></C:filter>"#,
        data::stamp(expected.month.start),
        data::stamp(expected.month.end)
    );
    let uid = one.uid.clone();
    vec![
        Op {
            name: "poll: sync-token",
            request: poll(server, &expected.calendar),
            check: Box::new(|answer| responses(answer, 1)),
        },
        Op {
            name: "Depth 1, etags",
            request: xml(server, "PROPFIND", &path, "1", "<D:propfind NS><D:prop><D:getetag/></D:prop></D:propfind>"),
            check: Box::new(move |answer| responses(answer, count + 1)),
        },
        Op {
            name: "month, etags",
            request: query(server, &path, "<D:getetag/>", &range),
            check: Box::new({
                let wanted = expected.in_month();
                move |answer| responses(answer, wanted)
            }),
        },
        Op {
            name: "month, with data",
            request: query(server, &path, "<D:getetag/><C:calendar-data/>", &range),
            check: Box::new({
                let wanted = expected.in_month();
                move |answer| bodies(answer, wanted)
            }),
        },
        Op {
            name: "multiget of 100",
            request: xml(
                server,
                "REPORT",
                &path,
                "1",
                &format!(
                    "<C:calendar-multiget NS><D:prop><D:getetag/><C:calendar-data/></D:prop>{hrefs}</C:calendar-multiget>"
                ),
            ),
            check: Box::new(|answer| bodies(answer, 100)),
        },
        Op {
            name: "GET",
            request: Request::new("GET", format!("{path}{}", one.name), &server.authorization, ""),
            check: Box::new(move |answer| match (answer.status, contains(&answer.body, uid.as_bytes())) {
                (200, true) => Ok(()),
                (status, _) => Err(format!("{status}, and the UID is not in it")),
            }),
        },
    ]
}

/// sync-collection from before ten changes, which this makes.
pub fn sync_after_ten(server: &Server, expected: &Expected) -> Result<Op, String> {
    let mut connection = Connection::new(&server.address);
    let answer = connection.send(&poll(server, &expected.calendar)).map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let token = text
        .split_once("sync-token>")
        .and_then(|(_, rest)| rest.split_once('<'))
        .map(|(token, _)| token.to_owned())
        .ok_or_else(|| format!("no sync-token in {text}"))?;
    for number in 0..10 {
        let status = connection.send(&update(server, expected, number)).map_err(|e| e.to_string())?.status;
        if !(200..300).contains(&status) {
            return Err(format!("a PUT gave {status}"));
        }
    }
    Ok(sync_from(server, expected, &token))
}

/// sync-collection from a token that is ten changes old.
pub fn sync_from(server: &Server, expected: &Expected, token: &str) -> Op {
    let body = format!(
        "<D:sync-collection NS><D:sync-token>{token}</D:sync-token><D:sync-level>1</D:sync-level><D:prop><D:getetag/></D:prop></D:sync-collection>"
    );
    Op {
        name: "sync-collection, 10 changes",
        request: xml(server, "REPORT", &server.path(&expected.calendar), "0", &body),
        check: Box::new(|answer| responses(answer, 10)),
    }
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
        name: "free/busy, 90 days",
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
