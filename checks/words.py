#!/usr/bin/env python3
"""Refuses wording that readers stumble over, in docs, help, messages and comments of every text file; and names of missing files.

    checks/words.py          prints each place, and ends with 1 if there is one
    checks/words.py src      only under these paths

Each rule is a pattern and what to write instead. A justified exception is a line of ALLOWED: a file and a part of the line.
"""
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# In every line.
RULES = {
    r"\bno finite (number|value)": "NaN or infinite; non-finite",
    r"\b(go|goes|gone|going|went) on (with|from)\b": "resume, continue",
    r"\bso (often|many|much|long|few)\b(?! (as|that|per))": "every n steps, n, for this long",
    r"\bbesides?\b": "next to, in addition to, alongside, compared with",
    r"\blens\b": "lengths",
    r"\b(tells?|told|hears?|heard|speaks?|spoken?|spoke)\b": "prints, reports, logs, sends, receives, names",
    r"\b(says?|said) (so|nothing)\b": "prints, reports, states",
    r"\bspar(e|es|ed|ing)\b (the |of )?(bias|both|decay|penalt|from)": "exclude from",
    r"\bcannot but\b": "is guaranteed to",
    r"\bteach(es)? nothing\b": "name the rule",
    r"\b(is|are|be) (?-i:none)\b": "does not exist, is missing, has none",
    r"\bthat there (is|are)\b": "available",
    r"\b(can|cannot|could|may) be had\b": "is available",
    r"\bthereby\b": "so",
    r"\bas (he|it|they) (was|were)( before)?\b": "unchanged",
    r"\bit gets? no better\b": "no improvement",
    r"\bthe ones? before\b": "the previous one",
    r"\bcomes? to nothing\b": "name the effect",
    r"\bby hand\b": "manually",
    r"\b(at|in) hand\b": "current",
    r"\bone after the other\b": "one by one, consecutively",
    r"\ball the same\b": "still, nevertheless",
    r"\bof (your|one's|our) own\b": "your own ..., custom",
    r"\b(in vain|under way|nothing but(?! the run))\b": "without success; running; only",
    r"(?<!there )\b(is|are) no (number|text|whole|table|fault|run|record|file|flag|checkpoint|success|multiple|gain)\b": "is not a ...",
    r"fn what_": "a statement",
}

# At the beginning of a doc comment or of the help of a flag.
OPENING = re.compile(r"^(What|Whether|How|Where|Who|Whose|When|Which|Why)\b(?!.*\?$)")

# File, and a part of the line.
ALLOWED = [
    # The former names of a method and of a flag.
    ("CHANGELOG.md", "Subscriber::hear"),
    ("CHANGELOG.md", "--lens"),
    ("crates/phalanx-cli/src/commands/bench/all_reduce.rs", 'alias = "lens"'),
    # The program misspells it too.
    ("tests/program/bench.rs", "--lens"),
]

TEXT = {".rs", ".md", ".py", ".toml", ".txt", ".sh", ".yml", ""}
SKIPPED = {"checks/words.py", "Cargo.lock", "LICENSE-APACHE", "LICENSE-MIT"}
WIDTH = 100


def files(paths):
    names = subprocess.run(["git", "ls-files", "--", *paths], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in names.splitlines() if Path(name).suffix in TEXT and name not in SKIPPED]


def openings(lines):
    """The numbers of the lines that begin a block of doc comments, each with its text."""
    before = None
    for number, line in enumerate(lines, 1):
        doc = re.match(r"\s*//[/!] ?(.*)", line)
        if doc and not before:
            yield number, doc[1]
        before = doc


def wide(lines):
    """The comments beyond WIDTH, each with its length; not code, tables and words that cannot be wrapped."""
    in_code = False
    for number, line in enumerate(lines, 1):
        comment = re.match(r"\s*//[/!]? ?(.*)", line)
        in_code = bool(comment) and in_code ^ comment[1].startswith("```")
        is_prose = comment and not in_code and not comment[1].startswith(("|", "    ", "["))
        if is_prose and len(line) > WIDTH and " " in comment[1]:
            yield number, len(line)


def missing_files(name, lines):
    """The rows of a table of files in a module's docs that name a file which is not next to it."""
    in_table = False
    for number, line in enumerate(lines, 1):
        in_table = line.startswith("//! | file |") or in_table and line.startswith("//! |")
        for file in re.findall(r"`(\w+)(?:\.rs)?`", line.split("|")[1]) if in_table else []:
            folder = (ROOT / name).parent
            if not (folder / f"{file}.rs").exists() and not (folder / file).is_dir():
                yield number, file


def faults(name):
    try:
        lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    except (UnicodeDecodeError, FileNotFoundError):
        return
    for number, line in enumerate(lines, 1):
        if any(file == name and part in line for file, part in ALLOWED):
            continue
        for pattern, instead in RULES.items():
            found = re.search(pattern, line, re.I)
            if found:
                yield number, f"'{found[0]}': write {instead}"
    if name.endswith(".rs"):
        for number, length in wide(lines):
            yield number, f"a comment of {length} columns: wrap it at {WIDTH}"
        for number, file in missing_files(name, lines):
            yield number, f"there is no file '{file}'"
        for number, text in openings(lines):
            if OPENING.match(text):
                yield number, f"'{text.split()[0]}' opens the docs: begin with a noun or a verb"


def main():
    total = 0
    for name in files(sys.argv[1:]):
        for number, what in sorted(faults(name)):
            print(f"{name}:{number}: {what}")
            total += 1
    print(f"{total} places to reword" if total else "no wording to change")
    return 1 if total else 0


sys.exit(main())
