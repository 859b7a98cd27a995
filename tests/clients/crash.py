"""kill -9 of the gateway under writing clients.

Each writer keeps a ledger of its own objects: what was acknowledged, and what was sent since without an answer.  After
each restart every object must be what was acknowledged or one of the later unanswered ones; at the end the servers hold
each object exactly once, and no deleted one.
"""

import http.client
import random
import threading
import time

from corpus import CANARY
from dav import NotSent, canonical, uid
from servers import eventually

WRITERS = 4
LIVE = 12  # objects a writer keeps alive at most
ROUND = 15  # seconds a round may take

GONE = None


class Entry:
    """One object of one writer.  `now`: the acknowledged text, GONE after a delete; `maybe`: sent and never answered."""

    def __init__(self, slug, path, key):
        self.slug, self.path, self.key, self.now, self.maybe, self.etag = slug, path, key, GONE, [], None


class Writer(threading.Thread):
    """Creates, edits and deletes without pause, and parks when it is told to or when the server is gone."""

    def __init__(self, number, seed, gateway, slugs):
        super().__init__(daemon=True)
        self.number, self.rng, self.gateway, self.slugs = number, random.Random(f"{seed} {number}"), gateway, slugs
        self.entries, self.acknowledged, self.unanswered, self.refused, self.serial = [], 0, 0, 0, 0
        self.go, self.parked, self.end, self.fault = threading.Event(), threading.Event(), False, None

    def run(self):
        client = self.gateway.client(timeout=30)
        try:
            while True:
                if not self.go.is_set():
                    client.close()
                    self.parked.set()
                    self.go.wait()
                    self.parked.clear()
                if self.end:
                    return
                self.step(client)
        except BaseException as why:  # said by the main thread: a writer that died must not look like a quiet one
            self.fault = why
            self.parked.set()

    def step(self, client):
        live = [e for e in self.entries if e.now is not GONE and not e.maybe]
        kind = self.rng.choice(["create", "edit", "edit", "delete"]) if live else "create"
        if kind == "create" and len(live) >= LIVE:
            kind = "delete"
        if kind == "create":
            slug = self.rng.choice(self.slugs)
            self.serial += 1
            key = f"crash-{self.number}-{self.serial}-{self.rng.getrandbits(32):08x}"
            entry = Entry(slug, self.gateway.path(slug) + key + ".ics", key)
            self.entries.append(entry)
            self.send(client, entry, self.text(key), If_None_Match="*")
        elif kind == "edit":
            entry = self.rng.choice(live)
            condition = {"If_Match": entry.etag} if entry.etag and self.rng.random() < 0.5 else {}
            self.send(client, entry, self.text(entry.key), **condition)
        else:
            self.send(client, self.rng.choice(live), GONE)

    def send(self, client, entry, text, **condition):
        entry.maybe.append(text)
        try:
            if text is GONE:
                answer = client.send("DELETE", entry.path)
            else:
                answer = client.put(entry.path, text, **condition)
        except NotSent:
            entry.maybe.pop()
            time.sleep(0.02)
            return
        except (OSError, http.client.HTTPException):
            self.unanswered += 1
            return
        if 200 <= answer.status < 300:
            entry.now, entry.maybe, entry.etag = text, [], answer.headers.get("etag")
            self.acknowledged += 1
        elif answer.status == 412 and condition.get("If_Match"):
            # The upstream printed it anew, so the etag we knew is old: rightly refused.
            entry.maybe.pop()
            entry.etag = None
            self.refused += 1
        elif answer.status == 503:
            entry.maybe.pop()
            self.refused += 1
        else:
            raise AssertionError(f"{'DELETE' if text is GONE else 'PUT'} {entry.path} {condition} gave {answer}")

    def text(self, key):
        self.serial += 1
        day = 1 + self.rng.randrange(28)
        return "\r\n".join(
            [
                "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//calgate//crash test//EN", "BEGIN:VEVENT", f"UID:{key}",
                "DTSTAMP:20261101T000000Z", f"DTSTART:202612{day:02}T{self.rng.randrange(24):02}0000Z", "DURATION:PT1H",
                f"SUMMARY:{CANARY} {self.number}.{self.serial}", f"X-CRASH:{self.rng.getrandbits(64):016x}", "END:VEVENT", "END:VCALENDAR", "",
            ]
        )  # fmt: skip


def loop(gateway, upstreams, slugs, seed, rounds, before):
    """Runs the rounds and the reckoning.  `slugs`: where to write; `before`: {slug: {UID: text}} of the upstreams."""
    rng = random.Random(f"{seed} moments")
    writers = [Writer(number, seed, gateway, slugs) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    try:
        for number in range(rounds):
            began = time.monotonic()
            resume(writers)
            time.sleep(rng.uniform(0.2, 2.5))
            gateway.kill()
            park(writers)
            gateway.start(patience=ROUND)
            verify(gateway, writers, f"after kill {number + 1}")
            took = time.monotonic() - began
            assert took <= ROUND, f"round {number + 1} took {took:.1f} s"
    finally:
        for writer in writers:
            writer.end = True
            writer.go.set()
        for writer in writers:
            writer.join(60)
    reckon(gateway, upstreams, writers, before)
    done, open_, refused = (
        sum(getattr(w, name) for w in writers) for name in ("acknowledged", "unanswered", "refused")
    )
    assert done >= rounds * WRITERS, f"only {done} writes were acknowledged in {rounds} rounds: this proves little"
    return f"{rounds} kills, {done} writes acknowledged, {open_} cut off, {refused} refused"


def resume(writers):
    for writer in writers:
        writer.parked.clear()
        writer.go.set()


def park(writers):
    for writer in writers:
        writer.go.clear()
    for writer in writers:
        assert writer.parked.wait(60), f"writer {writer.number} hangs"
        if writer.fault:
            raise writer.fault


def verify(gateway, writers, when):
    """Every object is what was acknowledged or later; what is seen is from now on what counts."""
    entries = [entry for writer in writers for entry in writer.entries]
    client = gateway.client()
    for slug in sorted({entry.slug for entry in entries}):
        held = client.bodies(gateway.path(slug))
        for entry in (e for e in entries if e.slug == slug):
            seen = held.get(entry.path)
            allowed = [entry.now, *entry.maybe]
            match = next((text for text in allowed if same(seen, text)), "none")
            assert match != "none", (
                f"{when}, {entry.path} is {brief(seen)}; acknowledged was {brief(entry.now)}, sent since: {[brief(t) for t in entry.maybe]}"
            )
            entry.now, entry.maybe, entry.etag = match, [], None


def reckon(gateway, upstreams, writers, before):
    """After quiet: gateway and servers agree; each created UID is on the servers exactly once, no deleted one is."""
    for writer in writers:
        if writer.fault:
            raise writer.fault
    verify(gateway, writers, "at the end")
    entries = {entry.key: entry for writer in writers for entry in writer.entries}

    def settled():
        seen = {}
        for slug in upstreams.where:
            client, path = upstreams.open(slug)
            for href, text in client.bodies(path).items():
                seen.setdefault(uid(text), []).append((slug, href, text))
        twice = {key: [href for _, href, _ in places] for key, places in seen.items() if len(places) > 1}
        assert not twice, f"twice upstream: {twice}"
        for key, entry in entries.items():
            local = entry.slug == "notes"
            if entry.now is GONE or local:
                assert key not in seen, (
                    f"{key} was {'local' if local else 'deleted'} and is upstream: {seen[key][0][:2]}"
                )
            else:
                assert key in seen, f"{key}, acknowledged in {entry.slug}, is on no server"
                assert same(seen[key][0][2], entry.now), (
                    f"{key} upstream is {brief(seen[key][0][2])}, not {brief(entry.now)}"
                )
        others = {key: text for every in before.values() for key, text in every.items()}
        strange = set(seen) - set(entries) - set(others)
        assert not strange, f"nobody made these: {sorted(strange)[:5]}"
        for key, text in others.items():
            assert key in seen, f"{key} was there before and is not upstream any more"
            assert same(seen[key][0][2], text), f"{key} was there before, nobody wrote it, and it has changed"

    eventually("quiet", settled, 90)
    # What was quiet upstream must still be what the gateway shows.
    gateway.run("sync")
    verify(gateway, writers, "after the last pull")


def same(seen, text):
    if seen is None or text is None:
        return seen is text
    return canonical(seen) == canonical(text)


def brief(text):
    if text is None:
        return "not there"
    return next((line for line in text.splitlines() if line.startswith("SUMMARY")), text[:80])
