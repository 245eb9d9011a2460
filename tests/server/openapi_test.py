"""GET /openapi.json is a valid document, and the server behaves as it says whatever schemathesis sends: no 5xx, replies
that fit their schemas, wrong data refused. Runs itself in build/test-venv.

    openapi_test.py PROGRAM [--seconds 25] [--seed N]     per run; without a seed it sends the same each time
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

from running_server import Server, need_package

ROOT = pathlib.Path(__file__).resolve().parents[2]


need_package("schemathesis")
need_package("openapi_spec_validator")
from openapi_spec_validator import validate  # noqa: E402

parser = argparse.ArgumentParser()
parser.add_argument("program")
parser.add_argument("--seconds", type=int, default=25)
parser.add_argument("--seed", type=int)
OPTIONS = parser.parse_args()

# Not checked, because the document cannot say it: that a query has a word, that a budget is one; and because the gate
# knows no routes: it refuses a POST without JSON (415) and PUT (405, with the methods of the whole server) before a
# route says 405 with its own, which server_test.py looks at.
NOT_CHECKED = "positive_data_acceptance,unsupported_method,allow_header_conformance"


class OpenApiTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # No model: what needs one says so. What models answer is tested in answers_test.py.
        cls.server = Server(OPTIONS.program)
        cls.server.wait_until_indexed()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()

    def test_document(self):
        status, document = self.server.get("/openapi.json")
        self.assertEqual(status, 200)
        validate(document)

    def test_examples_hold(self):
        _, document = self.server.get("/openapi.json")
        n = 0
        for path, operations in document["paths"].items():
            body = operations.get("post", {}).get("requestBody")
            if body is None or "{" in path or path == "/api/pull" or "application/json" not in body["content"]:
                continue
            example = body["content"]["application/json"]["example"]
            headers = {"MCP-Protocol-Version": "2025-11-25"} if path == "/mcp" else {}
            status, _, reply = self.server.request("POST", path, example, headers)
            # Those that need a model fail for want of one, not for a field.
            wants_model = status == 404 and json.loads(reply)["error"]["code"] in ("model_not_found", "not found")
            self.assertTrue(status == 200 or wants_model, (path, status, reply))
            n += 1
        self.assertGreaterEqual(n, 7)

    def run_schemathesis(self, parameters=None, *options):
        with tempfile.TemporaryDirectory() as folder:
            config = pathlib.Path(folder) / "schemathesis.toml"
            lines = [f"{json.dumps(name)} = {json.dumps(value)}" for name, value in (parameters or {}).items()]
            # Wrong data may also be too long for the gate (413, 414, 431).
            config.write_text("[checks.negative_data_rejection]\nexpected-statuses = [\"4xx\"]\n"
                              "[parameters]\n" + "\n".join(lines) + "\n")
            choice = ["--seed", str(OPTIONS.seed)] if OPTIONS.seed is not None else ["--generation-deterministic"]
            command = [str(pathlib.Path(sys.executable).parent / "schemathesis"), "--config-file", str(config),
                       "run", self.server.url + "/openapi.json", *choice, "--max-examples", "30",
                       "--max-time", str(OPTIONS.seconds), "--phases", "examples,coverage,fuzzing",
                       "--exclude-path", "/api/pull",  # its example would download a model
                       "--exclude-checks", NOT_CHECKED, "--continue-on-failure", "--no-color", "--warnings", "off",
                       *options]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=OPTIONS.seconds + 120)
            self.assertEqual(done.returncode, 0, done.stdout[-20000:] + done.stderr[-2000:])
            self.assertIn("Test cases", done.stdout)
        self.assertEqual(self.server.get("/health")[0], 200)

    def test_any_data(self):
        self.run_schemathesis()

    def test_data_that_is_there(self):
        self.run_schemathesis({"path.collection": "notes", "path.document": 1, "path.job": "job-1", "path.store": "notes"},
                              "--include-path-regex", "^/(lectern|v1/vector_stores)/")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]], verbosity=2)
