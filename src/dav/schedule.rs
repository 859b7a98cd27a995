//! Scheduling, as far as a gateway can honestly offer it (RFC 6638): who is free (POST to the outbox), an inbox that is
//! always empty, and where new events go. Invitations are the upstreams' to send, and are theirs alone.

use http::StatusCode;

use super::path::{self, Target};
use super::proppatch::Fault;
use super::props::{BoxSetting, INBOX_TOKEN};
use super::request::{Report, Value};
use super::response::{self, Answer, bare_response};
use super::xml::{self, escape};
use super::{Asked, Error, put};
use crate::busy;
use crate::config::{self, PublicUrl};
use crate::ical::{Component, Instant, Property, Window, availability};
use crate::store::scheduling::{self, Facts};
use crate::store::users::{self, Actor, User};
use crate::store::{self, Tx, calendars};

/// Attendees of one request for free/busy.
const MAX_ATTENDEES: usize = 100;
/// Seconds that can be asked about at once: a year and a month.
const MAX_WINDOW: i64 = 397 * 86_400;
/// Bytes of an availability.
const MAX_AVAILABILITY: usize = 64 << 10;

/// The owner of the boxes in the home of `owner`, and what their boxes say. Everybody has their own.
pub fn of_own(tx: &mut Tx<'_>, actor: &Actor, owner: &str) -> Result<(User, Facts), Error> {
    let user = users::by_id(tx, actor.user)?.filter(|user| user.name == owner).ok_or_else(Error::not_found)?;
    let calendars = calendars::home(tx, actor, owner)?;
    let facts = Facts::of(tx, &user, &calendars)?;
    Ok((user, facts))
}

/// A report on the inbox, in which there is nothing.
pub async fn report(asked: &Asked<'_>, owner: &str, report: Report) -> Result<String, Error> {
    let (actor, name) = (asked.actor.clone(), owner.to_owned());
    asked.app.store.read(move |tx| of_own(tx, &actor, &name).map(|_| ())).await?;
    let mut out = String::new();
    response::open_root("D:multistatus", &mut out);
    match report {
        Report::Multiget { hrefs, .. } => {
            for href in hrefs {
                let mut escaped = String::new();
                escape(&href, &mut escaped);
                bare_response(&escaped, StatusCode::NOT_FOUND, "", &mut out);
            }
        }
        Report::Sync { token, .. } => {
            if !matches!(token.as_str(), "" | INBOX_TOKEN) {
                let message = "this token is not one of this inbox: begin again without one";
                return Err(Error::refused("<D:valid-sync-token/>", message));
            }
            out.push_str("<D:sync-token>");
            out.push_str(INBOX_TOKEN);
            out.push_str("</D:sync-token>\n");
        }
        _ => {}
    }
    out.push_str("</D:multistatus>\n");
    Ok(out)
}

/// Sets a property of the actor's inbox; the inner error says what is wrong with the value.
pub fn set(
    tx: &mut Tx<'_>,
    actor: &Actor,
    base: &PublicUrl,
    setting: BoxSetting,
    value: Option<&Value>,
) -> store::Result<Result<(), (Fault, String)>> {
    match (setting, value) {
        (BoxSetting::Availability, None) => scheduling::set_availability(tx, actor.user, "")?,
        (BoxSetting::Availability, Some(value)) => {
            let text = value.text.trim_start();
            if text.len() > MAX_AVAILABILITY {
                let why = format!("an availability may have at most {MAX_AVAILABILITY} bytes");
                return Ok(Err((Fault::Quota, why)));
            }
            if let Err(why) = availability::check(text) {
                return Ok(Err((Fault::CalendarData, why)));
            }
            scheduling::set_availability(tx, actor.user, text)?;
        }
        // Without a choice it is ours to make again.
        (BoxSetting::DefaultCalendar, None) => scheduling::set_new_events(tx, actor.user, "")?,
        (BoxSetting::DefaultCalendar, Some(value)) => match named(tx, actor, base, value)? {
            Some(slug) => scheduling::set_new_events(tx, actor.user, &slug)?,
            None => {
                let why = "new events can go to a calendar of your own that takes events, and to no other place";
                return Ok(Err((Fault::DefaultCalendar, why.to_owned())));
            }
        },
    }
    Ok(Ok(()))
}

/// The slug of the actor's own calendar that an href in a property names, if new events may go there.
fn named(tx: &mut Tx<'_>, actor: &Actor, base: &PublicUrl, value: &Value) -> store::Result<Option<String>> {
    let href = xml::parse(value.xml.as_bytes()).ok();
    let href = href.as_ref().and_then(|e| e.child("DAV:", "href")).map(|e| e.text().trim().to_owned());
    let Some(Target::Calendar { owner, slug }) = href.and_then(|href| Target::read_href(&href, base)) else {
        return Ok(None);
    };
    let calendars = match calendars::home(tx, actor, &owner) {
        Ok(calendars) => calendars,
        Err(calendars::Denied::Store(e)) => return Err(e),
        Err(_) => return Ok(None),
    };
    let fits = |c: &calendars::Calendar| {
        c.slug == slug && c.user == actor.user && c.share.is_none() && scheduling::takes_events(c)
    };
    Ok(calendars.iter().any(fits).then_some(slug))
}

/// What a request for free/busy asks (RFC 5546 3.3.2).
#[derive(Debug)]
struct Asking {
    uid: String,
    window: Window,
    organizer: Property,
    attendees: Vec<Property>,
}

/// RFC 6638 5: a POST to one's own outbox asks for the time of others.
pub async fn post(asked: Asked<'_>) -> Result<Answer, Error> {
    let Target::Outbox { owner } = asked.target.clone() else {
        return Err(Error::not_allowed(&asked.target, "POST is not possible here"));
    };
    put::check_type(asked.headers)?;
    let config = asked.app.config.load();
    let most = asked.limits.object;
    if asked.body.len() > most {
        return Err(Error::refused("<C:max-resource-size/>", format!("a request may have at most {most} bytes")));
    }
    let asking = read(asked.body)?;
    let (actor, base) = (asked.actor.clone(), asked.base.clone());
    let (rules, now) = (config.sync.clone(), asked.app.clock.now());
    let body = asked.app.store.read(move |tx| {
        let (user, _) = of_own(tx, &actor, &owner)?;
        respond(tx, &user, &base, &asking, &rules, now)
    });
    Ok(response::xml(StatusCode::OK, body.await?))
}

/// Reads the body. What is no request for free/busy is refused with the reason.
fn read(body: &[u8]) -> Result<Asking, Error> {
    let unreadable = |why: String| Error::refused("<C:valid-calendar-data/>", why);
    let text = std::str::from_utf8(body).map_err(|_| unreadable("this is not UTF-8".to_owned()))?;
    let calendar = Component::parse(text).map_err(|e| unreadable(e.to_string()))?;
    let wrong = |why: &str| Error::refused("<C:valid-scheduling-message/>", why);
    let mut components = calendar.components.iter().filter(|c| c.name() != "VTIMEZONE");
    let (Some(component), None) = (components.next(), components.next()) else {
        return Err(wrong("a request for free/busy is one VFREEBUSY"));
    };
    if component.name() != "VFREEBUSY" {
        return Err(wrong(
            "only free/busy can be asked for here: invitations are sent by the server where a calendar comes from, when \
             an event with guests is put into it",
        ));
    }
    if !calendar.value("METHOD").is_some_and(|m| m.trim().eq_ignore_ascii_case("REQUEST")) {
        return Err(wrong("a request for free/busy has METHOD:REQUEST"));
    }
    let uid = component.value("UID").unwrap_or("").trim().to_owned();
    if uid.is_empty() {
        return Err(wrong("a request for free/busy has a UID"));
    }
    let window = availability::window_asked(&calendar, component).map_err(|why| wrong(&why))?;
    if window.end.0 - window.start.0 > MAX_WINDOW {
        return Err(wrong("ask for at most a year at once"));
    }
    let Some(organizer) = component.property("ORGANIZER").cloned() else {
        return Err(wrong("a request for free/busy has an ORGANIZER, who is the one that asks"));
    };
    let attendees: Vec<Property> = component.all("ATTENDEE").cloned().collect();
    if attendees.is_empty() {
        return Err(wrong("a request for free/busy has an ATTENDEE for each who is asked about"));
    }
    if attendees.len() > MAX_ATTENDEES {
        let message = format!("ask about at most {MAX_ATTENDEES} people at once");
        return Err(Error::refused("<C:max-attendees-per-instance/>", message));
    }
    Ok(Asking { uid, window, organizer, attendees })
}

/// The `schedule-response` (RFC 6638 10.1).
fn respond(
    tx: &mut Tx<'_>,
    asker: &User,
    base: &PublicUrl,
    asking: &Asking,
    rules: &config::Sync,
    now: Instant,
) -> Result<String, Error> {
    if meant(tx, base, asking.organizer.value())?.is_none_or(|user| user.id != asker.id) {
        let why = "the ORGANIZER of a request has to be an address of your own; see calendar-user-address-set";
        return Err(Error::refused("<C:organizer-allowed/>", why));
    }
    let mut out = String::new();
    response::open_root("C:schedule-response", &mut out);
    for attendee in &asking.attendees {
        out.push_str("<C:response><C:recipient><D:href>");
        escape(attendee.value(), &mut out);
        out.push_str("</D:href></C:recipient><C:request-status>");
        match time_of(tx, asker, base, asking, attendee, rules, now)? {
            Ok(text) => {
                out.push_str("2.0;Success</C:request-status><C:calendar-data>");
                escape(&text, &mut out);
                out.push_str("</C:calendar-data>");
            }
            Err(status) => {
                out.push_str(status);
                out.push_str("</C:request-status>");
            }
        }
        out.push_str("</C:response>\n");
    }
    out.push_str("</C:schedule-response>\n");
    Ok(out)
}

/// One attendee's answer: calendar data, or a request status (RFC 5546 3.6). Who has no login here and who may not be
/// asked about are told in the same words, so that nobody learns from it who is here.
fn time_of(
    tx: &mut Tx<'_>,
    asker: &User,
    base: &PublicUrl,
    asking: &Asking,
    attendee: &Property,
    rules: &config::Sync,
    now: Instant,
) -> store::Result<Result<String, &'static str>> {
    const UNKNOWN: &str = "3.7;Invalid calendar user";
    let Some(user) = meant(tx, base, attendee.value())? else { return Ok(Err(UNKNOWN)) };
    if !scheduling::may_ask(tx, asker.id, user.id)? {
        return Ok(Err(UNKNOWN));
    }
    match busy::gather_of(tx, &user, asking.window, rules, now) {
        Ok(answer) => {
            let people = vec![asking.organizer.clone(), attendee.clone()];
            Ok(Ok(busy::vfreebusy(&answer, asking.window, people, now, &asking.uid, Some("REPLY"))))
        }
        // By configuration: what is not known is an error, and not busy.
        Err(busy::Error::Stale(_)) => Ok(Err("5.1;Service unavailable")),
        Err(busy::Error::Store(e)) => Err(e),
    }
}

/// The user whom a calendar user address means: `mailto:`, or the href of a principal.
fn meant(tx: &mut Tx<'_>, base: &PublicUrl, address: &str) -> store::Result<Option<User>> {
    let address = address.trim();
    let mail = address.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("mailto:")).map(|_| &address[7..]);
    match (mail, Target::read_href(address, base)) {
        (Some(mail), _) => {
            let mail: Vec<u8> = percent_encoding::percent_decode_str(mail).collect();
            match std::str::from_utf8(&mail) {
                Ok(mail) => scheduling::by_address(tx, &mail.to_lowercase()),
                Err(_) => Ok(None),
            }
        }
        (None, Some(Target::Principal { user })) => users::by_name(tx, &user),
        _ => Ok(None),
    }
}

/// What may not be put into a box: nothing is.
pub fn refuse_put(target: &Target, base: &PublicUrl) -> Option<Error> {
    let Target::Resource { owner, slug, .. } = target else { return None };
    scheduling::RESERVED.contains(&slug.as_str()).then(|| {
        let message = "nothing is put in here by a client: put events into a calendar";
        Error::read_only(&path::calendar(base, owner, slug), message)
    })
}
