//! GET and HEAD: a resource as it was stored, byte for byte, or as jCal; a calendar as one file (`whole.rs`); of other
//! collections, and for browsers, a line of help for people.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, LAST_MODIFIED, VARY};
use http::{HeaderValue, Response, StatusCode};
use jiff::tz::TimeZone;

use super::path::{self, Target};
use super::props::Scene;
use super::response::{self, Answer, http_date, quoted};
use super::{Asked, Error, propfind, put, request, schedule, whole};
use crate::body::Body;
use crate::ical::file::Form;
use crate::ical::select::{self, Select};
use crate::ical::{Component, Object, jcal, recur};
use crate::store::calendars::{self, Need};
use crate::store::{Tx, resources, scheduling};
use crate::sync::write::Condition;

/// `head`: nobody takes the body.
pub async fn answer(asked: Asked<'_>, head: bool) -> Result<Answer, Error> {
    let form = whole::wanted(asked.headers);
    let (owner, slug, name) = match (asked.target.clone(), form) {
        (Target::Resource { owner, slug, name }, _) => (owner, slug, name),
        (Target::Calendar { .. }, Some(form)) => return whole::answer(asked, form, head).await,
        _ => return help(asked).await,
    };
    let form = form.unwrap_or(Form::Text);
    let timezones = request::timezones(asked.headers)?;
    let actor = asked.actor.clone();
    // Whether it is what somebody has already is told below, for the form that they want.
    let condition = request::condition(asked.headers, &asked.base, &asked.target)?;
    let condition = Condition { none_match: None, schedule_tag: None, ..condition };
    let (resource, tag) = asked
        .app
        .store
        .glance(move |tx| {
            let calendar = calendars::open(tx, &actor, &owner, &slug, Need::Read)?;
            let resource = resources::get(tx, &calendar, &name)?.ok_or_else(Error::not_found)?;
            if !condition.holds(tx, &actor, &calendar, Some(&resource))? {
                let error = Error::new(StatusCode::PRECONDITION_FAILED, "it is there in another version");
                return Err(Error { etag: Some(resource.etag), ..error });
            }
            let tag = scheduling::tag_of(tx, &calendar, &resource.body)?;
            Ok::<_, Error>((resource, tag))
        })
        .await?;
    let tag_in = |form: Form| match form {
        Form::Text => resource.etag.clone(),
        Form::Json => request::json_etag(&resource.etag),
    };
    let (mut given, mut text) = (form, None);
    // What is wanted in the form that somebody holds is not made.
    let unchanged = request::unless(asked.headers).is_some_and(|list| list.is_empty() || list.contains(&tag_in(form)));
    if !unchanged {
        let (form, body) = shown(resource.body.clone(), form, timezones);
        (given, text) = (form, Some(body));
    }
    let etag = quoted(&tag_in(given));
    let mut answer = match text {
        None => response::empty(StatusCode::NOT_MODIFIED),
        Some(text) => {
            let mut answer = Response::new(Body::from(text));
            answer.headers_mut().insert(CONTENT_TYPE, whole::content_type(given));
            answer
        }
    };
    // With zones or without them the etag is the same: a client puts under it what it read under it (RFC 7809 3.1).
    response::header(&mut answer, VARY, "Accept, CalDAV-Timezones");
    response::header(&mut answer, ETAG, &etag);
    if let Some(tag) = tag {
        response::header(&mut answer, put::SCHEDULE_TAG, &format!("\"{tag}\""));
    }
    response::header(&mut answer, LAST_MODIFIED, &http_date(resource.changed_at));
    // For this user only, and asked for again each time: the etag makes that cheap.
    response::header(&mut answer, CACHE_CONTROL, "private, no-cache");
    Ok(answer)
}

/// The body in the form that is wanted. What can not be read any more is given as it is.
fn shown(body: String, form: Form, timezones: Option<bool>) -> (Form, String) {
    if form == Form::Text && timezones.is_none() {
        return (form, body);
    }
    let Ok(object) = Object::parse(&body) else { return (Form::Text, body) };
    let ask = Select { timezones, ..Select::default() };
    let text = select::select(&object, &ask, &TimeZone::UTC, recur::Limits::default(), 0).unwrap_or(body);
    match Component::parse(&text) {
        Ok(calendar) if form == Form::Json => (form, jcal::print(&calendar)),
        _ => (Form::Text, text),
    }
}

/// Somebody opened a collection in a browser, or pasted its address somewhere: say what it is and where to put it.
async fn help(asked: Asked<'_>) -> Result<Answer, Error> {
    let scene = propfind::scene(&asked);
    let target = asked.target.clone();
    let what = asked.app.store.glance(move |tx| describe(tx, &scene, &target)).await?;
    let base = &asked.base;
    let text = format!(
        "{what}\n\n\
         It is for calendar programs, which speak CalDAV. In most of them, add an account with\n\n\
         \x20   address    {base}/\n\
         \x20   user name  {}\n\n\
         and your password here; programs that want the whole address take {}{}\n",
        asked.actor.name,
        base.origin(),
        path::home(base, &asked.actor.name),
    );
    let mut answer = Response::new(Body::from(text));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response::header(&mut answer, CACHE_CONTROL, "private, no-cache");
    if matches!(asked.target, Target::Calendar { .. }) {
        // Who does not ask for a page gets the calendar here.
        response::header(&mut answer, VARY, "Accept");
    }
    Ok(answer)
}

fn describe(tx: &mut Tx<'_>, scene: &Scene, target: &Target) -> Result<String, Error> {
    Ok(match target {
        Target::Root { .. } | Target::Principals => "This is the CalDAV address of calgate.".to_owned(),
        Target::Principal { user } => {
            let user = propfind::principal(tx, scene, user)?;
            format!("This is the CalDAV principal of {}.", user.name)
        }
        Target::Home { owner } => {
            let calendars = calendars::home(tx, &scene.actor, owner)?;
            let names: Vec<String> =
                calendars.iter().map(|c| format!("\n    {}  {}", c.slug, c.display_name)).collect();
            format!("These are the calendars of {owner}:\n{}", names.concat())
        }
        Target::Calendar { owner, slug } => {
            let calendar = calendars::open(tx, &scene.actor, owner, slug, Need::Read)?;
            format!("This is the calendar {:?} of {}.", calendar.display_name, calendar.owner)
        }
        Target::Inbox { owner } => {
            schedule::of_own(tx, &scene.actor, owner)?;
            format!("This is where invitations for {owner} would lie; upstreams put them into the calendars instead.")
        }
        Target::Outbox { owner } => {
            schedule::of_own(tx, &scene.actor, owner)?;
            format!("This is where calendar programs of {owner} ask when others have time.")
        }
        Target::Resource { .. } => return Err(Error::not_found()),
    })
}
