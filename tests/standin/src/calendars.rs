//! Calendars written relative to a day, so that a demo is alive on any day: `fixtures/ical/demo/*.ics`.
//!
//! Such a file is one VCALENDAR as a calendar program would export it, LF line ends, with dates in braces: `{today+3}` is
//! in three days, `{mon}` is the Monday of this week, `{wed-2w}` the Wednesday two weeks before, `{workday}` the next
//! day after today from Monday to Friday.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::Date;

/// Splits an export into objects, one for each UID with the VTIMEZONEs it needs: name and text, CRLF line ends.
/// Panics, with the place, on a template that is wrong: it is ours.
pub fn objects(template: &str, today: Date) -> Vec<(String, String)> {
    let text = date(template, today);
    let mut zones: BTreeMap<String, String> = BTreeMap::new();
    let mut objects: Vec<(String, String)> = Vec::new();
    let mut block = String::new();
    for line in text.lines() {
        match line {
            "BEGIN:VTIMEZONE" | "BEGIN:VEVENT" | "BEGIN:VTODO" => block.clear(),
            _ => {}
        }
        block.push_str(line);
        block.push_str("\r\n");
        match line {
            "END:VTIMEZONE" => drop(zones.insert(value(&block, "TZID:"), block.clone())),
            "END:VEVENT" | "END:VTODO" => {
                let uid = value(&block, "UID:");
                match objects.iter_mut().find(|(u, _)| *u == uid) {
                    Some((_, components)) => components.push_str(&block),
                    None => objects.push((uid, block.clone())),
                }
            }
            _ => {}
        }
    }
    let whole = |(uid, components): (String, String)| {
        let needed = zones.iter().filter(|(id, _)| components.contains(&format!("TZID={id}:")));
        let zones: String = needed.map(|(_, zone)| zone.as_str()).collect();
        let head = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//standin//demo//EN\r\n";
        let name = uid.split('@').next().unwrap_or_default();
        (format!("{name}.ics"), format!("{head}{zones}{}END:VCALENDAR\r\n", folded(&components)))
    };
    objects.into_iter().map(whole).collect()
}

fn value(block: &str, name: &str) -> String {
    let found = block.lines().find_map(|line| line.strip_prefix(name));
    found.unwrap_or_else(|| panic!("no {name} in {block}")).to_owned()
}

/// Lines of at most 75 octets (RFC 5545 3.1), cut between characters.
fn folded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut width = 0;
    for c in text.chars() {
        if width + c.len_utf8() > 75 && c != '\r' && c != '\n' {
            out.push_str("\r\n ");
            width = 1;
        }
        width = if c == '\n' { 0 } else { width + c.len_utf8() };
        out.push(c);
    }
    out
}

/// Replaces each `{…}` by its date.
fn date(template: &str, today: Date) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (token, after) = after.split_once('}').unwrap_or_else(|| panic!("a brace without end after {before}"));
        out.push_str(before);
        out.push_str(&one(token, today).strftime("%Y%m%d").to_string());
        rest = after;
    }
    out + rest
}

fn one(token: &str, today: Date) -> Date {
    let at = token.find(['+', '-']).unwrap_or(token.len());
    let (day, offset) = token.split_at(at);
    let monday = today - i64::from(today.weekday().to_monday_zero_offset()).days();
    let base = match ["mon", "tue", "wed", "thu", "fri", "sat", "sun"].iter().position(|name| *name == day) {
        Some(n) => monday + (n as i64).days(),
        None if day == "today" => today,
        None if day == "workday" => {
            today + [1_i64, 1, 1, 1, 3, 2, 1][today.weekday().to_monday_zero_offset() as usize].days()
        }
        None => panic!("{{{token}}} is no day"),
    };
    let (number, unit) = offset.strip_suffix('w').map_or((offset, 1), |number| (number, 7));
    let number: i64 = if number.is_empty() { 0 } else { number.parse().unwrap_or_else(|_| panic!("{{{token}}}")) };
    base + (number * unit).days()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_in_braces_becomes_its_date() {
        // A Saturday.
        let today = jiff::civil::date(2026, 11, 21);
        let check =
            |token: &str, expect: &str| assert_eq!(date(&format!("a{{{token}}}b"), today), format!("a{expect}b"));
        check("today", "20261121");
        check("today+10", "20261201");
        check("today-325", "20251231");
        check("mon", "20261116");
        check("sun", "20261122");
        check("wed-1w", "20261111");
        check("thu+7w", "20270107");
        check("workday", "20261123");
    }

    #[test]
    fn an_export_falls_apart_into_objects() {
        let template = "BEGIN:VCALENDAR\nBEGIN:VTIMEZONE\nTZID:A\nEND:VTIMEZONE\nBEGIN:VEVENT\nUID:x@y\nDTSTART;TZID=A:{mon}T1\n\
             END:VEVENT\nBEGIN:VEVENT\nUID:z\nEND:VEVENT\nBEGIN:VEVENT\nUID:x@y\nEND:VEVENT\nEND:VCALENDAR\n";
        let objects = objects(template, jiff::civil::date(2026, 11, 21));
        let names: Vec<&str> = objects.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["x.ics", "z.ics"]);
        assert_eq!(objects[0].1.matches("BEGIN:VEVENT").count(), 2);
        assert!(objects[0].1.contains("TZID:A\r\n") && !objects[1].1.contains("TZID:A"));
    }
}
