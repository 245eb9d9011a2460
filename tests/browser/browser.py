"""A Chromium for a test, and pages in it that remember what went wrong. Runs itself in build/test-venv."""

import json
import os
import pathlib
import shutil
import sys
import unittest
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "server"))


def skip(why):
    print(f"SKIPPED: {why}")
    sys.exit(0)


from running_server import Server, need_package  # noqa: E402 (of tests/server)

need_package("axe_playwright_python")
need_package("playwright")
from axe_playwright_python.sync_playwright import Axe  # noqa: E402, F401 (for the tests)
from playwright.sync_api import sync_playwright  # noqa: E402

CHROMIUM = os.environ.get("LECTERN_CHROMIUM") or shutil.which("chromium")
if not CHROMIUM:
    skip("there is no chromium: apt-get install chromium")

WAIT_MS = 20_000


class BrowserTest(unittest.TestCase):
    """Subclasses start a server in setUpClass before this one's: cls.start_server(...)."""

    @classmethod
    def start_server(cls, *arguments, **options):
        cls.server = Server(*arguments, **options)
        cls.addClassCleanup(cls.server.__exit__)  # is called after a failed setUpClass too

    @classmethod
    def setUpClass(cls):
        cls.playwright = sync_playwright().start()
        cls.addClassCleanup(cls.playwright.stop)
        cls.browser = cls.playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        cls.addClassCleanup(cls.browser.close)

    def open(self, width=1280, height=800, scheme="light", language="en-GB", path="/", script=None):
        """A page of its own. What it logs as an error, and what it asks of others, fails the test at its end.
        `script(page)` runs before the page is loaded."""
        context = self.browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme,
                                           locale=language)
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.faults = []
        origin = urllib.parse.urlsplit(self.server.url).netloc
        page.on("console", lambda message: message.type in ("error", "warning") and page.faults.append(message.text))
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.on("request", lambda request: urllib.parse.urlsplit(request.url).netloc == origin
                or page.faults.append("a request leaves the origin: " + request.url))
        if script:
            script(page)
        page.goto(self.server.url.rstrip("/") + path)
        page.wait_for_selector("#documents .row", state="attached")
        self.addCleanup(lambda: self.close(context, page))
        return page

    def close(self, context, page):
        context.close()
        self.assertEqual(page.faults, [])

    def search(self, page, words):
        page.fill("#query", "")
        page.locator("#query").press_sequentially(words)
        page.wait_for_selector(".hit mark")

    def ask(self, page, question):
        if page.locator("#panel-ask").is_hidden():
            page.click("#tab-ask")
        page.fill("#question", question)
        page.press("#question", "Enter")

    def marked(self, page, selector):
        """The text of all marks together: a mark may be drawn line by line."""
        return "".join(page.locator(selector).all_text_contents())

    def in_view(self, page, selector):
        return page.locator(selector).first.evaluate(
            "node => { const box = node.getBoundingClientRect(); return box.top >= 0 && box.top < innerHeight; }")

    def document(self, path):
        """(id, text) of the document whose path ends so."""
        documents = self.server.get("/lectern/collections/notes/documents")[1]["documents"]
        found = next(one for one in documents if one["path"].endswith(path))
        return found["id"], self.server.get(f"/lectern/collections/notes/documents/{found['id']}")[1]["text"]


def stream(*events):
    """The body of a stream of server-sent events: (name, data) each."""
    return "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events)
