#!/usr/bin/env python3
"""Many clients at once: searches, questions, and questions whose client leaves, beside idle and slow connections.

    soak.py PROGRAM [--seconds 60] [--clients 64] [--idle 1000] [--slow 200]

Prints figures as JSON; exit code 1 for any status but 200 and 503 with Retry-After, a broken stream, or a server
that grew after the first third."""

import argparse
import collections
import http.client
import json
import pathlib
import random
import socket
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from running_server import MODEL, Server, model_file

QUERIES = ["runner beans", "碧螺春", "running machine", "heating", "Beethoven symphony", "rent deposit", "museum"]
QUESTIONS = ["Who rode the running machine?", "When were the runner beans sown?", "What does the heating cost?"]


def resident_mb(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0


class Soak:
    def __init__(self, server, seconds):
        self.server, self.end = server, time.monotonic() + seconds
        self.lock = threading.Lock()
        self.statuses, self.faults = collections.Counter(), []
        self.search_times, self.ask_times = [], []

    def note(self, kind, status, headers):
        with self.lock:
            self.statuses[f"{kind} {status}"] += 1
            if status not in (200, 503) or (status == 503 and "Retry-After" not in headers):
                self.faults.append(f"{kind}: {status}")

    def search(self):
        started = time.monotonic()
        status, headers, body = self.server.request("POST", "/lectern/search", {"query": random.choice(QUERIES)})
        self.note("search", status, headers)
        with self.lock:
            if status == 200:
                self.search_times.append(time.monotonic() - started)
                if not json.loads(body)["hits"]:
                    self.faults.append("a search found nothing")

    def ask(self):
        started = time.monotonic()
        body = {"question": random.choice(QUESTIONS), "max_tokens": 32}
        status, headers, reply = self.server.request("POST", "/lectern/ask", body)
        kind = "ask"
        if status == 200:
            last = reply.decode().strip().split("\n\n")[-1]
            if last.startswith("event: error"):
                error = json.loads(last.split("data: ", 1)[1])["error"]
                if error["code"] != "overloaded":
                    self.faults.append(f"ask: {error}")
                kind = "ask (turned away)"
            elif not last.startswith("event: answer"):
                self.faults.append("a stream broke off")
            else:
                with self.lock:
                    self.ask_times.append(time.monotonic() - started)
        self.note(kind, status, headers)

    def ask_and_leave(self):
        connection = http.client.HTTPConnection(self.server.host, self.server.port, timeout=60)
        try:
            body = json.dumps({"question": random.choice(QUESTIONS), "max_tokens": 200})
            connection.request("POST", "/lectern/ask", body, {"Content-Type": "application/json"})
            connection.sock.settimeout(random.uniform(0.05, 3))
            connection.sock.recv(4096)
        except (TimeoutError, OSError):
            pass
        finally:
            connection.close()
        with self.lock:
            self.statuses["ask and leave"] += 1

    def client(self, number):
        # Three in four search as somebody types, the others ask.
        while time.monotonic() < self.end:
            try:
                if number % 4 != 0:
                    self.search()
                    time.sleep(random.uniform(0.3, 1.0))
                elif random.random() < 0.5:
                    self.ask()
                else:
                    self.ask_and_leave()
            except Exception as error:  # what a client sees is a finding
                with self.lock:
                    self.faults.append(repr(error))
                time.sleep(0.1)


def quantile(values, share):
    values = sorted(values)
    return round(values[min(len(values) - 1, int(share * len(values)))], 4) if values else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    for name, value in (("seconds", 60), ("clients", 64), ("idle", 1000), ("slow", 200)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    if not model_file().exists():
        print(f"SKIPPED: {model_file()} is not there")
        return 0
    with Server(options.program, model=MODEL) as server:
        server.wait_until_indexed()
        server.post("/lectern/ask", {"question": QUESTIONS[0], "stream": False, "max_tokens": 16})  # loads the model
        soak, sockets = Soak(server, options.seconds), []

        def idle_and_slow():  # opened again as the gate closes them
            while time.monotonic() < soak.end:
                while len(sockets) < options.idle + options.slow:
                    sock = socket.create_connection((server.host, server.port), timeout=10)
                    sock.setblocking(False)
                    sockets.append(sock)
                for sock in sockets[:options.slow]:
                    try:
                        sock.send(b"G")
                    except OSError:
                        pass
                open_ones = []
                for sock in sockets:
                    try:
                        closed = not sock.recv(4096, socket.MSG_PEEK)
                    except BlockingIOError:
                        closed = False
                    except OSError:
                        closed = True
                    if closed:
                        sock.close()
                    else:
                        open_ones.append(sock)
                sockets[:] = open_ones
                time.sleep(0.2)

        threads = [threading.Thread(target=soak.client, args=(n,)) for n in range(options.clients)]
        threads.append(threading.Thread(target=idle_and_slow))
        for thread in threads:
            thread.start()
        memory = []
        while any(thread.is_alive() for thread in threads):
            memory.append(resident_mb(server.process.pid))
            time.sleep(1)
        for sock in sockets:
            sock.close()
        third = max(1, len(memory) // 3)
        early, late = max(memory[:third]), max(memory[-third:])
        if late > early * 1.1 + 20:
            soak.faults.append(f"the server grew from {early:.0f} to {late:.0f} MB")
        print(json.dumps({"seconds": options.seconds, "clients": options.clients, "requests": soak.statuses,
                          "search_p50": quantile(soak.search_times, 0.5),
                          "search_p95": quantile(soak.search_times, 0.95),
                          "ask_p50": quantile(soak.ask_times, 0.5), "memory_mb": [round(early), round(late)],
                          "faults": soak.faults[:20]}, indent=1))
        return 1 if soak.faults else 0


if __name__ == "__main__":
    sys.exit(main())
