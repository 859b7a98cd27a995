//! Values of time: DATE, DATE-TIME, DURATION, PERIOD (RFC 5545 3.3). Wall times are counted in seconds as if in UTC.

use jiff::tz::TimeZone;

use super::{Instant, zone};

pub(super) const DAY: i64 = 86_400;

/// What ties a wall time to the time line.
#[derive(Clone, Debug)]
pub(super) enum Frame {
    /// A DATE: midnight by the reader's zone.
    Date,
    /// A DATE-TIME without zone: by the reader's zone.
    Floating,
    /// UTC or a TZID.
    Zone(TimeZone),
}

/// A DATE or DATE-TIME that knows its zone.
#[derive(Clone, Debug)]
pub(super) struct When {
    pub wall: i64,
    pub frame: Frame,
}

impl When {
    /// The instant it is for a reader in `reader`.
    pub fn at(&self, reader: &TimeZone) -> Instant {
        self.frame.at(self.wall, reader)
    }

    pub fn is_date(&self) -> bool {
        matches!(self.frame, Frame::Date)
    }
}

impl Frame {
    /// The zone that its wall times are in, for a reader in `reader`.
    pub fn zone<'z>(&'z self, reader: &'z TimeZone) -> &'z TimeZone {
        match self {
            Frame::Date | Frame::Floating => reader,
            Frame::Zone(zone) => zone,
        }
    }

    /// The instant of a wall time.
    pub fn at(&self, wall: i64, reader: &TimeZone) -> Instant {
        zone::resolve(wall, self.zone(reader))
    }

    /// The wall time of an instant.
    pub fn wall(&self, at: Instant, reader: &TimeZone) -> i64 {
        zone::wall(at, self.zone(reader))
    }

    /// True when the reader's zone decides.
    pub fn floats(&self) -> bool {
        !matches!(self, Frame::Zone(_))
    }
}

/// How a DATE or DATE-TIME is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    Date,
    Local,
    Utc,
}

/// Reads `20260105`, `20260105T090000`, `20260105T090000Z`: wall seconds and how it was written. Years 1 to 9999.
pub(super) fn parse(text: &str) -> Option<(i64, Written)> {
    let b = text.trim().as_bytes();
    let day = days_of(b.get(..8)?)?;
    let (clock, written) = match b.len() {
        8 => return Some((day * DAY, Written::Date)),
        15 => (b, Written::Local),
        16 if b[15].eq_ignore_ascii_case(&b'Z') => (&b[..15], Written::Utc),
        _ => return None,
    };
    if !clock[8].eq_ignore_ascii_case(&b'T') {
        return None;
    }
    let (h, m, s) = (number(&clock[9..11])?, number(&clock[11..13])?, number(&clock[13..15])?);
    if h > 23 || m > 59 || s > 60 {
        return None;
    }
    // Leap seconds are not counted: the last second of the minute stands for one.
    Some((day * DAY + h * 3600 + m * 60 + s.min(59), written))
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |n, d| d.is_ascii_digit().then(|| n * 10 + i64::from(d - b'0')))
}

fn days_of(b: &[u8]) -> Option<i64> {
    let (y, m, d) = (number(&b[..4])?, number(&b[4..6])?, number(&b[6..8])?);
    (y >= 1 && (1..=12).contains(&m) && d >= 1 && d <= days_in_month(y, m)).then(|| days_from_civil(y, m, d))
}

/// `20260105T090000`.
pub(super) fn format_local(wall: i64) -> String {
    // Each instance that is expanded has two or three of them, and each busy period two.
    let mut out = String::with_capacity("20260105T090000Z".len());
    date_to(wall, &mut out);
    out.push('T');
    let s = wall.rem_euclid(DAY);
    [s / 3600, s / 60 % 60, s % 60].into_iter().for_each(|n| two_digits(n, &mut out));
    out
}

fn date_to(wall: i64, out: &mut String) {
    let (y, m, d) = civil_from_days(wall.div_euclid(DAY));
    match y {
        0..=9_999 => [y / 100, y % 100].into_iter().for_each(|n| two_digits(n, out)),
        _ => out.push_str(&format!("{y:04}")),
    }
    two_digits(m, out);
    two_digits(d, out);
}

/// Of a number below 100.
fn two_digits(number: i64, out: &mut String) {
    for digit in [number / 10, number % 10] {
        out.push(char::from(b'0' + digit as u8));
    }
}

/// `20260105T090000Z`.
pub(super) fn format_utc(at: Instant) -> String {
    // Years beyond four digits can not be written; nothing that was parsed lies there.
    let at = at.0.clamp(days_from_civil(1, 1, 1) * DAY, days_from_civil(10_000, 1, 1) * DAY - 1);
    format_local(at) + "Z"
}

/// `20260105`.
pub(super) fn format_date(wall: i64) -> String {
    let mut out = String::with_capacity("20260105".len());
    date_to(wall, &mut out);
    out
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar.
pub(super) fn days_from_civil(y: i64, m: i64, d: i64) -> i64 {
    // Years that begin in March put the leap day last.
    let y = if m <= 2 { y - 1 } else { y };
    let era = y.div_euclid(400);
    let of_era = y.rem_euclid(400);
    let of_year = (153 * (m + if m > 2 { -3 } else { 9 }) + 2) / 5 + d - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month (1 to 12) and day (from 1) of a count of days since 1970-01-01.
pub(super) fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let m = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(m <= 2), m, day)
}

pub(super) fn is_leap(y: i64) -> bool {
    y % 4 == 0 && (y % 100 != 0 || y % 400 == 0)
}

pub(super) fn days_in_month(y: i64, m: i64) -> i64 {
    match m {
        2 => 28 + i64::from(is_leap(y)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Monday is 0.
pub(super) fn weekday(days: i64) -> i64 {
    (days + 3).rem_euclid(7)
}

/// A DURATION (RFC 5545 3.3.6): days and weeks are nominal and follow the wall clock, the rest is exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Duration {
    pub days: i64,
    pub seconds: i64,
}

impl Duration {
    /// Reads `P1D`, `-PT15M`, `P1W`, `P1DT2H`. Tolerates `P1W2D` and `PT0S` in any form.
    pub fn parse(text: &str) -> Option<Duration> {
        let text = text.trim();
        let (sign, text) = match text.as_bytes().first()? {
            b'-' => (-1, &text[1..]),
            b'+' => (1, &text[1..]),
            _ => (1, text),
        };
        let body = text.strip_prefix(['P', 'p'])?;
        let mut total = Duration::default();
        let mut digits: Option<i64> = None;
        let mut in_time = false;
        let mut parts = 0;
        for b in body.bytes().map(|b| b.to_ascii_uppercase()) {
            if b == b'T' {
                in_time = true;
                continue;
            }
            if b.is_ascii_digit() {
                let n = digits.unwrap_or(0) * 10 + i64::from(b - b'0');
                // 10^11 seconds are 3,000 years; more is no length of anything.
                digits = Some(n).filter(|n| *n < 100_000_000_000);
                digits?;
                continue;
            }
            let n = digits.take()?;
            parts += 1;
            match (in_time, b) {
                (false, b'W') => total.days += n * 7,
                (false, b'D') => total.days += n,
                (true, b'H') => total.seconds += n * 3600,
                (true, b'M') => total.seconds += n * 60,
                (true, b'S') => total.seconds += n,
                _ => return None,
            }
        }
        let sane = parts > 0 && digits.is_none() && total.days <= 4_000_000 && total.seconds <= 4_000_000 * DAY;
        sane.then_some(Duration { days: sign * total.days, seconds: sign * total.seconds })
    }

    /// Seconds, with days of 24 hours.
    pub fn nominal(self) -> i64 {
        self.days * DAY + self.seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_dates_and_times() {
        let cases = [
            ("19700102", Some((DAY, Written::Date))),
            ("19700101T000001", Some((1, Written::Local))),
            ("19700101T000001Z", Some((1, Written::Utc))),
            ("20160229t235960z", Some((1_456_790_399, Written::Utc))),
            ("00010101", Some((-719_162 * DAY, Written::Date))),
            ("20150229", None),
            ("00000101", None),
            ("20261301", None),
            ("20260101T240000", None),
            ("2026-01-01", None),
            ("20260101T0000", None),
            ("20260101T000000+", None),
            ("ü0260101", None),
            ("", None),
        ];
        for (text, expect) in cases {
            assert_eq!(parse(text), expect, "{text}");
        }
    }

    #[test]
    fn counts_days_both_ways() {
        for days in (-720_000..3_000_000).step_by(13) {
            let (y, m, d) = civil_from_days(days);
            assert_eq!(days_from_civil(y, m, d), days);
            assert!((1..=12).contains(&m) && d >= 1 && d <= days_in_month(y, m));
        }
        assert_eq!(civil_from_days(0), (1970, 1, 1));
        assert_eq!(weekday(0), 3);
        assert_eq!(format_local(-1), "19691231T235959");
    }

    #[test]
    fn reads_durations() {
        let cases = [
            ("P1D", Some((1, 0))),
            ("-PT15M", Some((0, -900))),
            ("+P2W", Some((14, 0))),
            ("P1DT2H3M4S", Some((1, 7384))),
            ("PT0S", Some((0, 0))),
            ("P", None),
            ("PT", None),
            ("P1", None),
            ("P1H", None),
            ("PT1D", None),
            ("1D", None),
            ("", None),
            ("P99999999999999999999D", None),
            ("PT99999999999H", None),
        ];
        for (text, expect) in cases {
            assert_eq!(Duration::parse(text).map(|d| (d.days, d.seconds)), expect, "{text}");
        }
    }
}
