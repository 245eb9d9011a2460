#!/usr/bin/env python3
"""Tests of `lectern serve` that need no model.   server_test.py PROGRAM"""

import json
import os
import pathlib
import socket
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from running_server import Server

PROGRAM = sys.argv.pop(1)


class WithServer(unittest.TestCase):
    options = ()

    @classmethod
    def setUpClass(cls):
        cls.server = Server(PROGRAM, *cls.options)
        cls.collections = cls.server.wait_until_indexed()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()


class OwnApi(WithServer):
    def test_health_and_metrics(self):
        status, health = self.server.get("/health")
        self.assertEqual((status, health["status"]), (200, "ok"))
        status, headers, body = self.server.request("GET", "/metrics")
        self.assertEqual(status, 200)
        self.assertIn(b"\nlectern_connections_total ", body)
        self.assertTrue(headers["Content-Type"].startswith("text/plain"))

    def test_the_page_and_its_headers(self):
        status, headers, body = self.server.request("GET", "/")
        self.assertEqual(status, 200)
        self.assertIn(b"<html", body)
        self.assertTrue(headers["Content-Type"].startswith("text/html"))
        self.assertIn("default-src 'none'", headers["Content-Security-Policy"])
        self.assertEqual(headers["X-Content-Type-Options"], "nosniff")
        self.assertNotIn("Access-Control-Allow-Origin", headers)
        self.assertEqual(self.server.request("GET", "/index.html")[2], body)
        self.assertEqual(self.server.request("HEAD", "/")[0], 200)

    def test_collections(self):
        self.assertEqual(len(self.collections), 1)
        notes = self.collections[0]
        self.assertEqual(notes["id"], "notes")
        self.assertEqual(notes["folders"], [str(self.server.notes)])
        self.assertGreater(notes["documents"], 5)
        self.assertGreater(notes["chunks"], notes["documents"])
        self.assertIn("en", [language for language, _ in notes["languages"]])

    def test_search_marks_the_words(self):
        status, found = self.server.post("/lectern/search", {"collection": "notes", "query": "runner beans", "limit": 3})
        self.assertEqual(status, 200)
        self.assertGreaterEqual(len(found["hits"]), 1)
        self.assertLessEqual(len(found["hits"]), 3)
        hit = found["hits"][0]
        text = hit["text"].encode()
        words = {text[b:e].decode().lower() for b, e in hit["highlights"]}
        self.assertTrue(words & {"runner", "beans", "bean", "runners"}, words)
        self.assertEqual(hit["end"] - hit["begin"], len(text))
        for key in ("document", "chunk", "path", "title", "heading", "page", "line_first", "line_last", "score"):
            self.assertIn(key, hit)

    def test_a_hit_is_found_in_its_document(self):
        hit = self.server.post("/lectern/search", {"query": "碧螺春"})[1]["hits"][0]
        status, piece = self.server.get(
            f"/lectern/collections/notes/documents/{hit['document']}?begin={hit['begin']}&end={hit['end']}")
        self.assertEqual(status, 200)
        self.assertEqual(piece["text"], hit["text"])
        self.assertIn("碧螺春", hit["text"])
        _, inside = self.server.get(
            f"/lectern/collections/notes/documents/{hit['document']}?begin={hit['begin'] + 1}&end={hit['end']}")
        self.assertLessEqual(inside["begin"], hit["begin"] + 1)
        inside["text"].encode()

    def test_documents(self):
        status, documents = self.server.get("/lectern/collections/notes/documents")
        self.assertEqual(status, 200)
        self.assertEqual(len(documents["documents"]), self.collections[0]["documents"])
        first = documents["documents"][0]
        status, whole = self.server.get(f"/lectern/collections/notes/documents/{first['id']}")
        self.assertEqual((whole["path"], whole["begin"]), (first["path"], 0))
        self.assertEqual(len(whole["text"].encode()), whole["end"])
        self.assertEqual(whole["text_bytes"], first["text_bytes"])

    def test_what_is_not_there(self):
        for path in ("/nothing", "/lectern/collections/x/documents", "/lectern/collections/notes/documents/99999",
                     "/lectern/collections/notes/documents/abc", "/lectern/jobs/job-999", "/v1/models/x"):
            status, reply = self.server.get(path)
            self.assertEqual(status, 404, path)
            self.assertTrue(reply["error"]["message"], path)
        self.assertEqual(self.server.post("/lectern/search", {"collection": "x", "query": "beans"})[0], 404)

    def test_wrong_fields_are_named(self):
        for body, param in (({}, "query"), ({"query": 7}, "query"), ({"query": "a", "limit": 0}, "limit"),
                            ({"query": "a", "limit": 1.5}, "limit"), ({"query": "a", "limit": 10**30}, "limit"),
                            ({"query": "beans", "names": "yes"}, "names"), ({"query": "a" * 9000}, "query")):
            status, reply = self.server.post("/lectern/search", body)
            self.assertEqual((status, reply["error"]["param"]), (400, param), body)
        for body, param in (({"question": ""}, "question"), ({"question": "q", "level": "9"}, "level"),
                            ({"question": "q", "max_tokens": 10**6}, "max_tokens"),
                            ({"question": "q", "history": [{"role": "system", "content": "x"}]}, "history")):
            status, reply = self.server.post("/lectern/ask", body)
            self.assertEqual((status, reply["error"]["param"]), (400, param), body)
        self.assertEqual(self.server.post("/lectern/search", {"query": "?!"})[0], 400)
        self.assertEqual(self.server.post("/lectern/ask", {"question": "who", "budget": ["7 miles"]})[0], 400)

    def test_other_methods_are_told_what_there_is(self):
        for method, path, allowed in (("POST", "/lectern/collections", "GET"), ("GET", "/lectern/search", "POST"),
                                      ("DELETE", "/v1/models/x", "GET"), ("POST", "/lectern/jobs/x", "DELETE, GET"),
                                      ("POST", "/app.js", "GET")):
            status, headers, _ = self.server.request(method, path, "{}" if method == "POST" else None)
            self.assertEqual((status, headers["Allow"]), (405, allowed), path)

    def test_a_whole_number_may_have_a_point(self):
        self.assertEqual(self.server.post("/lectern/search", {"query": "beans", "limit": 2.0})[0], 200)

    def test_parts_of_messages_are_checked(self):
        for part in ({"type": {}, "text": ""}, {"text": "x"}, {"type": "text"}, 7):
            status, reply = self.server.post("/v1/chat/completions", {"messages": [{"role": "user", "content": [part]}]})
            self.assertEqual((status, reply["error"]["param"]), (400, "messages"), part)

    def test_an_object_of_very_many_keys_is_refused_at_once(self):
        body = "{" + ",".join(f'"{i}":0' for i in range(400_000)) + "}"
        begin = time.monotonic()
        self.assertEqual(self.server.request("POST", "/lectern/search", body)[0], 400)
        self.assertLess(time.monotonic() - begin, 5)

    def test_bad_json(self):
        deep = "[" * 100000
        for body in ("{", "[]", "7", "", '{"query": "a"', '{"query": NaN}', b"\xff\xfe", '{"a":' + deep):
            status, _, reply = self.server.request("POST", "/lectern/search", body)
            self.assertEqual(status, 400, body[:20])
            self.assertTrue(json.loads(reply)["error"]["message"])

    def test_indexing_is_a_job(self):
        (self.server.notes / "new.md").write_text("# New\nThe zeppelin was painted vermilion.\n")
        status, started = self.server.post("/lectern/collections/notes/index", {})
        self.assertEqual(status, 202)
        job = started["job"]["id"]
        events = self.server.events(f"/lectern/jobs/{job}/events")
        name, data = events[-1]
        self.assertEqual(name, "end")
        ended = json.loads(data)
        self.assertEqual(ended["state"], "done", ended)
        self.assertEqual(ended["report"]["added"], 1)
        self.assertEqual(self.server.get(f"/lectern/jobs/{job}")[1]["state"], "done")
        hits = self.server.post("/lectern/search", {"query": "zeppelin"})[1]["hits"]
        self.assertEqual(hits[0]["path"].split("/")[-1], "new.md")


class Gate(WithServer):
    def status(self, head, body=b""):
        return self.server.raw_status(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)

    def test_foreign_hosts_and_origins(self):
        self.assertEqual(self.status("GET /health HTTP/1.1\nHost: localhost"), 200)
        self.assertEqual(self.status("GET /health HTTP/1.1\nHost: evil.example"), 403)
        self.assertEqual(self.status("GET /health HTTP/1.1"), 400)
        self.assertEqual(self.status("GET /health HTTP/1.1\nHost: localhost\nOrigin: http://evil.example"), 403)
        self.assertEqual(self.status("GET /health HTTP/1.1\nHost: localhost\nOrigin: null"), 403)
        own = f"127.0.0.1:{self.server.port}"
        self.assertEqual(self.status(f"GET /health HTTP/1.1\nHost: {own}\nOrigin: http://{own}"), 200)

    def test_content_types(self):
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
            status = self.server.request("POST", "/lectern/search", '{"query": "a"}', {"Content-Type": kind})[0]
            self.assertEqual(status, 415, kind)

    def test_heads_have_limits(self):
        self.assertEqual(self.status("GET /health HTTP/1.1\nHost: localhost\nX: " + "a" * 20000), 431)
        self.assertEqual(self.status("GET /health HTTP/1.1\nHost: localhost\nX: " + "a" * 9000), 431)
        self.assertEqual(self.status("GET /health HTTP/1.1\nHost: localhost" + "\nX: a" * 70), 431)
        self.assertEqual(self.status("GET /" + "a" * 3000 + " HTTP/1.1\nHost: localhost"), 414)
        self.assertEqual(self.server.raw_status(b"A" * 100000), 431)  # no end of a line at all
        self.assertEqual(self.status("GET /health HTTP/1.0\nHost: localhost"), 505)

    def test_bodies_have_limits(self):
        head = "POST /lectern/search HTTP/1.1\nHost: localhost\nContent-Type: application/json\n"
        started = time.monotonic()
        self.assertEqual(self.status(head + "Content-Length: 1000000000"), 413)  # before the body is sent
        self.assertEqual(self.status(head + "Content-Length: 1000000000\nExpect: 100-continue"), 413)
        self.assertLess(time.monotonic() - started, 3)
        self.assertEqual(self.status(head + "Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n"), 411)
        self.assertEqual(self.status(head + "Content-Length: 2\nContent-Length: 2", b"{}"), 400)
        self.assertEqual(self.status(head + "Content-Length: 2\nTransfer-Encoding: chunked", b"{}"), 411)
        self.assertEqual(self.status(head + "Content-Length: 2\nContent-Encoding: gzip", b"{}"), 415)

    def test_who_sends_much_against_a_refusal_still_reads_it(self):
        head = (b"POST /lectern/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: 1000000000\r\n\r\n")
        self.assertEqual(self.server.raw_status(head + b"x" * 1000000), 413)

    def test_continue_is_said(self):
        head = ("POST /lectern/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                "Content-Length: 18\r\nExpect: 100-continue\r\n\r\n")
        with socket.create_connection((self.server.host, self.server.port), timeout=10) as sock:
            sock.sendall(head.encode())
            self.assertEqual(sock.recv(100), b"HTTP/1.1 100 Continue\r\n\r\n")
            sock.sendall(b'{"query": "beans"}')
            self.assertTrue(sock.recv(1000).startswith(b"HTTP/1.1 200 "))

    def test_methods(self):
        self.assertEqual(self.status("OPTIONS /health HTTP/1.1\nHost: localhost"), 405)
        self.assertEqual(self.status("TRACE / HTTP/1.1\nHost: localhost"), 405)
        self.assertEqual(self.status("PUT /health HTTP/1.1\nHost: localhost\nContent-Length: 0"), 405)

    def test_paths_do_not_leave_the_page(self):
        for path in ("/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/web/index.html", "//etc/passwd"):
            self.assertEqual(self.status(f"GET {path} HTTP/1.1\nHost: localhost"), 404, path)

    def test_pieces_of_one_byte(self):
        with socket.create_connection((self.server.host, self.server.port), timeout=10) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n":
                sock.sendall(bytes([byte]))
            self.assertTrue(sock.recv(1000).startswith(b"HTTP/1.1 200 "))

    def test_idle_and_slow_clients_stop_nobody(self):
        sockets, stop = [], threading.Event()
        try:
            for _ in range(400):
                sockets.append(socket.create_connection((self.server.host, self.server.port), timeout=10))

            def trickle():
                while not stop.is_set():
                    for sock in sockets[300:]:
                        try:
                            sock.sendall(b"X")
                        except OSError:
                            pass
                    stop.wait(0.2)

            for sock in sockets[300:]:
                sock.sendall(b"GET /health HTTP/1.1\r\nX-Slow: ")
            slow = threading.Thread(target=trickle)
            slow.start()
            times = []
            for _ in range(20):
                started = time.monotonic()
                status, found = self.server.post("/lectern/search", {"query": "runner beans"})
                times.append(time.monotonic() - started)
                self.assertEqual(status, 200)
                self.assertTrue(found["hits"])
            self.assertLess(sorted(times)[10], 0.5)
        finally:
            stop.set()
            for sock in sockets:
                sock.close()

    def test_a_slow_head_ends_with_408(self):
        with socket.create_connection((self.server.host, self.server.port), timeout=20) as sock:
            sock.sendall(b"GET /health HTTP/1.1\r\n")
            started = time.monotonic()
            self.assertTrue(sock.recv(1000).startswith(b"HTTP/1.1 408 "))
            self.assertGreater(time.monotonic() - started, 5)

    def test_many_at_once(self):
        statuses, lock = [], threading.Lock()

        def client():
            for _ in range(5):
                status = self.server.request("POST", "/lectern/search", {"query": "beans"})[0]
                with lock:
                    statuses.append(status)

        threads = [threading.Thread(target=client) for _ in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(statuses), 320)
        self.assertLessEqual(set(statuses), {200, 503})
        self.assertGreater(statuses.count(200), 200)


class Starting(unittest.TestCase):
    def test_interrupt_ends_it_cleanly(self):
        with Server(PROGRAM) as server:
            server.wait_until_indexed()
            with socket.create_connection((server.host, server.port)):
                self.assertEqual(server.interrupt(), 0, server.log())

    def test_a_key_is_asked_for(self):
        key = "0123456789abcdef0123"
        path = pathlib.Path(os.environ.get("TMPDIR", "/tmp")) / f"lectern-key-{os.getpid()}"
        path.write_text(key + "\n")
        try:
            with Server(PROGRAM, "--api-key-file", str(path)) as server:
                self.assertEqual(server.request("GET", "/health")[0], 200)
                self.assertEqual(server.request("GET", "/")[0], 200)
                status, headers, _ = server.request("GET", "/lectern/collections")
                self.assertEqual((status, headers["WWW-Authenticate"]), (401, "Bearer"))
                for header, wanted in ((key, 200), (key[:-1] + "x", 401), (key + "x", 401)):
                    status = server.request("GET", "/v1/models", headers={"Authorization": "Bearer " + header})[0]
                    self.assertEqual(status, wanted)
        finally:
            path.unlink()

    def test_off_the_loopback_a_key_is_needed(self):
        with self.assertRaisesRegex(RuntimeError, "did not start.*api-key-file"):
            Server(PROGRAM, "--host", "0.0.0.0")

    def test_a_unix_socket(self):
        path = pathlib.Path(os.environ.get("TMPDIR", "/tmp")) / f"lectern-socket-{os.getpid()}"
        with Server(PROGRAM, "--unix", str(path)) as server:
            self.assertEqual(server.url, f"unix:{path}")
            self.assertEqual(path.stat().st_mode & 0o777, 0o600)
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(str(path))
                sock.sendall(b"GET /health HTTP/1.1\r\nHost: anything\r\n\r\n")
                self.assertTrue(sock.recv(1000).startswith(b"HTTP/1.1 200 "))
            self.assertEqual(server.interrupt(), 0)
        self.assertFalse(path.exists())

    def test_the_log_holds_no_questions(self):
        with Server(PROGRAM, "--log") as server:
            server.wait_until_indexed()
            server.post("/lectern/search", {"query": "rhododendron"})
            server.interrupt()
            lines = [json.loads(line) for line in server.log().splitlines() if line.startswith("{")]
            self.assertTrue(any(line["path"] == "/lectern/search" and line["status"] == 200 for line in lines))
            self.assertNotIn("rhododendron", server.log())


if __name__ == "__main__":
    unittest.main(verbosity=2)
