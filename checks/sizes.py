"""Reports the size of the code: files, lines, types and public names of each part, and import cycles between files. It never fails.

Code lines exclude blank lines, comments, docs and in-file tests. An import counts as an edge to the file that defines the name, so that
re-exports do not cause cycles.
"""
import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def packages():
    """Returns the source folder of each package of this tree."""
    places = [".", *sorted(os.path.join("crates", name) for name in os.listdir(os.path.join(ROOT, "crates")))] \
        if os.path.isdir(os.path.join(ROOT, "crates")) else ["."]
    return [os.path.normpath(os.path.join(ROOT, place, "src")) for place in places]


def without_tests(lines):
    """Returns the lines before the test module at the end of a file."""
    for number, line in enumerate(lines):
        if line.strip() == "#[cfg(test)]" and re.match(r"(pub )?mod \w+ \{", lines[number + 1] if number + 1 < len(lines) else ""):
            return lines[:number]
    return lines


class File:
    def __init__(self, path):
        lines = open(path, encoding="utf-8").read().splitlines()
        self.path, own = path, without_tests(lines)
        self.test = bool(re.search(r"#!\[cfg\(test\)\]", "\n".join(lines[:3])))
        kinds = [line.strip() for line in own]
        self.docs = sum(line.startswith(("///", "//!")) for line in kinds)
        self.code = sum(bool(line) and not line.startswith("//") for line in kinds)
        self.tests = len(lines) - len(own)
        text = "\n".join(re.sub(r"//.*", "", line) for line in own)
        self.types = re.findall(r"^(?:pub(?:\([a-z]+\))? )?(?:struct|enum|trait|type|union) (\w+)", text, re.M)
        self.uses = [path for use in re.findall(r"^\s*(?:pub(?:\([^)]*\))? )?use ([^;]+);", text, re.M) for path in expand(use)]
        self.public = [path for use in re.findall(r"^pub use ([^;]+);", text, re.M) for path in expand(use)]


def expand(use):
    """Returns the paths of a use declaration with braces, as tuples, without renames."""
    use = re.sub(r"\s+as\s+\w+", "", re.sub(r"\s+", " ", use)).strip()
    match = re.fullmatch(r"([^{]*)\{(.*)\}", use)
    if not match:
        return [tuple(part for part in use.split("::"))]
    parts, depth, begin = [], 0, 0
    for place, mark in enumerate(match[2] + ","):
        depth += (mark == "{") - (mark == "}")
        if mark == "," and depth == 0:
            parts.append(match[2][begin:place].strip())
            begin = place + 1
    return [path for part in parts if part for path in expand(match[1].strip() + part)]


def modules(source):
    """Returns the files of a package by module path."""
    found = {}
    for folder, _, names in os.walk(source):
        for name in names:
            if name.endswith(".rs") and name != "main.rs":
                path = os.path.join(folder, name)
                module = os.path.relpath(path, source)[:-3].split(os.sep)
                found[tuple(part for part in module if part not in ("mod", "lib"))] = File(path)
    return found


def defined_in(files, module, path, depth=0):
    """Returns the module whose file defines the item `path` in `module`, or None if it is from another package."""
    here = list(module)
    path = list(path)
    if path[0] == "crate":
        here = []
    elif path[0] == "super":
        while path and path[0] == "super":
            here, path = here[:-1], path[1:]
        path = ["self", *path]
    elif path[0] != "self" and (*here, path[0]) not in files:
        return None
    path = path[1:] if path[0] in ("crate", "self") else path
    while path and (*here, path[0]) in files:
        here, path = [*here, path[0]], path[1:]
    if path and tuple(here) in files and depth < 8:
        for use in files[tuple(here)].uses:
            if use[-1] == path[0] and len(use) > 1:
                found = defined_in(files, here, use, depth + 1)
                if found is not None and found != tuple(here):
                    return found
    return tuple(here) if tuple(here) in files else None


def cycles(edges):
    """Returns the strongly connected components of two or more files (Tarjan's algorithm)."""
    order, low, stack, found = {}, {}, [], []

    def visit(node):
        order[node] = low[node] = len(order)
        stack.append(node)
        for to in edges.get(node, ()):
            if to not in order:
                visit(to)
                low[node] = min(low[node], low[to])
            elif to in stack:
                low[node] = min(low[node], order[to])
        if low[node] == order[node]:
            group = stack[stack.index(node):]
            del stack[stack.index(node):]
            if len(group) > 1:
                found.append(group)

    for node in edges:
        if node not in order:
            visit(node)
    return found


total = dict(files=0, code=0, docs=0, tests=0, types=0, public=0)
names, groups = {}, []
print(f"{'part':38} files   code   docs  tests  types  public names")
for source in packages():
    files = modules(source)
    folders = {}
    for module, file in files.items():
        folder = len(module) > 1 or os.path.isdir(os.path.join(source, *module[:1]))
        folders.setdefault(module[0] if module and folder else "", []).append((module, file))
    for name_of_folder, members in sorted(folders.items()):
        size = dict(files=len(members), code=0, docs=0, tests=0, types=0, public=0)
        for module, file in members:
            for key in ("docs", "tests") if file.test else ("code", "docs", "tests"):
                size[key] += getattr(file, key)
            size["types"] += len(file.types)
            size["public"] += len(file.public)
            for name in file.types:
                names.setdefault(name, []).append(os.path.relpath(file.path, ROOT))
        part = os.path.join(os.path.relpath(source, ROOT), name_of_folder)
        print(f"{part:38} {size['files']:5} {size['code']:6} {size['docs']:6} {size['tests']:6} {size['types']:6} {size['public']:6}")
        total = {key: total[key] + size[key] for key in total}
    edges = {}
    for module, file in files.items():
        is_module_root = os.path.basename(file.path) in ("mod.rs", "lib.rs")
        for path in file.uses:
            to = defined_in(files, module, path)
            if to is not None and to != module and not (is_module_root and to[:len(module)] == module):
                edges.setdefault(module, set()).add(to)
    groups += [[os.path.join(os.path.relpath(source, ROOT), *module) for module in group] for group in cycles(edges)]
print(f"{'all':38} {total['files']:5} {total['code']:6} {total['docs']:6} {total['tests']:6} {total['types']:6} {total['public']:6}")
for group in groups:
    print("cycle:", ", ".join(sorted(group)))
for name, places in sorted(names.items()):
    if len(places) > 1:
        print(f"{len(places)} types named {name}: {', '.join(places)}")
