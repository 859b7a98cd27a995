//! What two texts of one object have in common: whether they mean the same.

use super::{Component, Object, Property};

/// Whether two objects say the same, folding, property order and DTSTAMP, LAST-MODIFIED, CREATED, PRODID aside.
/// An upstream that only re-prints what it was sent has not altered it.
/// The order of components and of parameters and the case of names do not count either.
pub fn same(a: &Object, b: &Object) -> bool {
    a.text() == b.text() || Said::of(a.calendar()) == Said::of(b.calendar())
}

/// The same for a text; one that can not be read says nothing that `b` says.
pub fn same_text(a: &str, b: &Object) -> bool {
    a == b.text() || Object::parse(a).is_ok_and(|a| same(&a, b))
}

/// A component without what does not count, in an order of its own.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Said<'a> {
    name: &'a str,
    lines: Vec<Line<'a>>,
    components: Vec<Said<'a>>,
}

/// Name, parameters, value.
type Line<'a> = (&'a str, Vec<(&'a str, &'a [String])>, &'a str);

impl<'a> Said<'a> {
    fn of(component: &'a Component) -> Said<'a> {
        let mut lines: Vec<Line<'a>> = component.properties.iter().filter(|p| counts(p)).map(line).collect();
        lines.sort_unstable();
        let mut components: Vec<Said<'a>> = component.components.iter().map(Said::of).collect();
        components.sort_unstable();
        Said { name: &component.name, lines, components }
    }
}

fn counts(property: &Property) -> bool {
    !matches!(property.name.as_str(), "DTSTAMP" | "LAST-MODIFIED" | "CREATED" | "PRODID")
}

fn line(property: &Property) -> Line<'_> {
    let mut params: Vec<(&str, &[String])> =
        property.params.iter().map(|(name, values)| (name.as_str(), values.as_slice())).collect();
    params.sort_unstable();
    (&property.name, params, &property.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(lines: &str) -> Object {
        let text = format!("BEGIN:VCALENDAR\nVERSION:2.0\nBEGIN:VEVENT\nUID:1\n{lines}\nEND:VEVENT\nEND:VCALENDAR\n");
        Object::parse(&text).unwrap()
    }

    #[test]
    fn sees_what_is_said_and_not_how() {
        let a = "DTSTART:20260105T090000Z\nSUMMARY;LANGUAGE=en;X-A=1:a";
        let cases = [
            ("SUMMARY;X-A=\"1\";language=en:a\nDTSTART:20260105T090000Z", true),
            ("DTSTART:20260105T0900\n 00Z\nSUMMARY;LANGUAGE=en;X-A=1:a\nDTSTAMP:20260101T000000Z", true),
            ("DTSTART:20260105T090000Z\nSUMMARY;LANGUAGE=en;X-A=1:a\nCREATED:20260101T000000Z", true),
            ("DTSTART:20260105T090000Z\nSUMMARY;LANGUAGE=en;X-A=2:a", false),
            ("DTSTART:20260105T090000Z\nSUMMARY;LANGUAGE=en;X-A=1:b", false),
            ("DTSTART:20260105T090000Z\nSUMMARY;LANGUAGE=en;X-A=1:a\nSEQUENCE:1", false),
            ("DTSTART:20260105T090000Z\nSUMMARY;LANGUAGE=en;X-A=1:a\nBEGIN:VALARM\nEND:VALARM", false),
        ];
        for (b, expect) in cases {
            assert_eq!(same(&object(a), &object(b)), expect, "{b}");
            assert_eq!(same(&object(b), &object(a)), expect, "{b}");
        }
    }
}
