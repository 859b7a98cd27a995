"""python-caldav as a client of the unified calendar."""

import datetime as dt

import caldav
from caldav.lib.error import NotFoundError

import oracle
from corpus import CANARY
from dav import canonical, value
from servers import PASSWORD, USER, eventually


def unified(world):
    """The unified calendar as the program finds it from the bare address."""
    client = caldav.DAVClient(url=world.gateway.address, username=USER, password=PASSWORD)
    return next(c for c in client.principal().get_calendars() if str(c.url).rstrip("/").endswith("/all"))


def discover(world):
    """From the bare address to the principal and every calendar."""
    client = caldav.DAVClient(url=world.gateway.address, username=USER, password=PASSWORD)
    principal = client.principal()
    found = {str(calendar.url).rstrip("/").rsplit("/", 1)[1] for calendar in principal.get_calendars()}
    wanted = {*world.gateway.slugs, "notes", "all"}
    assert found == wanted, f"found {sorted(found)}, not {sorted(wanted)}"
    return ", ".join(sorted(found))


def search(world):
    """A month's search finds what brute force finds."""
    # At noon, where no zone disagrees on the day: the library filters once more, all-day events by UTC.
    start = world.start.replace(hour=12, minute=0) + dt.timedelta(days=20)
    end = start + dt.timedelta(days=30)
    found = {
        str(event.icalendar_component["UID"])
        for event in unified(world).search(start=start, end=end, event=True, expand=False)
    }
    wanted = set(oracle.stretches(world.upstream_texts(), start, end, world.zone, world.me))
    assert found == wanted, f"missing {world.name_shapes(wanted - found)}, too many {world.name_shapes(found - wanted)}"
    return f"{len(found)} objects"


def create(world):
    made = world.fresh("caldav-create")
    unified(world).add_event(made.text)
    world.expect_upstream(made.uid, world.write_to, made.text)
    return f"arrived in {world.write_to}"


def edit(world):
    """An edit of an object from each server arrives there."""
    for slug in world.one_of_each_server():
        chosen = world.take(slug, "single")
        event = unified(world).get_event_by_uid(chosen)
        with event.edit_icalendar_component() as component:
            component["SUMMARY"] = f"Edited by python {CANARY}"
        event.save()

        def there(slug=slug, chosen=chosen):
            text = world.upstream_text(chosen, slug)
            assert value(text, "SUMMARY") == f"Edited by python {CANARY}", f"the server has {value(text, 'SUMMARY')}"

        eventually(f"the edit of {chosen}", there, 30)
    return "arrived on both servers"


def delete(world):
    for slug in world.one_of_each_server():
        chosen = world.take(slug, "single")
        unified(world).get_event_by_uid(chosen).delete()
        world.expect_gone(chosen)
        try:
            unified(world).get_event_by_uid(chosen)
        except NotFoundError:
            continue
        raise AssertionError(f"{chosen} was deleted and is still found")
    return "gone from both servers"


def sync_token(world):
    """Following the token shows the changes made upstream, those and no others."""
    calendar = unified(world)
    before = calendar.get_objects_by_sync_token(load_objects=True)
    again = calendar.get_objects_by_sync_token(sync_token=before.sync_token)
    assert not list(again), f"nothing changed, and the token gave {[str(o.url) for o in again]}"
    made, removed = {}, []
    for slug in world.one_of_each_server():
        client, path = world.upstreams.open(slug)
        fresh = world.fresh(f"token-create-{slug}")
        client.expect([201], "PUT", path + fresh.name, fresh.text, Content_Type="text/calendar")
        made[fresh.uid] = fresh.text
        removed.append(world.take(slug, "single"))
        client.expect([200, 204], "DELETE", world.upstream_href(removed[-1], slug))
    world.gateway.run("sync")

    def seen():
        # Always from the old token: an answer that comes too early must not use the change up.
        news = list(calendar.get_objects_by_sync_token(sync_token=before.sync_token, load_objects=False))
        assert len(news) == len(made) + len(removed), f"the token gave {[str(o.url) for o in news]}"

    eventually("the changes through the sync token", seen, 30)
    updated, deleted = before.sync()
    uids = {str(event.icalendar_component["UID"]) for event in updated}
    assert uids == set(made), f"updated: {uids}, not {set(made)}"
    assert len(list(deleted)) == len(removed), f"deleted: {[str(o.url) for o in deleted]}"
    for event in updated:
        assert canonical(event.data) == canonical(made[str(event.icalendar_component["UID"])])
    return f"{len(made)} new and {len(removed)} deleted, and nothing when nothing happened"


def freebusy(world):
    """The program's own free/busy request gives a calendar that says what brute force says."""
    answer = unified(world).freebusy_request(world.start, world.end)
    world.compare_freebusy("python-caldav's free/busy request", answer.data, world.upstream_texts())
    return "equal to the minute"


STEPS = [discover, search, create, edit, delete, sync_token, freebusy]
