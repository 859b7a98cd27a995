"""Other people's test suites and programs against the real binary, each beside its list of known deviations.

`python3 tests/clients/conformance.py --calgate target/debug/calgate`.  Every suite has a gateway of its own and gives
{test: Outcome}; whatever is not a plain pass must stand in deviations/SUITE.txt with its reason.  A failure that is not
listed fails the run, and so does a listed test that passes, or that is no longer there.
"""

import environment

environment.enter(__file__)

import argparse
import os
import pathlib
import shutil
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

import cadaver
import leftovers
import litmus
import pytests
import server_tester
import servers
import tsdav

SUITES = {
    "litmus": litmus.run,
    "python-caldav": pytests.python_caldav,
    "caldav-server-tester": server_tester.run,
    "vdirsyncer": pytests.vdirsyncer,
    "tsdav": tsdav.run,
    "cadaver": cadaver.run,
}
PAGE = environment.HERE.parent.parent / "docs" / "conformance.md"


def told(suite):
    """(passed, of) in the page of docs: who reads it must read what is true, and a suite that no longer runs must not look
    like a quiet one."""
    rows = ([cell.strip() for cell in line.split("|")] for line in PAGE.read_text().splitlines() if line.startswith("|"))
    return next((int(row[3]), int(row[4])) for row in rows if row[1] == suite)


def known(suite):
    """{test: reason} of deviations/SUITE.txt: a line each, `test  # reason`."""
    found = {}
    for line in (environment.HERE / "deviations" / f"{suite}.txt").read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        test, _, reason = line.partition("  # ")
        assert reason.strip(), f"deviations/{suite}.txt: no reason behind {line!r}"
        assert test.strip() not in found, f"deviations/{suite}.txt: {test} is there twice"
        found[test.strip()] = reason.strip()
    return found


def compare(suite, outcomes):
    """What is wrong with the run, line by line."""
    listed, wrong = known(suite), []
    for test, outcome in sorted(outcomes.items()):
        if outcome.status != "passed" and test not in listed:
            wrong.append(f"{test} {outcome.status}: {outcome.detail}")
        if outcome.status == "passed" and test in listed:
            wrong.append(f"{test} passed, and stands in deviations/{suite}.txt: {listed[test]}")
    wrong += [f"{test} stands in deviations/{suite}.txt, and was not run" for test in sorted(set(listed) - set(outcomes))]
    if not wrong and count(outcomes) != told(suite):
        wrong.append("{} of {} passed, and docs/conformance.md tells of {} of {}".format(*count(outcomes), *told(suite)))
    return wrong


def count(outcomes):
    """(passed, of)"""
    return sum(outcome.status == "passed" for outcome in outcomes.values()), len(outcomes)


def one(suite, binary, folder):
    """Runs a suite; ([lines to print], whether it was good)."""
    began = time.monotonic()
    folder.mkdir()
    try:
        outcomes = SUITES[suite](binary, folder)
        wrong = compare(suite, outcomes)
    except Exception:
        outcomes, wrong = {}, [traceback.format_exc()]
    passed, of = count(outcomes)
    head = f"{'FAIL' if wrong else 'ok  '} {suite} ({time.monotonic() - began:.1f} s): {passed} of {of} passed"
    lines = [head, *(f"     {line}" for line in wrong)]
    if outcomes and not wrong:
        lines += [f"     known: {test}: {reason}" for test, reason in known(suite).items()]
    return lines, not wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calgate", type=pathlib.Path, required=True, help="the binary")
    parser.add_argument("--only", nargs="*", default=list(SUITES), choices=list(SUITES), help="suites")
    parser.add_argument("--keep", action="store_true", help="leave the folder with data and logs")
    options = parser.parse_args()
    with leftovers.run("calgate-conformance-") as folder:
        good = every(options.only, options.calgate.resolve(), folder)
    if good and not options.keep:
        shutil.rmtree(folder)
    else:
        print(f"data and logs are in {folder}")
    sys.exit(0 if good else 1)


def every(suites, binary, folder):
    """Runs them side by side, for they disturb each other in nothing but the processor; whether all were good."""
    good = True
    with ThreadPoolExecutor(3) as pool:
        try:
            for lines, fine in pool.map(lambda suite: one(suite, binary, folder / suite), suites):
                print("\n".join(lines), flush=True)
                good = good and fine
        except KeyboardInterrupt:
            # Nobody waits for threads whose programs are gone.
            leftovers.end(folder)
            os._exit(130)
    running = leftovers.left(folder)
    if running:
        print(f"FAIL still running: {running}")
    return good and not running


if __name__ == "__main__":
    main()
