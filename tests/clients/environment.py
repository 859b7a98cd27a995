"""A Python environment with exactly what requirements.txt says.  `python3 tests/clients/environment.py` makes it if it is not
there, and prints its python."""

import hashlib
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
# Below target/: never in the way of git, gone with `cargo clean`.
FOLDER = HERE.parent.parent / "target" / "clients-venv"


def python():
    """The interpreter of the environment, made or made anew when requirements.txt has changed."""
    requirements = HERE / "requirements.txt"
    wanted = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    stamp, interpreter = FOLDER / "made-from", FOLDER / "bin" / "python"
    if not stamp.exists() or stamp.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", FOLDER], check=True, stdout=sys.stderr)
        subprocess.run(
            [interpreter, "-m", "pip", "install", "--quiet", "-r", requirements], check=True, stdout=sys.stderr
        )
        stamp.write_text(wanted)
    return interpreter


if __name__ == "__main__":
    print(python())
