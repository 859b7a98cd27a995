//! The one way a client's change enters: put, delete, and from one calendar to another: see `relocate.rs`.

use std::time::Duration;

use tokio::sync::broadcast;
use tokio::time::Instant as Moment;

use crate::app::App;
use crate::config::{Limits, UpstreamAway};
use crate::ical;
use crate::ical::change::{self, Change, What};
use crate::ical::{Instant, Mask, Object};
use crate::ids::{Etag, Name, ResourceId, Seq, UserId};
use crate::store::calendars::{self, Calendar, Denied, Need, Source};
use crate::store::jobs::{self, Duty};
use crate::store::resources::{self, Held, Resource, Verdict, Version};
use crate::store::{self, Tx, homes, instances, scheduling, shape, unified, users::Actor};

/// What the client says must hold (RFC 9110 13.1, RFC 4918 10.4, RFC 6638 8.3). Decided inside the writing transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// `If-Match`: one of these; an empty list is `*`: something must be there.
    pub matches: Option<Vec<Etag>>,
    /// `If-None-Match`: none of these; an empty list is `*`: nothing may be there.
    pub none_match: Option<Vec<Etag>>,
    /// `If-Schedule-Tag-Match`.
    pub schedule_tag: Option<Etag>,
    /// `If`: one of these lists must hold.
    pub lists: Option<Vec<List>>,
}

/// One list of an `If` header: all of it must hold, of the resource that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    pub about: About,
    pub checks: Vec<Check>,
}

/// What a list of an `If` header is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// The resource at the URL of the request.
    This,
    Resource(Place),
    Calendar {
        owner: String,
        slug: String,
    },
    Home {
        owner: String,
    },
    /// A URL where nothing of ours has a state.
    Nothing,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub not: bool,
    pub state: State,
}

/// The state that something is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Of a resource.
    Etag(Etag),
    /// Of a calendar or a home, its sync token (RFC 6578 5). A lock's is one that nothing is ever in: there are none.
    Token(String),
}

/// Which resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub owner: String,
    pub slug: String,
    pub name: Name,
}

/// It is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// True: 201, false: 204.
    pub created: bool,
    /// `Some` only when a GET now gives the very bytes that were put.
    pub etag: Option<Etag>,
    /// The schedule tag that a GET now gives, as far as it is known and there is one.
    pub schedule_tag: Option<String>,
    /// Kept here, and not yet upstream.
    pub pending: bool,
}

/// It is not done, and nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    Denied(Denied),
    /// 412; with the etag of what is there, if anything is.
    Condition {
        current: Option<Etag>,
    },
    /// 412: something is there that is not to be replaced.
    Occupied {
        current: Etag,
    },
    /// 403 `no-uid-conflict`: another resource of this calendar has that UID.
    UidTaken {
        name: Name,
    },
    /// 403 `no-uid-conflict`: the resource is there with another UID.
    UidChanged,
    /// 403 `supported-calendar-component`.
    Component,
    /// 507: the calendar is full.
    Full,
    /// 507: all calendars of its owner together are as large as they may be.
    NoStorage,
    /// 409: there is no calendar to put it into.
    NoParent,
    /// 403: it can not be put there.
    NotThere(String),
    /// 403: it may not go from there to here; why.
    NotMovable(String),
    /// 403: the upstream will never take it; its words.
    Upstream(String),
    /// 404: there is nothing to delete.
    Missing,
    /// 503 with Retry-After: the upstream is away and the configuration says not to keep.
    Later(Duration),
    Store(store::Error),
}

impl Done {
    /// For an answer that is not at the URL of what was written.
    pub fn without_etag(self) -> Done {
        Done { etag: None, ..self }
    }
}

impl Condition {
    /// Whether it holds where `there` is what `calendar` has at the URL of the request.
    pub fn holds(
        &self,
        tx: &mut Tx<'_>,
        actor: &Actor,
        calendar: &Calendar,
        there: Option<&Resource>,
    ) -> Result<bool, store::Error> {
        let etag = there.map(|t| &t.etag);
        let one_of = |list: &[Etag]| etag.is_some_and(|t| list.is_empty() || list.contains(t));
        if !self.matches.as_deref().is_none_or(one_of) || self.none_match.as_deref().is_some_and(one_of) {
            return Ok(false);
        }
        if let Some(tag) = &self.schedule_tag {
            let there = there.map(|there| scheduling::tag_of(tx, calendar, &there.body)).transpose()?.flatten();
            if there.as_deref() != Some(tag.as_str()) {
                return Ok(false);
            }
        }
        self.lists_hold(tx, actor, etag)
    }

    /// The same for a collection, which is there and has no etag.
    pub fn holds_for_collection(&self, tx: &mut Tx<'_>, actor: &Actor) -> Result<bool, store::Error> {
        Ok(self.matches.as_deref().is_none_or(<[Etag]>::is_empty)
            && !self.none_match.as_deref().is_some_and(<[Etag]>::is_empty)
            && self.schedule_tag.is_none()
            && self.lists_hold(tx, actor, None)?)
    }

    /// Whether its `If` holds, `this` being the etag of what is at the URL of the request.
    pub fn lists_hold(&self, tx: &mut Tx<'_>, actor: &Actor, this: Option<&Etag>) -> Result<bool, store::Error> {
        let Some(lists) = &self.lists else { return Ok(true) };
        for list in lists {
            let state = match &list.about {
                About::This => this.cloned().map(State::Etag),
                about => state_of(tx, actor, about)?,
            };
            if list.checks.iter().all(|check| (state.as_ref() == Some(&check.state)) != check.not) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The state of what the actor sees there.
fn state_of(tx: &mut Tx<'_>, actor: &Actor, about: &About) -> Result<Option<State>, store::Error> {
    let mut open = |owner: &str, slug: &str| match calendars::open(tx, actor, owner, slug, Need::Read) {
        Ok(calendar) => Ok(Some(calendar)),
        Err(Denied::Store(e)) => Err(e),
        Err(_) => Ok(None),
    };
    match about {
        About::Resource(Place { owner, slug, name }) => match open(owner, slug)? {
            Some(calendar) => Ok(resources::get(tx, &calendar, name)?.map(|r| State::Etag(r.etag))),
            None => Ok(None),
        },
        About::Calendar { owner, slug } => Ok(open(owner, slug)?.map(|calendar| State::Token(calendar.token()))),
        About::Home { owner } if *owner == actor.name => match homes::own(tx, actor) {
            Ok(home) => Ok(Some(State::Token(home.token()))),
            Err(Denied::Store(e)) => Err(e),
            Err(_) => Ok(None),
        },
        About::This | About::Home { .. } | About::Nothing => Ok(None),
    }
}

impl From<store::Error> for Refusal {
    fn from(e: store::Error) -> Refusal {
        Refusal::Store(e)
    }
}

impl From<Denied> for Refusal {
    fn from(e: Denied) -> Refusal {
        match e {
            Denied::Store(e) => Refusal::Store(e),
            e => Refusal::Denied(e),
        }
    }
}

/// Creates or replaces the resource at `place`. Returns when the upstream has it, or has refused it, or after
/// `sync.write_wait`; by then it is stored here, unless it is refused.
pub async fn put(
    app: &App,
    actor: &Actor,
    place: &Place,
    object: Object,
    condition: &Condition,
) -> Result<Done, Refusal> {
    let (actor, place, condition, now) = (actor.clone(), place.clone(), condition.clone(), app.clock.now());
    // Whoever waits has to listen before there is something to hear.
    let settled = app.settled.subscribe();
    let room = Room::of(&app.config.load().limits);
    let entered = app.store.write(move |tx| enter(tx, &actor, &place, Some(&object), &condition, room, now)).await?;
    wait(app, entered, settled).await
}

/// Removes the resource at `place`. In a unified calendar its origin is removed; should another member have the same UID,
/// that one is shown from then on.
pub async fn delete(app: &App, actor: &Actor, place: &Place, condition: &Condition) -> Result<(), Refusal> {
    let (actor, place, condition, now) = (actor.clone(), place.clone(), condition.clone(), app.clock.now());
    let settled = app.settled.subscribe();
    let room = Room::of(&app.config.load().limits);
    let entered = app.store.write(move |tx| enter(tx, &actor, &place, None, &condition, room, now)).await?;
    wait(app, entered, settled).await.map(|_| ())
}

/// What became of one object of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    New,
    Replaced,
    /// What is here says the same.
    Same,
    /// Another version is here, and was not to be replaced.
    Kept,
    Refused(Refusal),
}

/// Enters the objects of a file, each where its UID is, or else under a name made of the UID. The rules are those of
/// [`put`], but nothing is waited for: an upstream hears of them as of what was written while it was away.
/// The error is one of all of them: the calendar can not be written, or the store.
#[allow(clippy::too_many_arguments)]
pub fn take(
    tx: &mut Tx<'_>,
    actor: &Actor,
    (owner, slug): (&str, &str),
    objects: &[Object],
    replace: bool,
    room: Room,
    now: Instant,
) -> Result<Vec<Taken>, Refusal> {
    let calendar = calendars::open(tx, actor, owner, slug, Need::Write)?;
    let mut all = Vec::with_capacity(objects.len());
    for object in objects {
        shape::hasten(tx, &calendar, object.uid(), now)?;
        let there = resources::by_uid(tx, &calendar, object.uid())?;
        let (name, done) = match there {
            Some(there) if says_as_much(&there.body, object) => {
                all.push(Taken::Same);
                continue;
            }
            Some(_) if !replace => {
                all.push(Taken::Kept);
                continue;
            }
            Some(there) => (there.name, Taken::Replaced),
            None => (resources::free_name(tx, &calendar, None, object.uid())?, Taken::New),
        };
        let place = Place { owner: owner.to_owned(), slug: slug.to_owned(), name };
        all.push(match enter(tx, actor, &place, Some(object), &Condition::default(), room, now) {
            Ok(_) => done,
            Err(Refusal::Store(e)) => return Err(e.into()),
            Err(refusal) => Taken::Refused(refusal),
        });
    }
    Ok(all)
}

/// Whether what is here says what the file says, however each writes down its zones and what made it.
fn says_as_much(here: &str, object: &Object) -> bool {
    here == object.text()
        || Object::parse(here).is_ok_and(|here| {
            let counts = |c: &Change| c.place != change::Place::Calendar && c.what != What::Echo;
            here.kind() == object.kind() && !change::between(&here, object).iter().any(counts)
        })
}

/// A change that is stored here.
#[derive(Clone)]
pub(super) struct Entered {
    pub(super) row: ResourceId,
    pub(super) seq: Seq,
    pub(super) created: bool,
    /// What GET gives now; `None`: nothing, it was deleted.
    pub(super) etag: Option<Etag>,
    /// And the schedule tag that comes with it.
    pub(super) schedule_tag: Option<String>,
    /// True: an upstream has to take it.
    pub(super) sent: bool,
    /// What was here before and had still to be sent itself: somebody was told that it is kept.
    pub(super) before: Option<Pending>,
}

/// A version that waits to be sent: its text, or that it was deleted.
#[derive(Clone)]
pub(super) struct Pending(Option<String>);

/// Decides and stores, in one transaction: nobody can change what was decided on.
fn enter(
    tx: &mut Tx<'_>,
    actor: &Actor,
    place: &Place,
    object: Option<&Object>,
    condition: &Condition,
    room: Room,
    now: Instant,
) -> Result<Entered, Refusal> {
    let calendar = calendars::open(tx, actor, &place.owner, &place.slug, Need::Write)?;
    if let Some(object) = object {
        shape::hasten(tx, &calendar, object.uid(), now)?;
    }
    let there = resources::get(tx, &calendar, &place.name)?;
    if !condition.holds(tx, actor, &calendar, there.as_ref())? {
        return Err(Refusal::Condition { current: there.map(|t| t.etag) });
    }
    if object.is_none() && there.is_none() {
        return Err(Refusal::Missing);
    }
    let (target, name) = goes_to(tx, &calendar, there.as_ref(), &place.name, object)?;
    let kept = match (object, &there, &condition.schedule_tag) {
        (Some(object), Some(there), Some(_)) => keep_answers(tx, &target, there, object)?,
        _ => None,
    };
    let object = kept.as_ref().or(object);
    if let Some(object) = object {
        may_hold(tx, &calendar, &target, there.as_ref(), object, None, room)?;
        room.holds(tx, target.user, object, there.as_ref())?;
        if there.is_none() {
            if matches!(calendar.source, Source::Unified { .. }) {
                unified::reserve(tx, &calendar, &place.name, object.uid(), now)?;
            }
            revive(tx, &target, object.uid(), &name, now)?;
        }
    }
    let entered = store_in(tx, &target, &name, object, there.is_none(), now)?;
    let schedule_tag = object.map(|o| scheduling::tag_of(tx, &calendar, o.text())).transpose()?.flatten();
    let entered = Entered { schedule_tag, ..entered };
    // What is kept of others' answers was not sent: without an ETag the client fetches it.
    Ok(if kept.is_some() { Entered { etag: None, ..entered } } else { entered })
}

/// What a client put whose schedule tag held, with the answers of others that it had not heard of.
fn keep_answers(
    tx: &mut Tx<'_>,
    target: &Calendar,
    there: &Resource,
    object: &Object,
) -> Result<Option<Object>, store::Error> {
    let Ok(held) = Object::parse(&there.body) else { return Ok(None) };
    let me = instances::addresses(tx, target.id)?;
    Ok(ical::scheduling::keep_answers(&held, object, &me))
}

/// The calendar and the name that a change of `name` in `calendar` goes to.
pub(super) fn goes_to(
    tx: &mut Tx<'_>,
    calendar: &Calendar,
    there: Option<&Resource>,
    name: &Name,
    object: Option<&Object>,
) -> Result<(Calendar, Name), Refusal> {
    match calendar.source {
        Source::Unified { .. } => route(tx, calendar, there, name, object),
        _ => Ok((calendar.clone(), name.clone())),
    }
}

/// Saves a client's version where it was decided that it goes, and sees to it that upstream hears of it. Which schedule tag
/// it has where the client looks is for the caller to say.
pub(super) fn store_in(
    tx: &mut Tx<'_>,
    target: &Calendar,
    name: &Name,
    object: Option<&Object>,
    created: bool,
    now: Instant,
) -> Result<Entered, Refusal> {
    let old = resources::held(tx, target, name)?;
    let saved = resources::save_over(tx, target, name, old.as_ref(), Version::Client(object), now)?;
    let row = saved.ok_or_else(|| store::Error::Broken("a saved row is not there".to_owned()))?;
    if row.dirty {
        jobs::due_now(tx, Duty::Push(target.id), now)?;
    }
    let before = old.filter(|row| row.dirty).map(|row| Pending(row.body));
    let etag = object.map(|_| row.etag);
    Ok(Entered { row: row.id, seq: row.seq, created, etag, schedule_tag: None, sent: row.dirty, before })
}

/// The row of a UID that was moved away from here and waits for that goes on under its new name: were it made anew beside
/// it, upstream would be told to make what it has, and then to remove it.
pub(super) fn revive(tx: &mut Tx<'_>, target: &Calendar, uid: &str, name: &Name, now: Instant) -> Result<(), Refusal> {
    let Some(old) = resources::unsent_tombstone(tx, target, uid)?.filter(|old| old != name) else { return Ok(()) };
    let moving = resources::held(tx, target, &old)?.is_some_and(|row| row.moving.is_some());
    if moving && !resources::rename(tx, target, &old, name, now)? {
        return Err(Refusal::Later(Duration::from_secs(30)));
    }
    Ok(())
}

/// How much there may be, of `[limits]`.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Resources of one calendar.
    objects: i64,
    /// Octets of all calendars of one user.
    octets: i64,
}

impl Room {
    pub fn of(limits: &Limits) -> Room {
        let number = |limit: u64| i64::try_from(limit).unwrap_or(i64::MAX);
        Room { objects: number(limits.objects as u64), octets: number(limits.storage) }
    }

    /// Whether `object`, in place of what is there, has room in what a user may store. What grows nothing always has.
    pub(super) fn holds(
        &self,
        tx: &mut Tx<'_>,
        user: UserId,
        object: &Object,
        there: Option<&Resource>,
    ) -> Result<(), Refusal> {
        let more = object.text().len() as i64 - there.map_or(0, |there| there.body.len() as i64);
        if more > 0 && resources::octets(tx, user)? + more > self.octets {
            return Err(Refusal::NoStorage);
        }
        Ok(())
    }
}

/// RFC 4791 5.3.2.1: one kind of component, one UID a resource, one resource a UID; and what there is room for.
/// `leaving`: a row that will be gone.
pub(super) fn may_hold(
    tx: &mut Tx<'_>,
    calendar: &Calendar,
    target: &Calendar,
    there: Option<&Resource>,
    object: &Object,
    leaving: Option<ResourceId>,
    room: Room,
) -> Result<(), Refusal> {
    if !target.components.contains(&object.kind()) {
        return Err(Refusal::Component);
    }
    match there {
        Some(there) if there.uid != object.uid() => Err(Refusal::UidChanged),
        Some(_) => Ok(()),
        None => {
            // Of a unified calendar the row in front may be the one that leaves, and the target have another.
            let also = leaving.is_some() && calendar.id != target.id;
            for at in [Some(calendar), also.then_some(target)].into_iter().flatten() {
                let Some(other) = resources::by_uid(tx, at, object.uid())? else { continue };
                let shown = resources::held_by_id(tx, other.id)?.map_or(other.id, |row| row.origin.unwrap_or(row.id));
                if leaving != Some(shown) {
                    return Err(Refusal::UidTaken { name: other.name });
                }
            }
            if resources::count(tx, target)? >= room.objects { Err(Refusal::Full) } else { Ok(()) }
        }
    }
}

/// Where a change of a unified calendar goes: what is there to its origin, what is new to `write_to`.
fn route(
    tx: &mut Tx<'_>,
    calendar: &Calendar,
    there: Option<&Resource>,
    name: &Name,
    object: Option<&Object>,
) -> Result<(Calendar, Name), Refusal> {
    let read_only = |why: String| Refusal::Denied(Denied::ReadOnly(why));
    let (target, name) = match (there, object) {
        (Some(there), _) => {
            let shown = resources::held_by_id(tx, there.id)?.and_then(|row| row.origin);
            let origin = match shown {
                Some(origin) => resources::held_by_id(tx, origin)?,
                None => None,
            };
            let origin = origin.ok_or(Refusal::Missing)?;
            let target = calendars::for_engine(tx, origin.calendar)?.ok_or(Refusal::Missing)?;
            (target, origin.name)
        }
        (None, Some(object)) => {
            let Source::Unified { write_to: Some(id) } = calendar.source else {
                let why = format!("the calendar that new objects of {:?} go to is not there yet", calendar.slug);
                return Err(read_only(why));
            };
            let target = calendars::for_engine(tx, id)?.ok_or(Refusal::Missing)?;
            // Deleted here a moment ago and not there yet: the same row goes on, and upstream hears of a change.
            let name = match resources::unsent_tombstone(tx, &target, object.uid())? {
                Some(name) => name,
                None => resources::free_name(tx, &target, Some(name.clone()), object.uid())?,
            };
            (target, name)
        }
        (None, None) => return Err(Refusal::Missing),
    };
    if !target.writable {
        return Err(read_only(format!("this is in {:?}, which can only be read", target.slug)));
    }
    // Who sees a mask has not seen what they would overwrite.
    let member = unified::members(tx, calendar.id)?.into_iter().find(|m| m.slug == target.slug);
    if member.is_none_or(|m| m.mask != Mask::Full) {
        return Err(read_only(format!("this is in {:?}, of which this calendar shows only a part", target.slug)));
    }
    Ok((target, name))
}

/// Waits until the upstream has judged the change, and says what the client is to hear.
async fn wait(app: &App, entered: Entered, mut settled: broadcast::Receiver<ResourceId>) -> Result<Done, Refusal> {
    let as_it_was = |pending| {
        let Entered { created, etag, schedule_tag, .. } = entered.clone();
        Ok(Done { created, etag, schedule_tag, pending })
    };
    // What became of it there is not known here yet.
    let altered = |pending| Ok(Done { created: entered.created, etag: None, schedule_tag: None, pending });
    let sync = app.config.load().sync.clone();
    match until_settled(app, &entered, &mut settled, Moment::now() + sync.write_wait).await? {
        Settled::Sent => return as_it_was(false),
        Settled::Altered => return altered(false),
        Settled::Changed => return altered(true),
        Settled::Conflict(current) => return Err(Refusal::Condition { current }),
        Settled::Refused(why) => {
            revert(app, entered).await?;
            return Err(Refusal::Upstream(why));
        }
        Settled::Gone => return Err(Refusal::Missing),
        Settled::Away => {}
    }
    match sync.upstream_away {
        UpstreamAway::Keep => as_it_was(true),
        UpstreamAway::Refuse => {
            let created = entered.created;
            match revert(app, entered).await? {
                true => Err(Refusal::Later(Duration::from_secs(30))),
                // It was settled between our look and our lock: what upstream took is not said to have failed.
                false => Ok(Done { created, etag: None, schedule_tag: None, pending: false }),
            }
        }
    }
}

/// What became of a change.
pub(super) enum Settled {
    /// Upstream holds it, or there is none.
    Sent,
    /// Upstream took it and made something else of it.
    Altered,
    /// Somebody else changed it meanwhile: what is sent is theirs, which was made of ours.
    Changed,
    /// Upstream had moved on; with the etag of what is here now, if anything is.
    Conflict(Option<Etag>),
    Refused(String),
    /// Upstream can not be asked, or takes longer than we wait.
    Away,
    /// The row is no more: its calendar was removed.
    Gone,
}

/// Waits until the upstream has judged a change, at most until `deadline`.
pub(super) async fn until_settled(
    app: &App,
    entered: &Entered,
    settled: &mut broadcast::Receiver<ResourceId>,
    deadline: Moment,
) -> Result<Settled, Refusal> {
    if !entered.sent {
        return Ok(Settled::Sent);
    }
    app.wake.notify_one();
    loop {
        let row = app.store.read({
            let id = entered.row;
            move |tx| resources::held_by_id(tx, id)
        });
        let Some(row) = row.await? else { return Ok(Settled::Gone) };
        match row.verdict {
            Some((seq, verdict)) if seq == entered.seq => {
                return Ok(match verdict {
                    Verdict::Sent => Settled::Sent,
                    Verdict::Altered => Settled::Altered,
                    Verdict::Conflict => Settled::Conflict(row.body.is_some().then_some(row.etag)),
                    Verdict::Refused => Settled::Refused(row.refused.unwrap_or_default()),
                    Verdict::Away => Settled::Away,
                });
            }
            _ if row.seq != entered.seq => return Ok(Settled::Changed),
            // Upstream holds it, and a pull that saw so has cleared the verdict.
            _ if !row.dirty => return Ok(Settled::Sent),
            _ => {}
        }
        let rest = deadline.saturating_duration_since(Moment::now());
        if rest.is_zero() {
            return Ok(Settled::Away);
        }
        // Another node may be the one that sends: it can not call here, so look now and then.
        let look = Moment::now() + rest.min(Duration::from_millis(250));
        while let Ok(Ok(id)) = tokio::time::timeout_at(look, settled.recv()).await {
            if id == entered.row {
                break;
            }
        }
    }
}

/// Takes a change back that the client is told was not made. Should the upstream have taken it all the same (it was asked,
/// and its answer was lost), the next pull brings it, as it brings any change made there. False: there was nothing to take
/// back any more, it was settled or changed again.
async fn revert(app: &App, entered: Entered) -> Result<bool, Refusal> {
    let (id, now) = (entered.row, app.clock.now());
    let undo = move |tx: &mut Tx<'_>| -> Result<bool, store::Error> {
        let Some(row) = resources::held_by_id(tx, id)? else { return Ok(false) };
        let Some(calendar) = calendars::for_engine(tx, row.calendar)? else { return Ok(false) };
        calendars::lock(tx, &calendar)?;
        undo_in(tx, &calendar, &entered, now)
    };
    Ok(app.store.write(undo).await?)
}

/// The same inside a transaction that has the clock's lock.
pub(super) fn undo_in(
    tx: &mut Tx<'_>,
    calendar: &Calendar,
    entered: &Entered,
    now: Instant,
) -> Result<bool, store::Error> {
    let Some(row) = resources::held_by_id(tx, entered.row)?.filter(|row| row.seq == entered.seq && row.dirty) else {
        return Ok(false);
    };
    // Back to what somebody was told is kept, or else to what both sides agreed on.
    let Some(Pending(text)) = &entered.before else { return to_base(tx, calendar, &row, now).map(|()| true) };
    let object = text.as_deref().map(stored).transpose()?;
    resources::save(tx, calendar, &row.name, Version::Client(object.as_ref()), now)?;
    jobs::due_now(tx, Duty::Push(calendar.id), now).map(|()| true)
}

/// An object that we stored.
pub(super) fn stored(text: &str) -> Result<Object, store::Error> {
    Object::parse(text).map_err(|e| store::Error::Broken(format!("a stored object can not be read: {e}")))
}

/// Makes a row what both sides last agreed on.
pub(super) fn to_base(tx: &mut Tx<'_>, calendar: &Calendar, row: &Held, now: Instant) -> Result<(), store::Error> {
    let base = row.base.as_deref().and_then(|text| Object::parse(text).ok());
    let to = match (&base, &row.remote, &row.remote_etag) {
        (Some(object), Some(remote), Some(etag)) => Version::Agreed { object, remote, etag },
        _ => Version::Gone,
    };
    resources::save(tx, calendar, &row.name, to, now).map(|_| ())
}
