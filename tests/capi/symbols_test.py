"""What liblectern.so exports is what lectern.h declares and what symbols.txt lists, and nothing else. A new function is
added to both; one that disappears from symbols.txt needs a new LECTERN_ABI_VERSION.   symbols_test.py LIBRARY"""
import re
import subprocess
import sys
import unittest
from pathlib import Path

LIBRARY = Path(sys.argv.pop(1))
HERE = Path(__file__).resolve().parent
HEADER = (HERE.parent.parent / "include/lectern.h").read_text(encoding="utf-8")


def exported():
    lines = subprocess.run(["nm", "-D", "--defined-only", LIBRARY], capture_output=True, text=True, check=True).stdout
    return {name for name in (line.split()[-1] for line in lines.splitlines()) if not re.fullmatch(r"LECTERN_\d+(@.*)?", name)}


class Symbols(unittest.TestCase):
    def test_they_are_the_listed_ones(self):
        listed = (HERE / "symbols.txt").read_text(encoding="utf-8").split()
        self.assertEqual(listed, sorted(set(listed)))
        self.assertEqual(exported(), set(listed))

    def test_they_are_the_functions_of_the_header(self):
        code = re.sub(r"/\*.*?\*/", "", HEADER, flags=re.S)
        declared = re.findall(r"^LECTERN_API[^;]*?\b(lectern_\w+)\s*\(", code, flags=re.M)
        version = re.search(r"define LECTERN_ABI_VERSION (\d+)", HEADER).group(1)
        self.assertEqual(len(declared), HEADER.count("LECTERN_API ") - 1)  # but for its own definition
        self.assertEqual(exported(), {f"{name}@@LECTERN_{version}" for name in declared})


if __name__ == "__main__":
    unittest.main()
