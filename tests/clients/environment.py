"""What the clients' tests need from the package registries, all pinned, below target/.

`python()` is a Python environment with exactly what requirements.txt says, `source()` the unpacked source of a package
(for the tests that it brings along), `node()` a folder with the modules of package-lock.json.
`python3 tests/clients/environment.py` makes the first, if it is not there, and prints its python.
"""

import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
# Below target/: never in the way of git, gone with `cargo clean`.
TARGET = HERE.parent.parent / "target"
FOLDER = TARGET / "clients-venv"


def made(folder, *origins):
    """Whether `folder` was made from these texts; and what marks it as made."""
    wanted = hashlib.sha256(b"\0".join(origins)).hexdigest()
    stamp = folder / "made-from"
    return stamp.exists() and stamp.read_text() == wanted, lambda: stamp.write_text(wanted)


def python():
    """The interpreter of the environment, made or made anew when requirements.txt has changed."""
    requirements = HERE / "requirements.txt"
    interpreter = FOLDER / "bin" / "python"
    done, mark = made(FOLDER, requirements.read_bytes(), sys.version.encode())
    if not done:
        subprocess.run([sys.executable, "-m", "venv", "--clear", FOLDER], check=True, stdout=sys.stderr)
        subprocess.run(
            [interpreter, "-m", "pip", "install", "--quiet", "-r", requirements], check=True, stdout=sys.stderr
        )
        mark()
    return interpreter


def enter(script):
    """Goes on in the environment: the running program is replaced when it is not its python that runs."""
    interpreter = python()
    if pathlib.Path(sys.prefix) != FOLDER:
        os.execv(interpreter, [str(interpreter), str(script), *sys.argv[1:]])


def source(package):
    """The folder of a package's own source, as sources.txt pins it."""
    lines = (HERE / "sources.txt").read_text().replace("\\\n", " ").splitlines()
    line = next(line for line in lines if line.startswith(package + "=="))
    folder = TARGET / "clients-sources" / package
    done, mark = made(folder, line.encode())
    if not done:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        only = folder / "sources.txt"
        only.write_text(line + "\n")
        # pip runs the package's build to learn its name; with what the environment has, nothing more is fetched.
        subprocess.run(
            [
                python(), "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "--no-build-isolation",
                "--require-hashes", "--dest", folder, "-r", only,
            ],
            check=True, stdout=sys.stderr,
        )  # fmt: skip
        (archive,) = folder.glob("*.tar.gz")
        shutil.unpack_archive(archive, folder)
        mark()
    (unpacked,) = (path for path in folder.iterdir() if path.is_dir())
    return unpacked


def node():
    """The folder with node_modules/, filled from package-lock.json."""
    manifests = [HERE / "tsdav" / "package.json", HERE / "tsdav" / "package-lock.json"]
    folder = TARGET / "clients-node"
    done, mark = made(folder, *(path.read_bytes() for path in manifests))
    if not done:
        folder.mkdir(parents=True, exist_ok=True)
        for path in manifests:
            shutil.copy(path, folder)
        subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"],
            cwd=folder, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr,
        )  # fmt: skip
        mark()
    return folder


if __name__ == "__main__":
    print(python())
