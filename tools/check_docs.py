#!/usr/bin/env python3
"""Checks that every path the documents name exists: relative links, and `code` that begins with a folder of ours or is
one of our files at the top level. In `code`, * stands for anything and {a,b} for a or b."""

import re
import sys

from source_files import ROOT, files

LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
CODE = re.compile(r"`([^`\n]+)`")
FENCE = re.compile(r"^```.*?^```", re.M | re.S)
TOP_FILE = re.compile(r"^(\./)?[A-Za-z][\w.-]*\.(md|txt)$|^\./[\w-]+$")
BUILT = ("build/",)  # made by the build


def expand(pattern):
    """a{b,c}d -> abd, acd"""
    found = re.search(r"\{([^{}]*,[^{}]*)\}", pattern)
    if not found:
        return [pattern]
    return [p for part in found.group(1).split(",")
            for p in expand(pattern[:found.start()] + part + pattern[found.end():])]


def exists(base, path):
    path = path.rstrip("/")
    if any(c in path for c in "*?["):
        return any(True for _ in base.glob(path))
    return (base / path).exists()


def named_paths(text, top_folders):
    for found in LINK.finditer(FENCE.sub("", text)):
        if "://" not in found.group(1) and not found.group(1).startswith("mailto:"):
            yield "link", found.group(1)
    for found in CODE.finditer(FENCE.sub("", text)):
        word = found.group(1).split(" ")[0].rstrip(":,")
        if word.startswith(BUILT):
            continue
        if word.removeprefix("./").split("/")[0] in top_folders and "/" in word or TOP_FILE.match(word):
            for path in expand(re.sub(r":\d+(-\d+)?$", "", word)):
                yield "code", path.removeprefix("./")


def main():
    top_folders = {p.name for p in ROOT.iterdir() if p.is_dir() and p.name not in {".git", "build"}}
    n = 0
    for document in files(".md"):
        folder = (ROOT / document).parent
        for kind, path in named_paths((ROOT / document).read_text(encoding="utf-8"), top_folders):
            if document.parts[0] in ("examples", "tests") and kind == "code":
                continue  # example notes speak of other things
            base = folder if kind == "link" else ROOT
            if not exists(base, path) and not exists(folder, path):
                print(f"{document}: {path} does not exist")
                n += 1
    return 1 if n else 0


if __name__ == "__main__":
    sys.exit(main())
