"""tsdav: every function that it exports for CalDAV, called by tsdav/main.mjs."""

import json
import os
import subprocess

import environment
import servers
from outcome import Outcome


def run(binary, folder):
    """{function and what is asked of it: Outcome}"""
    modules = environment.node()
    gateway = servers.Alone(binary, folder)
    try:
        # Modules are looked for beside the file that asks for them.
        script = modules / "main.mjs"
        script.write_bytes((environment.HERE / "tsdav" / "main.mjs").read_bytes())
        done = subprocess.run(
            ["node", script, f"{gateway.address}/", servers.USER, servers.PASSWORD],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, cwd=folder,
            env=os.environ | {"HOME": str(folder)},
        )  # fmt: skip
    finally:
        gateway.stop()
    (folder / "tsdav.log").write_text(done.stdout + done.stderr)
    assert done.returncode == 0, f"node ended with {done.returncode}: {done.stderr[-2000:]}"
    said = (json.loads(line) for line in done.stdout.splitlines() if line.startswith("{"))
    return {line["test"]: Outcome("passed" if line["good"] else "failed", line["detail"]) for line in said}
