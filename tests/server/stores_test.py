#!/usr/bin/env python3
"""Uploads and vector stores of `lectern serve`, without a model: refusals, restarts, kills.   stores_test.py PROGRAM"""

import json
import pathlib
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from running_server import Server

BOUNDARY = "x-y-z"


def form(filename, content, purpose="assistants"):
    return (f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\n{purpose}\r\n'
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n\r\n').encode() + \
        content + f"\r\n--{BOUNDARY}--\r\n".encode()


def send(server, body, **headers):
    status, _, reply = server.request("POST", "/v1/files", body, {
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}", **{k.replace("_", "-"): v for k, v in headers.items()}})
    return status, json.loads(reply)


def upload(server, filename, content):
    status, file = send(server, form(filename, content))
    assert status == 200, file
    return file["id"]


def wait_for(server, store, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        status, found = server.get(f"/v1/vector_stores/{store}")
        assert status == 200, found
        if found["status"] == "completed":
            return found
        time.sleep(0.05)
    raise RuntimeError("the store is not ready: " + server.log())


class Stores(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(PROGRAM)
        cls.server.wait_until_indexed()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()

    def test_forms_of_other_sites_are_refused(self):
        body = form("a.md", b"text")
        own = f"{self.server.host}:{self.server.port}"
        self.assertEqual(send(self.server, body, Origin="http://" + own)[0], 200)
        for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"},
                        {"Sec_Fetch_Site": "same-site"}, {"Host": "evil.example"}):
            self.assertEqual(send(self.server, body, **headers)[0], 403, headers)
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        for path in ("/v1/files/x", "/v1/vector_stores", "/v1/%66iles", "//v1/files"):
            self.assertEqual(self.server.request("POST", path, body, {"Content-Type": kind})[0], 415, path)
        self.assertEqual(self.server.request("POST", "/v1/files", "{}")[0], 415)

    def test_hostile_forms(self):
        for body in (b"", b"x", form("a.md", b"text")[:-6], b"--x-y-z\r\n" * 100000,
                     f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{"a" * 2000000}"\r\n\r\n'.encode(),
                     f"--{BOUNDARY}\r\nContent-Disposition: form-data; {'; ' * 1000000}\r\n\r\n--{BOUNDARY}--".encode()):
            status, reply = send(self.server, body)
            self.assertEqual(status, 400)
            self.assertTrue(reply["error"]["message"])
        for kind in ("multipart/form-data", "multipart/form-data; boundary=", 'multipart/form-data; boundary="x'):
            self.assertEqual(self.server.request("POST", "/v1/files", form("a", b"x"), {"Content-Type": kind})[0], 400)
        self.assertEqual(send(self.server, form("a.md", b""))[0], 400)
        self.assertEqual(send(self.server, form("a.md", b"x", "fine-tune"))[0], 400)
        self.assertEqual(self.server.request("GET", "/health")[0], 200)

    def test_names_are_only_names(self):
        file = send(self.server, form("../../../evil.md", b"evil words"))[1]
        self.assertEqual(file["filename"], "evil.md")
        found = [p.name for p in self.server.world.rglob("*evil*")]
        self.assertEqual(found, [])
        for path in ("/v1/files/..%2F..%2Fcatalog.db/content", "/v1/files/catalog.db/content"):
            self.assertEqual(self.server.get(path)[0], 404)
        status, headers, body = self.server.request("GET", f"/v1/files/{file['id']}/content")
        self.assertEqual((status, body), (200, b"evil words"))
        self.assertEqual(headers["Content-Type"], "application/octet-stream")
        self.assertEqual(headers["Content-Disposition"], "attachment")

    def test_refusals(self):
        def refused(path, body):
            status, reply = self.server.post("/v1/vector_stores" + path, body)
            return status, reply["error"]["param"]
        self.assertEqual(refused("", {"file_ids": ["file-none"]}), (404, "file_id"))
        self.assertEqual(refused("", {"name": 3}), (400, "name"))
        self.assertEqual(refused("", {"expires_after": {"days": 1}}), (400, "expires_after"))
        self.assertEqual(refused("", {"chunking_strategy": {"type": "static"}}), (400, "chunking_strategy"))
        self.assertEqual(refused("", {"metadata": {"a": 1}}), (400, "metadata"))
        self.assertEqual(refused("/none/search", {"query": "x"}), (404, "vector_store_id"))
        self.assertEqual(refused("/notes", {"name": "x"}), (403, "vector_store_id"))
        self.assertEqual(refused("/notes/files", {"file_id": "x"}), (403, "vector_store_id"))
        for field, value in (("max_num_results", 51), ("max_num_results", 0), ("filters", {"type": "x"}),
                             ("rewrite_query", True), ("query", "?!"), ("query", []), ("query", ["a"] * 17),
                             ("ranking_options", 1), ("query", "a " * 5000)):
            self.assertEqual(refused("/notes/search", {"query": "beans", field: value}), (400, field))
        self.assertEqual(self.server.get("/v1/files?limit=0")[0], 400)
        self.assertEqual(self.server.get("/v1/files?after=none")[0], 400)

    def test_a_store_is_a_collection_too(self):
        store = self.server.post("/v1/vector_stores", {
            "name": "Zebras", "file_ids": [upload(self.server, "z.md", b"Forty zebrafish swim in the pond.")]})[1]["id"]
        wait_for(self.server, store)
        hits = self.server.post("/lectern/search", {"collection": store, "query": "zebrafish"})[1]["hits"]
        self.assertEqual(hits[0]["path"], "z.md")
        # No name still means the folder.
        self.assertNotIn("zebrafish", json.dumps(self.server.post("/lectern/search", {"query": "zebrafish beans"})[1]["hits"]))
        self.assertIn("Zebras", [c["name"] for c in self.server.get("/lectern/collections")[1]["collections"]])
        self.assertEqual(self.server.post(f"/lectern/collections/{store}/index", {})[0], 400)
        self.assertEqual(self.server.request("DELETE", f"/v1/vector_stores/{store}")[0], 200)
        self.assertEqual(self.server.post("/lectern/search", {"collection": store, "query": "zebrafish"})[0], 404)
        self.assertEqual(list(self.server.world.rglob(store + "*")), [])

    def test_a_deleted_store_still_answers_who_asked_before(self):
        text = b"\n\n".join(b"Paragraph %d about zebrafish and ponds." % n for n in range(20000))
        store = self.server.post("/v1/vector_stores", {"file_ids": [upload(self.server, "z.md", text)]})[1]["id"]
        wait_for(self.server, store)
        statuses, stop = set(), threading.Event()

        def ask():
            while not stop.is_set():
                statuses.add(self.server.post(f"/v1/vector_stores/{store}/search", {"query": "zebrafish ponds"})[0])

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        self.assertEqual(self.server.request("DELETE", f"/v1/vector_stores/{store}")[0], 200)
        time.sleep(0.3)
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(statuses, {200, 404})


class Restarts(unittest.TestCase):
    def test_everything_is_there_again(self):
        with Server(PROGRAM) as server:
            file = upload(server, "z.md", b"Forty zebrafish swim in the pond.")
            store = server.post("/v1/vector_stores", {"name": "Pond", "file_ids": [file]})[1]["id"]
            wait_for(server, store)
            server.restart()
            self.assertEqual(wait_for(server, store)["name"], "Pond")
            found = server.post(f"/v1/vector_stores/{store}/search", {"query": "zebrafish"})[1]["data"]
            self.assertEqual([hit["file_id"] for hit in found], [file])

    def test_kills_at_any_moment(self):
        words = b"\n\n".join(b"Paragraph %d of the long file about ponds." % n for n in range(3000))
        with Server(PROGRAM) as server:
            kept, store = [], server.post("/v1/vector_stores", {"name": "Pond"})[1]["id"]
            for n in range(6):
                for m in range(3):
                    kept.append(upload(server, f"{n}-{m}.md", b"The zebrafish number %d %d. " % (n, m) + words))
                    server.post(f"/v1/vector_stores/{store}/files", {"file_id": kept[-1]})
                time.sleep(0.03 * n)
                server.restart(kill=True)
            found = wait_for(server, store)
            self.assertEqual(found["file_counts"], {"in_progress": 0, "completed": len(kept), "failed": 0,
                                                    "cancelled": 0, "total": len(kept)})
            for n, file in enumerate(kept):
                hits = server.post(f"/v1/vector_stores/{store}/search",
                                   {"query": f"zebrafish number {n // 3} {n % 3}", "max_num_results": 50})[1]["data"]
                self.assertIn(file, {hit["file_id"] for hit in hits})
            documents = server.get(f"/lectern/collections/{store}/documents")[1]["documents"]
            self.assertEqual(len(documents), len(kept))


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main(verbosity=2)
