//! A whole calendar as one file: what GET on a calendar, its feeds and `calgate export` give.

use std::mem;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::busy;
use crate::ical::file::{File, Form};
use crate::ical::filter::{self, CompFilter};
use crate::ical::recur::{self, Limits};
use crate::ical::select::{self, Select};
use crate::ical::{self, Component, Instant, Object, Property, Window, text};
use crate::store::calendars::Calendar;
use crate::store::walk::{Parts, Seen, Walk};
use crate::store::{self, Tx};

/// How often a program that subscribed is asked to look again. Outlook reads one name of it, others the other.
const REFRESH: &str = "PT15M";
/// Rows, and octets of objects, after which one look at the calendar ends: some tens of milliseconds, and as much as one
/// object may have.
const ROWS: u32 = 1_000;
const OCTETS: usize = 2 << 20;
/// Octets of a piece of which the lines are only copied.
const PIECE: usize = 128 << 10;

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

/// How an object is shown, and its first instant; `None`: not at all. Objects that can not be read come with the reason.
pub type Show<'s> = dyn FnMut(&Seen<'_>, Result<&Object, &ical::Error>) -> Option<Shown> + 's;

/// An object as it is to be in the file, and its first instant.
pub type Shown = (Component, Option<Instant>);

/// Shows one as it is. One that can not be read any more is left out, and logged by name.
fn whole(seen: &Seen<'_>, object: Result<&Object, &ical::Error>) -> Option<Shown> {
    match object {
        Ok(object) => Some((object.calendar().clone(), object.span().first)),
        Err(e) => {
            tracing::error!("the object {} can not be read: {e}", seen.name);
            None
        }
    }
}

/// A file that is being written: it holds the zones, and a page of objects at a time. Everything is gone over twice, for
/// the zones, which stand before all else, and then for the rest; what fits one page is gone over once.
pub struct Export {
    ask: Ask,
    /// What the file begins with, until it is written.
    head: Vec<Property>,
    stamp: Instant,
    file: File,
    /// How far this has come; `None`: it has not begun.
    walk: Option<Walk>,
    /// The same from its start, until all zones are known.
    again: Option<Walk>,
    looked: bool,
    /// Of an expanded file, as far as it was looked at.
    octets: usize,
}

impl Export {
    /// `head`: what the file begins with; `stamp`: from when on its zones have to hold for some years.
    pub fn of(ask: &Ask, head: Vec<Property>, stamp: Instant) -> Export {
        Export { ask: *ask, head, stamp, file: File::new(ask.form), walk: None, again: None, looked: false, octets: 0 }
    }

    /// Writes the next piece, which may be nothing, by one short look at the calendar; true: it was the last one. Nothing is
    /// written before it is known that all can be. What the file ends with is [`Export::close`].
    /// `show`: how each object is shown; `None`: as it is.
    pub fn next(
        &mut self,
        tx: &mut Tx<'_>,
        calendar: &Calendar,
        show: Option<&mut Show<'_>>,
        out: &mut String,
    ) -> Result<bool, Error> {
        if show.is_none() && self.ask.window.is_none() && self.ask.form == Form::Text {
            return self.copy(tx, calendar, out);
        }
        let begins = self.walk.is_none();
        let (objects, last) = self.page(tx, calendar, show)?;
        if !self.looked {
            for (shown, first) in &objects {
                self.file.see(shown, *first);
                if self.ask.expand {
                    self.octets += shown.print().len();
                }
            }
            if self.octets > self.ask.octets {
                return Err(Error::TooMany);
            }
            if !last {
                return Ok(false);
            }
            self.looked = true;
            out.push_str(&self.file.open(mem::take(&mut self.head), self.stamp));
            if !begins {
                self.walk = self.again.take();
                return Ok(false);
            }
        }
        for (shown, first) in objects {
            out.push_str(&self.file.put(shown, first));
        }
        Ok(last)
    }

    pub fn close(&self) -> &'static str {
        self.file.close()
    }

    /// [`Export::next`] of a file that has each object as it stands: few of them have to be read for it.
    fn copy(&mut self, tx: &mut Tx<'_>, calendar: &Calendar, out: &mut String) -> Result<bool, Error> {
        let (file, looked) = (&mut self.file, self.looked);
        let walk = self.walk.get_or_insert_with(Walk::all);
        let parts = Parts { body: true, first: true, ..Parts::default() };
        let mut octets = 0;
        let over = walk.page(tx, calendar, parts, ROWS, |seen| {
            octets += seen.body.len();
            let done = match looked {
                true => file.put_text(seen.body, out),
                false => file.see_text(seen.body, seen.first),
            };
            if !done && let Some((shown, first)) = whole(seen, Object::parse(seen.body).as_ref()) {
                match looked {
                    true => out.push_str(&file.put(shown, first)),
                    false => file.see(&shown, first),
                }
            }
            Ok(octets < if looked { PIECE } else { OCTETS })
        })?;
        if looked || !over {
            return Ok(looked && over);
        }
        self.looked = true;
        self.walk = None;
        out.push_str(&self.file.open(mem::take(&mut self.head), self.stamp));
        Ok(false)
    }

    /// The next objects that belong into the file; true: there are no more.
    fn page(
        &mut self,
        tx: &mut Tx<'_>,
        calendar: &Calendar,
        mut show: Option<&mut Show<'_>>,
    ) -> Result<(Vec<Shown>, bool), Error> {
        let (zone, ask) = (calendar.time_zone(), self.ask);
        let in_window = ask.window.map(|w| CompFilter {
            name: "VCALENDAR".to_owned(),
            time_range: Some(w),
            ..CompFilter::default()
        });
        let expand = Select { expand: ask.window.filter(|_| ask.expand), ..Select::default() };
        let walk = match &mut self.walk {
            Some(walk) => walk,
            none => {
                let walk = match ask.window {
                    None => Walk::all(),
                    Some(window) => Walk::in_window(tx, calendar, window, false)?.walk,
                };
                self.again = Some(walk.clone());
                none.insert(walk)
            }
        };
        let (mut shown, mut octets, mut failed) = (Vec::new(), 0, None);
        let parts = Parts { details: true, body: true, first: false };
        let over = walk.page(tx, calendar, parts, ROWS, |seen| {
            octets += seen.body.len();
            let object = Object::parse(seen.body);
            if let (Some(filter), Ok(object)) = (&in_window, &object)
                && !filter::matches(filter, object, &zone)
            {
                return Ok(octets < OCTETS);
            }
            match (expand.expand, &object) {
                (Some(_), Ok(object)) => match expanded(object, &expand, &zone, &ask) {
                    Ok(calendar) => shown.extend(calendar.map(|calendar| (calendar, object.span().first))),
                    Err(e) => failed = Some(e),
                },
                (_, object) => shown.extend(match &mut show {
                    Some(show) => show(seen, object.as_ref()),
                    None => whole(seen, object.as_ref()),
                }),
            }
            Ok(octets < OCTETS && failed.is_none())
        })?;
        match failed {
            None => Ok((shown, over)),
            Some(e) => Err(e),
        }
    }
}

/// `None`: its rule can not be followed, so that there are no instances to show.
fn expanded(object: &Object, expand: &Select, zone: &TimeZone, ask: &Ask) -> Result<Option<Component>, Error> {
    match select::select(object, expand, zone, ask.limits, ask.octets) {
        Ok(text) => Ok(Component::parse(&text).ok()),
        Err(recur::Error::TooMany) => Err(Error::TooMany),
        Err(recur::Error::Unreadable(_)) => Ok(None),
    }
}
