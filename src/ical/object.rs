//! One UID: the master, its overrides, and the text they came from. The only model of an event.
#![allow(unused_variables)]

use super::{Component, Error, Instant};

/// What an object is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Event,
    Todo,
    Journal,
    /// VFREEBUSY, VAVAILABILITY and whatever else a calendar may hold.
    Other,
}

impl Kind {
    /// The component's name: `VEVENT`; `Other` has none and gives an empty text.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Event => "VEVENT",
            Kind::Todo => "VTODO",
            Kind::Journal => "VJOURNAL",
            Kind::Other => "",
        }
    }
}

/// The first and last instant an object touches, half-open; `None` on a side means without bound.
/// An object without any time (a VTODO that has none) is without bound on both sides.
/// Floating and all-day times depend on who looks: they are taken as UTC and widened by 14 hours on both sides,
/// so that the span holds in every zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub first: Option<Instant>,
    pub last: Option<Instant>,
}

/// Parsed calendar data of one UID. Cheap to read, kept beside the very text it came from.
#[derive(Clone, Debug)]
pub struct Object {
    text: String,
    calendar: Component,
    uid: String,
    kind: Kind,
}

impl Object {
    /// Exactly one VCALENDAR with components of exactly one UID and one kind (RFC 4791 4.1), besides VTIMEZONEs.
    /// No METHOD. The error names the line and what to do.
    pub fn parse(text: &str) -> Result<Object, Error> {
        todo!()
    }

    /// Exactly what was parsed.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn uid(&self) -> &str {
        &self.uid
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The VCALENDAR.
    pub fn calendar(&self) -> &Component {
        &self.calendar
    }

    pub fn span(&self) -> Span {
        todo!()
    }

    /// `None`: only overrides were sent (an invitation to one instance).
    pub fn master(&self) -> Option<&Component> {
        todo!()
    }

    pub fn overrides(&self) -> impl Iterator<Item = &Component> {
        std::iter::empty()
    }

    /// Every component that is not a VTIMEZONE: the master and the overrides, in the order they came.
    pub fn components(&self) -> impl Iterator<Item = &Component> {
        self.calendar.components.iter().filter(|c| c.name != "VTIMEZONE")
    }
}
