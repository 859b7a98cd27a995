"""A bare CalDAV client: just enough HTTP and XML to ask a server what it holds, with nothing between."""

import base64
import http.client
import urllib.parse
import xml.etree.ElementTree as xml
from dataclasses import dataclass

D, C = "{DAV:}", "{urn:ietf:params:xml:ns:caldav}"
HEAD = '<?xml version="1.0" encoding="utf-8"?>'


class NotSent(Exception):
    """No connection: the server has not seen the request."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict
    body: str

    def __str__(self):
        return f"{self.status} {self.body[:400]}"


class Dav:
    """One connection of one user; `base` is scheme, host and port.  Not for use by two threads at once."""

    def __init__(self, base, user=None, password=None, timeout=60):
        self.base, self.timeout, self.connection = base, timeout, None
        self.headers = {}
        if user is not None:
            self.headers["Authorization"] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def send(self, method, path, body=None, **headers):
        """Sends once.  NotSent: it did not get there; any other error: nobody knows."""
        if self.connection is None:
            connection = http.client.HTTPConnection(urllib.parse.urlsplit(self.base).netloc, timeout=self.timeout)
            try:
                connection.connect()
            except OSError as why:
                raise NotSent(str(why)) from why
            self.connection = connection
        headers = self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            self.connection.request(method, path, body.encode() if body is not None else None, headers)
            response = self.connection.getresponse()
            text = response.read().decode()
        except BaseException:
            self.close()
            raise
        if response.will_close:
            self.close()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, text)

    def close(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None

    # -- what the tests ask -----------------------------------------------------------------------------------------

    def expect(self, wanted, method, path, body=None, **headers):
        answer = self.send(method, path, body, **headers)
        assert answer.status in wanted, f"{method} {self.base}{path} gave {answer}, not one of {wanted}"
        return answer

    def put(self, path, text, **headers):
        return self.send("PUT", path, text, Content_Type="text/calendar; charset=utf-8", **headers)

    def make_calendar(self, path, name):
        body = f'{HEAD}<C:mkcalendar xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><set><prop><displayname>{name}</displayname>'
        body += "<C:supported-calendar-component-set><C:comp name='VEVENT'/></C:supported-calendar-component-set>"
        self.expect([201], "MKCALENDAR", path, body + "</prop></set></C:mkcalendar>", Content_Type="application/xml")

    def token(self, path):
        """The sync token."""
        return self.propfind(path, 0, "<sync-token/>")[0].findtext(f".//{D}sync-token")

    def etags(self, path):
        """{href: etag} of everything in the collection, by PROPFIND Depth 1."""
        found = {}
        for response in self.propfind(path, 1, "<getetag/><resourcetype/>"):
            href = response.findtext(f"{D}href")
            if response.find(f".//{D}collection") is None:
                found[urllib.parse.unquote(urllib.parse.urlsplit(href).path)] = response.findtext(f".//{D}getetag")
        return found

    def propfind(self, path, depth, props):
        body = f'{HEAD}<propfind xmlns="DAV:"><prop>{props}</prop></propfind>'
        return self.multistatus("PROPFIND", path, body, depth)

    def multistatus(self, method, path, body, depth):
        answer = self.expect([207], method, path, body, Depth=str(depth), Content_Type="application/xml")
        return xml.fromstring(answer.body).findall(f"{D}response")

    def bodies(self, path):
        """{href: text} of everything in the collection: listing and multiget, a hundred at a time."""
        hrefs, found = list(self.etags(path)), {}
        for first in range(0, len(hrefs), 100):
            asked = "".join(f"<href>{escape(urllib.parse.quote(h))}</href>" for h in hrefs[first : first + 100])
            body = f'{HEAD}<C:calendar-multiget xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><prop><getetag/><C:calendar-data/></prop>'
            for response in self.multistatus("REPORT", path, f"{body}{asked}</C:calendar-multiget>", 0):
                href = urllib.parse.unquote(urllib.parse.urlsplit(response.findtext(f"{D}href")).path)
                text = response.findtext(f".//{C}calendar-data")
                if text is not None:
                    found[href] = text
        return found

    def in_window(self, path, start, end):
        """The hrefs of the VEVENTs that a calendar-query with a time-range selects."""
        body = f'{HEAD}<C:calendar-query xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><prop><getetag/></prop><C:filter>'
        body += f'<C:comp-filter name="VCALENDAR"><C:comp-filter name="VEVENT"><C:time-range start="{stamp(start)}" end="{stamp(end)}"/>'
        body += "</C:comp-filter></C:comp-filter></C:filter></C:calendar-query>"
        responses = self.multistatus("REPORT", path, body, 1)
        return {urllib.parse.unquote(urllib.parse.urlsplit(r.findtext(f"{D}href")).path) for r in responses}

    def freebusy(self, path, start, end):
        """The VCALENDAR of a free-busy-query."""
        body = f'{HEAD}<C:free-busy-query xmlns:C="urn:ietf:params:xml:ns:caldav">'
        body += f'<C:time-range start="{stamp(start)}" end="{stamp(end)}"/></C:free-busy-query>'
        return self.expect([200], "REPORT", path, body, Depth="1", Content_Type="application/xml").body


def stamp(instant):
    return f"{instant:%Y%m%dT%H%M%SZ}"


def escape(text):
    return text.replace("&", "&amp;").replace("<", "&lt;")


def uid(text):
    """The UID of an object."""
    for line in unfolded(text):
        if line.upper().startswith("UID:"):
            return line[4:]
    raise AssertionError(f"an object without UID: {text[:200]}")


def unfolded(text):
    return text.replace("\r\n", "\n").replace("\n ", "").replace("\n\t", "").split("\n")


def canonical(text):
    """What an object says, whatever the order of its lines: for comparing across servers that print anew."""
    path, lines = [], []
    for line in unfolded(text):
        head, _, rest = line.partition(":")
        if head.upper() == "BEGIN":
            path.append(rest.upper())
        elif head.upper() == "END":
            path.pop()
        elif path and path[1:2] == ["VEVENT"]:
            name, *params = head.split(";")
            rest = ";".join(sorted(rest.split(";"))) if name == "RRULE" else rest
            lines.append(
                "/".join([*path[1:], ";".join([name, *sorted(p.replace('"', "") for p in params)])]) + ":" + rest
            )
    return "\n".join(sorted(lines))


def value(text, name):
    """The value of the first property of that name inside the VEVENT; None: there is none."""
    inside = False
    for line in unfolded(text):
        inside = inside or line == "BEGIN:VEVENT"
        head, _, rest = line.partition(":")
        if inside and head.split(";")[0].upper() == name:
            return rest
    return None
