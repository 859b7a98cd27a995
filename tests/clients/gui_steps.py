"""What every desktop program is asked to do in the unified calendar, once it shows it.

A program has `name`, and the verbs `titles` ({UID: title} of what it shows), `create`, `rename`, `delete` and `refresh`.
"""

import servers
from corpus import CANARY
from dav import value


def shows_everything(world, program):
    wanted = set(world.upstream_objects())

    def all_there():
        titles = set(program.titles())
        missing, more = wanted - titles, titles - wanted
        assert not missing and not more, f"missing {world.name_shapes(missing)}, too many {world.name_shapes(more)}"

    servers.eventually("all events", all_there, 60)
    return f"{len(wanted)} events of two servers in the unified calendar"


def creates_one(world, program):
    made = world.fresh(f"{program.name}-create")
    program.create(made.text)

    def there():
        text = world.upstream_text(made.uid, world.write_to)
        for name in ("SUMMARY", "DTSTART"):
            assert value(text, name) == value(made.text, name), f"{name} differs: {text}"

    servers.eventually("the new event upstream", there, 30)
    return f"arrived in {world.write_to}"


def edits_one(world, program):
    """Of each server."""
    wanted = f"Edited by {program.name} {CANARY}"
    for slug in world.one_of_each_server():
        chosen = world.take(slug, "single")
        program.rename(chosen, wanted)

        def there(slug=slug, chosen=chosen):
            title = value(world.upstream_text(chosen, slug), "SUMMARY")
            assert title == wanted, f"the server has {title}"

        servers.eventually("the edit upstream", there, 30)
    return "arrived on both servers"


def deletes_one(world, program):
    chosen = world.take(world.one_of_each_server()[1], "single")
    program.delete(chosen)
    world.expect_gone(chosen)
    return "gone from its server"


def sees_changes(world, program):
    """Made on the servers by others: one new, one edited, one gone on each."""
    wanted, gone = world.change_upstream(program.name)

    def seen():
        program.refresh()
        titles = program.titles()
        for key, title in wanted.items():
            assert titles.get(key) == title, f"{key} is {titles.get(key)!r}, not {title!r}"
        for key in gone:
            assert key not in titles, f"{key} is still shown"

    servers.eventually("changes made on the servers", seen, 60)
    return f"{len(wanted)} new or edited, {len(gone)} gone"


STEPS = [creates_one, edits_one, deletes_one, sees_changes]
