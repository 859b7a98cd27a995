"""litmus, which knows nothing of calendars, against a calendar.

litmus makes a plain collection and puts plain texts into it; RFC 4791 has neither.  So a small server stands between,
which changes two things and no other octet: what litmus puts goes on as a calendar object that carries litmus' text in a
property, and comes back as that text; and a MKCOL without a body goes on as one that asks for a calendar (RFC 5689).
Methods, headers, conditions, properties and all statuses are the gateway's own.

That is run twice.  First litmus' own collection, `litmus/`, is a calendar, which is where resources can be.  Then it is the
home, which is where collections can be: there `/view/litmus/` stands for the home's path, and litmus' first requests, which
remove and make its collection, are answered here.
"""

import re
import socket
import subprocess
import threading
import uuid

import servers
from dav import Dav
from outcome import Outcome

PROGRAMS = {"calendar": ["basic", "copymove", "props", "locks", "http"], "home": ["basic"]}
VIEW, HOME = "/view/litmus/", f"/dav/{servers.USER}/"
# Every object has the same size but for what it carries, so that Content-Length is known before the text is there.
OBJECT = (
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//calgate//litmus//EN\r\nBEGIN:VEVENT\r\nUID:{uid}\r\n"
    "DTSTAMP:20260101T000000Z\r\nDTSTART:20260101T100000Z\r\nSUMMARY:litmus\r\nX-LITMUS:{text}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)
MKCOL = (
    b'<?xml version="1.0" encoding="utf-8"?><mkcol xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><set><prop>'
    b"<resourcetype><collection/><C:calendar/></resourcetype></prop></set></mkcol>"
)


def run(binary, folder):
    """{place.program.test: Outcome}"""
    outcomes = {}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        gateway = servers.Alone(binary, folder, public_port=port)
        threading.Thread(target=serve, args=(listener, gateway.address), daemon=True).start()
        try:
            for place, path in (("calendar", HOME), ("home", VIEW.removesuffix("litmus/"))):
                for program in PROGRAMS[place]:
                    outcomes |= one(place, program, f"http://127.0.0.1:{port}{path}", folder)
        finally:
            gateway.stop()
    return outcomes


def one(place, program, address, folder):
    done = subprocess.run(
        [f"/usr/libexec/litmus/{program}", "--htdocs", "/usr/share/litmus/htdocs", address, servers.USER, servers.PASSWORD],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=120, cwd=folder,
    )  # fmt: skip
    (folder / f"{place}-{program}.out").write_text(done.stdout + done.stderr)
    outcomes = {}
    for name, status, detail in re.findall(r"^.*\b\d+\. (\w+)\.+ (pass|FAIL|SKIPPED|WARNING)(.*)$", done.stdout, re.M):
        if status == "pass" and "warning" in detail:
            status = "WARNING"
        status = {"pass": "passed", "FAIL": "failed", "SKIPPED": "skipped", "WARNING": "warned"}[status]
        key = f"{place}.{program}.{name}"
        while key in outcomes:
            key += "'"
        outcomes[key] = Outcome(status, detail.strip(" ()"))
    assert outcomes, f"litmus' {program} said nothing that can be read: {done.stdout[-400:]}{done.stderr[-400:]}"
    return outcomes


def serve(listener, address):
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=relay, args=(client, address), daemon=True).start()


def relay(client, address):
    """One connection of litmus, on one connection to the gateway."""
    host, port = address.removeprefix("http://").split(":")
    with client, socket.create_connection((host, int(port))) as gateway:
        here, there = client.makefile("rb"), gateway.makefile("rb")
        while exchange(client, here, gateway, there, address):
            pass


def exchange(client, here, gateway, there, address):
    """One request and its answer; False when the connection is over."""
    line, headers = read_head(here)
    if not line:
        return False
    method, path, version = line.split(" ", 2)
    if path == VIEW and method in ("DELETE", "MKCOL"):
        here.read(int(value(headers, "content-length") or 0))
        client.sendall(head("HTTP/1.1 200 OK" if method == "DELETE" else "HTTP/1.1 201 Created", [("Content-Length", "0")]))
        return True
    path = path.replace(VIEW, HOME, 1)
    line = f"{method} {path} {version}"
    headers = [(n, v.replace(VIEW, HOME, 1) if n.lower() == "destination" else v) for n, v in headers]
    length = int(value(headers, "content-length") or 0)
    put = method == "PUT"
    asks_for_collection = method == "MKCOL" and length == 0
    if put:
        uid = uid_for(address, path, value(headers, "authorization"))
        wrapped = len(OBJECT.format(uid=uid, text="")) + 2 * length
        headers = [(n, v) for n, v in headers if n.lower() != "content-length"] + [("Content-Length", str(wrapped))]
    if asks_for_collection:
        headers = [(n, v) for n, v in headers if n.lower() not in ("content-length", "content-type")]
        headers += [("Content-Length", str(len(MKCOL))), ("Content-Type", "application/xml")]
    gateway.sendall(head(line, headers))
    answer = None
    if (value(headers, "expect") or "").lower() == "100-continue":
        answer = read_head(there)
        if answer[0].split(" ")[1] == "100":
            client.sendall(head(*answer))
            answer = None
    if answer is None:
        body = here.read(length)
        if put:
            body = OBJECT.format(uid=uid, text=body.hex()).encode()
        gateway.sendall(MKCOL if asks_for_collection else body)
        answer = read_head(there)
    line, headers = answer
    if not line:
        return False
    body = read_body(method, int(line.split(" ")[1]), headers, there)
    carried = re.search(rb"^X-LITMUS:((?:[0-9a-f]|\r\n[ \t])*)", body, re.M) if method == "GET" else None
    if carried:
        body = bytes.fromhex(re.sub(r"\s", "", carried[1].decode()))
    if method != "HEAD":
        headers = [(n, v) for n, v in headers if n.lower() not in ("content-length", "transfer-encoding")]
        headers.append(("Content-Length", str(len(body))))
    client.sendall(head(line, headers) + body)
    return (value(headers, "connection") or "").lower() != "close"


def uid_for(address, path, login):
    """Of the object that is there, or a new one: a resource keeps its UID (RFC 4791 5.3.2.1)."""
    there = Dav(address).send("GET", path, **({"Authorization": login} if login else {}))
    found = re.search(r"^UID:(\S{36})\s*$", there.body, re.M) if there.status == 200 else None
    return found[1] if found else str(uuid.uuid4())


def read_head(stream):
    """(first line, [(name, value)]); ("", []) at the end of the stream."""
    line = stream.readline().decode("latin-1").rstrip("\r\n")
    headers = []
    while line and (more := stream.readline().decode("latin-1").rstrip("\r\n")):
        name, _, text = more.partition(":")
        headers.append((name, text.strip()))
    return line, headers


def read_body(method, status, headers, stream):
    if method == "HEAD" or status in (204, 304) or status < 200:
        return b""
    if (value(headers, "transfer-encoding") or "").lower() != "chunked":
        return stream.read(int(value(headers, "content-length") or 0))
    body = b""
    while size := int(stream.readline().split(b";")[0], 16):
        body += stream.read(size)
        stream.readline()
    while stream.readline().strip():
        pass
    return body


def head(line, headers):
    return "".join([line, "\r\n", *(f"{name}: {text}\r\n" for name, text in headers), "\r\n"]).encode("latin-1")


def value(headers, wanted):
    return next((text for name, text in headers if name.lower() == wanted), None)
