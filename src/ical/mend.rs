//! Values that mean one thing only and are not written as RFC 5545 has it: written anew, so that every reader reads them.

use super::repair::{Damage, Repairs};
use super::text::Component;
use super::{Error, Property, time, vtimezone};

/// Mends what stands in a calendar that was read from `text`.
pub(super) fn mend(calendar: &mut Component, text: &str, repairs: &mut Repairs) -> Result<(), Error> {
    for component in &mut calendar.components {
        let mut gone = Vec::new();
        for (at, property) in component.properties.iter_mut().enumerate() {
            let Some((damage, mended)) = mended(property) else { continue };
            repairs.make_at(property.spot(), text, damage)?;
            match mended {
                Some(mended) => *property = mended.in_place_of(property),
                None => gone.push(at),
            }
        }
        for at in gone.into_iter().rev() {
            component.properties.remove(at);
        }
    }
    mend_uids(calendar, text, repairs)
}

/// What was wrong with a property and what it should be; `Some(None)`: it says nothing and goes.
fn mended(property: &Property) -> Option<(Damage, Option<Property>)> {
    match property.name() {
        "DTSTART" | "DTEND" | "DUE" | "EXDATE" | "RDATE" | "RECURRENCE-ID" | "COMPLETED" | "CREATED" | "DTSTAMP"
        | "LAST-MODIFIED" => mended_time(property),
        "DURATION" => mended_duration(property),
        _ => None,
    }
}

fn mended_time(property: &Property) -> Option<(Damage, Option<Property>)> {
    let value = property.value();
    if property.name() == "RECURRENCE-ID" && value.trim_ascii().is_empty() {
        return Some((Damage::EmptyId, None));
    }
    if value.trim_ascii().is_empty() || value.split(',').all(|one| time::parse(one).is_some()) {
        return None;
    }
    // Exchange has written zone names with a colon and without quotes: the time is what stands behind the last one.
    if let Some((name, at)) = value.rsplit_once(':').filter(|(_, at)| time::parse(at).is_some()) {
        let (_, first) = property.raw_head().rsplit_once(";TZID=")?;
        let name = name.split(';').next().unwrap_or_default();
        let mut mended = property.clone();
        mended.set_param("TZID", &format!("{first}:{name}"));
        mended.set_value(at);
        return Some((Damage::OpenColon, Some(mended)));
    }
    let values: Option<Vec<String>> = value.split(',').map(|one| plain_time(one.trim())).collect();
    let values = values?.join(",");
    if values == value {
        return None;
    }
    let mut mended = property.clone();
    mended.set_value(&values);
    // An offset or a Z made it UTC: no zone goes with that.
    if mended.value().split(',').all(|one| one.ends_with('Z')) {
        mended.retain_params(|p| p.name() != "TZID");
    }
    Some((Damage::TimeForm, Some(mended)))
}

/// A time in the extended form of ISO 8601, without seconds, with fractions or an offset, or at 24 o'clock, as RFC 5545
/// writes it.
fn plain_time(text: &str) -> Option<String> {
    if time::parse(text).is_some() || text.contains('/') {
        return Some(text.to_owned());
    }
    let (date, clock) = match text.split_once(['T', 't', ' ']) {
        Some((date, clock)) => (date, clock),
        None => (text, ""),
    };
    let date = date.replace('-', "");
    let (day, time::Written::Date) = time::parse(&date)? else { return None };
    if clock.is_empty() {
        return Some(date);
    }
    let end = clock.find(['Z', 'z', '+', '-']).unwrap_or(clock.len());
    let (clock, behind) = clock.split_at(end);
    let clock = clock.split(['.', ';']).next()?.replace(':', "");
    let digits: Vec<i64> =
        clock.bytes().map(|b| b.is_ascii_digit().then(|| i64::from(b - b'0'))).collect::<Option<_>>()?;
    let pair = |at: usize| digits.get(at).zip(digits.get(at + 1)).map(|(a, b)| a * 10 + b);
    let (h, m, s) = match digits.len() {
        4 => (pair(0)?, pair(2)?, 0),
        6 => (pair(0)?, pair(2)?, pair(4)?),
        _ => return None,
    };
    if h > 24 || m > 59 || s > 60 || h == 24 && (m, s) != (0, 0) {
        return None;
    }
    let wall = day + h * 3600 + m * 60 + s.min(59);
    if behind.is_empty() {
        return Some(time::format_local(wall));
    }
    let offset = match behind {
        "Z" | "z" => 0,
        behind => vtimezone::offset(behind)?,
    };
    Some(time::format_utc(super::Instant(wall - offset)))
}

/// `P1H`, where the T is missing.
fn mended_duration(property: &Property) -> Option<(Damage, Option<Property>)> {
    let value = property.value().trim_ascii();
    if value.is_empty() || time::Duration::parse(value).is_some() {
        return None;
    }
    // P1M is a month to ISO 8601, and P1D is written so.
    if !value.ends_with(['H', 'S', 'h', 's']) {
        return None;
    }
    let with_time = value.replacen('P', "PT", 1);
    time::Duration::parse(&with_time)?;
    let mut mended = property.clone();
    mended.set_value(&with_time);
    Some((Damage::DurationForm, Some(mended)))
}

/// An override without UID, where there is but one UID that it can be of.
fn mend_uids(calendar: &mut Component, text: &str, repairs: &mut Repairs) -> Result<(), Error> {
    let said = |c: &Component| c.said("UID").map(|p| p.value().to_owned());
    let lost = |c: &Component| c.property("RECURRENCE-ID").is_some() && said(c).is_none();
    if !calendar.components.iter().any(lost) {
        return Ok(());
    }
    let mut uids: Vec<String> = calendar.components.iter().filter_map(said).collect();
    uids.dedup();
    let [uid] = uids.as_slice() else { return Ok(()) };
    for component in calendar.components.iter_mut().filter(|c| lost(c)) {
        repairs.make_at(component.spot(), text, Damage::NoUid)?;
        component.set(Property::new("UID", uid));
    }
    Ok(())
}
