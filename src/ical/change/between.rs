//! What differs between two objects, as one who must tell an upstream needs it.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use jiff::tz::TimeZone;

use super::super::time::DAY;
use super::super::{Component, Object, Property};
use super::field::{Field, Lines, Sheet};
use super::said::{Book, address, is_future, recurs, time_said};
use super::series::{Key, Original, Shift, Side, is_all_day};

/// Where in an object something differs. Instances are named as the newer object has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The VCALENDAR around it.
    Calendar,
    /// The series, or the whole of what does not recur.
    Master,
    /// One instance.
    Instance(Original),
    /// The instance and all that follow (RANGE=THISANDFUTURE).
    Future(Original),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Calendar => f.write_str("calendar"),
            Place::Master => f.write_str("master"),
            Place::Instance(original) => write!(f, "instance {original}"),
            Place::Future(original) => write!(f, "from {original} on"),
        }
    }
}

/// One difference between two objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where.
    pub place: Place,
    /// What.
    pub what: What,
}

/// What differs. All but `Field` says what the differing fields at its place come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A field says something else. For an override that is new `before` is what the series says of the instance, for one
    /// that was reset `after` is.
    Field {
        /// Which.
        field: Field,
        /// Its lines before; none when it was not there.
        before: Lines,
        /// Its lines now; none when it is gone.
        after: Lines,
    },
    /// The start lies elsewhere: by so many seconds on the clock on the wall, between days for dates. Of the master: the
    /// series moved, and what moved along with it (overrides, EXDATEs) is no change of its own.
    Moved {
        /// Later when positive.
        seconds: i64,
    },
    /// Whether it is all-day now; it was not, or was.
    AllDay(bool),
    /// The zone is another one: TZID as written, `UTC`, or `None` for floating times.
    Zone {
        /// The zone it had.
        before: Option<String>,
        /// The zone it has.
        after: Option<String>,
    },
    /// Whether it recurs now; it did not, or did.
    Recurs(bool),
    /// The series, otherwise where it was, begins with this instance now: earlier ones were cut off, or put before.
    Begins {
        /// The first instance.
        at: Original,
    },
    /// The rule, otherwise as it was, ends before this instance. Overrides and EXDATEs from there on that are gone are no
    /// changes of their own.
    Split {
        /// The first instance that is gone.
        at: Original,
    },
    /// The instance is gone: by EXDATE, by an override that is CANCELLED, or because its override is dropped where the
    /// rule gives no instance. At the master: only overrides are left.
    Removed,
    /// The instance is back. Its override, if it has one, follows as fields.
    Restored,
    /// The override is gone, and the instance follows the series again. What that alters follows as fields.
    Reset,
    /// An override is new and says nothing that the series does not.
    Echo,
}

impl Change {
    /// True when it concerns only what each person has for themselves: see [`Field::is_personal`], and the answer
    /// (PARTSTAT, RSVP and what goes with it) of the attendee with one of these addresses (lower case, without `mailto:`).
    /// So does an echo, which says nothing. An instance that is removed or moved is shared, whoever does it.
    pub fn is_personal(&self, me: &[String]) -> bool {
        match &self.what {
            What::Field { field, before, after } => field.is_personal() || is_own_answer(field, before, after, me),
            What::Echo => true,
            _ => false,
        }
    }
}

/// Whether two lines of one attendee, who is one of `me`, differ in the answer alone.
fn is_own_answer(field: &Field, before: &Lines, after: &Lines, me: &[String]) -> bool {
    let mine = field.name == "ATTENDEE" && field.key.as_ref().is_some_and(|key| me.contains(key));
    let ([before], [after]) = (before.properties.as_slice(), after.properties.as_slice()) else { return false };
    let without_answer = |p: &Property| {
        let mut p = p.clone();
        p.retain_params(|p| !ANSWER.contains(&p.name()));
        let mut params: Vec<(String, Vec<String>)> =
            p.params().map(|p| (p.name().to_owned(), p.values().map(Cow::into_owned).collect())).collect();
        params.sort_unstable();
        params
    };
    mine && without_answer(before) == without_answer(after)
}

/// The parameters that an answer is made of.
const ANSWER: [&str; 5] = ["PARTSTAT", "RSVP", "SCHEDULE-STATUS", "X-RESPONSE-COMMENT", "X-CALENDARSERVER-DTSTAMP"];

/// What must be told of the step from one object to the other, of one UID: first of the calendar, then of the master, then
/// of each instance in order.
///
/// Equal is what means the same: folds, order, quotes, escapes and case where it does not count; rule parts that hold
/// anyway; UNTIL, COUNT and whatever else ends a rule with the same instance; DURATION and DTEND of one length; names of
/// one zone; EXDATE, RDATE and RECURRENCE-ID of one instance in any form. UID, DTSTAMP, CREATED, LAST-MODIFIED, PRODID,
/// SEQUENCE and VTIMEZONEs are no changes. When there is none, the two mean the same.
pub fn between(before: &Object, after: &Object) -> Vec<Change> {
    if before.text() == after.text() {
        return Vec::new();
    }
    let book = Book::default();
    let before = Side::of(before, &book);
    let mut after = Side::of(after, &book);
    after.lie_to(&before);
    let mut told = Told { changes: Vec::new() };
    let old = before.calendar_sheet(None);
    told.fields(Place::Calendar, &old, &after.calendar_sheet(Some(&old)));
    let cut = told.master(&before, &after);
    told.instances(&before, &after, cut);
    told.changes
}

struct Told {
    changes: Vec<Change>,
}

impl Told {
    fn tell(&mut self, place: Place, what: What) {
        self.changes.push(Change { place, what });
    }

    /// The fields that differ; whether any does.
    fn fields(&mut self, place: Place, before: &Sheet<'_>, after: &Sheet<'_>) -> bool {
        let count = self.changes.len();
        for field in Sheet::fields(&[before, after]) {
            if before.said(field) != after.said(field) {
                let (before, after) = (before.lines(field), after.lines(field));
                self.tell(place, What::Field { field: field.clone(), before, after });
            }
        }
        self.changes.len() > count
    }

    /// The master. Gives the wall time of the first instance that was cut off, by the clock of `before`.
    fn master(&mut self, before: &Side<'_>, after: &Side<'_>) -> Option<i64> {
        let place = Place::Master;
        let rules = [before.rule(), after.rule()];
        let old = before.master_sheet(None, &rules[0]);
        let Some(new) = after.master_sheet(old.as_ref(), &rules[1]) else {
            if old.is_some() {
                self.tell(place, What::Removed);
            }
            return None;
        };
        let Some(old) = old else {
            self.fields(place, &Sheet::empty(new.component.name()), &new);
            return None;
        };
        let (recurred, recurs_now) = (recurs(&old.component), recurs(&new.component));
        if recurred != recurs_now {
            self.tell(place, What::Recurs(recurs_now));
        }
        let begins = recurred && recurs_now && after.shift == Shift::Same && after.start != before.start;
        match after.start.filter(|_| begins && before.clock.name == after.clock.name) {
            Some(start) => self.tell(place, What::Begins { at: after.original(start) }),
            None => self.times(place, before, &old, after, &new),
        }
        let cut = cut(before, &rules[0], after, &rules[1]).filter(|_| recurred && recurs_now);
        if let Some(wall) = cut {
            self.tell(place, What::Split { at: after.original(after.of_hub(wall)) });
        }
        self.fields(place, &old, &new);
        if before.rdates() != after.rdates() {
            let lines = |c: &Component| Lines { properties: c.all("RDATE").cloned().collect(), components: Vec::new() };
            let (before, after) = (lines(&old.component), lines(&new.component));
            self.tell(place, What::Field { field: Field::of("RDATE"), before, after });
        }
        cut
    }

    /// What a time that differs comes to.
    fn times(&mut self, place: Place, before: &Side<'_>, old: &Sheet<'_>, after: &Side<'_>, new: &Sheet<'_>) {
        let time = Field::of("DTSTART");
        if old.said(&time) == new.said(&time) {
            return;
        }
        let start = |side: &Side<'_>, sheet: &Sheet<'_>| {
            ["DTSTART", "DUE"].into_iter().find_map(|name| {
                let (wall, clock) = side.reader.time_of(&sheet.component, name)?;
                Some((wall, clock, sheet.component.property(name)?.clone()))
            })
        };
        let (Some((was, old_clock, old_line)), Some((is, new_clock, new_line))) =
            (start(before, old), start(after, new))
        else {
            return;
        };
        if is_all_day(&old_line) != is_all_day(&new_line) {
            self.tell(place, What::AllDay(is_all_day(&new_line)));
            let days = is.div_euclid(DAY) - was.div_euclid(DAY);
            if days != 0 {
                self.tell(place, What::Moved { seconds: days * DAY });
            }
            return;
        }
        if old_clock.name != new_clock.name {
            let zone = |p: &Property| match p.param("TZID") {
                Some(tzid) => Some(tzid.into_owned()),
                None => p.value().trim().ends_with(['Z', 'z']).then(|| "UTC".to_owned()),
            };
            self.tell(place, What::Zone { before: zone(&old_line), after: zone(&new_line) });
        }
        let utc = &TimeZone::UTC;
        if was != is && old_clock.frame.at(was, utc) != new_clock.frame.at(is, utc) {
            self.tell(place, What::Moved { seconds: is - was });
        }
    }

    fn instances(&mut self, before: &Side<'_>, after: &Side<'_>, cut: Option<i64>) {
        let mut keys: BTreeSet<Key> = before.exdates.iter().map(|wall| (*wall, 0)).collect();
        keys.extend(before.overrides.keys());
        keys.extend(after.exdates.iter().map(|wall| (after.to_hub(*wall), 0)));
        keys.extend(after.overrides.keys().map(|key| (after.to_hub(key.0), key.1)));
        let there = |key: &Key| (after.of_hub(key.0), key.1);
        // Of an instance that only one of them names it matters whether the other's rule has it.
        let named = |side: &Side<'_>, key: &Key| side.overrides.contains_key(key) || side.exdates.contains(&key.0);
        let only =
            |of: bool| keys.iter().filter(move |key| named(before, key) == of && named(after, &there(key)) != of);
        let given_after = after.gives(&only(true).map(|key| after.of_hub(key.0)).collect::<Vec<_>>());
        let given_before = before.gives(&only(false).map(|key| key.0).collect::<Vec<_>>());
        for key in keys {
            let wall = after.of_hub(key.0);
            let (old, new) = (before.overrides.get(&key), after.overrides.get(&there(&key)));
            let gone_before = before.exdates.contains(&key.0);
            let gone_after = after.exdates.contains(&wall);
            let original = after.original(wall);
            let place = match new.or(old).is_some_and(|c| is_future(c)) {
                true => Place::Future(original),
                false => Place::Instance(original),
            };
            let gone_before = gone_before || old.is_some_and(|c| is_cancelled(c));
            let gone_after = gone_after || new.is_some_and(|c| is_cancelled(c));
            let never = given_before.as_ref().is_some_and(|given| !given.contains(&key.0));
            let no_more = given_after.as_ref().is_some_and(|given| !given.contains(&wall));
            // An RDATE may give an instance beyond the cut.
            if cut.is_some_and(|cut| key.0 >= cut) && new.is_none() && !after.exdates.contains(&wall) && no_more {
                continue;
            }
            // What takes away an instance that there is not says nothing.
            if gone_after && !gone_before && old.is_none() && never || gone_before && new.is_none() && no_more {
                continue;
            }
            match (gone_before, gone_after) {
                (false, true) => {
                    self.tell(place, What::Removed);
                    continue;
                }
                (true, false) => self.tell(place, What::Restored),
                _ => {}
            }
            let restored = gone_before && !gone_after;
            match (old, new) {
                (Some(old), Some(new)) if !restored => self.overridden(place, before, old, after, new),
                (_, Some(new)) if !gone_after || !gone_before => {
                    let series = after.instance(wall);
                    let component = series.unwrap_or_else(|| Component::new(new.name()));
                    let series = Sheet::of(Cow::Owned(component), &after.reader, None);
                    let new = after.sheet(new, Some(&series));
                    self.times(place, after, &series, after, &new);
                    if !self.fields(place, &series, &new) && !restored {
                        self.tell(place, What::Echo);
                    }
                }
                (Some(old), None) if !gone_after && !restored => {
                    if no_more {
                        self.tell(place, What::Removed);
                        continue;
                    }
                    self.tell(place, What::Reset);
                    let old = before.sheet(old, None);
                    if let Some(series) = after.instance(wall) {
                        let series = Sheet::of(Cow::Owned(series), &after.reader, Some(&old));
                        self.fields(place, &old, &series);
                    }
                }
                _ => {}
            }
        }
    }

    /// An override that both have.
    fn overridden(&mut self, place: Place, before: &Side<'_>, old: &Component, after: &Side<'_>, new: &Component) {
        if before.clock.name == after.clock.name && old == new && before.start == after.start {
            return;
        }
        let old = Sheet::of(Cow::Borrowed(old), &before.reader, None);
        let mut sheet = Sheet::of(Cow::Borrowed(new), &after.reader, Some(&old));
        let time = Field::of("DTSTART");
        // It moved along with the series, or is as long as that at its start and was so before.
        let as_series = |side: &Side<'_>, wall: i64, sheet: &Sheet<'_>| {
            side.instance(wall).is_some_and(|c| time_said(&c, &side.reader, None) == sheet.said(&time))
        };
        let along = after.time_before_move(new).is_some_and(|said| said == old.said(&time))
            || before.reader.time_of(&old.component, "DTSTART").is_some_and(|(wall, clock)| {
                clock.name == before.clock.name
                    && as_series(before, wall, &old)
                    && as_series(after, after.of_hub(wall), &sheet)
            });
        if !along {
            self.times(place, before, &old, after, &sheet);
        }
        if let Some(entry) = sheet.entries.get_mut(&time) {
            if along {
                entry.said = old.said(&time).to_owned();
            } else if matches!(after.shift, Shift::By(_)) && entry.said == old.said(&time) {
                // The series moved and this one did not: one who moves it along with the series must be told.
                entry.said.push_str(" stays");
            }
        }
        self.fields(place, &old, &sheet);
    }
}

pub(super) fn is_cancelled(component: &Component) -> bool {
    component.value("STATUS").is_some_and(|v| v.trim().eq_ignore_ascii_case("CANCELLED"))
}

/// The first instance of `before` that `after` does not have because its rule, otherwise the same, ends earlier.
pub(super) fn cut(
    before: &Side<'_>,
    old: &(String, Option<String>),
    after: &Side<'_>,
    new: &(String, Option<String>),
) -> Option<i64> {
    if old.0 != new.0 || old.0.is_empty() || old.0.contains('\n') || old.1 == new.1 || new.1.is_none() {
        return None;
    }
    // What was the last is still the last, or the rule goes on for longer: then nothing was cut off.
    before.first_after(after.to_hub(after.last()?))
}

/// The address of the organizer, empty when there is none.
pub(super) fn organizer(component: &Component) -> String {
    component.said("ORGANIZER").map(address).unwrap_or_default()
}
