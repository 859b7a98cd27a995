"""Calendar objects as real programs write them, made from a seed.

`objects()` gives the same list for the same seed and day.  Four habits (Apple, Google, Outlook, Thunderbird) differ in
zone names, VTIMEZONE, extra properties and file names; the shapes (weekly with an override, floating, declined, ...)
are what stands in calendars.  Every title, place, description and address holds CANARY, so that a log that repeats one
of them is found out.
"""

import datetime as dt
import hashlib
import random
from dataclasses import dataclass
from zoneinfo import ZoneInfo

CANARY = "kanarienvogel"
ME = f"anna@{CANARY}.example"


@dataclass(frozen=True)
class Made:
    """One object: `name` is the last path segment it wants upstream, `shape` says what it is an example of."""

    uid: str
    name: str
    shape: str
    text: str


@dataclass(frozen=True)
class Zone:
    """A zone with at most two observances; each rule is (month, week, hour of the day it ends)."""

    windows: str
    standard: str
    daylight: str | None = None
    to_standard: tuple[int, str, int] | None = None
    to_daylight: tuple[int, str, int] | None = None


ZONES = {
    "Europe/Berlin": Zone("W. Europe Standard Time", "+0100", "+0200", (10, "-1SU", 3), (3, "-1SU", 2)),
    "Europe/London": Zone("GMT Standard Time", "+0000", "+0100", (10, "-1SU", 2), (3, "-1SU", 1)),
    "America/New_York": Zone("Eastern Standard Time", "-0500", "-0400", (11, "1SU", 2), (3, "2SU", 2)),
    "America/Los_Angeles": Zone("Pacific Standard Time", "-0800", "-0700", (11, "1SU", 2), (3, "2SU", 2)),
    "Australia/Sydney": Zone("AUS Eastern Standard Time", "+1000", "+1100", (4, "1SU", 3), (10, "1SU", 2)),
    "Asia/Kolkata": Zone("India Standard Time", "+0530"),
    "Asia/Tokyo": Zone("Tokyo Standard Time", "+0900"),
}

TOPICS = [
    "Standup", "Budget review", "Zahnarzt", "Elternabend", "1:1 mit José", "Réunion d'équipe", "飲み会", "Deploy window",
    "Lunch; with, commas", "Yoga", "Customer call", "Vorstandssitzung", "День рождения", "Sprint planning 🚀", "Flight LH 441",
]  # fmt: skip

LONG = (
    "Agenda:\n1. What we said last time, and what came of it\n2. Numbers; costs, and the rest\n3. Größe, Maß, naïve façade,"
    " 日本語のテキスト, עברית, emoji 👩‍👩‍👧‍👦\n\nJoin: https://meet.example/abc-defg-hij?pwd=a\\b&x=1 "
)


def objects(seed, count, now, tag):
    """`count` objects around `now` (an aware datetime); `tag` keeps the UIDs of two calendars apart."""
    rng = random.Random(f"{seed} {tag}")
    shapes = [shape for shape, weight in SHAPES for _ in range(weight)]
    # Each shape at least once with each habit, the rest as chance has it.
    plan = [(shape, habit) for shape, _ in SHAPES for habit in HABITS]
    plan += [(rng.choice(shapes), rng.choice(HABITS)) for _ in range(max(0, count - len(plan)))]
    return [one(rng, number, shape, habit, now, tag) for number, (shape, habit) in enumerate(plan[:count])]


def one(rng, number, shape, habit, now, tag):
    digest = hashlib.sha256(f"{tag} {number} {rng.random()}".encode()).hexdigest()
    uid = {
        "apple": f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}".upper(),
        "google": f"{digest[:26]}@google.com",
        "outlook": f"040000008200E00074C5B7101A82E008{digest[:48].upper()}",
        "thunderbird": f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-a{digest[17:20]}-{digest[20:32]}",
    }[habit]
    # Thunderbird and Apple name the file after the UID, others by a number of their own.
    name = f"{uid}.ics" if habit in ("apple", "thunderbird") else f"{digest[32:48]}.ics"
    event = Event(rng, habit, now, uid)
    shape(event)
    return Made(uid, name, f"{habit} {shape.__name__}", event.text())


class Event:
    """A VEVENT being written down, and the overrides that follow it."""

    def __init__(self, rng, habit, now, uid):
        self.rng, self.habit, self.now, self.uid = rng, habit, now, uid
        self.zone_name = rng.choice(["Europe/Berlin", "Europe/Berlin", "Europe/Berlin", *ZONES])
        self.parts = []
        self.zones = set()
        self.title = f"{rng.choice(TOPICS)} {CANARY}"
        self.transparent = False
        self.status = None
        self.my_part = None
        self.out_of_office = False

    # -- times ------------------------------------------------------------------------------------------------------

    def day(self, low=-50, high=100):
        """A day from `low` to `high` days after today."""
        return self.now.date() + dt.timedelta(days=self.rng.randint(low, high))

    def at(self, day, early=7, late=19):
        """A wall-clock time on `day`, at a quarter of an hour."""
        return dt.datetime.combine(day, dt.time(self.rng.randint(early, late), self.rng.choice([0, 0, 15, 30, 45])))

    def length(self):
        return dt.timedelta(minutes=self.rng.choice([15, 30, 30, 45, 60, 60, 90, 120, 180]))

    def stamp(self, name, wall, form):
        """A property line of a time. `form`: zone, utc, floating or date."""
        if form == "date":
            return f"{name};VALUE=DATE:{wall:%Y%m%d}"
        if form == "floating":
            return f"{name}:{wall:%Y%m%dT%H%M%S}"
        if form == "utc":
            return f"{name}:{wall:%Y%m%dT%H%M%S}Z"
        tzid = self.tzid()
        self.zones.add((self.zone_name, tzid))
        quoted = f'"{tzid}"' if self.habit == "outlook" else tzid
        return f"{name};TZID={quoted}:{wall:%Y%m%dT%H%M%S}"

    def tzid(self):
        return ZONES[self.zone_name].windows if self.habit == "outlook" else self.zone_name

    def until(self, wall, form):
        """The value of UNTIL, inclusive: in UTC where the start has a zone (RFC 5545 3.3.10)."""
        if form == "date":
            return f"{wall:%Y%m%d}"
        if form == "floating":
            return f"{wall:%Y%m%dT%H%M%S}"
        zone = ZoneInfo(self.zone_name) if form == "zone" else dt.timezone.utc
        return f"{wall.replace(tzinfo=zone).astimezone(dt.timezone.utc):%Y%m%dT%H%M%S}Z"

    # -- components -------------------------------------------------------------------------------------------------

    def add(self, start, length, form="zone", extra=(), duration=False, instance=None, title=None, status=None):
        """Adds the master, or with `instance` (the time it stands for) an override."""
        lines = [
            "BEGIN:VEVENT",
            f"UID:{self.uid}",
            f"DTSTAMP:{self.now:%Y%m%dT%H%M%SZ}",
            self.stamp("DTSTART", start, form),
        ]
        if instance is not None:
            lines.append(self.stamp("RECURRENCE-ID", instance, form))
        if duration:
            lines.append(f"DURATION:{duration}")
        elif length is not None:
            lines.append(self.stamp("DTEND", start + length, form))
        lines.append(f"SUMMARY:{escape(title or self.title)}")
        lines += extra
        lines += self.habits(status or self.status)
        lines += self.people()
        lines += self.alarms()
        lines.append("END:VEVENT")
        self.parts.append(lines)

    def habits(self, status):
        """What the program adds of its own."""
        lines = [f"TRANSP:{'TRANSPARENT' if self.transparent else 'OPAQUE'}"]
        if status:
            lines.append(f"STATUS:{status}")
        if self.habit == "apple":
            lines += [
                f"CREATED:{self.now:%Y%m%dT%H%M%SZ}",
                "SEQUENCE:0",
                "X-APPLE-CREATOR-IDENTITY:com.apple.mobilecal",
            ]
            if self.rng.random() < 0.3:
                lines += [
                    f"LOCATION:Apfelweg 3\\n10115 Berlin\\, {CANARY}",
                    f'X-APPLE-STRUCTURED-LOCATION;VALUE=URI;X-APPLE-RADIUS=70;X-TITLE="{CANARY}":geo:52.53,13.38',
                ]
        elif self.habit == "google":
            if not status:
                lines.append("STATUS:CONFIRMED")
            lines += [f"CREATED:{self.now:%Y%m%dT%H%M%SZ}", f"LAST-MODIFIED:{self.now:%Y%m%dT%H%M%SZ}", "SEQUENCE:1"]
            lines += [f"DESCRIPTION:{escape(LONG + CANARY)}", f"X-GOOGLE-CONFERENCE:https://meet.example/{CANARY}"]
        elif self.habit == "outlook":
            kind = "TENTATIVE" if status == "TENTATIVE" else "OOF" if self.out_of_office else "BUSY"
            lines += ["CLASS:PUBLIC", "PRIORITY:5", "SEQUENCE:0", f"LOCATION:Room 4.12 {CANARY}"]
            lines.append(f"X-MICROSOFT-CDO-BUSYSTATUS:{'FREE' if self.transparent else kind}")
            lines += [
                "X-MICROSOFT-CDO-IMPORTANCE:1",
                "X-MICROSOFT-DISALLOW-COUNTER:FALSE",
                "X-MS-OLK-AUTOFILLLOCATION:FALSE",
            ]
            lines.append(f'X-ALT-DESC;FMTTYPE=text/html:<html><body><p>{CANARY}\\, "quoted"</p></body></html>')
        else:
            lines += [
                f"CREATED:{self.now:%Y%m%dT%H%M%SZ}",
                f"LAST-MODIFIED:{self.now:%Y%m%dT%H%M%SZ}",
                "X-MOZ-GENERATION:3",
            ]
            if self.rng.random() < 0.3:
                lines += [f"CATEGORIES:Geschäft,{CANARY}", f"DESCRIPTION:{escape(LONG * 12 + CANARY)}"]
        return lines

    def people(self):
        if self.my_part is None:
            return []
        return [
            f"ORGANIZER;CN=Chef Größer:mailto:boss@{CANARY}.example",
            f"ATTENDEE;CUTYPE=INDIVIDUAL;ROLE=REQ-PARTICIPANT;PARTSTAT=ACCEPTED;CN=Chef:mailto:boss@{CANARY}.example",
            f'ATTENDEE;CUTYPE=INDIVIDUAL;ROLE=REQ-PARTICIPANT;PARTSTAT={self.my_part};RSVP=TRUE;CN="Anna, A.":mailto:{ME}',
            f"ATTENDEE;CUTYPE=INDIVIDUAL;ROLE=OPT-PARTICIPANT;PARTSTAT=DECLINED:mailto:c@{CANARY}.example",
        ]

    def alarms(self):
        if self.rng.random() < 0.6:
            return []
        lines = ["BEGIN:VALARM", "ACTION:DISPLAY", f"DESCRIPTION:Reminder {CANARY}", "TRIGGER:-PT15M"]
        if self.habit == "apple":
            lines += [f"UID:{self.uid}-A", f"X-WR-ALARMUID:{self.uid}-A", "X-APPLE-DEFAULT-ALARM:TRUE"]
        return [*lines, "END:VALARM"]

    def text(self):
        head = ["BEGIN:VCALENDAR", "VERSION:2.0", PRODIDS[self.habit]]
        if self.habit in ("apple", "google"):
            head.append("CALSCALE:GREGORIAN")
        zones = [line for name, tzid in sorted(self.zones) for line in vtimezone(name, tzid, self.habit)]
        lines = [*head, *zones, *(line for part in self.parts for line in part), "END:VCALENDAR"]
        return "".join(fold(line) for line in lines)


HABITS = ["apple", "google", "outlook", "thunderbird"]

PRODIDS = {
    "apple": "PRODID:-//Apple Inc.//macOS 15.1//EN",
    "google": "PRODID:-//Google Inc//Google Calendar 70.9054//EN",
    "outlook": "PRODID:-//Microsoft Corporation//Outlook 16.0 MIMEDIR//EN",
    "thunderbird": "PRODID:-//Mozilla.org/NONSGML Mozilla Calendar V1.1//EN",
}


# -- shapes: what stands in calendars -----------------------------------------------------------------------------------


def single(e):
    e.add(e.at(e.day()), e.length())


def single_utc(e):
    e.add(e.at(e.day()), e.length(), form="utc")


def with_duration(e):
    e.add(e.at(e.day()), None, duration="PT1H30M")


def without_length(e):
    e.add(e.at(e.day()), None)


def overnight(e):
    e.add(e.at(e.day(), 20, 22), dt.timedelta(hours=8))


def several_days(e):
    e.add(e.at(e.day()), dt.timedelta(days=2, hours=3))


def floating(e):
    e.add(e.at(e.day()), e.length(), form="floating")


def floating_weekly(e):
    e.add(e.at(e.day(-200, -20)), e.length(), form="floating", extra=["RRULE:FREQ=WEEKLY"])


def all_day(e):
    e.add(e.day(), dt.timedelta(days=1), form="date")


def all_day_week(e):
    e.add(e.day(), dt.timedelta(days=e.rng.randint(2, 9)), form="date")


def all_day_free(e):
    e.transparent = True
    e.add(e.day(), dt.timedelta(days=1), form="date")


def all_day_without_end(e):
    e.add(e.day(), None, form="date")


def birthday(e):
    e.transparent = e.rng.random() < 0.5
    e.add(e.day().replace(year=1984), dt.timedelta(days=1), form="date", extra=["RRULE:FREQ=YEARLY"])


def all_day_weekly_until(e):
    day = e.day(-60, 0)
    extra = [f"RRULE:FREQ=WEEKLY;UNTIL={e.until(day + dt.timedelta(weeks=9), 'date')}"]
    e.add(
        day, dt.timedelta(days=1), form="date", extra=[*extra, e.stamp("EXDATE", day + dt.timedelta(weeks=2), "date")]
    )


def daily_count(e):
    e.add(e.at(e.day(-60, 60)), e.length(), extra=[f"RRULE:FREQ=DAILY;COUNT={e.rng.randint(3, 30)}"])


def weekdays(e):
    e.add(e.at(monday(e.day(-400, -100))), e.length(), extra=["RRULE:FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR"])


def weekly_until(e):
    start = e.at(e.day(-150, 0))
    extra = [f"RRULE:FREQ=WEEKLY;UNTIL={e.until(start + dt.timedelta(weeks=e.rng.randint(8, 25)), 'zone')}"]
    e.add(start, e.length(), extra=extra)


def biweekly_two_days(e):
    e.add(e.at(monday(e.day(-300, 0))), e.length(), extra=["RRULE:FREQ=WEEKLY;INTERVAL=2;WKST=SU;BYDAY=MO,TH"])


def weekly_with_exdates(e):
    start = e.at(e.day(-100, -7))
    gone = [start + dt.timedelta(weeks=w) for w in e.rng.sample(range(2, 25), 3)]
    # Outlook writes all in one line, the others one line each.
    if e.habit == "outlook":
        lines = [e.stamp("EXDATE", gone[0], "zone") + "".join(f",{g:%Y%m%dT%H%M%S}" for g in gone[1:])]
    else:
        lines = [e.stamp("EXDATE", g, "zone") for g in gone]
    e.add(start, e.length(), extra=["RRULE:FREQ=WEEKLY", *lines])


def weekly_with_moved(e):
    start, length = e.at(e.day(-100, -7), 9, 15), e.length()
    e.add(start, length, extra=["RRULE:FREQ=WEEKLY"])
    for week in e.rng.sample(range(1, 25), 2):
        was = start + dt.timedelta(weeks=week)
        e.add(was + dt.timedelta(days=1, hours=2), length * 2, instance=was, title=f"Moved {CANARY}")


def weekly_with_cancelled(e):
    start = e.at(e.day(-100, -7))
    e.add(start, e.length(), extra=["RRULE:FREQ=WEEKLY;COUNT=30"])
    was = start + dt.timedelta(weeks=e.rng.randint(2, 20))
    e.add(was, e.length(), instance=was, status="CANCELLED")


def daily_moved_out_and_in(e):
    """Moved by months: an index that looks at the rule only finds it in the wrong place."""
    start = e.at(e.day(-40, -20))
    e.add(start, e.length(), extra=["RRULE:FREQ=DAILY;COUNT=15"])
    e.add(start + dt.timedelta(days=80, hours=1), e.length(), instance=start + dt.timedelta(days=3))


def monthly_day(e):
    e.add(e.at(e.day(-700, 0).replace(day=15)), e.length(), extra=["RRULE:FREQ=MONTHLY;BYMONTHDAY=15"])


def monthly_31(e):
    e.add(e.at(dt.date(e.now.year - 1, 1, 31)), e.length(), extra=["RRULE:FREQ=MONTHLY"])


def monthly_second_tuesday(e):
    first = dt.date(e.now.year - 1, 3, 8)
    start = first + dt.timedelta(days=(1 - first.weekday()) % 7)
    e.add(e.at(start), e.length(), extra=["RRULE:FREQ=MONTHLY;BYDAY=2TU"])


def monthly_last_workday(e):
    e.add(e.at(dt.date(2025, 1, 31)), e.length(), extra=["RRULE:FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1"])


def quarterly(e):
    e.add(e.at(dt.date(2024, 2, 1)), e.length(), extra=["RRULE:FREQ=MONTHLY;INTERVAL=3;BYMONTHDAY=1,-1"])


def yearly_last_friday(e):
    e.add(e.at(dt.date(2019, 11, 29)), e.length(), extra=["RRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=-1FR"])


def leap_day(e):
    e.add(dt.date(2024, 2, 29), dt.timedelta(days=1), form="date", extra=["RRULE:FREQ=YEARLY"])


def hourly_count(e):
    e.add(e.at(e.day(-30, 60)), dt.timedelta(minutes=10), extra=["RRULE:FREQ=HOURLY;INTERVAL=2;COUNT=5"])


def with_rdates(e):
    start = e.at(e.day(-30, 0))
    more = [start + dt.timedelta(days=d) for d in (5, 12, 40)]
    e.add(start, e.length(), extra=[e.stamp("RDATE", m, "zone") for m in more])


def transparent(e):
    e.transparent = True
    e.add(e.at(e.day()), e.length())


def cancelled(e):
    e.status = "CANCELLED"
    e.add(e.at(e.day()), e.length())


def tentative(e):
    e.status = "TENTATIVE"
    e.add(e.at(e.day()), e.length())


def tentative_weekly(e):
    e.status = "TENTATIVE"
    e.add(e.at(e.day(-60, 0)), e.length(), extra=["RRULE:FREQ=WEEKLY;COUNT=12"])


def out_of_office(e):
    e.out_of_office = True
    e.add(e.at(e.day()), e.length())


def accepted(e):
    e.my_part = "ACCEPTED"
    e.add(e.at(e.day()), e.length())


def declined(e):
    e.my_part = "DECLINED"
    e.add(e.at(e.day()), e.length())


def maybe(e):
    e.my_part = "TENTATIVE"
    e.add(e.at(e.day()), e.length())


def declined_once(e):
    """One instance of an accepted series is declined."""
    e.my_part = "ACCEPTED"
    start, length = e.at(e.day(-60, -7)), e.length()
    e.add(start, length, extra=["RRULE:FREQ=WEEKLY"])
    e.my_part = "DECLINED"
    was = start + dt.timedelta(weeks=e.rng.randint(3, 15))
    e.add(was, length, instance=was)


SHAPES = [
    (single, 30), (single_utc, 5), (with_duration, 2), (without_length, 1), (overnight, 2), (several_days, 1),
    (floating, 1), (floating_weekly, 1), (all_day, 4), (all_day_week, 2), (all_day_free, 3), (all_day_without_end, 1),
    (birthday, 2), (all_day_weekly_until, 1), (daily_count, 2), (weekdays, 2), (weekly_until, 3), (biweekly_two_days, 2),
    (weekly_with_exdates, 2), (weekly_with_moved, 3), (weekly_with_cancelled, 1), (daily_moved_out_and_in, 1),
    (monthly_day, 2), (monthly_31, 1), (monthly_second_tuesday, 1), (monthly_last_workday, 1), (quarterly, 1),
    (yearly_last_friday, 1), (leap_day, 1), (hourly_count, 1), (with_rdates, 1), (transparent, 2), (cancelled, 1),
    (tentative, 2), (tentative_weekly, 1), (out_of_office, 1), (accepted, 4), (declined, 2), (maybe, 2), (declined_once, 1),
]  # fmt: skip


# -- text ---------------------------------------------------------------------------------------------------------------


def monday(day):
    return day - dt.timedelta(days=day.weekday())


def escape(text):
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace(",", "\\,").replace(";", "\\;")


def fold(line):
    """At most 75 octets a line, never inside a character (RFC 5545 3.1)."""
    out, width = [], 0
    for char in line:
        size = len(char.encode())
        if width + size > 74:
            out.append("\r\n ")
            width = 1
        out.append(char)
        width += size
    return "".join(out) + "\r\n"


def vtimezone(name, tzid, habit):
    """As the program writes it: Outlook's begin in 1601, the others' in 1970."""
    zone = ZONES[name]
    year = 1601 if habit == "outlook" else 1970
    lines = ["BEGIN:VTIMEZONE", f"TZID:{tzid}"]
    if habit in ("google", "thunderbird"):
        lines.append(f"X-LIC-LOCATION:{name}")
    if zone.daylight is None:
        return [
            *lines, "BEGIN:STANDARD", f"DTSTART:{year}0101T000000", f"TZOFFSETFROM:{zone.standard}", f"TZOFFSETTO:{zone.standard}",
            "END:STANDARD", "END:VTIMEZONE",
        ]  # fmt: skip
    for kind, before, after, (month, week, hour) in (
        ("DAYLIGHT", zone.standard, zone.daylight, zone.to_daylight),
        ("STANDARD", zone.daylight, zone.standard, zone.to_standard),
    ):
        first = nth_sunday(year, month, week)
        lines += [
            f"BEGIN:{kind}", f"TZOFFSETFROM:{before}", f"TZOFFSETTO:{after}", f"DTSTART:{first:%Y%m%d}T{hour:02}0000".replace(" ", "0"),
            f"RRULE:FREQ=YEARLY;BYMONTH={month};BYDAY={week}", f"END:{kind}",
        ]  # fmt: skip
    return [*lines, "END:VTIMEZONE"]


def nth_sunday(year, month, week):
    """`week`: 1SU, 2SU or -1SU."""
    first = dt.date(year, month, 1)
    sundays = [first + dt.timedelta(days=d) for d in range(31) if (first + dt.timedelta(days=d)).month == month]
    sundays = [d for d in sundays if d.weekday() == 6]
    return sundays[int(week.removesuffix("SU")) - (1 if int(week.removesuffix("SU")) > 0 else 0)]
