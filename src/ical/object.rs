//! One UID: the master, its overrides, and the text they came from. The only model of an event.

use std::collections::{HashMap, HashSet};

use super::rule::Rule;
use super::time::{self, Duration, Frame, When};
use super::vtimezone::MAX_OBSERVANCES;
use super::zone::Zones;
use super::{Component, Error, Instant, recur, text};

/// What an object is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Event,
    Todo,
    Journal,
    /// VFREEBUSY, VAVAILABILITY and whatever else a calendar may hold.
    Other,
}

impl Kind {
    /// The component's name: `VEVENT`; `Other` has none and gives an empty text.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Event => "VEVENT",
            Kind::Todo => "VTODO",
            Kind::Journal => "VJOURNAL",
            Kind::Other => "",
        }
    }
}

/// The first and last instant an object touches, half-open; `None` on a side means without bound.
/// An object without any time (a VTODO that has none) is without bound on both sides.
/// Floating and all-day times depend on who looks: they are taken as UTC and widened by 14 hours on both sides,
/// so that the span holds in every zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub first: Option<Instant>,
    pub last: Option<Instant>,
}

/// Parsed calendar data of one UID. Cheap to read, kept beside the very text it came from.
#[derive(Clone, Debug)]
pub struct Object {
    text: String,
    calendar: Component,
    uid: String,
    kind: Kind,
}

impl Object {
    /// Exactly one VCALENDAR with components of exactly one UID and one kind (RFC 4791 4.1), besides VTIMEZONEs.
    /// No METHOD. The error names the line and what to do.
    ///
    /// A rule that can not be followed (RSCALE, a part that is not known) is no error: [`recur`] says so when asked.
    pub fn parse(text: &str) -> Result<Object, Error> {
        let calendar = Component::parse(text)?;
        let (uid, kind) = check(&calendar, text)?;
        Ok(Object { text: text.to_owned(), calendar, uid, kind })
    }

    /// Exactly what was parsed.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn uid(&self) -> &str {
        &self.uid
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The VCALENDAR.
    pub fn calendar(&self) -> &Component {
        &self.calendar
    }

    pub fn span(&self) -> Span {
        recur::span(self)
    }

    /// `None`: only overrides were sent (an invitation to one instance).
    pub fn master(&self) -> Option<&Component> {
        self.components().find(|c| c.property("RECURRENCE-ID").is_none())
    }

    pub fn overrides(&self) -> impl Iterator<Item = &Component> {
        self.components().filter(|c| c.property("RECURRENCE-ID").is_some())
    }

    /// The master and the overrides, in the order they came. VTIMEZONEs and a maker's own `X-` components are not
    /// among them.
    pub fn components(&self) -> impl Iterator<Item = &Component> {
        self.calendar.components.iter().filter(|c| is_content(c))
    }
}

/// Splits a file of any number of UIDs (and VCALENDARs) into objects, in the order their UIDs first come, each with
/// the VTIMEZONEs it names. METHOD is taken away. The error of the whole is one of the text; that of an object is why
/// this one is left out.
pub fn split(text: &str) -> Result<Vec<Result<Object, Error>>, Error> {
    let mut objects = Vec::new();
    for mut calendar in Component::parse_file(text)? {
        let components = std::mem::take(&mut calendar.components);
        calendar.remove("METHOD");
        let (zones, contents): (Vec<_>, Vec<_>) = components.into_iter().partition(|c| c.name == "VTIMEZONE");
        let mut zone_of: HashMap<&str, &Component> = HashMap::new();
        for zone in &zones {
            zone_of.entry(zone.value("TZID").unwrap_or_default()).or_insert(zone);
        }
        let mut order: Vec<Vec<Component>> = Vec::new();
        let mut at: HashMap<String, usize> = HashMap::new();
        for component in contents.into_iter().filter(is_content) {
            match component.value("UID").map(str::to_owned) {
                None => order.push(vec![component]),
                Some(uid) => {
                    let next = order.len();
                    let index = *at.entry(uid).or_insert(next);
                    if index == next {
                        order.push(Vec::new());
                    }
                    order[index].push(component);
                }
            }
        }
        for components in order {
            let mut names = Vec::new();
            components.iter().for_each(|c| zone_names(c, &mut names));
            let mut own = Component { components: Vec::new(), ..calendar.clone() };
            let mut seen = HashSet::new();
            let wanted = names.iter().filter(|name| seen.insert(**name)).filter_map(|name| zone_of.get(name));
            own.components.extend(wanted.map(|zone| (*zone).clone()));
            own.components.extend(components.iter().cloned());
            objects.push(Object::parse(&own.print()));
        }
    }
    Ok(objects)
}

/// The TZIDs a component names, those below it included.
pub(super) fn zone_names<'a>(component: &'a Component, names: &mut Vec<&'a str>) {
    names.extend(component.properties.iter().filter_map(|p| p.param("TZID")));
    component.components.iter().for_each(|c| zone_names(c, names));
}

fn is_content(component: &Component) -> bool {
    component.name != "VTIMEZONE" && !component.name.starts_with("X-")
}

fn kind_of(component: &Component) -> Kind {
    match component.name.as_str() {
        "VEVENT" => Kind::Event,
        "VTODO" => Kind::Todo,
        "VJOURNAL" => Kind::Journal,
        _ => Kind::Other,
    }
}

/// The rules of RFC 4791 4.1; gives the UID and the kind.
fn check(calendar: &Component, text: &str) -> Result<(String, Kind), Error> {
    if calendar.property("METHOD").is_some() {
        let reason = "METHOD makes this an invitation on its way, not a calendar object; take METHOD out";
        return Err(Error { line: text::line_of_calendar_property(text, "METHOD"), reason: reason.to_owned() });
    }
    for (nth, zone) in calendar.components.iter().enumerate().filter(|(_, c)| c.name == "VTIMEZONE") {
        if zone.components.len() > MAX_OBSERVANCES {
            let reason =
                format!("a VTIMEZONE with more than {MAX_OBSERVANCES} observances; leave out those of other years");
            return Err(Error { line: text::line_of(text, nth, None), reason });
        }
    }
    let zones = Zones::of(calendar);
    let mut first: Option<&Component> = None;
    let mut has_master = false;
    let mut ids: HashSet<(&str, Option<&str>)> = HashSet::new();
    for (nth, component) in calendar.components.iter().enumerate().filter(|(_, c)| is_content(c)) {
        let fail =
            |property: Option<&str>, reason: String| Err(Error { line: text::line_of(text, nth, property), reason });
        let name = &component.name;
        let Some(uid) = component.value("UID").filter(|uid| !uid.trim().is_empty()) else {
            return fail(None, format!("this {name} has no UID; give it one"));
        };
        match first {
            Some(first) if first.value("UID") != Some(uid) => {
                return fail(Some("UID"), "a second UID; send each UID as an object of its own".to_owned());
            }
            Some(first) if first.name != *name => {
                return fail(None, format!("a {name} beside a {}; send one kind of component", first.name));
            }
            _ => first = Some(component),
        }
        match component.property("RECURRENCE-ID") {
            Some(id) if !ids.insert((id.value.as_str(), id.param("TZID"))) => {
                return fail(Some("RECURRENCE-ID"), "a second override of the same instance; keep one".to_owned());
            }
            None if has_master => {
                return fail(None, format!("a second {name} without RECURRENCE-ID for this UID; keep one"));
            }
            None => has_master = true,
            _ if ids.len() > recur::MAX_OVERRIDES => {
                let most = recur::MAX_OVERRIDES;
                return fail(Some("RECURRENCE-ID"), format!("more than {most} overrides of one series; split it"));
            }
            _ => {}
        }
        if let Err((property, reason)) = check_times(component, &zones) {
            return fail(Some(property), reason);
        }
    }
    let Some(first) = first else {
        let reason = "there is no VEVENT, VTODO or VJOURNAL in it; send one".to_owned();
        return Err(Error { line: 0, reason });
    };
    // The line above proves that there is a UID.
    Ok((first.value("UID").unwrap_or_default().to_owned(), kind_of(first)))
}

type Complaint = (&'static str, String);

/// What must be readable of times before it is kept: the property to blame and why.
fn check_times(component: &Component, zones: &Zones<'_>) -> Result<(), Complaint> {
    if component.name == "VEVENT" && component.property("DTSTART").is_none() {
        return Err(("DTSTART", "this VEVENT has no DTSTART; give it one".to_owned()));
    }
    let end = if component.name == "VTODO" { "DUE" } else { "DTEND" };
    for name in ["DTSTART", end, "RECURRENCE-ID"] {
        if let Some(p) = component.property(name).filter(|p| time::parse(&p.value).is_none()) {
            let reason = format!("{name}:{} is no time; write 20260131 or 20260131T090000 (with Z for UTC)", p.value);
            return Err((name, reason));
        }
    }
    let duration = component.value("DURATION").map(|text| (text, Duration::parse(text)));
    match duration {
        Some((text, None)) => {
            return Err(("DURATION", format!("DURATION:{text} is no duration; write PT1H or P1D")));
        }
        // Thunderbird has written PT0S beside a DTEND: it says nothing.
        Some((_, Some(length))) if length.nominal() != 0 && component.property(end).is_some() => {
            return Err(("DURATION", format!("DURATION beside {end}; keep one of the two")));
        }
        _ => {}
    }
    let when = |name: &str| component.property(name).and_then(|p| recur::when(p, zones).ok());
    if let (Some(start), Some(finish)) = (when("DTSTART"), when(end))
        && is_before(&finish, &start)
    {
        return Err((end, format!("{end} lies before DTSTART; put it at or after it")));
    }
    for name in ["RRULE", "EXRULE"] {
        for (nth, property) in component.all(name).filter(|p| !p.value.trim().is_empty()).enumerate() {
            if nth >= recur::MAX_RULES {
                return Err((name, format!("more than {} lines {name}; say it in fewer", recur::MAX_RULES)));
            }
            check_rule(name, &property.value)?;
        }
    }
    let mut dates = 0;
    for name in ["RDATE", "EXDATE"] {
        dates += component.all(name).map(|p| p.value.split(',').count()).sum::<usize>();
        if dates > recur::MAX_DATES {
            let reason = format!("more than {} times in RDATE and EXDATE; say them by a rule", recur::MAX_DATES);
            return Err((name, reason));
        }
    }
    Ok(())
}

fn is_before(end: &When, start: &When) -> bool {
    match (&end.frame, &start.frame) {
        (Frame::Zone(_), Frame::Zone(_)) => end.at(&jiff::tz::TimeZone::UTC) < start.at(&jiff::tz::TimeZone::UTC),
        // Of two forms that do not compare, the day must do.
        (Frame::Zone(_), _) | (_, Frame::Zone(_)) => end.wall + time::DAY < start.wall,
        _ => end.wall < start.wall,
    }
}

/// Refuses what would cost too much or means nothing. A rule that is merely not followed here passes.
fn check_rule(name: &'static str, value: &str) -> Result<(), Complaint> {
    let has = |name: &str| value.to_ascii_uppercase().split(';').any(|p| p.trim().starts_with(name));
    match Rule::parse(value) {
        Err(reason) if !has("RSCALE") && !has("SKIP") && !has("X-") => {
            Err((name, format!("the rule can not be read: {reason}")))
        }
        _ => Ok(()),
    }
}

/// What can be made of the time of an event that can not be parsed: every date that its lines name, and a day on either
/// side. A rule leaves the end open; without any date both sides are. `None`: the text holds no event, and takes no time.
pub fn rough_span(text: &str) -> Option<Span> {
    let upper = text.to_ascii_uppercase();
    let lines = || upper.lines().map(str::trim);
    // A text that is no calendar at all may stand for anything.
    if upper.contains("BEGIN:V") && !lines().any(|line| line == "BEGIN:VEVENT") {
        return None;
    }
    let starts = |line: &str, name: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([':', ';']));
    let of_time = |line: &&str| ["DTSTART", "DTEND", "RECURRENCE-ID", "RDATE"].iter().any(|name| starts(line, name));
    let days: Vec<i64> = lines()
        .skip_while(|line| *line != "BEGIN:VEVENT")
        .filter(of_time)
        .flat_map(|line| line.rsplit(':').next().unwrap_or_default().split([',', '/']))
        .filter_map(|value| value.get(..8)?.parse::<u32>().ok())
        .filter_map(|day| {
            let (y, m, d) = (day / 10_000, day / 100 % 100, day % 100);
            let date =
                jiff::civil::Date::new(i16::try_from(y).ok()?, i8::try_from(m).ok()?, i8::try_from(d).ok()?).ok()?;
            Some(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
        })
        .collect();
    let open = lines().any(|line| starts(line, "RRULE") || starts(line, "DURATION"));
    let day = 86_400;
    let first = days.iter().min().map(|at| Instant(at - day));
    let last = days.iter().max().map(|at| Instant(at + 2 * day)).filter(|_| !open);
    Some(Span { first, last })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = "BEGIN:VEVENT\nUID:1\nDTSTART:20260105T090000Z\nEND:VEVENT\n";

    fn calendar(inside: &str) -> String {
        format!("BEGIN:VCALENDAR\nVERSION:2.0\n{inside}END:VCALENDAR\n")
    }

    fn event(lines: &str) -> String {
        calendar(&format!("BEGIN:VEVENT\nUID:1\n{lines}\nEND:VEVENT\n"))
    }

    #[test]
    fn refuses_with_the_line_and_what_to_do() {
        let todo = EVENT.replace("VEVENT", "VTODO");
        let cases = [
            (calendar(""), "there is no VEVENT"),
            (calendar("BEGIN:VTIMEZONE\nTZID:x\nEND:VTIMEZONE\n"), "there is no VEVENT"),
            (calendar(&format!("METHOD:REQUEST\n{EVENT}")), "line 3: METHOD makes this"),
            (calendar("BEGIN:VEVENT\nDTSTART:20260101\nEND:VEVENT\n"), "line 3: this VEVENT has no UID"),
            (calendar("BEGIN:VEVENT\nUID:\nDTSTART:20260101\nEND:VEVENT\n"), "line 3: this VEVENT has no UID"),
            (calendar("BEGIN:VEVENT\nUID:1\nEND:VEVENT\n"), "line 3: this VEVENT has no DTSTART"),
            (calendar(&format!("{EVENT}{}", EVENT.replace("UID:1", "UID:2"))), "line 8: a second UID"),
            (calendar(&format!("{EVENT}{todo}")), "line 7: a VTODO beside a VEVENT"),
            (calendar(&format!("{EVENT}{EVENT}")), "line 7: a second VEVENT without RECURRENCE-ID"),
            (
                calendar(&EVENT.replace("UID:1", "UID:1\nRECURRENCE-ID:20260101").repeat(2)),
                "line 10: a second override of the same instance",
            ),
            (event("DTSTART:tomorrow"), "line 5: DTSTART:tomorrow is no time"),
            (event("DTSTART:20260105T100000Z\nDTEND:20260105T090000Z"), "line 6: DTEND lies before DTSTART"),
            (event("DTSTART;VALUE=DATE:20260105\nDTEND;VALUE=DATE:20260104"), "line 6: DTEND lies before DTSTART"),
            (event("DTSTART:20260105T100000Z\nDURATION:1h"), "line 6: DURATION:1h is no duration"),
            (event("DTSTART:20260105T100000Z\nDTEND:20260105T110000Z\nDURATION:PT1H"), "line 7: DURATION beside DTEND"),
            (event("DTSTART:20260105\nRRULE:FREQ=DAILY;COUNT=0"), "line 6: the rule can not be read: COUNT=0"),
            (event("DTSTART:20260105\nRRULE:FREQ=DAILY;COUNT=100001"), "COUNT=100001 is not between"),
            (event("DTSTART:20260105\nRRULE:FREQ=DAILY;INTERVAL=10001"), "INTERVAL=10001 is not between"),
            (event("DTSTART:20260105\nRRULE:COUNT=1"), "the rule has no FREQ"),
            (event("DTSTART:20260105\nEXRULE:COUNT=1"), "line 6: the rule can not be read: the rule has no FREQ"),
            (
                event(&format!("DTSTART:20260105\n{}X-A:1", "RRULE:FREQ=DAILY\n".repeat(11))),
                "line 6: more than 10 lines RRULE",
            ),
            (
                event(&format!("DTSTART:20260105\nRDATE:20260106\nEXDATE:{}20260107", "20260107,".repeat(9_999))),
                "line 7: more than 10000 times in RDATE and EXDATE",
            ),
            (
                calendar(
                    &(0..3_001)
                        .map(|n| {
                            format!(
                                "BEGIN:VEVENT\nUID:1\nRECURRENCE-ID:{:04}0101\nDTSTART:20260101\nEND:VEVENT\n",
                                n + 1
                            )
                        })
                        .collect::<String>(),
                ),
                "line 15005: more than 3000 overrides of one series",
            ),
            (
                calendar(&format!(
                    "BEGIN:VTIMEZONE\nTZID:x\n{}END:VTIMEZONE\n{EVENT}",
                    "BEGIN:STANDARD\nEND:STANDARD\n".repeat(301)
                )),
                "line 3: a VTIMEZONE with more than 300 observances",
            ),
            (event("DTSTART:20260105\nRRULE:FREQ=DAILY;UNTIL=soon"), "UNTIL=soon is no time"),
            (event("DTSTART:20260105\nRRULE:FREQ=WEEKLY;BYMONTHDAY=1"), "BYMONTHDAY does not go with this FREQ"),
        ];
        for (text, expect) in cases {
            let got = Object::parse(&text).expect_err(&text).to_string();
            assert!(got.contains(expect), "{got}\nwanted: {expect}");
        }
    }

    #[test]
    fn takes_what_good_programs_write() {
        let cases = [
            EVENT.to_owned(),
            EVENT.replace("VEVENT", "VTODO").replace("DTSTART:20260105T090000Z\n", ""),
            format!("X-NOTE:1\nBEGIN:X-OURS\nEND:X-OURS\n{EVENT}"),
            format!("BEGIN:VTIMEZONE\nTZID:x\nEND:VTIMEZONE\n{EVENT}"),
            EVENT.replace("UID:1", "UID:1\nRRULE:"),
            EVENT.replace("UID:1", "UID:1\nRRULE:FREQ=DAILY;INTERVAL=0;"),
            EVENT.replace("UID:1", "UID:1\nRRULE:RSCALE=CHINESE;FREQ=YEARLY"),
            EVENT.replace("UID:1", "UID:1\nDTEND:20260105T090000Z"),
            EVENT.replace("UID:1", "UID:1\nRECURRENCE-ID:20260101T090000Z"),
            format!("{EVENT}{}", EVENT.replace("UID:1", "UID:1\nRECURRENCE-ID:20260101T090000Z")),
        ];
        for inside in cases {
            let text = calendar(&inside);
            let object = Object::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
            assert_eq!((object.text(), object.uid()), (text.as_str(), "1"));
            let components = object.components().count();
            assert_eq!(components, object.overrides().count() + usize::from(object.master().is_some()));
        }
    }

    #[test]
    fn spans_hold_in_every_zone() {
        let cases = [
            ("DTSTART:20260105T090000Z", "20260105T090000Z 20260105T090001Z"),
            ("DTSTART:20260105T090000Z\nDTEND:20260105T100000Z", "20260105T090000Z 20260105T100000Z"),
            ("DTSTART:20260105", "20260104T100000Z 20260106T140000Z"),
            ("DTSTART:20260105T090000\nDURATION:PT1H", "20260104T190000Z 20260106T000000Z"),
            ("DTSTART:20260105T090000Z\nRRULE:FREQ=DAILY", "20260105T090000Z open"),
            ("DTSTART:20260105T090000Z\nRRULE:FREQ=DAILY;COUNT=3", "20260105T090000Z 20260107T090001Z"),
            ("DTSTART:20260105T090000Z\nRRULE:FREQ=YEARLY;COUNT=100000", "20260105T090000Z open"),
            ("DTSTART:20260105T090000Z\nRRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30;COUNT=2", "20260105T090000Z open"),
            ("DTSTART:20260105T090000Z\nRRULE:FREQ=DAILY;UNTIL=20260107T090000Z", "20260105T090000Z 20260107T090001Z"),
            ("DTSTART:20260105T090000Z\nRDATE:20251201T090000Z,20270105T090000Z", "20251201T090000Z 20270105T090001Z"),
            ("DTSTART;TZID=Nowhere:20260105T090000", "open open"),
        ];
        for (lines, expect) in cases {
            let span = Object::parse(&event(lines)).unwrap().span();
            let side = |at: Option<Instant>| at.map_or("open".to_owned(), time::format_utc);
            assert_eq!(format!("{} {}", side(span.first), side(span.last)), expect, "{lines}");
        }
        let todo = calendar("BEGIN:VTODO\nUID:1\nEND:VTODO\n");
        assert_eq!(Object::parse(&todo).unwrap().span(), Span { first: None, last: None });
    }

    #[test]
    fn what_can_not_be_parsed_still_has_a_rough_time() {
        let day = 86_400;
        let at = |text: &str| rough_span(text).map(|s| (s.first.map(|i| i.0 / day), s.last.map(|i| i.0 / day)));
        let event =
            |lines: &str| format!("BEGIN:VCALENDAR\nMETHOD:REQUEST\nBEGIN:VEVENT\n{lines}\nEND:VEVENT\nEND:VCALENDAR");
        assert_eq!(at(&event("DTSTART:20260610T120000Z\nDTEND:20260610T130000Z")), Some((Some(20_613), Some(20_616))));
        assert_eq!(at(&event("DTSTART;VALUE=DATE:20260610\nRRULE:FREQ=DAILY")), Some((Some(20_613), None)));
        assert_eq!(at(&event("SUMMARY:when?")), Some((None, None)));
        assert_eq!(at("a page that wants a login"), Some((None, None)));
        assert_eq!(at("BEGIN:VCALENDAR\nBEGIN:VTODO\nDUE:20260610\nEND:VTODO\nEND:VCALENDAR"), None);
    }
}
