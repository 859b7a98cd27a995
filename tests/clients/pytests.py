"""The functional tests of python-caldav and the storage tests of vdirsyncer, from their own sources, by pytest."""

import json
import os
import re
import shutil
import subprocess
import xml.etree.ElementTree as xml

import environment
import servers
from outcome import Outcome

VDIRSYNCER_SERVER = '''
import os

import pytest


class ServerMixin:
    @pytest.fixture
    def get_storage_args(self, slow_create_collection, aio_connector):
        async def inner(collection="test"):
            args = {
                "url": os.environ["DAV_URL"],
                "username": os.environ["DAV_USER"],
                "password": os.environ["DAV_PASSWORD"],
                "connector": aio_connector,
            }
            if collection is not None:
                args = await slow_create_collection(self.storage_class, args, collection)
            return args

        return inner
'''


def python_caldav(binary, folder):
    """Both of its functional suites, with and without asyncio, for three users."""
    tests = copy_of("caldav", folder)
    gateway = servers.Alone(binary, folder)
    try:
        login = {"url": f"{gateway.address}/", "password": servers.PASSWORD}
        people = [login | {"username": person} for person in gateway.PEOPLE]
        server = {"type": "external", "enabled": True, **people[0], "scheduling_users": people}
        (tests / "caldav_test_servers.json").write_text(json.dumps({"test-servers": {"calgate": server}}))
        # Only our server, none that the suite would start by itself.
        env = {"PYTHON_CALDAV_TEST_EMBEDDED": "0", "PYTHON_CALDAV_TEST_DOCKER": "0"}
        return pytest(folder, env, tests / "test_caldav.py", tests / "test_async_integration.py")
    finally:
        gateway.stop()


def vdirsyncer(binary, folder):
    tests = copy_of("vdirsyncer", folder)
    ours = tests / "storage" / "servers" / "calgate"
    ours.mkdir()
    (ours / "__init__.py").write_text(VDIRSYNCER_SERVER)
    gateway = servers.Alone(binary, folder)
    try:
        env = {
            "DAV_SERVER": "calgate", "DAV_URL": f"{gateway.address}/", "DAV_USER": servers.USER, "DAV_PASSWORD": servers.PASSWORD,
        }  # fmt: skip
        return pytest(folder, env, tests / "storage" / "dav" / "test_caldav.py", tests / "storage" / "dav" / "test_main.py")
    finally:
        gateway.stop()


def copy_of(package, folder):
    """Its tests/, and nothing else of its source: what is imported is what is installed."""
    return shutil.copytree(environment.source(package) / "tests", folder / "source" / "tests")


def pytest(folder, env, *files):
    """{Class.test: Outcome}"""
    report = folder / "report.xml"
    home = folder / "home"
    home.mkdir()
    env = os.environ | {"HOME": str(home), "TMPDIR": str(folder), "TZ": "UTC"} | env
    command = [
        servers.BIN / "python", "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider", "--timeout=120",
        "--rootdir", folder / "source", "--confcutdir", folder / "source", "-c", os.devnull, "-o", "asyncio_mode=strict",
        "-o", "asyncio_default_fixture_loop_scope=function", "--junitxml", report, *files,
    ]  # fmt: skip
    with (folder / "pytest.out").open("wb") as out:
        subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, cwd=folder / "source", timeout=600
        )
    assert report.exists(), f"pytest gave no report:\n{servers.tail(folder / 'pytest.out')}"
    outcomes = {}
    for case in xml.parse(report).iter("testcase"):
        name = f"{case.get('classname').rpartition('.')[2]}.{case.get('name')}"
        bad = next((part for part in case if part.tag in ("failure", "error", "skipped")), None)
        outcome = Outcome("passed")
        if bad is not None:
            why = re.sub(r"\s+", " ", bad.get("message") or bad.text or "")
            outcome = Outcome("skipped" if bad.tag == "skipped" else "failed", why[:300])
        # A test that fails again while it cleans up is there twice.
        if outcomes.get(name, outcome).status == "passed" or name not in outcomes:
            outcomes[name] = outcome
    return outcomes
