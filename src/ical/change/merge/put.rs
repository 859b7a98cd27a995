//! Lines of one component put into another.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::super::super::{Component, Property};
use super::super::field::{Field, Lines, Sheet};
use super::super::said::address;
use super::super::series::{Date, Shift, Side, with_until};

/// A sheet's component with the lines of some fields replaced: each where the first of its name stood, the rest behind.
pub(super) fn applied(basis: &Sheet<'_>, put: BTreeMap<&Field, Lines>) -> Component {
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

/// The line of one person with the parameters that either side changed. `None`: both changed one of them, or the two
/// name different persons.
pub(super) fn merged_line(base: &Property, ours: &Property, theirs: &Property) -> Option<Property> {
    if address(ours) != address(theirs) || ours.name() != theirs.name() || base.name() != ours.name() {
        return None;
    }
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

/// The values of a line of dates that are wanted, and may stand; those are not missing any more. `None`: none is.
pub(super) fn kept(
    line: &Property,
    side: &Side<'_>,
    missing: &mut BTreeSet<Date>,
    stands: &dyn Fn(&Property, &str) -> bool,
) -> Option<Property> {
    let values: Vec<&str> = line.value().split(',').map(str::trim).collect();
    let wanted = |value: &&str| {
        if line.name() != "EXDATE" {
            return side.date(line, value).is_some_and(|date| missing.remove(&date));
        }
        // A DATE stays when all that it takes away is to go.
        let taken: Vec<Date> = side.taken(line, value).iter().map(|wall| (side.to_hub(*wall), None)).collect();
        let all = !taken.is_empty() && stands(line, value) && taken.iter().all(|date| missing.contains(date));
        all && taken.iter().all(|date| missing.remove(date))
    };
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

/// Gives each rule that stood under another start the end at the same last instance: a COUNT that comes to another one
/// under this start, because instances were cut off in front, becomes an UNTIL.
pub(super) fn rewrite_until(master: &mut Component, of_rule: &Side<'_>, result: &Side<'_>) {
    let moved = of_rule.shift != result.shift || !matches!(of_rule.shift, Shift::Same);
    for rule in master.properties.iter_mut().filter(|p| matches!(p.name(), "RRULE" | "EXRULE")) {
        let Some(last) = of_rule.last_of(rule.value()) else { continue };
        let last = result.of_hub(of_rule.to_hub(last));
        let counts = rule.value().to_ascii_uppercase().contains("COUNT=");
        if (counts || !moved) && result.last_of(rule.value()) == Some(last) {
            continue;
        }
        if let Some(value) = with_until(rule.value(), last, &result.clock) {
            rule.set_value(&value);
        }
    }
}

/// The higher SEQUENCE of both, and one more than that of theirs when its times were changed.
pub(super) fn set_sequence(out: &mut Component, ours: &Component, theirs: &Component, timed: bool) {
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
pub(super) fn renamed_zones(ours: &Side<'_>, theirs: &Side<'_>) -> HashMap<String, String> {
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
