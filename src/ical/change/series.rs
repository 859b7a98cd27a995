//! One side of a comparison: the master, and the overrides and EXDATEs by the instance they mean.
//!
//! An instance is known by the wall time its rule puts it at, by the clock of DTSTART, whatever form RECURRENCE-ID or
//! EXDATE name it in. Two sides whose series lies elsewhere are compared in the wall times of one of them, the hub.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use jiff::tz::TimeZone;

use super::super::recur::{self, Limits};
use super::super::time::{self, DAY, Duration, Frame, Written};
use super::super::zone;
use super::super::{Component, Instant, Object, Property, Window};
use super::field::{Field, Sheet};
use super::said::{Book, Clock, Length, Reader, is_future, length, recurs, time_said, written_like};

/// Which instance of a series: where its rule puts it, whatever form RECURRENCE-ID or EXDATE name it in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Original {
    /// Of an all-day series: days since 1970-01-01.
    Date(i64),
    /// Of a series in floating time: wall-clock seconds as they would be in UTC.
    Floating(i64),
    /// Of a series in UTC or a zone.
    At(Instant),
}

impl Original {
    /// The instant it is for a reader in `zone`, which decides for dates and floating times.
    pub fn instant(self, zone: &TimeZone) -> Instant {
        match self {
            Original::Date(days) => zone::resolve(days * DAY, zone),
            Original::Floating(wall) => zone::resolve(wall, zone),
            Original::At(at) => at,
        }
    }
}

/// As RECURRENCE-ID would write it: `20260105`, `20260105T090000`, `20260105T080000Z`.
impl fmt::Display for Original {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&match self {
            Original::Date(days) => time::format_date(days * DAY),
            Original::Floating(wall) => time::format_local(*wall),
            Original::At(at) => at.utc(),
        })
    }
}

/// How the wall times of a side are those of the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shift {
    /// The same instants, by another clock at most.
    Same,
    /// So many seconds later on the wall.
    By(i64),
}

/// An instance by the wall time of its side; several that mean one instance are counted.
pub(super) type Key = (i64, usize);

/// One more instance: its wall time by the hub, and its length in seconds when a PERIOD gives it one.
pub(super) type Date = (i64, Option<i64>);

/// An object with what its instances are named by.
pub(super) struct Side<'a> {
    pub object: &'a Object,
    pub reader: Reader<'a>,
    pub master: Option<&'a Component>,
    /// Of the master; UTC when there is none.
    pub clock: Clock,
    pub start: Option<i64>,
    pub overrides: BTreeMap<Key, &'a Component>,
    /// The keys of the overrides in the order they came.
    pub order: Vec<Key>,
    pub exdates: BTreeSet<i64>,
    /// Overrides that stand for all that follows.
    futures: Vec<Key>,
    /// The master with its rules and dates and nothing else.
    bare: OnceCell<Option<Object>>,
    /// The same without RDATE: where a rule ends does not depend on it.
    ruled: OnceCell<Option<Object>>,
    pub shift: Shift,
    pub hub: Clock,
}

impl<'a> Side<'a> {
    pub fn of(object: &'a Object, book: &'a Book) -> Side<'a> {
        let reader = Reader::of(object.calendar(), book);
        let master = object.master();
        let begin = master.and_then(|m| reader.time_of(m, "DTSTART").or_else(|| reader.time_of(m, "DUE")));
        let (start, clock) = match begin {
            Some((wall, clock)) => (Some(wall), clock),
            None => (None, reader.utc()),
        };
        let hub = clock.clone();
        let mut side = Side {
            object,
            reader,
            master,
            clock,
            start,
            overrides: BTreeMap::new(),
            order: Vec::new(),
            exdates: BTreeSet::new(),
            futures: Vec::new(),
            bare: OnceCell::new(),
            ruled: OnceCell::new(),
            shift: Shift::Same,
            hub,
        };
        let mut seen: HashMap<i64, usize> = HashMap::new();
        for component in object.overrides() {
            // An object whose RECURRENCE-ID is no time is not parsed.
            let wall = component.property("RECURRENCE-ID").and_then(|id| side.wall(id, id.value())).unwrap_or_default();
            let count = seen.entry(wall).or_default();
            let nth = std::mem::replace(count, *count + 1);
            side.overrides.insert((wall, nth), component);
            side.order.push((wall, nth));
            if is_future(component) {
                side.futures.push((wall, nth));
            }
        }
        side.futures.sort_unstable();
        let mut days = BTreeSet::new();
        for property in master.into_iter().flat_map(|m| m.all("EXDATE")) {
            for value in property.value().split(',') {
                days.extend(side.day(property, value));
                let wall = side.wall(property, value);
                side.exdates.extend(wall);
            }
        }
        let starts =
            days.first().zip(days.last()).and_then(|(first, last)| side.starts(side.bare()?, *first, last + DAY - 1));
        let of_days = starts.into_iter().flatten().filter(|wall| days.contains(&(wall.div_euclid(DAY) * DAY)));
        side.exdates.extend(of_days);
        side
    }

    /// The day that a DATE names in a series of times: it means all that the day has (see `recur.rs`).
    pub fn day(&self, property: &Property, value: &str) -> Option<i64> {
        let (wall, clock) = self.reader.time(property, value)?;
        (clock.is_date() && !self.clock.is_date()).then_some(wall)
    }

    /// The instances that one value of an EXDATE takes away.
    pub fn taken(&self, property: &Property, value: &str) -> Vec<i64> {
        match self.day(property, value) {
            Some(day) => self.exdates.range(day..day + DAY).copied().collect(),
            None => self.wall(property, value).into_iter().collect(),
        }
    }

    /// The wall time of the instance that a value means, by the rules of `recur.rs`.
    pub fn wall(&self, property: &Property, value: &str) -> Option<i64> {
        let (wall, clock) = self.reader.time(property, value)?;
        Some(match (&clock.frame, &self.clock.frame) {
            (_, Frame::Date) => wall.div_euclid(DAY) * DAY,
            // The instance of that day.
            (Frame::Date, _) => wall + self.start.map_or(0, |start| start.rem_euclid(DAY)),
            (Frame::Zone(_), Frame::Zone(_)) if clock.name != self.clock.name => self.wall_at(&clock.frame, wall),
            _ => wall,
        })
    }

    fn wall_at(&self, frame: &Frame, wall: i64) -> i64 {
        self.clock.frame.wall(frame.at(wall, &TimeZone::UTC), &TimeZone::UTC)
    }

    pub fn original(&self, wall: i64) -> Original {
        match self.clock.frame {
            Frame::Date => Original::Date(wall.div_euclid(DAY)),
            Frame::Floating => Original::Floating(wall),
            Frame::Zone(_) => Original::At(self.clock.frame.at(wall, &TimeZone::UTC)),
        }
    }

    /// Whether instances have the same names on both sides.
    pub fn names_as(&self, other: &Side<'_>) -> bool {
        self.shift == other.shift && self.clock.name == other.clock.name && self.start == other.start
    }

    /// What the calendar says besides its objects and zones.
    pub fn calendar_sheet(&self, model: Option<&Sheet<'_>>) -> Sheet<'a> {
        Sheet::of(Cow::Borrowed(self.object.calendar()), &self.reader, model)
    }

    pub fn to_hub(&self, wall: i64) -> i64 {
        match self.shift {
            Shift::By(seconds) => wall - seconds,
            Shift::Same if self.clock.name == self.hub.name => wall,
            Shift::Same => self.hub.frame.wall(self.clock.frame.at(wall, &TimeZone::UTC), &TimeZone::UTC),
        }
    }

    pub fn of_hub(&self, wall: i64) -> i64 {
        match self.shift {
            Shift::By(seconds) if self.clock.is_date() => (wall + seconds).div_euclid(DAY) * DAY,
            Shift::By(seconds) => wall + seconds,
            Shift::Same if self.clock.name == self.hub.name => wall,
            Shift::Same => self.wall_at(&self.hub.frame, wall),
        }
    }

    /// Finds how this side's series lies to that of `hub`.
    ///
    /// When DTSTART is another one, either the whole series moved or its first instances were cut off. What tells is
    /// which of both the overrides and EXDATEs went along with; when they do not, another time of the day, zone or form
    /// moves, and so does a start that was no instance before.
    pub fn lie_to(&mut self, hub: &Side<'_>) {
        self.hub = hub.clock.clone();
        self.shift = Shift::Same;
        let (Some(ours), Some(theirs)) = (self.start, hub.start) else { return };
        let by = ours - theirs;
        let same_clock = self.clock.name == hub.clock.name;
        if by == 0 && same_clock {
            return;
        }
        let form = self.clock.is_date() != hub.clock.is_date()
            || matches!(self.clock.frame, Frame::Floating) != matches!(hub.clock.frame, Frame::Floating);
        if form {
            self.shift = Shift::By(by);
            return;
        }
        let known = |wall: i64| self.exdates.contains(&wall) || self.overrides.contains_key(&(wall, 0));
        let of_hub = || hub.exdates.iter().copied().chain(hub.overrides.keys().map(|k| k.0));
        let moved = of_hub().filter(|wall| known(wall + by)).count();
        let stayed = of_hub().filter(|wall| known(self.of_hub(*wall))).count();
        let moves = match moved.cmp(&stayed) {
            std::cmp::Ordering::Greater => true,
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Equal => {
                !same_clock || by % DAY != 0 || hub.gives(&[ours]).is_none_or(|given| !given.contains(&ours))
            }
        };
        if moves {
            self.shift = Shift::By(by);
        }
    }

    /// The master with these lines alone and one more, as an object to expand.
    fn only(&self, keep: &[&str], more: Option<Property>) -> Option<Object> {
        let lines = self.master?.properties.iter().filter(|p| keep.contains(&p.name())).cloned();
        let mut calendar = Component::new("VCALENDAR");
        calendar.components = self.object.calendar().components.clone();
        calendar.components.retain(|c| c.name() == "VTIMEZONE");
        calendar.components.push(Component::new("VEVENT").with(lines.chain(more)));
        Object::of(&calendar).ok()
    }

    fn bare(&self) -> Option<&Object> {
        self.bare.get_or_init(|| self.only(&["UID", "DTSTART", "RRULE", "EXRULE", "RDATE"], None)).as_ref()
    }

    fn ruled(&self) -> Option<&Object> {
        self.ruled.get_or_init(|| self.only(&["UID", "DTSTART", "RRULE", "EXRULE"], None)).as_ref()
    }

    /// The wall times from `from` to `to` (included) that a series of this side has. `None`: not to be known.
    fn starts(&self, series: &Object, from: i64, to: i64) -> Option<BTreeSet<i64>> {
        let frame = &self.clock.frame;
        let utc = &TimeZone::UTC;
        let window = Window::new(frame.at(from, utc).plus(-DAY), frame.at(to, utc).plus(DAY))?;
        let limits = Limits { instances: 10_000, steps: 50_000 };
        let found = recur::instances(series, window, utc, limits).ok()?;
        let walls = found.iter().map(|i| frame.wall(i.start, utc));
        Some(walls.filter(|wall| (from..=to).contains(wall)).collect())
    }

    /// Those of the wall times that the series has, EXDATEs aside. `None`: not to be known.
    pub fn gives(&self, walls: &[i64]) -> Option<BTreeSet<i64>> {
        let (Some(first), Some(last)) = (walls.iter().min(), walls.iter().max()) else { return Some(BTreeSet::new()) };
        match self.master {
            Some(master) if recurs(master) => {
                let starts = self.starts(self.bare()?, *first, *last)?;
                Some(walls.iter().copied().filter(|wall| starts.contains(wall)).collect())
            }
            Some(_) => Some(walls.iter().copied().filter(|wall| self.start == Some(*wall)).collect()),
            None => Some(BTreeSet::new()),
        }
    }

    /// The last wall time that the rules give, when they end. RDATEs may lie behind it.
    pub fn last(&self) -> Option<i64> {
        self.last_in(self.ruled()?)
    }

    /// The same for one rule under the start of this side, whoever's rule it is.
    pub fn last_of(&self, rule: &str) -> Option<i64> {
        end(rule)?;
        self.last_in(&self.only(&["UID", "DTSTART"], Some(Property::new("RRULE", rule)))?)
    }

    fn last_in(&self, series: &Object) -> Option<i64> {
        let end = series.span().last?;
        let near = self.clock.frame.wall(end, &TimeZone::UTC) + DAY;
        let back = [4, 40, 400, 4_000].into_iter();
        back.filter_map(|days| self.starts(series, near - days * DAY, near)?.last().copied()).next()
    }

    /// The first wall time after `wall` that the rules give.
    pub fn first_after(&self, wall: i64) -> Option<i64> {
        let series = self.ruled()?;
        let ahead = [4, 40, 400, 4_000].into_iter();
        ahead.filter_map(|days| self.starts(series, wall + 1, wall + days * DAY)?.first().copied()).next()
    }

    /// The pattern of the rule without its end, and the end as the wall time (of the hub) of the last instance.
    /// `None` for a rule without end. Of several, EXRULEs too: the patterns in order, and the end of each in that order.
    pub fn rule(&self) -> (String, Option<String>) {
        let Some(master) = self.master else { return Default::default() };
        let lines: Vec<&Property> = ["RRULE", "EXRULE"]
            .into_iter()
            .flat_map(|name| master.all(name).filter(|p| !p.value().trim().is_empty()))
            .collect();
        let start = self.start.map(|wall| (wall, self.clock.is_date()));
        // Nobody has that many; what they come to is not worth the time.
        let few = lines.len() <= 10;
        let one = |line: &&Property| {
            let rule = line.value();
            let sign = if line.name() == "EXRULE" { "EXRULE " } else { "" };
            let ends = end(rule).map(|written| match self.last_of(rule).filter(|_| few) {
                Some(last) => format!("last {}", self.to_hub(last)),
                None => written,
            });
            (format!("{sign}{}", pattern(rule, start)), ends)
        };
        let mut rules: Vec<(String, Option<String>)> = lines.iter().map(one).collect();
        rules.sort_unstable();
        let ends = rules.iter().any(|(_, end)| end.is_some());
        let (patterns, said): (Vec<String>, Vec<String>) =
            rules.into_iter().map(|(pattern, end)| (pattern, end.unwrap_or_else(|| "-".to_owned()))).unzip();
        (patterns.join("\n"), ends.then(|| said.join("\n")))
    }

    /// The master by its fields; `rule` is what its RRULE says.
    pub fn master_sheet(&self, model: Option<&Sheet<'_>>, rule: &(String, Option<String>)) -> Option<Sheet<'a>> {
        let mut sheet = Sheet::of(Cow::Borrowed(self.master?), &self.reader, model);
        if let Some(entry) = sheet.entries.get_mut(&Field::of("RRULE")) {
            entry.said = match &rule.1 {
                Some(end) => format!("{} {end}", rule.0),
                None => rule.0.clone(),
            };
        }
        Some(sheet)
    }

    /// What the series says of an instance: the master, or the override that stands for all from before it on, with the
    /// instance's own times. As an override would say it.
    pub fn instance(&self, wall: i64) -> Option<Component> {
        let before = self.futures.partition_point(|key| key.0 < wall);
        let future = before.checked_sub(1).and_then(|at| self.futures.get(at));
        let future = future.and_then(|key| Some((key.0, *self.overrides.get(key)?)));
        let (source, begins) = match future {
            Some((id, component)) => (component, wall + self.reader.time_of(component, "DTSTART")?.0 - id),
            None => (self.master?, wall),
        };
        let mut out = source.clone();
        for name in ["RRULE", "EXRULE", "RDATE", "EXDATE", "RECURRENCE-ID"] {
            out.remove(name);
        }
        let Some((start, clock)) = self.reader.time_of(source, "DTSTART") else { return Some(out) };
        let end_name = if source.name() == "VTODO" { "DUE" } else { "DTEND" };
        let end = self.reader.time_of(source, end_name);
        let of_end = end.clone();
        let (length, _) = length(source, start, &clock, end);
        for property in &mut out.properties {
            if property.name() == "DTSTART" {
                let value = written_like(property.value(), begins);
                *property = Property::new(property.name(), value).params_of(property);
            } else if property.name() == end_name
                && let (Some((_, clock_of_end)), Length::Exact(seconds)) = (&of_end, length)
            {
                let utc = &TimeZone::UTC;
                let wall = if clock.frame.floats() && clock_of_end.frame.floats() {
                    begins + seconds
                } else {
                    clock_of_end.frame.wall(clock.frame.at(begins, utc).plus(seconds), utc)
                };
                *property = Property::new(property.name(), written_like(property.value(), wall)).params_of(property);
            }
        }
        let id = self.named("RECURRENCE-ID", &[wall]);
        out.properties.insert(0, id);
        Some(out)
    }

    /// A line that names instances, in the form of DTSTART.
    pub fn named(&self, name: &str, walls: &[i64]) -> Property {
        let like = self.master.and_then(|m| m.said("DTSTART").or_else(|| m.said("DUE")));
        let like_value = like.map_or("00010101T000000Z", Property::value);
        let values: Vec<String> = walls.iter().map(|wall| written_like(like_value, *wall)).collect();
        let line = Property::new(name, values.join(","));
        match like {
            Some(like) => like_params(line, like),
            None => line,
        }
    }

    /// An override by its fields.
    pub fn sheet(&self, component: &'a Component, model: Option<&Sheet<'_>>) -> Sheet<'a> {
        Sheet::of(Cow::Borrowed(component), &self.reader, model)
    }

    /// What an override's time would be if it had not moved along with the series.
    pub fn time_before_move(&self, component: &Component) -> Option<String> {
        let Shift::By(seconds) = self.shift else { return None };
        let (_, clock) = self.reader.time_of(component, "DTSTART")?;
        (clock.name == self.clock.name).then(|| time_said(component, &self.reader, Some((seconds, &self.hub))))
    }

    /// One value of an EXDATE or RDATE by what it means.
    pub fn date(&self, property: &Property, value: &str) -> Option<Date> {
        let (start, end) = value.split_once('/').map_or((value, None), |(start, end)| (start, Some(end)));
        let wall = self.wall(property, start)?;
        let length = end.and_then(|end| match time::parse(end) {
            Some((end, _)) => Some(end - time::parse(start)?.0),
            None => Duration::parse(end).map(Duration::nominal),
        });
        Some((self.to_hub(wall), length))
    }

    /// What the RDATEs mean.
    pub fn rdates(&self) -> BTreeSet<Date> {
        let lines = self.master.into_iter().flat_map(|m| m.all("RDATE"));
        lines.flat_map(|p| p.value().split(',').filter_map(|value| self.date(p, value.trim()))).collect()
    }
}

/// Gives a line VALUE=DATE or the TZID of another.
fn like_params(mut line: Property, like: &Property) -> Property {
    for name in ["VALUE", "TZID"] {
        if let Some(value) = like.param(name) {
            line = line.with_param(name, &value);
        }
    }
    line
}

impl Property {
    /// The same with the parameters of another line.
    fn params_of(self, other: &Property) -> Property {
        let mut line = other.renamed(self.name());
        line.set_value(self.value());
        line
    }
}

/// A rule without its end in one form: parts and lists in order, what holds anyway left out, and what DTSTART (wall time,
/// and whether it is a date) says in its place written out: a weekly rule of a Tuesday is not that of a Monday.
pub(super) fn pattern(rule: &str, start: Option<(i64, bool)>) -> String {
    let mut parts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for part in rule.split(';').map(str::trim).filter(|p| !p.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let name = name.trim().to_ascii_uppercase();
        let plain = |v: &str| {
            let v = v.trim().to_ascii_uppercase();
            let v = v.strip_prefix('+').unwrap_or(&v);
            // 02 is 2.
            v.parse::<i64>().map_or_else(|_| v.trim_start_matches('0').to_owned(), |n| n.to_string())
        };
        let mut values: Vec<String> = value.split(',').map(plain).filter(|v| !v.is_empty()).collect();
        values.sort_unstable();
        values.dedup();
        let nothing = matches!((name.as_str(), values.first().map(String::as_str)), ("INTERVAL", Some("0" | "1")))
            || name == "RSCALE" && values == ["GREGORIAN"]
            || name == "SKIP" && values == ["OMIT"]
            || start.is_some() && matches!(name.as_str(), "COUNT" | "UNTIL");
        if !nothing {
            parts.insert(name, values);
        }
    }
    let freq = parts.get("FREQ").and_then(|v| v.first()).cloned().unwrap_or_default();
    let week_matters = parts.contains_key("BYWEEKNO")
        || freq == "WEEKLY"
            && (parts.contains_key("INTERVAL") || parts.contains_key("BYSETPOS"))
            && parts.contains_key("BYDAY");
    if !week_matters || parts.get("WKST").is_some_and(|v| v == &["MO"]) {
        parts.remove("WKST");
    }
    if let Some((wall, date)) = start {
        let (_, month, day) = time::civil_from_days(wall.div_euclid(DAY));
        let weekday = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"][time::weekday(wall.div_euclid(DAY)) as usize];
        let days = ["BYDAY", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO"];
        let says_day = days.iter().any(|d| parts.contains_key(*d));
        let mut put = |name: &str, value: String| {
            parts.entry(name.to_owned()).or_insert_with(|| vec![value]);
        };
        match freq.as_str() {
            "WEEKLY" if !says_day => put("BYDAY", weekday.to_owned()),
            "MONTHLY" if !says_day => put("BYMONTHDAY", day.to_string()),
            "YEARLY" if !says_day => {
                put("BYMONTH", month.to_string());
                put("BYMONTHDAY", day.to_string());
            }
            // A day of the month needs its month.
            _ => {}
        }
        let second = wall.rem_euclid(DAY);
        for (name, value) in [("BYHOUR", second / 3600), ("BYMINUTE", second / 60 % 60), ("BYSECOND", second % 60)] {
            let daily = matches!(freq.as_str(), "YEARLY" | "MONTHLY" | "WEEKLY" | "DAILY");
            if daily && (date || parts.get(name).is_some_and(|v| *v == [value.to_string()])) {
                parts.remove(name);
            }
        }
    }
    parts.iter().map(|(name, values)| format!("{name}={}", values.join(","))).collect::<Vec<_>>().join(";")
}

/// COUNT and UNTIL as written.
fn end(rule: &str) -> Option<String> {
    let parts = rule.split(';').map(|p| p.trim().to_ascii_uppercase());
    let ends: Vec<String> = parts.filter(|p| p.starts_with("COUNT=") || p.starts_with("UNTIL=")).collect();
    (!ends.is_empty()).then(|| ends.join(";"))
}

/// The same rule with UNTIL, in the place of UNTIL or COUNT, where the series, which lies elsewhere now, has its last
/// instance. `None`: it has no end.
pub(super) fn with_until(rule: &str, last: i64, clock: &Clock) -> Option<String> {
    let mut found = false;
    let parts: Vec<String> = rule
        .split(';')
        .map(|part| {
            let name = part.trim().get(..6).unwrap_or_default();
            if !name.eq_ignore_ascii_case("UNTIL=") && !name.eq_ignore_ascii_case("COUNT=") {
                return part.to_owned();
            }
            found = true;
            let until = match clock.frame {
                Frame::Date => time::format_date(last),
                Frame::Floating => time::format_local(last),
                Frame::Zone(_) => clock.frame.at(last, &TimeZone::UTC).utc(),
            };
            format!("UNTIL={until}")
        })
        .collect();
    found.then(|| parts.join(";"))
}

/// Whether a line's value is a date.
pub(super) fn is_all_day(property: &Property) -> bool {
    time::parse(property.value()).is_some_and(|(_, written)| written == Written::Date)
        || property.param("VALUE").is_some_and(|v| v.eq_ignore_ascii_case("DATE"))
}
