//! The same event as others may see it: full, title, busy.
#![allow(unused_variables)]

use super::Object;

/// What a viewer may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mask {
    /// That the time is taken, nothing else.
    Busy,
    /// Times and title.
    Title,
    /// Everything.
    Full,
}

impl Mask {
    pub fn name(self) -> &'static str {
        match self {
            Mask::Busy => "busy",
            Mask::Title => "title",
            Mask::Full => "full",
        }
    }

    pub fn from_name(name: &str) -> Option<Mask> {
        [Mask::Busy, Mask::Title, Mask::Full].into_iter().find(|m| m.name() == name)
    }
}

/// `object` under `mask`. `Full` gives the text itself. Otherwise only what the mask allows is written, by an
/// allow-list: times, rule, TRANSP, STATUS, and for `Title` SUMMARY. The UID becomes a stable hash with `viewer`.
pub fn redact(object: &Object, mask: Mask, viewer: &str) -> String {
    todo!()
}
