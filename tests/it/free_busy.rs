//! Free/busy against a grid: every quarter of an hour is judged by itself from what was drawn, with no code of ours in it,
//! and every face of the one engine has to say the same.

use calgate::busy;
use calgate::ical::recur::Busy;
use calgate::ical::{Instant, Object, Window};
use calgate::ids::Name;
use calgate::store::calendars::{self, Edit, Need};
use calgate::store::resources::{self, Version};
use calgate::store::users;
use calgate::store::{self, scheduling};
use proptest::prelude::*;

use crate::kit;

const CONFIG: &str = r#"
[server]
public_url = "https://cal.example.org"

[[user]]
name = "anna"
email = "anna@example.org"
timezone = "Europe/Berlin"

[[user.calendar]]
name = "one"

[[user.calendar]]
name = "two"

[[user.calendar]]
name = "aside"

[[user.unified]]
name = "all"
members = ["one", "two", "aside"]
write_to = "one"
"#;

/// A Monday; Berlin is two hours ahead all through.
const DAY: i64 = kit::NOW.0;
const QUARTER: i64 = 900;
const BERLIN: i64 = 8;
/// Quarters of the four days that are asked about.
const ASKED: std::ops::Range<i64> = 96..480;

/// How its times are written.
#[derive(Clone, Copy, Debug)]
enum Form {
    Utc,
    Floating,
    AllDay,
}

#[derive(Clone, Debug)]
struct Drawn {
    calendar: &'static str,
    form: Form,
    /// In quarters from `DAY`, on the clock that it is written by.
    start: i64,
    length: i64,
    /// Days that it is repeated on.
    days: i64,
    /// Its second day is elsewhere by so many quarters, or cancelled.
    second: Option<Option<i64>>,
    /// TRANSP, STATUS, and the owner's answer.
    says: usize,
}

const SAYS: [(&str, Busy); 7] = [
    ("", Busy::Busy),
    ("TRANSP:TRANSPARENT\r\n", Busy::Free),
    ("STATUS:CANCELLED\r\n", Busy::Free),
    ("STATUS:TENTATIVE\r\n", Busy::Tentative),
    ("ORGANIZER:mailto:x@example.org\r\nATTENDEE;PARTSTAT=DECLINED:mailto:Anna@example.org\r\n", Busy::Free),
    ("ORGANIZER:mailto:x@example.org\r\nATTENDEE;PARTSTAT=TENTATIVE:mailto:anna@example.org\r\n", Busy::Tentative),
    ("ORGANIZER:mailto:x@example.org\r\nATTENDEE;PARTSTAT=DECLINED:mailto:ben@example.org\r\n", Busy::Busy),
];

impl Drawn {
    fn text(&self, uid: usize) -> String {
        let time = |name: &str, quarter: i64| {
            let at = Instant(DAY + quarter * QUARTER).utc();
            match self.form {
                Form::Utc => format!("{name}:{at}\r\n"),
                Form::Floating => format!("{name}:{}\r\n", at.trim_end_matches('Z')),
                Form::AllDay => format!("{name};VALUE=DATE:{}\r\n", &at[..8]),
            }
        };
        let (start, end) = self.written();
        let rule = if self.days > 1 { format!("RRULE:FREQ=DAILY;COUNT={}\r\n", self.days) } else { String::new() };
        let says = SAYS[self.says].0;
        let event =
            |lines: String| format!("BEGIN:VEVENT\r\nUID:u{uid}\r\nDTSTAMP:20260101T000000Z\r\n{lines}END:VEVENT\r\n");
        let mut events = event(format!("{}{}{rule}{says}", time("DTSTART", start), time("DTEND", end)));
        if let (Some(second), true) = (self.second, self.days > 1) {
            let by = self.moved(second);
            let says = if second.is_none() { "STATUS:CANCELLED\r\n" } else { says };
            let (from, to) = (time("DTSTART", start + 96 + by), time("DTEND", end + 96 + by));
            events += &event(format!("{}{from}{to}{says}", time("RECURRENCE-ID", start + 96)));
        }
        format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//EN\r\n{events}END:VCALENDAR\r\n")
    }

    /// All-day events begin at a midnight and are whole days.
    fn written(&self) -> (i64, i64) {
        match self.form {
            Form::AllDay => {
                let start = self.start.div_euclid(96) * 96;
                (start, start + (self.length / 48 + 1) * 96)
            }
            _ => (self.start, self.start + self.length),
        }
    }

    fn moved(&self, second: Option<i64>) -> i64 {
        match self.form {
            Form::AllDay => second.unwrap_or(0).signum() * 96,
            _ => second.unwrap_or(0),
        }
    }

    /// What it makes of one quarter, in UTC.
    fn at(&self, quarter: i64) -> Busy {
        let (start, end) = self.written();
        let ahead = if matches!(self.form, Form::Utc) { 0 } else { BERLIN };
        let over = |day: i64| {
            let by = match (day, self.second) {
                (1, Some(None)) => return false,
                (1, Some(second)) => self.moved(second),
                _ => 0,
            };
            (start + day * 96 + by - ahead..end + day * 96 + by - ahead).contains(&quarter)
        };
        if (0..self.days).any(over) { SAYS[self.says].1 } else { Busy::Free }
    }
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let form = prop_oneof![Just(Form::Utc), Just(Form::Floating), Just(Form::AllDay)];
    let second = proptest::option::of(proptest::option::of(-40i64..40));
    let calendar = proptest::sample::select(&["one", "two", "aside"][..]);
    (calendar, form, 60i64..500, 1i64..60, 1i64..4, second, 0..SAYS.len()).prop_map(
        |(calendar, form, start, length, days, second, says)| Drawn {
            calendar,
            form,
            start,
            length,
            days,
            second,
            says,
        },
    )
}

/// Hours in which she can be had, each day, by her clock: an availability of BUSY-UNAVAILABLE otherwise.
fn hours(from: i64, length: i64) -> String {
    let at = |quarter: i64| Instant(DAY + quarter * QUARTER).utc().trim_end_matches('Z').to_owned();
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//EN\r\nBEGIN:VAVAILABILITY\r\nUID:v\r\n\
         DTSTAMP:20260101T000000Z\r\nBEGIN:AVAILABLE\r\nUID:a\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:{}\r\nDTEND:{}\r\n\
         RRULE:FREQ=DAILY\r\nEND:AVAILABLE\r\nEND:VAVAILABILITY\r\nEND:VCALENDAR\r\n",
        at(from),
        at(from + length)
    )
}

/// The answers for the person and for the unified calendar.
async fn told(events: &[Drawn], available: Option<(i64, i64)>) -> [busy::Answer; 2] {
    let app = kit::app("sqlite::memory:", CONFIG).await;
    let now = app.clock.now();
    let texts: Vec<(&str, String)> = events.iter().enumerate().map(|(n, e)| (e.calendar, e.text(n))).collect();
    let anna = kit::actor(&app, "anna").await;
    let reader = anna.clone();
    let written = app.store.write(move |tx| {
        let open = |tx: &mut store::Tx<'_>, slug: &str| calendars::open(tx, &anna, "anna", slug, Need::Write);
        for (n, (slug, text)) in texts.iter().enumerate() {
            let calendar = open(tx, slug)?;
            let object = Object::parse(text).unwrap_or_else(|e| panic!("{e}: {text}"));
            let name = Name::new(&format!("u{n}.ics")).unwrap();
            resources::save(tx, &calendar, &name, Version::Client(Some(&object)), now)?;
        }
        let aside = open(tx, "aside")?;
        calendars::edit(tx, &aside, &Edit { transparent: Some(Some(true)), ..Edit::default() })?;
        if let Some((from, length)) = available {
            scheduling::set_availability(tx, anna.user, &hours(from, length))?;
        }
        Ok::<_, calendars::Denied>(())
    });
    written.await.unwrap();
    let rules = app.config.load().sync.clone();
    let window = Window::new(Instant(DAY + ASKED.start * QUARTER), Instant(DAY + ASKED.end * QUARTER)).unwrap();
    let read = app.store.read(move |tx| {
        let user = users::by_name(tx, "anna").unwrap().unwrap();
        let all = calendars::open(tx, &reader, "anna", "all", Need::Read).unwrap();
        let person = busy::gather_of(tx, &user, window, &rules, now).unwrap();
        Ok::<_, store::Error>([person, busy::gather(tx, &all, window, &rules, now).unwrap()])
    });
    read.await.unwrap()
}

#[test]
fn a_grid_says_of_each_quarter_what_free_busy_says() {
    use proptest::test_runner::{Config, TestRunner};

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let available = proptest::option::of((0i64..60, 1i64..90));
    let strategy = (proptest::collection::vec(drawn(), 0..8), available);
    let mut runner = TestRunner::new(Config { cases: 60, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&strategy, |(events, available)| {
        let [person, unified] = runtime.block_on(told(&events, available));
        prop_assert_eq!(&person.periods, &unified.periods, "one engine");
        for quarter in ASKED.start - 20..ASKED.end + 20 {
            let busiest = events.iter().filter(|e| e.calendar != "aside").map(|e| e.at(quarter)).max();
            let busiest = busiest.unwrap_or(Busy::Free);
            let outside = available.is_some_and(|(from, length)| {
                // Her hours are every day from the first on, and end on the next day when they are long.
                let local = quarter + BERLIN;
                !(0..10).any(|day| (from + day * 96..from + day * 96 + length).contains(&local))
            });
            let expect = match () {
                () if !ASKED.contains(&quarter) => Busy::Free,
                () if outside && busiest < Busy::Busy => Busy::Unavailable,
                () => busiest,
            };
            let at = Instant(DAY + quarter * QUARTER);
            let told = person.periods.iter().find(|p| p.window.start <= at && at < p.window.end);
            let told = told.map_or(Busy::Free, |p| p.kind);
            prop_assert_eq!(told, expect, "quarter {} of {:?}, {:?}", quarter, events, available);
        }
        Ok(())
    });
    outcome.unwrap_or_else(|e| panic!("{e}"));
}
