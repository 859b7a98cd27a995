//! The slow evaluator: objects as plain data, each day of ten years looked at in turn, zones by their two rules, and the
//! tables of RFC 4791 9.9 written down as they stand there. It names nothing of the program but the filter's own types.

use std::sync::LazyLock;

use calgate::ical::Window;
use calgate::ical::filter::{Collation, CompFilter, MatchType, ParamFilter, PropFilter, Test, TextMatch};

pub const DAY: i64 = 86_400;
/// The last day that is looked at: 2030-01-01.
pub const HORIZON: i64 = 21_915;

/// Year, month, day and days of the month, by days since 1970-01-01: counted out one by one.
static DAYS: LazyLock<Vec<(i64, i64, i64, i64)>> = LazyLock::new(|| {
    let mut days = Vec::new();
    for year in 1970..2032 {
        let february = if year % 4 == 0 { 29 } else { 28 };
        for (month, length) in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31].into_iter().enumerate() {
            days.extend((1..=length).map(|day| (year, month as i64 + 1, day, length)));
        }
    }
    days
});

pub fn civil(day: i64) -> (i64, i64, i64, i64) {
    DAYS[usize::try_from(day).expect("a day since 1970")]
}

pub fn day_of(year: i64, month: i64, day: i64) -> i64 {
    DAYS.iter().position(|d| (d.0, d.1, d.2) == (year, month, day)).expect("a day that there is") as i64
}

/// Monday is 0; the first day was a Thursday.
pub fn weekday(day: i64) -> i64 {
    (day + 3) % 7
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    Date,
    Floating,
    Utc,
    Berlin,
    York,
    Kolkata,
}

/// What the clock shows, in seconds since 1970-01-01 of that clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    pub wall: i64,
    pub zone: Zone,
}

impl Zone {
    /// The zone whose clock it is for a reader.
    fn clock(self, reader: Zone) -> Zone {
        if matches!(self, Zone::Date | Zone::Floating) { reader } else { self }
    }

    /// Standard time, and how far summer is from it.
    fn offsets(self) -> (i64, i64) {
        match self {
            Zone::Berlin => (3600, 7200),
            Zone::York => (-18_000, -14_400),
            Zone::Kolkata => (19_800, 19_800),
            _ => (0, 0),
        }
    }

    fn summer(self, at: i64) -> bool {
        let year = usize::try_from(civil(at.div_euclid(DAY)).0 - 1970).expect("a year since 1970");
        let (from, to) = match self {
            Zone::Berlin => SUMMERS[year].0,
            Zone::York => SUMMERS[year].1,
            _ => return false,
        };
        from <= at && at < to
    }

    fn offset(self, at: i64) -> i64 {
        let (standard, summer) = self.offsets();
        if self.summer(at) { summer } else { standard }
    }

    /// A time that there is twice is the first, one that there is not is as long after midnight (RFC 5545 3.3.5).
    fn instant(self, wall: i64) -> i64 {
        let (standard, summer) = self.offsets();
        let early = wall - summer;
        if self.offset(early) == summer { early } else { wall - standard }
    }
}

/// From one instant to another.
type Stretch = (i64, i64);

/// When it is summer in Berlin and in New York, by the years since 1970 (and by the rules of today).
static SUMMERS: LazyLock<Vec<(Stretch, Stretch)>> = LazyLock::new(|| {
    // The first Sunday on or after a day.
    let sunday = |year, month, day| (day_of(year, month, day)..).find(|d| weekday(*d) == 6).unwrap_or_default();
    let of_year = |year| {
        let berlin = (sunday(year, 3, 25) * DAY + 3600, sunday(year, 10, 25) * DAY + 3600);
        let york = (sunday(year, 3, 8) * DAY + 7 * 3600, sunday(year, 11, 1) * DAY + 6 * 3600);
        (berlin, york)
    };
    (1970..2032).map(of_year).collect()
});

impl Time {
    pub fn at(self, reader: Zone) -> i64 {
        self.zone.clock(reader).instant(self.wall)
    }
}

/// Days by the clock, seconds exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Length {
    pub days: i64,
    pub seconds: i64,
}

fn shift(at: i64, length: Length, clock: Zone) -> i64 {
    if length.days == 0 {
        return at + length.seconds;
    }
    clock.instant(at + clock.offset(at) + length.days * DAY) + length.seconds
}

#[derive(Clone, Copy, Debug)]
pub enum Freq {
    Daily,
    /// The weekdays, Monday first.
    Weekly([bool; 7]),
    /// The day of the month, or its last.
    Monthly(Option<i64>),
    Yearly,
}

#[derive(Clone, Copy, Debug)]
pub struct Rule {
    pub freq: Freq,
    pub interval: i64,
    pub count: Option<usize>,
    /// In the form of DTSTART: the wall time, included.
    pub until: Option<i64>,
}

impl Rule {
    /// Whether it gives an instance on `day`, when it begins on `first`.
    fn gives(&self, first: i64, day: i64) -> bool {
        let (from, now) = (civil(first), civil(day));
        match self.freq {
            Freq::Daily => (day - first) % self.interval == 0,
            Freq::Weekly(days) => {
                let monday = |day: i64| day - weekday(day);
                (monday(day) - monday(first)) / 7 % self.interval == 0 && days[weekday(day) as usize]
            }
            Freq::Monthly(on) => {
                let months = (now.0 - from.0) * 12 + now.1 - from.1;
                months % self.interval == 0 && now.2 == on.unwrap_or(now.3)
            }
            Freq::Yearly => (now.0 - from.0) % self.interval == 0 && (now.1, now.2) == (from.1, from.2),
        }
    }
}

#[derive(Clone, Debug)]
pub enum Trigger {
    At(i64),
    Relative { length: Length, of_end: bool },
}

#[derive(Clone, Debug)]
pub struct Alarm {
    pub trigger: Trigger,
    /// How often more, and how long between.
    pub repeat: Option<(i64, Length)>,
    pub lines: Vec<Line>,
}

/// A property: its values as they are meant, and when they are.
#[derive(Clone, Debug, Default)]
pub struct Line {
    pub name: String,
    pub params: Vec<(String, Vec<String>)>,
    pub values: Vec<String>,
    /// Its value is TEXT, with escapes.
    pub is_text: bool,
    pub times: Vec<Time>,
    pub periods: Vec<(i64, i64)>,
}

/// A component of an object.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    pub kind: &'static str,
    pub start: Option<Time>,
    /// DTEND or DUE.
    pub end: Option<Time>,
    pub duration: Option<Length>,
    /// RECURRENCE-ID.
    pub id: Option<Time>,
    pub rule: Option<Rule>,
    pub rdates: Vec<Time>,
    pub exdates: Vec<Time>,
    pub completed: Option<i64>,
    pub created: Option<i64>,
    pub periods: Vec<(i64, i64)>,
    pub alarms: Vec<Alarm>,
    pub available: Vec<Entry>,
    /// All of its lines, those above among them.
    pub lines: Vec<Line>,
}

/// The master first, if there is one.
#[derive(Clone, Debug)]
pub struct Thing {
    pub entries: Vec<Entry>,
    pub lines: Vec<Line>,
}

#[derive(Clone, Copy, Debug)]
pub struct Instance {
    pub start: i64,
    pub end: i64,
    pub entry: usize,
}

impl Entry {
    fn recurs(&self) -> bool {
        self.rule.is_some() || !self.rdates.is_empty()
    }

    /// The end of an instance that starts at this wall time.
    fn end_of(&self, wall: i64, zone: Zone, reader: Zone) -> i64 {
        let clock = zone.clock(reader);
        let start = clock.instant(wall);
        let floats = |zone| matches!(zone, Zone::Date | Zone::Floating);
        match (self.start, self.end, self.duration) {
            (Some(from), Some(end), _) if floats(from.zone) && floats(end.zone) => {
                clock.instant(wall + end.wall - from.wall).max(start)
            }
            (Some(from), Some(end), _) => start + (end.at(reader) - from.at(reader)),
            (Some(_), None, Some(Length { days, seconds })) => clock.instant(wall + days * DAY) + seconds,
            (Some(_), None, None) if zone == Zone::Date && self.kind != "VTODO" => clock.instant(wall + DAY),
            _ => start,
        }
    }

    /// The wall times at which the master starts, DTSTART first.
    fn walls(&self, reader: Zone) -> Vec<i64> {
        let Some(start) = self.start else { return self.end.iter().map(|due| due.wall).collect() };
        let mut walls = vec![start.wall];
        if let Some(rule) = self.rule {
            let first = start.wall.div_euclid(DAY);
            for day in first + 1..HORIZON {
                if rule.count.is_some_and(|count| walls.len() >= count) {
                    break;
                }
                let wall = day * DAY + start.wall.rem_euclid(DAY);
                let late = |until: i64| match start.zone {
                    Zone::Date | Zone::Floating => wall > until,
                    zone => zone.instant(wall) > zone.instant(until),
                };
                if rule.until.is_some_and(late) {
                    break;
                }
                if rule.gives(first, day) {
                    walls.push(wall);
                }
            }
        }
        let clock = start.zone.clock(reader);
        walls.extend(self.rdates.iter().map(|time| {
            let at = time.at(reader);
            at + clock.offset(at)
        }));
        walls
    }
}

/// The wall times at which `master` starts, EXDATEs and overrides not looked at.
pub fn walls(master: &Entry, reader: Zone) -> Vec<i64> {
    master.walls(reader)
}

/// Whether a wall time is what the clock shows then: not so in the hour that is left out in spring.
pub fn names_itself(time: Time) -> bool {
    let at = time.at(Zone::Utc);
    at + time.zone.clock(Zone::Utc).offset(at) == time.wall
}

/// Every instance up to the horizon.
pub fn instances(entries: &[Entry], reader: Zone) -> Vec<Instance> {
    let mut found = Vec::new();
    let master = entries.iter().position(|e| e.id.is_none());
    let gone: Vec<i64> = master.map_or(Vec::new(), |m| entries[m].exdates.iter().map(|t| t.at(reader)).collect());
    for (entry, e) in entries.iter().enumerate() {
        let Some(time) = e.start.or(e.end) else { continue };
        match e.id {
            Some(id) if !gone.contains(&id.at(reader)) => {
                found.push(Instance { start: time.at(reader), end: e.end_of(time.wall, time.zone, reader), entry });
            }
            Some(_) => {}
            None => {
                let taken: Vec<i64> = entries.iter().filter_map(|e| e.id).map(|id| id.at(reader)).collect();
                for wall in e.walls(reader) {
                    let start = time.zone.clock(reader).instant(wall);
                    if !gone.contains(&start) && !taken.contains(&start) {
                        found.push(Instance { start, end: e.end_of(wall, time.zone, reader), entry });
                    }
                }
            }
        }
    }
    found
}

/// What is asked of one thing by a reader.
pub struct Ask<'a> {
    pub thing: &'a Thing,
    pub reader: Zone,
    pub instances: &'a [Instance],
}

fn tested(test: Test, conditions: &[bool]) -> bool {
    match test {
        Test::All => conditions.iter().all(|c| *c),
        Test::Any => conditions.is_empty() || conditions.iter().any(|c| *c),
    }
}

fn named(filter: &str, name: &str) -> bool {
    filter == "*" || filter.to_uppercase() == name
}

impl Ask<'_> {
    pub fn matches(&self, filter: &CompFilter) -> bool {
        let entries: Vec<_> = (0..self.thing.entries.len()).collect();
        let mut conditions: Vec<bool> = filter.props.iter().map(|p| self.props(p, &self.thing.lines, None)).collect();
        conditions.extend(filter.comps.iter().map(|c| self.entries(c, &entries)));
        conditions.extend(filter.time_range.map(|w| entries.iter().any(|e| self.overlaps(*e, w))));
        tested(filter.test, &conditions)
    }

    fn entries(&self, filter: &CompFilter, entries: &[usize]) -> bool {
        let entry = |n: usize| &self.thing.entries[n];
        let fitting = || entries.iter().copied().filter(|n| named(&filter.name, entry(*n).kind));
        if filter.is_not_defined {
            return fitting().count() == 0;
        }
        fitting().any(|n| {
            let mut conditions: Vec<bool> = Vec::new();
            conditions.extend(filter.props.iter().map(|p| self.props(p, &entry(n).lines, Some(n))));
            conditions.extend(filter.comps.iter().map(|c| self.inner(c, n)));
            conditions.extend(filter.time_range.map(|w| self.overlaps(n, w)));
            tested(filter.test, &conditions)
        })
    }

    /// A filter for a VALARM or an AVAILABLE of an entry.
    fn inner(&self, filter: &CompFilter, n: usize) -> bool {
        let entry = &self.thing.entries[n];
        let alarms = entry.alarms.iter().filter(|_| named(&filter.name, "VALARM"));
        let alarms = alarms.map(|a| (&a.lines, filter.time_range.map(|w| self.rings(n, a, w))));
        let available = entry.available.iter().filter(|_| named(&filter.name, "AVAILABLE"));
        let available = available.map(|a| {
            let overlaps = |w| instances(std::slice::from_ref(a), self.reader).iter().any(|i| event(i, w));
            (&a.lines, filter.time_range.map(overlaps))
        });
        let all: Vec<_> = alarms.chain(available).collect();
        if filter.is_not_defined {
            return all.is_empty();
        }
        all.iter().any(|(lines, range)| {
            let mut conditions: Vec<bool> = filter.props.iter().map(|p| self.props(p, lines, None)).collect();
            // Neither has components of its own.
            conditions.extend(filter.comps.iter().map(|c| c.is_not_defined));
            conditions.extend(range);
            tested(filter.test, &conditions)
        })
    }

    fn of(&self, n: usize) -> impl Iterator<Item = &Instance> {
        self.instances.iter().filter(move |i| i.entry == n)
    }

    /// RFC 4791 9.9 and RFC 7953 7.2.2.
    fn overlaps(&self, n: usize, w: Window) -> bool {
        let e = &self.thing.entries[n];
        let (start, end) = (w.start.0, w.end.0);
        match e.kind {
            "VEVENT" | "VJOURNAL" => self.of(n).any(|i| event(i, w)),
            "VTODO" => match (e.start, e.duration, e.end) {
                (Some(_), Some(_), None) => self.of(n).any(|i| start <= i.end && (end > i.start || end >= i.end)),
                (Some(_), None, Some(_)) => {
                    self.of(n).any(|i| (start < i.end || start <= i.start) && (end > i.start || end >= i.end))
                }
                (Some(_), None, None) => self.of(n).any(|i| start <= i.start && end > i.start),
                (None, _, Some(_)) => self.of(n).any(|i| start < i.end && end >= i.end),
                _ => match (e.completed, e.created) {
                    (Some(done), Some(made)) => (start <= made || start <= done) && (end >= made || end >= done),
                    (Some(done), None) => start <= done && end >= done,
                    (None, Some(made)) => end > made,
                    (None, None) => true,
                },
            },
            "VFREEBUSY" => match (e.start, e.end) {
                (Some(from), Some(to)) => start <= to.at(self.reader) && end > from.at(self.reader),
                _ => e.periods.iter().any(|(from, to)| start < *to && end > *from),
            },
            _ => {
                let to = e.end.map(|to| to.at(self.reader)).or(e
                    .start
                    .zip(e.duration)
                    .map(|(from, length)| shift(from.at(self.reader), length, from.zone.clock(self.reader))));
                to.is_none_or(|to| start < to) && e.start.is_none_or(|from| end > from.at(self.reader))
            }
        }
    }

    fn rings(&self, n: usize, alarm: &Alarm, w: Window) -> bool {
        let entry = &self.thing.entries[n];
        let ringing = |first: i64, clock: Zone| {
            let (times, pause) = alarm.repeat.unwrap_or_default();
            (0..=times).any(|k| {
                let at = shift(first, Length { days: pause.days * k, seconds: pause.seconds * k }, clock);
                w.start.0 <= at && at < w.end.0
            })
        };
        match alarm.trigger {
            Trigger::At(at) => ringing(at, Zone::Utc),
            Trigger::Relative { length, of_end } => {
                let time = if of_end { entry.end.or(entry.start) } else { entry.start.or(entry.end) };
                let clock = time.map_or(Zone::Utc, |time| time.zone.clock(self.reader));
                self.of(n).any(|i| ringing(shift(if of_end { i.end } else { i.start }, length, clock), clock))
            }
        }
    }

    fn props(&self, filter: &PropFilter, lines: &[Line], n: Option<usize>) -> bool {
        let mut fitting = lines.iter().filter(|l| filter.name.to_uppercase() == l.name).peekable();
        if filter.is_not_defined {
            return fitting.peek().is_none();
        }
        let entry = n.map(|n| &self.thing.entries[n]);
        let name = filter.name.to_uppercase();
        let is_end = entry.is_some_and(|e| matches!((e.kind, name.as_str()), ("VEVENT", "DTEND") | ("VTODO", "DUE")));
        let is_start = name == "DTSTART" && entry.is_some_and(|e| ["VEVENT", "VTODO", "VJOURNAL"].contains(&e.kind));
        let inside = |at: i64, w: Window| w.start.0 <= at && at < w.end.0;
        let instances =
            |w: Window| n.is_some_and(|n| self.of(n).any(|i| inside(if is_end { i.end } else { i.start }, w)));
        if fitting.peek().is_none() {
            // The effective end, of which nothing but its time is there.
            let has = is_end && entry.is_some_and(|e| e.start.is_some() && e.duration.is_some());
            let Some(w) = filter.time_range.filter(|_| has) else { return false };
            let mut conditions: Vec<bool> = filter.params.iter().map(|p| p.is_not_defined).collect();
            conditions.extend(filter.text.iter().map(|_| false));
            return instances(w) && (filter.test == Test::Any || conditions.iter().all(|c| *c));
        }
        fitting.any(|line| {
            let mut conditions: Vec<bool> = filter.params.iter().map(|p| param(p, line)).collect();
            conditions.extend(filter.text.iter().map(|t| {
                let whole = line.values.join(",");
                text(t, line.values.iter().chain([&whole]))
            }));
            conditions.extend(filter.time_range.map(|w| {
                if (is_end || is_start) && entry.is_some_and(Entry::recurs) {
                    return instances(w);
                }
                line.times.iter().any(|t| inside(t.at(self.reader), w))
                    || line.periods.iter().any(|(from, to)| w.start.0 < *to && w.end.0 > *from)
            }));
            tested(filter.test, &conditions)
        })
    }
}

fn event(i: &Instance, w: Window) -> bool {
    let (start, end) = (w.start.0, w.end.0);
    if i.end > i.start { start < i.end && end > i.start } else { start <= i.start && end > i.start }
}

fn param(filter: &ParamFilter, line: &Line) -> bool {
    let mut fitting = line.params.iter().filter(|(name, _)| *name == filter.name.to_uppercase()).peekable();
    if filter.is_not_defined {
        return fitting.peek().is_none();
    }
    fitting.any(|(_, values)| filter.text.as_ref().is_none_or(|t| text(t, values.iter())))
}

fn text<'t>(filter: &TextMatch, mut values: impl Iterator<Item = &'t String>) -> bool {
    let fold = |text: &str| -> Vec<char> {
        let mut out = Vec::new();
        for c in text.chars() {
            match (filter.collation, c) {
                (Collation::Octet, c) => out.push(c),
                (_, 'a'..='z') => out.push((c as u8 - 32) as char),
                (Collation::AsciiCasemap, c) => out.push(c),
                (_, 'ü' | 'Ü') => out.extend(['U', '\u{308}']),
                (_, 'é' | 'É') => out.extend(['E', '\u{301}']),
                (_, 'σ' | 'ς' | 'Σ') => out.push('Σ'),
                (_, 'α' | 'Α') => out.push('Α'),
                (_, 'ж' | 'Ж') => out.push('Ж'),
                (_, 'у' | 'У') => out.push('У'),
                (_, 'к' | 'К') => out.push('К'),
                (_, c) => out.push(c),
            }
        }
        out
    };
    let sought = fold(&filter.text);
    let found = values.any(|value| {
        let value = fold(value);
        let last = value.len().checked_sub(sought.len());
        let at = |n: usize| value[n..n + sought.len()] == sought[..];
        last.is_some_and(|last| match filter.match_type {
            MatchType::Equals => last == 0 && at(0),
            MatchType::Contains => (0..=last).any(at),
            MatchType::StartsWith => at(0),
            MatchType::EndsWith => at(last),
        })
    });
    found != filter.negate
}
