"""The checks must be able to fail."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import check_docs  # noqa: E402
import check_includes  # noqa: E402


def breaches(path, text):
    return [why for _, why in check_includes.breaches(pathlib.Path(path), text)]


class Includes(unittest.TestCase):
    def test_arrows_point_down(self):
        self.assertEqual(breaches("engine/a.cc", '#include "base/error.h"\n#include "kernels/cpu/dispatch.h"\n'), [])
        self.assertTrue(breaches("base/a.cc", '#include "engine/engine.h"\n'))
        self.assertTrue(breaches("engine/a.cc", '#include "retrieval/chunker.h"\n'))
        self.assertTrue(breaches("agent/levels.cc", '#include "engine/engine.h"\n'))
        self.assertEqual(breaches("agent/engine_language_model.cc", '#include "engine/engine.h"\n'), [])

    def test_libraries_have_owners(self):
        self.assertEqual(breaches("retrieval/store.cc", "#include <sqlite3.h>\n"), [])
        self.assertTrue(breaches("retrieval/index.cc", "#include <sqlite3.h>\n"))
        self.assertTrue(breaches("agent/a.cc", "#include <unicode/uchar.h>\n"))
        self.assertTrue(breaches("agent/a.cc", "#include <nlohmann/json.hpp>\n"))
        self.assertTrue(breaches("agent/a.cc", "auto x = Json::parse(text);\n"))

    def test_instruction_set_files_are_plain(self):
        self.assertEqual(breaches("kernels/cpu/avx2_matmul.cc", "#include <immintrin.h>\n"), [])
        self.assertTrue(breaches("kernels/cpu/avx2_matmul.cc", "#include <vector>\n"))

    def test_headers(self):
        self.assertTrue(breaches("base/a.h", "int x;\n"))
        self.assertTrue(breaches("base/a.cc", '#include "error.h"\n'))


class Docs(unittest.TestCase):
    def named(self, text):
        return [path for _, path in check_docs.named_paths(text, {"base", "docs"})]

    def test_paths_are_found(self):
        self.assertEqual(self.named("see [it](docs/cli.md#x) and `base/error.h:12`, not `a/b` or <http://x/y>"),
                         ["docs/cli.md", "base/error.h"])
        self.assertEqual(self.named("`base/{a,b}.h` and `./run-tests`, `README.md`"),
                         ["base/a.h", "base/b.h", "run-tests", "README.md"])
        self.assertEqual(self.named("```\n`base/none.h`\n```"), [])

    def test_missing_paths_do_not_exist(self):
        self.assertFalse(check_docs.exists(check_docs.ROOT, "base/none.h"))
        self.assertTrue(check_docs.exists(check_docs.ROOT, "base/*.h"))


if __name__ == "__main__":
    unittest.main()
