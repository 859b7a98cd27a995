//! When a person can be had at all (RFC 7953): a VCALENDAR of VAVAILABILITYs → the stretches in which they can not.

use jiff::tz::TimeZone;

use super::range::{self, shifted};
use super::recur::{self, Busy};
use super::time::Duration;
use super::zone::Zones;
use super::{Component, Instant, Window};

/// VAVAILABILITYs of one text, and the AVAILABLEs of all of them together.
pub const MOST: usize = 500;
/// Instances of AVAILABLEs that are looked at in one call.
const INSTANCES: usize = 20_000;

/// Whether a text may be kept as somebody's availability: one VCALENDAR with VAVAILABILITYs, and VTIMEZONEs, whose times
/// can all be read. The error is a sentence.
pub fn check(text: &str) -> Result<(), String> {
    let calendar = Component::parse(text.trim_start()).map_err(|e| format!("this is no calendar data: {e}"))?;
    let of = |name: &'static str| calendar.components.iter().filter(move |c| c.name() == name);
    if let Some(other) = calendar.components.iter().find(|c| !matches!(c.name(), "VAVAILABILITY" | "VTIMEZONE")) {
        return Err(format!("an availability has VAVAILABILITY and VTIMEZONE in it, and no {}", other.name()));
    }
    if of("VAVAILABILITY").next().is_none() {
        return Err("an availability has at least one VAVAILABILITY in it".to_owned());
    }
    let zones = Zones::of(&calendar);
    for component in of("VAVAILABILITY") {
        bounds(component, &zones, &TimeZone::UTC)?;
        if component.said("DTEND").is_some() && component.said("DURATION").is_some() {
            return Err("a VAVAILABILITY has a DTEND or a DURATION, and not both".to_owned());
        }
        for group in groups(component) {
            let which = group[0].value("UID").unwrap_or("without a UID").to_owned();
            if group.iter().any(|one| one.said("DTSTART").is_none()) {
                return Err(format!("an AVAILABLE begins with a DTSTART: {which:?}"));
            }
            let object = range::as_events(&calendar, &group)
                .map_err(|why| format!("the AVAILABLEs with the UID {which:?} can not be read: {why}"))?;
            let now = Window { start: Instant(0), end: Instant(1) };
            if let Err(recur::Error::Unreadable(why)) =
                recur::instances(&object, now, &TimeZone::UTC, recur::Limits::default())
            {
                return Err(format!("the AVAILABLE {which:?} can not be read: {why}"));
            }
        }
    }
    let all = of("VAVAILABILITY").map(|c| 1 + c.components.len()).sum::<usize>();
    if all > MOST {
        return Err(format!("an availability has at most {MOST} VAVAILABILITYs and AVAILABLEs"));
    }
    Ok(())
}

/// The stretches of `window` in which the person can not be had, by all `texts` together: sorted, disjoint, each with what
/// BUSYTYPE says. Floating times are taken in the zone beside the text.
///
/// A VAVAILABILITY says of its own time that it is taken, but for its AVAILABLEs; of other time it says nothing. Where
/// several say something the one of the highest PRIORITY counts (1 is the highest, 9 the lowest but for 0 and none at
/// all); of several with the same priority time is free when all that speak of it say so, and else has the strongest of
/// their types (BUSY, then BUSY-UNAVAILABLE, then BUSY-TENTATIVE).
/// What can not be read, or is too much to follow, makes nothing free.
pub fn unavailable(texts: &[(&str, &TimeZone)], window: Window) -> Vec<(Window, Busy)> {
    let mut left = INSTANCES;
    let mut layers = Vec::new();
    for (text, zone) in texts {
        let whole = vec![(window, Busy::Unavailable)];
        let Ok(calendar) = Component::parse(text.trim_start()) else { return whole };
        // One that is not looked at could say that time is taken.
        if calendar.components.iter().filter(|c| c.name() == "VAVAILABILITY").nth(MOST).is_some() {
            return whole;
        }
        read_layers(&calendar, window, zone, &mut left, &mut layers);
    }
    paint(layers)
}

fn read_layers(calendar: &Component, window: Window, zone: &TimeZone, left: &mut usize, layers: &mut Vec<Layer>) {
    let zones = Zones::of(calendar);
    for component in calendar.components.iter().filter(|c| c.name() == "VAVAILABILITY") {
        let range = bounds(component, &zones, zone).unwrap_or(Window::ALL);
        let Some(range) = common(range, window) else { continue };
        let mut free = Vec::new();
        for group in groups(component) {
            // What has no time of its own, or makes no series, makes nothing free.
            let Ok(object) = range::as_events(calendar, &group) else { continue };
            let limits = recur::Limits { instances: *left, ..recur::Limits::default() };
            let Ok(instances) = recur::instances(&object, range, zone, limits) else { continue };
            *left -= instances.len().min(*left);
            free.extend(instances.iter().filter_map(|i| common(Window::new(i.start, i.end)?, range)));
        }
        layers.push(Layer { rank: rank(component), kind: kind(component), range, free });
    }
}

/// One VAVAILABILITY inside the window.
struct Layer {
    /// The lower, the sooner another one counts instead.
    rank: i64,
    kind: Busy,
    range: Window,
    free: Vec<Window>,
}

/// What the layers say together, by a walk along the time line that keeps count of what is open.
fn paint(mut layers: Vec<Layer>) -> Vec<(Window, Busy)> {
    layers.sort_by_key(|layer| layer.rank);
    // When, which layer, and how it changes how many of its AVAILABLEs are open; `None`: it begins or ends itself.
    let mut marks: Vec<(Instant, usize, Option<i32>)> = Vec::new();
    for (at, layer) in layers.iter().enumerate() {
        marks.extend([(layer.range.start, at, None), (layer.range.end, at, None)]);
        for free in &layer.free {
            marks.extend([(free.start, at, Some(1)), (free.end, at, Some(-1))]);
        }
    }
    marks.sort_unstable_by_key(|(at, ..)| *at);
    let mut open = vec![(false, 0); layers.len()];
    let mut painted: Vec<(Window, Busy)> = Vec::new();
    let mut since: Option<(Instant, Busy)> = None;
    for here in marks.chunk_by(|a, b| a.0 == b.0) {
        for (_, layer, change) in here {
            match change {
                None => open[*layer].0 ^= true,
                Some(change) => open[*layer].1 += change,
            }
        }
        let speaking = open.iter().zip(&layers).filter(|((speaks, _), _)| *speaks);
        let highest = speaking.clone().map(|(_, layer)| layer.rank).max();
        let says = speaking.filter(|((_, free), layer)| Some(layer.rank) == highest && *free == 0);
        let now = says.map(|(_, layer)| layer.kind).max_by_key(|kind| strength(*kind));
        if since.map(|(_, kind)| kind) == now {
            continue;
        }
        let at = here[0].0;
        if let Some((start, kind)) = since {
            painted.push((Window { start, end: at }, kind));
        }
        since = now.map(|kind| (at, kind));
    }
    painted
}

/// The AVAILABLEs of a VAVAILABILITY, those of one UID together. Without a UID each stands alone.
fn groups(component: &Component) -> Vec<Vec<&Component>> {
    let mut groups: Vec<Vec<&Component>> = Vec::new();
    for one in component.components.iter().filter(|c| c.name() == "AVAILABLE").take(MOST) {
        let uid = one.said("UID").map(|uid| uid.value());
        match groups.iter_mut().find(|g| uid.is_some() && g[0].said("UID").map(|uid| uid.value()) == uid) {
            Some(group) => group.push(one),
            None => groups.push(vec![one]),
        }
    }
    groups
}

/// From when until when the VFREEBUSY of a VCALENDAR asks: both have to be said. The error is a sentence.
pub fn window_asked(calendar: &Component, component: &Component) -> Result<Window, String> {
    let ends = component.said("DTEND").or(component.said("DURATION"));
    if component.said("DTSTART").is_none() || ends.is_none() {
        return Err(format!("a {} needs a DTSTART and a DTEND", component.name()));
    }
    bounds(component, &Zones::of(calendar), &TimeZone::UTC)
}

/// When a VAVAILABILITY speaks: without a DTSTART since ever, without an end for ever.
fn bounds(component: &Component, zones: &Zones<'_>, zone: &TimeZone) -> Result<Window, String> {
    let of = component.name();
    let unreadable = |e: recur::Error| match e {
        recur::Error::Unreadable(why) => format!("this {of} can not be read: {why}"),
        recur::Error::TooMany => format!("this {of} is too much to read"),
    };
    let at = |name| component.said(name).map(|p| recur::when(p, zones)).transpose().map_err(unreadable);
    let start = at("DTSTART")?;
    let end = match (at("DTEND")?, component.said("DURATION"), &start) {
        (Some(end), ..) => end.at(zone),
        (None, Some(length), Some(start)) => {
            let length =
                Duration::parse(length.value()).ok_or_else(|| format!("DURATION:{} is no duration", length.value()))?;
            shifted(start.at(zone), length, &start.frame, zone)
        }
        (None, Some(_), None) => return Err(format!("a {of} with a DURATION needs a DTSTART")),
        (None, None, _) => Instant::MAX,
    };
    let start = start.map_or(Instant::MIN, |start| start.at(zone));
    Window::new(start, end).ok_or_else(|| format!("this {of} does not end behind its start"))
}

fn common(a: Window, b: Window) -> Option<Window> {
    Window::new(a.start.max(b.start), a.end.min(b.end))
}

fn rank(component: &Component) -> i64 {
    match component.said("PRIORITY").and_then(|p| p.value().trim().parse::<i64>().ok()) {
        Some(priority @ 1..=9) => 10 - priority,
        _ => 0,
    }
}

/// A type that nobody knows is the default.
fn kind(component: &Component) -> Busy {
    let is = |name: &str| component.said("BUSYTYPE").is_some_and(|p| p.value().trim().eq_ignore_ascii_case(name));
    match () {
        () if is("BUSY") => Busy::Busy,
        () if is("BUSY-TENTATIVE") => Busy::Tentative,
        () => Busy::Unavailable,
    }
}

fn strength(kind: Busy) -> u8 {
    match kind {
        Busy::Free => 0,
        Busy::Tentative => 1,
        Busy::Unavailable => 2,
        Busy::Busy => 3,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{time, zone};
    use super::*;

    fn at(text: &str) -> Instant {
        Instant(time::parse(text).unwrap().0)
    }

    fn calendar(inside: &str) -> String {
        format!("BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//x//EN\n{inside}END:VCALENDAR\n")
    }

    /// `20111010T000000Z/20111010T130000Z unavailable`, one a line.
    fn shown(text: &str, from: &str, to: &str, reader: &str) -> String {
        let reader = zone::named(reader).unwrap();
        let found = unavailable(&[(text, &reader)], Window::new(at(from), at(to)).unwrap());
        let line = |(window, kind): &(Window, Busy)| {
            format!("{}/{} {}\n", window.start.utc(), window.end.utc(), format!("{kind:?}").to_lowercase())
        };
        found.iter().map(line).collect()
    }

    fn check_shown(inside: &str, from: &str, to: &str, reader: &str, expect: &str) {
        let text = calendar(inside);
        check(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
        let expect: String = expect.split(", ").filter(|l| !l.is_empty()).map(|l| format!("{l}\n")).collect();
        assert_eq!(shown(&text, from, to, reader), expect, "{inside}");
    }

    /// Office hours on weekdays, as the example of RFC 7953 7.2.4 has them, without an end.
    const OFFICE: &str = "BEGIN:VAVAILABILITY\nUID:a\nDTSTAMP:20111005T133225Z\n\
        DTSTART;TZID=America/Montreal:20111002T000000\n\
        BEGIN:AVAILABLE\nUID:b\nDTSTAMP:20111005T133225Z\nSUMMARY:Office\n\
        DTSTART;TZID=America/Montreal:20111002T090000\nDTEND;TZID=America/Montreal:20111002T180000\n\
        RRULE:FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR\nEND:AVAILABLE\nEND:VAVAILABILITY\n";

    /// A week elsewhere that counts more: only the evening of each day.
    const AWAY: &str = "BEGIN:VAVAILABILITY\nUID:c\nDTSTAMP:20111005T133225Z\nPRIORITY:1\n\
        DTSTART;TZID=America/Montreal:20111011T000000\nDTEND;TZID=America/Montreal:20111013T000000\n\
        BEGIN:AVAILABLE\nUID:d\nDTSTAMP:20111005T133225Z\n\
        DTSTART;TZID=America/Montreal:20111011T190000\nDURATION:PT2H\nRRULE:FREQ=DAILY\nEND:AVAILABLE\nEND:VAVAILABILITY\n";

    #[test]
    fn outside_of_what_is_available_nobody_can_be_had() {
        check_shown(
            OFFICE,
            "20111014T000000Z",
            "20111018T000000Z",
            "UTC",
            "20111014T000000Z/20111014T130000Z unavailable, 20111014T220000Z/20111017T130000Z unavailable, \
             20111017T220000Z/20111018T000000Z unavailable",
        );
        // The rule begins on a Sunday, and DTSTART is an instance all the same; before it nothing is said.
        check_shown(
            OFFICE,
            "20111001T000000Z",
            "20111003T000000Z",
            "UTC",
            "20111002T040000Z/20111002T130000Z unavailable, 20111002T220000Z/20111003T000000Z unavailable",
        );
    }

    #[test]
    fn the_clocks_of_the_zone_count() {
        // Winter time begins on 6 November: an hour later in UTC from then on.
        check_shown(
            OFFICE,
            "20111104T120000Z",
            "20111107T150000Z",
            "UTC",
            "20111104T120000Z/20111104T130000Z unavailable, 20111104T220000Z/20111107T140000Z unavailable",
        );
        let floating = "BEGIN:VAVAILABILITY\nUID:a\nDTSTAMP:20260101T000000Z\nBEGIN:AVAILABLE\nUID:b\n\
            DTSTART:20260601T090000\nDTEND:20260601T170000\nRRULE:FREQ=DAILY\nEND:AVAILABLE\nEND:VAVAILABILITY\n";
        let expect = "20260701T000000Z/20260701T070000Z unavailable, 20260701T150000Z/20260702T000000Z unavailable";
        check_shown(floating, "20260701T000000Z", "20260702T000000Z", "Europe/Berlin", expect);
    }

    #[test]
    fn the_higher_priority_speaks_for_its_own_time() {
        check_shown(
            &format!("{OFFICE}{AWAY}"),
            "20111010T120000Z",
            "20111013T150000Z",
            "UTC",
            "20111010T120000Z/20111010T130000Z unavailable, 20111010T220000Z/20111011T230000Z unavailable, \
             20111012T010000Z/20111012T230000Z unavailable, 20111013T010000Z/20111013T130000Z unavailable",
        );
        // In whichever order they stand.
        let one = shown(&calendar(&format!("{OFFICE}{AWAY}")), "20111001T000000Z", "20111101T000000Z", "UTC");
        assert_eq!(shown(&calendar(&format!("{AWAY}{OFFICE}")), "20111001T000000Z", "20111101T000000Z", "UTC"), one);
    }

    #[test]
    fn bounds_and_types() {
        let one = |lines: &str, free: &str| {
            let free = match free {
                "" => String::new(),
                free => format!("BEGIN:AVAILABLE\nUID:b\n{free}\nEND:AVAILABLE\n"),
            };
            format!("BEGIN:VAVAILABILITY\nUID:a\nDTSTAMP:20260101T000000Z\n{lines}{free}END:VAVAILABILITY\n")
        };
        let check = |inside: &str, expect: &str| {
            check_shown(inside, "20260101T000000Z", "20260102T000000Z", "UTC", expect);
        };
        check(&one("", ""), "20260101T000000Z/20260102T000000Z unavailable");
        check(&one("BUSYTYPE:BUSY\n", ""), "20260101T000000Z/20260102T000000Z busy");
        check(&one("BUSYTYPE:X-NAPPING\n", ""), "20260101T000000Z/20260102T000000Z unavailable");
        check(
            &one("BUSYTYPE:BUSY-TENTATIVE\nDTSTART:20260101T060000Z\nDURATION:PT2H\n", ""),
            "20260101T060000Z/20260101T080000Z tentative",
        );
        check(&one("DTEND:20260101T010000Z\n", ""), "20260101T000000Z/20260101T010000Z unavailable");
        // What is available outside of its VAVAILABILITY's own time says nothing.
        check(
            &one("DTSTART:20260101T060000Z\nDTEND:20260101T080000Z\n", "DTSTART:20260101T050000Z\nDURATION:PT2H"),
            "20260101T070000Z/20260101T080000Z unavailable",
        );
        // An instance that was moved, and one that was taken away.
        let moved = "DTSTART:20260101T010000Z\nDURATION:PT1H\nRRULE:FREQ=HOURLY;INTERVAL=4;COUNT=3\n\
            EXDATE:20260101T050000Z\nEND:AVAILABLE\n\
            BEGIN:AVAILABLE\nUID:b\nRECURRENCE-ID:20260101T090000Z\nDTSTART:20260101T100000Z\nDURATION:PT3H";
        check(
            &one("", moved),
            "20260101T000000Z/20260101T010000Z unavailable, 20260101T020000Z/20260101T100000Z unavailable, \
             20260101T130000Z/20260102T000000Z unavailable",
        );
        // Of the same priority: free is what both leave free, and the strongest type is told.
        let early = one("BUSYTYPE:BUSY\n", "DTSTART:20260101T000000Z\nDURATION:PT12H");
        let late = one("", "DTSTART:20260101T060000Z\nDURATION:PT18H");
        check(
            &format!("{early}{late}"),
            "20260101T000000Z/20260101T060000Z unavailable, 20260101T120000Z/20260102T000000Z busy",
        );
    }

    #[test]
    fn what_can_not_be_read_is_refused_and_makes_nothing_free() {
        let whole = "20260101T000000Z/20260102T000000Z unavailable\n";
        let check_refused = |text: &str, why: &str| {
            let said = check(text).expect_err(text);
            assert!(said.contains(why), "{said}");
            assert_eq!(shown(text, "20260101T000000Z", "20260102T000000Z", "UTC"), whole, "{text}");
        };
        let of = |lines: &str| calendar(&format!("BEGIN:VAVAILABILITY\nUID:a\n{lines}END:VAVAILABILITY\n"));
        check_refused("nonsense", "no calendar data");
        check_refused(&of("DTSTART:tomorrow\n"), "tomorrow");
        let past = "BEGIN:VAVAILABILITY\nUID:a\nDTEND:20250101T000000Z\nEND:VAVAILABILITY\n";
        check_refused(&calendar(&past.repeat(MOST + 1)), "at most 500");
        check_refused(&of("DURATION:PT1H\n"), "needs a DTSTART");
        check_refused(&of("DTSTART:20260101T120000Z\nDTEND:20260101T110000Z\n"), "does not end behind");
        let available = |lines: &str| of(&format!("BEGIN:AVAILABLE\nUID:b\n{lines}END:AVAILABLE\n"));
        check_refused(&available("SUMMARY:when?\n"), "DTSTART");
        check_refused(&available("DTSTART;TZID=Nowhere/Land:20260101T000000\nDURATION:PT5H\n"), "Nowhere/Land");
        check_refused(&available("DTSTART:20260101T000000Z\nDURATION:PT5H\nRRULE:FREQ=SOMETIMES\n"), "FREQ");
        assert!(check(&calendar("BEGIN:VEVENT\nUID:a\nDTSTART:20260101T000000Z\nEND:VEVENT\n")).is_err());
        assert!(check(&calendar("")).is_err());
    }

    proptest! {
        /// A grid of quarters of an hour, each asked by itself, says the same.
        #[test]
        fn a_grid_of_quarters_says_the_same(
            given in proptest::collection::vec(
                (0i64..4, 0u8..3, 0i64..100, 1i64..100, proptest::collection::vec((0i64..110, 1i64..30), 0..4)),
                0..5,
            ),
        ) {
            const QUARTER: i64 = 900;
            let day = at("20260601T000000Z");
            let when = |quarter: i64| day.plus(quarter * QUARTER).utc();
            let types = ["BUSY-TENTATIVE", "BUSY-UNAVAILABLE", "BUSY"];
            let mut text = String::new();
            for (nth, (priority, kind, start, length, free)) in given.iter().enumerate() {
                text += &format!(
                    "BEGIN:VAVAILABILITY\nUID:{nth}\nPRIORITY:{priority}\nBUSYTYPE:{}\nDTSTART:{}\nDTEND:{}\n",
                    types[usize::from(*kind)], when(*start), when(start + length),
                );
                for (of, (start, length)) in free.iter().enumerate() {
                    text += &format!(
                        "BEGIN:AVAILABLE\nUID:{nth}-{of}\nDTSTART:{}\nDTEND:{}\nEND:AVAILABLE\n", when(*start), when(start + length),
                    );
                }
                text += "END:VAVAILABILITY\n";
            }
            let text = calendar(&text);
            let window = Window { start: day.plus(10 * QUARTER), end: day.plus(180 * QUARTER) };
            let found = unavailable(&[(&text, &TimeZone::UTC)], window);
            for pair in found.windows(2) {
                prop_assert!(pair[0].0.end <= pair[1].0.start);
            }
            for quarter in 0..220i64 {
                let mut best: Option<(i64, u8)> = None;
                for (priority, kind, start, length, free) in &given {
                    if !(10..180).contains(&quarter) || !(*start..start + length).contains(&quarter) {
                        continue;
                    }
                    let rank = if *priority == 0 { 0 } else { 10 - priority };
                    let is_free = free.iter().any(|(s, l)| (*s..s + l).contains(&quarter));
                    let says = if is_free { 0 } else { kind + 1 };
                    best = match best {
                        Some((other, said)) if other > rank => Some((other, said)),
                        Some((other, said)) if other == rank => Some((rank, said.max(says))),
                        _ => Some((rank, says)),
                    };
                }
                let expect = [Busy::Free, Busy::Tentative, Busy::Unavailable, Busy::Busy][usize::from(best.map_or(0, |b| b.1))];
                let moment = day.plus(quarter * QUARTER);
                let told = found.iter().find(|(w, _)| w.start <= moment && moment < w.end).map_or(Busy::Free, |(_, k)| *k);
                prop_assert_eq!(told, expect, "quarter {} of\n{}", quarter, text);
            }
        }
    }
}
