#!/usr/bin/env python3
"""Tests of `lectern serve` with the 0.5B model.   answers_test.py PROGRAM"""

import json
import pathlib
import socket
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from running_server import MODEL, Server, model_file

QUESTION = "Who rode the running machine?"
HELLO = [{"role": "user", "content": "Say hello."}]


def comes_to(server, name, value, seconds):
    """Whether a metric has this value within so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if f"\n{name} {float(value)}\n" in server.request("GET", "/metrics")[2].decode():
            return True
        time.sleep(0.1)
    return False


class Answers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(PROGRAM, model=MODEL)
        cls.server.wait_until_indexed()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()

    def check_citations(self, answer):
        for citation in answer["citations"]:
            _, piece = self.server.get(f"/lectern/collections/notes/documents/{citation['document']}"
                                       f"?begin={citation['quote_begin']}&end={citation['quote_end']}")
            self.assertEqual(piece["text"], citation["quote"])
            self.assertIn(f"[{citation['number']}]", answer["text"])

    def test_ask_streams(self):
        events = self.server.events("/lectern/ask", {"collection": "notes", "question": QUESTION, "max_tokens": 64})
        names = [name for name, _ in events]
        self.assertEqual(names[-1], "answer", events[-1])
        self.assertIn("step", names)
        text = "".join(json.loads(data)["text"] for name, data in events if name == "text")
        answer = json.loads(events[-1][1])
        self.assertEqual(text, answer["text"])
        self.assertTrue(answer["found"])
        self.assertTrue(answer["citations"])
        self.assertEqual(answer["model"], MODEL)
        self.check_citations(answer)

    def test_ask_at_once(self):
        status, answer = self.server.post("/lectern/ask", {"question": QUESTION, "stream": False, "max_tokens": 64})
        self.assertEqual(status, 200)
        self.assertTrue(answer["text"])
        self.check_citations(answer)

    def test_chat(self):
        status, reply = self.server.post("/v1/chat/completions",
                                         {"messages": HELLO, "temperature": 0, "max_tokens": 20, "model": MODEL})
        self.assertEqual(status, 200)
        self.assertEqual(reply["object"], "chat.completion")
        choice = reply["choices"][0]
        self.assertIn("ello", choice["message"]["content"])
        self.assertIn(choice["finish_reason"], ("stop", "length"))
        self.assertGreater(reply["usage"]["prompt_tokens"], 5)
        self.assertEqual(reply["usage"]["total_tokens"],
                         reply["usage"]["prompt_tokens"] + reply["usage"]["completion_tokens"])

    def test_chat_streams_the_same(self):
        body = {"messages": HELLO, "temperature": 0, "max_tokens": 20, "model": MODEL}
        whole = self.server.post("/v1/chat/completions", body)[1]["choices"][0]["message"]["content"]
        events = [data for _, data in self.server.events(
            "/v1/chat/completions", {**body, "stream": True, "stream_options": {"include_usage": True}})]
        self.assertEqual(events[-1], "[DONE]")
        chunks = [json.loads(data) for data in events[:-1]]
        self.assertEqual(chunks[0]["choices"][0]["delta"]["role"], "assistant")
        text = "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])
        self.assertEqual(text, whole)
        self.assertIn(chunks[-2]["choices"][0]["finish_reason"], ("stop", "length"))
        self.assertEqual(chunks[-1]["choices"], [])
        self.assertGreater(chunks[-1]["usage"]["completion_tokens"], 0)

    def test_length_stop_and_seed(self):
        body = {"messages": [{"role": "user", "content": "Count from one to twenty in words."}], "max_tokens": 5}
        self.assertEqual(self.server.post("/v1/chat/completions", body)[1]["choices"][0]["finish_reason"], "length")
        body = {**body, "temperature": 1.0, "max_tokens": 24, "seed": 7}
        texts = {self.server.post("/v1/chat/completions", body)[1]["choices"][0]["message"]["content"]
                 for _ in range(2)}
        self.assertEqual(len(texts), 1)
        text = texts.pop()
        stop = text.split()[1]
        stopped = self.server.post("/v1/chat/completions", {**body, "stop": stop})[1]["choices"][0]
        self.assertNotIn(stop, stopped["message"]["content"])
        self.assertEqual(stopped["finish_reason"], "stop")

    def test_json_schema(self):
        schema = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 20},
                                                   "people": {"type": "integer"}},
                  "required": ["city", "people"], "additionalProperties": False}
        status, reply = self.server.post("/v1/chat/completions", {
            "messages": [{"role": "user", "content": "A city and how many people live there."}], "max_tokens": 64,
            "response_format": {"type": "json_schema", "json_schema": {"name": "city", "schema": schema}}})
        self.assertEqual(status, 200, reply)
        value = json.loads(reply["choices"][0]["message"]["content"])
        self.assertEqual(set(value), {"city", "people"})
        status, reply = self.server.post("/v1/chat/completions", {
            "messages": HELLO, "response_format": {"type": "json_schema",
                                                   "json_schema": {"name": "x", "schema": {"$ref": "#"}}}})
        self.assertEqual((status, reply["error"]["param"]), (400, "response_format"))

    def test_chat_over_documents(self):
        for body in ({"model": MODEL + "/rag"}, {"model": MODEL, "collection": "notes"}):
            body = {**body, "messages": [{"role": "user", "content": QUESTION}], "max_tokens": 64}
            status, reply = self.server.post("/v1/chat/completions", body)
            self.assertEqual(status, 200, reply)
            message = reply["choices"][0]["message"]
            self.assertTrue(message["annotations"])
            note = message["annotations"][0]
            self.assertEqual(note["type"], "file_citation")
            self.assertEqual(message["content"][note["index"]:].split("]")[0], f"[{note['number']}")
            self.assertTrue(note["quote"])
        chunks = [json.loads(data) for _, data in self.server.events("/v1/chat/completions", {**body, "stream": True})
                  if data != "[DONE]"]
        text = "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks)
        self.assertEqual(text, message["content"])
        self.assertEqual(chunks[-1]["choices"][0]["delta"]["annotations"], message["annotations"])

    def test_completion(self):
        status, reply = self.server.post("/v1/completions", {"prompt": "def add(a, b):\n    return", "temperature": 0,
                                                             "max_tokens": 8})
        self.assertEqual(status, 200)
        self.assertIn("a + b", reply["choices"][0]["text"])

    def test_models(self):
        _, models = self.server.get("/v1/models")
        ids = [model["id"] for model in models["data"]]
        self.assertIn(MODEL, ids)
        self.assertIn(MODEL + "/rag", ids)
        self.assertEqual(self.server.get("/v1/models/" + MODEL)[1]["id"], MODEL)
        self.assertEqual(self.server.get(f"/v1/models/{MODEL}/rag")[1]["id"], MODEL + "/rag")

    def test_refusals(self):
        def refused(body, path="/v1/chat/completions"):
            status, reply = self.server.post(path, body)
            return status, reply["error"]["param"]
        self.assertEqual(refused({"messages": HELLO, "model": "gpt-9"}), (404, "model"))
        self.assertEqual(refused({"messages": HELLO, "model": "/etc/passwd"}), (404, "model"))
        self.assertEqual(refused({"question": QUESTION, "model": "gpt-9", "stream": False}, "/lectern/ask"),
                         (404, "model"))
        self.assertEqual(refused({"messages": []}), (400, "messages"))
        self.assertEqual(refused({"messages": HELLO, "temperature": 3}), (400, "temperature"))
        self.assertEqual(refused({"messages": HELLO, "n": 2}), (400, "n"))
        self.assertEqual(refused({"messages": HELLO, "tools": [{"type": "function"}]}), (400, "tools[0]"))
        self.assertEqual(refused({"messages": [{"role": "user", "content": "word " * 60000}]}), (400, "messages"))

    def test_ollama(self):
        _, tags = self.server.get("/api/tags")
        self.assertIn(MODEL, [model["name"] for model in tags["models"]])
        self.assertTrue(self.server.get("/api/version")[1]["version"])
        body = {"model": MODEL + ":latest", "messages": HELLO, "options": {"temperature": 0, "num_predict": 16}}
        status, whole = self.server.post("/api/chat", {**body, "stream": False})
        self.assertEqual(status, 200, whole)
        self.assertTrue(whole["done"])
        _, headers, reply = self.server.request("POST", "/api/chat", body)
        self.assertEqual(headers["Content-Type"], "application/x-ndjson")
        lines = [json.loads(line) for line in reply.splitlines()]
        self.assertEqual("".join(line["message"]["content"] for line in lines), whole["message"]["content"])
        self.assertEqual([line["done"] for line in lines][-1], True)
        self.assertGreater(lines[-1]["eval_count"], 0)
        status, generated = self.server.post("/api/generate", {"model": MODEL, "prompt": "Say hello.", "stream": False,
                                                               "options": {"num_predict": 8}})
        self.assertTrue(generated["response"])

    def test_who_leaves_costs_nothing_more(self):
        body = json.dumps({"messages": [{"role": "user", "content": "Write a very long story."}], "max_tokens": 4000,
                           "temperature": 0, "stream": True}).encode()
        head = (f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n").encode()
        for streamed in (True, False):
            sent = body if streamed else body.replace(b'"stream": true', b'"stream": false')
            sent_head = head if streamed else head.replace(str(len(body)).encode(), str(len(sent)).encode())
            with socket.create_connection((self.server.host, self.server.port), timeout=60) as sock:
                sock.sendall(sent_head + sent)
                if streamed:
                    self.assertTrue(sock.recv(1000).startswith(b"HTTP/1.1 200 "))
                else:
                    time.sleep(1)
            # The request for the metrics is the one that is left.
            self.assertTrue(comes_to(self.server, "lectern_requests_in_flight", 1, 10), "it goes on for nobody")

    def test_search_while_answers_stream(self):
        results = []

        def ask():
            results.append(self.server.events("/lectern/ask", {"question": QUESTION, "max_tokens": 48})[-1][0])

        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        times = []
        while any(thread.is_alive() for thread in threads):
            started = time.monotonic()
            self.assertEqual(self.server.post("/lectern/search", {"query": "beans"})[0], 200)
            times.append(time.monotonic() - started)
            time.sleep(0.05)
        self.assertEqual(results, ["answer"] * 6)
        self.assertLess(sorted(times)[len(times) // 2], 0.5)


class Models(unittest.TestCase):
    def test_an_idle_model_is_unloaded_and_loaded_again(self):
        with Server(PROGRAM, "--idle-minutes", "0.01", model=MODEL) as server:
            self.assertTrue(comes_to(server, "lectern_models_loaded", 0, 1))
            body = {"messages": HELLO, "max_tokens": 2}
            self.assertEqual(server.post("/v1/chat/completions", body)[0], 200)
            self.assertTrue(comes_to(server, "lectern_models_loaded", 1, 1))
            self.assertTrue(comes_to(server, "lectern_models_loaded", 0, 30))
            self.assertEqual(server.post("/v1/chat/completions", body)[0], 200)

    def test_a_model_makes_room_for_another(self):
        other = "qwen2.5-coder-1.5b-instruct-q4_k_m"
        if not model_file().with_name(other + ".gguf").exists():
            self.skipTest(f"{other} is not there")
        with Server(PROGRAM, "--model-memory", "1.2", model=MODEL) as server:
            for model in (MODEL, other, MODEL):
                reply = server.post("/v1/chat/completions", {"messages": HELLO, "max_tokens": 2, "model": model})
                self.assertEqual((reply[0], reply[1]["model"]), (200, model))
                self.assertTrue(comes_to(server, "lectern_models_loaded", 1, 1))

    def test_a_helper_beside_the_model(self):
        other = "qwen2.5-coder-1.5b-instruct-q4_k_m"
        if not model_file().with_name(other + ".gguf").exists():
            self.skipTest(f"{other} is not there")
        with Server(PROGRAM, "--helper-model", MODEL, model=other) as server:
            server.wait_until_indexed()
            self.assertEqual(server.post("/v1/chat/completions", {"messages": HELLO, "max_tokens": 2})[0], 200)
            self.assertTrue(comes_to(server, "lectern_models_loaded", 1, 1))
            status, answer = server.post("/lectern/ask", {"question": QUESTION, "stream": False, "max_tokens": 64})
            self.assertEqual((status, answer["model"], answer["found"]), (200, other, True))
            self.assertTrue(comes_to(server, "lectern_models_loaded", 2, 1))

    def test_a_helper_that_is_not_there(self):
        with self.assertRaisesRegex(RuntimeError, "nowhere.gguf"):
            Server(PROGRAM, "--helper-model", "/nowhere.gguf", model=MODEL)


class Ending(unittest.TestCase):
    def test_interrupt_while_an_answer_streams(self):
        with Server(PROGRAM, model=MODEL) as server:
            server.wait_until_indexed()
            body = json.dumps({"messages": [{"role": "user", "content": "Write a very long story."}],
                               "max_tokens": 4000, "stream": True}).encode()
            with socket.create_connection((server.host, server.port), timeout=60) as sock:
                sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
                             b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                self.assertTrue(sock.recv(1000).startswith(b"HTTP/1.1 200 "))
                self.assertEqual(server.interrupt(), 0, server.log())


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    if not model_file().exists():
        print(f"SKIPPED: {model_file()} is not there; lectern pull {MODEL}")
    else:
        unittest.main(verbosity=2)
