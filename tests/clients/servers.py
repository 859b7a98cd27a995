"""Radicale, Xandikos, calgate and PostgreSQL databases, started for a test and ended after it.

Each server has a folder and a log of its own below the run's folder, listens on a free loopback port, and is ended by
its process id, never by name.
"""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from contextlib import contextmanager

from corpus import ME
from dav import Dav

BIN = pathlib.Path(sys.executable).parent
USER = "anna"
# Each secret is long and odd enough that finding it in a log is no accident.
PASSWORD = "kUchen-und-Tee-9241"
RADICALE_PASSWORD = "zwiebel-Ring-5521"
XANDIKOS_PASSWORD = "laternen-Pfahl-8837"
# One feed of each kind.
FEEDS = {"freebusy": "Qm7vT2kLx9RzB4nHc8WdYp3s", "busy": "Hw3pN8sVd6JtK1xMg5RbCz9q", "full": "Zk4fL7yGu2QeX9aSn6TjDv1m"}
SECRETS = [PASSWORD, RADICALE_PASSWORD, XANDIKOS_PASSWORD, *FEEDS.values()]
ZONE = "Europe/Berlin"


class Server:
    """A child process with a log.  `address` is scheme, host and port."""

    def __init__(self, name, folder, command, port, probe, env=None):
        self.name, self.command, self.probe, self.env = name, command, probe, env
        self.log = folder / f"{name}.log"
        self.address = f"http://127.0.0.1:{port}"
        self.process = None
        self.start()

    def start(self, patience=60):
        with self.log.open("ab") as log:
            env = os.environ | {"PYTHONUNBUFFERED": "1"} | (self.env or {})
            self.process = subprocess.Popen(
                [str(part) for part in self.command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env
            )
        try:
            self.wait_for_an_answer(patience)
        except BaseException:
            # Nobody else knows of it yet.
            self.stop()
            raise

    def wait_for_an_answer(self, patience):
        give_up = time.monotonic() + patience
        while time.monotonic() < give_up:
            code = self.process.poll()
            assert code is None, f"{self.name} ended with {code} at its start:\n{tail(self.log)}"
            try:
                urllib.request.urlopen(self.address + self.probe, timeout=5).close()
                return
            except urllib.error.HTTPError as answer:
                if answer.code < 500:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"{self.name} did not answer within {patience} s:\n{tail(self.log)}")

    def kill(self):
        """kill -9, and waits until it is gone."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """SIGTERM; whoever does not end in 20 s is killed, and that is said.  Gives the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                print(f"    {self.name} did not end within 20 s of SIGTERM")
                self.kill()
        return self.process.returncode


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def tail(path, lines=30):
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


# -- upstreams ----------------------------------------------------------------------------------------------------------


def radicale(folder):
    """Radicale with one user, a file store and htpasswd."""
    home = folder / "radicale"
    home.mkdir()
    (home / "users").write_text(f"{USER}:{RADICALE_PASSWORD}\n")
    port = free_port()
    (home / "config").write_text(
        f"[server]\nhosts = 127.0.0.1:{port}\nmax_connections = 100\n"
        f"[auth]\ntype = htpasswd\nhtpasswd_filename = {home / 'users'}\nhtpasswd_encryption = plain\ndelay = 0\n"
        f"[storage]\nfilesystem_folder = {home / 'data'}\n"
        "[logging]\nlevel = info\n"
    )
    command = [BIN / "python", "-m", "radicale", "--config", home / "config"]
    return Server("radicale", folder, command, port, "/")


def xandikos(folder):
    """Xandikos on a git store.  It takes passwords only over TLS, so here it asks for none, and ours is sent in vain."""
    home = folder / "xandikos"
    home.mkdir()
    port = free_port()
    command = [
        BIN / "xandikos", "serve", "-d", home / "data", "--state-dir", home / "state", "--autocreate", "--defaults",
        "--current-user-principal", f"/{USER}/", "-l", "127.0.0.1", "-p", port, "--no-detect-systemd",
    ]  # fmt: skip
    return Server("xandikos", folder, command, port, f"/{USER}/", env={"HOME": str(home)})


class Upstreams:
    """Both servers; `calendars` says where each calendar is: {slug: (client, path)}."""

    def __init__(self, folder, slugs, stack):
        """`slugs`: {slug: "radicale" or "xandikos"}; `stack` ends both, be they all up or not."""
        self.radicale = radicale(folder)
        stack.callback(self.radicale.stop)
        self.xandikos = xandikos(folder)
        stack.callback(self.xandikos.stop)
        self.where = slugs
        for slug in slugs:
            client, path = self.open(slug)
            client.make_calendar(path, slug)

    def open(self, slug):
        """A connection of its own, and the path of the calendar."""
        if self.where[slug] == "radicale":
            return Dav(self.radicale.address, USER, RADICALE_PASSWORD), f"/{USER}/{slug}/"
        return Dav(self.xandikos.address, USER, XANDIKOS_PASSWORD), f"/{USER}/calendars/{slug}/"


# -- the gateway --------------------------------------------------------------------------------------------------------


class Gateway(Server):
    """calgate over both upstreams: each calendar a mirror of the same slug, `notes` local, `all` unified over them."""

    def __init__(self, binary, folder, upstreams, storage=None, write_to=None, interval="2s"):
        self.folder, self.binary = folder, binary
        port = free_port()
        self.config = folder / "gateway.toml"
        key = folder / "calgate.key"
        subprocess.run([binary, "keygen", key], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.slugs = list(upstreams.where)
        self.config.write_text(
            gateway_toml(binary, upstreams, port, storage or "sqlite:calgate.db", write_to or self.slugs[0], interval)
        )
        (folder / "xandikos-password").write_text(XANDIKOS_PASSWORD + "\n")
        (folder / "xandikos-password").chmod(0o600)
        command = [binary, "--config", self.config, "serve"]
        super().__init__("calgate", folder, command, port, "/readyz", env={"RADICALE_PASSWORD": RADICALE_PASSWORD})

    def client(self, timeout=60):
        return Dav(self.address, USER, PASSWORD, timeout)

    def path(self, slug):
        return f"/dav/{USER}/{slug}/"

    def run(self, *arguments, wanted=(0,), **options):
        """Another command of the same binary with the same configuration; gives its output."""
        env = os.environ | self.env
        command = [self.binary, "--config", self.config, *arguments]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=env, timeout=120, **options
        )
        assert done.returncode in wanted, (
            f"calgate {' '.join(arguments)} ended with {done.returncode}: {done.stdout}{done.stderr}"
        )
        return done.stdout

    def feed(self, kind, form, start, end, **headers):
        """`kind`: freebusy, busy or full; `form`: ifb or ics."""
        query = urllib.parse.urlencode({"start": f"{start:%Y%m%dT%H%M%SZ}", "end": f"{end:%Y%m%dT%H%M%SZ}"})
        return Dav(self.address).send("GET", f"/feed/{FEEDS[kind]}.{form}?{query}", **headers)


def gateway_toml(binary, upstreams, port, storage, write_to, interval):
    slugs = list(upstreams.where)
    accounts = []
    for server, login in (
        ("radicale", 'password = "env:RADICALE_PASSWORD"'),
        ("xandikos", 'password = "file:xandikos-password"'),
    ):
        address = getattr(upstreams, server).address
        accounts += [
            "[[user.account]]",
            f'name = "{server}"',
            'kind = "caldav"',
            f'url = "{address}/"',
            f'username = "{USER}"',
            login,
        ]
        for slug in (s for s in slugs if upstreams.where[s] == server):
            accounts += ["[[user.account.calendar]]", f'remote = "{slug}"', f'name = "{slug}"']
    members = ", ".join(f'"{slug}"' for slug in [*slugs, "notes"])
    return "\n".join(
        [
            "[server]", f'listen = "127.0.0.1:{port}"', f'public_url = "http://127.0.0.1:{port}"', 'log = "debug"',
            "[storage]", f'url = "{storage}"',
            "[secrets]", 'key_file = "calgate.key"',
            "[sync]", f'interval = "{interval}"', 'write_wait = "5s"', 'upstream_away = "keep"',
            "[[user]]", f'name = "{USER}"', f'password = "{hashed(binary)}"', f'email = "{ME}"', f'timezone = "{ZONE}"',
            *accounts,
            "[[user.calendar]]", 'name = "notes"',
            "[[user.unified]]", 'name = "all"', f"members = [{members}]", f'write_to = "{write_to}"',
            *(line for kind, token in FEEDS.items() for line in ("[[user.feed]]", 'calendar = "all"', f'kind = "{kind}"', f'token = "{token}"')),
            "",
        ]
    )  # fmt: skip


def hashed(binary):
    """PASSWORD as `gateway.toml` wants it."""
    return subprocess.run(
        [binary, "user", "hash", "--password-stdin"], input=PASSWORD + "\n", check=True, capture_output=True, text=True
    ).stdout.strip()


class Alone(Server):
    """calgate without upstreams, for suites that make what they need: PEOPLE, each with a local calendar `main`."""

    PEOPLE = [USER, "bert", "cleo"]

    def __init__(self, binary, folder, public_port=None):
        """`public_port`: of what stands in front of it, when something does."""
        port = free_port()
        subprocess.run(
            [binary, "keygen", folder / "calgate.key"], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        lines = [
            "[server]", f'listen = "127.0.0.1:{port}"', f'public_url = "http://127.0.0.1:{public_port or port}"', 'log = "debug"',
            "[storage]", 'url = "sqlite:calgate.db"', "[secrets]", 'key_file = "calgate.key"',
        ]  # fmt: skip
        secret = hashed(binary)
        for person in self.PEOPLE:
            lines += [
                "[[user]]", f'name = "{person}"', f'password = "{secret}"', f'email = "{person}@example.com"', f'timezone = "{ZONE}"',
                "[[user.calendar]]", 'name = "main"',
            ]  # fmt: skip
        config = folder / "gateway.toml"
        config.write_text("\n".join([*lines, ""]))
        super().__init__("calgate", folder, [binary, "--config", config, "serve"], port, "/readyz")

    def client(self, person=USER):
        return Dav(self.address, person, PASSWORD)


@contextmanager
def database(postgres):
    """A fresh database below the URL `postgres`, dropped afterwards; gives its URL."""
    import psycopg

    name = f"calgate_clients_{os.getpid()}_{time.monotonic_ns()}"
    parts = urllib.parse.urlsplit(postgres)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    try:
        yield urllib.parse.urlunsplit(parts._replace(path=f"/{name}"))
    finally:
        with psycopg.connect(postgres, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


# -- waiting ------------------------------------------------------------------------------------------------------------


def eventually(what, check, patience=60):
    """Runs `check` until it raises no AssertionError and gives its answer; `what` is said when it never does."""
    give_up = time.monotonic() + patience
    while True:
        try:
            return check()
        except AssertionError as why:
            if time.monotonic() > give_up:
                raise AssertionError(f"{what}: not within {patience} s; {why}") from why
        time.sleep(0.1)
