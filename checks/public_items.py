"""Checks that the public items of the libraries match public_items.txt, so that no item becomes public unnoticed.

UPDATE_PUBLIC_ITEMS=1 updates the list: review the changes before you commit it.
"""
import difflib
import os
import sys

from _rustdoc import LIBRARIES, documented, public_items

LIST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "public_items.txt")

found = []
for package, library in LIBRARIES.items():
    for path, item in public_items(*documented(package)):
        [kind] = item["inner"]
        found.append(f"{library}::{path} {kind}")
found.sort()
if os.environ.get("UPDATE_PUBLIC_ITEMS"):
    with open(LIST, "w", encoding="utf-8") as file:
        file.write("\n".join(found) + "\n")
with open(LIST, encoding="utf-8") as file:
    listed = file.read().splitlines()
if found != listed:
    print("\n".join(difflib.unified_diff(listed, found, "public_items.txt", "the libraries", lineterm="", n=0)))
    print("public_items: the list is out of date; if the change is intended, update the list with UPDATE_PUBLIC_ITEMS=1")
print(f"public_items: {len(found)} public items of {len(LIBRARIES)} libraries")
sys.exit(found != listed)
