//! Random objects and filters from a seed, and that both evaluators say the same of them.

use calgate::ical::filter::{self, Collation, CompFilter, MatchType, ParamFilter, PropFilter, Test, TextMatch};
use calgate::ical::{Component, Instant, Kind, Object, Property, Window, recur, text, zone};
use jiff::tz::TimeZone;

use super::brute::{
    self, Alarm, Ask, DAY, Entry, Freq, Instance, Length, Line, Rule, Thing, Time, Trigger, Zone, civil,
};
use crate::kit::Dice;

/// What is moved, taken away or asked for lies before this: what recurs for ever happens once more before the horizon.
const LATEST: i64 = (brute::HORIZON - 2 * 366) * DAY;

const TITLES: &[&str] = &[
    "Team meeting",
    "team",
    "Übung",
    "übung für alle",
    "U\u{308}bung",
    "Café",
    "CAFE",
    "Σίσυφος ΣΑΣ",
    "жук, Жук",
    "a;b\\c",
    "one\ntwo",
    "",
    "lunch",
];
const SOUGHT: &[&str] = &[
    "team",
    "Team",
    "MEETING",
    "übung",
    "Übung",
    "u\u{308}b",
    "café",
    "cafe",
    "σας",
    "ЖУК",
    "ж",
    ",",
    ";b\\",
    "e\nt",
    "",
    "l",
    "work,home",
    "home",
    "needs",
];
const WORDS: &[&str] = &["work", "Home", "Übung", "a,b", "team"];
const STATES: &[&str] = &["NEEDS-ACTION", "ACCEPTED", "DECLINED"];

fn line(name: &str, values: &[&str]) -> Line {
    let values = values.iter().map(|v| (*v).to_owned()).collect();
    Line { name: name.to_owned(), values, ..Line::default() }
}

fn written(time: Time) -> String {
    let (y, m, d, _) = civil(time.wall.div_euclid(DAY));
    let s = time.wall.rem_euclid(DAY);
    match time.zone {
        Zone::Date => format!("{y:04}{m:02}{d:02}"),
        zone => {
            let z = if zone == Zone::Utc { "Z" } else { "" };
            format!("{y:04}{m:02}{d:02}T{:02}{:02}{:02}{z}", s / 3600, s / 60 % 60, s % 60)
        }
    }
}

fn utc(at: i64) -> Time {
    Time { wall: at, zone: Zone::Utc }
}

fn name_of(zone: Zone) -> &'static str {
    match zone {
        Zone::Berlin => "Europe/Berlin",
        Zone::York => "America/New_York",
        Zone::Kolkata => "Asia/Kolkata",
        _ => "UTC",
    }
}

/// A property with times of one zone.
fn timed(name: &str, times: &[Time]) -> Line {
    let texts: Vec<String> = times.iter().map(|t| written(*t)).collect();
    let mut line = Line { times: times.to_vec(), values: texts, ..line(name, &[]) };
    match times.first().map(|t| t.zone) {
        Some(Zone::Date) => line.params.push(("VALUE".to_owned(), vec!["DATE".to_owned()])),
        Some(zone @ (Zone::Berlin | Zone::York | Zone::Kolkata)) => {
            line.params.push(("TZID".to_owned(), vec![name_of(zone).to_owned()]));
        }
        _ => {}
    }
    line
}

fn length(name: &str, length: Length) -> Line {
    let (days, seconds) = (length.days.abs(), length.seconds.abs());
    let sign = if length.days < 0 || length.seconds < 0 { "-" } else { "" };
    let days = if days > 0 { format!("{days}D") } else { String::new() };
    let rest = if seconds > 0 || days.is_empty() { format!("T{seconds}S") } else { String::new() };
    line(name, &[&format!("{sign}P{days}{rest}")])
}

fn day(dice: &mut Dice) -> i64 {
    // As often as not beside a change of the clocks.
    let changes = [(2025, 3, 9), (2025, 3, 30), (2025, 10, 26), (2025, 11, 2), (2026, 3, 29)];
    if dice.chance(40) {
        let (y, m, d) = dice.of(&changes);
        brute::day_of(y, m, d) + dice.number(-3, 1)
    } else {
        brute::day_of(2025, 1, 1) + dice.number(0, 700)
    }
}

fn time(dice: &mut Dice, zone: Zone) -> Time {
    let clock = if zone == Zone::Date { 0 } else { dice.of(&[0, 1800, 5400, 9000, 9000, 32_400, 55_800, 82_800]) };
    Time { wall: day(dice) * DAY + clock, zone }
}

/// The end that `start` gets, or a length, or neither.
fn end(dice: &mut Dice, entry: &mut Entry) {
    let Some(start) = entry.start else { return };
    let date = start.zone == Zone::Date;
    match dice.number(0, 3) {
        0 => {}
        1 if entry.kind != "VJOURNAL" => {
            let days = if dice.chance(25) { dice.number(0, 3) } else { i64::from(date) };
            let seconds = if date { 0 } else { dice.of(&[0, 900, 3600, 5400, 86_400]) };
            entry.duration = Some(Length { days, seconds });
        }
        _ if entry.kind != "VJOURNAL" => {
            let wall = start.wall + if date { dice.number(1, 4) * DAY } else { dice.of(&[0, 900, 3600, 7200, 90_000]) };
            let other = !date && start.zone != Zone::Floating && dice.chance(15);
            let end = Time { wall, zone: if other { Zone::Kolkata } else { start.zone } };
            // Some end before they start, by the clock of that night or of that zone: that is refused elsewhere.
            if end.at(Zone::Utc) >= start.at(Zone::Utc) {
                entry.end = Some(end);
            }
        }
        _ => {}
    }
}

fn rule(dice: &mut Dice, start: Time) -> Rule {
    let first = start.wall.div_euclid(DAY);
    let freq = match dice.number(0, 4) {
        0 => Freq::Daily,
        1 | 2 => {
            let mut days = [(); 7].map(|()| dice.chance(35));
            if !days.contains(&true) || dice.chance(70) {
                days[brute::weekday(first) as usize] = true;
            }
            Freq::Weekly(days)
        }
        3 => Freq::Monthly(dice.of(&[None, Some(civil(first).2), Some(15), Some(31)])),
        _ => Freq::Yearly,
    };
    let freq = match freq {
        // Too rare for the horizon.
        Freq::Yearly if (civil(first).1, civil(first).2) == (2, 29) => Freq::Daily,
        freq => freq,
    };
    let interval = if matches!(freq, Freq::Yearly) { dice.number(1, 2) } else { dice.number(1, 3) };
    let (count, until) = match dice.number(0, 3) {
        0 => (Some(dice.number(1, 20) as usize), None),
        1 => (None, Some(start.wall + dice.number(0, 200) * DAY)),
        _ => (None, None),
    };
    Rule { freq, interval, count, until }
}

fn written_rule(rule: Rule, start: Time) -> String {
    let freq = match rule.freq {
        Freq::Daily => "DAILY".to_owned(),
        Freq::Weekly(days) => {
            let names = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];
            let days: Vec<_> = names.into_iter().zip(days).filter(|(_, on)| *on).map(|(name, _)| name).collect();
            format!("WEEKLY;BYDAY={}", days.join(","))
        }
        Freq::Monthly(on) => format!("MONTHLY;BYMONTHDAY={}", on.unwrap_or(-1)),
        Freq::Yearly => "YEARLY".to_owned(),
    };
    let count = rule.count.map(|n| format!(";COUNT={n}")).unwrap_or_default();
    let until = rule.until.map(|wall| {
        let until = Time { wall, ..start };
        // RFC 5545 3.3.10: in UTC where DTSTART names a zone.
        match start.zone {
            Zone::Date | Zone::Floating => written(until),
            _ => written(utc(until.at(Zone::Utc))),
        }
    });
    let until = until.map(|text| format!(";UNTIL={text}")).unwrap_or_default();
    format!("FREQ={freq};INTERVAL={}{count}{until}", rule.interval)
}

fn alarm(dice: &mut Dice) -> Alarm {
    let trigger = if dice.chance(20) {
        Trigger::At(time(dice, Zone::Utc).wall)
    } else {
        let sign = if dice.chance(75) { -1 } else { 1 };
        let days = if dice.chance(40) { dice.number(1, 8) } else { 0 };
        let length = Length { days: sign * days, seconds: sign * dice.of(&[0, 600, 3600, 9000]) };
        Trigger::Relative { length, of_end: dice.chance(30) }
    };
    let pause = Length { days: i64::from(dice.chance(30)), seconds: dice.of(&[300, 3600, 43_200]) };
    let repeat = dice.chance(30).then(|| (dice.number(1, 9), pause));
    let mut lines = vec![Line { is_text: true, ..line("ACTION", &[dice.of(&["DISPLAY", "AUDIO"])]) }];
    match &trigger {
        Trigger::At(at) => {
            let mut line = timed("TRIGGER", &[utc(*at)]);
            line.params.push(("VALUE".to_owned(), vec!["DATE-TIME".to_owned()]));
            lines.push(line);
        }
        Trigger::Relative { length: l, of_end } => {
            let mut line = length("TRIGGER", *l);
            if *of_end {
                line.params.push(("RELATED".to_owned(), vec!["END".to_owned()]));
            }
            lines.push(line);
        }
    }
    if let Some((times, pause)) = repeat {
        lines.push(line("REPEAT", &[&times.to_string()]));
        lines.push(length("DURATION", pause));
    }
    Alarm { trigger, repeat, lines }
}

/// What is not about time, and what is said of the times.
fn finish(dice: &mut Dice, entry: &mut Entry, uid: &str) {
    let end_name = if entry.kind == "VTODO" { "DUE" } else { "DTEND" };
    let mut lines = vec![Line { is_text: true, ..line("UID", &[uid]) }];
    lines.extend(entry.id.map(|id| timed("RECURRENCE-ID", &[id])));
    lines.extend(entry.start.map(|start| timed("DTSTART", &[start])));
    lines.extend(entry.end.map(|end| timed(end_name, &[end])));
    lines.extend(entry.duration.map(|l| length("DURATION", l)));
    if let (Some(rule), Some(start)) = (entry.rule, entry.start) {
        lines.push(line("RRULE", &[&written_rule(rule, start)]));
    }
    for (name, times) in [("RDATE", &entry.rdates), ("EXDATE", &entry.exdates)] {
        lines.extend((!times.is_empty()).then(|| timed(name, times)));
    }
    for (name, at) in [("COMPLETED", entry.completed), ("CREATED", entry.created)] {
        lines.extend(at.map(|at| timed(name, &[utc(at)])));
    }
    if !entry.periods.is_empty() {
        let times: Vec<String> =
            entry.periods.iter().map(|(from, to)| format!("{}/{}", written(utc(*from)), written(utc(*to)))).collect();
        lines.push(Line { periods: entry.periods.clone(), values: times, ..line("FREEBUSY", &[]) });
    }
    lines.push(timed("DTSTAMP", &[time(dice, Zone::Utc)]));
    if dice.chance(70) {
        lines.push(Line { is_text: true, ..line("SUMMARY", &[dice.of(TITLES)]) });
    }
    for _ in 0..dice.number(0, 2) {
        let words: Vec<_> = (0..dice.number(1, 3)).map(|_| dice.of(WORDS)).collect();
        lines.push(Line { is_text: true, ..line("CATEGORIES", &words) });
    }
    for name in ["anna", "max"] {
        if dice.chance(40) {
            let mut line = line("ATTENDEE", &[&format!("mailto:{name}@example.org")]);
            if dice.chance(70) {
                line.params.push(("PARTSTAT".to_owned(), vec![dice.of(STATES).to_owned()]));
            }
            if dice.chance(30) {
                let groups = ["mailto:home@example.org".to_owned(), "mailto:team@example.org".to_owned()];
                line.params.push(("MEMBER".to_owned(), groups[..dice.number(1, 2) as usize].to_vec()));
            }
            lines.push(line);
        }
    }
    entry.lines = lines;
}

fn start_zone(dice: &mut Dice) -> Zone {
    dice.of(&[Zone::Date, Zone::Floating, Zone::Utc, Zone::Berlin, Zone::Berlin, Zone::York, Zone::Kolkata])
}

/// A VEVENT, VTODO or VJOURNAL with its overrides, or an AVAILABLE.
fn series(dice: &mut Dice, kind: &'static str, uid: &str) -> Vec<Entry> {
    let mut master = Entry { kind, ..Entry::default() };
    let zone = start_zone(dice);
    if kind != "VTODO" && kind != "VJOURNAL" || dice.chance(70) {
        let zone = if kind == "AVAILABLE" { Zone::York } else { zone };
        master.start = Some(time(dice, zone));
        end(dice, &mut master);
    } else if kind == "VTODO" && dice.chance(60) {
        master.end = Some(time(dice, zone));
    }
    if kind == "VTODO" {
        master.completed = dice.chance(40).then(|| time(dice, Zone::Utc).wall);
        master.created = dice.chance(40).then(|| time(dice, Zone::Utc).wall);
    }
    let mut overrides: Vec<Entry> = Vec::new();
    if let Some(start) = master.start.filter(|_| dice.chance(55)) {
        master.rule = dice.chance(90).then(|| rule(dice, start));
        if dice.chance(20) {
            let date = |dice: &mut Dice| Time { wall: start.wall + dice.number(1, 90) * DAY, ..start };
            master.rdates = vec![date(dice), date(dice)];
        }
        // The walls of the first instances are those of the clock, so that they can be named.
        let mut first: Vec<i64> = brute::walls(&master, Zone::Utc).into_iter().take(12).collect();
        first.retain(|wall| *wall < LATEST);
        first.retain(|wall| brute::names_itself(Time { wall: *wall, ..start }));
        if !first.is_empty() && dice.chance(30) {
            master.exdates = vec![Time { wall: dice.of(&first), ..start }];
        }
        for _ in 0..dice.number(0, 3) {
            if first.is_empty() || kind == "AVAILABLE" {
                break;
            }
            let at = dice.number(0, first.len() as i64 - 1) as usize;
            let orphan = if dice.chance(10) { DAY / 2 * if start.zone == Zone::Date { 2 } else { 1 } } else { 0 };
            let id = Time { wall: first.remove(at) + orphan, ..start };
            if overrides.iter().any(|o: &Entry| o.id == Some(id)) {
                continue;
            }
            let days = if dice.chance(50) { 0 } else { dice.number(-40, 40) };
            let seconds = if start.zone == Zone::Date { 0 } else { dice.of(&[0, 0, 3600, -5400]) };
            let moved = Time { wall: (id.wall + days * DAY + seconds).max(brute::day_of(2024, 6, 1) * DAY), ..start };
            let mut entry = Entry { kind, start: Some(moved), id: Some(id), ..Entry::default() };
            end(dice, &mut entry);
            overrides.push(entry);
        }
    }
    let mut entries = vec![master];
    entries.append(&mut overrides);
    // An invitation to one instance.
    if entries.len() > 1 && dice.chance(8) {
        entries.remove(0);
    }
    for entry in &mut entries {
        if (kind == "VEVENT" || kind == "VTODO") && dice.chance(50) {
            entry.alarms = (0..dice.number(1, 2)).map(|_| alarm(dice)).collect();
        }
        finish(dice, entry, uid);
    }
    entries
}

fn thing(dice: &mut Dice) -> Thing {
    let kinds =
        ["VEVENT", "VEVENT", "VEVENT", "VEVENT", "VTODO", "VTODO", "VTODO", "VJOURNAL", "VFREEBUSY", "VAVAILABILITY"];
    let kind = dice.of(&kinds);
    let entries = match kind {
        "VFREEBUSY" => {
            let mut entry = Entry { kind, ..Entry::default() };
            let from = time(dice, Zone::Utc);
            if dice.chance(60) {
                entry.start = Some(from);
                entry.end = dice.chance(80).then(|| utc(from.wall + dice.number(1, 20) * DAY));
            }
            let period = |dice: &mut Dice| {
                let at = from.wall + dice.number(0, 200) * 3600;
                (at, at + dice.number(1, 10) * 1800)
            };
            entry.periods = (0..dice.number(0, 4)).map(|_| period(dice)).collect();
            finish(dice, &mut entry, "1");
            vec![entry]
        }
        "VAVAILABILITY" => {
            let mut entry = Entry { kind, ..Entry::default() };
            entry.start = dice.chance(60).then(|| time(dice, Zone::Berlin));
            match (entry.start, dice.number(0, 2)) {
                (Some(_), 1) => entry.duration = Some(Length { days: dice.number(1, 200), seconds: 3600 }),
                (None, 1) => entry.end = Some(time(dice, Zone::York)),
                (Some(start), 2) => entry.end = Some(Time { wall: start.wall + dice.number(1, 300) * DAY, ..start }),
                _ => {}
            }
            for n in 0..dice.number(0, 2) {
                let available = series(dice, "AVAILABLE", &format!("a{n}"));
                entry.available.extend(available);
            }
            finish(dice, &mut entry, "1");
            vec![entry]
        }
        kind => series(dice, kind, "1"),
    };
    let text = |name: &str, value: &str| Line { is_text: true, ..line(name, &[value]) };
    Thing { entries, lines: vec![text("VERSION", "2.0"), text("PRODID", "-//calgate//random//EN")] }
}

fn property(line: &Line) -> Property {
    let values: Vec<String> =
        line.values.iter().map(|v| if line.is_text { text::escape(v) } else { v.clone() }).collect();
    let property = Property::new(&line.name, values.join(","));
    line.params.iter().fold(property, |p, (name, values)| p.with_values(name, values.iter().map(String::as_str)))
}

fn component(entry: &Entry) -> Component {
    let alarms = entry.alarms.iter().map(|a| Component::new("VALARM").with(a.lines.iter().map(property)));
    Component::new(entry.kind)
        .with(entry.lines.iter().map(property))
        .with_components(alarms.chain(entry.available.iter().map(component)))
}

fn object(thing: &Thing) -> Object {
    let calendar = Component::new("VCALENDAR").with(thing.lines.iter().map(property));
    let calendar = calendar.with_components(thing.entries.iter().map(component));
    Object::of(&calendar).unwrap_or_else(|e| panic!("{e}\n{}", calendar.print()))
}

/// A window that has to do with `thing`: its sides lie at, or a second beside, what happens there.
fn window(dice: &mut Dice, thing: &Thing, instances: &[Instance], reader: Zone) -> Window {
    let near = instances.iter().filter(|i| i.start < LATEST).copied();
    let near: Vec<Instance> = near.take(40).collect();
    let mut moments: Vec<i64> = Vec::new();
    for _ in 0..4 {
        if let Some(i) = (!near.is_empty()).then(|| dice.of(&near)) {
            moments.extend([i.start, i.end]);
            for alarm in thing.entries[i.entry].alarms.iter().take(1) {
                if let Trigger::Relative { length, of_end } = &alarm.trigger {
                    let at = if *of_end { i.end } else { i.start } + length.days * DAY + length.seconds;
                    let pause = alarm.repeat.map_or(0, |(n, pause)| n * (pause.days * DAY + pause.seconds));
                    moments.extend([at, at + pause, at + 3600, at - 3600]);
                }
            }
        }
    }
    for entry in &thing.entries {
        moments.extend(entry.completed.iter().chain(&entry.created));
        moments.extend(entry.periods.iter().flat_map(|(from, to)| [*from, *to]));
        moments.extend(entry.start.iter().chain(&entry.end).map(|t| t.at(reader)));
        moments.extend(entry.lines.iter().filter(|l| l.name == "DTSTAMP").flat_map(|l| &l.times).map(|t| t.wall));
        moments
            .extend(entry.alarms.iter().filter_map(|a| if let Trigger::At(at) = a.trigger { Some(at) } else { None }));
    }
    let moment = |dice: &mut Dice| match dice.chance(80) {
        true => dice.of(&moments) + dice.number(-1, 1),
        false => time(dice, Zone::Utc).wall,
    };
    let (a, b) = (moment(dice), moment(dice));
    let length = dice.of(&[1, 2, 900, 3600, DAY, 7 * DAY]);
    let (from, to) = match dice.number(0, 9) {
        0 => (None, Some(a)),
        1 => (Some(a), None),
        2..=4 if a != b => (Some(a.min(b)), Some(a.max(b))),
        5..=6 => (Some(a - length), Some(a)),
        _ => (Some(a), Some(a + length)),
    };
    Window { start: from.map_or(Instant::MIN, Instant), end: to.map_or(Instant::MAX, Instant) }
}

/// Filters for a thing, as a reader in a zone.
struct Asker<'a> {
    dice: &'a mut Dice,
    thing: &'a Thing,
    instances: &'a [Instance],
    reader: Zone,
}

impl Asker<'_> {
    fn window(&mut self, percent: i64) -> Option<Window> {
        self.dice.chance(percent).then(|| window(self.dice, self.thing, self.instances, self.reader))
    }

    fn test(&mut self) -> Test {
        if self.dice.chance(25) { Test::Any } else { Test::All }
    }

    fn text(&mut self, percent: i64, more: &[&str]) -> Option<TextMatch> {
        let all: Vec<&str> = SOUGHT.iter().chain(more).copied().collect();
        self.dice.chance(percent).then(|| TextMatch {
            text: self.dice.of(&all).to_owned().into(),
            collation: self.dice.of(&[Collation::AsciiCasemap, Collation::Octet, Collation::UnicodeCasemap]),
            match_type: self.dice.of(&[
                MatchType::Contains,
                MatchType::Contains,
                MatchType::Equals,
                MatchType::StartsWith,
                MatchType::EndsWith,
            ]),
            negate: self.dice.chance(25),
        })
    }

    fn name(&mut self, name: &str) -> String {
        if self.dice.chance(20) { name.to_lowercase() } else { name.to_owned() }
    }

    fn prop(&mut self, names: &[&str]) -> PropFilter {
        let name = self.dice.of(names);
        let is_not_defined = self.dice.chance(12);
        let timed = ["DTSTART", "DTEND", "DUE", "COMPLETED", "CREATED", "DTSTAMP", "RDATE", "FREEBUSY", "TRIGGER"];
        let time_range = self.window(if timed.contains(&name) { 80 } else { 3 });
        let lists = ["a,b", "b", "work,home", "home,work", "team,a", "Übung"].repeat(5);
        let more = if name == "CATEGORIES" { &lists[..] } else { &["mailto:", "CANCELLED", "2025"] };
        let text = self.text(if time_range.is_some() { 10 } else { 75 }, more);
        let params = ["PARTSTAT", "MEMBER", "TZID", "VALUE"];
        let params = (0..i64::from(self.dice.chance(30))).map(|_| {
            let name = self.dice.of(&params);
            let name = self.name(name);
            let text = self.text(60, &["accepted", "Europe"]);
            ParamFilter { name, is_not_defined: self.dice.chance(20), text }
        });
        let params = params.collect();
        PropFilter { name: self.name(name), is_not_defined, test: self.test(), time_range, text, params }
    }

    fn comp(&mut self) -> CompFilter {
        let own = self.thing.entries[0].kind;
        let kinds = ["VEVENT", "VTODO", "VJOURNAL", "VFREEBUSY", "VAVAILABILITY", "VTIMEZONE"];
        let name = match self.dice.number(0, 9) {
            0 => self.dice.of(&kinds),
            1 => "*",
            _ => own,
        };
        if self.dice.chance(6) {
            return CompFilter { name: self.name(name), is_not_defined: true, ..CompFilter::default() };
        }
        let time_range = self.window(60);
        let names = [
            "SUMMARY",
            "CATEGORIES",
            "ATTENDEE",
            "DTSTART",
            "DTEND",
            "DUE",
            "COMPLETED",
            "CREATED",
            "DTSTAMP",
            "RDATE",
            "FREEBUSY",
            "LOCATION",
            "UID",
        ];
        let props = (0..self.dice.of(&[0, 0, 0, 1, 1, 2])).map(|_| self.prop(&names)).collect();
        let inner = match own {
            "VAVAILABILITY" => "AVAILABLE",
            _ => "VALARM",
        };
        let comps = (0..i64::from(self.dice.chance(30))).map(|_| {
            let name = if self.dice.chance(10) { "*" } else { inner };
            if self.dice.chance(15) {
                return CompFilter { name: self.name(name), is_not_defined: true, ..CompFilter::default() };
            }
            let time_range = self.window(75);
            let props = (0..i64::from(self.dice.chance(30))).map(|_| self.prop(&["ACTION", "TRIGGER", "SUMMARY"]));
            let props = props.collect();
            CompFilter { name: self.name(name), test: self.test(), time_range, props, ..CompFilter::default() }
        });
        let comps = comps.collect();
        CompFilter { name: self.name(name), is_not_defined: false, test: self.test(), time_range, props, comps }
    }

    fn filter(&mut self) -> CompFilter {
        let comps = (0..self.dice.of(&[1, 1, 1, 2])).map(|_| self.comp()).collect();
        let props = (0..i64::from(self.dice.chance(5))).map(|_| self.prop(&["VERSION", "PRODID", "METHOD"])).collect();
        let time_range = self.window(3);
        CompFilter { name: "VCALENDAR".to_owned(), is_not_defined: false, test: self.test(), time_range, props, comps }
    }
}

/// 2024 to 2029.
const HORIZON: Window = Window { start: Instant(19_723 * DAY), end: Instant(brute::HORIZON * DAY) };

fn inside(window: Window, horizon: Window) -> bool {
    horizon.start <= window.start && window.end <= horizon.end
}

/// How the store reads an entry of its time index.
fn indexed(entry: &recur::Entry, window: Window, reader: &TimeZone) -> bool {
    let at = |at: i64| if entry.floating { zone::resolve(at, reader) } else { Instant(at) };
    let (start, end) = (at(entry.start), at(entry.end));
    start < window.end && (end > window.start || end == start && start >= window.start)
}

/// 5,000 objects, three filters each. What matches lies inside the filter's window and is of its kind, so that an index
/// may look there alone.
#[test]
fn random_filters_agree_with_the_slow_evaluator() {
    let seed = std::env::var("SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(4791);
    let (mut asked, mut held, mut by_index, mut differ) = (0, 0, 0, Vec::new());
    for n in 0..5_000 {
        let mut dice = Dice(seed + n * 1_000_003);
        let thing = thing(&mut dice);
        let object = object(&thing);
        let reader = dice.of(&[Zone::Utc, Zone::Berlin, Zone::York]);
        let zone = zone::named(name_of(reader)).unwrap();
        let instances = brute::instances(&thing.entries, reader);
        let span = object.span();
        let index = (object.kind() == Kind::Event).then(|| recur::index(&object, HORIZON, &[], 5_000));
        let index = index.filter(|index| !index.dense);
        for _ in 0..3 {
            let mut asker = Asker { dice: &mut dice, thing: &thing, instances: &instances, reader };
            let filter = asker.filter();
            let expect = Ask { thing: &thing, reader, instances: &instances }.matches(&filter);
            let got = filter::matches(&filter, &object, &zone);
            asked += 1;
            held += usize::from(got);
            if got != expect {
                differ.push(format!("{n}: {got} in {reader:?}\n{filter:#?}\n{}", object.text()));
            }
            let window = filter.window().filter(|w| index.is_some() && inside(*w, HORIZON));
            if let (Some(index), Some(window)) = (&index, window) {
                let found = index.entries.iter().any(|entry| indexed(entry, window, &zone));
                assert!(found || !got, "{n}: not found by the instances\n{filter:#?}\n{}", object.text());
                // What the index answers alone has to be the answer.
                let alone = filter.only_event_window().is_some();
                assert!(!alone || found == got, "{n}: {found} by the index\n{filter:#?}\n{}", object.text());
                by_index += usize::from(alone);
            }
            if got {
                let inside = |w: Window| {
                    span.first.is_none_or(|first| first < w.end) && span.last.is_none_or(|last| last > w.start)
                };
                let found = filter.window().is_none_or(inside) && filter.kind().is_none_or(|k| k == object.kind());
                assert!(found, "{n}: not found by the index: {span:?}\n{filter:#?}\n{}", object.text());
            }
        }
    }
    let first = differ.first().cloned().unwrap_or_default();
    assert!(differ.is_empty(), "{} of {asked} differ, the first is\n{first}", differ.len());
    assert!(by_index > 500, "{by_index} of {asked} are for the index alone");
    assert!(held * 4 > asked && held * 4 < asked * 3, "{held} of {asked} match: too few of one kind to show much");
}
