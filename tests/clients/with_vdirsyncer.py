"""vdirsyncer between the unified calendar and a folder of files: the folder must hold what the upstreams hold."""

import re
import subprocess

from corpus import CANARY
from dav import canonical, uid, value
from servers import BIN, PASSWORD, USER, eventually

CONFIG = """
[general]
status_path = "{folder}/status/"

[pair calgate]
a = "files"
b = "gateway"
collections = ["all"]
conflict_resolution = null
implicit = "create"

[storage files]
type = "filesystem"
path = "{folder}/files/"
fileext = ".ics"

[storage gateway]
type = "caldav"
url = "{url}"
username = "{user}"
password = "{password}"
"""


HARMLESS = "warning: Deleting an item with no etag."


class Folder:
    """A folder that vdirsyncer keeps equal to the unified calendar."""

    def __init__(self, folder, gateway):
        self.home = folder / "vdirsyncer"
        self.files = self.home / "files" / "all"
        self.files.mkdir(parents=True)
        self.config = self.home / "config"
        # The bare address: vdirsyncer has to find the calendars by itself, from the well-known URL on.
        self.config.write_text(CONFIG.format(folder=self.home, url=gateway.address, user=USER, password=PASSWORD))

    def run(self, command):
        """Runs it and gives the requests it sent: [(method, url, body)]."""
        done = subprocess.run(
            [BIN / "vdirsyncer", "-vdebug", "-c", self.config, command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )
        log = done.stdout + done.stderr
        (self.home / f"{command}.log").write_text(log)
        # The one in HARMLESS is said exactly when there is an etag: its condition is the wrong way round.
        complaints = [line for line in re.findall(r"^(?:error|critical|warning): .*", log, re.M) if line != HARMLESS]
        assert done.returncode == 0 and not complaints, (
            f"vdirsyncer {command} ended with {done.returncode}: {complaints or log[-1500:]}"
        )
        return re.findall(r"^debug: =+\ndebug: ([A-Z]+) (\S+)\ndebug: .*\ndebug: (.*)", log, re.MULTILINE)

    def sync(self):
        return self.run("sync")

    def by_uid(self):
        """{UID: (path, text)} of the files."""
        found = {}
        for path in self.files.glob("*.ics"):
            text = path.read_bytes().decode()
            assert uid(text) not in found, f"two files with the UID {uid(text)}"
            found[uid(text)] = (path, text)
        return found


def first_sync(world):
    """Discover and sync bring every object, once and whole."""
    discovered = world.folder.run("discover")
    assert any(".well-known/caldav" in url or "principal" in body for _, url, body in discovered), discovered
    world.folder.sync()
    world.compare_folder()
    return f"{len(world.folder.by_uid())} objects"


def second_sync(world):
    """Nothing changed, so nothing but the listing is asked."""
    requests = world.folder.sync()
    assert requests, "no request was seen in vdirsyncer's log: its form has changed"
    more = [(m, url) for m, url, body in requests if m not in ("PROPFIND", "REPORT") or "calendar-multiget" in body]
    assert not more, f"a sync of nothing asked for {more[:5]} ({len(more)} requests)"
    return f"{len(requests)} requests, all of them listings"


def create(world):
    """A new file arrives at the server of the calendar that takes new objects."""
    made = world.fresh("vdirsyncer-create")
    (world.folder.files / made.name).write_bytes(made.text.encode())
    world.folder.sync()
    world.expect_upstream(made.uid, world.write_to, made.text)
    return f"arrived in {world.write_to}"


def edit(world):
    """An edit of an object from each server arrives there, and touches nothing else of it."""
    for slug in world.one_of_each_server():
        chosen = world.take(slug, "single")
        path, text = world.folder.by_uid()[chosen]
        after = text.replace(f"SUMMARY:{value(text, 'SUMMARY')}", f"SUMMARY:Edited by a file {CANARY}")
        assert after != text, f"no SUMMARY to edit in {text}"
        path.write_bytes(after.encode())
        world.folder.sync()
        world.expect_upstream(chosen, slug, after)
    return "arrived on both servers, all other properties as they were"


def delete(world):
    """A removed file is an object less, on each server."""
    for slug in world.one_of_each_server():
        chosen = world.take(slug, "single")
        world.folder.by_uid()[chosen][0].unlink()
        world.folder.sync()
        world.expect_gone(chosen)
    return "gone from both servers"


def upstream_changes(world):
    """What is made, changed and removed on the servers by others arrives in the folder."""
    wanted, gone = {}, []
    for slug in world.one_of_each_server():
        client, path = world.upstreams.open(slug)
        made = world.fresh(f"upstream-create-{slug}")
        client.expect([201], "PUT", path + made.name, made.text, Content_Type="text/calendar")
        wanted[made.uid] = made.text
        changed, removed = world.take(slug, "weekly_with_moved"), world.take(slug, "all_day")
        bodies = {uid(text): (href, text) for href, text in client.bodies(path).items()}
        href, text = bodies[changed]
        after = text.replace("SUMMARY:", f"SUMMARY:Upstream edit of {CANARY} ")
        client.expect([200, 201, 204], "PUT", href, after, Content_Type="text/calendar")
        wanted[changed] = after
        client.expect([200, 204], "DELETE", bodies[removed][0])
        gone.append(removed)
    world.gateway.run("sync")

    def arrived():
        world.folder.sync()
        files = world.folder.by_uid()
        for key, text in wanted.items():
            assert key in files, f"{key} is not in the folder"
            assert canonical(files[key][1]) == canonical(text), f"{key} in the folder is not what the server holds"
        for key in gone:
            assert key not in files, f"{key} is still in the folder"

    eventually("changes made upstream", arrived, 30)
    return f"{len(wanted)} created or changed, {len(gone)} deleted"


def at_rest(world):
    """After all that, folder, unified calendar and upstreams agree, and a sync finds nothing to do."""
    world.folder.sync()
    world.compare_folder()
    return second_sync(world)


STEPS = [first_sync, second_sync, create, edit, delete, upstream_changes, at_rest]
