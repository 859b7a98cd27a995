//! What is measured with: calendar objects of about 1.5 kB, the same ones for every server and every run of a day.
//!
//! 20 % recur, 8 % are whole days and transparent, five zones, begun within a year before and after today.
//! An [`Item`] knows its own instances, so that answers can be checked without any calendar code.

use jiff::civil::{Date, Time};
use jiff::{Span, ToSpan, tz::TimeZone};

pub struct Item {
    /// The last path segment.
    pub name: String,
    pub uid: String,
    pub text: String,
    /// Half-open, in seconds since 1970, by start.
    pub instances: Vec<(i64, i64)>,
    /// False: transparent.
    pub busy: bool,
}

/// A half-open window in seconds since 1970.
#[derive(Clone, Copy)]
pub struct Window {
    pub start: i64,
    pub end: i64,
}

impl Window {
    /// `days` from midnight UTC of `today` on.
    pub fn from_today(today: Date, days: i64) -> Window {
        let start = instant(today, Time::midnight(), &TimeZone::UTC);
        Window { start, end: start + days * 86_400 }
    }

    /// Whether an instance with a length overlaps it.
    pub fn touches(&self, (start, end): (i64, i64)) -> bool {
        start < self.end && end > self.start
    }
}

/// The object `number` of a calendar.
pub fn item(calendar: &str, number: u32, today: Date) -> Item {
    let mut chance = Chance::new(calendar, number);
    let uid = format!("{calendar}-{number:05}-{:016x}", chance.next());
    let zone_name = ZONES[chance.below(5) as usize];
    let day = today + (chance.below(730) as i64 - 365).days();
    let all_day = chance.below(100) < 8;
    let rule = (chance.below(100) < 20).then(|| Rule::pick(&mut chance));
    // The 29th and later are not in every month.
    let day = if matches!(rule, Some(Rule { step: Step::Month, .. })) { day.first_of_month() } else { day };
    let (lines, instances) = if all_day {
        let length = 1 + chance.below(3) as i64;
        let first = instant(day, Time::midnight(), &TimeZone::UTC);
        let lines = format!("DTSTART;VALUE=DATE:{}\r\nDTEND;VALUE=DATE:{}\r\n", basic(day), basic(day + length.days()));
        (format!("{lines}TRANSP:TRANSPARENT\r\n"), vec![(first, first + length * 86_400)])
    } else {
        let time = Time::constant(7 + chance.below(12) as i8, 15 * chance.below(4) as i8, 0, 0);
        let minutes = 30 + 15 * chance.below(5) as i64;
        let zone = TimeZone::get(zone_name).expect("the zone is in the bundled database");
        let instances = (0..rule.as_ref().map_or(1, |r| r.count)).map(|n| {
            let on = rule.as_ref().map_or(day, |r| day + r.step.times(n));
            let start = instant(on, time, &zone);
            (start, start + minutes * 60)
        });
        let mut lines = format!(
            "DTSTART;TZID={zone_name}:{}T{:02}{:02}00\r\nDURATION:PT{minutes}M\r\n",
            basic(day),
            time.hour(),
            time.minute()
        );
        if let Some(rule) = &rule {
            lines += &format!("RRULE:FREQ={};COUNT={}\r\n", rule.step.name(), rule.count);
        }
        (lines, instances.collect())
    };
    Item { name: format!("{uid}.ics"), text: text(&uid, zone_name, &lines, 0), uid, instances, busy: !all_day }
}

/// The same object after an edit that changes nothing of its time.
pub fn edited(item: &Item, revision: u64) -> String {
    item.text.replacen("SEQUENCE:0", &format!("SEQUENCE:{revision}"), 1)
}

/// An object that is in no calendar yet.
pub fn fresh(number: usize) -> (String, String) {
    let uid = format!("fresh-{number:012}");
    (format!("{uid}.ics"), text(&uid, "Europe/Berlin", "DTSTART:20300101T090000Z\r\nDURATION:PT1H\r\n", 0))
}

/// Sorted, disjoint and clipped: what the free/busy of these instances covers.
pub fn merged(mut periods: Vec<(i64, i64)>, window: Window) -> Vec<(i64, i64)> {
    periods.sort_unstable();
    let mut out: Vec<(i64, i64)> = Vec::new();
    for (start, end) in periods {
        let (start, end) = (start.max(window.start), end.min(window.end));
        match out.last_mut() {
            _ if start >= end => {}
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => out.push((start, end)),
        }
    }
    out
}

/// `20261121T093000Z`.
pub fn stamp(instant: i64) -> String {
    let time = jiff::Timestamp::from_second(instant).expect("an instant of ours");
    time.strftime("%Y%m%dT%H%M%SZ").to_string()
}

const ZONES: [&str; 5] = ["Europe/Berlin", "Europe/London", "America/New_York", "America/Los_Angeles", "Asia/Tokyo"];

struct Rule {
    step: Step,
    count: u32,
}

#[derive(Clone, Copy)]
enum Step {
    Day,
    Week,
    Month,
}

impl Rule {
    fn pick(chance: &mut Chance) -> Rule {
        match chance.below(10) {
            0..2 => Rule { step: Step::Day, count: 10 },
            2..8 => Rule { step: Step::Week, count: 20 + chance.below(40) as u32 },
            _ => Rule { step: Step::Month, count: 12 },
        }
    }
}

impl Step {
    fn name(self) -> &'static str {
        match self {
            Step::Day => "DAILY",
            Step::Week => "WEEKLY",
            Step::Month => "MONTHLY",
        }
    }

    fn times(self, n: u32) -> Span {
        let n = i64::from(n);
        match self {
            Step::Day => n.days(),
            Step::Week => (7 * n).days(),
            Step::Month => n.months(),
        }
    }
}

fn instant(day: Date, time: Time, zone: &TimeZone) -> i64 {
    day.to_datetime(time).to_zoned(zone.clone()).expect("a day of ours").timestamp().as_second()
}

fn basic(day: Date) -> String {
    day.strftime("%Y%m%d").to_string()
}

fn text(uid: &str, zone: &str, times: &str, sequence: u64) -> String {
    let mut text = format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//calgate//bench//EN\r\n{}BEGIN:VEVENT\r\nUID:{uid}\r\n\
         DTSTAMP:20260101T000000Z\r\n{times}SUMMARY:Weekly review of {uid}\r\nLOCATION:Room 4.12\r\n\
         SEQUENCE:{sequence}\r\nORGANIZER;CN=Ben:mailto:ben@example.org\r\n\
         ATTENDEE;PARTSTAT=ACCEPTED:mailto:anna@example.org\r\nDESCRIPTION:",
        vtimezone(zone)
    );
    // Folded as it came off the wire: 74 octets a line.
    let mut width = "DESCRIPTION:".len();
    for word in ["agenda", "minutes", "budget", "and", "what", "we", "said", "last", "time"].iter().cycle() {
        if text.len() > 1_400 {
            break;
        }
        if width + word.len() > 72 {
            text.push_str("\r\n ");
            width = 1;
        }
        text.push_str(word);
        text.push(' ');
        width += word.len() + 1;
    }
    text.push_str("\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n");
    text
}

fn vtimezone(name: &str) -> String {
    let observance = |kind: &str, from: &str, to: &str, first: &str, rule: &str| {
        let rule = if rule.is_empty() { String::new() } else { format!("RRULE:FREQ=YEARLY;{rule}\r\n") };
        format!("BEGIN:{kind}\r\nDTSTART:{first}\r\nTZOFFSETFROM:{from}\r\nTZOFFSETTO:{to}\r\n{rule}END:{kind}\r\n")
    };
    let both = |standard: &str, daylight: &str, spring: (&str, &str), autumn: (&str, &str)| {
        observance("DAYLIGHT", standard, daylight, spring.0, spring.1)
            + &observance("STANDARD", daylight, standard, autumn.0, autumn.1)
    };
    let (march, october) = ("BYMONTH=3;BYDAY=-1SU", "BYMONTH=10;BYDAY=-1SU");
    let america = (("20070311T020000", "BYMONTH=3;BYDAY=2SU"), ("20071104T020000", "BYMONTH=11;BYDAY=1SU"));
    let observances = match name {
        "Europe/Berlin" => both("+0100", "+0200", ("19810329T020000", march), ("19961027T030000", october)),
        "Europe/London" => both("+0000", "+0100", ("19810329T010000", march), ("19961027T020000", october)),
        "America/New_York" => both("-0500", "-0400", america.0, america.1),
        "America/Los_Angeles" => both("-0800", "-0700", america.0, america.1),
        _ => observance("STANDARD", "+0900", "+0900", "19700101T000000", ""),
    };
    format!("BEGIN:VTIMEZONE\r\nTZID:{name}\r\n{observances}END:VTIMEZONE\r\n")
}

/// SplitMix64: the same numbers everywhere.
struct Chance(u64);

impl Chance {
    fn new(calendar: &str, number: u32) -> Chance {
        let hash =
            calendar.bytes().fold(0xcbf2_9ce4_8422_2325, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        Chance(hash ^ u64::from(number) << 20)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
