//! What of an object is agreed between organizer and guests (RFC 6638 3.2.10): its schedule tag, and the answers of
//! others, which a client that has not heard of them must not take back.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

use super::recur::{is_me, is_mine};
use super::text::{end_of_param, param_values};
use super::{Component, Object, Property};

/// Whether a text may invite anybody: most objects are of one person alone, and have no schedule tag whoever asks.
pub fn may_invite(text: &str) -> bool {
    let lines = || memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| &text.as_bytes()[at + 1..]);
    let named =
        |name: &[u8]| lines().any(|l| l.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)));
    named(b"ORGANIZER") && named(b"ATTENDEE")
}

/// The schedule tag of an object that has an ORGANIZER and ATTENDEEs; `None`: nobody is invited. `me`: the addresses of
/// the person whose calendar it is in, in lower case and without `mailto:`.
///
/// It stays the same while nothing changes but what others answered and what a server noted about delivery, and moves
/// with all else, the person's own answer too (RFC 6638 3.2.10). Folds, quotes, the case of names and the order of lines
/// do not count. `text` is what was stored, so it was read before: here no tree is made of it, because each GET asks.
pub fn tag(text: &str, me: &[String]) -> Option<String> {
    if !may_invite(text) {
        return None;
    }
    let mut open: Vec<Open> = Vec::new();
    let mut lines: Vec<Cow<'_, str>> = Vec::with_capacity(text.len() / 24);
    let mut invites = false;
    for line in unfolded(text).filter(|line| !line.is_empty()) {
        let end = memchr::memchr2(b':', b';', line.as_bytes()).unwrap_or(line.len());
        let is = |name: &str| line[..end].eq_ignore_ascii_case(name);
        if is("BEGIN") {
            open.push(Open { first: lines.len(), organizer: false, guest: false });
        } else if is("END") {
            let Some(done) = open.pop() else { continue };
            // What is within an event, an alarm, is not what guests are told.
            invites |= open.len() == 1 && done.organizer && done.guest;
            let said = digest(&mut lines[done.first..]);
            lines.truncate(done.first);
            lines.push(Cow::Owned(format!("{} {said}", line.trim_ascii_end().to_ascii_uppercase())));
        } else if let depth @ 1.. = open.len() {
            let here = &mut open[depth - 1];
            let (organizer, guest) = (is("ORGANIZER"), is("ATTENDEE"));
            here.organizer |= organizer;
            here.guest |= guest;
            let noted = ["DTSTAMP", "LAST-MODIFIED", "CREATED", "PRODID"].into_iter().any(is);
            let delivered = depth == 2 && is("REQUEST-STATUS");
            if !noted && !delivered {
                lines.push(said(line, end, (depth == 2 && (organizer || guest)).then_some(me)));
            }
        }
    }
    invites.then(|| digest(&mut lines))
}

/// A component that is being read.
struct Open {
    /// Where its lines begin.
    first: usize,
    organizer: bool,
    guest: bool,
}

/// The lines of a text without their folds and ends.
fn unfolded(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let mut rest = text;
    let mut next = move || {
        let (line, behind) = match memchr::memchr(b'\n', rest.as_bytes()) {
            Some(at) => (&rest[..at], &rest[at + 1..]),
            None => (rest, ""),
        };
        rest = behind;
        (line.strip_suffix('\r').unwrap_or(line), behind.starts_with([' ', '\t']), behind.is_empty())
    };
    let mut over = text.is_empty();
    std::iter::from_fn(move || {
        if over {
            return None;
        }
        let (line, mut folded, end) = next();
        over = end;
        let mut line = Cow::Borrowed(line);
        while folded {
            let more;
            (more, folded, over) = next();
            line.to_mut().push_str(&more[1..]);
        }
        Some(line)
    })
}

/// A line in a form that is the same for all ways to write it; its name ends at `end`. `invited`: it names somebody who is
/// invited or invites, and what is others' to say is left out.
fn said<'a>(line: Cow<'a, str>, end: usize, invited: Option<&[String]>) -> Cow<'a, str> {
    let parts = || {
        let mut rest = &line[end..];
        let mut params: Vec<(String, Vec<Cow<'_, str>>)> = Vec::new();
        while let Some(param) = rest.strip_prefix(';') {
            let end = end_of_param(param.as_bytes(), 0)?;
            rest = &param[end..];
            let (name, values) = param[..end].split_once('=').unwrap_or((&param[..end], ""));
            params.push((name.to_ascii_uppercase(), param_values(values).collect()));
        }
        Some((params, rest))
    };
    if line.as_bytes().get(end) != Some(&b';') && !line.as_bytes()[..end].iter().any(u8::is_ascii_lowercase) {
        return line;
    }
    // It has no value, or a quote that does not end: by the letter then.
    let Some((mut params, value)) = parts() else { return line };
    if let Some(me) = invited {
        let email = params.iter().find(|(name, _)| name == "EMAIL").and_then(|(_, values)| values.first());
        let mine = is_mine(value.strip_prefix(':').unwrap_or(value), email.map(AsRef::as_ref), me);
        params.retain(|(name, _)| !is_others_to_say(name, mine));
    }
    params.sort_unstable();
    // Between the parts stands what no line holds; one that has no parameters left is as it would be without them.
    let mut said = line[..end].to_ascii_uppercase();
    for (name, values) in &params {
        said.push('\u{1}');
        said.push_str(name);
        for value in values {
            said.push('\u{2}');
            said.push_str(value);
        }
    }
    if !params.is_empty() {
        said.push('\u{1}');
    }
    said.push_str(value);
    Cow::Owned(said)
}

/// A digest of lines in whatever order: 32 hexadecimal digits.
fn digest(lines: &mut [Cow<'_, str>]) -> String {
    lines.sort_unstable();
    let mut all = String::with_capacity(lines.iter().map(|line| line.len() + 1).sum());
    for line in lines {
        all.push_str(line);
        all.push('\n');
    }
    let hash = Sha256::digest(all.as_bytes());
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or('0');
    hash[..16].iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn is_others_to_say(param: &str, mine: bool) -> bool {
    param == "SCHEDULE-STATUS" || !mine && ANSWER.contains(&param)
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
    fn how_it_is_written_does_not_move_the_tag() {
        let lines = MEETING.replace("ATTENDEE;RSVP", "ATTENDEE;CN=Ben;X-A=1,2;RSVP");
        let text = event(&lines);
        let before = tag(&text, &[ME.to_owned()]);
        let check = |from: &str, to: &str, moves: bool| {
            assert!(text.contains(from), "{from}");
            assert_eq!(tag(&text.replace(from, to), &[ME.to_owned()]) != before, moves, "{from} → {to}");
        };
        check("\r\n", "\n", false);
        check("SUMMARY:Plan", "SUMMARY:Pl\r\n an", false);
        check("SUMMARY:Plan", "SUMM\r\n\tARY:Plan", false);
        check("SUMMARY:Plan", "summary:Plan", false);
        check("CN=Ben;X-A=1,2", "x-a=\"1\",2;cn=\"Ben\"", false);
        check("SUMMARY:Plan\r\nEND:VEVENT", "END:VEVENT", true);
        check("DURATION:PT1H\r\n", "SUMMARY:Plan\r\nDURATION:PT1H\r\n", true);
        check("X-A=1,2", "X-A=\"1,2\"", true);
        check("CN=Ben", "CN=ben", true);
        check("UID:1", "UID:2", true);
        let moved = text.replace("SUMMARY:Plan\r\n", "").replace("UID:1", "SUMMARY:Plan\r\nUID:1");
        assert_eq!(tag(&moved, &[ME.to_owned()]), before);
        // Whoever is known by EMAIL is known.
        let email = text.replace(":mailto:ben@example.org", ";EMAIL=ben@example.org:urn:x");
        let ben = ["ben@example.org".to_owned()];
        assert_ne!(tag(&email, &ben), tag(&email.replace("NEEDS-ACTION", "ACCEPTED"), &ben));
        assert_eq!(tag(&email, &[]), tag(&email.replace("NEEDS-ACTION", "ACCEPTED"), &[]));
        // An alarm's are no guests, and what stands in it is all its owner's.
        let alarm = "BEGIN:VALARM\r\nATTENDEE;RSVP=TRUE:mailto:c@example.org\r\nEND:VALARM\r\nEND:VEVENT";
        let alarmed = text.replace("END:VEVENT", alarm);
        assert_ne!(tag(&alarmed, &[]), tag(&alarmed.replace("RSVP=TRUE:mailto:c", "RSVP=FALSE:mailto:c"), &[]));
        let alone = event("ORGANIZER:mailto:anna@example.org").replace("END:VEVENT", alarm);
        assert_eq!(tag(&alone, &[]), None);
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
