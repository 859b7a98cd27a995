"""python icalendar and dateutil beside calgate: the figures that tests/bench/src/bin/ical.rs asks for.

peers.py text FILE...            prints: MB/s of parsing, MB/s of printing
peers.py rule RRULE DTSTART FROM prints: windows a second, instances in 90 days from FROM
"""

import sys
import time
from datetime import datetime, timedelta


def text(names):
    import icalendar

    texts = [open(name, "rb").read() for name in names]
    parsing = printing = 0.0
    read = written = 0
    while parsing + printing < 3:
        for one in texts:
            begun = time.process_time()
            try:
                calendar = icalendar.Calendar.from_ical(one)
            except ValueError:
                continue
            parsing += time.process_time() - begun
            read += len(one)
            begun = time.process_time()
            written += len(calendar.to_ical())
            printing += time.process_time() - begun
            if parsing + printing > 6:
                break
    print(read / parsing / 1e6, written / printing / 1e6)


def rule(rrule, start, begin):
    from dateutil.rrule import rrulestr

    at = lambda text: datetime.strptime(text, "%Y%m%dT%H%M%S")
    first, low = at(start), at(begin)
    high = low + timedelta(days=90)
    windows = 0
    begun = time.process_time()
    while time.process_time() - begun < 1.5:
        found = rrulestr(rrule, dtstart=first).between(low, high, inc=True)
        windows += 1
    print(windows / (time.process_time() - begun), len(found))


if __name__ == "__main__":
    {"text": lambda a: text(a), "rule": lambda a: rule(*a)}[sys.argv[1]](sys.argv[2:])
