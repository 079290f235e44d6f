"""Python packages for a check, in a separate virtual environment under target/checks."""
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parent / "target" / "checks"


def skip(reason):
    """Ends a check whose tools are not available."""
    print(f"SKIPPED: {reason}")
    sys.exit(0)


def works(python, modules):
    """Returns whether a Python interpreter can import these modules."""
    code = "import " + ", ".join(modules)
    return subprocess.run([python, "-c", code], capture_output=True).returncode == 0


def enter(name, packages, modules, python=None, system=False):
    """Continues the check in an interpreter that can import `modules`: this one, or an environment in which `packages` are installed.

    `python` creates the environment; with `system`, the environment also uses the packages of that interpreter.
    """
    if works(sys.executable, modules):
        return
    venv = FOLDER / name
    inside = venv / "bin" / "python"
    if not (inside.exists() and works(inside, modules)):
        options = ["--system-site-packages"] if system else []
        made = subprocess.run([python or sys.executable, "-m", "venv", "--clear", *options, venv], capture_output=True, text=True)
        if made.returncode != 0:
            skip(f"cannot create a virtual environment: {(made.stderr or made.stdout).strip().splitlines()[-1]}")
        install = [inside, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
        installed = subprocess.run(install, capture_output=True, text=True)
        if installed.returncode != 0:
            skip(f"pip cannot install {' '.join(packages)}: {installed.stderr.strip().splitlines()[-1]}")
        if not works(inside, modules):
            print(f"the installed {' '.join(packages)} cannot be imported although pip reported success")
            sys.exit(1)
    os.execv(inside, [inside, *sys.argv])
