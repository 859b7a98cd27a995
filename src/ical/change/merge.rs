//! One object of two that both changed: a three-way merge of fields, of the series and of each instance.

mod instances;
mod put;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::super::object::zone_names;
use super::super::time::DAY;
use super::super::{Component, Error, Object, Property};
use super::between::{Place, organizer};
use super::field::{Field, Lines, Sheet, is_set};
use super::said::{Book, Reader, items, line_said, part_said};
use super::series::{Date, Shift, Side};
use instances::{Fates, From, whole};
use put::{applied, kept, merged_line, renamed_zones, rewrite_until, set_sequence};

/// Whose value stands where both sides changed the same to different ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Winner {
    /// The side that changed it here.
    Ours,
    /// The side that it is printed on: upstream.
    Theirs,
}

/// What came of a merge.
#[derive(Clone, Debug)]
pub struct Merged {
    /// Printed and parsed again: one UID, and the rules of [`Object::parse`].
    pub object: Object,
    /// What the loser wanted and did not get, in the order of [`super::between`]. Empty: both sides have all they changed.
    pub conflicts: Vec<Conflict>,
}

/// The same changed on both sides to different ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Instances are named as the merged object has them.
    pub place: Place,
    /// `None`: one side took the instance (or the series) away and the other changed it.
    pub field: Option<Field>,
    /// As each side has it; empty where it is not there any more. Without a field the component as a whole.
    pub ours: Lines,
    /// See `ours`; one of the two stands, as `winner` said.
    pub theirs: Lines,
}

/// Brings together what `ours` and `theirs` made of `base`, three objects of one UID.
///
/// Field by field ([`Field`]) of the calendar, the master and each instance: what one side changed is taken, what both
/// changed to the same is taken, and where they disagree `winner` stands and a [`Conflict`] is told. An instance that one
/// side took away (EXDATE, STATUS:CANCELLED, a rule that does not give it any more) and the other changed is a conflict as
/// a whole. An override that only one side has is compared with what the series says of its instance on the others, so
/// that it follows what they changed in the series. An EXDATE that one side added holds under the other's new rule.
/// Instances are matched across a series that moved, whichever side moved it, and RECURRENCE-ID, EXDATE, RDATE and UNTIL
/// are written anew when theirs come to stand under the start of ours. When both acknowledged an alarm the later counts.
///
/// It is printed on `theirs`: what is not taken from `ours` stays as it is there, octet for octet; the VTIMEZONEs that are
/// needed come along, under another name when both sides mean different zones by one. To print on ours, swap the sides and
/// the winner. SEQUENCE is the higher of both, and at least one more than that of `theirs` where its times were changed;
/// DTSTAMP, CREATED, LAST-MODIFIED and PRODID stay those of `theirs`.
///
/// The error: not of one UID and kind, or what came of it is no object (more than the limits allow, or nothing is left
/// because one side took away what the other left). Then keep both.
pub fn merge(base: &Object, ours: &Object, theirs: &Object, winner: Winner) -> Result<Merged, Error> {
    let one = |other: &Object| other.uid() == theirs.uid() && other.kind() == theirs.kind();
    if !one(base) || !one(ours) {
        let reason = "these are not three versions of one object; merge objects of one UID and kind".to_owned();
        return Err(Error { line: 0, reason });
    }
    if ours.text() == theirs.text() || ours.text() == base.text() {
        return Ok(Merged { object: theirs.clone(), conflicts: Vec::new() });
    }
    let book = Book::default();
    let base = Side::of(base, &book);
    let (mut ours, mut theirs) = (Side::of(ours, &book), Side::of(theirs, &book));
    ours.lie_to(&base);
    theirs.lie_to(&base);
    // One start lies in one way, whatever lines of one side seem to have stayed.
    if ours.start == theirs.start && ours.clock.name == theirs.clock.name && ours.shift != theirs.shift {
        let moved = if ours.shift == Shift::Same { theirs.shift.clone() } else { ours.shift.clone() };
        (ours.shift, theirs.shift) = (moved.clone(), moved);
    }
    let renamed = renamed_zones(&ours, &theirs);
    let mut merge = Merge { base: &base, ours: &ours, theirs: &theirs, winner, renamed, conflicts: Vec::new() };
    let calendar = merge.calendar()?;
    let object = Object::of(&calendar)?;
    Ok(Merged { object, conflicts: merge.conflicts })
}

struct Merge<'m, 'a> {
    base: &'m Side<'a>,
    ours: &'m Side<'a>,
    theirs: &'m Side<'a>,
    winner: Winner,
    /// TZIDs of ours that mean another zone in theirs, with the name they get.
    renamed: HashMap<String, String>,
    conflicts: Vec<Conflict>,
}

/// What becomes of a field that differs between the two.
#[derive(Clone, Debug)]
enum Pick {
    Ours,
    Theirs,
    Made(Lines),
}

/// The fields that differ between ours and theirs.
type Picks = BTreeMap<Field, Pick>;

/// What becomes of a component.
enum Fate {
    /// As theirs has it, or not at all when theirs has none.
    Keep,
    Drop,
    Put(Component),
}

impl<'m, 'a> Merge<'m, 'a> {
    fn calendar(&mut self) -> Result<Component, Error> {
        let sheets = {
            let base = self.base.calendar_sheet(None);
            let (ours, theirs) = (self.ours.calendar_sheet(Some(&base)), self.theirs.calendar_sheet(Some(&base)));
            [base, ours, theirs]
        };
        let picks = self.fields(Place::Calendar, &sheets, &|_| None);
        let mut out = self.on_theirs(&sheets, &picks);
        let (mut master, result, lost) = self.master();
        let rdates = self.rdates();
        let fates = self.instances(result, lost);
        if let Some(component) = self.with_dates(&master, result, &rdates, &fates.exdates) {
            master = Fate::Put(component);
        }
        self.assemble(&mut out, master, fates);
        self.bring_zones(&mut out);
        Ok(out)
    }

    /// Decides every field that differs between ours and theirs: base, ours, theirs. Of a field that both changed `meant`
    /// says who meant this place by it, when the other did not.
    fn fields(&mut self, place: Place, sheets: &[Sheet<'_>; 3], meant: &dyn Fn(&Field) -> Option<From>) -> Picks {
        let [base, ours, theirs] = sheets;
        let mut picks = Picks::new();
        for field in Sheet::fields(&[ours, theirs]) {
            let (b, o, t) = (base.said(field), ours.said(field), theirs.said(field));
            if o == t {
                continue;
            }
            let pick = if o == b {
                Pick::Theirs
            } else if t == b {
                Pick::Ours
            } else {
                self.both(place, field, sheets, meant)
            };
            picks.insert(field.clone(), pick);
        }
        picks
    }

    /// A field that both sides changed.
    fn both(
        &mut self,
        place: Place,
        field: &Field,
        sheets: &[Sheet<'_>; 3],
        meant: &dyn Fn(&Field) -> Option<From>,
    ) -> Pick {
        let lines = [0, 1, 2].map(|at: usize| sheets[at].lines(field));
        if is_set(field) {
            return Pick::Made(self.set(&lines));
        }
        if matches!(field.name.as_str(), "X-MOZ-LASTACK" | "X-MOZ-GENERATION" | "ACKNOWLEDGED") {
            // X-MOZ-GENERATION is a number, the others are times in UTC; nothing is less than both.
            let value = |lines: &Lines| {
                let value = lines.properties.first().map(|p| p.value().trim().to_owned());
                (value.as_ref().and_then(|v| v.parse::<i64>().ok()), value)
            };
            return if value(&lines[1]) > value(&lines[2]) { Pick::Ours } else { Pick::Theirs };
        }
        if matches!(field.name.as_str(), "ATTENDEE" | "ORGANIZER")
            && let [[base], [ours], [theirs]] = lines.each_ref().map(|l| l.properties.as_slice())
            && let Some(line) = merged_line(base, ours, theirs)
        {
            return Pick::Made(Lines { properties: vec![line], components: Vec::new() });
        }
        if field.name == "VALARM"
            && let [[base], [ours], [theirs]] = lines.each_ref().map(|l| l.components.as_slice())
            && let Some(alarm) = self.acknowledged(base, ours, theirs)
        {
            return Pick::Made(Lines { properties: Vec::new(), components: vec![alarm] });
        }
        let [_, ours, theirs] = lines;
        match meant(field) {
            Some(From::Ours) => Pick::Ours,
            Some(From::Theirs) => Pick::Theirs,
            None => self.conflict(place, Some(field.clone()), ours, theirs),
        }
    }

    /// An alarm that both sides changed, when one of them only acknowledged it (RFC 9074 6): the later of both holds.
    fn acknowledged(&self, base: &Component, ours: &Component, theirs: &Component) -> Option<Component> {
        let said = |alarm: &Component, side: &Side<'_>| {
            let mut alarm = alarm.clone();
            alarm.remove("ACKNOWLEDGED");
            part_said(&alarm, &side.reader)
        };
        let [b, o, t] = [said(base, self.base), said(ours, self.ours), said(theirs, self.theirs)];
        let mut out = if t != b { theirs.clone() } else { self.adopted_component(ours) };
        if o != b && t != b && o != t {
            return None;
        }
        if o == t {
            out = theirs.clone();
        }
        let when = |alarm: &Component| alarm.property("ACKNOWLEDGED").map(|p| p.value().trim().to_ascii_uppercase());
        let latest = if when(ours) > when(theirs) { ours } else { theirs };
        if let Some(line) = latest.property("ACKNOWLEDGED").filter(|_| when(&out) != when(latest)) {
            out.set(self.adopted(line));
        }
        Some(out)
    }

    fn conflict(&mut self, place: Place, field: Option<Field>, ours: Lines, theirs: Lines) -> Pick {
        self.conflicts.push(Conflict { place, field, ours, theirs });
        match self.winner {
            Winner::Ours => Pick::Ours,
            Winner::Theirs => Pick::Theirs,
        }
    }

    /// The lines of a set: those of theirs without what ours took away, and one more for what ours added.
    fn set(&self, lines: &[Lines; 3]) -> Lines {
        let readers = [&self.base.reader, &self.ours.reader, &self.theirs.reader];
        let one = |line: &Property, item: &str, reader: &Reader<'_>| {
            let mut line = line.clone();
            line.set_value(item);
            line_said(&line, reader)
        };
        let all = |at: usize| -> BTreeSet<String> {
            let lines = lines[at].properties.iter();
            lines.flat_map(|l| items(l.value()).into_iter().filter_map(|i| one(l, i, readers[at]))).collect()
        };
        let [base, ours, theirs] = [all(0), all(1), all(2)];
        let want = |said: &String| {
            if base.contains(said) { ours.contains(said) && theirs.contains(said) } else { true }
        };
        let mut out = Lines::default();
        let mut take = |line: &Property, reader: &Reader<'_>, keep: &dyn Fn(&String) -> bool| {
            let kept: Vec<&str> = items(line.value())
                .into_iter()
                .filter(|item| one(line, item, reader).is_some_and(|said| keep(&said)))
                .collect();
            let mut line = line.clone();
            if kept.join(",") != line.value() {
                line.set_value(&kept.join(","));
            }
            if !kept.is_empty() {
                out.properties.push(line);
            }
        };
        for line in &lines[2].properties {
            take(line, readers[2], &|said| want(said));
        }
        for line in &lines[1].properties {
            take(&self.adopted(line), readers[1], &|said| want(said) && !theirs.contains(said));
        }
        out
    }

    /// Theirs, with what was decided for ours put in.
    fn on_theirs(&self, sheets: &[Sheet<'_>; 3], picks: &Picks) -> Component {
        let put = picks.iter().filter_map(|(field, pick)| match pick {
            Pick::Ours if field.name == "RECURRENCE-ID" => {
                Some((field, with_range(sheets[2].lines(field), &sheets[1])))
            }
            Pick::Ours => Some((field, self.adopted_lines(&sheets[1].lines(field)))),
            Pick::Made(lines) => Some((field, lines.clone())),
            Pick::Theirs => None,
        });
        applied(&sheets[2], put.collect())
    }

    /// Ours, with what was decided for theirs put in: for a component that theirs does not have.
    fn on_ours(&self, sheets: &[Sheet<'_>; 3], picks: &Picks) -> Component {
        let put = picks.iter().filter_map(|(field, pick)| match pick {
            Pick::Theirs if field.name == "RECURRENCE-ID" => {
                Some((field, with_range(self.adopted_lines(&sheets[1].lines(field)), &sheets[2])))
            }
            Pick::Theirs => Some((field, sheets[2].lines(field))),
            Pick::Made(lines) => Some((field, lines.clone())),
            Pick::Ours => None,
        });
        // The places of the fields stay those of ours: nothing is left out or added.
        let basis = Sheet {
            component: Cow::Owned(self.adopted_component(&sheets[1].component)),
            entries: sheets[1].entries.clone(),
        };
        applied(&basis, put.collect())
    }

    /// A line of ours as theirs would write it: no longer part of the text it was read from.
    fn adopted(&self, line: &Property) -> Property {
        let mut fresh = line.renamed(line.name());
        if let Some(name) = line.param("TZID").and_then(|tzid| self.renamed.get(tzid.as_ref()).cloned()) {
            fresh.set_param("TZID", &name);
        }
        fresh
    }

    fn adopted_component(&self, component: &Component) -> Component {
        Component::new(component.name())
            .with(component.properties.iter().map(|p| self.adopted(p)))
            .with_components(component.components.iter().map(|c| self.adopted_component(c)))
    }

    fn adopted_lines(&self, lines: &Lines) -> Lines {
        Lines {
            properties: lines.properties.iter().map(|p| self.adopted(p)).collect(),
            components: lines.components.iter().map(|c| self.adopted_component(c)).collect(),
        }
    }

    /// The master; the side whose start it has: instances are named as on that side; and the side whose rule did not stand.
    fn master(&mut self) -> (Fate, &'m Side<'a>, Option<From>) {
        let (base, ours, theirs) = (self.base, self.ours, self.theirs);
        let rules = [base, ours, theirs].map(Side::rule);
        let b = base.master_sheet(None, &rules[0]);
        let [o, t] =
            [(ours, 1), (theirs, 2)].map(|(side, at): (&Side<'a>, usize)| side.master_sheet(b.as_ref(), &rules[at]));
        let whole = |sheet: &Option<Sheet<'_>>| whole(sheet.as_ref().map(|s| s.component.as_ref()));
        let (o, t) = match (o, t) {
            (Some(o), Some(t)) => (o, t),
            (None, None) => return (Fate::Keep, theirs, None),
            (o, t) => {
                let changed = |sheet: &Option<Sheet<'_>>| match (&b, sheet) {
                    (Some(b), Some(sheet)) => !b.same(sheet),
                    (b, sheet) => b.is_some() != sheet.is_some(),
                };
                let ours_stands = match (changed(&o), changed(&t)) {
                    (_, false) => true,
                    (false, true) => false,
                    _ => matches!(self.conflict(Place::Master, None, whole(&o), whole(&t)), Pick::Ours),
                };
                return match (ours_stands, o) {
                    (false, _) => (Fate::Keep, theirs, None),
                    (true, None) => (Fate::Drop, ours, None),
                    (true, Some(o)) => (Fate::Put(self.adopted_component(&o.component)), ours, None),
                };
            }
        };
        let b = b.unwrap_or_else(|| Sheet::empty(t.component.name()));
        let mut sheets = [b, o, t];
        let organizers = [&sheets[1], &sheets[2]].map(|s| organizer(&s.component));
        if organizers[0] != organizers[1] {
            sheets.iter_mut().for_each(|s| s.unite("ORGANIZER", |f| f.name == "ORGANIZER" || f.name == "ATTENDEE"));
        }
        let time = Field::of(if self.together(&sheets, &rules) { "RRULE" } else { "DTSTART" });
        if time.name == "RRULE" {
            sheets.iter_mut().for_each(|s| s.unite("RRULE", |f| f.name == "RRULE" || f.name == "DTSTART"));
        }
        let mut picks = self.fields(Place::Master, &sheets, &|_| None);
        let rule = Field::of("RRULE");
        let disputed = [1, 2].iter().all(|at: &usize| sheets[*at].said(&rule) != sheets[0].said(&rule));
        let lost = match picks.get(&rule) {
            Some(Pick::Ours) if disputed => Some(From::Theirs),
            Some(Pick::Theirs) if disputed => Some(From::Ours),
            _ => None,
        };
        // Rules that come to the same under two starts: the one that was written for the start that stands.
        if matches!(picks.get(&time), Some(Pick::Ours)) && !ours.names_as(theirs) {
            picks.entry(rule.clone()).or_insert(Pick::Ours);
        }
        let of_ours = |field: &Field| matches!(picks.get(field), Some(Pick::Ours));
        let result = if of_ours(&time) { ours } else { theirs };
        let mut out = self.on_theirs(&sheets, &picks);
        let of_rule = if of_ours(&rule) { ours } else { theirs };
        if !of_rule.names_as(result) {
            rewrite_until(&mut out, of_rule, result);
        }
        let timed = of_ours(&time) || of_ours(&rule);
        set_sequence(&mut out, &sheets[1].component, &sheets[2].component, timed);
        (Fate::Put(out), result, lost)
    }

    /// Whether start and rule must come from one side: both sides changed one of them, and one of them the pattern of the
    /// rule or the day or form of the start, so that what one says is not true of what the other says.
    fn together(&self, sheets: &[Sheet<'_>; 3], rules: &[(String, Option<String>); 3]) -> bool {
        let time = Field::of("DTSTART");
        let says = |at: usize| (sheets[at].said(&time), &rules[at]);
        let changed = |at: usize| says(at) != says(0);
        if !changed(1) || !changed(2) || says(1) == says(2) {
            return false;
        }
        let pattern = |at: usize| rules[at].0 != rules[0].0;
        let moved = |side: &Side<'_>| match (side.start, self.base.start) {
            (Some(start), Some(before)) => {
                start.div_euclid(86_400) != before.div_euclid(86_400) || side.clock.name != self.base.clock.name
            }
            (start, before) => start != before,
        };
        let timed = |at: usize| sheets[at].said(&time) != sheets[0].said(&time);
        // A rule of one side that ends before the start of the other, or nobody knows where.
        let ends_before = |of_rule: &Side<'_>, at: usize, of_start: &Side<'_>, start_at: usize| {
            let ends = rules[at] != rules[0] && rules[at].1.is_some() && timed(start_at);
            let start = of_start.start.map(|wall| of_start.to_hub(wall));
            ends && of_rule.last().is_none_or(|last| start.is_some_and(|start| of_rule.to_hub(last) < start))
        };
        if ends_before(self.ours, 1, self.theirs, 2) || ends_before(self.theirs, 2, self.ours, 1) {
            return true;
        }
        let (ours, theirs) = (moved(self.ours), moved(self.theirs));
        // A rule of one side for a day of the other, or a rule of one for a rule of the other with a time that went with it.
        pattern(1) && (theirs || pattern(2) && (timed(1) || timed(2))) || pattern(2) && (ours || pattern(1) && timed(2))
    }

    /// RDATEs by wall time of the hub and length.
    fn rdates(&self) -> BTreeSet<Date> {
        let [base, ours, theirs] = [self.base, self.ours, self.theirs].map(Side::rdates);
        let kept = ours.union(&theirs).filter(|d| !base.contains(d) || ours.contains(d) && theirs.contains(d));
        kept.copied().collect()
    }

    /// The master with the dates it is to have, when it does not have them.
    fn with_dates(
        &self,
        master: &Fate,
        result: &Side<'a>,
        rdates: &BTreeSet<Date>,
        exdates: &BTreeSet<i64>,
    ) -> Option<Component> {
        let Fate::Put(component) = master else { return None };
        let mut out = component.clone();
        let basis = if self.theirs.master.is_some() { self.theirs } else { self.ours };
        let exdates: BTreeSet<Date> = exdates.iter().map(|hub| (*hub, None)).collect();
        let mut changed = false;
        let rules = |c: &Component| -> Vec<Property> {
            c.properties.iter().filter(|p| matches!(p.name(), "RRULE" | "EXRULE")).cloned().collect()
        };
        let rules_of = rules(&out);
        // A DATE takes away all of its day: one side's does not stand where the other has something new on that day.
        let alone = |side: &Side<'_>, line: &Property, value: &str| {
            let Some(day) = side.day(line, value).filter(|_| line.name() == "EXDATE") else { return true };
            side.master.is_some_and(|master| rules(master) == rules_of)
                && rdates
                    .iter()
                    .all(|(hub, _)| result.of_hub(*hub).div_euclid(DAY) * DAY != day || exdates.contains(&(*hub, None)))
        };
        let stand = |side: &Side<'_>| {
            let lines = side.master.into_iter().flat_map(|m| m.all("EXDATE"));
            lines.into_iter().all(|line| line.value().split(',').all(|value| alone(side, line, value)))
        };
        for (name, want) in [("RDATE", rdates), ("EXDATE", &exdates)] {
            let had: BTreeSet<Date> = match name {
                "RDATE" => basis.rdates(),
                _ => basis.exdates.iter().map(|wall| (basis.to_hub(*wall), None)).collect(),
            };
            if had == *want && basis.names_as(result) && (name == "RDATE" || stand(basis)) {
                continue;
            }
            changed |= had != *want;
            let mut missing = want.clone();
            let mut at = None;
            let lines = std::mem::take(&mut out.properties);
            for line in lines {
                if line.name() != name {
                    out.properties.push(line);
                    continue;
                }
                at = Some(out.properties.len());
                if basis.names_as(result)
                    && let Some(line) = kept(&line, basis, &mut missing, &|line, value| alone(basis, line, value))
                {
                    out.properties.push(line);
                    at = Some(out.properties.len());
                }
            }
            let mut added = Vec::new();
            if self.ours.names_as(result) {
                let lines = self.ours.master.into_iter().flat_map(|m| m.all(name));
                added.extend(
                    lines
                        .filter_map(|line| {
                            kept(line, self.ours, &mut missing, &|line, value| alone(self.ours, line, value))
                        })
                        .map(|l| self.adopted(&l)),
                );
            }
            let walls: Vec<i64> = missing.iter().filter(|d| d.1.is_none()).map(|d| result.of_hub(d.0)).collect();
            if !walls.is_empty() {
                added.push(self.named(result, name, &walls));
            }
            for (hub, length) in missing {
                let Some(length) = length else { continue };
                let mut line = self.named(result, name, &[result.of_hub(hub)]);
                line.set_value(&format!("{}/PT{}S", line.value(), length.max(0)));
                line.set_param("VALUE", "PERIOD");
                added.push(line);
            }
            let at = at.unwrap_or(out.properties.len());
            out.properties.splice(at..at, added);
        }
        if changed && let (Some(ours), Some(theirs)) = (self.ours.master, self.theirs.master) {
            set_sequence(&mut out, ours, theirs, true);
        }
        Some(out)
    }

    /// A line that names instances as the result has them.
    fn named(&self, result: &Side<'_>, name: &str, walls: &[i64]) -> Property {
        let line = result.named(name, walls);
        if std::ptr::eq(result, self.ours) { self.adopted(&line) } else { line }
    }

    /// Puts the parts in the places they have in theirs; what is new comes behind.
    fn assemble(&self, out: &mut Component, master: Fate, mut fates: Fates) {
        let content = |c: &Component| c.name() != "VTIMEZONE" && !c.name().starts_with("X-");
        let mut order = self.theirs.order.iter();
        let mut parts = Vec::with_capacity(out.components.len());
        let mut master = Some(master);
        for component in std::mem::take(&mut out.components) {
            if !content(&component) {
                parts.push(component);
                continue;
            }
            let fate = match component.property("RECURRENCE-ID") {
                None => master.take(),
                Some(_) => order.next().and_then(|key| fates.of_theirs.remove(key)),
            };
            match fate {
                None | Some(Fate::Keep) => parts.push(component),
                Some(Fate::Drop) => {}
                Some(Fate::Put(component)) => parts.push(component),
            }
        }
        if let Some(Fate::Put(component)) = master {
            let at = parts.iter().position(content).unwrap_or(parts.len());
            parts.insert(at, component);
        }
        let at = parts.iter().rposition(content).map_or(parts.len(), |at| at + 1);
        parts.splice(at..at, fates.new);
        out.components = parts;
    }

    /// The VTIMEZONEs that lines of ours brought need, before the first component that may name them.
    fn bring_zones(&self, out: &mut Component) {
        let zone_of = |c: &Component| match c.name() {
            "VTIMEZONE" => c.value("TZID").map(str::to_owned),
            _ => None,
        };
        let known: BTreeSet<String> = out.components.iter().filter_map(zone_of).collect();
        let mut names = Vec::new();
        out.components.iter().filter(|c| c.name() != "VTIMEZONE").for_each(|c| zone_names(c, &mut names));
        let wanted: BTreeSet<String> = names.into_iter().map(Cow::into_owned).filter(|n| !known.contains(n)).collect();
        let mut zones = Vec::new();
        for zone in self.ours.object.calendar().components.iter() {
            let Some(tzid) = zone_of(zone) else { continue };
            let name = self.renamed.get(&tzid).unwrap_or(&tzid);
            if wanted.contains(name) {
                let mut zone = self.adopted_component(zone);
                zone.set(Property::new("TZID", name));
                zones.push(zone);
            }
        }
        let at = out.components.iter().position(|c| c.name() != "VTIMEZONE").unwrap_or(out.components.len());
        out.components.splice(at..at, zones);
    }
}

/// RECURRENCE-ID with the RANGE of another sheet: the instance that it names is that of its own side.
fn with_range(mut lines: Lines, of: &Sheet<'_>) -> Lines {
    let id = of.component.property("RECURRENCE-ID");
    let range = id.and_then(|id| id.param("RANGE")).map(Cow::into_owned);
    for line in &mut lines.properties {
        line.retain_params(|p| p.name() != "RANGE");
        if let Some(range) = &range {
            line.set_param("RANGE", range);
        }
    }
    lines
}
