"""cadaver, driven by a script: what it says of each command, and what the server then holds."""

import os
import subprocess

import servers
from outcome import check

EVENT = (
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//calgate//cadaver//EN\r\nBEGIN:VEVENT\r\nUID:cadaver-{number}\r\n"
    "DTSTAMP:20260101T000000Z\r\nDTSTART:20260101T100000Z\r\nSUMMARY:{title}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)


def run(binary, folder):
    """{step: Outcome}"""
    gateway = servers.Alone(binary, folder)
    try:
        return Session(gateway, folder).steps()
    finally:
        gateway.stop()


class Session:
    def __init__(self, gateway, folder):
        self.gateway, self.folder, self.client = gateway, folder, gateway.client()
        self.home = f"/dav/{servers.USER}/"
        netrc = folder / ".netrc"
        netrc.write_text(f"machine 127.0.0.1 login {servers.USER} password {servers.PASSWORD}\n")
        netrc.chmod(0o600)
        self.client.make_calendar(self.home + "other/", "other")
        for number, title in ((1, "one"), (2, "two")):
            (folder / f"{number}.ics").write_bytes(EVENT.format(number=number, title=title).encode())
        (folder / "changed.ics").write_bytes(EVENT.format(number=1, title="changed").encode())
        (folder / "notes.txt").write_text("no calendar object\n")

    def cadaver(self, place, *commands):
        """What it says, run at `place` below the home."""
        done = subprocess.run(
            ["cadaver", f"{self.gateway.address}{self.home}{place}"],
            input="\n".join([*commands, "quit", ""]), capture_output=True, text=True, timeout=60, cwd=self.folder,
            env=os.environ | {"HOME": str(self.folder)},
        )  # fmt: skip
        with (self.folder / "cadaver.log").open("a") as log:
            log.write(f"---- {place} {commands}\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def holds(self, path, file):
        """The server has at `path` what `file` has; None: nothing."""
        answer = self.client.send("GET", self.home + path)
        if file is None:
            assert answer.status == 404, f"{path} is there: {answer}"
        else:
            assert answer.status == 200 and answer.body == (self.folder / file).read_bytes().decode(), f"{path}: {answer}"

    def says(self, text, place, *commands):
        said = self.cadaver(place, *commands)
        assert text in said, f"{commands}: no {text!r} in {said!r}"
        return said

    def steps(self):
        outcomes = {}
        for step in (
            self.ls_home, self.put, self.put_again, self.ls_calendar, self.get, self.cat, self.mput, self.mget, self.propnames,
            self.propset, self.propdel, self.put_text, self.copy, self.move, self.move_back, self.rename, self.delete,
            self.delete_missing, self.mkcol_home, self.mkcol_calendar, self.lock, self.copy_collection, self.move_collection, self.rmcol,
        ):  # fmt: skip
            check(outcomes, step.__name__, step)
        return outcomes

    def ls_home(self):
        said = self.says("succeeded", "", "ls")
        assert "Coll:" in said and "main" in said and "other" in said, said

    def put(self):
        self.says("succeeded", "main/", "put 1.ics")
        self.holds("main/1.ics", "1.ics")

    def put_again(self):
        self.says("succeeded", "main/", "put changed.ics 1.ics")
        self.holds("main/1.ics", "changed.ics")

    def ls_calendar(self):
        said = self.says("1.ics", "main/", "ls")
        size = str((self.folder / "changed.ics").stat().st_size)
        assert size in said, f"no size {size} in {said!r}"

    def get(self):
        self.says("succeeded", "main/", "get 1.ics got.ics")
        assert (self.folder / "got.ics").read_bytes() == (self.folder / "changed.ics").read_bytes()

    def cat(self):
        self.says("SUMMARY:changed", "main/", "cat 1.ics")

    def mput(self):
        (self.folder / "mput-2.ics").write_bytes((self.folder / "2.ics").read_bytes())
        self.says("succeeded", "main/", "mput mput-*.ics")
        self.holds("main/mput-2.ics", "2.ics")

    def mget(self):
        (self.folder / "mput-2.ics").unlink()
        self.says("succeeded", "main/", "mget mput-*.ics")
        assert (self.folder / "mput-2.ics").read_bytes() == (self.folder / "2.ics").read_bytes()

    def propnames(self):
        said = self.says("succeeded", "main/", "propnames 1.ics")
        for name in ("getetag", "getcontenttype", "resourcetype"):
            assert name in said, f"no {name} in {said!r}"

    def propset(self):
        self.says("succeeded", "main/", "set namespace http://example.com/ns/", "propset 1.ics colour 'light green'")
        self.says("light green", "main/", "set namespace http://example.com/ns/", "propget 1.ics colour")

    def propdel(self):
        self.says("succeeded", "main/", "set namespace http://example.com/ns/", "propdel 1.ics colour")
        said = self.cadaver("main/", "set namespace http://example.com/ns/", "propget 1.ics colour")
        assert "green" not in said, said

    def put_text(self):
        """What is no calendar object is refused, and is not there."""
        self.says("failed", "main/", "put notes.txt")
        self.holds("main/notes.txt", None)

    def copy(self):
        self.says("succeeded", "", "copy main/1.ics other/1.ics")
        self.holds("main/1.ics", "changed.ics")
        self.holds("other/1.ics", "changed.ics")

    def move(self):
        self.says("succeeded", "", "move main/mput-2.ics other/2.ics")
        self.holds("main/mput-2.ics", None)
        self.holds("other/2.ics", "2.ics")

    def move_back(self):
        self.says("succeeded", "", "move other/2.ics main/2.ics")
        self.holds("other/2.ics", None)
        self.holds("main/2.ics", "2.ics")

    def rename(self):
        self.says("succeeded", "main/", "move 2.ics renamed.ics")
        self.holds("main/2.ics", None)
        self.holds("main/renamed.ics", "2.ics")

    def delete(self):
        self.says("succeeded", "main/", "delete 1.ics")
        self.holds("main/1.ics", None)

    def delete_missing(self):
        self.says("404", "main/", "delete 1.ics")

    def mkcol_home(self):
        self.says("succeeded", "", "mkcol plain")

    def mkcol_calendar(self):
        self.says("succeeded", "main/", "mkcol plain")

    def lock(self):
        self.says("succeeded", "main/", "lock renamed.ics")

    def copy_collection(self):
        self.says("succeeded", "", "copy other third")
        self.holds("third/1.ics", "changed.ics")

    def move_collection(self):
        self.says("succeeded", "", "move third fourth")
        self.holds("fourth/1.ics", "changed.ics")

    def rmcol(self):
        self.says("succeeded", "", "rmcol other")
        assert self.client.send("PROPFIND", self.home + "other/", Depth="0").status == 404
