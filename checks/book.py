"""The book in docs builds without a warning, its links lead somewhere, and the commands in it and in the README do what it shows.

- mdbook builds the book into target/book; it is installed into target/checks if it is missing.
- Links of the book, the README and the other texts lead to files and headings that exist; each figure is used, and at most 150 kB.
- A line that begins with $ in a block marked console is run; the blocks of a page share one folder, which holds docs/data/*.csv and
  data/mnist. Its output must be the lines below it, all numbers and the curves of the terminal aside; a line "..." stands for any
  number of lines. It must succeed unless an error is shown. UPDATE_BOOK=1 writes the outputs anew.
- The flags of commands in blocks marked sh, and in code within a line, must exist.
- Each page with Rust blocks is among those that cargo test --doc runs.

Blocks that use MNIST are skipped where it is missing.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "docs" / "src"
TOOLS = ROOT / "target" / "checks" / "tools"
MNIST = os.environ.get("MNIST")
#: Texts outside the book whose links are checked, too.
TEXTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
#: Lines that depend on how busy the machine is.
VARYING = re.compile(r"warning: the (machine|takes)")
FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
faults = []


def fault(text):
    faults.append(text)
    print(text)


def mdbook():
    """The path of mdbook, or nothing."""
    path = shutil.which("mdbook", path=f"{TOOLS}/bin{os.pathsep}{os.environ['PATH']}")
    if path is None:
        install = ["cargo", "install", "mdbook", "--locked", "--debug", "--quiet", "--root", TOOLS]
        installed = subprocess.run(install, capture_output=True, text=True)
        if installed.returncode != 0:
            print(f"SKIPPED: cargo cannot install mdbook: {(installed.stderr.strip().splitlines() or ['no reason given'])[-1]}")
            return None
        path = TOOLS / "bin" / "mdbook"
    return path


def build():
    program = mdbook()
    if program is None:
        return
    built = subprocess.run([program, "build", ROOT / "docs"], capture_output=True, text=True)
    output = built.stdout + built.stderr
    if built.returncode != 0 or re.search(r"\b(WARN|ERROR)\b", output):
        fault(f"mdbook build:\n{output}")
    print(f"book: {len(list(BOOK.glob('*.md')))} files of text, built into target/book")


def without_code(text):
    return re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))


def headings(path):
    """The ids that GitHub and mdbook give to the headings of a page."""
    titles = re.findall(r"^#+ (.*)$", FENCE.sub("", path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def links():
    pages, used, count = sorted(BOOK.glob("*.md")), set(), 0
    for page in [*pages, *TEXTS]:
        for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text())):
            # The workflows of the repository's host have addresses, but no files.
            if re.match(r"https?:|mailto:|(\.\./)*actions/", target):
                continue
            count += 1
            name, _, heading = target.partition("#")
            path = (page.parent / name).resolve() if name else page
            used.add(path)
            if not path.exists():
                fault(f"{page.relative_to(ROOT)}: there is no {target}")
            elif heading and heading not in headings(path):
                fault(f"{page.relative_to(ROOT)}: there is no heading for {target}")
    for page in pages:
        if page.name != "SUMMARY.md" and page not in used:
            fault(f"{page.relative_to(ROOT)} is linked from nowhere")
    for image in sorted((BOOK / "images").iterdir()):
        if image not in used:
            fault(f"{image.relative_to(ROOT)} is used nowhere")
        if image.stat().st_size > 150_000:
            fault(f"{image.relative_to(ROOT)} has {image.stat().st_size} bytes, expected at most 150,000")
    print(f"book: {count} links to files and headings")


def pattern(line):
    """What a line of output must be, as text in which numbers and hashes are one sign."""
    line = re.sub(r"[0-9a-f]{64}", "#", line)
    line = re.sub(r"\d(?:[\d,.]*\d)?(e-?\d+)?", "#", line)
    line = re.sub(r"-{3,}|─+", "---", line)
    return re.sub(r"\s+", " ", line).strip()


def comparable(lines):
    """The lines of an output whose words are always the same: none that draw a curve, and none about a busy machine."""
    return [pattern(line) for line in lines if line.strip() and "│" not in line and not VARYING.match(line)]


def agrees(shown, output):
    """Whether an output is what is shown, in which "..." stands for any lines."""
    expression = "".join(r"(?:.*\n)*" if line == "..." else re.escape(line) + r"\n" for line in comparable(shown))
    return re.fullmatch(expression, "".join(line + "\n" for line in comparable(output))) is not None


def rewritten(shown, output):
    """The output, shortened as what is shown was."""
    if shown.count("...") != 1:
        return output
    before = shown.index("...")
    after = len(shown) - before - 1
    if len(output) <= before + after:
        return output
    return [*output[:before], "...", *output[len(output) - after:]]


def commands(block):
    """Pairs of a command, with its lines, and the output that is shown."""
    found = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append(([line], []))
        elif line.startswith("> ") and not found[-1][1]:
            found[-1][0].append(line)
        else:
            found[-1][1].append(line)
    return found


def consoles(page, program):
    """Runs the console blocks of a page, and returns their number of commands."""
    text, count = page.read_text(), 0
    if "```console" not in text:
        return 0
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / ".bin").mkdir()
        (folder / ".bin" / "phalanx").symlink_to(program)
        for file in (ROOT / "docs" / "data").glob("*.csv"):
            shutil.copy(file, folder)
        if MNIST:
            (folder / "data").mkdir()
            (folder / "data" / "mnist").symlink_to(MNIST)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PHALANX")}
        environment |= {"PATH": f"{folder}/.bin{os.pathsep}{environment['PATH']}", "LC_ALL": "C.UTF-8"}

        def checked(match):
            nonlocal count
            if match[1] != "console" or ("data/mnist" in match[2] and not MNIST):
                return match[0]
            lines = []
            for command, shown in commands(match[2]):
                count += 1
                line = "\n".join(part[2:] for part in command)
                ran = subprocess.run(["bash", "-c", line], cwd=folder, env=environment, text=True,
                                     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                output = [part.rstrip() for part in ran.stdout.splitlines()]
                while output and not output[0]:
                    output.pop(0)
                new = rewritten(shown, output) if os.environ.get("UPDATE_BOOK") else shown
                if (ran.returncode != 0) != any(part.startswith("error:") for part in new):
                    fault(f"{page.relative_to(ROOT)}: exit code {ran.returncode} of: {line}\n{ran.stdout}")
                elif not agrees(new, output):
                    fault(f"{page.relative_to(ROOT)}: other output than shown of: {line}\n{ran.stdout}")
                if os.environ.get("UPDATE_BOOK") and agrees(shown, output):
                    # Only numbers have changed, or nothing.
                    new = shown
                lines += [*command, *new]
            return "```console\n" + "\n".join(lines) + "\n```"

        new = FENCE.sub(checked, text)
        if new != text:
            page.write_text(new)
    return count


def flags(page, program):
    """Checks the flags of commands that are not run, and returns the number of these commands."""
    text = page.read_text()
    lines = [line for kind, block in FENCE.findall(text) if kind == "sh" for line in block.splitlines()]
    lines += re.findall(r"`(phalanx [^`]*)`", FENCE.sub("", text))
    lines = [re.split(r"\s#|[|>]", line)[0] for line in lines if line.startswith("phalanx ")]
    for line in lines:
        # The run to resume and the values of its flags are not there.
        words = re.sub(r"--resume\s+\S+|--allow-changed\s+\S+", "", line).split()[1:]
        # Flags before --help must exist; --print-config looks at their values, too.
        words.append("--print-config" if words[0] == "train" else "--help")
        ran = subprocess.run([program, *words], capture_output=True, text=True)
        if ran.returncode == 2:
            fault(f"{page.relative_to(ROOT)}: {line}: {ran.stderr}")
    return len(lines)


def main():
    program = Path(os.environ.get("PHALANX", ROOT / "target/release/phalanx")).resolve()
    build()
    links()
    library = (ROOT / "src/lib.rs").read_text()
    pages = [ROOT / "README.md", *sorted(BOOK.glob("*.md"))]
    for page in pages:
        if "```rust\n" in page.read_text() and f'"../{page.relative_to(ROOT)}"' not in library:
            fault(f"{page.relative_to(ROOT)} has Rust blocks, but the module book in src/lib.rs does not include it")
    run = sum(consoles(page, program) for page in pages)
    print(f"book: {run} commands run, {sum(flags(page, program) for page in pages)} others with existing flags")
    if not MNIST:
        print("SKIPPED: the commands that need MNIST; set MNIST to a folder with its files")
    sys.exit(bool(faults))


main()
