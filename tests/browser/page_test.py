#!/usr/bin/env python3
"""The page against the real server, without a model: answers come from a script.   page_test.py PROGRAM"""

import sys
import tempfile
import unittest

from browser import Axe, BrowserTest, stream
from running_server import Server

HOSTILE = """# Hostile note

<script>window.hacked = 1</script> xylophone <img src=x onerror="window.hacked = 2"> &amp; <b>bold</b>
"""
QUOTE = "Sowed the runner beans on 12 May, forty seeds along the hazel poles, two fingers deep."
FACTS = {"level": "1", "calls": 1, "seconds": 0.5, "model": "scripted"}


class Page(BrowserTest):
    @classmethod
    def setUpClass(cls):
        cls.start_server(PROGRAM)
        (cls.server.notes / "hostile <img src=x onerror=alert(1)>.md").write_text(HOSTILE)
        lines = [f"Line {n} of a long 长文档, with nothing to see 😀.\n" for n in range(6000)]
        lines[4000] = "Here the 斑马鱼 zebrafish swims at last.\n"
        (cls.server.notes / "long.txt").write_text("".join(lines))
        cls.server.wait_until_indexed()
        cls.server.post("/lectern/collections/notes/index", {})  # the first look may have come before the two
        cls.server.wait_until_indexed()
        super().setUpClass()

    def answers(self, page, *events):
        page.route("**/lectern/ask", lambda route: route.fulfill(
            status=200, content_type="text/event-stream", body=stream(*events)))

    def beans(self, **more):
        number, text = self.document("garden-diary.md")
        begin = len(text[:text.index(QUOTE)].encode())
        citation = {"number": 1, "document": number, "path": "garden/garden-diary.md", "title": "Garden diary",
                    "heading": "Garden diary > May", "page": None, "line_first": 16, "line_last": 20, "quote": QUOTE,
                    "quote_begin": begin, "quote_end": begin + len(QUOTE.encode())}
        text = "五月: they were sown on 12 May [1]. It rained [7]."
        doubt = len(text[:text.index("It rained")].encode())
        return {"text": text, "found": True, "supported": True, "citations": [citation],
                "unsupported": [[doubt, len(text.encode())]], **FACTS, **more}

    # Search

    def test_search_as_you_type_marks_the_words(self):
        page = self.open()
        self.search(page, "runner beans")
        self.assertIn("beans", [text.lower() for text in page.locator(".hit mark").all_text_contents()])
        self.assertIn("passages", page.text_content("#search-status"))
        page.fill("#query", "")
        page.wait_for_selector("#search-hello:not([hidden])")
        self.assertEqual(page.locator(".hit").count(), 0)

    def test_a_late_reply_is_dropped(self):
        def delay(page):
            page.add_init_script("""{
                const real = window.fetch;
                window.fetch = async (path, options) => {
                    const late = String(options?.body ?? "").includes('"clock"');
                    if (late) delete options.signal;
                    const reply = await real(path, options);
                    if (late) await new Promise((done) => setTimeout(done, 1000));
                    if (late) document.documentElement.dataset.late = "";
                    return reply;
                };
            }""")
        page = self.open(script=delay)
        self.search_without_waiting(page, "clock")
        self.search_without_waiting(page, "vinegar")
        page.wait_for_selector(".hit mark:text-matches('vinegar', 'i')")
        page.wait_for_selector("html[data-late]")
        page.wait_for_timeout(100)
        self.assertEqual({text.lower() for text in page.locator(".hit mark").all_text_contents()}, {"vinegar"})

    def search_without_waiting(self, page, words):
        with page.expect_request("**/lectern/search"):
            page.fill("#query", words)

    def test_keyboard(self):
        page = self.open()
        page.click("#documents h2, #side h2 >> nth=0")
        page.keyboard.press("/")
        self.assertEqual(page.evaluate("document.activeElement.id"), "query")
        page.keyboard.type("beans")
        page.wait_for_selector(".hit >> nth=2")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        chosen = page.locator(".hit[aria-selected=true]")
        self.assertEqual(chosen.count(), 1)
        self.assertEqual(page.get_attribute("#query", "aria-activedescendant"), chosen.get_attribute("id"))
        title = chosen.locator(".path").text_content()
        page.keyboard.press("Enter")
        page.wait_for_selector("#reader mark")
        self.assertIn(title, page.text_content("#reader-place"))
        self.assertIn("bean", self.marked(page, "#reader mark").lower())
        self.assertTrue(self.in_view(page, "#reader mark"))
        page.keyboard.press("Escape")
        self.assertTrue(page.locator("#reader").is_hidden())
        self.assertEqual(page.evaluate("document.activeElement.id"), "query")
        page.keyboard.press("Escape")
        page.wait_for_selector("#search-hello:not([hidden])")
        self.assertEqual(page.input_value("#query"), "")

    def test_enter_does_not_open_what_was_found_before(self):
        page = self.open()
        self.search(page, "beans")
        page.fill("#query", "zebrafish")
        page.press("#query", "Enter")
        page.wait_for_selector("#reader mark")
        self.assertEqual(self.marked(page, "#reader mark"), "zebrafish")

    def test_a_long_document_opens_around_the_words(self):
        page = self.open()
        self.search(page, "zebrafish")
        page.keyboard.press("Enter")
        page.wait_for_selector("#reader mark")
        self.assertEqual(self.marked(page, "#reader mark"), "zebrafish")
        self.assertTrue(self.in_view(page, "#reader mark"))
        self.assertNotIn("Line 0 of", page.text_content("#reader-text"))
        for _ in range(8):
            for way in ("earlier", "later"):
                if page.locator(f"#reader-{way}").is_visible():
                    with page.expect_response("**/documents/**"):
                        page.click(f"#reader-{way}")
                    page.wait_for_timeout(50)
        self.assertEqual(page.text_content("#reader-text"), (self.server.notes / "long.txt").read_text())

    def test_text_of_documents_is_only_text(self):
        page = self.open()
        self.search(page, "xylophone")
        self.assertIn("<script>window.hacked = 1</script>", page.text_content(".hit .snippet"))
        page.keyboard.press("Enter")
        page.wait_for_selector("#reader mark")
        self.assertIn("<img src=x onerror=\"window.hacked = 2\"> &amp; <b>bold</b>", page.text_content("#reader-text"))
        self.answers(page, ("step", {"kind": "search", "detail": HOSTILE, "seconds": 0}), ("text", {"text": HOSTILE}),
                     ("answer", self.beans(text=HOSTILE, unsupported=[])))
        self.ask(page, HOSTILE)
        page.wait_for_selector(".facts")
        self.assertIn("<script>", page.text_content(".answer"))
        page.wait_for_timeout(200)
        self.assertIsNone(page.evaluate("window.hacked ?? null"))
        self.assertEqual(page.locator("main img, #reader img, #side img, body script").count(), 0)

    # Ask

    def test_a_citation_opens_its_quote_and_doubt_is_marked(self):
        page = self.open()
        self.answers(page, ("step", {"kind": "search", "detail": "1 query, 4 chunks", "seconds": 0.1}),
                     ("text", {"text": "五月"}), ("answer", self.beans()))
        self.ask(page, "When were the beans sown?")
        page.wait_for_selector(".facts")
        self.assertEqual(page.locator(".answer .cite").count(), 1)  # [7] stays text: no citation stands behind it
        self.assertTrue(page.text_content(".unsupported").startswith("It rained [7]."))
        self.assertIn("not supported", page.text_content(".unsupported"))
        self.assertIn("1 query, 4 chunks", page.text_content(".steps"))
        self.assertEqual(page.get_attribute(".answer", "aria-live"), "polite")
        page.click(".answer .cite")
        page.wait_for_selector("#reader mark.quote")
        self.assertEqual(self.marked(page, "#reader mark.quote"), QUOTE)
        self.assertTrue(self.in_view(page, "#reader mark.quote"))
        self.assertEqual(page.evaluate("document.activeElement.id"), "reader-title")

    def test_pieces_are_shown_as_they_come(self):
        body = stream(("text", {"text": "五月"}), ("text", {"text": " it rained."}))
        page = self.open(script=lambda page: page.add_init_script("""{
            const real = window.fetch;
            window.fetch = (path, options) => path !== "/lectern/ask" ? real(path, options) : Promise.resolve(new Response(
                new ReadableStream({start: (controller) => { window.send = (bytes) => controller.enqueue(new Uint8Array(bytes)); }})));
        }"""))
        self.ask(page, "When?")
        data = body.replace("\\u4e94\\u6708", "五月").encode()
        cut = data.index("五".encode()) + 1  # in the middle of a character
        end = data.index(b"\n\n") + 2
        page.evaluate("(bytes) => window.send(bytes)", list(data[:cut]))
        page.evaluate("(bytes) => window.send(bytes)", list(data[cut:end]))
        page.wait_for_selector(".answer[aria-busy=true]:text-is('五月')")
        page.evaluate("(bytes) => window.send(bytes)", list(data[end:]))
        page.wait_for_selector(".answer[aria-busy=true]:text-is('五月 it rained.')")

    def test_a_quote_that_is_gone_is_said(self):
        page = self.open()
        answer = self.beans()
        answer["citations"][0]["quote"] = "Sowed the runner beans on 13 May"
        self.answers(page, ("answer", answer))
        self.ask(page, "When?")
        page.click(".answer .cite")
        page.wait_for_selector("#reader-problem:has-text('has changed')")
        self.assertEqual(page.locator("#reader mark").count(), 0)

    def test_nothing_found_is_said_kindly(self):
        page = self.open()
        self.answers(page, ("answer", {"text": "", "found": False, "supported": False, "citations": [],
                                       "unsupported": [], **FACTS}))
        self.ask(page, "What is the speed of light?")
        page.wait_for_selector(".not-found")
        self.assertEqual(page.text_content(".not-found"), "This is not in these documents.")

    def test_errors_are_one_clear_line(self):
        page = self.open()
        self.answers(page, ("error", {"error": {"message": "the model is not there", "type": "x"}}))
        self.ask(page, "When?")
        page.wait_for_selector(".foot .problem")
        self.assertEqual(page.text_content(".foot .problem"), "the model is not there")
        self.answers(page, ("text", {"text": "It was"}))
        self.ask(page, "When?")
        page.wait_for_selector(".turn:nth-child(2) .problem")
        self.assertIn("broke off", page.text_content(".turn:nth-child(2) .problem"))
        self.assertEqual(page.text_content(".turn:nth-child(2) .answer"), "It was")

    def test_a_server_that_is_gone(self):
        page = self.open()
        page.route("**/lectern/**", lambda route: route.abort())
        page.fill("#query", "beans")
        page.wait_for_selector("#search-status:has-text('does not answer')")
        page.faults.clear()  # the browser logs the failed request

    def test_a_key_comes_from_the_fragment(self):
        key = "0123456789abcdef-key"
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(key)
            file.flush()
            with Server(PROGRAM, "--api-key-file", file.name) as server:
                page = self.browser.new_page()
                page.goto(server.url)
                page.wait_for_selector("#problem:has-text('#key=')")
                page.goto(server.url + "/#key=" + key)
                page.wait_for_selector("#collections .row")
                self.assertNotIn(key, page.url)
                page.reload()
                page.wait_for_selector("#collections .row")
                page.close()

    # The library

    def test_a_document_of_the_list_opens_and_a_changed_one_is_found(self):
        page = self.open()
        page.click("#documents .row:has-text('watering.py')")
        page.wait_for_selector("#reader-text.code")
        self.assertIn("0.32", page.text_content("#reader-text"))
        page.click("#reader-close")
        (self.server.notes / "new.md").write_text("# Otters\n\nThe otter came back to the river.\n")
        self.search_without_waiting(page, "otter")
        page.click("#reindex")
        page.wait_for_selector("#index-status:has-text('1 new')")
        page.wait_for_selector(".hit mark:text-is('otter')")
        page.wait_for_selector("#documents .row:has-text('Otters')")

    # Looks and languages

    def test_dark_and_light(self):
        ground = "getComputedStyle(document.body).backgroundColor"
        light, dark = self.open(scheme="light"), self.open(scheme="dark")
        self.assertNotEqual(light.evaluate(ground), dark.evaluate(ground))
        wanted = dark.evaluate(ground)
        light.click("#theme")
        self.assertEqual(light.evaluate(ground), wanted)
        light.reload()
        light.wait_for_selector("#documents .row")
        self.assertEqual(light.evaluate(ground), wanted)

    def test_chinese(self):
        page = self.open(language="zh-CN")
        self.assertEqual(page.get_attribute("html", "lang"), "zh-CN")
        self.assertEqual(page.text_content("#tab-ask"), "提问")
        self.search(page, "拙政园")
        self.assertIn("个段落", page.text_content("#search-status"))
        page.keyboard.press("Enter")
        page.wait_for_selector("#reader mark")
        self.assertIn("拙政园", self.marked(page, "#reader mark"))
        page.keyboard.press("Escape")
        page.click("#language")
        self.assertEqual(page.text_content("#tab-ask"), "Ask")
        self.assertIn("passage", page.text_content("#search-status"))

    def test_every_text_has_both_languages(self):
        page = self.open()
        differing = page.evaluate("""async () => {
            const source = await (await fetch("strings.js")).text();
            const names = (part) => new Set([...part.matchAll(/(?:^|[{,]\\s)\\s*([a-z_]+): "/gm)].map((m) => m[1]));
            const [en, zh] = source.split("  zh: {").map(names);
            return en.size < 50 ? ["too few"] : [...en].filter((n) => !zh.has(n)).concat([...zh].filter((n) => !en.has(n)));
        }""")
        self.assertEqual(differing, [])

    def test_phone(self):
        page = self.open(width=360, height=740)
        fits = "document.documentElement.scrollWidth <= innerWidth"
        self.assertTrue(page.evaluate(fits))
        self.search(page, "beans")
        self.assertTrue(page.evaluate(fits))
        page.click(".hit >> nth=0")
        page.wait_for_selector("#reader mark")
        self.assertTrue(page.evaluate(fits))
        self.assertEqual(page.locator("#reader").bounding_box()["width"], 360)
        page.click("#reader-close")
        page.click("#menu")
        page.click("#documents .row >> nth=0")
        page.wait_for_selector("#reader-text .piece")
        page.click("#reader-close")
        self.answers(page, ("answer", self.beans()))
        self.ask(page, "When?")
        page.wait_for_selector(".facts")
        self.assertTrue(page.evaluate(fits))

    def test_it_is_accessible(self):
        for width in (1280, 360):
            for scheme in ("light", "dark"):
                page = self.open(width=width, scheme=scheme)
                self.check_access(page, "at first")
                self.search(page, "beans")
                page.keyboard.press("ArrowDown")
                self.check_access(page, "with hits")
                page.keyboard.press("Enter")
                page.wait_for_selector("#reader mark")
                self.check_access(page, "with a document")
                page.keyboard.press("Escape")
                self.answers(page, ("answer", self.beans()))
                self.ask(page, "When?")
                page.wait_for_selector(".facts")
                self.check_access(page, "with an answer")

    def check_access(self, page, when):
        faults = [f"{fault['id']}: {node['html'][:120]}" for fault in Axe().run(page).response["violations"]
                  for node in fault["nodes"]]
        self.assertEqual(faults + page.evaluate(PALE), [], when)


# Visible texts whose contrast with their ground is below 4.5. Colours are painted to be read: there are many notations.
PALE = """() => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
    const rgba = (colour) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
        .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, n) => sum + v * [0.2126, 0.7152, 0.0722][n], 0);
    const ground = (node) => {
        for (; node; node = node.parentElement) {
            const colour = rgba(getComputedStyle(node).backgroundColor);
            if (colour[3] === 255) return colour;
        }
        return [255, 255, 255];
    };
    const pale = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const node = walker.currentNode.parentElement;
        if (!walker.currentNode.data.trim() || !node.checkVisibility()) continue;
        const a = light(rgba(getComputedStyle(node).color)), b = light(ground(node));
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (contrast < 4.5) pale.push(`${contrast.toFixed(2)} ${node.className}: ${walker.currentNode.data.trim().slice(0, 40)}`);
    }
    return pale;
}"""


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
