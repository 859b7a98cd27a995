//! One object of two that both changed: a three-way merge of fields, of the series and of each instance.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::super::object::zone_names;
use super::super::{Component, Error, Object, Property};
use super::between::{Place, is_cancelled, organizer};
use super::field::{Book, Field, Lines, Reader, Sheet, is_future, is_set, items, line_said};
use super::series::{Date, Key, Shift, Side, with_until};

/// Whose value stands where both sides changed the same to different ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Winner {
    Ours,
    Theirs,
}

/// What came of a merge.
#[derive(Clone, Debug)]
pub struct Merged {
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
        let picks = self.fields(Place::Calendar, &sheets, None);
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

    /// Decides every field that differs between ours and theirs: base, ours, theirs. `own` is the side that gave an
    /// instance an override where the other changed the series: what it says of the instance is meant for that alone. Not
    /// so its time: who moved the series may have meant this instance to move too.
    fn fields(&mut self, place: Place, sheets: &[Sheet<'_>; 3], own: Option<From>) -> Picks {
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
                self.both(place, field, sheets, own.filter(|_| field.name != "DTSTART"))
            };
            picks.insert(field.clone(), pick);
        }
        picks
    }

    /// A field that both sides changed.
    fn both(&mut self, place: Place, field: &Field, sheets: &[Sheet<'_>; 3], own: Option<From>) -> Pick {
        let lines = [0, 1, 2].map(|at: usize| sheets[at].lines(field));
        if is_set(field) {
            return Pick::Made(self.set(sheets, &lines));
        }
        if matches!(field.name.as_str(), "X-MOZ-LASTACK" | "X-MOZ-GENERATION" | "ACKNOWLEDGED") {
            let value = |lines: &Lines| lines.properties.first().map(|p| p.value().to_owned());
            return if value(&lines[1]) > value(&lines[2]) { Pick::Ours } else { Pick::Theirs };
        }
        if matches!(field.name.as_str(), "ATTENDEE" | "ORGANIZER")
            && let [[base], [ours], [theirs]] = lines.each_ref().map(|l| l.properties.as_slice())
            && let Some(line) = merged_line(base, ours, theirs)
        {
            return Pick::Made(Lines { properties: vec![line], components: Vec::new() });
        }
        let [_, ours, theirs] = lines;
        match own {
            Some(From::Ours) => Pick::Ours,
            Some(From::Theirs) => Pick::Theirs,
            None => self.conflict(place, Some(field.clone()), ours, theirs),
        }
    }

    fn conflict(&mut self, place: Place, field: Option<Field>, ours: Lines, theirs: Lines) -> Pick {
        self.conflicts.push(Conflict { place, field, ours, theirs });
        match self.winner {
            Winner::Ours => Pick::Ours,
            Winner::Theirs => Pick::Theirs,
        }
    }

    /// The lines of a set: those of theirs without what ours took away, and one more for what ours added.
    fn set(&self, sheets: &[Sheet<'_>; 3], lines: &[Lines; 3]) -> Lines {
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
        let _ = sheets;
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
            Pick::Ours => Some((field, self.adopted_lines(&sheets[1].lines(field)))),
            Pick::Made(lines) => Some((field, lines.clone())),
            Pick::Theirs => None,
        });
        applied(&sheets[2], put.collect())
    }

    /// Ours, with what was decided for theirs put in: for a component that theirs does not have.
    fn on_ours(&self, sheets: &[Sheet<'_>; 3], picks: &Picks) -> Component {
        let put = picks.iter().filter_map(|(field, pick)| match pick {
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
        let picks = self.fields(Place::Master, &sheets, None);
        let of_ours = |field: &Field| matches!(picks.get(field), Some(Pick::Ours));
        let result = if of_ours(&time) { ours } else { theirs };
        let rule = Field::of("RRULE");
        let mut out = self.on_theirs(&sheets, &picks);
        let of_rule = if of_ours(&rule) { ours } else { theirs };
        if !of_rule.names_as(result) {
            rewrite_until(&mut out, of_rule, result);
        }
        let timed = of_ours(&time) || of_ours(&rule);
        set_sequence(&mut out, &sheets[1].component, &sheets[2].component, timed);
        let disputed = [1, 2].iter().all(|at: &usize| sheets[*at].said(&rule) != sheets[0].said(&rule));
        let lost = match picks.get(&rule) {
            Some(Pick::Ours) if disputed => Some(From::Theirs),
            Some(Pick::Theirs) if disputed => Some(From::Ours),
            _ => None,
        };
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
        for (name, want) in [("RDATE", rdates), ("EXDATE", &exdates)] {
            let had: BTreeSet<Date> = match name {
                "RDATE" => basis.rdates(),
                _ => basis.exdates.iter().map(|wall| (basis.to_hub(*wall), None)).collect(),
            };
            if had == *want && basis.names_as(result) {
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
                    && let Some(line) = kept(&line, basis, &mut missing)
                {
                    out.properties.push(line);
                    at = Some(out.properties.len());
                }
            }
            let mut added = Vec::new();
            if self.ours.names_as(result) {
                let lines = self.ours.master.into_iter().flat_map(|m| m.all(name));
                added.extend(lines.filter_map(|line| kept(line, self.ours, &mut missing)).map(|l| self.adopted(&l)));
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

/// What a component says as a whole, for a conflict.
fn whole(component: Option<&Component>) -> Lines {
    Lines { properties: Vec::new(), components: component.into_iter().cloned().collect() }
}

/// The instances of a merge.
#[derive(Default)]
struct Fates {
    /// By the key of theirs.
    of_theirs: BTreeMap<Key, Fate>,
    /// Overrides that theirs does not have.
    new: Vec<Component>,
    /// Wall times of the hub that EXDATE takes away.
    exdates: BTreeSet<i64>,
}

/// An instance as one side has it.
#[derive(Clone, Copy)]
struct State<'a> {
    exdate: bool,
    own: Option<&'a Component>,
    /// Not there: by EXDATE, or because nothing gives it.
    gone: bool,
}

impl State<'_> {
    fn dead(&self) -> bool {
        self.gone || self.own.is_some_and(is_cancelled)
    }

    /// Taken away, or without an override.
    fn leaves(&self) -> bool {
        self.dead() || self.own.is_none()
    }
}

/// Where EXDATE of an instance, and its override, come from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    Ours,
    Theirs,
}

impl<'m, 'a> Merge<'m, 'a> {
    fn instances(&mut self, result: &'m Side<'a>, lost: Option<From>) -> Fates {
        let sides = [self.base, self.ours, self.theirs];
        let keys: BTreeSet<Key> = sides
            .iter()
            .flat_map(|s| {
                let exdates = s.exdates.iter().map(|wall| (s.to_hub(*wall), 0));
                exdates.chain(s.overrides.keys().map(|key| (s.to_hub(key.0), key.1)))
            })
            .collect();
        let given = [None, self.given(self.ours, &keys), self.given(self.theirs, &keys)];
        let mut fates = Fates::default();
        for key in keys {
            let mut states: [State<'a>; 3] = [0, 1, 2].map(|at: usize| {
                let side = sides[at];
                let wall = side.of_hub(key.0);
                let exdate = side.exdates.contains(&wall);
                let own = side.overrides.get(&(wall, key.1)).copied();
                let follows = side.master.is_some() && given[at].as_ref().is_none_or(|g| g.contains(&wall));
                State { exdate, own, gone: exdate || own.is_none() && !follows }
            });
            // What is not there because of a rule that did not stand is there as it was.
            let at = match lost {
                Some(From::Ours) => 1,
                Some(From::Theirs) => 2,
                None => 0,
            };
            if states[at].gone && !states[at].exdate {
                states[at] = states[0];
            }
            self.instance(key, states, result, &mut fates);
        }
        fates
    }

    /// Which of the instances a side has whose rule is not that of the base. `None`: all.
    fn given(&self, side: &Side<'a>, keys: &BTreeSet<Key>) -> Option<BTreeSet<i64>> {
        let lines = |s: &Side<'a>| {
            let names = ["RRULE", "EXRULE", "RDATE"];
            let lines = s.master.into_iter().flat_map(|m| m.properties.iter());
            lines.filter(|p| names.contains(&p.name())).collect::<Vec<_>>()
        };
        if side.names_as(self.base) && lines(side) == lines(self.base) {
            return None;
        }
        let walls: Vec<i64> = keys.iter().map(|key| side.of_hub(key.0)).collect();
        side.gives(&walls)
    }

    fn instance(&mut self, key: Key, states: [State<'a>; 3], result: &'m Side<'a>, fates: &mut Fates) {
        let [base, ours, theirs] = states;
        let made = OnceCell::new();
        let sheets = || made.get_or_init(|| self.sheets(key, states));
        let by_ours = self.changed(base, ours, self.ours, &|| !sheets()[0].same(&sheets()[1]));
        let by_theirs = self.changed(base, theirs, self.theirs, &|| !sheets()[0].same(&sheets()[2]));
        let place = || {
            let original = result.original(result.of_hub(key.0));
            match ours.own.or(theirs.own).is_some_and(is_future) {
                true => Place::Future(original),
                false => Place::Instance(original),
            }
        };
        let from = match (by_ours, by_theirs) {
            (false, _) => Some(From::Theirs),
            // An override of ours that is new may have to follow what theirs changed in the series.
            (true, false) if ours.dead() || ours.own.is_none() || base.own.is_some() => Some(From::Ours),
            (true, _) if ours.dead() && theirs.dead() => Some(From::Theirs),
            // What only went along with the series is no change of the instance.
            (true, true) if ours.leaves() && self.along(key, base, theirs, self.theirs) => Some(From::Ours),
            (true, true) if theirs.leaves() && self.along(key, base, ours, self.ours) => Some(From::Theirs),
            (true, true) if ours.dead() != theirs.dead() => {
                match self.conflict(place(), None, whole(self.shown(ours)), whole(self.shown(theirs))) {
                    Pick::Ours => Some(From::Ours),
                    _ => Some(From::Theirs),
                }
            }
            _ => None,
        };
        // Theirs follows the series, or is new: it follows what ours changed there.
        let from = match from {
            Some(From::Theirs) if !by_ours && theirs.own.is_some() && base.own.is_none() && !theirs.dead() => None,
            from => from,
        };
        let there = (self.theirs.of_hub(key.0), key.1);
        let is_there = self.theirs.overrides.contains_key(&there);
        let (fate, exdate) = match from {
            // Theirs let it go with a rule that did not stand.
            Some(From::Theirs) if theirs.own.is_some() && !is_there => {
                let own = ours.own.or(base.own).map(|own| self.adopted_component(own));
                (own.map_or(Fate::Keep, |own| Fate::Put(self.renamed_id(own, key, result))), theirs.exdate)
            }
            Some(From::Theirs) => {
                let keep = match theirs.own {
                    Some(own) if !self.theirs.names_as(result) => Fate::Put(self.renamed_id(own.clone(), key, result)),
                    _ => Fate::Keep,
                };
                (keep, theirs.exdate)
            }
            Some(From::Ours) => match ours.own {
                None => (Fate::Drop, ours.exdate),
                Some(own) if !is_there => (self.put(self.adopted_component(own), self.ours, key, result), ours.exdate),
                Some(own) => {
                    let sheets = made.into_inner().unwrap_or_else(|| self.sheets(key, states));
                    (self.of_ours(key, own, &sheets, result), ours.exdate)
                }
            },
            None => {
                let sheets = made.into_inner().unwrap_or_else(|| self.sheets(key, states));
                let alone = match (base.own, ours.own, theirs.own) {
                    (None, Some(_), None) => Some(From::Ours),
                    (None, None, Some(_)) => Some(From::Theirs),
                    _ => None,
                };
                let picks = self.fields(place(), &sheets, alone);
                let fate = match (ours.own, theirs.own) {
                    (None, None) => Fate::Keep,
                    (_, Some(own)) => {
                        let mut out = self.on_theirs(&sheets, &picks);
                        let timed = matches!(picks.get(&Field::of("DTSTART")), Some(Pick::Ours | Pick::Made(_)));
                        set_sequence(&mut out, ours.own.unwrap_or(own), own, timed);
                        self.put(out, self.theirs, key, result)
                    }
                    (Some(_), None) => self.put(self.on_ours(&sheets, &picks), self.ours, key, result),
                };
                (fate, ours.exdate && theirs.exdate)
            }
        };
        if exdate && result.master.is_some() {
            fates.exdates.insert(key.0);
        }
        if is_there {
            fates.of_theirs.insert(there, fate);
        } else if let Fate::Put(component) = fate {
            fates.new.push(component);
        }
    }

    /// An override of ours that stands: in the place of theirs, line by line.
    fn of_ours(&self, key: Key, own: &Component, sheets: &[Sheet<'_>; 3], result: &Side<'a>) -> Fate {
        let picks: Picks = Sheet::fields(&[&sheets[1], &sheets[2]])
            .into_iter()
            .filter(|f| sheets[1].said(f) != sheets[2].said(f))
            .map(|f| (f.clone(), Pick::Ours))
            .collect();
        let timed = picks.contains_key(&Field::of("DTSTART"));
        let mut out = self.on_theirs(sheets, &picks);
        set_sequence(&mut out, own, &sheets[2].component, timed);
        self.put(out, self.theirs, key, result)
    }

    /// A component of a side under the name that its instance has in the result.
    fn put(&self, component: Component, side: &Side<'a>, key: Key, result: &Side<'a>) -> Fate {
        match side.names_as(result) {
            true => Fate::Put(component),
            false => Fate::Put(self.renamed_id(component, key, result)),
        }
    }

    fn renamed_id(&self, mut component: Component, key: Key, result: &Side<'a>) -> Component {
        let mut id = self.named(result, "RECURRENCE-ID", &[result.of_hub(key.0)]);
        if let Some(range) = component.property("RECURRENCE-ID").and_then(|id| id.param("RANGE")) {
            id = id.with_param("RANGE", &range);
        }
        component.set(id);
        component
    }

    /// What stands for an instance in a conflict.
    fn shown(&self, state: State<'a>) -> Option<&'a Component> {
        if state.gone { None } else { state.own }
    }

    /// Whether a side made something else of an instance than the base has, the series aside.
    fn changed(&self, base: State<'a>, side: State<'a>, of: &Side<'a>, differ: &dyn Fn() -> bool) -> bool {
        if base.exdate != side.exdate {
            return true;
        }
        match (base.own, side.own) {
            (None, None) => base.gone != side.gone,
            (Some(a), Some(b)) => !(of.names_as(self.base) && a == b) && differ(),
            _ => true,
        }
    }

    /// Whether all that a side changed in an override is what it changed in the series, which said the same before: a
    /// program that gives the series a title gives it to its overrides too.
    fn along(&self, key: Key, base: State<'a>, state: State<'a>, side: &Side<'a>) -> bool {
        let (Some(before), Some(after)) = (base.own, state.own) else { return false };
        let of_series = |side: &Side<'a>, model: Option<&Sheet<'_>>| {
            let component = side.instance(side.of_hub(key.0))?;
            Some(Sheet::of(Cow::Owned(component), &side.reader, model))
        };
        let before = self.base.sheet(before, None);
        let after = side.sheet(after, Some(&before));
        let (Some(old), Some(new)) = (of_series(self.base, Some(&before)), of_series(side, Some(&before))) else {
            return false;
        };
        Sheet::fields(&[&before, &after])
            .into_iter()
            .filter(|f| before.said(f) != after.said(f))
            .all(|f| before.said(f) == old.said(f) && after.said(f) == new.said(f))
    }

    /// What each side says of an instance: its override, or the series.
    fn sheets(&self, key: Key, states: [State<'a>; 3]) -> [Sheet<'a>; 3] {
        let name = self.theirs.object.kind().name();
        let of = |side: &Side<'a>, state: State<'a>, model: Option<&Sheet<'_>>| match state.own {
            Some(own) => side.sheet(own, model),
            None => match side.instance(side.of_hub(key.0)) {
                Some(component) => Sheet::of(Cow::Owned(component), &side.reader, model),
                None => Sheet::empty(name),
            },
        };
        let base = of(self.base, states[0], None);
        let mut sheets = [of(self.ours, states[1], Some(&base)), of(self.theirs, states[2], Some(&base))];
        let organizers = sheets.each_ref().map(|s| organizer(&s.component));
        let mut base = base;
        if organizers[0] != organizers[1] {
            let unite = |s: &mut Sheet<'_>| s.unite("ORGANIZER", |f| f.name == "ORGANIZER" || f.name == "ATTENDEE");
            unite(&mut base);
            sheets.iter_mut().for_each(unite);
        }
        let [ours, theirs] = sheets;
        [base, ours, theirs]
    }
}

/// A sheet's component with the lines of some fields replaced: each where the first of its name stood, the rest behind.
fn applied(basis: &Sheet<'_>, put: BTreeMap<&Field, Lines>) -> Component {
    let mut out = basis.component.clone().into_owned();
    if put.is_empty() {
        return out;
    }
    // By the place in the basis: what comes there instead, and what comes behind it.
    let mut lines: HashMap<usize, Option<Property>> = HashMap::new();
    let mut behind: HashMap<usize, Vec<Property>> = HashMap::new();
    let mut parts: HashMap<usize, Vec<Component>> = HashMap::new();
    let (mut new_lines, mut new_parts) = (Vec::new(), Vec::new());
    for (field, put) in put {
        let entry = basis.entries.get(field).cloned().unwrap_or_default();
        let mut queue: Vec<Option<Property>> = put.properties.iter().cloned().map(Some).collect();
        let mut same: HashMap<&Property, Vec<usize>> = HashMap::new();
        let mut named: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, line) in put.properties.iter().enumerate().rev() {
            same.entry(line).or_default().push(at);
            named.entry(line.name()).or_default().push(at);
        }
        // What says the same stays as it is.
        let mut open = Vec::new();
        for at in &entry.lines {
            match same.get_mut(&out.properties[*at]).and_then(Vec::pop) {
                Some(found) => queue[found] = None,
                None => open.push(*at),
            }
        }
        for at in open {
            let places = named.get_mut(out.properties[at].name());
            let found =
                places.and_then(|places| std::iter::from_fn(|| places.pop()).find_map(|found| queue[found].take()));
            lines.insert(at, found);
        }
        let rest = queue.into_iter().flatten();
        match entry.lines.last() {
            Some(at) => behind.entry(*at).or_default().extend(rest),
            None => new_lines.extend(rest),
        }
        let mut components = Some(put.components);
        for at in entry.parts {
            parts.insert(at, components.take().unwrap_or_default());
        }
        new_parts.extend(components.unwrap_or_default());
    }
    let mut properties = Vec::with_capacity(out.properties.len() + new_lines.len());
    for (at, line) in std::mem::take(&mut out.properties).into_iter().enumerate() {
        match lines.remove(&at) {
            None => properties.push(line),
            Some(line) => properties.extend(line),
        }
        properties.extend(behind.remove(&at).into_iter().flatten());
    }
    properties.extend(new_lines);
    out.properties = properties;
    let mut components = Vec::with_capacity(out.components.len() + new_parts.len());
    for (at, part) in std::mem::take(&mut out.components).into_iter().enumerate() {
        match parts.remove(&at) {
            None => components.push(part),
            Some(new) => components.extend(new),
        }
    }
    components.extend(new_parts);
    out.components = components;
    out
}

/// The line of one person with the parameters that either side changed. `None`: both changed one of them.
fn merged_line(base: &Property, ours: &Property, theirs: &Property) -> Option<Property> {
    type Params = BTreeMap<String, Vec<String>>;
    let params = |p: &Property| -> Params {
        p.params().map(|p| (p.name().to_owned(), p.values().map(Cow::into_owned).collect())).collect()
    };
    let [b, o, t] = [params(base), params(ours), params(theirs)];
    let mut out = theirs.clone();
    for name in o.keys().chain(b.keys()) {
        let (b, o, t) = (b.get(name), o.get(name), t.get(name));
        if o == b || o == t {
            continue;
        }
        if t != b {
            return None;
        }
        out.retain_params(|p| p.name() != name);
        if let Some(values) = o {
            out = out.with_values(name, values.iter().map(String::as_str));
        }
    }
    Some(out)
}

/// The values of a line of dates that are wanted; those are not missing any more. `None`: none is.
fn kept(line: &Property, side: &Side<'_>, missing: &mut BTreeSet<Date>) -> Option<Property> {
    let values: Vec<&str> = line.value().split(',').map(str::trim).collect();
    let wanted = |value: &&str| side.date(line, value).is_some_and(|date| missing.remove(&date));
    let kept: Vec<&str> = values.iter().copied().filter(wanted).collect();
    if kept.is_empty() {
        return None;
    }
    let mut line = line.clone();
    if kept.len() < values.len() {
        line.set_value(&kept.join(","));
    }
    Some(line)
}

/// Gives a rule that stood under another start the UNTIL of the same last instance.
fn rewrite_until(master: &mut Component, of_rule: &Side<'_>, result: &Side<'_>) {
    if of_rule.shift == result.shift && matches!(of_rule.shift, Shift::Same) {
        return;
    }
    let Some(last) = of_rule.last() else { return };
    let last = result.of_hub(of_rule.to_hub(last));
    for rule in master.properties.iter_mut().filter(|p| p.name() == "RRULE") {
        if let Some(value) = with_until(rule.value(), last, &result.clock) {
            rule.set_value(&value);
        }
    }
}

/// The higher SEQUENCE of both, and one more than that of theirs when its times were changed.
fn set_sequence(out: &mut Component, ours: &Component, theirs: &Component, timed: bool) {
    let number = |c: &Component| c.value("SEQUENCE").and_then(|v| v.trim().parse::<u32>().ok()).unwrap_or(0);
    let want = number(ours).max(number(theirs).saturating_add(u32::from(timed)));
    if want > number(out) {
        match out.properties.iter_mut().find(|p| p.name() == "SEQUENCE") {
            Some(line) => line.set_value(&want.to_string()),
            None => out.properties.push(Property::new("SEQUENCE", want.to_string())),
        }
    }
}

/// TZIDs of ours that mean another zone in theirs, with a name that neither has.
fn renamed_zones(ours: &Side<'_>, theirs: &Side<'_>) -> HashMap<String, String> {
    let zones = |side: &Side<'_>| -> Vec<String> {
        let zones = side.object.calendar().components.iter().filter(|c| c.name() == "VTIMEZONE");
        zones.filter_map(|z| z.value("TZID")).map(str::to_owned).collect()
    };
    let (mine, known) = (zones(ours), zones(theirs));
    let mut renamed = HashMap::new();
    for tzid in mine.iter().filter(|tzid| known.contains(tzid)).take(100) {
        if ours.reader.clock(tzid).name != theirs.reader.clock(tzid).name {
            let name = (2..).map(|n| format!("{tzid} {n}")).find(|n| !mine.contains(n) && !known.contains(n));
            renamed.extend(name.map(|name| (tzid.clone(), name)));
        }
    }
    renamed
}
