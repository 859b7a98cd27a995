//! PROPPATCH (RFC 4918 9.2): all of it or none of it.

use http::StatusCode;

use super::path::Target;
use super::props::{self, Scene, Setting};
use super::request::{self, Patch, Prefer, PropName};
use super::response::{self, Answer, status_line, tags};
use super::{Asked, Error, propfind, schedule};
use crate::store::calendars::{self, Edit, Need};
use crate::store::properties::{Dead, NotSet};
use crate::store::{Tx, homes, properties, resources};
use crate::sync::write::{Condition, Refusal};

/// Why a property was not changed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Protected,
    /// The value does not fit the property.
    Value,
    /// There is no such time zone (RFC 7809 5.2).
    Zone,
    /// A new calendar can not hold such components.
    Components,
    Quota,
    /// What has to be calendar data is none that fits: an availability, or a time zone.
    CalendarData,
    /// New events can not go there.
    DefaultCalendar,
    /// There are no collections of this type here (RFC 5689 3.3).
    Type,
}

impl Fault {
    /// Of a value that was refused for this property.
    pub fn of_value(name: &PropName) -> Fault {
        match name.name.as_str() {
            "calendar-timezone-id" => Fault::Zone,
            // RFC 4791 5.2.2, 5.3.1.1.
            "calendar-timezone" => Fault::CalendarData,
            _ => Fault::Value,
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Fault::Value => StatusCode::CONFLICT,
            Fault::Quota => StatusCode::INSUFFICIENT_STORAGE,
            _ => StatusCode::FORBIDDEN,
        }
    }

    /// The precondition that it breaks; empty where no specification names one.
    pub fn condition(self) -> &'static str {
        match self {
            Fault::Protected => "<D:cannot-modify-protected-property/>",
            Fault::Value => "",
            Fault::Zone => "<C:valid-timezone/>",
            Fault::Components => "<C:supported-calendar-component/>",
            Fault::CalendarData => "<C:valid-calendar-data/>",
            Fault::DefaultCalendar => "<C:valid-schedule-default-calendar-URL/>",
            Fault::Quota => "<D:quota-not-exceeded/>",
            Fault::Type => "<D:valid-resourcetype/>",
        }
    }
}

/// Why nothing was changed.
enum Failure {
    /// What is wrong with which patch (by index); the sentence is for people. All the others were left.
    Patch(usize, Fault, String),
    Error(Error),
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(e: E) -> Failure {
        Failure::Error(e.into())
    }
}

pub async fn answer(asked: Asked<'_>) -> Result<Answer, Error> {
    let patches = request::proppatch(asked.body, &asked.limits)?;
    let href = asked.href();
    let (scene, target) = (propfind::scene(&asked), asked.target.clone());
    let condition = request::condition(asked.headers, &asked.base, &asked.target)?;
    let prefer = Prefer::read(asked.headers);
    let todo = patches.clone();
    match asked.app.store.write(move |tx| apply(tx, &scene, &target, &condition, &todo)).await {
        // RFC 8144 2.2: that all of it was done is all there is to say.
        Ok(()) if prefer.minimal => {
            Ok(response::with_preference(response::empty(StatusCode::OK), &prefer.applied(Prefer::SETTING)))
        }
        Ok(()) => Ok(response::multistatus(report(&href, &patches, None))),
        Err(Failure::Patch(at, fault, why)) => {
            Ok(response::multistatus(report(&href, &patches, Some((at, fault, &why)))))
        }
        Err(Failure::Error(error)) => Err(error),
    }
}

fn apply(
    tx: &mut Tx<'_>,
    scene: &Scene,
    target: &Target,
    condition: &Condition,
    patches: &[Patch],
) -> Result<(), Failure> {
    let actor = &scene.actor;
    let (mut calendar, mut resource) = (None, None);
    match target {
        Target::Principal { user } => {
            if propfind::principal(tx, scene, user)?.id != actor.user {
                let why = "what another is called is theirs to say";
                return Err(Error::read_only(&target.href(&scene.base), why).into());
            }
        }
        Target::Home { owner } => {
            calendars::home(tx, actor, owner)?;
        }
        Target::Inbox { owner } | Target::Outbox { owner } => {
            schedule::of_own(tx, actor, owner)?;
        }
        Target::Calendar { owner, slug } => calendar = Some(calendars::open(tx, actor, owner, slug, Need::Read)?),
        Target::Resource { owner, slug, name } => {
            let calendar = calendars::open(tx, actor, owner, slug, Need::Read)?;
            let there = resources::get(tx, &calendar, name)?.ok_or_else(Error::not_found)?;
            resource = Some((calendar, there));
        }
        Target::Root { .. } | Target::Principals => return Err(Error::not_found().into()),
    }
    if !actor.may_write {
        return Err(Error::read_only(&target.href(&scene.base), "this app password may only read").into());
    }
    let (holds, current) = match resource {
        Some((calendar, there)) => (condition.holds(tx, actor, &calendar, Some(&there))?, Some(there.etag)),
        None => (condition.holds_for_collection(tx, actor)?, None),
    };
    if !holds {
        let refusal = Refusal::Condition { current };
        return Err(Error::of_refusal(refusal, target, &scene.base).into());
    }
    let on_principal = matches!(target, Target::Principal { .. });
    let on_inbox = matches!(target, Target::Inbox { .. });
    let mut edit = Edit::default();
    for (at, patch) in patches.iter().enumerate() {
        if calendar.is_some() && props::find(&patch.name).is_some_and(|prop| prop.language) {
            let value = patch.value.clone().filter(|value| value.language);
            set_dead(tx, scene, &target.key(), &Patch { name: patch.name.clone(), value }, at)?;
        }
        match props::setting(&patch.name, calendar.is_some(), on_principal, on_inbox) {
            Setting::Protected => {
                let why = format!("{} is not a client's to change", patch.name.name);
                return Err(Failure::Patch(at, Fault::Protected, why));
            }
            Setting::Live(set) => {
                let value = patch.value.as_ref().map(|v| v.text.as_str());
                set(value, &mut edit).map_err(|why| Failure::Patch(at, Fault::of_value(&patch.name), why))?;
            }
            Setting::LiveElement(set) => {
                set(patch.value.as_ref(), &mut edit).map_err(|why| Failure::Patch(at, Fault::Value, why))?;
            }
            Setting::Inbox(setting) => {
                schedule::set(tx, actor, &scene.base, setting, patch.value.as_ref())?
                    .map_err(|(fault, why)| Failure::Patch(at, fault, why))?;
            }
            Setting::Dead => set_dead(tx, scene, &target.key(), patch, at)?,
        }
    }
    if let Some(calendar) = calendar {
        if edit != Edit::default() {
            calendars::edit(tx, &calendar, &edit)?;
        } else {
            // What a client keeps with a calendar of its own accord is news for its other programs, too.
            homes::touch(tx, &calendar)?;
        }
    }
    Ok(())
}

fn set_dead(tx: &mut Tx<'_>, scene: &Scene, key: &str, patch: &Patch, at: usize) -> Result<(), Failure> {
    let quota = || Failure::Patch(at, Fault::Quota, "there is no room for so long a property here".to_owned());
    let Some(value) = &patch.value else {
        return Ok(properties::remove(tx, scene.actor.user, key, &patch.name.ns, &patch.name.name)?);
    };
    if value.xml.len() > scene.limits.dead_property {
        return Err(quota());
    }
    properties::set(tx, scene.actor.user, key, &dead(patch, &value.xml), scene.limits.dead_properties).map_err(|e| {
        match e {
            NotSet::Quota => quota(),
            NotSet::Store(e) => e.into(),
        }
    })
}

/// A dead property as the store keeps it.
pub fn dead(patch: &Patch, xml: &str) -> Dead {
    Dead { ns: patch.name.ns.clone(), name: patch.name.name.clone(), xml: xml.to_owned() }
}

/// One propstat for what went wrong and one for what was left for that reason, or one for all that was done.
fn report(href: &str, patches: &[Patch], failed: Option<(usize, Fault, &str)>) -> String {
    let mut out = String::new();
    response::open_root("D:multistatus", &mut out);
    out.push_str("<D:response><D:href>");
    out.push_str(href);
    out.push_str("</D:href>");
    propstats(patches, failed, &mut out);
    out.push_str("</D:response>\n</D:multistatus>\n");
    out
}

/// The propstats of a report: `failed` is the index of the patch, what is wrong with it, and why.
pub fn propstats(patches: &[Patch], failed: Option<(usize, Fault, &str)>, out: &mut String) {
    let names = |which: &dyn Fn(usize) -> bool, out: &mut String| {
        out.push_str("<D:propstat><D:prop>");
        for (at, patch) in patches.iter().enumerate() {
            // A property that is set and removed in one request is named once.
            let first = patches.iter().position(|p| p.name == patch.name) == Some(at);
            if first && which(at) {
                out.push_str(&tags(&patch.name.ns, &patch.name.name).empty);
            }
        }
        out.push_str("</D:prop>");
    };
    let Some((culprit, fault, why)) = failed else {
        names(&|_| true, out);
        status_line(StatusCode::OK, out);
        out.push_str("</D:propstat>");
        return;
    };
    // The first of that name stands for it in the list.
    let culprit = patches.iter().position(|p| p.name == patches[culprit].name).unwrap_or(culprit);
    names(&|at| at == culprit, out);
    status_line(fault.status(), out);
    let condition = fault.condition();
    if !condition.is_empty() {
        out.push_str("<D:error>");
        out.push_str(condition);
        out.push_str("</D:error>");
    }
    out.push_str("<D:responsedescription>");
    super::xml::escape(why, out);
    out.push_str("</D:responsedescription></D:propstat>");
    if patches.iter().any(|p| p.name != patches[culprit].name) {
        names(&|at| at != culprit, out);
        status_line(StatusCode::FAILED_DEPENDENCY, out);
        out.push_str("</D:propstat>");
    }
}
