#!/usr/bin/env python3
"""Fails for source files above 800 lines, and names those above 400: a file has one purpose."""

import sys

from source_files import ROOT, files

SOFT, HARD = 400, 800


def main():
    too_long = 0
    for path in files(".h", ".hpp", ".c", ".cc", ".inc", ".cu", ".cuh", ".py", ".sh", ".cmake"):
        n = (ROOT / path).read_text(encoding="utf-8").count("\n")
        if n > SOFT:
            print(f"{path}: {n} lines" + (f", the limit is {HARD}" if n > HARD else ""))
        too_long += n > HARD
    return 1 if too_long else 0


if __name__ == "__main__":
    sys.exit(main())
