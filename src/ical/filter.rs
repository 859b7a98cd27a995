//! calendar-query filters (RFC 4791 9.7) against an object, and what of it to give back (9.6).
#![allow(unused_variables)]

use jiff::tz::TimeZone;

use super::{Object, Window, recur};

/// `CALDAV:comp-filter`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompFilter {
    pub name: String,
    pub is_not_defined: bool,
    pub time_range: Option<Window>,
    pub props: Vec<PropFilter>,
    pub comps: Vec<CompFilter>,
}

/// `CALDAV:prop-filter`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PropFilter {
    pub name: String,
    pub is_not_defined: bool,
    pub time_range: Option<Window>,
    pub text: Option<TextMatch>,
    pub params: Vec<ParamFilter>,
}

/// `CALDAV:param-filter`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamFilter {
    pub name: String,
    pub is_not_defined: bool,
    pub text: Option<TextMatch>,
}

/// `CALDAV:text-match`: a substring unless `kind` says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextMatch {
    pub text: String,
    pub collation: Collation,
    pub negate: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collation {
    /// `i;ascii-casemap`, the default.
    AsciiCasemap,
    /// `i;octet`.
    Octet,
    /// `i;unicode-casemap`.
    UnicodeCasemap,
}

impl CompFilter {
    /// The whole window this filter confines VEVENTs to, when it is nothing but
    /// VCALENDAR / VEVENT / time-range: the question the time index answers alone.
    pub fn only_event_window(&self) -> Option<Window> {
        todo!()
    }

    /// A window outside of which nothing can match; `None`: every time may.
    pub fn window(&self) -> Option<Window> {
        todo!()
    }

    /// The one component kind below VCALENDAR that can match, if the filter names just one.
    pub fn kind(&self) -> Option<super::Kind> {
        todo!()
    }
}

/// Whether `object` matches a filter whose root is VCALENDAR. Floating times are taken in `zone`.
pub fn matches(filter: &CompFilter, object: &Object, zone: &TimeZone) -> bool {
    todo!()
}

/// `CALDAV:comp` inside `calendar-data`: which components and properties to give back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompSelect {
    pub name: String,
    /// `None`: all (`allprop`).
    pub props: Option<Vec<PropSelect>>,
    /// `None`: all (`allcomp`).
    pub comps: Option<Vec<CompSelect>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PropSelect {
    pub name: String,
    pub novalue: bool,
}

/// `CALDAV:calendar-data` as asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Select {
    pub comp: Option<CompSelect>,
    pub expand: Option<Window>,
    pub limit_recurrence_set: Option<Window>,
    pub limit_freebusy_set: Option<Window>,
}

/// The text of `object` as `select` asks for it. With an empty `select` it is `object.text()` itself.
pub fn select(object: &Object, select: &Select, zone: &TimeZone, limits: recur::Limits) -> Result<String, recur::Error> {
    todo!()
}
