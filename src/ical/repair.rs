//! What is put right in reading, because every good client puts it right: each kind of damage by its name.

use std::fmt;

use super::Error;

/// One thing that was wrong with a text and was read all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repair {
    /// The line of the text as it was sent, counted from 1; 0 when no one line is to blame.
    pub line: usize,
    /// What was wrong.
    pub damage: Damage,
}

/// Kinds of damage. Where [`Damage::alters`] holds, what is printed is the repaired text; the others are ways of reading
/// what stands there, and the text stays as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Damage {
    /// LF alone ends a line (RFC 5545 3.1 wants CRLF).
    LineEnds,
    /// CR alone ends all lines.
    Returns,
    /// The text begins with a byte order mark.
    ByteOrderMark,
    /// Octets that are no UTF-8, read as Windows-1252; UTF-16 with its mark.
    Encoding,
    /// All lines are indented.
    Indented,
    /// Control characters, left out.
    Control,
    /// Lines between or behind the calendars, left out.
    Outside,
    /// No VCALENDAR around the components: one is put around them.
    NoCalendar,
    /// A component is not ended before the next thing begins or its parent ends.
    MissingEnd,
    /// An END without its BEGIN, left out.
    StrayEnd,
    /// A property name without colon and value: its value is empty.
    NoValue,
    /// White space around a property's name.
    SpacedName,
    /// A double quote in a parameter that is never closed: a character like any other.
    OpenQuote,
    /// An empty line within a folded line.
    BrokenFold,
    /// A line that is no property, below a text that was broken without folding: it belongs to that text.
    BrokenText,
    /// A line that is no property, below nothing that it could belong to: left out.
    StrayLine,
    /// A component of a file that has no UID: it is given one, made of what it says. Or an override that has none: it is
    /// given the only one there is.
    NoUid,
    /// A time in the extended form of ISO 8601, without seconds, with fractions, an offset, or at 24 o'clock.
    TimeForm,
    /// `P1H` for `PT1H`.
    DurationForm,
    /// A zone name with a colon and without quotes, as Exchange has written it.
    OpenColon,
    /// A RECURRENCE-ID without a value, left out: what has none is no override.
    EmptyId,
    /// Of two components of a file that are the same instance: the one with the higher SEQUENCE, then the later DTSTAMP.
    Twice,
    /// PRODID, VERSION or DTSTAMP is missing.
    Missing,
    /// RRULE, DTEND, DUE, DURATION, URL or the like without a value: as if it were not there.
    EmptyValue,
    /// VALUE=DATE before a time, or a date without VALUE=DATE.
    DateForm,
    /// UNTIL is a date beside a timed DTSTART, local beside a zoned one, or a time beside a date (RFC 5545 3.3.10).
    UntilForm,
    /// EXDATE, RDATE or RECURRENCE-ID of another form than DTSTART.
    InstanceForm,
    /// COUNT and UNTIL in one rule: whichever ends first.
    CountAndUntil,
    /// INTERVAL=0: every one.
    ZeroInterval,
    /// DURATION beside DTEND or DUE: the end counts.
    EndAndDuration,
    /// COUNT=0: DTSTART alone.
    ZeroCount,
}

impl Damage {
    /// A short name for counts and logs: `missing-end`.
    pub fn name(self) -> &'static str {
        self.said().0
    }

    /// Whether the text had to be changed for it.
    pub fn alters(self) -> bool {
        use Damage::*;
        matches!(
            self,
            Returns
                | ByteOrderMark
                | Encoding
                | Indented
                | Control
                | Outside
                | NoCalendar
                | MissingEnd
                | StrayEnd
                | NoValue
                | SpacedName
                | OpenQuote
                | BrokenFold
                | BrokenText
                | StrayLine
                | NoUid
                | TimeForm
                | DurationForm
                | OpenColon
                | EmptyId
                | Twice
        )
    }

    fn said(self) -> (&'static str, &'static str) {
        use Damage::*;
        match self {
            LineEnds => ("line-ends", "a line does not end with CRLF"),
            Returns => ("returns", "the lines end with CR alone; end them with CRLF"),
            ByteOrderMark => ("byte-order-mark", "the text begins with a byte order mark; take it out"),
            Encoding => ("encoding", "this is not UTF-8; send the text as UTF-8"),
            Indented => {
                ("indented", "all lines are indented, which makes them one folded line; take the indentation out")
            }
            Control => ("control-character", "there is a control character here; take it out"),
            Outside => ("outside", "this line stands outside BEGIN:VCALENDAR … END:VCALENDAR; take it out"),
            NoCalendar => ("no-calendar", "this component stands outside a VCALENDAR; begin with BEGIN:VCALENDAR"),
            MissingEnd => ("missing-end", "the component that is open here has no END of its own; end it"),
            StrayEnd => ("stray-end", "this END closes nothing; take it out"),
            NoValue => ("no-value", "there is no colon on this line; write NAME:value"),
            SpacedName => ("spaced-name", "there is white space beside the name of this property; take it out"),
            OpenQuote => ("open-quote", "a double quote is opened here and never closed; close it, or write ^'"),
            BrokenText => {
                ("broken-text", "this is no property; fold a long text with a leading space, write \\n for a line end")
            }
            StrayLine => ("stray-line", "this is no property; write NAME:value, or take it out"),
            NoUid => ("no-uid", "this component has no UID; give it one"),
            Missing => {
                ("missing-property", "VERSION:2.0 and PRODID belong to each calendar, DTSTAMP to each component")
            }
            EmptyValue => ("empty-value", "this property says nothing; take it out"),
            DateForm => ("date-form", "write VALUE=DATE with a date, and only with a date"),
            UntilForm => ("until-form", "UNTIL takes the form of DTSTART: a date with a date, UTC with a zone"),
            InstanceForm => ("instance-form", "this takes the form of DTSTART: a date with a date, a time with a time"),
            CountAndUntil => ("count-and-until", "a rule has COUNT or UNTIL; keep one of the two"),
            ZeroInterval => ("zero-interval", "INTERVAL=0 means nothing; leave it out for every one"),
            EndAndDuration => ("end-and-duration", "DURATION beside an end; keep one of the two"),
            TimeForm => ("time-form", "this is no time; write 20260131 or 20260131T090000 (with Z for UTC)"),
            DurationForm => ("duration-form", "this is no duration; write PT1H or P1D"),
            OpenColon => ("open-colon", "a zone name with a colon in it stands in double quotes"),
            EmptyId => ("empty-recurrence-id", "RECURRENCE-ID says nothing; take it out, or name the instance"),
            Twice => ("twice", "this instance stands in the file twice; keep one"),
            BrokenFold => ("broken-fold", "an empty line stands within this folded line; take it out"),
            ZeroCount => ("zero-count", "COUNT=0 is no count; leave the rule out"),
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.said().1)
    }
}

/// How much is put right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Reading {
    /// What every good client repairs is repaired, and named.
    #[default]
    Tolerant,
    /// The first damage is an error (`Prefer: handling=strict`).
    Strict,
}

/// The repairs of one text, or the refusal to make one.
#[derive(Debug)]
pub(super) struct Repairs {
    reading: Reading,
    made: Vec<(Spot, Damage)>,
    alter: bool,
}

/// Where a repair was made: a line, or an octet whose line is not counted yet.
#[derive(Clone, Copy, Debug)]
pub(super) enum Spot {
    Line(usize),
    Octet(usize),
}

impl Spot {
    pub fn line(self, text: &str) -> usize {
        match self {
            Spot::Line(line) => line,
            Spot::Octet(octet) => 1 + memchr::memchr_iter(b'\n', &text.as_bytes()[..octet]).count(),
        }
    }
}

/// Repairs that are kept: a text of nothing but damage is not worth more.
const MOST: usize = 1_000;

impl Repairs {
    pub fn new(reading: Reading) -> Repairs {
        Repairs { reading, made: Vec::new(), alter: false }
    }

    /// Notes one; a strict reader refuses.
    pub fn make(&mut self, line: usize, damage: Damage) -> Result<(), Error> {
        if self.reading == Reading::Strict {
            return Err(Error { line, reason: damage.to_string() });
        }
        self.note(Spot::Line(line), damage);
        Ok(())
    }

    /// Notes one of a line that `text` was read from.
    pub fn make_at(&mut self, at: Spot, text: &str, damage: Damage) -> Result<(), Error> {
        if self.reading == Reading::Strict {
            return Err(Error { line: at.line(text), reason: damage.to_string() });
        }
        self.note(at, damage);
        Ok(())
    }

    fn note(&mut self, at: Spot, damage: Damage) {
        self.alter |= damage.alters();
        if self.made.len() < MOST {
            self.made.push((at, damage));
        }
    }

    /// Whether the text had to be changed.
    pub fn alter(&self) -> bool {
        self.alter
    }

    /// In the order of their lines in `text`, which they were made in.
    pub fn into_made(mut self, text: &str) -> Vec<Repair> {
        // Lines are counted in one walk.
        self.made.sort_by_key(|(at, _)| match at {
            Spot::Line(_) => 0,
            Spot::Octet(octet) => *octet,
        });
        let (mut seen, mut line) = (0, 1);
        let mut made: Vec<Repair> = Vec::with_capacity(self.made.len());
        for (at, damage) in self.made {
            let line = match at {
                Spot::Line(line) => line,
                Spot::Octet(octet) => {
                    line += memchr::memchr_iter(b'\n', &text.as_bytes()[seen..octet]).count();
                    seen = octet;
                    line
                }
            };
            made.push(Repair { line, damage });
        }
        made.sort_by_key(|r| r.line);
        made
    }
}
