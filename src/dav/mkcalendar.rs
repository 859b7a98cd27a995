//! MKCALENDAR (RFC 4791 5.3.1) and extended MKCOL (RFC 5689): a new local calendar in the user's home.

use http::StatusCode;
use http::header::CACHE_CONTROL;

use super::path::Target;
use super::proppatch::{self, Fault, propstats};
use super::props::{self, Setting};
use super::request::{self, Patch, Prefer, PropName};
use super::response::{self, Answer, Ns};
use super::{Asked, Error, no_parent};
use crate::config::Limits;
use crate::ical::Instant;
use crate::store::calendars::{self, Denied, Edit, Need, New, NotMade};
use crate::store::properties::{self, Dead, NotSet};
use crate::store::users::Actor;
use crate::store::{self, Tx};

pub async fn answer(asked: Asked<'_>, mkcol: bool) -> Result<Answer, Error> {
    let (owner, slug) = match &asked.target {
        Target::Calendar { owner, slug } => (owner.clone(), slug.clone()),
        Target::Resource { owner, slug, .. } => {
            let (actor, owner, slug) = (asked.actor.clone(), owner.clone(), slug.clone());
            let open =
                asked.app.store.read(move |tx| calendars::open(tx, &actor, &owner, &slug, Need::Read).map(|_| ()));
            return Err(match open.await {
                // RFC 4918 9.3.1, RFC 4791 5.3.1.1: first what it would be in.
                Err(Denied::Missing) => no_parent(),
                Err(Denied::Store(e)) => e.into(),
                _ => wrong_place(),
            });
        }
        // What is there already can not be made (RFC 4918 9.3.1).
        there => return Err(Error { condition: TAKEN.into(), ..Error::not_allowed(there, "this is there already") }),
    };
    let patches = request::mkcalendar(asked.body, mkcol, &asked.limits)?;
    if let Err((at, why)) = check_type(&patches, mkcol) {
        // RFC 4918 9.3: what is there already comes first, whatever was to be made.
        let (actor, owner, slug) = (asked.actor.clone(), owner.clone(), slug.clone());
        let there = asked.app.store.read(move |tx| calendars::open(tx, &actor, &owner, &slug, Need::Read).map(|_| ()));
        return match (there.await, at) {
            (Ok(()), _) if mkcol => Err(taken(&asked.target)),
            (_, Some(at)) => Ok(refused(&patches, (at, Fault::Type, why), mkcol)),
            (_, None) => Err(Error::refused(Fault::Type.condition(), why)),
        };
    }
    let limits = asked.limits;
    let plan = match plan(&patches, &limits) {
        Ok(plan) => plan,
        Err((at, fault, why)) => return Ok(refused(&patches, (at, fault, &why), mkcol)),
    };
    let (actor, now) = (asked.actor.clone(), asked.app.clock.now());
    let condition = request::condition(asked.headers, &asked.base, &asked.target)?;
    let made = asked.app.store.write(move |tx| {
        // Nothing is there, or else it is refused for that.
        if condition.matches.is_some() || !condition.lists_hold(tx, &actor, None)? {
            return Err(Failure::Condition);
        }
        make(tx, &actor, &owner, &slug, &plan, &limits, now)
    });
    match made.await {
        Ok(()) => {
            // It may be what a unified calendar has waited for.
            asked.app.wake.notify_one();
            let mut answer = response::empty(StatusCode::CREATED);
            // A success says nothing as it is (RFC 8144 2.3).
            let prefer = Prefer { noroot: false, ..Prefer::read(asked.headers) };
            if prefer.minimal {
                answer = response::with_preference(answer, &prefer.applied(Prefer::SETTING));
            }
            response::header(&mut answer, CACHE_CONTROL, "no-cache");
            Ok(answer)
        }
        Err(Failure::Taken) if mkcol => Err(taken(&asked.target)),
        Err(Failure::Taken) => Err(Error::refused(TAKEN, "there is a calendar at this place already")),
        Err(Failure::Denied(Denied::Missing)) => Err(wrong_place()),
        Err(Failure::Denied(denied)) => Err(asked.denied(denied)),
        Err(Failure::Condition) => {
            Err(Error::new(StatusCode::PRECONDITION_FAILED, "the condition asks for something that is not there"))
        }
        Err(Failure::TooMany) => {
            let most = limits.calendars;
            Err(Error::full(format!("there are {most} calendars in this home, and can be no more")))
        }
        Err(Failure::Quota) => Err(Error::full("there is no room for so many properties")),
    }
}

const TAKEN: &str = "<D:resource-must-be-null/>";

fn taken(target: &Target) -> Error {
    Error { condition: TAKEN.into(), ..Error::not_allowed(target, "there is a calendar at this place already") }
}

/// A place where no calendar can be: in a calendar, or in somebody else's home.
pub fn wrong_place() -> Error {
    let message = "a calendar can be made in your own home only, and not inside another calendar";
    Error::refused("<C:calendar-collection-location-ok/>", message)
}

/// Why nothing was made.
enum Failure {
    Taken,
    Denied(Denied),
    Condition,
    TooMany,
    Quota,
}

impl From<store::Error> for Failure {
    fn from(e: store::Error) -> Failure {
        Failure::Denied(Denied::Store(e))
    }
}

impl From<Denied> for Failure {
    fn from(e: Denied) -> Failure {
        Failure::Denied(e)
    }
}

impl From<NotMade> for Failure {
    fn from(e: NotMade) -> Failure {
        match e {
            NotMade::Taken => Failure::Taken,
            NotMade::Denied(e) => Failure::Denied(e),
        }
    }
}

impl From<NotSet> for Failure {
    fn from(e: NotSet) -> Failure {
        match e {
            NotSet::Quota => Failure::Quota,
            NotSet::Store(e) => e.into(),
        }
    }
}

/// What is to be made.
struct Plan {
    new: New,
    dead: Vec<Dead>,
}

/// Only plain calendars can be made: no bare folders, and no subscriptions, as Apple's clients want to keep theirs: a
/// calendar that nothing ever comes into would be worse than a word. The error is which of the patches says something
/// else, if one does, and why that can not be.
fn check_type(patches: &[Patch], mkcol: bool) -> Result<(), (Option<usize>, &'static str)> {
    const WRONG: &str = "only a calendar can be made here: a collection with CALDAV:calendar";
    let at = patches.iter().position(|p| is(&p.name, Ns::Dav, "resourcetype"));
    let Some(patch) = at.map(|at| &patches[at]) else {
        return if mkcol { Err((None, WRONG)) } else { Ok(()) };
    };
    let types = patch.value.as_ref().map_or(&[][..], |v| &v.children);
    if types.iter().any(|(t, _)| is(t, Ns::CalendarServer, "subscribed")) {
        let why = "a subscription can not be kept here: keep it on the device, or add the calendar that is subscribed to \
                   as an account in gateway.toml";
        return Err((at, why));
    }
    let calendar = types.iter().any(|(t, _)| is(t, Ns::CalDav, "calendar"));
    let others = types.iter().any(|(t, _)| !is(t, Ns::CalDav, "calendar") && !is(t, Ns::Dav, "collection"));
    if calendar && !others { Ok(()) } else { Err((at, WRONG)) }
}

fn is(name: &PropName, ns: Ns, local: &str) -> bool {
    name.name == local && name.ns == ns.uri()
}

/// Sorts the properties; the error says which one is wrong, how, and why in words.
fn plan(patches: &[Patch], limits: &Limits) -> Result<Plan, (usize, Fault, String)> {
    let mut edit = Edit::default();
    let mut plan = Plan { new: New::default(), dead: Vec::new() };
    for (at, patch) in patches.iter().enumerate() {
        let Some(value) = &patch.value else { continue };
        if is(&patch.name, Ns::Dav, "resourcetype") {
            continue;
        }
        if is(&patch.name, Ns::CalDav, "supported-calendar-component-set") {
            plan.new.components = Some(props::components(value).map_err(|why| (at, Fault::Components, why))?);
            continue;
        }
        match props::setting(&patch.name, true, false, false) {
            Setting::Live(set) => {
                set(Some(&value.text), &mut edit).map_err(|why| (at, Fault::of_value(&patch.name), why))?;
                if value.language && props::find(&patch.name).is_some_and(|prop| prop.language) {
                    plan.dead.push(proppatch::dead(patch, &value.xml));
                }
            }
            Setting::LiveElement(set) => {
                set(Some(value), &mut edit).map_err(|why| (at, Fault::of_value(&patch.name), why))?
            }
            Setting::Dead if value.xml.len() > limits.dead_property => {
                return Err((at, Fault::Quota, "this property is too long".to_owned()));
            }
            Setting::Dead => plan.dead.push(proppatch::dead(patch, &value.xml)),
            Setting::Protected | Setting::Inbox(_) => {
                return Err((at, Fault::Protected, format!("{} is not a client's to set", patch.name.name)));
            }
        }
    }
    plan.new.edit = edit;
    Ok(plan)
}

fn make(
    tx: &mut Tx<'_>,
    actor: &Actor,
    owner: &str,
    slug: &str,
    plan: &Plan,
    limits: &Limits,
    now: Instant,
) -> Result<(), Failure> {
    if calendars::home(tx, actor, owner)?.len() >= limits.calendars {
        return Err(Failure::TooMany);
    }
    calendars::create(tx, actor, owner, slug, &plan.new, now)?;
    let key = Target::Calendar { owner: owner.to_owned(), slug: slug.to_owned() }.key();
    for dead in &plan.dead {
        properties::set(tx, actor.user, &key, dead, limits.dead_properties)?;
    }
    Ok(())
}

/// RFC 5689 3 and RFC 4791 9.3: which property it was.
fn refused(patches: &[Patch], failed: (usize, Fault, &str), mkcol: bool) -> Answer {
    let name = if mkcol { "D:mkcol-response" } else { "C:mkcalendar-response" };
    let mut out = String::new();
    response::open_root(name, &mut out);
    propstats(patches, Some(failed), &mut out);
    out.push_str("\n</");
    out.push_str(name);
    out.push_str(">\n");
    response::xml(StatusCode::FORBIDDEN, out)
}
