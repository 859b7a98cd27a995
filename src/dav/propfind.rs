//! PROPFIND (RFC 4918 9.1): one response element a node.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::page::{self, Choice, FULL, Page, Place, Writer};
use super::path::Target;
use super::props::{Access, Node, Scene};
use super::request::{self, Depth, Prefer};
use super::response::{self, Answer};
use super::sheet::{Data, Sheet};
use super::{Asked, Error, options, schedule};
use crate::ical::select::Select;
use crate::store::calendars::{self, Calendar, Need};
use crate::store::properties::Dead;
use crate::store::scheduling::Facts;
use crate::store::users::{self, User};
use crate::store::walk::Walk;
use crate::store::{Tx, grants, homes, properties, resources, scheduling};

pub async fn answer(asked: Asked<'_>) -> Result<Answer, Error> {
    let wanted = request::propfind(asked.body, &asked.limits)?;
    let depth = depth(request::depth(asked.headers)?, &asked.target)?;
    let prefer = Prefer::read(asked.headers);
    let sheet = Sheet::new(wanted, prefer.minimal, false);
    let mut writer = Writer { scene: scene(&asked), sheet, select: Select::default(), json: false, selected: 0 };
    let target = asked.target.clone();
    // What is still to be listed; `None` before the first page. Tokens stand in the first page, which is read before any
    // member: what is older than that is listed, what is newer may be.
    let mut left: Option<Left> = None;
    // Apple's clients look for what a place can do in the answer to a PROPFIND too; what that needs is read with the rest.
    let scheduled = Arc::new(AtomicBool::new(false));
    let found = Arc::clone(&scheduled);
    let body = page::body(asked.app, writer.pace(), move |tx, out| {
        let left = match &mut left {
            Some(left) => {
                if let Left::Members(place, _) = left {
                    **place = place.again(tx, &writer.scene, &writer.sheet)?;
                }
                left
            }
            None => {
                response::open_root("D:multistatus", out);
                let (listed, scheduled) = first(tx, &mut writer, &target, depth, prefer.noroot, out)?;
                found.store(scheduled, Ordering::Relaxed);
                left.insert(listed)
            }
        };
        let over = match left {
            Left::Members(place, walk) => writer.rows(tx, place, walk, &Choice::All, None, out)?.1,
            Left::Calendars(calendars) => {
                while out.len() < FULL
                    && let Some(calendar) = calendars.pop_front()
                {
                    let target = Target::Calendar { owner: calendar.owner.clone(), slug: calendar.slug.clone() };
                    collection(tx, &writer.scene, &mut writer.sheet, &target, &Node::Calendar(&calendar), out)?;
                }
                calendars.is_empty()
            }
        };
        if !over {
            return Ok(Page::more(writer.pace(), out));
        }
        response::close_root("D:multistatus", out);
        Ok(Page::Last)
    });
    let answer = with_preference(response::multistatus(body.await?), prefer);
    let dav = options::dav(asked.app, Some(&asked.target), scheduled.load(Ordering::Relaxed));
    Ok(options::with_dav(answer, &dav))
}

/// What the properties of this request's answer depend on.
pub fn scene(asked: &Asked<'_>) -> Scene {
    Scene {
        actor: asked.actor.clone(),
        base: asked.base.clone(),
        limits: asked.limits,
        home: None,
        stored: None,
        push: asked.app.push.load_full(),
    }
}

/// Says which preferences a listing followed.
pub fn with_preference(answer: Answer, prefer: Prefer) -> Answer {
    response::with_preference(answer, &prefer.applied(Prefer::LISTING))
}

/// How deep to go. Infinity is refused where it would walk through calendars (RFC 4918 9.1 allows that); a calendar has
/// no collections in it, so there it is the same as 1.
/// No header means infinity by the RFC. Clients that leave it out do not mean that: at the root and a principal they
/// look for properties of that very thing, and in a home or a calendar for what is in it.
fn depth(sent: Option<Depth>, target: &Target) -> Result<Depth, Error> {
    Ok(match (sent, target) {
        (_, Target::Resource { .. } | Target::Principal { .. }) => Depth::Zero,
        (Some(Depth::Infinity), Target::Root { .. } | Target::Principals | Target::Home { .. }) => {
            return Err(Error::refused("<D:propfind-finite-depth/>", "ask with Depth 0 or 1 here"));
        }
        (None, Target::Root { .. } | Target::Principals) => Depth::Zero,
        (Some(Depth::Zero), _) => Depth::Zero,
        _ => Depth::One,
    })
}

/// What is listed after the first things.
enum Left {
    /// What is in a calendar, and how far that has come.
    Members(Box<Place>, Walk),
    /// The calendars of a home, as they were at first.
    Calendars(VecDeque<Calendar>),
}

/// Writes all but what there may be many of; gives that, and whether an upstream sends the invitations of what is put here.
fn first(
    tx: &mut Tx<'_>,
    writer: &mut Writer,
    target: &Target,
    depth: Depth,
    noroot: bool,
    out: &mut String,
) -> Result<(Left, bool), Error> {
    if matches!(target, Target::Root { .. } | Target::Home { .. }) {
        writer.scene.home = Some(homes::own(tx, &writer.scene.actor)?.token());
    }
    if writer.sheet.wants_quota() {
        writer.scene.stored = Some(resources::octets(tx, writer.scene.actor.user)?);
    }
    let (scene, sheet) = (&writer.scene, &mut writer.sheet);
    let deep = depth == Depth::One;
    let this = !(deep && noroot);
    let href = target.href(&scene.base);
    let scheduled;
    match target {
        Target::Root { .. } => {
            scheduled = false;
            if this {
                sheet.respond(scene, (&href, ""), &Node::Root, &[], &Data::None, out);
            }
            if deep {
                let user = own_user(tx, scene)?;
                let principals = Target::Principals.href(&scene.base);
                sheet.respond(scene, (&principals, ""), &Node::Principals, &[], &Data::None, out);
                collection(tx, scene, sheet, &Target::Home { owner: user.name.clone() }, &Node::Home(&user), out)?;
            }
        }
        Target::Principals => {
            scheduled = false;
            if this {
                sheet.respond(scene, (&href, ""), &Node::Principals, &[], &Data::None, out);
            }
            if deep {
                // Of others, those one shares something with: who else has a login here is nobody's business.
                let mut users = vec![own_user(tx, scene)?];
                users.extend(grants::acquainted(tx, scene.actor.user)?);
                for user in &users {
                    let target = Target::Principal { user: user.name.clone() };
                    collection(tx, scene, sheet, &target, &Node::Principal(user), out)?;
                }
            }
        }
        Target::Principal { user } => {
            let user = principal(tx, scene, user)?;
            scheduled = options::scheduled(tx, &scene.actor, &user.name)?;
            let target = Target::Principal { user: user.name.clone() };
            collection(tx, scene, sheet, &target, &Node::Principal(&user), out)?;
        }
        Target::Home { owner } => {
            let calendars = calendars::home(tx, &scene.actor, owner)?;
            scheduled = scheduling::all_schedule(&calendars);
            let owner = users::by_name(tx, owner)?.ok_or_else(Error::not_found)?;
            let home = Target::Home { owner: owner.name.clone() };
            if this {
                collection(tx, scene, sheet, &home, &Node::Home(&owner), out)?;
            }
            if deep && owner.id == scene.actor.user {
                let facts = Facts::of(tx, &owner, &calendars)?;
                let name = || owner.name.clone();
                let (inbox, outbox) = (Node::Inbox(&owner, &facts), Node::Outbox(&owner, &facts));
                collection(tx, scene, sheet, &Target::Inbox { owner: name() }, &inbox, out)?;
                collection(tx, scene, sheet, &Target::Outbox { owner: name() }, &outbox, out)?;
            }
            if deep {
                return Ok((Left::Calendars(calendars.into()), scheduled));
            }
        }
        Target::Inbox { owner } | Target::Outbox { owner } => {
            let (user, facts) = schedule::of_own(tx, &scene.actor, owner)?;
            scheduled = facts.schedules;
            let node = match target {
                Target::Inbox { .. } => Node::Inbox(&user, &facts),
                _ => Node::Outbox(&user, &facts),
            };
            if this {
                collection(tx, scene, sheet, target, &node, out)?;
            }
        }
        Target::Calendar { owner, slug } => {
            let calendar = calendars::open(tx, &scene.actor, owner, slug, Need::Read)?;
            scheduled = calendar.schedules;
            let target = Target::Calendar { owner: calendar.owner.clone(), slug: calendar.slug.clone() };
            if this {
                collection(tx, scene, sheet, &target, &Node::Calendar(&calendar), out)?;
            }
            if deep {
                return Ok((Left::Members(Box::new(Place::of(tx, scene, sheet, calendar)?), Walk::all()), scheduled));
            }
        }
        Target::Resource { owner, slug, name } => {
            let calendar = calendars::open(tx, &scene.actor, owner, slug, Need::Read)?;
            scheduled = calendar.schedules;
            let place = Place::of(tx, scene, sheet, calendar)?;
            if !writer.one(tx, &place, name.as_str(), out)? {
                return Err(Error::not_found());
            }
        }
    }
    Ok((Left::Calendars(VecDeque::new()), scheduled))
}

/// The response of one collection.
pub fn collection(
    tx: &mut Tx<'_>,
    scene: &Scene,
    sheet: &mut Sheet,
    target: &Target,
    node: &Node<'_>,
    out: &mut String,
) -> Result<(), Error> {
    let dead = dead_at(tx, scene, sheet, target, matches!(node, Node::Calendar(_)))?;
    sheet.respond(scene, (&target.href(&scene.base), ""), node, &dead, &Data::None, out);
    Ok(())
}

/// The dead properties of one node, if any are wanted.
pub fn dead_at(
    tx: &mut Tx<'_>,
    scene: &Scene,
    sheet: &Sheet,
    target: &Target,
    on_calendar: bool,
) -> Result<Vec<Dead>, Error> {
    if !sheet.wants_dead(on_calendar) {
        return Ok(Vec::new());
    }
    Ok(properties::list(tx, scene.actor.user, &target.key())?)
}

/// What may be done with a resource. A unified calendar's own right is about new ones: of those that are there, each has
/// the right of its origin.
pub fn access(may_write: bool) -> Access {
    if may_write { Access::Write } else { Access::Read }
}

/// The principal of that name: everybody sees their own, and those of whom they share something with.
pub fn principal(tx: &mut Tx<'_>, scene: &Scene, name: &str) -> Result<User, Error> {
    grants::principal(tx, scene.actor.user, name)?.ok_or_else(Error::not_found)
}

fn own_user(tx: &mut Tx<'_>, scene: &Scene) -> Result<User, Error> {
    users::by_id(tx, scene.actor.user)?.ok_or_else(Error::not_found)
}
