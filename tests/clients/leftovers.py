"""What a run has started ends with it, however the run ends; kill -9 alone leaves something behind.

Whatever a run starts has the run's folder in its environment, and so has what that starts in its turn: the services of a
session bus, for instance, which have no parent any more.  It is ended by its process id, never by name.
"""

import os
import pathlib
import signal
import tempfile
import time
from contextlib import contextmanager


@contextmanager
def run(prefix):
    """A fresh folder for a run.  Ctrl-C, SIGTERM and a lost terminal all unwind it, and it leaves no process behind."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix=prefix))
    os.environ["CALGATE_CLIENTS_RUN"] = f"{folder}/"
    for asked in (signal.SIGTERM, signal.SIGHUP):
        # Under nohup the second is not listened to.
        if signal.getsignal(asked) is not signal.SIG_IGN:
            signal.signal(asked, signal.default_int_handler)
    try:
        yield folder
    finally:
        end(folder)


def left(folder):
    """Processes that have a path below `folder` in their environment: {pid: name}."""
    found = {}
    for place in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if place.name != str(os.getpid()) and f"={folder}/".encode() in (place / "environ").read_bytes():
                found[int(place.name)] = (place / "comm").read_text().strip()
        except OSError:
            continue
    return found


def end(folder):
    """SIGTERM, and SIGKILL for whoever does not end in 10 s."""
    for last in (signal.SIGTERM, signal.SIGKILL):
        asked, give_up = set(), time.monotonic() + 10
        while (running := set(left(folder))) and time.monotonic() < give_up:
            # Those that were started meanwhile, too.
            for pid in running - asked:
                try:
                    os.kill(pid, last)
                except ProcessLookupError:
                    pass
            asked |= running
            time.sleep(0.1)


def none(folder):
    """A step: everything has ended by itself."""
    running = left(folder)
    assert not running, f"still running: {running}"
    return "nothing is left running"
