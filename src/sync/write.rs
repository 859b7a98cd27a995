//! The one way a client's change enters: put, delete.

use std::time::Duration;

use tokio::sync::broadcast;
use tokio::time::Instant as Moment;

use crate::app::App;
use crate::config::UpstreamAway;
use crate::ical::change::{self, Change, What};
use crate::ical::{Instant, Mask, Object};
use crate::ids::{Etag, Name, ResourceId, Seq};
use crate::store::calendars::{self, Calendar, Denied, Need, Source};
use crate::store::jobs::{self, Duty};
use crate::store::resources::{self, Held, Resource, Verdict, Version};
use crate::store::{self, Tx, unified, users::Actor};

/// What the client says must hold (RFC 9110 13.1). Decided inside the writing transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// `If-Match`: one of these; an empty list is `*`: something must be there.
    pub matches: Option<Vec<Etag>>,
    /// `If-None-Match`: none of these; an empty list is `*`: nothing may be there.
    pub none_match: Option<Vec<Etag>>,
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
    /// 403 `no-uid-conflict`: another resource of this calendar has that UID.
    UidTaken {
        name: Name,
    },
    /// 403 `no-uid-conflict`: the resource is there with another UID.
    UidChanged,
    /// 403 `supported-calendar-component`.
    Component,
    /// 403: the upstream will never take it; its words.
    Upstream(String),
    /// 404: there is nothing to delete.
    Missing,
    /// 503 with Retry-After: the upstream is away and the configuration says not to keep.
    Later(Duration),
    Store(store::Error),
}

impl Condition {
    fn holds(&self, there: Option<&Etag>) -> bool {
        let one_of = |list: &[Etag]| there.is_some_and(|t| list.is_empty() || list.contains(t));
        self.matches.as_deref().is_none_or(one_of) && !self.none_match.as_deref().is_some_and(one_of)
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
    let entered = app.store.write(move |tx| enter(tx, &actor, &place, Some(&object), &condition, now)).await?;
    wait(app, entered, settled).await
}

/// Removes the resource at `place`. In a unified calendar its origin is removed; should another member have the same UID,
/// that one is shown from then on.
pub async fn delete(app: &App, actor: &Actor, place: &Place, condition: &Condition) -> Result<(), Refusal> {
    let (actor, place, condition, now) = (actor.clone(), place.clone(), condition.clone(), app.clock.now());
    let settled = app.settled.subscribe();
    let entered = app.store.write(move |tx| enter(tx, &actor, &place, None, &condition, now)).await?;
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
pub fn take(
    tx: &mut Tx<'_>,
    actor: &Actor,
    (owner, slug): (&str, &str),
    objects: &[Object],
    replace: bool,
    now: Instant,
) -> Result<Vec<Taken>, Refusal> {
    let calendar = calendars::open(tx, actor, owner, slug, Need::Write)?;
    let mut all = Vec::with_capacity(objects.len());
    for object in objects {
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
        all.push(match enter(tx, actor, &place, Some(object), &Condition::default(), now) {
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
struct Entered {
    row: ResourceId,
    seq: Seq,
    created: bool,
    /// What GET gives now; `None`: nothing, it was deleted.
    etag: Option<Etag>,
    /// True: an upstream has to take it.
    sent: bool,
    /// What was here before and had still to be sent itself: somebody was told that it is kept.
    before: Option<Pending>,
}

/// A version that waits to be sent: its text, or that it was deleted.
struct Pending(Option<String>);

/// Decides and stores, in one transaction: nobody can change what was decided on.
fn enter(
    tx: &mut Tx<'_>,
    actor: &Actor,
    place: &Place,
    object: Option<&Object>,
    condition: &Condition,
    now: Instant,
) -> Result<Entered, Refusal> {
    let calendar = calendars::open(tx, actor, &place.owner, &place.slug, Need::Write)?;
    let there = resources::get(tx, &calendar, &place.name)?;
    if !condition.holds(there.as_ref().map(|t| &t.etag)) {
        return Err(Refusal::Condition { current: there.map(|t| t.etag) });
    }
    if object.is_none() && there.is_none() {
        return Err(Refusal::Missing);
    }
    let (target, name) = match calendar.source {
        Source::Unified { .. } => route(tx, &calendar, there.as_ref(), &place.name, object)?,
        _ => (calendar.clone(), place.name.clone()),
    };
    if let Some(object) = object {
        may_hold(tx, &calendar, &target, there.as_ref(), object)?;
        if there.is_none() && matches!(calendar.source, Source::Unified { .. }) {
            unified::reserve(tx, &calendar, &place.name, object.uid(), now)?;
        }
    }
    let before = resources::held(tx, &target, &name)?.filter(|row| row.dirty).map(|row| Pending(row.body));
    let seq = resources::save(tx, &target, &name, Version::Client(object), now)?;
    let row = resources::held(tx, &target, &name)?;
    let row = row.ok_or_else(|| store::Error::Broken("a saved row is not there".to_owned()))?;
    if row.dirty {
        jobs::due_now(tx, Duty::Push(target.id), now)?;
    }
    let etag = object.map(|_| row.etag.clone());
    Ok(Entered { row: row.id, seq, created: there.is_none(), etag, sent: row.dirty, before })
}

/// RFC 4791 5.3.2.1: one kind of component, one UID a resource, one resource a UID.
fn may_hold(
    tx: &mut Tx<'_>,
    calendar: &Calendar,
    target: &Calendar,
    there: Option<&Resource>,
    object: &Object,
) -> Result<(), Refusal> {
    if !target.components.contains(&object.kind()) {
        return Err(Refusal::Component);
    }
    match there {
        Some(there) if there.uid != object.uid() => Err(Refusal::UidChanged),
        Some(_) => Ok(()),
        None => match resources::by_uid(tx, calendar, object.uid())? {
            Some(other) => Err(Refusal::UidTaken { name: other.name }),
            None => Ok(()),
        },
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
    let done = |etag: Option<Etag>, pending| Ok(Done { created: entered.created, etag, pending });
    if !entered.sent {
        return done(entered.etag.clone(), false);
    }
    app.wake.notify_one();
    let sync = app.config.load().sync.clone();
    let deadline = Moment::now() + sync.write_wait;
    loop {
        let row = app.store.read({
            let id = entered.row;
            move |tx| resources::held_by_id(tx, id)
        });
        let Some(row) = row.await? else { return Err(Refusal::Missing) };
        match row.verdict {
            Some((seq, verdict)) if seq == entered.seq => match verdict {
                Verdict::Sent => return done(entered.etag.clone(), false),
                Verdict::Altered => return done(None, false),
                Verdict::Conflict => {
                    return Err(Refusal::Condition { current: row.body.is_some().then_some(row.etag) });
                }
                Verdict::Refused => {
                    let why = row.refused.clone().unwrap_or_default();
                    revert(app, entered).await?;
                    return Err(Refusal::Upstream(why));
                }
                Verdict::Away => break,
            },
            // Somebody else changed it meanwhile: what is sent is theirs, which was made of ours.
            _ if row.seq != entered.seq => return done(None, true),
            // Upstream holds it, and a pull that saw so has cleared the verdict.
            _ if !row.dirty => return done(entered.etag.clone(), false),
            _ => {}
        }
        let rest = deadline.saturating_duration_since(Moment::now());
        if rest.is_zero() {
            break;
        }
        // Another node may be the one that sends: it can not call here, so look now and then.
        let look = Moment::now() + rest.min(Duration::from_millis(250));
        while let Ok(Ok(id)) = tokio::time::timeout_at(look, settled.recv()).await {
            if id == entered.row {
                break;
            }
        }
    }
    match sync.upstream_away {
        UpstreamAway::Keep => done(entered.etag.clone(), true),
        UpstreamAway::Refuse => {
            let created = entered.created;
            match revert(app, entered).await? {
                true => Err(Refusal::Later(Duration::from_secs(30))),
                // It was settled between our look and our lock: what upstream took is not said to have failed.
                false => Ok(Done { created, etag: None, pending: false }),
            }
        }
    }
}

/// Takes a change back that the client is told was not made. Should the upstream have taken it all the same (it was asked,
/// and its answer was lost), the next pull brings it, as it brings any change made there. False: there was nothing to take
/// back any more, it was settled or changed again.
async fn revert(app: &App, entered: Entered) -> Result<bool, Refusal> {
    let (id, seq, now) = (entered.row, entered.seq, app.clock.now());
    let before = entered.before;
    let undo = move |tx: &mut Tx<'_>| -> Result<bool, store::Error> {
        let Some(row) = resources::held_by_id(tx, id)? else { return Ok(false) };
        let Some(calendar) = calendars::for_engine(tx, row.calendar)? else { return Ok(false) };
        calendars::lock(tx, &calendar)?;
        let Some(row) = resources::held_by_id(tx, id)?.filter(|row| row.seq == seq && row.dirty) else {
            return Ok(false);
        };
        // Back to what somebody was told is kept, or else to what both sides agreed on.
        let Some(Pending(text)) = &before else { return to_base(tx, &calendar, &row, now).map(|()| true) };
        let object = text.as_deref().map(Object::parse).transpose();
        let object = object.map_err(|e| store::Error::Broken(format!("a stored object can not be read: {e}")))?;
        resources::save(tx, &calendar, &row.name, Version::Client(object.as_ref()), now)?;
        jobs::due_now(tx, Duty::Push(calendar.id), now).map(|()| true)
    };
    Ok(app.store.write(undo).await?)
}

/// Makes a row what both sides last agreed on.
fn to_base(tx: &mut Tx<'_>, calendar: &Calendar, row: &Held, now: Instant) -> Result<(), store::Error> {
    let base = row.base.as_deref().and_then(|text| Object::parse(text).ok());
    let to = match (&base, &row.remote, &row.remote_etag) {
        (Some(object), Some(remote), Some(etag)) => Version::Agreed { object, remote, etag },
        _ => Version::Gone,
    };
    resources::save(tx, calendar, &row.name, to, now).map(|_| ())
}
