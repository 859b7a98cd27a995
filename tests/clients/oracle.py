"""The free/busy that must come out: every event expanded by `recurring-ical-events`, painted minute by minute.

Nothing here is clever, and nothing is shared with the gateway.
"""

import datetime as dt

import icalendar
import recurring_ical_events

FREE, TENTATIVE, BUSY, UNAVAILABLE = 0, 1, 2, 3
NAMES = ["free", "tentative", "busy", "unavailable"]
MINUTE = dt.timedelta(minutes=1)


def stretches(texts, start, end, zone, me):
    """{UID: [(first, last, kind)]} of every instance that touches the window, free ones too; half-open, in UTC.

    Floating and all-day times are read in `zone`; `me` is the address whose PARTSTAT counts.
    """
    found = {}
    for text in texts:
        # A zone is what this text says: by itself icalendar goes on with what another text said under the same name.
        icalendar.use_zoneinfo()
        calendar = icalendar.Calendar.from_ical(text)
        # Two days more on each side: all-day and floating times are asked for without a zone.
        for event in recurring_ical_events.of(calendar).between(
            start - dt.timedelta(days=2), end + dt.timedelta(days=2)
        ):
            first, last = instants(event, zone)
            if touches(first, last, start, end):
                found.setdefault(str(event["UID"]), []).append((first, last, busy(event, me)))
    return found


def touches(first, last, start, end):
    """RFC 4791 9.9: an instance without length counts when it begins inside."""
    return start <= first < end if first == last else first < end and last > start


def grid(found, start, end):
    """One number a minute from `start` to `end`: the strongest kind of all stretches."""
    cells = bytearray(int((end - start) / MINUTE))
    for first, last, kind in (stretch for every in found.values() for stretch in every):
        low, high = max(0, int((first - start) // MINUTE)), min(len(cells), -int((start - last) // MINUTE))
        if low < high:
            cells[low:high] = bytes(max(old, kind) for old in cells[low:high])
    return cells


def busy(event, me):
    """What an instance does to the time of the person with the address `me`."""
    mine = [a for a in many(event.get("ATTENDEE")) if str(a).lower() == f"mailto:{me}"]
    part = mine[0].params.get("PARTSTAT", "NEEDS-ACTION").upper() if mine else "ACCEPTED"
    microsoft = str(event.get("X-MICROSOFT-CDO-BUSYSTATUS", "")).upper()
    status = str(event.get("STATUS", "")).upper()
    if str(event.get("TRANSP", "OPAQUE")).upper() == "TRANSPARENT" or status == "CANCELLED" or part == "DECLINED":
        return FREE
    if status == "TENTATIVE" or part == "TENTATIVE" or microsoft == "TENTATIVE":
        return TENTATIVE
    return UNAVAILABLE if microsoft == "OOF" else BUSY


def instants(event, zone):
    """First and last instant, half-open."""
    first = event["DTSTART"].dt
    whole_day = not isinstance(first, dt.datetime)
    last = event["DTEND"].dt if "DTEND" in event else first + (dt.timedelta(days=1) if whole_day else dt.timedelta(0))
    return aware(first, zone), aware(last, zone)


def aware(value, zone):
    if not isinstance(value, dt.datetime):
        value = dt.datetime.combine(value, dt.time())
    if value.tzinfo is None:
        value = value.replace(tzinfo=zone)
    return value.astimezone(dt.timezone.utc)


def many(value):
    return [] if value is None else value if isinstance(value, list) else [value]


def paint(freebusy_text, start, end):
    """The same grid from the gateway's VFREEBUSY."""
    cells = bytearray(int((end - start) / MINUTE))
    calendar = icalendar.Calendar.from_ical(freebusy_text)
    parts = [part for part in calendar.subcomponents if part.name == "VFREEBUSY"]
    assert len(parts) == 1, f"{len(parts)} VFREEBUSY in the answer, not one"
    kinds = {"FREE": FREE, "BUSY-TENTATIVE": TENTATIVE, "BUSY": BUSY, "BUSY-UNAVAILABLE": UNAVAILABLE}
    for line in many(parts[0].get("FREEBUSY")):
        kind = kinds[line.params["FBTYPE"]]
        for period in line if isinstance(line, list) else [line]:
            first, last = period.start, period.end
            assert start <= first < last <= end, (
                f"the period {first} to {last} is not inside the window that was asked for"
            )
            low, high = int((first - start) // MINUTE), -int((start - last) // MINUTE)
            cells[low:high] = bytes(max(old, kind) for old in cells[low:high])
    return cells


def differences(expected, got, found, start, shapes):
    """Every stretch in which the two grids differ, in words, with the UIDs that are to blame or stand nearby."""
    lines, at = [], 0
    while at < len(expected):
        if expected[at] == got[at]:
            at += 1
            continue
        end = at
        while end < len(expected) and (expected[end], got[end]) == (expected[at], got[at]):
            end += 1
        first, last = start + at * MINUTE, start + end * MINUTE
        near = dt.timedelta(0) if expected[at] else dt.timedelta(days=1)
        blamed = [
            f"{uid} ({shapes.get(uid, 'unknown')})"
            for uid, every in found.items()
            if any(f < last + near and first < l + near for f, l, _ in every)
        ]
        lines.append(
            f"{first:%Y-%m-%dT%H:%MZ} for {end - at} min: expected {NAMES[expected[at]]}, got {NAMES[got[at]]};"
            f" {'nearby' if near else 'by'} {', '.join(blamed[:6]) or 'no event'}"
        )
        at = end
    return lines
