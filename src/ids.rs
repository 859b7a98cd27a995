//! The names of things: each id is a type of its own, so that no two can be swapped by accident.

use std::fmt;

macro_rules! number_id {
    ($(#[$doc:meta] $name:ident),* $(,)?) => {$(
        #[$doc]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    )*};
}

macro_rules! text_id {
    ($(#[$doc:meta] $name:ident),* $(,)?) => {$(
        #[$doc]
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> $name {
                $name(text.to_owned())
            }
        }
    )*};
}

number_id! {
    /// A person with a login here.
    UserId,
    /// One login at one upstream.
    AccountId,
    /// A calendar collection, of any source.
    CalendarId,
    /// What one user lets another see or change of a calendar.
    GrantId,
    /// A row of `resources`.
    ResourceId,
    /// A number of a user's clock: handed out in commit order, one for each change.
    Seq,
}

text_id! {
    /// What an upstream calls a calendar or an object; for CalDAV the path, byte for byte as the server gave it.
    RemoteId,
    /// The upstream's sync token or delta link. Opaque.
    Cursor,
    /// An entity tag without its quotes. Ours are strong; an upstream's is kept as it came.
    Etag,
}

/// The last path segment of a resource, decoded: `standup.ics`.
/// 1 to 255 bytes of UTF-8, without `/`, control characters, and neither `.` nor `..`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// Refuses (`None`) what can not be a path segment of ours.
    pub fn new(text: &str) -> Option<Name> {
        let fits = !text.is_empty() && text.len() <= 255 && text != "." && text != "..";
        // Nearly every name is of plain ASCII, and listings make thousands of them.
        let plain = text.bytes().all(|b| b.is_ascii_graphic() && b != b'/');
        let clean = plain || !text.chars().any(|c| c == '/' || c.is_control());
        (fits && clean).then(|| Name(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
