"""The inside of gui_eds.py, run by Debian's python in a session bus of its own: a command of JSON a line in, an answer out.

What it calls is what Evolution and GNOME Calendar call: the source registry, and ECalClient over the calendar factory.
"""

import json
import sys
import time

import gi

for name, version in (("EDataServer", "1.2"), ("ECal", "2.0"), ("ICalGLib", "3.0"), ("GLib", "2.0")):
    gi.require_version(name, version)
from gi.repository import ECal, EDataServer, GLib, ICalGLib

ACCOUNT = "calgate"


class Desktop:
    def __init__(self):
        self.registry = EDataServer.SourceRegistry.new_sync(None)
        self.clients = {}

    def add_account(self, host, port, user, password):
        """A collection account, as Evolution's "New collection account" makes it; its calendars are found by the backend."""
        source = EDataServer.Source.new_with_uid(ACCOUNT, None)
        source.set_display_name("calgate")
        collection = source.get_extension(EDataServer.SOURCE_EXTENSION_COLLECTION)
        collection.set_backend_name("webdav")
        collection.set_identity(user)
        collection.set_calendar_enabled(True)
        collection.set_contacts_enabled(False)
        collection.set_mail_enabled(False)
        collection.set_calendar_url(f"http://{host}:{port}/")
        login = source.get_extension(EDataServer.SOURCE_EXTENSION_AUTHENTICATION)
        login.set_host(host)
        login.set_port(port)
        login.set_user(user)
        login.set_method("plain/password")
        source.get_extension(EDataServer.SOURCE_EXTENSION_SECURITY).set_method("none")
        source.store_password_sync(password, True, None)
        self.registry.commit_source_sync(source, None)
        return None

    def calendars(self):
        """{address: what is known of it} of the account's calendars."""
        run_loop(0.1)
        found = {}
        for source in self.registry.list_sources(EDataServer.SOURCE_EXTENSION_CALENDAR):
            if source.get_parent() == ACCOUNT:
                place = source.get_extension(EDataServer.SOURCE_EXTENSION_WEBDAV_BACKEND)
                color = source.get_extension(EDataServer.SOURCE_EXTENSION_CALENDAR).dup_color()
                found[place.dup_uri().to_string()] = {"name": source.get_display_name(), "uid": source.get_uid(), "color": color}
        return found

    def open(self, uid):
        source = self.registry.ref_source(uid)
        self.clients[uid] = ECal.Client.connect_sync(source, ECal.ClientSourceType.EVENTS, 30, None)
        return {"read_only": self.clients[uid].is_readonly()}

    def titles(self, uid):
        """{UID: title}"""
        _, found = self.clients[uid].get_object_list_sync("#t", None)
        return {one.get_uid(): one.get_summary() for one in found}

    def create(self, uid, text):
        _, key = self.clients[uid].create_object_sync(event(text), ECal.OperationFlags.NONE, None)
        return key

    def rename(self, uid, key, title):
        _, found = self.clients[uid].get_object_sync(key, None, None)
        found.set_summary(title)
        self.clients[uid].modify_object_sync(found, ECal.ObjModType.ALL, ECal.OperationFlags.NONE, None)

    def delete(self, uid, key):
        self.clients[uid].remove_object_sync(key, None, ECal.ObjModType.ALL, ECal.OperationFlags.NONE, None)

    def refresh(self, uid):
        self.clients[uid].refresh_sync(None)

    def state(self, uid):
        return {"read_only": self.clients[uid].is_readonly(), "online": self.clients[uid].is_online()}


def event(text):
    whole = ICalGLib.Component.new_from_string(text)
    return whole.get_first_component(ICalGLib.ComponentKind.VEVENT_COMPONENT).clone()


def run_loop(seconds):
    context, until = GLib.MainContext.default(), time.monotonic() + seconds
    while time.monotonic() < until:
        if not context.iteration(False):
            time.sleep(0.01)


desktop = Desktop()
for line in sys.stdin:
    command, *arguments = json.loads(line)
    try:
        answer = {"given": getattr(desktop, command)(*arguments)}
    except (GLib.Error, TypeError, AttributeError, ValueError) as why:
        answer = {"why": f"{type(why).__name__}: {why}"}
    print(json.dumps(answer), flush=True)
