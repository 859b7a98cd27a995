//! A whole calendar as one file: what GET on a calendar, its feeds and `calgate export` give.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::busy;
use crate::ical::file::{File, Form};
use crate::ical::filter::{self, CompFilter};
use crate::ical::recur::{self, Limits};
use crate::ical::select::{self, Select};
use crate::ical::{Component, Instant, Object, Property, Window, text};
use crate::ids::ResourceId;
use crate::store::calendars::Calendar;
use crate::store::resources;
use crate::store::{self, Tx};

/// How often a program that subscribed is asked to look again. Outlook reads one name of it, others the other.
const REFRESH: &str = "PT15M";
/// Rows that are held at one time, and rows whose lines are looked at in one go.
const PAGE: u32 = 100;
const LOOK: u32 = 1_000;

/// What is to be in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// How it is written.
    pub form: Form,
    /// Only what takes place in it; `None`: everything.
    pub window: Option<Window>,
    /// Each instance in the window by itself, without rules and zones.
    pub expand: bool,
    /// What expanding one object may cost.
    pub limits: Limits,
    /// Octets of an expanded file.
    pub octets: usize,
}

/// Why there is no file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// More instances of one object than are expanded, or a longer file.
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
    say("X-WR-TIMEZONE", calendar.time_zone().iana_name().unwrap_or_default());
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
/// it is known that it can be written to the end.
pub fn write(
    tx: &mut Tx<'_>,
    calendar: &Calendar,
    ask: &Ask,
    out: &mut dyn FnMut(String) -> bool,
) -> Result<(), Error> {
    let mut export = Export::of(ask);
    while !export.look(tx, calendar)? {}
    let mut go_on = out(export.open(calendar));
    while go_on {
        let (piece, last) = export.next(tx, calendar)?;
        go_on = out(piece) && !last;
    }
    Ok(())
}

/// A file that is being written: it holds the zones, and a page of rows at a time. Everything is gone over twice, by
/// `look` for the zones, which stand before all else, and then by `next`; each call is short.
pub struct Export {
    ask: Ask,
    file: File,
    after: ResourceId,
    /// Of an expanded file, as far as it was looked at.
    octets: usize,
}

impl Export {
    pub fn of(ask: &Ask) -> Export {
        Export { ask: *ask, file: File::new(ask.form), after: ResourceId(0), octets: 0 }
    }

    /// Looks at the next objects; true: there are no more.
    pub fn look(&mut self, tx: &mut Tx<'_>, calendar: &Calendar) -> Result<bool, Error> {
        if self.is_copy() {
            return self.copy(tx, calendar, None);
        }
        let (objects, last) = self.page(tx, calendar)?;
        for (shown, first) in &objects {
            self.file.see(shown, *first);
            if self.ask.expand {
                self.octets += shown.print().len();
            }
        }
        if self.octets > self.ask.octets {
            return Err(Error::TooMany);
        }
        Ok(last)
    }

    /// The beginning of the file, when all was looked at.
    pub fn open(&mut self, calendar: &Calendar) -> String {
        self.after = ResourceId(0);
        self.file.open(head(calendar), calendar.changed_at)
    }

    /// The next piece; true: it is the last one.
    pub fn next(&mut self, tx: &mut Tx<'_>, calendar: &Calendar) -> Result<(String, bool), Error> {
        let mut out = String::new();
        let last = match self.is_copy() {
            true => self.copy(tx, calendar, Some(&mut out))?,
            false => {
                let (objects, last) = self.page(tx, calendar)?;
                for (shown, first) in objects {
                    out.push_str(&self.file.put(shown, first));
                }
                last
            }
        };
        if last {
            out.push_str(self.file.close());
        }
        Ok((out, last))
    }

    /// Whether all objects go into it, each as it stands.
    fn is_copy(&self) -> bool {
        self.ask.window.is_none() && self.ask.form == Form::Text
    }

    /// Looks at the next objects of such a file, or writes them onto `out`; true: there are no more. Most are not read for
    /// it; one that has to be and can not is left out, and logged by name.
    fn copy(&mut self, tx: &mut Tx<'_>, calendar: &Calendar, mut out: Option<&mut String>) -> Result<bool, Error> {
        let (file, after) = (&mut self.file, &mut self.after);
        let most = if out.is_some() { PAGE } else { LOOK };
        let over = resources::texts(tx, calendar, *after, most, |text| {
            *after = text.id;
            let done = match &mut out {
                None => file.see_text(text.body, text.first),
                Some(out) => file.put_text(text.body, out),
            };
            if !done && let Some(object) = read(text.name, text.body) {
                let first = object.span().first;
                match &mut out {
                    None => file.see(object.calendar(), first),
                    Some(out) => out.push_str(&file.put(object.calendar().clone(), first)),
                }
            }
        })?;
        Ok(over)
    }

    /// The next objects that belong into the file, as they are to be there, with their first instants; true: there are no
    /// more. An object that can not be read any more is left out, and logged by name.
    fn page(&mut self, tx: &mut Tx<'_>, calendar: &Calendar) -> Result<(Vec<Shown>, bool), Error> {
        let zone = calendar.time_zone();
        let window = self.ask.window;
        let in_window =
            window.map(|w| CompFilter { name: "VCALENDAR".to_owned(), time_range: Some(w), ..CompFilter::default() });
        let expand = Select { expand: window.filter(|_| self.ask.expand), ..Select::default() };
        let rows = resources::page(tx, calendar, self.after, window.unwrap_or(Window::ALL), PAGE)?;
        let mut shown = Vec::with_capacity(rows.len());
        for object in rows.iter().filter_map(|row| read(row.name.as_str(), &row.body)) {
            if in_window.as_ref().is_some_and(|filter| !filter::matches(filter, &object, &zone)) {
                continue;
            }
            let first = object.span().first;
            match expand.expand {
                None => shown.push((object.calendar().clone(), first)),
                Some(_) => {
                    shown.extend(expanded(&object, &expand, &zone, self.ask.limits)?.map(|calendar| (calendar, first)))
                }
            }
        }
        let over = rows.len() < PAGE as usize;
        if let Some(last) = rows.into_iter().next_back() {
            self.after = last.id;
        }
        Ok((shown, over))
    }
}

/// An object as it is to be in the file, and its first instant.
type Shown = (Component, Option<Instant>);

fn read(name: &str, body: &str) -> Option<Object> {
    Object::parse(body).inspect_err(|e| tracing::error!("the object {name} can not be read: {e}")).ok()
}

/// `None`: its rule can not be followed, so that there are no instances to show.
fn expanded(object: &Object, expand: &Select, zone: &TimeZone, limits: Limits) -> Result<Option<Component>, Error> {
    match select::select(object, expand, zone, limits) {
        Ok(text) => Ok(Component::parse(&text).ok()),
        Err(recur::Error::TooMany) => Err(Error::TooMany),
        Err(recur::Error::Unreadable(_)) => Ok(None),
    }
}
