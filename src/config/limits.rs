//! `[limits]`: what one request, one client and one user may cost.
//!
//! They are numbers that somebody may have a reason to move. What bounds how texts are read, and what nobody should have
//! to think of, are constants where they are used: `dav/xml.rs`, `src/ical/`, `web/server.rs`.

use std::time::Duration;

use toml::Spanned;

use super::values;
use super::walk::{Section, Walk, Wrong};
use crate::ical::recur;

/// Beyond each there is an answer that says so, and DAV properties tell of them from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's body.
    pub body: usize,
    /// Bytes of a calendar object: `max-resource-size`. Never more than `body`.
    pub object: usize,
    /// Attendees of one instance: `max-attendees-per-instance`.
    pub attendees: usize,
    /// hrefs of one multiget.
    pub hrefs: usize,
    /// Filter elements of one query.
    pub filters: usize,
    /// Properties asked for, or changed, in one request.
    pub properties: usize,
    /// Instances of one object that are expanded.
    pub instances: usize,
    /// Bytes of expanded or cut calendar data in one answer.
    pub expanded: usize,
    /// Years that are expanded, or answered as free/busy, at once.
    pub expand_years: usize,
    /// Bytes of one dead property, and of all that a user keeps at one place.
    pub dead_property: usize,
    pub dead_properties: usize,
    /// Objects of one calendar.
    pub objects: usize,
    /// Calendars of one user.
    pub calendars: usize,
    /// Bytes of all objects in them.
    pub storage: u64,
    /// At one time. It can not change while the server runs.
    pub connections: usize,
    /// Of one address (of IPv6: of its /64) that nobody has logged in on.
    pub connections_per_address: usize,
    /// For the head of a request.
    pub head_time: Duration,
    /// Without a byte of a body, and for all of it.
    pub body_pause: Duration,
    pub body_time: Duration,
    /// For a client to take some of what is written.
    pub write_pause: Duration,
    /// Between two requests on a connection.
    pub keep_alive: Duration,
}

impl Limits {
    /// What expanding one object may cost. The search may take ten steps for each instance.
    pub fn expansion(&self) -> recur::Limits {
        recur::Limits { instances: self.instances, steps: recur::Limits::default().steps.max(10 * self.instances) }
    }

    /// Seconds of the longest window that is gone through instance by instance.
    pub fn longest_window(&self) -> i64 {
        const YEAR: i64 = 366 * 86_400;
        YEAR * self.expand_years as i64
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            body: 2 << 20,
            object: 2 << 20,
            attendees: 2_000,
            hrefs: 5_000,
            filters: 500,
            properties: 500,
            instances: 10_000,
            expanded: 32 << 20,
            expand_years: 20,
            dead_property: 64 << 10,
            dead_properties: 1 << 20,
            objects: 100_000,
            calendars: 500,
            storage: 1 << 30,
            connections: 10_000,
            connections_per_address: 200,
            head_time: Duration::from_secs(10),
            body_pause: Duration::from_secs(15),
            body_time: Duration::from_secs(60),
            write_pause: Duration::from_secs(30),
            keep_alive: Duration::from_secs(75),
        }
    }
}

pub(super) const KEYS: &[&str] = &[
    "body",
    "object",
    "attendees",
    "hrefs",
    "filters",
    "properties",
    "instances",
    "expanded",
    "expand_years",
    "dead_property",
    "dead_properties",
    "objects",
    "calendars",
    "storage",
    "connections",
    "connections_per_address",
    "head_time",
    "body_pause",
    "body_time",
    "write_pause",
    "keep_alive",
];

/// Reads the section. Upper ends are what the program was made for: a body is held in memory, and more hrefs than that
/// are more elements than any body may have.
pub(super) fn read<'t>(walk: &mut Walk<'t>, section: &Section<'t>) -> Limits {
    let default = Limits::default();
    let body = walk.number_or_text(section, "body", values::size).unwrap_or(default.body);
    let object = match walk.number_or_text(section, "object", values::size) {
        None => default.object.min(body),
        Some(object) if object <= body => object,
        Some(_) => {
            let at = walk.place_of(section, "object");
            let hint = "An object comes as the body of a request: raise `body` too.";
            walk.complain(at, Wrong::new("`object` is larger than `body`", hint));
            body
        }
    };
    let mut number =
        |key: &str, default: usize, from: usize, to: usize| walk.number(section, key, from, to).unwrap_or(default);
    let numbers = Limits {
        body,
        object,
        attendees: number("attendees", default.attendees, 1, 2_000),
        hrefs: number("hrefs", default.hrefs, 1, 40_000),
        filters: number("filters", default.filters, 1, 10_000),
        properties: number("properties", default.properties, 1, 10_000),
        instances: number("instances", default.instances, 1, 100_000),
        expand_years: number("expand_years", default.expand_years, 1, 200),
        objects: number("objects", default.objects, 1, 10_000_000),
        calendars: number("calendars", default.calendars, 1, 10_000),
        connections: number("connections", default.connections, 1, 1_000_000),
        connections_per_address: number("connections_per_address", default.connections_per_address, 1, 1_000_000),
        ..default
    };
    let mut size = |key: &str, default: usize| walk.number_or_text(section, key, values::size).unwrap_or(default);
    let sizes = Limits {
        expanded: size("expanded", default.expanded),
        dead_property: size("dead_property", default.dead_property),
        dead_properties: size("dead_properties", default.dead_properties),
        storage: walk.number_or_text(section, "storage", values::storage).unwrap_or(default.storage),
        ..numbers
    };
    let mut time = |key: &str, default: Duration| {
        let read = |text: &str| values::duration(text, Duration::from_secs(1), Duration::from_secs(600));
        walk.text(section, key, read).map_or(default, Spanned::into_inner)
    };
    Limits {
        head_time: time("head_time", default.head_time),
        body_pause: time("body_pause", default.body_pause),
        body_time: time("body_time", default.body_time),
        write_pause: time("write_pause", default.write_pause),
        keep_alive: time("keep_alive", default.keep_alive),
        ..sizes
    }
}
