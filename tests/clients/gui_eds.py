"""evolution-data-server: its registry, its webdav collection backend and its CalDAV calendar backend, in a session of its own.

A session bus, a keyring that is unlocked, and beside them a small program in Debian's python (gui_eds_inside.py) that
calls the library as Evolution and GNOME Calendar do.
"""

import json
import os
import subprocess
import urllib.parse

import environment
import gui_steps
import servers

# Services of the bus write their debug lines to what it has as its output: the log, and not the pipe of the answers.
# The keyring is opened with a password that protects nothing; what is in it goes with the folder.
SESSION = """
exec 3>&1 1>&2
exec dbus-run-session -- sh -c '
printf open | gnome-keyring-daemon --unlock --components=secrets
exec /usr/bin/python3 "$0" 1>&3' "$0"
"""


class Desktop:
    name = "eds"

    def __init__(self, world, session, stack):
        env = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS")}
        for name, folder in (
            ("HOME", "home"), ("XDG_RUNTIME_DIR", "run"), ("XDG_CONFIG_HOME", "config"), ("XDG_DATA_HOME", "data"), ("XDG_CACHE_HOME", "cache"),
        ):  # fmt: skip
            (session / folder).mkdir(mode=0o700)
            env[name] = f"{session}/{folder}"
        env |= {
            "SESSION": f"{session}/", "TZ": servers.ZONE, "GSETTINGS_BACKEND": "memory", "PATH": "/usr/bin:/bin",
            # This machine may have no way to the outside, and what is asked for is on it.
            "GIO_USE_NETWORK_MONITOR": "base", "WEBDAV_DEBUG": "all", "CALDAV_DEBUG": "all",
        }  # fmt: skip
        self.log = session / "eds.log"
        self.process = subprocess.Popen(
            ["sh", "-c", SESSION, environment.HERE / "gui_eds_inside.py"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log.open("wb"), env=env, text=True,
        )  # fmt: skip
        stack.callback(self.stop)
        self.unified = None
        asked = ["dpkg-query", "-W", "-f", "${Package} ${Version}", "evolution-data-server"]
        self.version = subprocess.run(asked, check=True, capture_output=True, text=True).stdout

    def ask(self, command, *arguments):
        try:
            self.process.stdin.write(json.dumps([command, *arguments]) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        assert line, f"the session ended:\n{servers.tail(self.log)}"
        answer = json.loads(line)
        assert "why" not in answer, f"{command}: {answer['why']}"
        return answer["given"]

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def titles(self):
        return self.ask("titles", self.unified)

    def create(self, text):
        self.ask("create", self.unified, text)

    def rename(self, key, title):
        self.ask("rename", self.unified, key, title)

    def delete(self, key):
        self.ask("delete", self.unified, key)

    def refresh(self):
        self.ask("refresh", self.unified)


def start(world, session, stack):
    return Desktop(world, session, stack)


def finds_the_calendars(world, program):
    """A collection account with the bare address; its backend looks for calendars by itself."""
    place = urllib.parse.urlsplit(world.gateway.address)
    program.ask("add_account", place.hostname, place.port, servers.USER, servers.PASSWORD)
    wanted = {world.gateway.path(slug) for slug in (*world.gateway.slugs, "notes", "all")}

    def found():
        there = {urllib.parse.urlsplit(url).path: about for url, about in program.ask("calendars").items()}
        assert set(there) == wanted, f"found {sorted(there)}, not {sorted(wanted)}"
        return there

    there = servers.eventually("the calendars", found, 45)
    program.unified = there[world.gateway.path("all")]["uid"]
    return ", ".join(sorted(about["name"] for about in there.values()))


def sees_the_events(world, program):
    opened = program.ask("open", program.unified)
    assert not opened["read_only"], "it is read-only"
    return gui_steps.shows_everything(world, program)


def keeps_the_account(world, program):
    state = program.ask("state", program.unified)
    assert not state["read_only"] and state["online"], state
    asked = {line.split(" ")[0] for line in world.requests()}
    return f"not read-only, online; requests: {', '.join(sorted(asked))}"


STEPS = [finds_the_calendars, sees_the_events, *gui_steps.STEPS, keeps_the_account]
