"""Python packages for a check, in a virtual environment of its own under target/checks."""
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parent / "target" / "checks"


def skip(reason):
    """Ends a check whose tools cannot be had."""
    print(f"SKIPPED: {reason}")
    sys.exit(0)


def works(python, modules):
    """Whether a Python can import these."""
    code = "import " + ", ".join(modules)
    return subprocess.run([python, "-c", code], capture_output=True).returncode == 0


def enter(name, packages, modules, python=None, system=False):
    """Goes on with the check where `modules` can be imported: here, or in an environment into which `packages` are installed.

    `python` makes the environment, and with `system` lends it its own packages.
    """
    if works(sys.executable, modules):
        return
    venv = FOLDER / name
    inside = venv / "bin" / "python"
    if not (inside.exists() and works(inside, modules)):
        options = ["--system-site-packages"] if system else []
        made = subprocess.run([python or sys.executable, "-m", "venv", "--clear", *options, venv], capture_output=True, text=True)
        if made.returncode != 0:
            skip(f"no virtual environment can be made: {(made.stderr or made.stdout).strip().splitlines()[-1]}")
        install = [inside, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
        installed = subprocess.run(install, capture_output=True, text=True)
        if installed.returncode != 0:
            skip(f"pip cannot install {' '.join(packages)}: {installed.stderr.strip().splitlines()[-1]}")
        if not works(inside, modules):
            print(f"the installed {' '.join(packages)} cannot be imported")
            sys.exit(1)
    os.execv(inside, [inside, *sys.argv])
