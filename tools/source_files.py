"""What the checks look at: the project's own files, whether or not it is a git checkout."""

import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
SKIPPED_FOLDERS = {"build", ".git", ".cache", "__pycache__", "Testing"}


def files(*suffixes):
    """Paths relative to the root, in order, of the files that end with one of the suffixes."""
    found = []
    for folder, subfolders, names in os.walk(ROOT):
        subfolders[:] = sorted(name for name in subfolders if name not in SKIPPED_FOLDERS)
        for name in sorted(names):
            if name.endswith(suffixes):
                found.append((pathlib.Path(folder) / name).relative_to(ROOT))
    return found
