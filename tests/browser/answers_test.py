#!/usr/bin/env python3
"""A question typed in the page, answered by the 0.5B: the way of a person to a quote.   answers_test.py PROGRAM"""

import sys
import unittest

from browser import BrowserTest, skip
from running_server import MODEL, model_file

QUESTION = "Who rode the running machine?"
ANSWER_MS = 300_000


class Answers(BrowserTest):
    @classmethod
    def setUpClass(cls):
        cls.start_server(PROGRAM, model=MODEL)
        cls.server.wait_until_indexed()
        super().setUpClass()

    def test_an_answer_streams_and_its_citation_opens(self):
        page = self.open()
        with page.expect_response("**/lectern/ask") as reply:
            self.ask(page, QUESTION)
        page.wait_for_selector("#stop:not([hidden])")
        page.wait_for_selector("summary:has-text('…')")
        page.wait_for_selector(".sources .source", timeout=ANSWER_MS)
        self.assertEqual(reply.value.status, 200)
        self.assertGreater(page.locator(".steps li").count(), 0)
        quote = page.locator(".sources q").first.text_content()
        self.assertTrue(quote)
        page.click(".answer .cite >> nth=0")
        page.wait_for_selector("#reader mark.quote")
        self.assertEqual(self.marked(page, "#reader mark.quote"), quote)
        self.assertTrue(self.in_view(page, "#reader mark.quote"))
        page.keyboard.press("Escape")
        self.assertTrue(page.locator("#reader").is_hidden())
        self.assertEqual(page.evaluate("document.activeElement.className"), "cite")

    def test_stop_and_a_follow_up(self):
        page = self.open()
        self.ask(page, QUESTION)
        page.click("#stop")
        page.wait_for_selector(".foot:has-text('Stopped.')")
        self.assertTrue(page.locator("#send").is_visible())
        self.ask(page, QUESTION)
        page.wait_for_selector(".facts, .not-found", timeout=ANSWER_MS)
        with page.expect_request("**/lectern/ask") as sent:
            self.ask(page, "And where?")
        history = sent.value.post_data_json["history"]
        self.assertEqual([turn["role"] for turn in history], ["user", "assistant"])
        self.assertEqual(history[0]["content"], QUESTION)
        page.wait_for_selector(".turn:last-child .answer[aria-busy=false]", timeout=ANSWER_MS)
        self.assertEqual(page.locator(".foot .problem").count(), 0)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    if not model_file().exists():
        skip(f"no {model_file()}; `lectern pull qwen2.5-coder-0.5b-instruct` fetches it")
    unittest.main()
