"""A `lectern serve` of its own for a test: a free port, a home of its own, and plain ways to speak to it."""

import http.client
import importlib.util
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
NOTES = ROOT / "examples" / "notes"
MODEL = "qwen2.5-coder-0.5b-instruct-q4_k_m"


def model_file():
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    return cache / "lectern" / "models" / (MODEL + ".gguf")


def need_package(name):
    """Runs the test again in build/test-venv when the package is not here; skips it when it is not there either."""
    if importlib.util.find_spec(name):
        return
    python = ROOT / "build" / "test-venv" / "bin" / "python"
    if not python.exists() or pathlib.Path(sys.prefix) == python.parents[1]:
        print(f"SKIPPED: the package {name} is not there: tools/test_venv.sh installs it")
        sys.exit(0)
    os.execv(python, [str(python), *sys.argv])


class Server:
    """with Server(program) as server: ... ; the folder of notes is a copy that a test may change. Without a model it has
    none, whatever this machine has pulled: a request that names one is refused, and keeps no test waiting."""

    def __init__(self, program, *options, model=None):
        self.world = pathlib.Path(tempfile.mkdtemp(prefix="lectern-server-"))
        self.notes = self.world / "notes"
        shutil.copytree(NOTES, self.notes)
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("LECTERN_")}
        for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", *(() if model else ("XDG_CACHE_HOME",))):
            self.environment[name] = str(self.world / name)
        self.command = [program, "serve", str(self.notes), "--port", "0", "--json", *options]
        if model:
            self.command += ["--model", str(model)]
        self.stderr = open(self.world / "stderr", "w+b")
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=self.stderr, env=self.environment)
        line = self.process.stdout.readline()
        start = json.loads(line) if line else {}
        if "url" not in start:
            why = start.get("error") or self.log()
            self.__exit__()
            raise RuntimeError("the server did not start: " + why)
        self.url = start["url"]
        address = urllib.parse.urlsplit(self.url)
        self.host, self.port = address.hostname, address.port

    def restart(self, kill=False):
        """Ends the server, by Ctrl-C or a kill, and starts it again over the same data, on another port."""
        if kill:
            self.process.kill()
            self.process.wait()
        else:
            self.interrupt()
        self.process.stdout.close()
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.stderr.close()
        shutil.rmtree(self.world, ignore_errors=True)

    def log(self):
        self.stderr.flush()
        return (self.world / "stderr").read_text(errors="replace")

    def interrupt(self, seconds=10):
        """Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(seconds)

    def request(self, method, path, body=None, headers=None, timeout=300):
        """(status, headers, bytes)"""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        try:
            headers = dict(headers or {})
            if body is not None and not isinstance(body, (bytes, str)):
                body = json.dumps(body)
            if method == "POST":
                headers.setdefault("Content-Type", "application/json")
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            return reply.status, reply.headers, reply.read()
        finally:
            connection.close()

    def get(self, path):
        status, _, body = self.request("GET", path)
        return status, json.loads(body)

    def post(self, path, body):
        status, _, reply = self.request("POST", path, body)
        return status, json.loads(reply)

    def events(self, path, body=None):
        """The server-sent events of a stream: [(name, data)], as text."""
        status, headers, reply = self.request("POST" if body is not None else "GET", path, body)
        assert status == 200, reply
        assert headers["Content-Type"] == "text/event-stream", headers
        events = []
        for block in reply.decode().split("\n\n"):
            name, data = "", []
            for line in block.splitlines():
                if line.startswith("event: "):
                    name = line[7:]
                if line.startswith("data: "):
                    data.append(line[6:])
            if data:
                events.append((name, "\n".join(data)))
        return events

    def raw(self, data, timeout=20, then_read=True):
        """What comes back for these bytes; the socket stays open for writing."""
        with socket.create_connection((self.host, self.port), timeout=timeout) as sock:
            sock.settimeout(timeout)
            try:
                sock.sendall(data)
            except (BrokenPipeError, ConnectionResetError):
                pass
            reply = b""
            while then_read:
                piece = sock.recv(65536)
                if not piece:
                    break
                reply += piece
            return reply

    def raw_status(self, data):
        reply = self.raw(data)
        return int(reply.split(b" ", 2)[1]) if reply.startswith(b"HTTP/1.1 ") else 0

    def wait_until_indexed(self, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            collections = self.get("/lectern/collections")[1]["collections"]
            if all(c["job"] is None for c in collections) and collections[0]["documents"] > 0:
                return collections
            time.sleep(0.05)
        raise RuntimeError("indexing does not end: " + self.log())
