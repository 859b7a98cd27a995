//! Content lines ↔ components (RFC 5545 3.1). Keeps what it does not know; limits come before memory.
#![allow(unused_variables)]

use super::Error;

/// `BEGIN:NAME` … `END:NAME`: its properties and components in the order they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// Upper case: `VEVENT`.
    pub name: String,
    pub properties: Vec<Property>,
    pub components: Vec<Component>,
}

/// One content line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// Upper case: `DTSTART`.
    pub name: String,
    /// Names in upper case, values unquoted and with RFC 6868 undone.
    pub params: Vec<(String, Vec<String>)>,
    /// As it stands after the colon, unfolded, escapes not undone.
    pub value: String,
}

impl Component {
    /// Parses exactly one VCALENDAR. Tolerates LF line ends, a BOM and lower-case names.
    pub fn parse(text: &str) -> Result<Component, Error> {
        todo!()
    }

    /// Prints with CRLF, folded at 75 octets on character borders.
    pub fn print(&self) -> String {
        todo!()
    }

    /// The first property of that name (upper case).
    pub fn property(&self, name: &str) -> Option<&Property> {
        self.properties.iter().find(|p| p.name == name)
    }

    /// All properties of that name (upper case).
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Property> {
        self.properties.iter().filter(move |p| p.name == name)
    }

    /// The raw value of the first property of that name.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.property(name).map(|p| p.value.as_str())
    }
}

impl Property {
    /// The first value of a parameter (upper case).
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(n, _)| n == name).and_then(|(_, v)| v.first()).map(String::as_str)
    }

    /// The value as TEXT with its escapes undone (RFC 5545 3.3.11).
    pub fn text(&self) -> String {
        todo!()
    }
}

/// A TEXT value with its escapes made (RFC 5545 3.3.11).
pub fn escape(text: &str) -> String {
    todo!()
}
