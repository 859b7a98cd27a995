//! COPY and MOVE of a resource: from one calendar to another, whatever kind they are.
//!
//! A move is never a loss. One transaction writes the object down where it goes and removes it where it was; then what
//! upstreams have to hear follows in order. The removal waits in its row until the object has arrived at the other
//! upstream (`Moving`), however often either side is restarted; is it refused there, what was moved is given back.

use tokio::time::Instant as Moment;

use super::write::{
    Condition, Done, Entered, Place, Refusal, Room, Settled, goes_to, may_hold, revive, store_in, stored, to_base,
    undo_in, until_settled,
};
use crate::app::App;
use crate::config::UpstreamAway;
use crate::ical::{Instant, Object};
use crate::ids::{Etag, Name, ResourceId, UserId};
use crate::store::calendars::{self, Calendar, Denied, Need, Source};
use crate::store::jobs::{self, Duty};
use crate::store::resources::{self, Resource, Version};
use crate::store::{self, Tx, properties, scheduling, shape, unified, users::Actor};

/// What to do with what is there already, and under which condition on the source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct How {
    /// False: COPY.
    pub moves: bool,
    pub overwrite: bool,
    pub condition: Condition,
}

/// Copies or moves the resource at `from` to `to`. Returns when the upstreams have judged it, or after `sync.write_wait`.
/// A refusal leaves everything as it was, or gives it back.
pub async fn relocate(app: &App, actor: &Actor, from: &Place, to: &Place, how: &How) -> Result<Done, Refusal> {
    let mut settled = app.settled.subscribe();
    let now = app.clock.now();
    let room = Room::of(&app.config.load().limits);
    let entered = {
        let (actor, from, to, how) = (actor.clone(), from.clone(), to.clone(), how.clone());
        app.store.write(move |tx| enter(tx, &actor, &from, &to, &how, room, now)).await?
    };
    let Relocated { target, source, created } = entered;
    let sync = app.config.load().sync.clone();
    let deadline = Moment::now() + sync.write_wait;
    let refuse = sync.upstream_away == UpstreamAway::Refuse;
    let done = |arrived: Option<(Option<Etag>, Option<String>)>, pending| {
        let (etag, schedule_tag) = arrived.unwrap_or_default();
        Ok(Done { created, etag, schedule_tag, pending })
    };
    let Some(arrival) = target else { return done(None, false) };
    let as_it_was = || Some((arrival.etag.clone(), arrival.schedule_tag.clone()));
    let arrived = match until_settled(app, &arrival, &mut settled, deadline).await? {
        Settled::Sent => as_it_was(),
        Settled::Altered => None,
        Settled::Changed => return done(None, true),
        Settled::Gone => {
            if let Some(departure) = &source {
                give_back_row(app, departure.row).await?;
            }
            return Err(Refusal::NoParent);
        }
        Settled::Conflict(current) => {
            undo(app, &arrival, source.as_ref(), false).await?;
            return Err(Refusal::Condition { current });
        }
        Settled::Refused(why) => {
            undo(app, &arrival, source.as_ref(), true).await?;
            return Err(Refusal::Upstream(why));
        }
        Settled::Away if refuse && undo(app, &arrival, source.as_ref(), true).await? => {
            return Err(Refusal::Later(sync.write_wait));
        }
        Settled::Away => return done(as_it_was(), true),
    };
    let Some(departure) = source else { return done(arrived, false) };
    match until_settled(app, &departure, &mut settled, deadline).await? {
        Settled::Sent | Settled::Altered | Settled::Gone => done(arrived, false),
        Settled::Changed => done(arrived, true),
        // It was changed there at the same time: that version is what lives, where it was.
        Settled::Conflict(current) => match take_back(app, &arrival, &departure).await? {
            true => Err(Refusal::Condition { current }),
            false => done(arrived, true),
        },
        Settled::Refused(why) => match take_back(app, &arrival, &departure).await? {
            true => Err(Refusal::Upstream(why)),
            false => done(arrived, true),
        },
        Settled::Away if refuse && take_back(app, &arrival, &departure).await? => Err(Refusal::Later(sync.write_wait)),
        Settled::Away => done(arrived, true),
    }
}

/// What is stored here of a copy or a move.
struct Relocated {
    /// `None`: it has another name and nothing else happened.
    target: Option<Entered>,
    /// Of a move: the removal.
    source: Option<Entered>,
    created: bool,
}

fn enter(
    tx: &mut Tx<'_>,
    actor: &Actor,
    from: &Place,
    to: &Place,
    how: &How,
    room: Room,
    now: Instant,
) -> Result<Relocated, Refusal> {
    if from == to {
        return Err(Refusal::NotMovable("it is there already: source and destination are the same".to_owned()));
    }
    calendars::lock_writer(tx, actor)?;
    let need = if how.moves { Need::Write } else { Need::Read };
    let source = calendars::open(tx, actor, &from.owner, &from.slug, need)?;
    let there = resources::get(tx, &source, &from.name)?;
    if !how.condition.holds(tx, actor, &source, there.as_ref())? {
        return Err(Refusal::Condition { current: there.map(|t| t.etag) });
    }
    let there = there.ok_or(Refusal::Missing)?;
    let object = stored(&there.body)?;
    let destination = calendars::open(tx, actor, &to.owner, &to.slug, Need::Write).map_err(|e| match e {
        Denied::Missing => Refusal::NoParent,
        Denied::ReadOnly(why) => Refusal::NotThere(why),
        e => e.into(),
    })?;
    shape::hasten(tx, &destination, object.uid(), now)?;
    let over = resources::get(tx, &destination, &to.name)?;
    if let Some(over) = &over
        && !how.overwrite
    {
        return Err(Refusal::Occupied { current: over.etag.clone() });
    }
    // Where it really comes from: of a unified calendar only what may be written can leave.
    let origin = match how.moves {
        true => Some(goes_to(tx, &source, Some(&there), &from.name, None)?),
        false => None,
    };
    if let Some((calendar, name)) = &origin
        && source.id == destination.id
    {
        return renamed(tx, &source, &there, over.as_ref(), calendar, name, &to.name, now);
    }
    let origin_row = match &origin {
        Some((calendar, name)) => resources::held(tx, calendar, name)?.map(|row| row.id),
        None => None,
    };
    let goes = goes_to(tx, &destination, over.as_ref(), &to.name, Some(&object));
    let (target, name) = goes.map_err(|refusal| match refusal {
        Refusal::Denied(Denied::ReadOnly(why)) => Refusal::NotThere(why),
        refusal => refusal,
    })?;
    if origin.as_ref().is_some_and(|(calendar, _)| calendar.id == target.id) {
        return Err(Refusal::NotMovable(format!("it is in {:?} already", target.slug)));
    }
    may_hold(tx, &destination, &target, over.as_ref(), &object, origin_row, room)?;
    // What changes its place among the calendars of one user takes no more room.
    if origin.as_ref().is_none_or(|(calendar, _)| calendar.user != target.user) {
        room.holds(tx, target.user, &object, over.as_ref())?;
    }
    if is_meeting(&object) {
        may_tell(tx, actor, &source, origin.as_ref().map(|(calendar, _)| calendar), &target, &object)?;
    }
    if over.is_none() {
        if matches!(destination.source, Source::Unified { .. })
            && resources::by_uid(tx, &destination, object.uid())?.is_none()
        {
            unified::reserve(tx, &destination, &to.name, object.uid(), now)?;
        }
        revive(tx, &target, object.uid(), &name, now)?;
    }
    let arrival = store_in(tx, &target, &name, Some(&object), over.is_none(), now)?;
    let schedule_tag = scheduling::tag_of(tx, &destination, object.text())?;
    let arrival = Entered { schedule_tag, ..arrival };
    // Before the resource goes, which takes its properties with it.
    let (path, new) = (properties::path_of(&source, &from.name), properties::path_of(&destination, &to.name));
    match how.moves {
        true => properties::take_along(tx, &path, &new)?,
        false => properties::copy(tx, actor.user, &path, &new)?,
    }
    let departure = match &origin {
        None => None,
        Some((calendar, name)) => Some(leave(tx, calendar, name, &arrival, &object, now)?),
    };
    finish_unified(tx, &source, &destination, from, to, &object, how.moves, now)?;
    Ok(Relocated { created: over.is_none(), target: Some(arrival), source: departure })
}

/// Within one calendar a move is another name, of which upstream hears nothing.
#[allow(clippy::too_many_arguments)]
fn renamed(
    tx: &mut Tx<'_>,
    calendar: &Calendar,
    there: &Resource,
    over: Option<&Resource>,
    origin: &Calendar,
    origin_name: &Name,
    to: &Name,
    now: Instant,
) -> Result<Relocated, Refusal> {
    if over.is_some() {
        return Err(Refusal::UidChanged);
    }
    let (path, new) = (properties::path_of(calendar, &there.name), properties::path_of(calendar, to));
    properties::take_along(tx, &path, &new)?;
    // A create that is on its way is known by its name.
    let busy = resources::held(tx, origin, origin_name)?.is_some_and(|row| row.dirty && row.remote.is_none());
    if busy || !resources::rename(tx, calendar, &there.name, to, now)? {
        return Err(Refusal::Later(std::time::Duration::from_secs(30)));
    }
    let etag = Some(there.etag.clone());
    let row = there.id;
    let schedule_tag = scheduling::tag_of(tx, calendar, &there.body)?;
    let arrival = Entered { row, seq: there.seq, created: true, etag, schedule_tag, sent: false, before: None };
    Ok(Relocated { target: Some(arrival), source: None, created: true })
}

/// Removes what was moved. What an upstream has to hear of that waits until it has arrived.
fn leave(
    tx: &mut Tx<'_>,
    calendar: &Calendar,
    name: &Name,
    arrival: &Entered,
    object: &Object,
    now: Instant,
) -> Result<Entered, Refusal> {
    let departure = store_in(tx, calendar, name, None, false, now)?;
    if arrival.sent {
        resources::moved_to(tx, departure.row, arrival.row, object.text())?;
    }
    Ok(departure)
}

/// What unified calendars show after it: the destination shows it under the name that was asked for; the source, should it
/// go on to show it, tells so, because the client that moved it away believes it gone.
#[allow(clippy::too_many_arguments)]
fn finish_unified(
    tx: &mut Tx<'_>,
    source: &Calendar,
    destination: &Calendar,
    from: &Place,
    to: &Place,
    object: &Object,
    moves: bool,
    now: Instant,
) -> Result<(), Refusal> {
    if matches!(destination.source, Source::Unified { .. })
        && let Some(shown) = resources::by_uid(tx, destination, object.uid())?
        && shown.name != to.name
    {
        resources::rename(tx, destination, &shown.name, &to.name, now)?;
    }
    if moves && matches!(source.source, Source::Unified { .. }) && resources::get(tx, source, &from.name)?.is_some() {
        resources::tell_again(tx, source, &from.name, now)?;
    }
    Ok(())
}

/// Whether other people are in it.
fn is_meeting(object: &Object) -> bool {
    object.components().any(|c| c.property("ATTENDEE").is_some())
}

/// An upstream that sends mails would take the removal of a meeting for its cancellation, or for a refusal to come, and a
/// second one for a second invitation. Nobody asked for those mails, so such a meeting stays where it is; and however many
/// copies of it are made here, no second upstream gets one while another has it.
fn may_tell(
    tx: &mut Tx<'_>,
    actor: &Actor,
    source: &Calendar,
    origin: Option<&Calendar>,
    target: &Calendar,
    object: &Object,
) -> Result<(), Refusal> {
    let tells = |calendar: &Calendar| matches!(calendar.source, Source::Mirror { .. });
    let why = if origin.is_some_and(tells) {
        "this is a meeting with other people, who would be told that it is cancelled: move it where it is kept, at its \
         own calendar service"
    } else if tells(target)
        && (origin.is_none() && !matches!(source.source, Source::Local) || elsewhere(tx, actor, target, object)?)
    {
        "this is a meeting with other people, who would be invited a second time: they have it already"
    } else {
        return Ok(());
    };
    Err(Refusal::NotMovable(why.to_owned()))
}

/// Whether another upstream has that meeting, as far as the actor may know.
fn elsewhere(tx: &mut Tx<'_>, actor: &Actor, target: &Calendar, object: &Object) -> Result<bool, store::Error> {
    let there = resources::mirrored(tx, actor, object.uid(), target.id)?;
    // One that can not be read any more may be a meeting.
    Ok(there.iter().any(|text| Object::parse(text).map_or(true, |there| is_meeting(&there))))
}

/// Takes back what has not arrived, and gives back what had left. `force`: also while it is on its way. False: it is
/// settled meanwhile, and there is nothing to take back.
async fn undo(app: &App, arrival: &Entered, departure: Option<&Entered>, force: bool) -> Result<bool, Refusal> {
    let Some(departure) = departure else {
        return Ok(force && revert_arrival(app, arrival).await?);
    };
    if force {
        let (row, now) = (departure.row, app.clock.now());
        let (entered, seq) = (arrival.clone(), arrival.seq);
        let mark = move |tx: &mut Tx<'_>| -> Result<bool, store::Error> {
            lock_rows(tx, row, entered.row)?;
            let there = resources::held_by_id(tx, entered.row)?;
            if !there.is_some_and(|there| there.seq == seq && there.dirty) {
                return Ok(false);
            }
            back(tx, row, Some(&entered), now).map(|()| true)
        };
        return Ok(app.store.write(mark).await?);
    }
    give_back_row(app, departure.row).await?;
    Ok(true)
}

async fn revert_arrival(app: &App, arrival: &Entered) -> Result<bool, store::Error> {
    let (entered, now) = (arrival.clone(), app.clock.now());
    let undo = move |tx: &mut Tx<'_>| -> Result<bool, store::Error> {
        lock_rows(tx, entered.row, entered.row)?;
        let Some(row) = resources::held_by_id(tx, entered.row)? else { return Ok(false) };
        let Some(calendar) = calendars::for_engine(tx, row.calendar)? else { return Ok(false) };
        undo_in(tx, &calendar, &entered, now)
    };
    app.store.write(undo).await
}

/// The row `from` was moved, and refused where it went, or that is no more: it is given back. For the worker that heard of
/// it.
pub(super) async fn give_back(app: &App, from: ResourceId) -> Result<(), super::Trouble> {
    Ok(give_back_row(app, from).await?)
}

async fn give_back_row(app: &App, from: ResourceId) -> Result<(), store::Error> {
    let now = app.clock.now();
    let give = move |tx: &mut Tx<'_>| -> Result<(), store::Error> {
        let Some(row) = resources::held_by_id(tx, from)? else { return Ok(()) };
        let Some(moving) = row.moving.filter(|moving| moving.back) else { return Ok(()) };
        lock_rows(tx, from, moving.to.unwrap_or(from))?;
        back(tx, from, None, now)
    };
    app.store.write(give).await
}

/// Takes the locks of the clocks of two rows' owners.
fn lock_rows(tx: &mut Tx<'_>, one: ResourceId, other: ResourceId) -> Result<(), store::Error> {
    let mut owner = |id| -> Result<Option<UserId>, store::Error> {
        let Some(row) = resources::held_by_id(tx, id)? else { return Ok(None) };
        Ok(calendars::for_engine(tx, row.calendar)?.map(|calendar| calendar.user))
    };
    match (owner(one)?, owner(other)?) {
        (Some(one), Some(other)) => calendars::lock_both(tx, one, other),
        (Some(one), None) | (None, Some(one)) => calendars::lock_of(tx, one),
        (None, None) => Ok(()),
    }
}

/// Under the locks: what was moved is where it was, with its properties, and no longer where it went.
fn back(tx: &mut Tx<'_>, from: ResourceId, arrival: Option<&Entered>, now: Instant) -> Result<(), store::Error> {
    let Some(row) = resources::held_by_id(tx, from)? else { return Ok(()) };
    // Somebody else was here before, or it is settled; and what is on its way once more was not refused this time.
    let Some(moving) = row.moving.clone().filter(|moving| moving.back || arrival.is_some()) else { return Ok(()) };
    let Some(calendar) = calendars::for_engine(tx, row.calendar)? else { return Ok(()) };
    if let Some(to) = moving.to
        && let Some(there) = resources::held_by_id(tx, to)?
        && let Some(target) = calendars::for_engine(tx, there.calendar)?
    {
        let (new, path) = (properties::path_of(&target, &there.name), properties::path_of(&calendar, &row.name));
        properties::take_along(tx, &new, &path)?;
        match arrival {
            Some(arrival) => {
                undo_in(tx, &target, arrival, now)?;
            }
            None if there.dirty && there.refused.is_some() => to_base(tx, &target, &there, now)?,
            // What upstream has there is not what was moved.
            None => {}
        }
    }
    resources::stay(tx, row.id)?;
    resources::save(tx, &calendar, &row.name, Version::Client(Some(&stored(&moving.text)?)), now)?;
    if matches!(calendar.source, Source::Mirror { .. }) {
        jobs::due_now(tx, Duty::Push(calendar.id), now)?;
    }
    Ok(())
}

/// It has arrived, and can not leave: it is where it was, and what was made of it is removed again, unless somebody has
/// changed it since or it stands in place of an earlier version. False: it could leave after all.
async fn take_back(app: &App, arrival: &Entered, departure: &Entered) -> Result<bool, store::Error> {
    let (arrival, departure, now) = (arrival.clone(), departure.clone(), app.clock.now());
    let take = move |tx: &mut Tx<'_>| -> Result<bool, store::Error> {
        lock_rows(tx, departure.row, arrival.row)?;
        let Some(row) = resources::held_by_id(tx, departure.row)? else { return Ok(false) };
        let Some(calendar) = calendars::for_engine(tx, row.calendar)? else { return Ok(false) };
        // A conflict has brought it back already, as it is there now.
        if row.seq == departure.seq && row.body.is_none() {
            if !row.dirty {
                return Ok(false);
            }
            to_base(tx, &calendar, &row, now)?;
        }
        let there = resources::held_by_id(tx, arrival.row)?;
        let unchanged = there.filter(|t| arrival.created && t.seq == arrival.seq && t.body.is_some());
        if let Some(there) = unchanged
            && let Some(target) = calendars::for_engine(tx, there.calendar)?
        {
            let (new, path) = (properties::path_of(&target, &there.name), properties::path_of(&calendar, &row.name));
            properties::take_along(tx, &new, &path)?;
            resources::save(tx, &target, &there.name, Version::Client(None), now)?;
            if matches!(target.source, Source::Mirror { .. }) {
                jobs::due_now(tx, Duty::Push(target.id), now)?;
            }
        }
        Ok(true)
    };
    let taken = app.store.write(take).await?;
    app.wake.notify_one();
    Ok(taken)
}
