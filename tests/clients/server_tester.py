"""caldav-server-tester: which features of python-caldav's list it finds, and whether they are as the standards say."""

import json
import os
import subprocess
import sys

import servers
from outcome import Outcome

if __name__ == "__main__":
    # In a process of its own: it patches the library that it uses.
    import caldav
    from caldav.compatibility_hints import FeatureSet
    from caldav_server_tester import ServerQuirkChecker

    url, password, *people = sys.argv[1:]
    first, *others = [caldav.DAVClient(url=url, username=person, password=password) for person in people]
    checker = ServerQuirkChecker(first, debug_mode=None, extra_clients=others)
    checker.check_all()
    found, standard, answer = checker.features_checked.dotted_feature_set_list(compact=False), FeatureSet(), {}
    for feature, info in found.items():
        answer[feature] = {
            "found": checker.features_checked.is_supported(feature, str),
            "standard": standard.is_supported(feature, str),
            "more": {key: str(text) for key, text in info.items() if key != "support"},
        }
    checker.cleanup(force=True)
    print(json.dumps(answer))


def run(binary, folder):
    """{feature: Outcome}: passed when it is found in full, or when what is found is what a server without a fault has."""
    gateway = servers.Alone(binary, folder)
    try:
        with (folder / "checker.log").open("w") as log:
            done = subprocess.run(
                [sys.executable, __file__, f"{gateway.address}/", servers.PASSWORD, *gateway.PEOPLE],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True, timeout=600,
                env=os.environ | {"HOME": str(folder)},
            )  # fmt: skip
    finally:
        gateway.stop()
    assert done.returncode == 0, f"it ended with {done.returncode}:\n{servers.tail(folder / 'checker.log')}"
    outcomes = {}
    for feature, said in json.loads(done.stdout.splitlines()[-1]).items():
        good = said["found"] in ("full", said["standard"])
        outcomes[feature] = Outcome(
            "passed" if good else "failed", f"{said['found']}, not {said['standard']}: {said['more']}"[:500]
        )
    return outcomes
