//! The same event as others may see it: full, title, busy.
//!
//! Under a mask nothing is passed on: what is shown is read, and written anew from what it was read as. So no text of
//! the owner's comes through in a place that was not thought of: not in a parameter, a rule part, the name of a zone
//! or of a component, and not as it stood in the original. What can not be read is shown as such, and not as what it
//! says: the time stays unknown to whoever reads the masked text.

use std::collections::{BTreeMap, HashSet};

use hmac::{Hmac, KeyInit, Mac};
use jiff::tz::TimeZone;
use sha2::Sha256;

use super::recur::{self, Busy};
use super::text::PRODID;
use super::time::{self, Duration, Written};
use super::zone::Zones;
use super::{Component, Instant, Object, Property, Span, vtimezone};

/// What a viewer may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mask {
    /// That the time is taken, nothing else.
    Busy,
    /// Times and title.
    Title,
    /// Everything.
    Full,
}

impl Mask {
    /// Every mask, what hides most first.
    pub const ALL: [Mask; 3] = [Mask::Busy, Mask::Title, Mask::Full];

    /// As configuration and commands write it: `busy`.
    pub fn name(self) -> &'static str {
        match self {
            Mask::Busy => "busy",
            Mask::Title => "title",
            Mask::Full => "full",
        }
    }

    /// The mask of that name; `None`: there is none.
    pub fn from_name(name: &str) -> Option<Mask> {
        Mask::ALL.into_iter().find(|m| m.name() == name)
    }
}

/// Who looks: the key that the UIDs they see are made with. Who does not have it can neither find the UID behind a
/// masked one nor confirm a guess, and two viewers can not tell by their UIDs that they see the same event.
pub struct Viewer([u8; 32]);

impl Viewer {
    /// `secret` is known to no viewer and stays the same for ever; `who` parts the viewers under one secret.
    pub fn new(secret: &[u8], who: &str) -> Viewer {
        Viewer(hmac(secret, who))
    }
}

fn hmac(key: &[u8], text: &str) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().into()
}

/// What stands for a UID under a mask: HMAC-SHA-256 by the viewer's key. The same for one viewer always, and another
/// one for every other viewer. 40 hexadecimal digits.
pub fn masked_uid(uid: &str, viewer: &Viewer) -> String {
    hmac(&viewer.0, uid)[..20].iter().map(|b| format!("{b:02x}")).collect()
}

/// What stands for an object that can not be read: an event over all the time it may take, which is not known.
pub fn not_known(uid: &str, span: Span, viewer: &Viewer) -> String {
    // An open side is as far as the dates that clients are told of (RFC 4791 5.2.6).
    let first = span.first.unwrap_or(Instant(-2_208_988_800));
    let last = span.last.unwrap_or(Instant(4_133_980_800)).max(first.plus(1));
    let event = Component::new("VEVENT").with([
        Property::new("UID", masked_uid(uid, viewer)),
        Property::new("DTSTAMP", STAMP),
        Property::new("DTSTART", first.utc()),
        Property::new("DTEND", last.utc()),
        Property::new("SUMMARY", "Not known"),
        Property::new("TRANSP", "OPAQUE"),
        Property::new("X-MICROSOFT-CDO-BUSYSTATUS", "OOF"),
    ]);
    let head = [Property::new("VERSION", "2.0"), Property::new("PRODID", PRODID)];
    Component::new("VCALENDAR").with(head).with_components([event]).print()
}

/// Whether an object is for its owner's eyes (RFC 5545 3.8.1.3): private or confidential, or of a class that is not known,
/// which counts as private; in any of its components, or as a whole by the property of Apple's server.
pub fn is_private(object: &Object) -> bool {
    let said = |p: &Property| !matches!(p.value().trim().to_ascii_uppercase().as_str(), "" | "PUBLIC");
    let whole = object.calendar().all("X-CALENDARSERVER-ACCESS").any(said);
    whole || object.components().any(|c| c.all("CLASS").any(said))
}

/// When a masked component was made: always the same moment, because the true one tells when the owner was at work on
/// what is hidden. SEQUENCE is left out for the same reason.
const STAMP: &str = "19700101T000000Z";

/// `object` under `mask`, as `viewer` sees it. `Full` gives the text itself. Otherwise what the mask allows is written
/// anew: times, rules, and for `Title` SUMMARY and the STATUS of a to-do. The UID becomes [`masked_uid`].
///
/// [`recur::instances`] finds the same times in what is written, or like before can not read them. What a VEVENT does
/// to the time of the person with the addresses `me` (as [`recur::busy`] takes them) is said in plain words, and what
/// it follows from is not: [`recur::busy`] finds the same in what is written, whoever asks.
///
/// What is not hidden: times and rules with their zones, how many instances differ from their series, and the kind of
/// component. A zone is named by its IANA name, also where only its rules tell which it is; one that has none is numbered
/// and comes with its rules, a fixed offset too.
pub fn redact(object: &Object, mask: Mask, viewer: &Viewer, me: &[String]) -> String {
    if mask == Mask::Full {
        return object.text().to_owned();
    }
    let mut masked = Masked {
        calendar: object.calendar(),
        mask,
        uid: masked_uid(object.uid(), viewer),
        me,
        meant: Zones::of(object.calendar()),
        zones: Vec::new(),
        ids: Vec::new(),
    };
    let mut components: Vec<&Component> = object.components().collect();
    // The order in which they came is the order in which they were made.
    components.sort_by_cached_key(|c| c.value("RECURRENCE-ID").and_then(time::parse).map(|(wall, _)| wall));
    let components: Vec<Component> = components.into_iter().map(|c| masked.component(c)).collect();
    Component::new("VCALENDAR")
        .with([Property::new("VERSION", "2.0"), Property::new("PRODID", PRODID)])
        .with_components(masked.definitions())
        .with_components(components)
        .print()
}

/// One object while it is written anew.
struct Masked<'a> {
    calendar: &'a Component,
    mask: Mask,
    uid: String,
    me: &'a [String],
    /// What its TZIDs mean.
    meant: Zones<'a>,
    /// TZIDs as the object has them, and what stands for them.
    zones: Vec<(String, Shown)>,
    /// The RECURRENCE-IDs that were written.
    ids: Vec<Property>,
}

/// A zone as it is shown: its name, and its VTIMEZONE if there is one.
struct Shown {
    name: String,
    rules: Option<Component>,
}

impl Masked<'_> {
    fn component(&mut self, component: &Component) -> Component {
        // A name that nobody knows is a text like any other; what it names takes no time.
        let known = ["VEVENT", "VTODO", "VJOURNAL", "VFREEBUSY", "VAVAILABILITY"];
        let name = known.into_iter().find(|name| *name == component.name()).unwrap_or("VFREEBUSY");
        let mut lines = vec![Property::new("UID", &self.uid), Property::new("DTSTAMP", STAMP)];
        lines.extend(component.property("RECURRENCE-ID").and_then(|id| self.recurrence_id(id)));
        let end = if name == "VTODO" { "DUE" } else { "DTEND" };
        let one = |masked: &mut Self, name: &str| component.said(name).and_then(|p| masked.time(p));
        lines.extend(one(self, "DTSTART"));
        match one(self, end) {
            Some(end) => lines.push(end),
            None => lines.extend(component.said("DURATION").and_then(duration)),
        }
        for name in ["RRULE", "EXRULE"] {
            lines.extend(component.all(name).filter_map(|p| rule(p.value())).map(|rule| Property::new(name, rule)));
        }
        lines.extend(self.times(component, "RDATE"));
        lines.extend(self.times(component, "EXDATE"));
        match name {
            "VEVENT" => lines.extend(self.busy(component)),
            "VFREEBUSY" => lines.extend(component.all("FREEBUSY").filter_map(free_busy)),
            // What is to be done takes no time; whether it is done belongs to the title.
            _ if self.mask == Mask::Title => lines.extend(component.value("STATUS").and_then(status)),
            _ => {}
        }
        lines.extend(match self.mask {
            Mask::Busy if name == "VEVENT" && recur::busy(component, self.me) == Busy::Free => {
                Some(Property::new("SUMMARY", "Free"))
            }
            Mask::Busy => Some(Property::new("SUMMARY", "Busy")),
            _ => component.property("SUMMARY").map(title),
        });
        Component::new(name).with(lines)
    }

    /// What a VEVENT does to its owner's time, and not why.
    fn busy(&self, component: &Component) -> Vec<Property> {
        let busy = recur::busy(component, self.me);
        let cancelled = component.value("STATUS").is_some_and(|v| v.trim().eq_ignore_ascii_case("CANCELLED"));
        // Who may read the title of an event is not to wait for it in vain.
        let status = match busy {
            Busy::Tentative => Some("TENTATIVE"),
            Busy::Free if cancelled && self.mask == Mask::Title => Some("CANCELLED"),
            _ => None,
        };
        let transparency = if busy == Busy::Free { "TRANSPARENT" } else { "OPAQUE" };
        let mut lines: Vec<Property> = status.map(|status| Property::new("STATUS", status)).into_iter().collect();
        lines.push(Property::new("TRANSP", transparency));
        if busy == Busy::Unavailable {
            lines.push(Property::new("X-MICROSOFT-CDO-BUSYSTATUS", "OOF"));
        }
        lines
    }

    /// A property of one time.
    fn time(&mut self, property: &Property) -> Option<Property> {
        let (text, written) = moment(property.value(), property)?;
        let out = Property::new(property.name(), text);
        Some(match written {
            Written::Date => out.with_param("VALUE", "DATE"),
            Written::Utc => out,
            Written::Local => match self.zone(property) {
                Some(name) => out.with_param("TZID", &name),
                None => out,
            },
        })
    }

    fn recurrence_id(&mut self, property: &Property) -> Option<Property> {
        let mut out = self.time(property)?;
        if property.param("RANGE").is_some_and(|range| range.eq_ignore_ascii_case("THISANDFUTURE")) {
            out = out.with_param("RANGE", "THISANDFUTURE");
        }
        // Two that were written in two ways may be one now, and then the object would be none.
        while self.ids.iter().any(|id| id.value() == out.value() && id.param("TZID") == out.param("TZID")) {
            out.set_value(&format!("{} ", out.value()));
        }
        self.ids.push(out.clone());
        Some(out)
    }

    /// The times of all properties of a name, in order of time: the order in which they came tells in which they were
    /// made. One property for each form and zone.
    fn times(&mut self, component: &Component, name: &str) -> Vec<Property> {
        let mut forms: BTreeMap<(&str, Option<String>), Vec<String>> = BTreeMap::new();
        let mut unreadable = false;
        for property in component.all(name) {
            for value in property.value().split(',').map(str::trim).filter(|value| !value.is_empty()) {
                let Some((text, form, local)) = moment_or_period(value, property) else {
                    // An EXDATE that can not be read takes nothing away.
                    unreadable |= name == "RDATE";
                    continue;
                };
                let zone = if local { self.zone(property) } else { None };
                forms.entry((form, zone)).or_default().push(text);
            }
        }
        let mut out: Vec<Property> = Vec::new();
        for ((form, zone), mut texts) in forms {
            texts.sort_unstable();
            texts.dedup();
            let mut line = Property::new(name, texts.join(","));
            if form != "DATE-TIME" {
                line = line.with_param("VALUE", form);
            }
            out.extend([match zone {
                Some(zone) => line.with_param("TZID", &zone),
                None => line,
            }]);
        }
        if unreadable {
            out.push(Property::new(name, HIDDEN).with_param("VALUE", HIDDEN));
        }
        out
    }

    /// What stands for the zone of a property.
    fn zone(&mut self, property: &Property) -> Option<String> {
        let tzid = property.param("TZID").filter(|tzid| !tzid.is_empty())?;
        if let Some((_, shown)) = self.zones.iter().find(|(known, _)| *known == tzid) {
            return Some(shown.name.clone());
        }
        let shown = self.shown(&tzid);
        let name = shown.name.clone();
        self.zones.push((tzid.into_owned(), shown));
        Some(name)
    }

    /// What the object means by a TZID is what a reader of the masked text must find by the name.
    fn shown(&self, tzid: &str) -> Shown {
        let zone = self.meant.get(tzid);
        let own = self.definition(tzid).filter(|own| !own.components.is_empty());
        let number = self.zones.len() + 1;
        if let Some(name) = zone.as_ref().and_then(TimeZone::iana_name).filter(|name| !name.is_empty()) {
            return Shown { name: name.to_owned(), rules: own.map(|own| vtimezone(own, name)) };
        }
        let offset = zone.and_then(|zone| zone.to_fixed_offset().ok());
        let numbered = format!("Zone-{number}");
        match (offset, own) {
            (Some(offset), _) => {
                let rules = Some(fixed(i64::from(offset.seconds()), &numbered));
                Shown { name: numbered, rules }
            }
            (None, Some(own)) => Shown { rules: Some(vtimezone(own, &numbered)), name: numbered },
            // A zone that nothing defines must not be taken for one of another object in the same file.
            (None, None) => Shown { name: format!("Unknown-{number}"), rules: None },
        }
    }

    fn definition(&self, tzid: &str) -> Option<&Component> {
        self.calendar.components.iter().find(|c| c.name() == "VTIMEZONE" && c.value("TZID") == Some(tzid))
    }

    /// The VTIMEZONEs of the zones that are named, as far as there are any, each once.
    fn definitions(&mut self) -> Vec<Component> {
        let mut done: HashSet<String> = HashSet::new();
        let zones = std::mem::take(&mut self.zones).into_iter().map(|(_, shown)| shown);
        zones.filter_map(|shown| shown.rules.filter(|_| done.insert(shown.name))).collect()
    }
}

/// Stands for what can not be read. It can not be read either.
const HIDDEN: &str = "X-HIDDEN";

/// A DATE or DATE-TIME as it is meant, and its form. A time where VALUE says DATE means its day.
fn moment(text: &str, property: &Property) -> Option<(String, Written)> {
    let (wall, written) = time::parse(text)?;
    let says_date = property.param("VALUE").is_some_and(|v| v.eq_ignore_ascii_case("DATE"));
    Some(match written {
        Written::Utc if !says_date => (time::format_local(wall) + "Z", Written::Utc),
        Written::Local if !says_date => (time::format_local(wall), Written::Local),
        _ => (time::format_date(wall), Written::Date),
    })
}

/// The same of what may be a PERIOD: its text, its type, and whether a zone matters.
fn moment_or_period(text: &str, property: &Property) -> Option<(String, &'static str, bool)> {
    let Some((start, end)) = text.split_once('/') else {
        let (text, written) = moment(text, property)?;
        let form = if written == Written::Date { "DATE" } else { "DATE-TIME" };
        return Some((text, form, written == Written::Local));
    };
    let (start, written) = moment(start, property)?;
    let (end, local) = match moment(end, property) {
        Some((end, written)) => (end, written == Written::Local),
        None => (length(end)?, false),
    };
    Some((format!("{start}/{end}"), "PERIOD", written == Written::Local || local))
}

fn duration(property: &Property) -> Option<Property> {
    length(property.value()).map(|length| Property::new("DURATION", length))
}

/// A DURATION as it is written: signs, digits and the letters of units are all it can hold.
fn length(text: &str) -> Option<String> {
    Duration::parse(text).map(|_| text.trim().to_ascii_uppercase())
}

/// What a VFREEBUSY says. A type that is not known is busy (RFC 5545 3.2.9).
fn free_busy(property: &Property) -> Option<Property> {
    let periods = property.value().split(',').filter_map(|period| moment_or_period(period.trim(), property));
    let mut periods: Vec<String> =
        periods.filter(|(_, form, _)| *form == "PERIOD").map(|(period, ..)| period).collect();
    periods.sort_unstable();
    let kind = property.param("FBTYPE").unwrap_or_default().to_ascii_uppercase();
    let kinds = ["FREE", "BUSY-TENTATIVE", "BUSY-UNAVAILABLE"];
    let kind = kinds.into_iter().find(|known| *known == kind).unwrap_or("BUSY");
    (!periods.is_empty()).then(|| Property::new("FREEBUSY", periods.join(",")).with_param("FBTYPE", kind))
}

/// How far a VTODO or a VJOURNAL is.
fn status(text: &str) -> Option<Property> {
    let text = text.trim().to_ascii_uppercase();
    let known = ["NEEDS-ACTION", "IN-PROCESS", "COMPLETED", "CANCELLED", "DRAFT", "FINAL"];
    known.into_iter().find(|known| *known == text).map(|status| Property::new("STATUS", status))
}

/// The title, and the language it is in: no more of its parameters.
fn title(property: &Property) -> Property {
    let out = Property::new("SUMMARY", property.value());
    match property.param("LANGUAGE").filter(|language| is_language(language)) {
        Some(language) => out.with_param("LANGUAGE", &language),
        None => out,
    }
}

/// Language, script and region (RFC 5646): `de`, `zh-Hant-TW`. Longer tags may say anything.
fn is_language(tag: &str) -> bool {
    let mut parts = tag.split('-');
    let letters = |part: &str| part.bytes().all(|b| b.is_ascii_alphabetic());
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let language = parts.next().is_some_and(|part| matches!(part.len(), 2 | 3) && letters(part));
    let mut rest = parts.peekable();
    rest.next_if(|part| part.len() == 4 && letters(part));
    rest.next_if(|part| part.len() == 2 && letters(part) || part.len() == 3 && digits(part));
    language && rest.next().is_none()
}

/// A rule with the parts that say when; `None`: it is empty. Where anything else stands in it, it is a rule that can
/// not be followed, like before.
fn rule(text: &str) -> Option<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut hidden = false;
    for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        let part = part.split_once('=').and_then(|(name, value)| rule_part(name.trim(), value.trim()));
        hidden |= part.is_none();
        parts.extend(part);
    }
    if hidden {
        parts.push(format!("{HIDDEN}=1"));
    }
    (!parts.is_empty()).then(|| parts.join(";"))
}

/// Calendars that RSCALE may name (RFC 7529, CLDR).
const CALENDARS: &[&str] = &[
    "BUDDHIST",
    "CHINESE",
    "COPTIC",
    "DANGI",
    "ETHIOAA",
    "ETHIOPIC",
    "GREGORIAN",
    "HEBREW",
    "INDIAN",
    "ISLAMIC",
    "ISLAMIC-CIVIL",
    "ISLAMIC-TBLA",
    "ISLAMIC-UMALQURA",
    "JAPANESE",
    "PERSIAN",
    "ROC",
];
const FREQUENCIES: &[&str] = &["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY"];
const WEEKDAYS: &[&str] = &["MO", "TU", "WE", "TH", "FR", "SA", "SU"];

fn rule_part(name: &str, value: &str) -> Option<String> {
    let name = name.to_ascii_uppercase();
    let value = value.to_ascii_uppercase();
    let word = |known: &[&str]| known.contains(&value.as_str()).then(|| value.clone());
    let number = |text: &str| text.parse::<i64>().ok().map(|n| n.to_string());
    let list = |read: &dyn Fn(&str) -> Option<String>| {
        let items = value.split(',').map(str::trim).filter(|item| !item.is_empty());
        items.map(read).collect::<Option<Vec<_>>>().map(|items| items.join(","))
    };
    let value = match name.as_str() {
        "FREQ" => word(FREQUENCIES),
        "WKST" => word(WEEKDAYS),
        "RSCALE" => word(CALENDARS),
        "SKIP" => word(&["OMIT", "BACKWARD", "FORWARD"]),
        "INTERVAL" | "COUNT" => number(&value),
        "UNTIL" => time::parse(&value).map(|(wall, written)| match written {
            Written::Date => time::format_date(wall),
            Written::Local => time::format_local(wall),
            Written::Utc => time::format_local(wall) + "Z",
        }),
        "BYDAY" => list(&|day| {
            let (ordinal, day) = day.split_at_checked(day.len().checked_sub(2)?)?;
            let ordinal = if ordinal.is_empty() { String::new() } else { number(ordinal)? };
            WEEKDAYS.contains(&day).then(|| ordinal + day)
        }),
        // A leap month (RFC 7529).
        "BYMONTH" => list(&|month| match month.strip_suffix('L') {
            Some(month) => Some(number(month)? + "L"),
            None => number(month),
        }),
        "BYSECOND" | "BYMINUTE" | "BYHOUR" | "BYMONTHDAY" | "BYYEARDAY" | "BYWEEKNO" | "BYSETPOS" => list(&number),
        _ => None,
    };
    value.map(|value| format!("{name}={value}"))
}

/// A VTIMEZONE says when, not what: its observances with their offsets and onsets, under the name that is given.
fn vtimezone(definition: &Component, name: &str) -> Component {
    let observances = definition.components.iter().filter_map(|observance| {
        let name = ["STANDARD", "DAYLIGHT"].into_iter().find(|name| *name == observance.name())?;
        let first = |name: &str| observance.value(name);
        let local = |text: &str| time::parse(text).map(|(wall, _)| time::format_local(wall));
        let mut lines: Vec<Property> =
            first("DTSTART").and_then(local).map(|start| Property::new("DTSTART", start)).into_iter().collect();
        for name in ["TZOFFSETFROM", "TZOFFSETTO"] {
            let offset = first(name).and_then(vtimezone::offset).map(vtimezone::format_offset);
            lines.extend(offset.map(|offset| Property::new(name, offset)));
        }
        lines.extend(observance.all("RRULE").filter_map(|p| rule(p.value())).map(|r| Property::new("RRULE", r)));
        for property in observance.all("RDATE") {
            let starts = property.value().split(',').filter_map(|value| value.split('/').next());
            let starts: Vec<String> = starts.filter_map(local).collect();
            lines.extend((!starts.is_empty()).then(|| Property::new("RDATE", starts.join(","))));
        }
        Some(Component::new(name).with(lines))
    });
    Component::new("VTIMEZONE").with([Property::new("TZID", name)]).with_components(observances)
}

/// The VTIMEZONE of a zone that is always as many seconds before UTC.
fn fixed(seconds: i64, name: &str) -> Component {
    let offset = vtimezone::format_offset(seconds);
    let always = Component::new("STANDARD").with([
        Property::new("DTSTART", "16010101T000000"),
        Property::new("TZOFFSETFROM", &offset),
        Property::new("TZOFFSETTO", &offset),
    ]);
    Component::new("VTIMEZONE").with([Property::new("TZID", name)]).with_components([always])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//Secret Corp//EN\nX-WR-CALNAME:secret\nBEGIN:VTIMEZONE\n\
        TZID:Europe/Berlin\nCOMMENT:secret\nX-SECRET:1\nBEGIN:STANDARD\nDTSTART:19701025T030000\nTZOFFSETFROM:+0200\n\
        TZOFFSETTO:+0100\nCOMMENT:secret\nTZNAME:CET\nEND:STANDARD\nEND:VTIMEZONE\nBEGIN:VEVENT\nUID:secret@example.org\n\
        DTSTAMP:20260101T000000Z\nDTSTART;TZID=Europe/Berlin;X-SECRET=1:20260105T090000\nDTEND;TZID=Europe/Berlin:\
        20260105T100000\nRRULE:FREQ=DAILY;COUNT=3\nSUMMARY;ALTREP=\"cid:secret\":title\nDESCRIPTION:secret\n\
        LOCATION:secret\nATTENDEE;CN=secret:mailto:secret@example.org\nORGANIZER:mailto:secret@example.org\n\
        CATEGORIES:secret\nCLASS:PRIVATE\nURL:https://secret.example\nATTACH;FILENAME=secret:https://secret.example\n\
        CONFERENCE:https://secret.example\nX-SECRET:secret\nTRANSP:OPAQUE\nBEGIN:VALARM\nACTION:DISPLAY\n\
        DESCRIPTION:secret\nTRIGGER:-PT5M\nEND:VALARM\nEND:VEVENT\nBEGIN:VEVENT\nUID:secret@example.org\n\
        RECURRENCE-ID;TZID=Europe/Berlin:20260106T090000\nDTSTART;TZID=Europe/Berlin:20260106T120000\n\
        DURATION:PT1H\nSUMMARY:other title\nSTATUS:TENTATIVE\nEND:VEVENT\nEND:VCALENDAR\n";

    fn viewer(who: &str) -> Viewer {
        Viewer::new(&[7; 32], who)
    }

    #[test]
    fn what_can_not_be_read_is_all_its_time_and_says_nothing_else() {
        let viewer = Viewer::new(b"secret", "v");
        for (first, last) in
            [(Some(Instant(0)), Some(Instant(3600))), (None, None), (Some(Instant(5)), Some(Instant(5)))]
        {
            let text = not_known("who@example.org", Span { first, last }, &viewer);
            let object = Object::parse(&text).unwrap();
            assert_eq!(object.uid(), masked_uid("who@example.org", &viewer));
            assert_eq!(recur::busy(object.master().unwrap(), &[]), Busy::Unavailable);
            let span = object.span();
            assert!(first.is_none_or(|f| span.first.unwrap() <= f) && last.is_none_or(|l| span.last.unwrap() >= l));
        }
    }

    #[test]
    fn hides_all_but_what_the_mask_allows() {
        let object = Object::parse(TEXT).unwrap();
        assert_eq!(redact(&object, Mask::Full, &viewer("v"), &[]), TEXT);
        for (mask, titles) in [(Mask::Busy, false), (Mask::Title, true)] {
            let text = redact(&object, mask, &viewer("v"), &[]);
            assert!(!text.to_lowercase().contains("secret"), "{text}");
            assert_eq!(text.contains("title"), titles, "{text}");
            let masked = Object::parse(&text).unwrap();
            assert_eq!(masked.overrides().count(), 1);
            assert_eq!(masked.calendar().components[0].components[0].value("TZOFFSETTO"), Some("+0100"));
            // The times are the same.
            let times = |o: &Object| {
                let all = crate::ical::Window::ALL;
                let zone = jiff::tz::TimeZone::UTC;
                let found = crate::ical::recur::instances(o, all, &zone, Default::default()).unwrap();
                found.iter().map(|i| (i.start, i.end, i.recurrence_id)).collect::<Vec<_>>()
            };
            assert_eq!(times(&masked), times(&object));
        }
    }

    #[test]
    fn masks_the_uid_for_each_viewer() {
        let uid = |who| {
            let object = Object::parse(TEXT).unwrap();
            Object::parse(&redact(&object, Mask::Busy, &viewer(who), &[])).unwrap().uid().to_owned()
        };
        assert_eq!(uid("a"), uid("a"));
        assert_ne!(uid("a"), uid("b"));
        // Without the key nothing that is known leads to it.
        let by = |secret: &[u8]| masked_uid("secret@example.org", &Viewer::new(secret, "a"));
        assert_eq!(by(&[7; 32]), uid("a"));
        assert_ne!(by(&[8; 32]), uid("a"));
        // RFC 4231, test case 2, and what is made of it.
        assert_eq!(hmac(b"Jefe", "what do ya want for nothing?")[..4], [0x5b, 0xdc, 0xc1, 0x46]);
    }

    /// An event with these lines; `/` begins an override.
    fn series(lines: &str) -> Object {
        let parts = lines.split('/').enumerate().map(|(at, lines)| {
            let when = match at {
                0 => "DTSTART:20260601T100000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=5".to_owned(),
                at => format!("RECURRENCE-ID:2026060{at}T100000Z\nDTSTART:2026060{at}T120000Z\nDURATION:PT2H"),
            };
            let lines: String = lines.split_whitespace().map(|line| format!("{line}\n")).collect();
            format!("BEGIN:VEVENT\nUID:u\nDTSTAMP:20260101T000000Z\n{when}\n{lines}END:VEVENT\n")
        });
        let parts: String = parts.collect();
        let text = format!("BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//test//EN\n{parts}END:VCALENDAR\n");
        Object::parse(&text).unwrap()
    }

    fn anna() -> Vec<String> {
        vec!["anna@example.org".to_owned(), "a.muster@example.com".to_owned()]
    }

    /// What is said of the time, in the words of each component, without UID, times and title.
    #[test]
    fn says_what_the_time_is_and_not_why() {
        let check = |lines: &str, mask: Mask, expect: &[&str]| {
            let text = redact(&series(lines), mask, &viewer("v"), &anna());
            let said: Vec<String> = Component::parse(&text)
                .unwrap()
                .components
                .iter()
                .map(|c| {
                    let spoken = ["STATUS", "TRANSP", "X-MICROSOFT-CDO-BUSYSTATUS"];
                    let lines = c.properties.iter().filter(|p| spoken.contains(&p.name()));
                    lines.map(|p| p.value()).collect::<Vec<_>>().join(" ")
                })
                .collect();
            assert_eq!(said, expect, "{lines}: {text}");
            assert!(!text.contains("ATTENDEE") && !text.to_lowercase().contains("example"), "{text}");
        };
        let both = |lines: &str, expect: &[&str]| {
            check(lines, Mask::Busy, expect);
            check(lines, Mask::Title, expect);
        };
        both("", &["OPAQUE"]);
        both("STATUS:CONFIRMED TRANSP:OPAQUE", &["OPAQUE"]);
        both("TRANSP:TRANSPARENT", &["TRANSPARENT"]);
        both("TRANSP:X-WHATEVER", &["OPAQUE"]);
        both("STATUS:TENTATIVE", &["TENTATIVE OPAQUE"]);
        both("STATUS:TENTATIVE TRANSP:TRANSPARENT", &["TRANSPARENT"]);
        both("X-MICROSOFT-CDO-BUSYSTATUS:OOF", &["OPAQUE OOF"]);
        both("X-MICROSOFT-CDO-BUSYSTATUS:OOF STATUS:TENTATIVE", &["OPAQUE OOF"]);
        both("X-MICROSOFT-CDO-BUSYSTATUS:FREE", &["TRANSPARENT"]);
        both("X-MICROSOFT-CDO-BUSYSTATUS:TENTATIVE", &["TENTATIVE OPAQUE"]);
        both("X-MICROSOFT-CDO-BUSYSTATUS:WORKINGELSEWHERE", &["OPAQUE"]);
        both("ATTENDEE;PARTSTAT=DECLINED:mailto:Anna@Example.org", &["TRANSPARENT"]);
        both("ATTENDEE;PARTSTAT=TENTATIVE:mailto:anna@example.org", &["TENTATIVE OPAQUE"]);
        both("ATTENDEE;PARTSTAT=DECLINED:mailto:bert@example.org", &["OPAQUE"]);
        both("STATUS:TENTATIVE ATTENDEE;PARTSTAT=DECLINED:mailto:anna@example.org", &["TRANSPARENT"]);
        both("/ATTENDEE;PARTSTAT=DECLINED:mailto:anna@example.org", &["OPAQUE", "TRANSPARENT"]);
        both("ATTENDEE;PARTSTAT=TENTATIVE:mailto:anna@example.org /", &["TENTATIVE OPAQUE", "OPAQUE"]);
        check("STATUS:CANCELLED", Mask::Busy, &["TRANSPARENT"]);
        check("STATUS:CANCELLED", Mask::Title, &["CANCELLED TRANSPARENT"]);
    }

    proptest! {
        /// Whatever is said of the time of an event: under a mask the time is the same, for its owner and for anybody.
        #[test]
        fn every_instance_is_as_busy_as_before(
            parts in proptest::collection::vec(proptest::collection::vec(line(), 0..5), 1..4),
            title in any::<bool>(),
        ) {
            let object = series(&parts.iter().map(|lines| lines.join(" ")).collect::<Vec<_>>().join("/"));
            let mask = if title { Mask::Title } else { Mask::Busy };
            let text = redact(&object, mask, &viewer("v"), &anna());
            let masked = Object::parse(&text).unwrap();
            let time = |object: &Object, me: &[String]| {
                let all = crate::ical::Window::ALL;
                let found = recur::instances(object, all, &jiff::tz::TimeZone::UTC, Default::default()).unwrap();
                found.iter().map(|i| (i.start, i.end, recur::busy(i.component, me))).collect::<Vec<_>>()
            };
            prop_assert_eq!(time(&object, &anna()).len(), 5);
            prop_assert_eq!(time(&masked, &anna()), time(&object, &anna()), "{}", text);
            prop_assert_eq!(time(&masked, &[]), time(&object, &anna()), "{}", text);
        }
    }

    fn line() -> impl Strategy<Value = String> {
        let said = |name: &'static str, values: &'static [&'static str]| {
            proptest::sample::select(values).prop_map(move |value| format!("{name}:{value}"))
        };
        let people = ["anna@example.org", "A.Muster@example.com", "bert@example.org"];
        let answers = ["", ";PARTSTAT=DECLINED", ";PARTSTAT=TENTATIVE", ";PARTSTAT=ACCEPTED", ";PARTSTAT=NEEDS-ACTION"];
        let attendee = (proptest::sample::select(answers.to_vec()), proptest::sample::select(people.to_vec()))
            .prop_map(|(answer, person)| format!("ATTENDEE{answer}:mailto:{person}"));
        prop_oneof![
            said("TRANSP", &["OPAQUE", "TRANSPARENT", "transparent-noconflict", "X-OTHER"]),
            said("STATUS", &["CONFIRMED", "TENTATIVE", "CANCELLED", "tentative", "X-OTHER"]),
            said("X-MICROSOFT-CDO-BUSYSTATUS", &["FREE", "BUSY", "OOF", "TENTATIVE", "WORKINGELSEWHERE"]),
            attendee.clone(),
            attendee,
        ]
    }
}
