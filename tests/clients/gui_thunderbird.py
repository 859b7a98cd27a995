"""Thunderbird, driven through Marionette: scripts run inside it, and use what its own windows use.

The account is found by its own detection (`CalDavProvider.detectCalendars`, behind the dialog "New Calendar"), calendars
are added with `cal.manager`, and items go through the calendar that it shows (offline cache and all).
"""

import json
import os
import socket
import subprocess
import time

import gui_steps
import servers

PREFS = {
    "app.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "calendar.timezone.local": servers.ZONE,
    "calendar.timezone.useSystemTimezone": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.update.enabled": False,
    "mail.provider.suppress_dialog_on_startup": True,
    "mail.rights.version": 1,
    "mail.shell.checkDefaultClient": False,
    "mail.spotlight.firstRunDone": True,
    "mailnews.start_page.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.proxy.type": 0,
    # Marionette would else turn off that passwords are kept, among other things.
    "remote.prefs.recommended": False,
    "toolkit.telemetry.enabled": False,
}

PRELUDE = """
const { cal } = ChromeUtils.importESModule("resource:///modules/calendar/calUtils.sys.mjs");
const finish = arguments[arguments.length - 1];
const shown = (url) => cal.manager.getCalendars().find((one) => one.uri.spec == url);
const items = async (calendar) => calendar.getItemsAsArray(Ci.calICalendar.ITEM_FILTER_ALL_ITEMS, 0, null, null);
const parsed = (text) => {
  const { CalEvent } = ChromeUtils.importESModule("resource:///modules/CalEvent.sys.mjs");
  const parser = Cc["@mozilla.org/calendar/ics-parser;1"].createInstance(Ci.calIIcsParser);
  parser.parseString(text);
  return parser.getItems()[0];
};
(async () => {
"""
CLOSE = "\n})().then((given) => finish({ given }), (why) => finish({ why: `${why} ${why?.result ?? ''} ${why?.stack ?? ''}` }));"


class Thunderbird:
    name = "thunderbird"

    def __init__(self, world, session, stack):
        self.session, self.unified = session, address(world)
        profile, home = session / "profile", session / "home"
        profile.mkdir()
        home.mkdir()
        port = servers.free_port()
        prefs = PREFS | {"marionette.port": port}
        (profile / "user.js").write_text("".join(f"user_pref({json.dumps(k)}, {json.dumps(v)});\n" for k, v in prefs.items()))
        env = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS")}
        env |= {"HOME": f"{home}/", "MOZ_HEADLESS": "1", "XDG_RUNTIME_DIR": f"{session}/", "TZ": servers.ZONE}
        log = (session / "thunderbird.log").open("wb")
        self.process = subprocess.Popen(
            ["thunderbird", "--headless", "--marionette", "--remote-allow-system-access", "--no-remote", "--profile", profile],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env,
        )  # fmt: skip
        stack.callback(self.stop)
        self.connect(port)
        self.number = 0
        self.version = "Thunderbird " + self.ask("WebDriver:NewSession", {})["capabilities"]["browserVersion"]
        self.ask("Marionette:SetContext", {"value": "chrome"})
        self.ask("WebDriver:SetTimeouts", {"script": 60_000})

    def connect(self, port):
        give_up = time.monotonic() + 90
        while True:
            assert self.process.poll() is None, f"it ended with {self.process.returncode}:\n{servers.tail(self.session / 'thunderbird.log')}"
            try:
                self.wire = socket.create_connection(("127.0.0.1", port), timeout=90)
                break
            except OSError:
                assert time.monotonic() < give_up, "it never listened for Marionette"
                time.sleep(0.2)
        self.stream = self.wire.makefile("rb")
        self.receive()

    def receive(self):
        """A message: its length, a colon, and JSON."""
        length = b""
        while (octet := self.stream.read(1)) != b":":
            assert octet, "Thunderbird closed the connection"
            length += octet
        return json.loads(self.stream.read(int(length)))

    def ask(self, command, parameters):
        self.number += 1
        message = json.dumps([0, self.number, command, parameters]).encode()
        self.wire.sendall(f"{len(message)}:".encode() + message)
        _, _, wrong, given = self.receive()
        assert wrong is None, f"{command}: {wrong}"
        return given["value"] if isinstance(given, dict) and set(given) == {"value"} else given

    def script(self, body, *arguments):
        """Runs it inside Thunderbird and gives what it returns."""
        parameters = {"script": PRELUDE + body + CLOSE, "args": list(arguments), "sandbox": "system", "newSandbox": True}
        answer = self.ask("WebDriver:ExecuteAsyncScript", parameters)
        assert "why" not in answer, answer["why"]
        return answer.get("given")

    def stop(self):
        try:
            self.ask("Marionette:Quit", {"flags": ["eForceQuit"]})
            self.process.wait(30)
        except Exception:
            self.process.kill()
            self.process.wait()

    def titles(self):
        """Of what the calendar shows."""
        return self.script(
            "const found = {}; for (const item of await items(shown(arguments[0]))) found[item.id] = item.title; return found;",
            self.unified,
        )

    def create(self, text):
        self.script("await shown(arguments[0]).addItem(parsed(arguments[1]));", self.unified, text)

    def rename(self, key, title):
        self.script(
            """
            const calendar = shown(arguments[0]);
            const old = await calendar.getItem(arguments[1]);
            const changed = old.clone();
            changed.title = arguments[2];
            await calendar.modifyItem(changed, old);
            """,
            self.unified,
            key,
            title,
        )

    def delete(self, key):
        self.script("const c = shown(arguments[0]); await c.deleteItem(await c.getItem(arguments[1]));", self.unified, key)

    def refresh(self):
        self.script("shown(arguments[0]).refresh();", self.unified)


def start(world, session, stack):
    return Thunderbird(world, session, stack)


def address(world, slug="all"):
    return world.gateway.address + world.gateway.path(slug)


def finds_the_calendars(world, program):
    """From the bare address, as typed into the dialog; then all are added, as with the dialog's button."""
    found = program.script(
        """
        const { CalDavProvider } = ChromeUtils.importESModule("resource:///modules/CalDavProvider.sys.mjs");
        const [location, user, password] = arguments;
        const found = await CalDavProvider.detectCalendars(user, password, location, true);
        const said = found.map((one) => ({ url: one.uri.spec, name: one.name, readOnly: one.readOnly, disabled: one.getProperty("disabled") }));
        for (const one of found) {
          one.setProperty("cache.enabled", true);
          cal.manager.registerCalendar(one);
        }
        return said;
        """,
        world.gateway.address + "/",
        servers.USER,
        servers.PASSWORD,
    )
    urls = {one["url"] for one in found}
    wanted = {address(world, slug) for slug in (*world.gateway.slugs, "notes", "all")}
    assert urls == wanted, f"found {sorted(urls)}, not {sorted(wanted)}"
    assert not any(one["readOnly"] or one["disabled"] for one in found), found
    return ", ".join(sorted(one["name"] for one in found))


def sees_the_events(world, program):
    said = gui_steps.shows_everything(world, program)
    state = program.script("const c = shown(arguments[0]); return [c.readOnly, c.getProperty('disabled'), c.getProperty('currentStatus')];", address(world))
    assert state == [False, None, 0] or state == [False, False, 0], f"read-only, disabled, status: {state}"
    return said


def keeps_the_account(world, program):
    """After all that the calendars are what they were: not disabled, not read-only, and nothing was said to the user."""
    for slug in (*world.gateway.slugs, "notes", "all"):
        state = program.script("const c = shown(arguments[0]); return [c.readOnly, !!c.getProperty('disabled'), c.getProperty('currentStatus')];", address(world, slug))
        assert state == [False, False, 0], f"{slug}: read-only, disabled, status: {state}"
    asked = {line.split(" ")[0] for line in world.requests() }
    return f"requests: {', '.join(sorted(asked))}"


STEPS = [finds_the_calendars, sees_the_events, *gui_steps.STEPS, keeps_the_account]
