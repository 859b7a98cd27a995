//! What a VFREEBUSY says (RFC 5545 3.6.4): which time is taken, and from when until when it may speak at all.

use jiff::tz::TimeZone;

use super::range::shifted;
use super::recur::{self, ANY_ZONE, Busy, Error};
use super::time::{self, Duration};
use super::zone::Zones;
use super::{Component, Instant, Object, Property, Span, Window};

/// The stretches that the VFREEBUSYs of `object` name, each with what its FBTYPE says (RFC 5545 3.2.9: a type that is not
/// known, and none, is BUSY). Times should be in UTC; those that float are taken in `zone`.
///
/// Error: a period can not be read, so that it is not known what is taken.
pub fn periods(object: &Object, zone: &TimeZone) -> Result<Vec<(Window, Busy)>, Error> {
    let zones = Zones::of(object.calendar());
    let mut found = Vec::new();
    for component in object.components().filter(|c| c.name() == "VFREEBUSY") {
        for one in of(component, &zones, zone) {
            let (start, end, kind) = one?;
            // What has no length takes no time.
            found.extend(Window::new(start, end).map(|window| (window, kind)));
        }
    }
    Ok(found)
}

/// The periods of one VFREEBUSY: start, end (never before it), kind.
pub(super) fn of<'a>(
    component: &'a Component,
    zones: &'a Zones<'_>,
    zone: &'a TimeZone,
) -> impl Iterator<Item = Result<(Instant, Instant, Busy), Error>> + 'a {
    component.all("FREEBUSY").flat_map(move |property| {
        let kind = kind(property);
        let texts = property.value().split(',').map(str::trim).filter(|text| !text.is_empty());
        texts.map(move |text| period(text, property, zones, zone).map(|(start, end)| (start, end, kind)))
    })
}

fn kind(property: &Property) -> Busy {
    let is = |name: &str| property.param("FBTYPE").is_some_and(|kind| kind.trim().eq_ignore_ascii_case(name));
    match () {
        () if is("FREE") => Busy::Free,
        () if is("BUSY-TENTATIVE") => Busy::Tentative,
        () if is("BUSY-UNAVAILABLE") => Busy::Unavailable,
        () => Busy::Busy,
    }
}

fn period(text: &str, property: &Property, zones: &Zones<'_>, zone: &TimeZone) -> Result<(Instant, Instant), Error> {
    let wrong = || Error::Unreadable(format!("FREEBUSY:{text} is no period"));
    let (start, end) = text.split_once('/').ok_or_else(wrong)?;
    let at = |text: &str| match time::parse(text) {
        Some((wall, written)) => recur::when_of(wall, written, property, zones).map(Some),
        None => Ok(None),
    };
    let start = at(start)?.ok_or_else(wrong)?;
    let first = start.at(zone);
    let last = match at(end)? {
        Some(end) => end.at(zone),
        None => shifted(first, Duration::parse(end).ok_or_else(wrong)?, &start.frame, zone),
    };
    if last < first { Err(wrong()) } else { Ok((first, last)) }
}

/// From when until when an object of VFREEBUSYs says something, in whatever zone its floating times are taken. Without
/// bound: it has other components, or it can not be told.
pub(super) fn span(object: &Object) -> Span {
    const OPEN: Span = Span { first: None, last: None };
    let zones = Zones::of(object.calendar());
    let (mut first, mut last) = (Instant::MAX, Instant::MIN);
    for component in object.components() {
        if component.name() != "VFREEBUSY" {
            return OPEN;
        }
        for property in ["DTSTART", "DTEND"].into_iter().filter_map(|name| component.said(name)) {
            let Ok(when) = recur::when(property, &zones) else { return OPEN };
            let at = when.at(&TimeZone::UTC);
            (first, last) = (first.min(at), last.max(at));
        }
        let bounded = component.said("DTSTART").is_some() && component.said("DTEND").is_some();
        for one in of(component, &zones, &TimeZone::UTC) {
            match one {
                Ok((start, end, _)) => (first, last) = (first.min(start), last.max(end)),
                // What can not be read lies where all of it should.
                Err(_) if bounded => {}
                Err(_) => return OPEN,
            }
        }
    }
    if first > last {
        return OPEN;
    }
    // RFC 4791 9.9 lets it match at its very end.
    Span { first: Some(first.plus(-ANY_ZONE)), last: Some(last.plus(ANY_ZONE + 1)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ical::zone;

    fn object(lines: &str) -> Object {
        let text = format!(
            "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//x//EN\nBEGIN:VFREEBUSY\nUID:1\nDTSTAMP:20260101T000000Z\n{lines}\n\
             END:VFREEBUSY\nEND:VCALENDAR\n"
        );
        Object::parse(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
    }

    /// `0900-1000 busy`, of the fifth of January; `?` when it can not be told.
    fn said(lines: &str, reader: &str) -> String {
        let Ok(found) = periods(&object(lines), &zone::named(reader).unwrap()) else { return "?".to_owned() };
        let hour = |at: Instant| at.utc().replace("20260105T", "").replace("00Z", "");
        let one = |(window, kind): &(Window, Busy)| {
            format!("{}-{} {}", hour(window.start), hour(window.end), format!("{kind:?}").to_lowercase())
        };
        found.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn periods_by_their_type() {
        let cases = [
            ("FREEBUSY:20260105T090000Z/20260105T100000Z", "0900-1000 busy"),
            ("FREEBUSY:20260105T090000Z/PT1H", "0900-1000 busy"),
            ("FREEBUSY;FBTYPE=BUSY:20260105T090000Z/PT1H", "0900-1000 busy"),
            ("FREEBUSY;FBTYPE=BUSY-TENTATIVE:20260105T090000Z/PT1H", "0900-1000 tentative"),
            ("FREEBUSY;FBTYPE=busy-unavailable:20260105T090000Z/PT1H", "0900-1000 unavailable"),
            ("FREEBUSY;FBTYPE=FREE:20260105T090000Z/PT1H", "0900-1000 free"),
            ("FREEBUSY;FBTYPE=X-NAP:20260105T090000Z/PT1H", "0900-1000 busy"),
            ("FREEBUSY:20260105T090000Z/PT1H,20260105T110000Z/PT30M", "0900-1000 busy, 1100-1130 busy"),
            (
                "FREEBUSY;FBTYPE=FREE:20260105T090000Z/PT1H\nFREEBUSY:20260105T093000Z/PT1H",
                "0900-1000 free, 0930-1030 busy",
            ),
            // None at all, in every way to say so.
            ("DTSTART:20260105T000000Z\nDTEND:20260106T000000Z", ""),
            ("FREEBUSY:", ""),
            ("FREEBUSY:20260105T090000Z/PT0S", ""),
            ("FREEBUSY:20260105T090000Z/20260105T090000Z", ""),
            // Against the letter, and yet what is meant is plain.
            ("FREEBUSY:20260105T090000/PT1H", "0800-0900 busy"),
            ("FREEBUSY;TZID=Asia/Tokyo:20260105T090000/20260105T100000", "0000-0100 busy"),
            // What is taken is not known.
            ("FREEBUSY:20260105T090000Z", "?"),
            ("FREEBUSY:soon/PT1H", "?"),
            ("FREEBUSY:20260105T090000Z/later", "?"),
            ("FREEBUSY:20260105T090000Z/-PT1H", "?"),
            ("FREEBUSY:20260105T090000Z/20260105T080000Z", "?"),
            ("FREEBUSY;TZID=Nowhere:20260105T090000/PT1H", "?"),
            ("FREEBUSY:20260105T090000Z/PT1H,soon", "?"),
        ];
        for (lines, expect) in cases {
            assert_eq!(said(lines, "Europe/Berlin"), expect, "{lines}");
        }
    }

    #[test]
    fn a_span_holds_all_it_says() {
        let days = |lines: &str| {
            let span = object(lines).span();
            (span.first.map(|at| at.utc()), span.last.map(|at| at.utc()))
        };
        let known = |first: &str, last: &str| (Some(first.to_owned()), Some(last.to_owned()));
        const PERIOD: &str = "FREEBUSY:20260105T140000Z/PT1H";
        assert_eq!(days(PERIOD), known("20260105T000000Z", "20260106T050001Z"));
        assert_eq!(
            days(&format!("DTSTART:20260104T140000Z\nDTEND:20260110T100000Z\n{PERIOD}")),
            known("20260104T000000Z", "20260111T000001Z")
        );
        assert_eq!(days(&format!("{PERIOD}\nFREEBUSY:20270105T140000Z/PT1H")).1.as_deref(), Some("20270106T050001Z"));
        let torn = "DTSTART:20260104T140000Z\nDTEND:20260110T100000Z\nFREEBUSY:soon/PT1H";
        assert_eq!(days(torn), known("20260104T000000Z", "20260111T000001Z"));
        assert_eq!(days("COMMENT:nothing"), (None, None));
        assert_eq!(days(&format!("{PERIOD}\nFREEBUSY:soon/PT1H")), (None, None));
        assert_eq!(days("DTSTART;TZID=Nowhere:20260105T090000"), (None, None));
    }
}
