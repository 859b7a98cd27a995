//! Scheduling, as far as a gateway can honestly offer it (RFC 6638): who is free (POST to the outbox), an inbox that is
//! always empty, and where new events go. Invitations are the upstreams' to send, and are theirs alone.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::path::{self, Target};
use super::proppatch::Fault;
use super::props::{BoxSetting, INBOX_TOKEN};
use super::request::{Report, Value};
use super::response::{self, Answer, bare_response};
use super::xml::{self, escape};
use super::{Asked, Error, RETRY_SOON, put};
use crate::busy;
use crate::config::PublicUrl;
use crate::ical::{Component, Instant, Property, Window, availability};
use crate::store::scheduling::{self, Facts};
use crate::store::users::{self, Actor, User};
use crate::store::{self, Tx, calendars};

/// Attendees of one request for free/busy.
const MAX_ATTENDEES: usize = 100;
/// Seconds that can be asked about at once: a year and a month.
const MAX_WINDOW: i64 = 397 * 86_400;
/// Of how many attendees times how many seconds: ten over the longest window, a hundred over a month and more.
const MAX_WORK: i64 = 10 * MAX_WINDOW;
/// Octets of calendar data in one answer. What is beyond is said not to be known.
const MAX_ANSWER: usize = 8 << 20;
/// Octets of one period, printed.
const MAX_PERIOD: usize = 72;
/// How long a request waits for those of the same user that came before.
const MAX_WAIT: Duration = Duration::from_secs(20);
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
    if asked.body.len() > asked.limits.object {
        return Err(put::too_large(&asked.limits));
    }
    let asking = Arc::new(read(asked.body)?);
    // Some clients ask about each guest by a request of its own, all at once: these come one after the other.
    let Some(_turn) = asked.app.asking.turn(asked.actor.user, MAX_WAIT).await else {
        return Err(Error::later(RETRY_SOON, "earlier requests of yours for free/busy are not answered yet"));
    };
    let (actor, base, of) = (asked.actor.clone(), asked.base.clone(), asking.clone());
    let people = asked.app.store.read(move |tx| {
        let (user, _) = of_own(tx, &actor, &owner)?;
        people(tx, &user, &base, &of)
    });
    let mut told: HashMap<usize, Result<String, &str>> = HashMap::new();
    let mut left = MAX_ANSWER;
    for (user, at) in people.await? {
        // Each by a look of its own: others get theirs in between, and who hangs up is not worked for any longer.
        let (of, rules, now, room) = (asking.clone(), config.sync.clone(), asked.app.clock.now(), left);
        let texts = asked.app.store.read(move |tx| match busy::gather_of(tx, &user, of.window, &rules, now) {
            Ok(answer) => Ok(print(&answer, &of, at, now, room)),
            // By configuration: what is not known is an error, and not busy.
            Err(busy::Error::Stale(_)) => Ok(at.into_iter().map(|at| (at, Err(NOT_KNOWN))).collect()),
            Err(busy::Error::Store(e)) => Err(e),
        });
        let texts: Vec<(usize, Result<String, &str>)> = texts.await?;
        left -= texts.iter().map(|(_, text)| text.as_ref().map_or(0, String::len)).sum::<usize>().min(left);
        told.extend(texts);
    }
    Ok(response::xml(StatusCode::OK, written(&asking, &told)))
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
    // Who is named twice is answered once.
    let mut named = HashSet::new();
    let attendees: Vec<Property> =
        component.all("ATTENDEE").filter(|a| named.insert(a.value().trim())).cloned().collect();
    if attendees.is_empty() {
        return Err(wrong("a request for free/busy has an ATTENDEE for each who is asked about"));
    }
    if attendees.len() > MAX_ATTENDEES {
        let message = format!("ask about at most {MAX_ATTENDEES} people at once");
        return Err(Error::refused("<C:max-attendees-per-instance/>", message));
    }
    let longest = MAX_WORK / attendees.len() as i64;
    if window.end.0 - window.start.0 > longest {
        let days = longest / 86_400;
        return Err(wrong(&format!("ask for at most {days} days about {} people at once", attendees.len())));
    }
    Ok(Asking { uid, window, organizer, attendees })
}

/// Who has no login here and who may not be asked about are told in the same words, so that nobody learns from it who is
/// here.
const UNKNOWN: &str = "3.7;Invalid calendar user";
const NOT_KNOWN: &str = "5.1;Service unavailable";

/// Whom the attendees are that may be asked about: each person once, with the numbers of the attendees that mean them.
fn people(tx: &mut Tx<'_>, asker: &User, base: &PublicUrl, asking: &Asking) -> Result<Vec<(User, Vec<usize>)>, Error> {
    if meant(tx, base, asking.organizer.value())?.is_none_or(|user| user.id != asker.id) {
        let why = "the ORGANIZER of a request has to be an address of your own; see calendar-user-address-set";
        return Err(Error::refused("<C:organizer-allowed/>", why));
    }
    let mut people: Vec<(User, Vec<usize>)> = Vec::new();
    for (at, attendee) in asking.attendees.iter().enumerate() {
        let Some(user) = meant(tx, base, attendee.value())? else { continue };
        match people.iter_mut().find(|(known, _)| known.id == user.id) {
            Some((_, all)) => all.push(at),
            None if scheduling::may_ask(tx, asker.id, user.id)? => people.push((user, vec![at])),
            None => {}
        }
    }
    Ok(people)
}

/// What is told of one person to each of the attendees `at` that mean them, in at most `room` octets.
fn print(
    answer: &busy::Answer,
    asking: &Asking,
    at: Vec<usize>,
    now: Instant,
    mut room: usize,
) -> Vec<(usize, Result<String, &'static str>)> {
    let print = |at: usize| {
        let people = vec![asking.organizer.clone(), asking.attendees[at].clone()];
        // So much a period at the most: what has no room is not made first.
        if answer.periods.len().saturating_mul(MAX_PERIOD) > room {
            return (at, Err(NOT_KNOWN));
        }
        let text = busy::vfreebusy(answer, asking.window, people, now, &asking.uid, Some("REPLY"));
        room = room.saturating_sub(text.len());
        (at, Ok(text))
    };
    at.into_iter().map(print).collect()
}

/// The `schedule-response` (RFC 6638 10.1): for each attendee calendar data, or a request status (RFC 5546 3.6).
fn written(asking: &Asking, told: &HashMap<usize, Result<String, &str>>) -> String {
    let mut out = String::new();
    response::open_root("C:schedule-response", &mut out);
    for (at, attendee) in asking.attendees.iter().enumerate() {
        out.push_str("<C:response><C:recipient><D:href>");
        escape(attendee.value(), &mut out);
        out.push_str("</D:href></C:recipient><C:request-status>");
        match told.get(&at).unwrap_or(&Err(UNKNOWN)) {
            Ok(text) => {
                out.push_str("2.0;Success</C:request-status><C:calendar-data>");
                escape(text, &mut out);
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
    out
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ical::recur::Busy;

    fn asking(attendees: &[&str]) -> Asking {
        let attendees = attendees.iter().map(|a| Property::new("ATTENDEE", *a)).collect();
        let window = Window::new(Instant(0), Instant(1 << 30)).unwrap();
        Asking { uid: "u".to_owned(), window, organizer: Property::new("ORGANIZER", "mailto:o"), attendees }
    }

    fn busy(periods: i64) -> busy::Answer {
        let period = |n: i64| busy::Period {
            window: Window::new(Instant(n * 7_200), Instant(n * 7_200 + 3_600)).unwrap(),
            kind: Busy::Unavailable,
        };
        busy::Answer { periods: (0..periods).map(period).collect(), unknown: Vec::new() }
    }

    /// However often and in whichever way they are named.
    #[tokio::test]
    async fn each_person_is_looked_up_once() {
        use crate::{app::App, clock::Clock, config, secrets::Secrets};

        let text = "[storage]\nurl = \"sqlite::memory:\"\n[server]\npublic_url = \"https://cal.example.org\"\n\
                    [[user]]\nname = \"anna\"\nemail = \"o@example.org\"\n[[user]]\nname = \"ben\"\nemail = \"ben@example.org\"\n\
                    [[user]]\nname = \"shy\"\nemail = \"shy@example.org\"\nfree_busy = \"nobody\"\n";
        let config = config::parse(text, std::path::Path::new("g.toml"));
        let app = App::open(config.expect("it is one"), Secrets::ephemeral(), Clock::held(Instant(0))).await.unwrap();
        let asking = Asking {
            organizer: Property::new("ORGANIZER", "mailto:o@example.org"),
            ..asking(&[
                "mailto:ben@example.org",
                "mailto:o@example.org",
                "MAILTO:BEN@example.org",
                "mailto:nobody@example.org",
                "https://cal.example.org/dav/principals/ben/",
                "mailto:shy@example.org",
                "mailto:b%65n@example.org",
            ])
        };
        let base = app.config.load().server.public_url.clone();
        let found = app.store.read(move |tx| {
            let anna = users::by_name(tx, "anna")?.expect("she is there");
            people(tx, &anna, &base, &asking)
        });
        let found: Vec<(String, Vec<usize>)> = found.await.unwrap().into_iter().map(|(u, at)| (u.name, at)).collect();
        assert_eq!(found, [("ben".to_owned(), vec![0, 2, 4, 6]), ("anna".to_owned(), vec![1])]);
    }

    #[test]
    fn an_answer_has_its_bound() {
        let asking = asking(&["mailto:a", "mailto:b", "mailto:c"]);
        let answer = busy(100);
        let printed = |room| {
            let all = print(&answer, &asking, vec![0, 1, 2], Instant(0), room);
            all.into_iter().map(|(_, text)| text.map_or(0, |text| text.len())).collect::<Vec<_>>()
        };
        let all = printed(MAX_ANSWER);
        assert!(all.iter().all(|&length| length > 5_000 && length < 100 * MAX_PERIOD + 500), "{all:?}");
        let one = printed(100 * MAX_PERIOD);
        assert_eq!(one, [all[0], 0, 0]);
        assert_eq!(printed(0), [0, 0, 0]);
    }

    #[test]
    fn more_people_are_asked_about_for_less_time() {
        let asked = |people: usize, days: i64| {
            let guests: String = (0..people).map(|n| format!("ATTENDEE:mailto:{n}@example.org\r\n")).collect();
            let (start, end) = (Instant(1_767_225_600), Instant(1_767_225_600 + days * 86_400));
            let text = format!(
                "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//EN\r\nMETHOD:REQUEST\r\nBEGIN:VFREEBUSY\r\nUID:u\r\n\
                 DTSTAMP:20260101T000000Z\r\nDTSTART:{}\r\nDTEND:{}\r\nORGANIZER:mailto:o\r\n{guests}\
                 ATTENDEE:mailto:0@example.org\r\nEND:VFREEBUSY\r\nEND:VCALENDAR\r\n",
                start.utc(),
                end.utc()
            );
            read(text.as_bytes()).map(|asking| asking.attendees.len()).map_err(|e| e.message)
        };
        // The first of them is named twice in each, and counts once.
        assert_eq!(asked(10, 397), Ok(10));
        assert_eq!(asked(11, 397), Err("ask for at most 360 days about 11 people at once".to_owned()));
        assert_eq!(asked(100, 39), Ok(100));
        assert!(asked(100, 40).is_err());
    }
}
