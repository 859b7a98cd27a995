//! Free/busy: gather what every calendar that counts holds, and merge it. Fails closed: what we do not know is busy, or an
//! error. There is one way to know when somebody has time, and every face of it asks here: REPORT, outbox and feeds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::config;
use crate::ical::recur::{self, Busy};
use crate::ical::{Component, Instant, Kind, Object, Property, Window, availability, freebusy, zone};
use crate::ids::{CalendarId, UserId};
use crate::store::calendars::Calendar;
use crate::store::instances::Contributor;
use crate::store::users::User;
use crate::store::{self, Tx, instances, scheduling, users};

/// A busy stretch, with its kind. Never `Busy::Free`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    pub window: Window,
    pub kind: Busy,
}

/// What is known of a calendar's time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Disjoint, sorted; neighbours of one kind are joined; the stronger kind wins where two overlap.
    pub periods: Vec<Period>,
    /// Slugs of the members that were not read for longer than `stale_after` (their whole window is `Unavailable`).
    pub unknown: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// By configuration: a member was not read for too long. 503. Names the member.
    Stale(String),
    Store(store::Error),
}

impl From<store::Error> for Error {
    fn from(e: store::Error) -> Error {
        Error::Store(e)
    }
}

/// Who asks about many people's time just now: each user one request after the other, so that nobody keeps all of the
/// others waiting.
#[derive(Debug, Default)]
pub struct Asking(Mutex<HashMap<UserId, Arc<tokio::sync::Mutex<()>>>>);

/// The turn of one request; the next one's comes when it is dropped.
#[derive(Debug)]
pub struct Turn<'a> {
    asking: &'a Asking,
    user: UserId,
    held: Option<tokio::sync::OwnedMutexGuard<()>>,
}

impl Asking {
    /// Waits for the turn of a request of `user`; `None`: it did not come in time.
    pub async fn turn(&self, user: UserId, longest: Duration) -> Option<Turn<'_>> {
        let line = self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(user).or_default().clone();
        // Made before the wait, so that who gives up or goes away is forgotten as well.
        let mut turn = Turn { asking: self, user, held: None };
        turn.held = Some(tokio::time::timeout(longest, line.lock_owned()).await.ok()?);
        Some(turn)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.held = None;
        let mut all = self.asking.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody else has it, and nobody can come to it without this lock.
        if all.get(&self.user).is_some_and(|line| Arc::strong_count(line) == 1) {
            all.remove(&self.user);
        }
    }
}

/// Instances expanded in one answer beside the time index; what is beyond counts as busy as a whole.
const INSTANCES: usize = 100_000;

/// What calgate calls itself in calendar data.
pub const PRODID: &str = concat!("-//calgate//calgate ", env!("CARGO_PKG_VERSION"), "//EN");

/// One calendar that an answer is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub slug: String,
    /// `None`: its time is not known, because it is not there or was not read for longer than `stale_after`.
    pub known: Option<CalendarId>,
}

/// The calendar itself, or the members of a unified one that count, and which of them are known. An error if one is not
/// and `rules.stale` says so.
pub fn members(tx: &mut Tx<'_>, calendar: &Calendar, rules: &config::Sync, now: Instant) -> Result<Vec<Member>, Error> {
    known(instances::contributors(tx, calendar)?, rules, now)
}

/// Those that count, and which of them are known.
fn known(all: Vec<Contributor>, rules: &config::Sync, now: Instant) -> Result<Vec<Member>, Error> {
    let longest = i64::try_from(rules.stale_after.as_secs()).unwrap_or(i64::MAX);
    let mut members = Vec::new();
    for one in all.into_iter().filter(|one| !one.transparent) {
        // A time ahead of now, by more than clocks of two nodes differ, was written by a clock that was wrong.
        let fresh = |at: Instant| (-300..=longest).contains(&now.0.saturating_sub(at.0));
        let fresh = one.local || one.fresh_at.is_some_and(fresh);
        let known = one.id.filter(|_| fresh);
        if known.is_none() && rules.stale == config::Stale::Error {
            return Err(Error::Stale(one.slug));
        }
        members.push(Member { slug: one.slug, known });
    }
    Ok(members)
}

/// The busy time of `calendar` in `window`: of all its members that count when it is a unified one. What its owner's
/// availability says is below it.
pub fn gather(
    tx: &mut Tx<'_>,
    calendar: &Calendar,
    window: Window,
    rules: &config::Sync,
    now: Instant,
) -> Result<Answer, Error> {
    // A zone name we do not know (it was checked when it was stored) leaves floating times at UTC and no wiser.
    let mut zone = calendar.time_zone();
    if calendar.share.is_some() && calendar.timezone.is_empty() {
        // It is the time of who shares it that is told: their day begins in their zone.
        let whose = users::by_id(tx, calendar.members_of())?;
        zone = whose.and_then(|user| zone::named(&user.zone)).unwrap_or(TimeZone::UTC);
    }
    let members = members(tx, calendar, rules, now)?;
    gather_from(tx, members, calendar.members_of(), &zone, window)
}

/// The busy time of a person in `window`: of all their own calendars that are not transparent, and what their availability
/// says. Floating times are taken in their zone.
pub fn gather_of(
    tx: &mut Tx<'_>,
    user: &User,
    window: Window,
    rules: &config::Sync,
    now: Instant,
) -> Result<Answer, Error> {
    let zone = zone::named(&user.zone).unwrap_or(TimeZone::UTC);
    let members = known(instances::contributors_of(tx, user.id)?, rules, now)?;
    gather_from(tx, members, user.id, &zone, window)
}

fn gather_from(
    tx: &mut Tx<'_>,
    members: Vec<Member>,
    owner: UserId,
    zone: &TimeZone,
    window: Window,
) -> Result<Answer, Error> {
    let mut periods = Joined::default();
    let mut unknown = Vec::new();
    let mut hours = Vec::new();
    let mut left = INSTANCES;
    for member in members {
        let Some(id) = member.known else {
            periods.push(Period { window, kind: Busy::Unavailable });
            unknown.push(member.slug);
            continue;
        };
        let rest = instances::busy(tx, id, window, |entry| {
            period_of(entry, zone).into_iter().for_each(|period| periods.push(period));
        })?;
        rest.unknown.into_iter().for_each(|window| periods.push(Period { window, kind: Busy::Unavailable }));
        let me = if rest.objects.is_empty() { Vec::new() } else { instances::addresses(tx, id)? };
        for resource in rest.objects {
            match resource.kind {
                Kind::Event => {
                    let found = expand(&resource.body, window, zone, &me, &mut left);
                    found.into_iter().for_each(|period| periods.push(period));
                }
                Kind::Other => match other(&resource.body, zone) {
                    Other::Hours => hours.push(resource.body),
                    Other::Taken(taken) => taken.into_iter().for_each(|period| periods.push(period)),
                },
                Kind::Todo | Kind::Journal => {}
            }
        }
    }
    let below = unavailable(tx, owner, &hours, zone, window)?;
    Ok(Answer { periods: over(merge(periods.all, window), below, window), unknown })
}

/// Periods as they are gathered. They come mostly by their starts, and one that goes on where the last one of its kind was
/// is joined to it at once: so of thousands of instances a few hundred are left to be sorted.
#[derive(Default)]
struct Joined {
    all: Vec<Period>,
    /// Where the last one of each kind stands.
    last: [Option<usize>; 4],
}

impl Joined {
    fn push(&mut self, period: Period) {
        let last = &mut self.last[period.kind as usize];
        if let Some(at) = *last
            && let before = &mut self.all[at].window
            && (before.start..=before.end).contains(&period.window.start)
        {
            before.end = before.end.max(period.window.end);
            return;
        }
        *last = Some(self.all.len());
        self.all.push(period);
    }
}

/// When `owner` can not be had at all, by their availability and by `hours`, those that calendars hold
/// (RFC 7953 7.2.3), whose floating times are taken in the calendar's zone.
fn unavailable(
    tx: &mut Tx<'_>,
    owner: UserId,
    hours: &[String],
    floating: &TimeZone,
    window: Window,
) -> Result<Vec<Period>, Error> {
    let text = scheduling::settings(tx, owner)?.availability;
    if text.is_empty() && hours.is_empty() {
        return Ok(Vec::new());
    }
    // Not the calendar's zone: a person's hours are one thing, wherever their events are kept.
    let own = users::by_id(tx, owner)?.and_then(|user| zone::named(&user.zone)).unwrap_or(TimeZone::UTC);
    let mut texts: Vec<(&str, &TimeZone)> = hours.iter().map(|text| (text.as_str(), floating)).collect();
    if !text.is_empty() {
        texts.push((&text, &own));
    }
    let found = availability::unavailable(&texts, window);
    Ok(found.into_iter().map(|(window, kind)| Period { window, kind }).collect())
}

/// What an object that is no event, task or journal does to the time of its owner.
enum Other {
    /// A VAVAILABILITY.
    Hours,
    /// VFREEBUSYs, or what takes no time.
    Taken(Vec<Period>),
}

/// RFC 4791 7.10: a VFREEBUSY takes the time that it says. One that can not be read may take all that it speaks of.
fn other(body: &str, zone: &TimeZone) -> Other {
    let unknown = |window| Other::Taken(vec![Period { window, kind: Busy::Unavailable }]);
    let Ok(object) = Object::parse(body) else { return unknown(Window::ALL) };
    if object.components().any(|c| c.name() == "VAVAILABILITY") {
        return Other::Hours;
    }
    match freebusy::periods(&object, zone) {
        Ok(found) => Other::Taken(found.into_iter().map(|(window, kind)| Period { window, kind }).collect()),
        Err(_) => unknown(whole(&object)),
    }
}

/// All the time that an object may have to do with.
fn whole(object: &Object) -> Window {
    let span = object.span();
    let (first, last) = (span.first.unwrap_or(Instant::MIN), span.last.unwrap_or(Instant::MAX));
    Window::new(first, last).unwrap_or(Window::ALL)
}

/// `merged` over what availability says (RFC 7953 5): where somebody is busy that is told. A tentative event makes time
/// that can not be had no easier to have, so there the stronger kind is told.
fn over(merged: Vec<Period>, below: Vec<Period>, window: Window) -> Vec<Period> {
    if below.is_empty() {
        return merged;
    }
    let mut all = Vec::with_capacity(merged.len() + 2 * below.len());
    // Both are sorted and disjoint: one walk along them cuts what is below.
    let mut tops = merged.iter().filter(|p| p.kind > Busy::Tentative).map(|p| p.window).peekable();
    for Period { window: Window { mut start, end }, kind } in below {
        while tops.next_if(|top| top.end <= start).is_some() {}
        // The last of them may reach into the next one, too.
        for top in tops.clone().take_while(|top| top.start < end) {
            all.extend(Window::new(start, top.start).map(|window| Period { window, kind }));
            start = top.end;
        }
        all.extend(Window::new(start, end).map(|window| Period { window, kind }));
    }
    all.extend(&merged);
    merge(all, window)
}

fn period_of(entry: &recur::Entry, zone: &TimeZone) -> Option<Period> {
    let (start, end) = entry.ends(zone);
    Some(Period { window: Window::new(start, end)?, kind: entry.busy })
}

/// The busy time of one object that the time index does not hold. One that can not be expanded is busy as a whole.
fn expand(body: &str, window: Window, zone: &TimeZone, me: &[String], left: &mut usize) -> Vec<Period> {
    let Ok(object) = Object::parse(body) else {
        return vec![Period { window, kind: Busy::Unavailable }];
    };
    let limits = recur::Limits { instances: *left, ..recur::Limits::default() };
    match recur::instances(&object, window, zone, limits) {
        Ok(instances) => {
            *left -= instances.len().min(*left);
            let period = |one: &recur::Instance<'_>| {
                let kind = recur::busy(one.component, me);
                Some(Period { window: Window::new(one.start, one.end)?, kind })
            };
            instances.iter().filter_map(period).collect()
        }
        Err(recur::Error::TooMany | recur::Error::Unreadable(_)) => {
            vec![Period { window: whole(&object), kind: Busy::Unavailable }]
        }
    }
}

/// Sorted, disjoint, clipped to `window`, the stronger kind winning.
pub fn merge(periods: Vec<Period>, window: Window) -> Vec<Period> {
    // Where how many of each kind begin (+1) and end (-1).
    let mut marks: Vec<(Instant, Busy, i32)> = Vec::with_capacity(2 * periods.len());
    for Period { window: of, kind } in periods {
        let (start, end) = (of.start.max(window.start), of.end.min(window.end));
        if start < end && kind != Busy::Free {
            marks.extend([(start, kind, 1), (end, kind, -1)]);
        }
    }
    marks.sort_unstable_by_key(|(at, ..)| *at);

    let mut merged = Vec::new();
    let mut open = [0i32; 4];
    let mut since: Option<(Instant, Busy)> = None;
    for here in marks.chunk_by(|a, b| a.0 == b.0) {
        for (_, kind, change) in here {
            open[*kind as usize] += change;
        }
        let strongest =
            [Busy::Unavailable, Busy::Busy, Busy::Tentative].into_iter().find(|kind| open[*kind as usize] > 0);
        if since.map(|(_, kind)| kind) == strongest {
            continue;
        }
        let at = here[0].0;
        if let Some((start, kind)) = since {
            merged.push(Period { window: Window { start, end: at }, kind });
        }
        since = strongest.map(|kind| (at, kind));
    }
    merged
}

/// A VCALENDAR with one VFREEBUSY (RFC 5545 3.6.4): UTC, explicit FBTYPE, one FREEBUSY line a period.
/// `method`: `Some("PUBLISH")` for feeds, `None` in a REPORT.
pub fn to_ical(
    answer: &Answer,
    window: Window,
    organizer: Option<&str>,
    stamp: Instant,
    uid: &str,
    method: Option<&str>,
) -> String {
    // An address is written as it is, so it must not be able to end its line.
    let plain = |address: &&str| !address.chars().any(char::is_control);
    let organizer = organizer.filter(plain).map(|address| Property::new("ORGANIZER", format!("mailto:{address}")));
    vfreebusy(answer, window, organizer.into_iter().collect(), stamp, uid, method)
}

/// The same with more properties, which say who asked whom.
pub fn vfreebusy(
    answer: &Answer,
    window: Window,
    more: Vec<Property>,
    stamp: Instant,
    uid: &str,
    method: Option<&str>,
) -> String {
    let mut properties = vec![
        Property::new("UID", uid),
        Property::new("DTSTAMP", stamp.utc()),
        Property::new("DTSTART", window.start.utc()),
        Property::new("DTEND", window.end.utc()),
    ];
    properties.extend(more);
    let freebusy = Component::new("VFREEBUSY").with(properties);
    let mut text = Component::new("VCALENDAR").with(head(method)).with_components([freebusy]).print();
    const END: &str = "END:VFREEBUSY\r\nEND:VCALENDAR\r\n";
    text.truncate(text.len() - END.len());
    // There are hundreds, and none is so long that it has to be folded.
    for Period { window, kind } in &answer.periods {
        // Written out even for BUSY, the default: Thunderbird takes a line without it for "not known".
        let fbtype = match kind {
            Busy::Free => continue,
            Busy::Tentative => "BUSY-TENTATIVE",
            Busy::Busy => "BUSY",
            Busy::Unavailable => "BUSY-UNAVAILABLE",
        };
        for part in ["FREEBUSY;FBTYPE=", fbtype, ":", &window.start.utc(), "/", &window.end.utc(), "\r\n"] {
            text.push_str(part);
        }
    }
    text.push_str(END);
    text
}

/// What a VCALENDAR of ours begins with.
pub fn head(method: Option<&str>) -> Vec<Property> {
    let mut properties =
        vec![Property::new("VERSION", "2.0"), Property::new("PRODID", PRODID), Property::new("CALSCALE", "GREGORIAN")];
    properties.extend(method.map(|method| Property::new("METHOD", method)));
    properties
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn window(start: i64, end: i64) -> Window {
        Window::new(Instant(start), Instant(end)).unwrap()
    }

    /// `10-20 busy, 15-30 tentative`.
    fn periods(text: &str) -> Vec<Period> {
        let one = |part: &str| {
            let (times, kind) = part.trim().split_once(' ').unwrap();
            let (start, end) = times.split_once('-').unwrap();
            let kind = match kind {
                "free" => Busy::Free,
                "tentative" => Busy::Tentative,
                "busy" => Busy::Busy,
                "unavailable" => Busy::Unavailable,
                other => panic!("{other}"),
            };
            Period { window: window(start.parse().unwrap(), end.parse().unwrap()), kind }
        };
        text.split(',').filter(|part| !part.trim().is_empty()).map(one).collect()
    }

    #[test]
    fn merging_joins_neighbours_and_the_stronger_wins() {
        let check = |given: &str, expect: &str| {
            assert_eq!(merge(periods(given), window(0, 100)), periods(expect), "{given}");
        };
        check("", "");
        check("10-20 busy", "10-20 busy");
        check("30-40 busy, 10-20 busy", "10-20 busy, 30-40 busy");
        check("10-20 busy, 20-30 busy", "10-30 busy");
        check("10-20 busy, 10-20 busy", "10-20 busy");
        check("10-40 busy, 20-30 busy", "10-40 busy");
        check("10-20 busy, 15-30 tentative", "10-20 busy, 20-30 tentative");
        check("10-40 tentative, 20-30 busy", "10-20 tentative, 20-30 busy, 30-40 tentative");
        check("10-40 busy, 20-30 tentative", "10-40 busy");
        check("10-20 tentative, 20-30 busy", "10-20 tentative, 20-30 busy");
        check("0-100 unavailable, 20-30 busy, 40-50 tentative", "0-100 unavailable");
        check("10-20 free", "");
        check("10-40 busy, 20-30 free", "10-40 busy");
        check("90-200 busy", "90-100 busy");
        check("100-200 busy", "");
    }

    #[tokio::test(start_paused = true)]
    async fn a_user_asks_one_thing_after_the_other() {
        let (asking, anna, ben, longest) = (Asking::default(), UserId(1), UserId(2), Duration::from_secs(20));
        let first = asking.turn(anna, longest).await.expect("nobody is before");
        assert!(asking.turn(ben, longest).await.is_some(), "others are not held up");
        assert!(asking.turn(anna, longest).await.is_none(), "it is told to come again");
        let waiting = asking.turn(anna, longest);
        let freed = async {
            tokio::time::sleep(Duration::from_secs(10)).await;
            drop(first);
        };
        let (second, ()) = tokio::join!(waiting, freed);
        let second = second.expect("its turn came");
        // Somebody who goes away while waiting leaves nothing behind.
        assert!(tokio::time::timeout(Duration::from_secs(1), asking.turn(anna, longest)).await.is_err());
        drop(second);
        assert!(asking.turn(anna, longest).await.is_some());
        assert!(asking.0.lock().unwrap().is_empty());
    }

    #[test]
    fn merging_clips_to_the_window() {
        let given = periods("0-10 busy, 5-25 tentative, 30-40 busy");
        assert_eq!(merge(given, window(10, 30)), periods("10-25 tentative"));
    }

    proptest! {
        #[test]
        fn merging_says_of_each_minute_what_counting_says(
            given in proptest::collection::vec((0i64..120, 1i64..60, 0u8..4), 0..40),
            start in 0i64..60,
            length in 1i64..100,
        ) {
            let kinds = [Busy::Free, Busy::Tentative, Busy::Busy, Busy::Unavailable];
            let given: Vec<Period> = given
                .into_iter()
                .map(|(s, l, k)| Period { window: window(s, s + l), kind: kinds[k as usize] })
                .collect();
            let asked = window(start, start + length);
            let at = |periods: &[Period], minute: i64| {
                let over = periods.iter().filter(|p| (p.window.start.0..p.window.end.0).contains(&minute));
                over.map(|p| p.kind).max().unwrap_or(Busy::Free)
            };
            let merged = merge(given.clone(), asked);
            let mut joined = Joined::default();
            given.iter().for_each(|period| joined.push(*period));
            prop_assert_eq!(&merge(joined.all, asked), &merged, "joined as they come");
            for minute in 0..200 {
                let expect = if (asked.start.0..asked.end.0).contains(&minute) { at(&given, minute) } else { Busy::Free };
                prop_assert_eq!(at(&merged, minute), expect, "minute {}", minute);
            }
            for pair in merged.windows(2) {
                prop_assert!(pair[0].window.end <= pair[1].window.start);
                prop_assert!(pair[0].window.end < pair[1].window.start || pair[0].kind != pair[1].kind);
            }
        }

        /// Minute by minute: what is busy counts, and below it the stronger of hours and what is tentative.
        #[test]
        fn hours_lie_below_what_is_busy(
            events in proptest::collection::vec((0i64..100, 1i64..30, 0usize..4), 0..12),
            hours in proptest::collection::vec((0i64..100, 1i64..30, 1usize..4), 0..12),
        ) {
            const KINDS: [Busy; 4] = [Busy::Free, Busy::Tentative, Busy::Busy, Busy::Unavailable];
            let all = window(10, 110);
            let periods = |given: &[(i64, i64, usize)]| {
                let one = |(start, length, kind): &(i64, i64, usize)| Period {
                    window: window(*start, start + length),
                    kind: KINDS[*kind],
                };
                merge(given.iter().map(one).collect(), all)
            };
            let (events, hours) = (periods(&events), periods(&hours));
            let found = over(events.clone(), hours.clone(), all);
            prop_assert_eq!(&merge(found.clone(), all), &found, "sorted, disjoint, joined");
            for minute in 0..120 {
                let at = |list: &[Period]| {
                    let here = list.iter().find(|p| p.window.start.0 <= minute && minute < p.window.end.0);
                    here.map_or(Busy::Free, |p| p.kind)
                };
                let (event, below) = (at(&events), at(&hours));
                let expect = if event > Busy::Tentative { event } else { event.max(below) };
                prop_assert_eq!(at(&found), expect, "minute {} of {:?} over {:?}", minute, events, hours);
            }
        }

        /// The same of what a VFREEBUSY says, read from its text.
        #[test]
        fn a_vfreebusy_takes_the_minutes_it_says(
            given in proptest::collection::vec((0i64..600, 0i64..60, 0usize..6, any::<bool>()), 0..20),
            events in proptest::collection::vec((0i64..600, 1i64..60, 0usize..4), 0..5),
        ) {
            const TYPES: [(&str, Busy); 6] = [
                (";FBTYPE=FREE", Busy::Free),
                (";FBTYPE=BUSY-TENTATIVE", Busy::Tentative),
                ("", Busy::Busy),
                (";FBTYPE=BUSY", Busy::Busy),
                (";FBTYPE=X-LUNCH", Busy::Busy),
                (";FBTYPE=BUSY-UNAVAILABLE", Busy::Unavailable),
            ];
            const KINDS: [Busy; 4] = [Busy::Free, Busy::Tentative, Busy::Busy, Busy::Unavailable];
            let day = 20_000 * 86_400;
            let at = |minute: i64| Instant(day + 60 * minute);
            let mut text = String::from(
                "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//x//EN\nBEGIN:VFREEBUSY\nUID:1\nDTSTAMP:20260101T000000Z\n",
            );
            // What takes a minute, and how: one cell after another.
            let mut grid = vec![Busy::Free; 1440];
            let mut fill = |start: i64, length: i64, kind: Busy| {
                (start..start + length).for_each(|minute| grid[minute as usize] = grid[minute as usize].max(kind));
            };
            for (start, length, kind, exact) in given {
                let (written, kind) = TYPES[kind];
                let end = if exact { at(start + length).utc() } else { format!("PT{length}M") };
                text += &format!("FREEBUSY{written}:{}/{end}\n", at(start).utc());
                fill(start, length, kind);
            }
            text += "END:VFREEBUSY\nEND:VCALENDAR\n";
            let Other::Taken(mut periods) = other(&text, &TimeZone::UTC) else { panic!("{text}") };
            for (start, length, kind) in events {
                fill(start, length, KINDS[kind]);
                periods.push(Period { window: Window::new(at(start), at(start + length)).unwrap(), kind: KINDS[kind] });
            }
            let merged = merge(periods, Window::new(at(0), at(1440)).unwrap());
            for (minute, expect) in grid.into_iter().enumerate() {
                let here = merged.iter().find(|p| p.window.start <= at(minute as i64) && at(minute as i64) < p.window.end);
                prop_assert_eq!(here.map_or(Busy::Free, |p| p.kind), expect, "minute {} of {}", minute, text);
            }
        }
    }
}
