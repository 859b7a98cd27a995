"""Desktop programs, as a person installs them, on the unified calendar of a gateway over two real servers.

`make clients-gui`, outside CI: Thunderbird (its window not drawn) and evolution-data-server, which is what GNOME Calendar
and Evolution stand on.  Each adds the account from the bare address, sees the events, creates, edits and deletes one, and
sees what changed on the servers meanwhile.  A line a step; everything ends by itself within five minutes.
Debian: apt-get install thunderbird evolution-data-server gir1.2-ecal-2.0 gir1.2-edataserver-1.2 python3-gi dbus gnome-keyring
"""

import environment

environment.enter(__file__)

import argparse
import pathlib
import shutil
import signal
import sys
from contextlib import ExitStack

import gui_eds
import gui_thunderbird
import leftovers
import suite

PROGRAMS = {"thunderbird": gui_thunderbird, "eds": gui_eds}
LIMIT = 280


class OutOfTime(BaseException):
    """Not an Exception: it must not be taken for a step that failed."""


def out_of_time(*_):
    raise OutOfTime


def one(name, binary, folder, report):
    program, session = PROGRAMS[name], folder / "session"
    with ExitStack() as stack:
        world = suite.World(binary, folder, "1", stack)
        if not report.step(f"{name}: the gateway holds what the servers hold", suite.first_pull, world):
            return
        session.mkdir(mode=0o700)
        stack.callback(leftovers.end, session)
        started = []

        def start():
            started.append(program.start(world, session, stack))
            return started[0].version

        if not report.step(f"{name}: start", start):
            return
        for step in program.STEPS:
            good = report.step(f"{name}: {step.__name__.replace('_', ' ')}", step, world, *started)
            # Without calendars nothing else means anything.
            if not good and step is program.STEPS[0]:
                return


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calgate", type=pathlib.Path, required=True, help="the binary")
    parser.add_argument("--only", nargs="*", default=list(PROGRAMS), choices=list(PROGRAMS), help="programs")
    parser.add_argument("--keep", action="store_true", help="leave the folder with data and logs")
    options = parser.parse_args()
    report = suite.Report()
    with leftovers.run("calgate-gui-") as folder:
        every(options, folder, report)
    print(f"{len(report.failed)} failed" + "".join(f"\n  {name}" for name in report.failed))
    if report.failed or options.keep:
        print(f"data and logs are in {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1 if report.failed else 0)


def every(options, folder, report):
    signal.signal(signal.SIGALRM, out_of_time)
    for name in options.only:
        (folder / name).mkdir()
        signal.alarm(LIMIT)
        try:
            one(name, options.calgate.resolve(), folder / name, report)
        except OutOfTime:
            report.failed.append(f"{name}: not done within {LIMIT} s")
            print(f"FAIL {report.failed[-1]}")
        finally:
            signal.alarm(0)
        report.step(f"{name}: all ended", leftovers.none, folder)


if __name__ == "__main__":
    main()
