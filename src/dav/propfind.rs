//! PROPFIND (RFC 4918 9.1): one snapshot, one response element a node.

use std::collections::{HashMap, HashSet};

use http::header::{HeaderName, VARY};

use super::path::Target;
use super::props::{Access, Node, Row, Scene};
use super::request::{self, Depth, Prefer};
use super::response::{self, Answer, MAX_ANSWER};
use super::sheet::{Data, Sheet};
use super::{Asked, Error};
use crate::ids::Name;
use crate::store::calendars::{self, Calendar, Need, Source};
use crate::store::properties::Dead;
use crate::store::users::{self, User};
use crate::store::{Tx, properties, resources, unified};

pub async fn answer(asked: Asked<'_>) -> Result<Answer, Error> {
    let wanted = request::propfind(asked.body)?;
    let depth = depth(request::depth(asked.headers)?, &asked.target)?;
    let prefer = Prefer::read(asked.headers);
    let scene = scene(&asked);
    let target = asked.target.clone();
    let body = asked
        .app
        .store
        .read(move |tx| run(tx, &scene, &target, Sheet::new(wanted, prefer.minimal, false), depth, prefer.noroot))
        .await?;
    Ok(with_preference(response::multistatus(body), prefer))
}

/// What the properties of this request's answer depend on.
pub fn scene(asked: &Asked<'_>) -> Scene {
    Scene {
        actor: asked.actor.clone(),
        base: asked.base.clone(),
        max_resource_size: asked.app.config.load().server.max_body,
        push: asked.app.push.load_full(),
    }
}

/// Says which preferences were followed.
pub fn with_preference(mut answer: Answer, prefer: Prefer) -> Answer {
    response::header(&mut answer, VARY, "Brief, Prefer");
    if !prefer.applied().is_empty() {
        response::header(&mut answer, HeaderName::from_static("preference-applied"), prefer.applied());
    }
    answer
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

fn run(
    tx: &mut Tx<'_>,
    scene: &Scene,
    target: &Target,
    mut sheet: Sheet,
    depth: Depth,
    noroot: bool,
) -> Result<String, Error> {
    let mut out = String::new();
    response::open_root("D:multistatus", &mut out);
    let deep = depth == Depth::One;
    let this = !(deep && noroot);
    let href = target.href(&scene.base);
    match target {
        Target::Root { .. } => {
            if this {
                sheet.respond(scene, (&href, ""), &Node::Root, &[], &Data::None, &mut out);
            }
            if deep {
                let user = own_user(tx, scene)?;
                let principals = Target::Principals.href(&scene.base);
                sheet.respond(scene, (&principals, ""), &Node::Principals, &[], &Data::None, &mut out);
                collection(
                    tx,
                    scene,
                    &mut sheet,
                    &Target::Home { owner: user.name.clone() },
                    &Node::Home(&user),
                    &mut out,
                )?;
            }
        }
        Target::Principals => {
            if this {
                sheet.respond(scene, (&href, ""), &Node::Principals, &[], &Data::None, &mut out);
            }
            if deep {
                // Others' principals are not listed: who has a login here is nobody's business.
                let user = own_user(tx, scene)?;
                let target = Target::Principal { user: user.name.clone() };
                collection(tx, scene, &mut sheet, &target, &Node::Principal(&user), &mut out)?;
            }
        }
        Target::Principal { user } => {
            let user = principal(tx, scene, user)?;
            let target = Target::Principal { user: user.name.clone() };
            collection(tx, scene, &mut sheet, &target, &Node::Principal(&user), &mut out)?;
        }
        Target::Home { owner } => {
            let calendars = calendars::home(tx, &scene.actor, owner)?;
            let owner = users::by_name(tx, owner)?.ok_or_else(Error::not_found)?;
            let home = Target::Home { owner: owner.name.clone() };
            if this {
                collection(tx, scene, &mut sheet, &home, &Node::Home(&owner), &mut out)?;
            }
            for calendar in calendars.iter().filter(|_| deep) {
                let target = Target::Calendar { owner: calendar.owner.clone(), slug: calendar.slug.clone() };
                collection(tx, scene, &mut sheet, &target, &Node::Calendar(calendar), &mut out)?;
            }
        }
        Target::Calendar { owner, slug } => {
            let calendar = calendars::open(tx, &scene.actor, owner, slug, Need::Read)?;
            let target = Target::Calendar { owner: calendar.owner.clone(), slug: calendar.slug.clone() };
            if this {
                collection(tx, scene, &mut sheet, &target, &Node::Calendar(&calendar), &mut out)?;
            }
            if deep {
                let href = target.href(&scene.base);
                let rows = resources::list(tx, &calendar)?;
                out.reserve(rows.len().min(10_000) * 300);
                let shelf = Shelf::of(tx, scene, &sheet, &calendar)?;
                for row in &rows {
                    let dead = shelf.dead(row.name.as_str());
                    let node = Node::Resource(&calendar, Row::from(row), shelf.access(row.name.as_str()));
                    sheet.respond(scene, (&href, row.name.as_str()), &node, dead, &Data::None, &mut out);
                    if out.len() > MAX_ANSWER {
                        return Err(Error::too_large());
                    }
                }
            }
        }
        Target::Resource { owner, slug, name } => {
            let calendar = calendars::open(tx, &scene.actor, owner, slug, Need::Read)?;
            let resource = resources::get(tx, &calendar, name)?.ok_or_else(Error::not_found)?;
            let dead = dead_at(tx, scene, &sheet, target, false)?;
            let access = access_to(tx, &sheet, &calendar, name)?;
            let node = Node::Resource(&calendar, Row::from(&resource), access);
            sheet.respond(scene, (&href, ""), &node, &dead, &Data::None, &mut out);
        }
    }
    out.push_str("</D:multistatus>\n");
    Ok(out)
}

/// The response of one collection.
fn collection(
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

/// What may be done with one resource. A unified calendar's own right is about new ones: of those that are there, each
/// has the right of its origin.
fn access_to(tx: &mut Tx<'_>, sheet: &Sheet, calendar: &Calendar, name: &Name) -> Result<Access, Error> {
    let may_write = match calendar.source {
        Source::Unified { .. } if sheet.wants_access() => unified::is_writable(tx, calendar.id, name)?,
        _ => calendar.writable,
    };
    Ok(access(may_write))
}

fn access(may_write: bool) -> Access {
    if may_write { Access::Write } else { Access::Read }
}

/// What the resources of a calendar have besides their rows, as far as it is wanted, read at once: their dead properties
/// and what may be done with them.
pub struct Shelf {
    by_name: HashMap<String, Vec<Dead>>,
    /// Of a unified calendar: those that may be written.
    writable: Option<HashSet<String>>,
    calendar: Access,
}

impl Shelf {
    pub fn of(tx: &mut Tx<'_>, scene: &Scene, sheet: &Sheet, calendar: &Calendar) -> Result<Shelf, Error> {
        let mut by_name: HashMap<String, Vec<Dead>> = HashMap::new();
        if sheet.wants_dead(false) {
            let key = Target::Calendar { owner: calendar.owner.clone(), slug: calendar.slug.clone() }.key();
            for (path, dead) in properties::below(tx, scene.actor.user, &key)? {
                by_name.entry(path[key.len()..].to_owned()).or_default().push(dead);
            }
        }
        let writable = match calendar.source {
            Source::Unified { .. } if sheet.wants_access() => Some(unified::writable(tx, calendar.id)?),
            _ => None,
        };
        Ok(Shelf { by_name, writable, calendar: access(calendar.writable) })
    }

    pub fn dead(&self, name: &str) -> &[Dead] {
        // Nearly always nobody has kept any, and then no name need be hashed.
        if self.by_name.is_empty() { &[] } else { self.by_name.get(name).map_or(&[], Vec::as_slice) }
    }

    pub fn access(&self, name: &str) -> Access {
        self.writable.as_ref().map_or(self.calendar, |names| access(names.contains(name)))
    }
}

/// The principal of that name: everybody sees their own.
pub fn principal(tx: &mut Tx<'_>, scene: &Scene, name: &str) -> Result<User, Error> {
    let user = own_user(tx, scene)?;
    if user.name != name {
        return Err(Error::not_found());
    }
    Ok(user)
}

fn own_user(tx: &mut Tx<'_>, scene: &Scene) -> Result<User, Error> {
    users::by_id(tx, scene.actor.user)?.ok_or_else(Error::not_found)
}
