"""`python3 tests/clients/run.py --calgate target/debug/calgate`: the suite (suite.py), in an environment of its own."""

import os
import sys

import environment

interpreter = str(environment.python())
os.execv(interpreter, [interpreter, str(environment.HERE / "suite.py"), *sys.argv[1:]])
