//! The instances of a merge: what becomes of each override and EXDATE.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use super::super::super::Component;
use super::super::between::{Place, is_cancelled, organizer};
use super::super::field::{Field, Lines, Sheet};
use super::super::said::is_future;
use super::super::series::{Key, Side};
use super::{Fate, Merge, Pick, Picks, set_sequence};

/// What a component says as a whole, for a conflict.
pub(super) fn whole(component: Option<&Component>) -> Lines {
    Lines { properties: Vec::new(), components: component.into_iter().cloned().collect() }
}

/// The instances of a merge.
#[derive(Default)]
pub(super) struct Fates {
    /// By the key of theirs.
    pub of_theirs: BTreeMap<Key, Fate>,
    /// Overrides that theirs does not have.
    pub new: Vec<Component>,
    /// Wall times of the hub that EXDATE takes away.
    pub exdates: BTreeSet<i64>,
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
pub(super) enum From {
    Ours,
    Theirs,
}

impl<'m, 'a> Merge<'m, 'a> {
    pub(super) fn instances(&mut self, result: &'m Side<'a>, lost: Option<From>) -> Fates {
        let sides = [self.base, self.ours, self.theirs];
        let keys: BTreeSet<Key> = sides
            .iter()
            .flat_map(|s| {
                let exdates = s.exdates.iter().map(|wall| (s.to_hub(*wall), 0));
                exdates.chain(s.overrides.keys().map(|key| (s.to_hub(key.0), key.1)))
            })
            .collect();
        let [ours, theirs] = [self.ours, self.theirs].map(|side| self.given(side, &keys));
        // Only when a rule changed does it matter which of them the old one had.
        let base = match ours.is_some() || theirs.is_some() {
            true => self.base.gives(&keys.iter().map(|key| self.base.of_hub(key.0)).collect::<Vec<_>>()),
            false => None,
        };
        // A side whose rule is that of the base has the instances of the base.
        let given = [base.clone(), ours.or_else(|| base.clone()), theirs.or(base)];
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

    /// Which of the instances a side has whose rule is not that of the base. `None`: those of the base, or not to be known.
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
            // What is said of one instance is not what is said of all that follow.
            (true, true)
                if ours.own.zip(theirs.own).is_some_and(|(ours, theirs)| is_future(ours) != is_future(theirs)) =>
            {
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
                // Either EXDATE may be of an instance that only the rule of its side has.
                (keep, theirs.exdate || ours.exdate && theirs.dead() && theirs.own.is_none())
            }
            Some(From::Ours) => match ours.own {
                None => (Fate::Drop, ours.exdate || theirs.exdate && ours.dead()),
                Some(own) if !is_there => (self.put(self.adopted_component(own), self.ours, key, result), ours.exdate),
                Some(own) => {
                    let sheets = made.into_inner().unwrap_or_else(|| self.sheets(key, states));
                    (self.of_ours(key, own, &sheets, result), ours.exdate)
                }
            },
            None => {
                let sheets = made.into_inner().unwrap_or_else(|| self.sheets(key, states));
                let sides = [self.base, self.ours, self.theirs];
                let series = OnceCell::new();
                let meant = |field: &Field| {
                    let series = series.get_or_init(|| sides.map(|side| of_series(side, key, &sheets[0])));
                    meant(field, states, &sheets, series)
                };
                let picks = self.fields(place(), &sheets, &meant);
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
        let before = self.base.sheet(before, None);
        let after = side.sheet(after, Some(&before));
        let (old, new) = (of_series(self.base, key, &before), of_series(side, key, &before));
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

/// What the series says of an instance; nothing when there is none.
fn of_series(side: &Side<'_>, key: Key, model: &Sheet<'_>) -> Sheet<'static> {
    match side.instance(side.of_hub(key.0)) {
        Some(component) => Sheet::of(Cow::Owned(component), &side.reader, Some(model)),
        None => Sheet::empty(model.component.name()),
    }
}

/// Who meant this instance by a field that both sides changed, when the other only changed the series: it has no override
/// here, or its override went along. Not so of the time: who moved the series may have meant this instance to move too.
fn meant(field: &Field, states: [State<'_>; 3], sheets: &[Sheet<'_>; 3], series: &[Sheet<'_>; 3]) -> Option<From> {
    let follows = |at: usize| match (states[0].own, states[at].own) {
        (None, None) => true,
        (Some(_), Some(_)) => [0, at].iter().all(|at| sheets[*at].said(field) == series[*at].said(field)),
        _ => false,
    };
    match (follows(1), follows(2)) {
        _ if field.name == "DTSTART" => None,
        (true, false) => Some(From::Theirs),
        (false, true) => Some(From::Ours),
        _ => None,
    }
}
