//! What of an object is agreed between organizer and guests (RFC 6638 3.2.10): its schedule tag, and the answers of
//! others, which a client that has not heard of them must not take back.

use super::change;
use super::recur::is_me;
use super::{Component, Object, Property};

/// The schedule tag of an object that has an ORGANIZER and ATTENDEEs; `None`: nobody is invited. `me`: the addresses of
/// the person whose calendar it is in, in lower case and without `mailto:`.
///
/// It stays the same while nothing changes but what others answered and what a server noted about delivery, and moves
/// with all else, the person's own answer too (RFC 6638 3.2.10).
pub fn tag(text: &str, me: &[String]) -> Option<String> {
    // Most objects are of one person alone, and of those nothing is parsed.
    let lines = || memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| &text.as_bytes()[at + 1..]);
    let named =
        |name: &[u8]| lines().any(|l| l.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)));
    if !named(b"ORGANIZER") || !named(b"ATTENDEE") {
        return None;
    }
    let mut calendar = Component::parse(text).ok()?;
    let mut invites = false;
    for component in &mut calendar.components {
        invites |= component.property("ORGANIZER").is_some() && component.property("ATTENDEE").is_some();
        for property in &mut component.properties {
            if matches!(property.name(), "ATTENDEE" | "ORGANIZER") {
                let mine = is_me(property, me);
                property.retain_params(|param| !is_others_to_say(param.name(), mine));
            }
        }
        component.properties.retain(|p| p.name() != "REQUEST-STATUS");
    }
    invites.then(|| change::digest_of(&calendar))
}

fn is_others_to_say(param: &str, mine: bool) -> bool {
    param.eq_ignore_ascii_case("SCHEDULE-STATUS") || !mine && ANSWER.iter().any(|a| param.eq_ignore_ascii_case(a))
}

/// The parameters of an ATTENDEE that are the guest's answer, and what is asked of a guest who has not given one.
const ANSWER: [&str; 3] = ["PARTSTAT", "RSVP", "X-RESPONSE-COMMENT"];

/// `put`, with the answers that others gave and that `held` knows. A client whose schedule tag still holds may not have
/// heard of them, and what it sends would take them back. A component that was moved in time asks its guests anew, so there
/// the client's word counts. `None`: nothing is to be kept.
pub fn keep_answers(held: &Object, put: &Object, me: &[String]) -> Option<Object> {
    let mut kept = false;
    let object = put.with(|calendar| {
        for component in &mut calendar.components {
            let Some(before) = counterpart(held, component).filter(|before| same_time(before, component)) else {
                continue;
            };
            for guest in component.properties.iter_mut().filter(|p| p.name() == "ATTENDEE") {
                kept |= !is_me(guest, me) && keep_answer(before, guest);
            }
        }
    });
    object.ok().filter(|_| kept)
}

/// The component of `held` that `component` is a new version of: the same instance, or the master that it was one of.
fn counterpart<'a>(held: &'a Object, component: &Component) -> Option<&'a Component> {
    let id = component.value("RECURRENCE-ID");
    held.components()
        .find(|c| c.name() == component.name() && c.value("RECURRENCE-ID") == id)
        .or_else(|| held.master().filter(|master| id.is_some() && master.name() == component.name()))
}

fn same_time(before: &Component, after: &Component) -> bool {
    // An instance that got a component of its own is where its rule had put it when it is where it is named.
    if before.property("RECURRENCE-ID").is_none() && after.property("RECURRENCE-ID").is_some() {
        return after.value("DTSTART") == after.value("RECURRENCE-ID");
    }
    let same = |name: &str| {
        let said =
            |c: &Component| c.said(name).map(|p| (p.value().to_owned(), p.param("TZID").map(|t| t.into_owned())));
        said(before) == said(after)
    };
    ["DTSTART", "DTEND", "DUE", "DURATION", "RRULE", "RDATE"].into_iter().all(same)
}

/// Whether `guest` was given another answer than it came with.
fn keep_answer(before: &Component, guest: &mut Property) -> bool {
    let address = |p: &Property| p.value().trim().to_lowercase();
    let Some(known) = before.all("ATTENDEE").find(|p| address(p) == address(guest)) else { return false };
    let Some(answer) = known.param("PARTSTAT").filter(|a| !a.eq_ignore_ascii_case("NEEDS-ACTION")) else {
        return false;
    };
    if guest.param("PARTSTAT").is_some_and(|said| said.eq_ignore_ascii_case(&answer)) {
        return false;
    }
    let answer = answer.into_owned();
    guest.set_param("PARTSTAT", &answer);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: &str = "anna@example.org";

    fn event(lines: &str) -> String {
        format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//EN\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:20260101T000000Z\r\n\
             DTSTART:20260601T090000Z\r\nDURATION:PT1H\r\n{}END:VEVENT\r\nEND:VCALENDAR\r\n",
            lines.lines().map(|l| format!("{}\r\n", l.trim())).collect::<String>()
        )
    }

    const MEETING: &str = "ORGANIZER:mailto:anna@example.org\nATTENDEE;PARTSTAT=ACCEPTED:mailto:anna@example.org\n\
                           ATTENDEE;RSVP=TRUE;PARTSTAT=NEEDS-ACTION:mailto:ben@example.org\nSUMMARY:Plan";

    #[test]
    fn the_tag_moves_with_all_but_the_answers_of_others() {
        let me = [ME.to_owned()];
        let before = tag(&event(MEETING), &me).unwrap();
        let check = |from: &str, to: &str, moves: bool| {
            assert!(MEETING.contains(from), "{from}");
            let after = tag(&event(&MEETING.replace(from, to)), &me).unwrap();
            assert_eq!(after != before, moves, "{from} → {to}");
        };
        check("RSVP=TRUE;PARTSTAT=NEEDS-ACTION", "PARTSTAT=DECLINED", false);
        check("RSVP=TRUE;PARTSTAT=NEEDS-ACTION", "RSVP=TRUE;SCHEDULE-STATUS=\"1.2\";PARTSTAT=ACCEPTED", false);
        check("ORGANIZER:", "ORGANIZER;SCHEDULE-STATUS=2.0:", false);
        check("SUMMARY:Plan", "SUMMARY:Plan\nREQUEST-STATUS:2.0;Success", false);
        check("SUMMARY:Plan", "SUMMARY:Plan\nDTSTAMP:20260202T000000Z", false);
        check("PARTSTAT=ACCEPTED:mailto:anna", "PARTSTAT=DECLINED:mailto:anna", true);
        check("SUMMARY:Plan", "SUMMARY:Other plan", true);
        check("SUMMARY:Plan", "SUMMARY:Plan\nATTENDEE:mailto:cora@example.org", true);
        check("mailto:ben@example.org", "mailto:cora@example.org", true);
        // The same as it is for a guest: then the organizer's own answer is another's.
        let guest = ["ben@example.org".to_owned()];
        assert_ne!(tag(&event(MEETING), &guest), tag(&event(&MEETING.replace("NEEDS-ACTION", "ACCEPTED")), &guest));
    }

    #[test]
    fn what_invites_nobody_has_no_tag() {
        let check = |lines: &str| assert_eq!(tag(&event(lines), &[]), None, "{lines}");
        check("SUMMARY:Alone");
        check("ORGANIZER:mailto:anna@example.org");
        check("ATTENDEE:mailto:anna@example.org");
        check("DESCRIPTION:ORGANIZER and\\nATTENDEE");
    }

    #[test]
    fn answers_that_a_client_has_not_heard_of_are_kept() {
        let me = [ME.to_owned()];
        let check = |held: &str, put: &str, expect: Option<&str>| {
            let (held, put) = (Object::parse(&event(held)).unwrap(), Object::parse(&event(put)).unwrap());
            let kept = keep_answers(&held, &put, &me);
            let expect = expect.map(|e| Object::parse(&event(e)).unwrap());
            assert_eq!(kept.as_ref().map(Object::text), expect.as_ref().map(Object::text));
        };
        let asked = "ORGANIZER:mailto:anna@example.org\nATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:ben@example.org\n";
        let answered = asked.replace("NEEDS-ACTION", "DECLINED");
        let renamed = |text: &str| format!("{text}SUMMARY:Renamed\n");
        check(&answered, &renamed(asked), Some(&renamed(&answered)));
        check(&answered, &answered, None);
        check(asked, &answered, None);
        // Who moves a meeting asks again.
        check(&answered, &format!("{asked}RRULE:FREQ=DAILY\n"), None);
        // One's own answer is one's own.
        let mine = |answer: &str| {
            format!("ORGANIZER:mailto:ben@example.org\nATTENDEE;PARTSTAT={answer}:mailto:anna@example.org\n")
        };
        check(&mine("DECLINED"), &mine("ACCEPTED"), None);
    }
}
