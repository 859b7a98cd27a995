//! What differs between two objects of one UID, what they have in common, and how the changes of two sides come together.
//!
//! `said.rs` has one form for all the ways to write a line, `field.rs` says what a component says field by field, `series.rs`
//! which instance an override or EXDATE means, `between.rs` what differs, and `merge.rs` makes one object of two.

mod between;
mod field;
mod merge;
mod said;
mod series;

use std::borrow::Cow;

use sha2::{Digest, Sha256};

use super::{Component, Object, Property};

pub use between::{Change, Place, What, between};
pub use field::{Field, Lines};
pub use merge::{Conflict, Merged, Winner, merge};
pub use series::Original;

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

/// A short name for what an object says: equal for two that are [`same`], and by all odds for no others. 32 hexadecimal
/// digits that stay what they are from one version of calgate to the next.
pub fn digest(object: &Object) -> String {
    digest_of(object.calendar())
}

/// The same for one component.
pub(super) fn digest_of(component: &Component) -> String {
    let mut hash = Sha256::new();
    Said::of(component).feed(&mut hash);
    hash.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A component without what does not count, in an order of its own.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Said<'a> {
    name: &'a str,
    lines: Vec<Line<'a>>,
    components: Vec<Said<'a>>,
}

/// Name, parameters, value.
type Line<'a> = (&'a str, Vec<(&'a str, Vec<Cow<'a, str>>)>, &'a str);

impl<'a> Said<'a> {
    fn of(component: &'a Component) -> Said<'a> {
        let mut lines: Vec<Line<'a>> = component.properties.iter().filter(|p| counts(p)).map(line).collect();
        lines.sort_unstable();
        let mut components: Vec<Said<'a>> = component.components.iter().map(Said::of).collect();
        components.sort_unstable();
        Said { name: component.name(), lines, components }
    }

    /// Every text with its length in front, so that no two things said run into the same bytes.
    fn feed(&self, hash: &mut Sha256) {
        let mut text = |text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        };
        text(self.name);
        text(&format!("{} {}", self.lines.len(), self.components.len()));
        for (name, params, value) in &self.lines {
            text(name);
            text(value);
            text(&params.len().to_string());
            for (name, values) in params {
                text(name);
                text(&values.len().to_string());
                values.iter().for_each(|value| text(value));
            }
        }
        for component in &self.components {
            component.feed(hash);
        }
    }
}

fn counts(property: &Property) -> bool {
    !matches!(property.name(), "DTSTAMP" | "LAST-MODIFIED" | "CREATED" | "PRODID")
}

fn line(property: &Property) -> Line<'_> {
    let mut params: Vec<(&str, Vec<Cow<'_, str>>)> =
        property.params().map(|p| (p.name(), p.values().collect())).collect();
    params.sort_unstable();
    (property.name(), params, property.value())
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
            assert_eq!(digest(&object(a)) == digest(&object(b)), expect, "{b}");
        }
    }
}
