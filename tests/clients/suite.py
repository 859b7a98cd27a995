"""Real programs against the real binary.  Begin with `main`; run it by run.py.

Radicale and Xandikos are upstreams of one calgate, vdirsyncer and python-caldav its clients; free/busy is compared with
brute force; then the gateway is killed under writers.  With CALGATE_TEST_POSTGRES set, free/busy and a short crash loop
run on PostgreSQL too.  One line a step; the exit code is 1 when any failed.
"""

import argparse
import datetime as dt
import json
import os
import pathlib
import random
import re
import shutil
import sys
import time
import traceback
from contextlib import ExitStack
from zoneinfo import ZoneInfo

import corpus
import crash
import leftovers
import oracle
import servers
import with_caldav
import with_vdirsyncer
from dav import Dav, canonical, stamp, uid, value

# Where each calendar lives, and how many objects of the corpus it gets.
SLUGS = {"work": "radicale", "travel": "radicale", "home": "xandikos", "family": "xandikos"}
OBJECTS = 320

# What a reader of the logs would take for a fault of ours, and is none.  One line, one reason.
DEVIATIONS = [
    (
        "xandikos",
        "takes any password",
        "it does Basic authentication over TLS only; the gateway sends its password anyway",
    ),
    ("radicale, xandikos", "give back other bytes than were put", "both print objects anew: compared are sorted lines"),
    ("radicale", "cuts X-APPLE-STRUCTURED-LOCATION at the comma", "it takes the URI for a list"),
    ("radicale, xandikos", "a PUT through the gateway has no ETag", "GET would not give the bytes that were put"),
    ("vdirsyncer", "loads an object again that it has put", "it was given no ETag, see above"),
    ("vdirsyncer", "lists everything at each sync", "it knows no sync-collection"),
    ("vdirsyncer", with_vdirsyncer.HARMLESS, "said when there is an etag: the condition is the wrong way round"),
    ("python-caldav", "counts SEQUENCE up when it puts", "so that attendees' clients see the change"),
    (
        "recurring-ical-events",
        "the corpus has no series that spans the hours of a clock change",
        "it adds wall-clock time, where RFC 5545 3.8.5.3 has the exact length of DTEND",
    ),
]


class World:
    """Both upstreams, filled, and one gateway over them."""

    def __init__(self, binary, folder, seed, stack, storage=None, objects=OBJECTS, interval="2s"):
        self.seed, self.zone, self.me = seed, ZoneInfo(servers.ZONE), corpus.ME
        now = dt.datetime.now(dt.timezone.utc).replace(microsecond=0)
        # 120 days, begun 30 days ago.
        self.start = now.replace(hour=0, minute=0, second=0) - dt.timedelta(days=30)
        self.end = self.start + dt.timedelta(days=120)
        self.rng = random.Random(f"{seed} choices")
        self.now, self.used, self.write_to = now, set(), next(iter(SLUGS))
        self.upstreams = servers.Upstreams(folder, SLUGS, stack)
        self.made = fill(self.upstreams, seed, objects, now)
        self.shapes = {one.uid: one.shape for every in self.made.values() for one in every}
        self.gateway = servers.Gateway(binary, folder, self.upstreams, storage, self.write_to, interval)
        stack.callback(self.gateway.stop)
        self.folder = with_vdirsyncer.Folder(folder, self.gateway)

    # -- what is upstream, asked there --------------------------------------------------------------------------------

    def upstream_objects(self):
        """{UID: (slug, href, text)} of both servers."""
        found = {}
        for slug in SLUGS:
            client, path = self.upstreams.open(slug)
            for href, text in client.bodies(path).items():
                assert uid(text) not in found, f"{uid(text)} is upstream twice: {href} and {found[uid(text)][1]}"
                found[uid(text)] = (slug, href, text)
        return found

    def upstream_texts(self):
        return [text for _, _, text in self.upstream_objects().values()]

    def upstream_text(self, key, slug):
        place = self.upstream_objects().get(key)
        assert place, f"{key} is on no server"
        assert place[0] == slug, f"{key} is in {place[0]}, not in {slug}"
        return place[2]

    def upstream_href(self, key, slug):
        self.upstream_text(key, slug)
        return self.upstream_objects()[key][1]

    def expect_upstream(self, key, slug, text):
        def there():
            held = self.upstream_text(key, slug)
            lost = set(canonical(text).splitlines()) ^ set(canonical(held).splitlines())
            assert not lost, f"{key} arrived in {slug} otherwise than it was sent: {sorted(lost)}"

        servers.eventually(f"{key} upstream", there, 30)

    def expect_gone(self, key):
        def gone():
            assert key not in self.upstream_objects(), f"{key} is still upstream"

        servers.eventually(f"{key} gone", gone, 30)

    # -- what to try things on ------------------------------------------------------------------------------------------

    def fresh(self, tag):
        """A new object that nobody has seen; Thunderbird's, because Radicale and python-caldav alter the others'."""
        return corpus.one(random.Random(f"{self.seed} {tag}"), 0, corpus.single, "thunderbird", self.now, tag)

    def one_of_each_server(self):
        return [next(s for s in SLUGS if SLUGS[s] == server) for server in ("radicale", "xandikos")]

    def take(self, slug, shape):
        """The UID of an untouched object of that shape in that calendar."""
        free = [m.uid for m in self.made[slug] if m.shape.split()[1] == shape and m.uid not in self.used]
        # A seed may give a calendar none of a rarer shape.
        free = free or [m.uid for m in self.made[slug] if m.shape.split()[1] == "single" and m.uid not in self.used]
        assert free, f"no {shape} is left in {slug}"
        chosen = self.rng.choice(free)
        self.used.add(chosen)
        return chosen

    def name_shapes(self, uids):
        return [f"{key} ({self.shapes.get(key, 'unknown')})" for key in sorted(uids)[:6]]

    def change_upstream(self, tag):
        """Creates, edits and deletes one object on each server; ({UID: title} of the first two, [UIDs] of the third)."""
        wanted, gone = {}, []
        for slug in self.one_of_each_server():
            client, path = self.upstreams.open(slug)
            made = self.fresh(f"{tag}-upstream-{slug}")
            client.expect([201], "PUT", path + made.name, made.text, Content_Type="text/calendar")
            wanted[made.uid] = value(made.text, "SUMMARY")
            changed, removed = self.take(slug, "single"), self.take(slug, "single")
            href, text = self.upstream_href(changed, slug), self.upstream_text(changed, slug)
            title = f"Upstream edit of {corpus.CANARY}"
            after = text.replace(f"SUMMARY:{value(text, 'SUMMARY')}", f"SUMMARY:{title}")
            assert after != text, f"no SUMMARY to edit in {text}"
            client.expect([200, 201, 204], "PUT", href, after, Content_Type="text/calendar")
            wanted[changed] = title
            client.expect([200, 204], "DELETE", self.upstream_href(removed, slug))
            gone.append(removed)
        self.gateway.run("sync")
        return wanted, gone

    def requests(self):
        """`METHOD path status` of each request that the gateway has logged."""
        log = self.gateway.log.read_text(errors="replace")
        return re.findall(r"web::server: ([A-Z]+ \S+ \d+)", log)

    # -- comparisons ------------------------------------------------------------------------------------------------------

    def compare_unified(self):
        """The unified calendar holds every object of both servers once, and says of each what the server says."""
        held = {}
        client = self.gateway.client()
        for href, text in client.bodies(self.gateway.path("all")).items():
            assert uid(text) not in held, f"{uid(text)} is twice in the unified calendar: {href}"
            held[uid(text)] = text
        self.compare("the unified calendar", held)
        return len(held)

    def compare_folder(self):
        self.compare("the folder", {key: text for key, (_, text) in self.folder.by_uid().items()})

    def compare(self, name, held):
        wanted = {key: text for key, (_, _, text) in self.upstream_objects().items()}
        missing, more = set(wanted) - set(held), set(held) - set(wanted)
        assert not missing and not more, (
            f"{name} misses {self.name_shapes(missing)} and has too many {self.name_shapes(more)}"
        )
        for key, text in wanted.items():
            other = set(canonical(text).splitlines()) ^ set(canonical(held[key]).splitlines())
            assert not other, f"{name} has {self.name_shapes([key])} otherwise than the server: {sorted(other)[:6]}"

    def stretches(self, texts):
        return oracle.stretches(texts, self.start, self.end, self.zone, self.me)

    def compare_freebusy(self, name, answer, texts):
        """How many minutes are taken, of how many."""
        return self.compare_grids(name, oracle.paint(answer, self.start, self.end), texts)

    def compare_grids(self, name, got, texts):
        found = self.stretches(texts)
        expected = oracle.grid(found, self.start, self.end)
        lines = oracle.differences(expected, got, found, self.start, self.shapes)
        assert not lines, "\n      ".join([f"{name} differs in {len(lines)} stretches:", *lines[:20]])
        return sum(1 for cell in expected if cell), len(expected)


def fill(upstreams, seed, count, now):
    """Puts the corpus on the servers, dealt out at random; {slug: [Made]}."""
    every = corpus.objects(seed, count, now, "corpus")
    random.Random(seed).shuffle(every)
    slugs = list(upstreams.where)
    made = {slug: every[number :: len(slugs)] for number, slug in enumerate(slugs)}
    for slug, objects in made.items():
        client, path = upstreams.open(slug)
        for one in objects:
            client.expect([201], "PUT", path + one.name, one.text, Content_Type="text/calendar; charset=utf-8")
    return made


# -- steps that need no client ------------------------------------------------------------------------------------------


def first_pull(world):
    """The gateway takes in everything the servers have, without being asked."""
    count = servers.eventually("the first pull", world.compare_unified, 60)
    assert count == sum(len(every) for every in world.made.values())
    return f"{count} objects of {len(SLUGS)} calendars on two servers"


def idle_pull(world):
    """Pulling when nothing has changed changes no sync token."""
    client = world.gateway.client()
    slugs = [*SLUGS, "all"]
    before = {slug: client.token(world.gateway.path(slug)) for slug in slugs}
    world.gateway.run("sync")
    after = {slug: client.token(world.gateway.path(slug)) for slug in slugs}
    assert before == after, f"the tokens moved: {before} to {after}"
    return "no token moved"


def time_ranges(world):
    """calendar-query selects, for each of 120 days and each calendar, what brute force selects."""
    client, asked, hits = world.gateway.client(), 0, 0
    everything = world.upstream_objects()
    for slug in [*SLUGS, "all"]:
        texts = [text for home, _, text in everything.values() if slug in (home, "all")]
        found = world.stretches(texts)
        hrefs = {href: uid(text) for href, text in client.bodies(world.gateway.path(slug)).items()}
        for day in range((world.end - world.start).days):
            low = world.start + dt.timedelta(days=day)
            high = low + dt.timedelta(days=1)
            wanted = {key for key, every in found.items() if any(oracle.touches(f, l, low, high) for f, l, _ in every)}
            got = {hrefs[href] for href in client.in_window(world.gateway.path(slug), low, high)}
            asked, hits = asked + 1, hits + len(got)
            assert got == wanted, (
                f"{slug}, {stamp(low)} to {stamp(high)}: missing {world.name_shapes(wanted - got)}, too many {world.name_shapes(got - wanted)}"
            )
    return f"{asked} days, {hits} hits"


def freebusy(world):
    """Free/busy of each calendar, of all together by REPORT, and of the feed, minute by minute."""
    client = world.gateway.client()
    everything = world.upstream_objects()
    for slug in SLUGS:
        texts = [text for home, _, text in everything.values() if home == slug]
        world.compare_freebusy(
            f"free/busy of {slug}", client.freebusy(world.gateway.path(slug), world.start, world.end), texts
        )
    texts = [text for _, _, text in everything.values()]
    answer = client.freebusy(world.gateway.path("all"), world.start, world.end)
    busy, all_minutes = world.compare_freebusy("free/busy of all", answer, texts)
    for kind, form in (("freebusy", "ifb"), ("busy", "ifb"), ("full", "ifb"), ("busy", "ics"), ("full", "ics")):
        feed = world.gateway.feed(kind, form, world.start, world.end)
        assert feed.status == 200, f"the {kind} feed as .{form} gave {feed}"
        if form == "ifb":
            world.compare_freebusy(f"the {kind} feed as .{form}", feed.body, texts)
        else:
            # Events this time: what a calendar makes of them must be the same time.
            shown = oracle.grid(world.stretches([feed.body]), world.start, world.end)
            world.compare_grids(f"the {kind} feed as .{form}", shown, texts)
        assert kind == "full" or corpus.CANARY not in feed.body.replace("\r\n ", "").replace(corpus.ME, ""), f"the {kind} feed as .{form} says more than busy"
        again = world.gateway.feed(kind, form, world.start, world.end, If_None_Match=feed.headers["etag"])
        assert again.status == 304, f"the {kind} feed as .{form} with its own ETag gave {again}"
    nothing = world.gateway.feed("freebusy", "ics", world.start, world.end)
    assert nothing.status == 404, f"a feed of busy times gave events: {nothing}"
    return f"{busy} of {all_minutes} minutes taken; {len(SLUGS)} calendars, REPORT and feeds equal to brute force"


def app_password(world):
    """A password made by command opens the calendar, and one that is wrong does not."""
    made = json.loads(world.gateway.run("app-password", "add", servers.USER, "--label", "phone", "--json"))
    secret = next(v for k, v in made.items() if k in ("password", "secret"))
    servers.SECRETS.append(secret)
    for password, wanted in ((secret, 207), (secret[:-1] + "0", 401), ("wrong", 401)):
        answer = Dav(world.gateway.address, servers.USER, password).send(
            "PROPFIND", world.gateway.path("all"), Depth="0"
        )
        assert answer.status == wanted, f"{answer.status}, not {wanted}"
    return "made, used; wrong ones refused"


def upstream_away(world):
    """With one server gone, reading goes on, a write to it is kept and arrives when the server is back."""
    server = world.upstreams.radicale
    server.stop()
    client, made = world.gateway.client(), world.fresh("while-away")
    path = world.gateway.path("all") + made.name
    answer = client.put(path, made.text)
    assert answer.status == 201, f"a PUT while the server is away gave {answer}"
    held = client.send("GET", path)
    assert held.status == 200 and canonical(held.body) == canonical(made.text), (
        f"it was acknowledged, and GET gives {held}"
    )
    world.gateway.run("sync", wanted=(0, 1))
    assert len(client.bodies(world.gateway.path("work"))) > 1, "objects vanished because their server was away"
    server.start()
    world.gateway.run("sync", wanted=(0, 1))
    world.expect_upstream(made.uid, world.write_to, made.text)
    servers.eventually("all equal again", world.compare_unified, 30)
    return "kept here, and sent later"


def reload(world):
    """`calgate reload` moves no sync token, and a wrong file is refused."""
    client = world.gateway.client()
    before = client.token(world.gateway.path("all"))
    good = world.gateway.config.read_text()
    world.gateway.config.write_text(good.replace('name = "notes"', 'name = "notes"\ndisplay_name = "Notes and all"'))
    world.gateway.run("reload")

    def renamed():
        name = client.propfind(world.gateway.path("notes"), 0, "<displayname/>")[0].findtext(".//{DAV:}displayname")
        assert name == "Notes and all", f"the calendar's name is {name}"

    servers.eventually("the reload", renamed, 10)
    world.gateway.config.write_text(good.replace("members =", "memebers ="))
    world.gateway.run("reload", wanted=(1,))
    world.gateway.config.write_text(good)
    world.gateway.run("reload")
    assert client.token(world.gateway.path("all")) == before, "the token moved"
    return "taken, refused, and the token stayed"


def ends_well(world):
    """SIGTERM ends the gateway with code 0."""
    code = world.gateway.stop()
    assert code == 0, f"it ended with {code}"
    return "exit code 0"


def secrets(world):
    """The gateway's logs, at debug, hold no password, token, title, place or address."""
    log = world.gateway.log.read_text(errors="replace")
    assert len(log) > 1000, f"only {len(log)} characters were logged at debug"
    for secret in [*servers.SECRETS, corpus.CANARY]:
        lines = [line for line in log.splitlines() if secret in line]
        assert not lines, f"{secret!r} stands in {len(lines)} lines of the log, first in: {lines[0][:400]}"
    return f"nothing in {len(log.splitlines())} lines"


# -- runs ---------------------------------------------------------------------------------------------------------------


class Report:
    """Says each step's result when it is known, and remembers whether any failed."""

    def __init__(self):
        self.failed = []

    def step(self, name, function, *arguments):
        began, good = time.monotonic(), True
        try:
            result = function(*arguments)
        except Exception as why:
            good = False
            self.failed.append(name)
            result = "".join(traceback.format_exception_only(why)).strip()
            if not isinstance(why, AssertionError):
                result += "\n" + "".join(traceback.format_tb(why.__traceback__)[-4:])
        print(
            f"{'ok  ' if good else 'FAIL'} {name} ({time.monotonic() - began:.1f} s): {result}",
            flush=True,
        )
        return good


def everything(report, options, folder, name, steps, **world):
    """A world, and the steps in it; the tails of its logs when a step failed."""
    folder = folder / name
    folder.mkdir()
    before = len(report.failed)
    with ExitStack() as stack:
        built = []
        if report.step(
            f"{name}: start", lambda: built.append(World(options.calgate, folder, options.seed, stack, **world)) or "up"
        ):
            # Without the first pull nothing else means anything.
            for number, step in enumerate(steps):
                if not report.step(label(name, step), step, *built) and number == 0:
                    break
    if len(report.failed) > before:
        for log in sorted(folder.glob("*.log")):
            print(f"---- {log}\n{servers.tail(log)}")


def label(name, step):
    """`clients: vdirsyncer create`; the steps of this file have no program's name."""
    program = step.__module__.removeprefix("with_")
    return f"{name}: {'' if program == '__main__' else program + ' '}{step.__name__}"


def crash_loop(rounds):
    def kills(world):
        """The gateway is killed under writers, again and again."""
        before = {slug: {} for slug in SLUGS}
        for key, (slug, _, text) in world.upstream_objects().items():
            before[slug][key] = text
        slugs = ["all", world.write_to, "home", "notes"]
        return crash.loop(world.gateway, world.upstreams, slugs, world.seed, rounds, before)

    kills.__module__ = "crash"
    return kills


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calgate", type=pathlib.Path, required=True, help="the binary")
    parser.add_argument("--seed", default="1", help="of the corpus, the choices and the moments of the kills")
    parser.add_argument("--rounds", type=int, default=20, help="kills of the crash loop")
    parser.add_argument("--only", nargs="*", default=["clients", "crash", "postgres"], help="clients, crash, postgres")
    parser.add_argument("--keep", action="store_true", help="leave the folder with data and logs")
    options = parser.parse_args()
    options.calgate = options.calgate.resolve()
    report = Report()
    with leftovers.run("calgate-clients-") as folder:
        run(report, options, folder)
    for who, what, why in DEVIATIONS:
        print(f"known: {who}: {what} ({why})")
    print(f"{len(report.failed)} failed" + "".join(f"\n  {name}" for name in report.failed))
    if report.failed or options.keep:
        print(f"data and logs are in {folder}")
    else:
        shutil.rmtree(folder)
    sys.exit(1 if report.failed else 0)


def run(report, options, folder):
    postgres = os.environ.get("CALGATE_TEST_POSTGRES")
    print(f"folder {folder}, seed {options.seed}")
    checks = [time_ranges, freebusy]
    if "clients" in options.only:
        steps = [
            first_pull,
            idle_pull,
            *checks,
            app_password,
            *with_vdirsyncer.STEPS,
            *with_caldav.STEPS,
            upstream_away,
            reload,
        ]
        everything(report, options, folder, "clients", [*steps, *checks, ends_well, secrets])
    if "crash" in options.only:
        everything(
            report, options, folder, "crash", [first_pull, crash_loop(options.rounds), ends_well, secrets], objects=40
        )
    if "postgres" in options.only and postgres:
        with servers.database(postgres) as url:
            everything(
                report, options, folder, "postgres", [first_pull, idle_pull, *checks, ends_well, secrets], storage=url
            )
        with servers.database(postgres) as url:
            short = max(1, options.rounds // 4)
            everything(
                report,
                options,
                folder,
                "postgres-crash",
                [first_pull, crash_loop(short), ends_well, secrets],
                storage=url,
                objects=40,
            )
    elif "postgres" in options.only:
        print("skipped: no PostgreSQL (CALGATE_TEST_POSTGRES is not set)")
    report.step("all ended", leftovers.none, folder)


if __name__ == "__main__":
    main()
