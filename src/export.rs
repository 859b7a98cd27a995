//! A whole calendar as one file: what GET on a calendar, its feeds and `calgate export` give.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::busy;
use crate::ical::file::{File, Form};
use crate::ical::filter::{self, CompFilter};
use crate::ical::recur::{self, Limits};
use crate::ical::select::{self, Select};
use crate::ical::{Component, Instant, Object, Property, Window, text, zone};
use crate::store::calendars::Calendar;
use crate::store::resources::{self, Resource};
use crate::store::{self, Tx};

/// How often a program that subscribed is asked to look again. Outlook reads one name of it, others the other.
const REFRESH: &str = "PT15M";
/// Rows that are held at one time.
const PAGE: u32 = 100;
/// Instances of an expanded file, and its octets.
const MOST_INSTANCES: usize = 10_000;
const MOST_OCTETS: usize = 32 << 20;

/// What is to be in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// How it is written.
    pub form: Form,
    /// Only what takes place in it; `None`: everything.
    pub window: Option<Window>,
    /// Each instance in the window by itself, without rules and zones.
    pub expand: bool,
}

/// Why there is no file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// More instances than are expanded at once.
    TooMany,
    Store(store::Error),
}

impl From<store::Error> for Error {
    fn from(e: store::Error) -> Error {
        Error::Store(e)
    }
}

/// What a file of this calendar begins with: it says what it is called and when to look again.
pub fn head(calendar: &Calendar) -> Vec<Property> {
    let mut head = busy::head(Some("PUBLISH"));
    let mut say = |name: &str, value: &str| {
        if !value.is_empty() {
            head.push(Property::new(name, text::escape(value)));
        }
    };
    say("NAME", &calendar.display_name);
    say("X-WR-CALNAME", &calendar.display_name);
    say("DESCRIPTION", &calendar.description);
    say("X-WR-CALDESC", &calendar.description);
    say("X-WR-TIMEZONE", &calendar.zone);
    // COLOR of RFC 7986 is one of CSS's names, which this is not.
    say("X-APPLE-CALENDAR-COLOR", &calendar.color);
    head.push(Property::new("REFRESH-INTERVAL", REFRESH).with_param("VALUE", "DURATION"));
    head.push(Property::new("X-PUBLISHED-TTL", REFRESH));
    head
}

/// A time as a person or a URL says it: RFC 3339 with an offset, `YYYYMMDDTHHMMSSZ`, or `YYYY-MM-DD` (midnight in
/// `zone`). Years 1 to 9998.
pub fn instant(text: &str, zone: &TimeZone) -> Option<Instant> {
    // In a URL a plus that was not escaped reads as a space.
    let text = text.trim().replace(' ', "+");
    let day = |date: Date| date.to_zoned(zone.clone()).ok().map(|midnight| midnight.timestamp());
    let at = match text.len() {
        10 => day(text.parse().ok()?)?,
        16 => jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", &text).ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp(),
        20.. => text.parse::<Timestamp>().ok()?,
        _ => return None,
    };
    let year = at.to_zoned(TimeZone::UTC).year();
    (1..=9998).contains(&year).then(|| Instant(at.as_second()))
}

/// The window of which one end may be open; `None`: both are. The error is a sentence.
pub fn window(from: Option<Instant>, to: Option<Instant>) -> Result<Option<Window>, String> {
    if from.is_none() && to.is_none() {
        return Ok(None);
    }
    let window = Window::new(from.unwrap_or(Instant::MIN), to.unwrap_or(Instant::MAX));
    window.map(Some).ok_or_else(|| "the end has to be after the start".to_owned())
}

/// A text that is another one whenever the file is: for its ETag.
pub fn version(calendar: &Calendar, ask: &Ask) -> String {
    let window = ask.window.map_or(String::new(), |w| format!("{} {} {}", w.start.0, w.end.0, ask.expand));
    let said: Vec<String> = head(calendar).iter().map(|p| format!("{}:{}", p.name(), p.value())).collect();
    format!("{} {:?} {window}\n{}", calendar.token(), ask.form, said.join("\n"))
}

/// Writes the file piece by piece, each given to `out` as it is made; `false` from `out` ends it. Nothing is given before
/// it is known that it can be written to the end. It holds a page of rows at a time, and the zones.
///
/// An object that can not be read any more is left out, and logged by name.
pub fn write(
    tx: &mut Tx<'_>,
    calendar: &Calendar,
    ask: &Ask,
    out: &mut dyn FnMut(String) -> bool,
) -> Result<(), Error> {
    let zone = zone::named(&calendar.zone).unwrap_or(TimeZone::UTC);
    let mut file = File::new(ask.form);
    let (mut instances, mut octets) = (0, 0);
    each(tx, calendar, ask, &zone, |shown, first| {
        file.see(shown, first);
        if ask.expand {
            instances += shown.components.len();
            octets += shown.print().len();
        }
        if instances > MOST_INSTANCES || octets > MOST_OCTETS { Err(Error::TooMany) } else { Ok(true) }
    })?;
    if !out(file.open(head(calendar), calendar.changed_at)) {
        return Ok(());
    }
    let mut more = true;
    each(tx, calendar, ask, &zone, |shown, first| {
        more = out(file.put(shown.clone(), first));
        Ok(more)
    })?;
    if more {
        out(file.close().to_owned());
    }
    Ok(())
}

/// Gives each object that belongs into the file, as it is to be there, with its first instant, until `f` has enough.
fn each(
    tx: &mut Tx<'_>,
    calendar: &Calendar,
    ask: &Ask,
    zone: &TimeZone,
    mut f: impl FnMut(&Component, Option<Instant>) -> Result<bool, Error>,
) -> Result<(), Error> {
    let in_window =
        ask.window.map(|w| CompFilter { name: "VCALENDAR".to_owned(), time_range: Some(w), ..CompFilter::default() });
    let expand = Select { expand: ask.window.filter(|_| ask.expand), ..Select::default() };
    let mut after = None;
    loop {
        let page = resources::page(tx, calendar, after.as_ref(), ask.window.unwrap_or(Window::ALL), PAGE)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.name.clone());
        for resource in &page {
            let Some(object) = read(resource) else { continue };
            if in_window.as_ref().is_some_and(|filter| !filter::matches(filter, &object, zone)) {
                continue;
            }
            let first = object.span().first;
            let go_on = match expand.expand {
                None => f(object.calendar(), first)?,
                Some(_) => match expanded(&object, &expand, zone)? {
                    Some(shown) => f(&shown, first)?,
                    None => true,
                },
            };
            if !go_on {
                return Ok(());
            }
        }
    }
}

fn read(resource: &Resource) -> Option<Object> {
    Object::parse(&resource.body)
        .inspect_err(|e| tracing::error!("the object {} can not be read: {e}", resource.name))
        .ok()
}

/// `None`: its rule can not be followed, so that there are no instances to show.
fn expanded(object: &Object, expand: &Select, zone: &TimeZone) -> Result<Option<Component>, Error> {
    match select::select(object, expand, zone, Limits { instances: MOST_INSTANCES, ..Limits::default() }) {
        Ok(text) => Ok(Component::parse(&text).ok()),
        Err(recur::Error::TooMany) => Err(Error::TooMany),
        Err(recur::Error::Unreadable(_)) => Ok(None),
    }
}
