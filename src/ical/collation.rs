//! How text-match compares (RFC 4790, RFC 5051): the collations, and where in a text the other must be.

use std::borrow::Cow;
use std::sync::OnceLock;

use unicode_normalization::char::decompose_compatible;

/// Which texts are the same (RFC 4791 7.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Collation {
    /// `i;ascii-casemap`, the default: the letters A to Z in either case (RFC 4790 9.2).
    #[default]
    AsciiCasemap,
    /// `i;octet`: octet by octet (RFC 4790 9.3).
    Octet,
    /// `i;unicode-casemap`: letters of any script in either case, in one code point or decomposed (RFC 5051).
    UnicodeCasemap,
}

/// `match-type`: where the text that is looked for must be (draft-daboo-caldav-extensions 3.3, as RFC 6352 10.5.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MatchType {
    /// The text as a whole.
    Equals,
    /// Anywhere: all that RFC 4791 knows.
    #[default]
    Contains,
    /// At its beginning.
    StartsWith,
    /// At its end.
    EndsWith,
}

/// A text that is looked for. What a collation makes of it is made once, however many texts it is compared with.
#[derive(Clone, Debug, Default)]
pub struct Sought {
    text: String,
    key: OnceLock<(Collation, String)>,
}

impl Sought {
    fn key(&self, collation: Collation) -> Cow<'_, str> {
        match self.key.get_or_init(|| (collation, collation.key(&self.text).into_owned())) {
            (of, key) if *of == collation => Cow::Borrowed(key),
            _ => collation.key(&self.text),
        }
    }
}

impl<T: Into<String>> From<T> for Sought {
    fn from(text: T) -> Sought {
        Sought { text: text.into(), key: OnceLock::new() }
    }
}

impl std::ops::Deref for Sought {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Sought {
    fn eq(&self, other: &Sought) -> bool {
        self.text == other.text
    }
}

impl Eq for Sought {}

impl Collation {
    /// Whether `sought` is where `place` says in `text`.
    pub fn holds(self, place: MatchType, text: &str, sought: &Sought) -> bool {
        let (text, sought) = (self.key(text), sought.key(self));
        let sought = sought.as_ref();
        match place {
            MatchType::Equals => text == sought,
            MatchType::Contains => text.contains(sought),
            MatchType::StartsWith => text.starts_with(sought),
            MatchType::EndsWith => text.ends_with(sought),
        }
    }

    /// What is compared octet by octet.
    fn key(self, text: &str) -> Cow<'_, str> {
        match self {
            Collation::Octet => Cow::Borrowed(text),
            // To Unicode, too, ASCII has titles and nothing to decompose.
            Collation::UnicodeCasemap if !text.is_ascii() => Cow::Owned(titlecased(text)),
            Collation::AsciiCasemap | Collation::UnicodeCasemap => {
                if text.bytes().any(|b| b.is_ascii_lowercase()) {
                    Cow::Owned(text.to_ascii_uppercase())
                } else {
                    Cow::Borrowed(text)
                }
            }
        }
    }
}

/// RFC 5051 2: each code point as its title, then decomposed (canonically or not) until nothing more can be.
fn titlecased(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match title(c) {
            // Hangul syllables decompose by rule; the table that the RFC goes by does not have them.
            hangul @ '\u{ac00}'..='\u{d7a3}' => out.push(hangul),
            c => decompose_compatible(c, |c| out.push(c)),
        }
    }
    out
}

/// The simple titlecase mapping of UnicodeData.txt: always one code point, other than that of SpecialCasing.txt.
fn title(c: char) -> char {
    match c {
        // Digraphs that have a form of their own for titles.
        '\u{1c4}'..='\u{1c6}' => '\u{1c5}',
        '\u{1c7}'..='\u{1c9}' => '\u{1c8}',
        '\u{1ca}'..='\u{1cc}' => '\u{1cb}',
        '\u{1f1}'..='\u{1f3}' => '\u{1f2}',
        // Georgian has capitals, and no titles.
        '\u{10d0}'..='\u{10ff}' => c,
        // Greek letters with an iota below: the special upper case writes it beside.
        '\u{1f80}'..='\u{1faf}' => char::from_u32(c as u32 | 8).unwrap_or(c),
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => char::from_u32(c as u32 + 9).unwrap_or(c),
        c => {
            let mut upper = c.to_uppercase();
            match (upper.next(), upper.next()) {
                (Some(upper), None) => upper,
                // ß and the like: upper case of several code points is special.
                _ => c,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_simple() {
        let pairs = "aA zZ äÄ ßß ÿŸ ıI ſS ŉŉ ǆǅ Ǆǅ ǅǅ ǉǈ ǌǋ ǳǲ ςΣ σΣ µΜ ΐΐ ᾳᾼ ᾼᾼ ᾀᾈ ᾈᾈ ᾷᾷ ῳῼ აა ﬀﬀ ⅰⅠ ⓐⒶ ꭰᎠ 𐐨𐐀 İİ ẞẞ և\u{587} 1 ";
        for pair in pairs.split(' ') {
            let mut chars = pair.chars();
            let Some(c) = chars.next() else { continue };
            assert_eq!(title(c), chars.next().unwrap_or(c), "{pair}");
        }
    }

    #[test]
    fn compares_as_the_collation_says() {
        use Collation::{AsciiCasemap, Octet, UnicodeCasemap};
        // text, sought, and which of octet, ascii-casemap and unicode-casemap find it.
        let cases = [
            ("Team Meeting", "team", "-au"),
            ("Team Meeting", "Team", "oau"),
            ("Team Meeting", "", "oau"),
            ("Über uns", "über", "--u"),
            ("Über uns", "Über", "oau"),
            ("Über uns", "ÜBER", "-au"),
            ("ÜBER UNS", "Über uns", "-au"),
            // In one code point and in two.
            ("Zoe\u{308}", "zoë", "--u"),
            ("ZOË", "zoe\u{308}", "--u"),
            ("Zoë", "zoe", "--u"),
            ("Zoe", "zoë", "---"),
            ("ΣΊΣΥΦΟΣ", "σίσυφος", "--u"),
            ("ВСТРЕЧА", "встреча", "--u"),
            ("Straße", "STRASSE", "---"),
            ("Straße", "STRAßE", "-au"),
            // What is decomposed is not given titles again.
            ("ﬁne print", "FINE", "---"),
            ("№ 5", "no", "---"),
            ("№ 5", "№", "oau"),
            ("ＦＵＬＬ", "full", "--u"),
            // RFC 5051 2: one letter, whichever of its three forms is written, is D, Z and a caron.
            ("Ǆungla", "ǆUNGLA", "--u"),
            ("Ǆungla", "Dz\u{30c}ungla", "---"),
            ("ǅ", "D\u{1c5}", "---"),
            ("각", "가", "---"),
            ("回議", "議", "oau"),
        ];
        for (text, sought, expect) in cases {
            let found: String = [(Octet, 'o'), (AsciiCasemap, 'a'), (UnicodeCasemap, 'u')]
                .map(|(c, sign)| if c.holds(MatchType::Contains, text, &sought.into()) { sign } else { '-' })
                .iter()
                .collect();
            assert_eq!(found, expect, "{sought} in {text}");
        }
        // The title of the digraph has a small z behind it.
        assert_eq!(titlecased("Ǆ"), "Dz\u{30c}");
    }

    #[test]
    fn looks_where_the_match_type_says() {
        use MatchType::{Contains, EndsWith, Equals, StartsWith};
        let cases = [
            ("one two", "ONE TWO", [true, true, true, true]),
            ("one two", "one", [false, true, true, false]),
            ("one two", "TWO", [false, true, false, true]),
            ("one two", "e t", [false, true, false, false]),
            ("one two", "three", [false; 4]),
            ("one two", "", [false, true, true, true]),
            ("", "", [true; 4]),
        ];
        for (text, sought, expect) in cases {
            let found = [Equals, Contains, StartsWith, EndsWith];
            let found = found.map(|place| Collation::AsciiCasemap.holds(place, text, &sought.into()));
            assert_eq!(found, expect, "{sought} in {text}");
        }
    }
}
