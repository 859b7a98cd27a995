"""The instances beside each object of fixtures/ical, checked by `recurring-ical-events`.

    python3 tests/oracle/instances.py [NAME ...]

For each NAME.ics it works out the instances in the windows of NAME.expect and compares: start, end, all-day,
RECURRENCE-ID and title. Nothing here is shared with the gateway. Where the library is not the RFC, or can not read the
text at all, the object stands in a table with the reason: REWRITTEN says the same in other words, which the library
then has to confirm; EXACT and WITHOUT_ID say what of its answer is not believed; BY_HAND has no answer of it. Who
stands in a table without need is told so.
The versions of the packages are those of tests/clients/requirements.txt.
"""

import datetime as dt
import pathlib
import re
import sys
import warnings
import zoneinfo

import icalendar
import recurring_ical_events

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "fixtures" / "ical"
UTC = dt.timezone.utc
# The tz database of the `tzdata` package, not that of the machine: Debian's holds other years before 1970.
zoneinfo.reset_tzpath(to=())
# The library says aloud where it guesses a zone by its name; we guess the same.
warnings.simplefilter("ignore")

# NAME: (why the library is not the RFC here, [(pattern, what stands in its place), ...]).
REWRITTEN = {
    "all-day-with-equal-ends": (
        "DTEND is later than DTSTART (RFC 5545 3.8.2.2) and the day after the last one (3.6.1); who writes the same "
        "day means it, and clients show one day; the library shows none.",
        [("^DTEND;.*\\n", "")],
    ),
    "apple-empty-properties": (
        "An empty RRULE is none: RFC 5545 3.3.10 wants a FREQ. iOS leaves such lines.",
        [("^RRULE:\n", "")],
    ),
    "date-time-called-a-date": (
        "VALUE says what the type is (RFC 5545 3.2.20), and the value is of another; the day is what both agree on.",
        [("T0[89]0000$", "")],
    ),
    "dtstart-beside-its-rule": (
        'DTSTART "always counts as the first occurrence" (RFC 5545 3.3.10, COUNT); the library leaves out of the count '
        "what the rule does not give.",
        [("COUNT=3", "COUNT=2")],
    ),
    "evolution-memo": (
        "A VJOURNAL of a DATE is that day (RFC 4791 9.9, VJOURNAL); the library gives it no length.",
        [("VJOURNAL", "VEVENT"), ("^DESCRIPTION:Second.*\n", "")],
    ),
    "journal": (
        "A VJOURNAL of a DATE is that day (RFC 4791 9.9, VJOURNAL); the library gives it no length.",
        [("VJOURNAL", "VEVENT")],
    ),
    "exchange-until-without-zone": (
        "UNTIL beside a zone MUST be in UTC (RFC 5545 3.3.10); without Z it is meant as DTSTART is: 18:00 in Los "
        "Angeles is 01:00Z.",
        [("UNTIL=20260413T180000;", "UNTIL=20260414T010000Z;")],
    ),
    "exrule": (
        "EXRULE is of RFC 2445 4.8.5.2; the library does not read it. The 7th and 8th of March 2026 are a weekend.",
        [("^EXRULE:.*", "EXDATE:20260307T100000Z,20260308T100000Z")],
    ),
    "freebusy-reply": (
        "The library does not look at VFREEBUSY: it is from DTSTART to DTEND (RFC 4791 9.9, VFREEBUSY).",
        [("VFREEBUSY", "VEVENT")],
    ),
    "rfc7953-availability": (
        "The library does not look at VAVAILABILITY: it is from DTSTART to DTEND, and AVAILABLE is no instance of it "
        "(RFC 7953 3.1).",
        [("VAVAILABILITY", "VEVENT")],
    ),
    "gnome-calendar-zone-of-its-own-copy": (
        "A time that does not occur is read by the offset before the gap (RFC 5545 3.3.5); the library is right for a "
        "zone it knows by name, and not for one that is told.",
        [("/freeassociation.sourceforge.net/", "")],
    ),
    "override-named-by-a-date": (
        "RECURRENCE-ID is to be of the type of DTSTART (RFC 5545 3.8.4.4); a day names the instance of that day.",
        [("RECURRENCE-ID;VALUE=DATE:20260303", "RECURRENCE-ID;TZID=Europe/Berlin:20260303T090000")],
    ),
    "override-named-without-zone": (
        "RECURRENCE-ID is to be written as DTSTART is (RFC 5545 3.8.4.4); without a zone it is by the clock of the "
        "series.",
        [("RECURRENCE-ID:", "RECURRENCE-ID;TZID=America/New_York:")],
    ),
    "rfc7529-gregorian-is-read": (
        "RSCALE=GREGORIAN and SKIP=OMIT are the default (RFC 7529 4.1); the library knows neither.",
        [("RSCALE=GREGORIAN;", ""), ("SKIP=OMIT;", "")],
    ),
    "start-in-the-gap": (
        "02:30 does not occur and is read as 03:30 (RFC 5545 3.3.5), which is where it ends too: of the hour that the "
        "clock says it takes none is left, and it is kept. The library leaves nothing.",
        [("T033000$", "T043000")],
    ),
    "text-empty-values": (
        "An EXDATE or RDATE without a value says nothing; the library throws.",
        [("^(EXDATE|RDATE):\n", "")],
    ),
    "text-request-status-and-numbers": (
        "The library throws at a SEQUENCE of more than 32 bits.",
        [("^SEQUENCE:.*", "SEQUENCE:1")],
    ),
    "text-same-property-many-times": (
        "SUMMARY may stand once (RFC 5545 3.6.1); the first is taken, the library gives a list.",
        [("^SUMMARY:Second.*\n", "")],
    ),
    "tzid-beside-utc": (
        'TZID "MUST NOT be applied to DATE properties and DATE-TIME or TIME properties whose time values are specified '
        'in UTC" (RFC 5545 3.2.19): Z says what it is; the library reads the wall time in the zone.',
        [(";TZID=Europe/Berlin:", ":")],
    ),
    "until-as-date": (
        "UNTIL MUST be of DTSTART's type (RFC 5545 3.3.10); a day is meant to its end, by the clock of the series.",
        [("UNTIL=20260304", "UNTIL=20260305T075959Z")],
    ),
    "until-before-dtstart": (
        'DTSTART "always counts as the first occurrence" (RFC 5545 3.3.10) and is the first instance of the set '
        "(3.8.5.3); the library leaves nothing.",
        [("UNTIL=20260301T000000Z", "COUNT=1")],
    ),
}

# NAME: the exact length of each instance. The library adds a length along the clock on the wall and is wrong where the
# clock changes meanwhile: hours, minutes and seconds are "accurate durations" (RFC 5545 3.3.6), and for DTEND "the same
# exact duration will apply to all the members of the generated recurrence set" (3.8.5.3).
EXACT = {
    "beirut-midnight-gap": dt.timedelta(hours=1),
    "dublin-winter-is-the-daylight": dt.timedelta(hours=3),
    "exact-day": dt.timedelta(hours=24),
    "gnome-calendar-zone-of-its-own-copy": dt.timedelta(hours=1),
    "gaza-saturday-shift": dt.timedelta(minutes=30),
    "lord-howe-half-hour-fold": dt.timedelta(hours=1),
    "moscow-of-2014": dt.timedelta(hours=1),
    "night-over-the-gap-exact": dt.timedelta(hours=8),
    "night-shift-lengths": dt.timedelta(hours=8),
    "nuuk-new-rules": dt.timedelta(hours=4),
    "roster-three-shifts": dt.timedelta(hours=8),
}

# Objects with RANGE=THISANDFUTURE. The library gives all that follows the RECURRENCE-ID of the override; it is the
# original DTSTART of the instance (RFC 5545 3.8.4.4). Compared without it; the ids are those of the master alone.
WITHOUT_ID = ["cyrus-this-and-future", "this-and-future-all-day", "this-and-future-twice"]

# NAME: why the library has no answer, and how the one beside the object was found.
BY_HAND = {
    "apple-reminders-without-time": "A VTODO without any time has no instance to list; the library lists all of time.",
    "todo-completed-without-dates": "COMPLETED and CREATED are no time of an instance; the library lists all of time.",
    "exchange-custom-zone-left-out": "Its name says nothing of the zone; the library takes the time as floating.",
    "unknown-zone": "Its name says nothing of the zone; the library takes the time as floating.",
    "hebrew-rscale": "RFC 7529 is refused by name; the library throws.",
    "rfc7529-chinese-new-year": "RFC 7529 is refused by name; the library throws.",
    "rfc7529-skip-is-refused": "RFC 7529 is refused by name; the library throws.",
}


def text_of(octets):
    """Unfolded before it is decoded: a fold may split a character (RFC 5545 3.1). Line ends become LF."""
    octets = octets.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")
    return re.sub(rb"\n[ \t]", b"", octets).decode("utf-8")


def rewritten(text, changes):
    for pattern, instead in changes:
        text, count = re.subn(pattern, instead, text, flags=re.M)
        if not count:
            raise ValueError(f"{pattern} is not found")
    return text


def instant(value, zone):
    """A DATE or a time without zone is read in `zone`."""
    if not isinstance(value, dt.datetime):
        value = dt.datetime(value.year, value.month, value.day)
    if value.tzinfo is None:
        value = value.replace(tzinfo=zone)
    return value.astimezone(UTC)


def written(value):
    return f"{value.year:04}{value:%m%dT%H%M%SZ}"


def zone_named(name):
    return UTC if name == "UTC" else zoneinfo.ZoneInfo(name)


def instances(calendar, first, last, zone, exact=None):
    """The lines of one window; half-open. `exact`: see EXACT."""
    query = recurring_ical_events.of(calendar, components=["VEVENT", "VTODO", "VJOURNAL"], skip_bad_series=False)
    recurs = any(
        name in c
        for c in calendar.subcomponents
        if c.name != "VTIMEZONE"
        for name in ("RECURRENCE-ID", "RRULE", "RDATE")
    )
    # What is as long as `exact` may begin that much before the window.
    margin = exact or dt.timedelta()
    lines = []
    for found in query.between((first - margin).astimezone(zone), last.astimezone(zone)):
        raw = found["DTSTART"].dt if "DTSTART" in found else found["DUE"].dt
        ending = found.get("DTEND") or found.get("DUE")
        start = instant(raw, zone)
        end = max(start, instant(ending.dt, zone)) if ending is not None else start
        if exact:
            end = start + exact
        day = "" if isinstance(raw, dt.datetime) else " all-day"
        of = f" of {written(instant(found['RECURRENCE-ID'].dt, zone))}" if recurs else ""
        if start < last and (end > first or start == end and start >= first):
            lines.append(f"{written(start)} {written(end)}{day}{of} | {found.get('SUMMARY', '')}")
    # "Duplicate instances are ignored" (RFC 5545 3.8.5.3): of two wall times that a gap makes one, the library gives both.
    return sorted(set(lines))


def sections(expect):
    """(window line, lines under it) of each window, and the words of the span."""
    found, span = [], None
    for line in expect.splitlines():
        if line.startswith("window "):
            found.append((line, []))
        elif line.startswith("span "):
            span = line.split()[1:]
        else:
            found[-1][1].append(line)
    return found, span


def at(text):
    return dt.datetime.strptime(text.rjust(16, "0"), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def outside(lines, span):
    """Instances that the span does not hold."""
    first, last = (None if side == "open" else at(side) for side in span)
    for line in lines:
        start, end = (at(word) for word in line.split()[:2])
        if first and start < first or last and end > last:
            yield f"{line}\n    is not in the span {' '.join(span)}"


def asked(text, windows, exact=None):
    """What the library says of each window, as lists of lines."""
    answers = []
    for line, _ in windows:
        _, first, last, zone = line.split()
        try:
            calendar = icalendar.Calendar.from_ical(text)
            answers.append(instances(calendar, at(first), at(last), zone_named(zone), exact))
        except Exception as error:  # whatever a foreign parser throws is its answer
            answers.append([f"{type(error).__name__}: {error}"])
    return answers


def ids_of_nothing(text, windows):
    """Instances whose RECURRENCE-ID is no start of the master without its overrides."""
    calendar = icalendar.Calendar.from_ical(text)
    calendar.subcomponents = [c for c in calendar.subcomponents if "RECURRENCE-ID" not in c]
    for line, expected in windows:
        _, first, last, zone = line.split()
        year = dt.timedelta(days=366)
        starts = {of.split()[0] for of in instances(calendar, at(first) - year, at(last) + year, zone_named(zone))}
        yield from (e for e in expected if re.search(r" of (\w+)", e)[1] not in starts)


def difference(windows, answers):
    wrong = []
    for (line, expected), got in zip(windows, answers):
        if got != sorted(expected):
            wrong += [line, *(f"  - {e}" for e in expected), *(f"  + {g}" for g in got)]
    return wrong


def check(name):
    """What is wrong with the expectation of one object, as lines."""
    text = text_of((FOLDER / f"{name}.ics").read_bytes())
    windows, span = sections((FOLDER / f"{name}.expect").read_text())
    wrong = []
    if not windows or span is None:
        return ["there is no window in it, or no span"]
    for line, expected in windows:
        if not any(e.startswith(("Unreadable(", "TooMany")) for e in expected):
            wrong += outside(expected, span)
    as_it_is = difference(windows, asked(text, windows))
    if name in BY_HAND:
        return wrong if as_it_is else [*wrong, "the library agrees: take it out of BY_HAND"]
    if name in REWRITTEN:
        if not as_it_is:
            wrong.append("the library agrees with it as it is: take it out of REWRITTEN")
        text = rewritten(text, REWRITTEN[name][1])
    if (name in EXACT or name in WITHOUT_ID) and not as_it_is:
        wrong.append("the library agrees with it as it is: take it out of EXACT or WITHOUT_ID")
    answers = asked(text, windows, EXACT.get(name))
    if name in WITHOUT_ID:
        wrong += [f"the master has no such start: {line}" for line in ids_of_nothing(text, windows)]

        def cut(lines):
            return sorted(re.sub(r" of \w+", "", line) for line in lines)

        windows = [(line, cut(expected)) for line, expected in windows]
        answers = [cut(got) for got in answers]
    return wrong + difference(windows, answers)


def main(names):
    known = sorted(path.stem for path in FOLDER.glob("*.ics"))
    strangers = (set(REWRITTEN) | set(EXACT) | set(WITHOUT_ID) | set(BY_HAND)) - set(known)
    bad = [f"{name}: there is no such object" for name in sorted(strangers)]
    for name in names or known:
        if wrong := check(name):
            bad.append("\n  ".join([name, *wrong]))
    print(*bad, f"{len(names or known)} objects, {len(bad)} wrong", sep="\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
