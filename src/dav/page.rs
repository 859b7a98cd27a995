//! Answers that are written page by page, so that their length costs no memory: each page is a short read of its own,
//! and is made when the client has taken the one before it. Why that loses nothing:
//! `docs/decisions/0016-answers-are-written-page-by-page.md`.

use std::pin::Pin;
use std::sync::Arc;

use http::StatusCode;
use jiff::tz::TimeZone;
use tokio::sync::Semaphore;

use super::Error;
use super::path::Target;
use super::propfind;
use super::props::{Access, Node, Row, Scene};
use super::response::bare_response;
use super::sheet::{Data, Sheet};
use crate::app::App;
use crate::body::{Body, Cut, Rest};
use crate::ical::select::{self, Select};
use crate::ical::{Component, Instant, Kind, Object, jcal, recur, scheduling};
use crate::ids::Seq;
use crate::store::calendars::{self, Calendar, Need, Source};
use crate::store::properties::Dead;
use crate::store::walk::{Parts, Seen, Walk};
use crate::store::{self, Tx, instances, properties, unified};

/// Bytes after which a page is full.
pub const FULL: usize = 128 << 10;
/// Rows that one page looks at, and objects that one page reads: what makes no output has to end as well.
const ROWS: u32 = 2_000;
const OBJECTS: u32 = 200;

/// Whether a page was the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// There is another one, which takes that long.
    More(Pace),
    Last,
}

impl Page {
    /// There is another page, to be made at `pace`, as far as rows are what fills it: a page that is not full has looked
    /// through much that makes no output, and the next may as well.
    pub fn more(pace: Pace, out: &str) -> Page {
        Page::More(if out.len() < FULL { Pace::Slow } else { pace })
    }
}

/// How long a page takes to make, which decides where: what is quick keeps others waiting on this thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Rows are copied out.
    Quick,
    /// Objects are read, or much is looked through.
    Slow,
}

/// The body that `write` writes, page by page; each call has a snapshot of its own, and adds to the text it is given.
/// `pace`: of the first page.
/// What goes wrong before the first page is full is the answer, an error; what goes wrong later cuts the connection.
pub async fn body<W>(app: &Arc<App>, pace: Pace, write: W) -> Result<Body, Error>
where
    W: FnMut(&mut Tx<'_>, &mut String) -> Result<Page, Error> + Send + 'static,
{
    next(Arc::clone(app), None, pace, write).await
}

/// The same of slow pages, of which no more are made at one time than there are `turns`.
pub async fn body_in_turn<W, E>(app: &Arc<App>, turns: &Arc<Semaphore>, write: W) -> Result<Body, E>
where
    W: FnMut(&mut Tx<'_>, &mut String) -> Result<Page, E> + Send + 'static,
    E: From<store::Error> + Into<Cut> + Send + 'static,
{
    next(Arc::clone(app), Some(Arc::clone(turns)), Pace::Slow, write).await
}

type Next<E> = Pin<Box<dyn Future<Output = Result<Body, E>> + Send>>;

fn next<W, E>(app: Arc<App>, turns: Option<Arc<Semaphore>>, mut pace: Pace, mut write: W) -> Next<E>
where
    W: FnMut(&mut Tx<'_>, &mut String) -> Result<Page, E> + Send + 'static,
    E: From<store::Error> + Into<Cut> + Send + 'static,
{
    Box::pin(async move {
        let mut out = String::new();
        loop {
            let read = move |tx: &mut Tx<'_>| {
                let page = write(tx, &mut out)?;
                Ok::<_, E>((write, out, page))
            };
            // Nobody closes it.
            let turn = match &turns {
                Some(turns) => turns.acquire().await.ok(),
                None => None,
            };
            let page;
            (write, out, page) = match pace {
                Pace::Quick => app.store.glance(read).await?,
                Pace::Slow => app.store.read(read).await?,
            };
            drop(turn);
            pace = match page {
                Page::Last => return Ok(Body::from(out)),
                Page::More(pace) => pace,
            };
            if out.len() >= FULL {
                let rest = async move { next(app, turns, pace, write).await.map_err(E::into) };
                return Ok(Body::new(out, Some(Rest::new(rest))));
            }
        }
    })
}

impl From<Error> for Cut {
    fn from(error: Error) -> Cut {
        Cut(error.in_words())
    }
}

/// A calendar whose rows are written.
pub struct Place {
    pub calendar: Calendar,
    /// With its final slash.
    pub href: String,
    pub zone: TimeZone,
    /// Under which its owner is invited, where schedule tags are wanted.
    me: Vec<String>,
    /// Dead properties of its resources are wanted, and there are some.
    dead: bool,
    /// What may be done with each resource has to be asked.
    access: bool,
}

impl Place {
    pub fn of(tx: &mut Tx<'_>, scene: &Scene, sheet: &Sheet, calendar: Calendar) -> Result<Place, Error> {
        let target = Target::Calendar { owner: calendar.owner.clone(), slug: calendar.slug.clone() };
        let dead = sheet.wants_dead(false) && properties::any_below(tx, scene.actor.user, &target.key())?;
        let me = if sheet.wants_schedule_tag() { instances::addresses_in(tx, &calendar)? } else { Vec::new() };
        Ok(Place {
            me,
            href: target.href(&scene.base),
            zone: calendar.time_zone(),
            dead,
            access: sheet.wants_access() && matches!(calendar.source, Source::Unified { .. }),
            calendar,
        })
    }

    /// The same place as a later page finds it. An error if it is gone by now: what was written of it is no answer.
    pub fn again(&self, tx: &mut Tx<'_>, scene: &Scene, sheet: &Sheet) -> Result<Place, Error> {
        let calendar = calendars::open(tx, &scene.actor, &self.calendar.owner, &self.calendar.slug, Need::Read)?;
        if calendar.id != self.calendar.id || calendar.epoch != self.calendar.epoch {
            return Err(Error::not_found());
        }
        Ok(Place { zone: self.zone.clone(), ..Place::of(tx, scene, sheet, calendar)? })
    }

    /// What may be done with a resource, unless each has to be asked.
    fn access(&self) -> Access {
        propfind::access(self.calendar.writable)
    }
}

/// Writes resources of calendars as response elements.
pub struct Writer {
    pub scene: Scene,
    pub sheet: Sheet,
    pub select: Select,
    /// Calendar data is given as jCal.
    pub json: bool,
    /// Bytes of calendar data that were made for this answer.
    pub selected: usize,
}

/// Which rows of a walk are written.
pub enum Choice<'a> {
    All,
    Kind(Kind),
    /// Says whether a row is wanted; gives the parsed object back if that was needed to tell, so that nobody parses twice.
    Decide(&'a dyn Fn(&Seen<'_>) -> Option<Option<Object>>),
}

impl Writer {
    pub fn wants_data(&self) -> bool {
        self.sheet.wants_data()
    }

    /// What has to be read of the rows that are written.
    fn parts(&self) -> Parts {
        let body = self.wants_data() || self.sheet.wants_schedule_tag();
        Parts { details: self.sheet.wants_details(), body, first: false }
    }

    /// How long it takes to write rows that are given.
    pub fn pace(&self) -> Pace {
        if self.parses() || self.sheet.wants_schedule_tag() { Pace::Slow } else { Pace::Quick }
    }

    /// Whether objects have to be parsed to write their data.
    fn parses(&self) -> bool {
        self.wants_data() && (self.json || self.select != Select::default())
    }

    /// Writes the next rows of a walk until the page is full; `most` of them at most, of which it gives the number, and
    /// whether there are no more.
    pub fn rows(
        &mut self,
        tx: &mut Tx<'_>,
        place: &Place,
        walk: &mut Walk,
        choice: &Choice<'_>,
        most: Option<u32>,
        out: &mut String,
    ) -> Result<(u32, bool), Error> {
        let decides = matches!(choice, Choice::Decide(_));
        let mut parts = self.parts();
        parts.details |= !matches!(choice, Choice::All);
        parts.body |= decides;
        let mut limit = if decides || self.parses() { OBJECTS } else { ROWS };
        limit = limit.min(most.unwrap_or(u32::MAX));
        let (mut count, mut kept, mut weight) = (0, Vec::new(), out.len());
        let over = walk.page(tx, &place.calendar, parts, limit, |seen| {
            count += 1;
            let object = match choice {
                Choice::All => None,
                Choice::Kind(kind) if seen.kind == *kind => None,
                Choice::Kind(_) => {
                    weight += seen.body.len();
                    return Ok(weight < FULL);
                }
                Choice::Decide(decide) => match decide(seen) {
                    Some(object) => object,
                    None => return Ok(true),
                },
            };
            if !seen.live {
                self.gone(place, seen.name, out);
            } else if place.dead || place.access {
                // What it has besides its row is read when the statement is done.
                weight += 512 + seen.body.len();
                kept.push((Kept::of(seen), object));
                return Ok(weight < FULL);
            } else {
                self.row(place, seen, object.as_ref(), &[], place.access(), out);
            }
            Ok(out.len() < FULL)
        })?;
        for (row, object) in &kept {
            let target = Target::Calendar { owner: place.calendar.owner.clone(), slug: place.calendar.slug.clone() };
            let key = target.key() + &row.name;
            let dead = if place.dead { properties::list(tx, self.scene.actor.user, &key)? } else { Vec::new() };
            let access = match place.access {
                true => propfind::access(unified::is_writable(tx, place.calendar.id, &row.name)?),
                false => place.access(),
            };
            self.row(place, &row.seen(), object.as_ref(), &dead, access, out);
        }
        Ok((count, over))
    }

    /// Writes one resource; false: there is none of that name.
    pub fn one(&mut self, tx: &mut Tx<'_>, place: &Place, name: &str, out: &mut String) -> Result<bool, Error> {
        let mut dead = Vec::new();
        let mut access = place.access();
        if place.dead {
            let target = Target::Calendar { owner: place.calendar.owner.clone(), slug: place.calendar.slug.clone() };
            dead = properties::list(tx, self.scene.actor.user, &(target.key() + name))?;
        }
        if place.access {
            access = propfind::access(unified::is_writable(tx, place.calendar.id, name)?);
        }
        let mut found = false;
        store::walk::one(tx, &place.calendar, name, self.parts(), |seen| {
            found = true;
            self.row(place, seen, None, &dead, access, out);
            Ok(())
        })?;
        Ok(found)
    }

    /// A resource that is no more.
    fn gone(&self, place: &Place, name: &str, out: &mut String) {
        let mut href = place.href.clone();
        super::path::encode(name, &mut href);
        bare_response(&href, StatusCode::NOT_FOUND, "", out);
    }

    fn row(
        &mut self,
        place: &Place,
        seen: &Seen<'_>,
        object: Option<&Object>,
        dead: &[Dead],
        access: Access,
        out: &mut String,
    ) {
        let wants_tag = self.sheet.wants_schedule_tag();
        let tag = if wants_tag { scheduling::tag(seen.body, &place.me) } else { None };
        let node = Node::Resource(&place.calendar, Row::from(seen).tagged(tag.as_deref()), access);
        let href = (place.href.as_str(), seen.name);
        let (wants_data, limits) = (self.wants_data(), &self.scene.limits);
        let mut write = |data: &Data<'_>| self.sheet.respond(&self.scene, href, &node, dead, data, out);
        if !wants_data {
            return write(&Data::None);
        }
        if !self.json && self.select == Select::default() {
            return write(&Data::Text(seen.body));
        }
        let parsed;
        let object = match object {
            Some(object) => object,
            None => match Object::parse(seen.body) {
                Ok(object) => {
                    parsed = object;
                    &parsed
                }
                // What we hold and can not read is given as it is: hiding it would be worse.
                Err(_) => return write(&Data::Text(seen.body)),
            },
        };
        let room = limits.expanded.saturating_sub(self.selected);
        match select::select(object, &self.select, &place.zone, limits.expansion(), room) {
            Ok(text) if self.selected <= limits.expanded => {
                self.selected += text.len();
                match self.json.then(|| Component::parse(&text)) {
                    Some(Ok(calendar)) => write(&Data::Json(&jcal::print(&calendar))),
                    Some(Err(_)) | None => write(&Data::Text(&text)),
                }
            }
            // Of one object too many, or of all of them together.
            Ok(_) | Err(recur::Error::TooMany) => {
                write(&Data::Failed(StatusCode::INSUFFICIENT_STORAGE, "<C:max-instances/>"));
            }
            Err(recur::Error::Unreadable(_)) => {
                write(&Data::Failed(StatusCode::FORBIDDEN, "<C:supported-calendar-data/>"));
            }
        }
    }
}

/// A row that outlives its statement.
struct Kept {
    name: String,
    kind: Kind,
    etag: String,
    size: i64,
    changed_at: Instant,
    body: String,
}

impl Kept {
    fn of(seen: &Seen<'_>) -> Kept {
        Kept {
            name: seen.name.to_owned(),
            kind: seen.kind,
            etag: seen.etag.to_owned(),
            size: seen.size,
            changed_at: seen.changed_at,
            body: seen.body.to_owned(),
        }
    }

    fn seen(&self) -> Seen<'_> {
        Seen {
            name: &self.name,
            kind: self.kind,
            etag: &self.etag,
            size: self.size,
            changed_at: self.changed_at,
            seq: Seq(0),
            live: true,
            body: &self.body,
            first: None,
        }
    }
}
