#!/usr/bin/env python3
"""Ollama's own Python client against `lectern serve` with the 0.5B.   ollama_client_test.py PROGRAM"""

import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from running_server import MODEL, Server, model_file, need_package

need_package("ollama")
import ollama  # noqa: E402

HELLO = [{"role": "user", "content": "Say hello."}]
OPTIONS = {"temperature": 0, "num_predict": 20}


class OllamaClient(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(PROGRAM, model=MODEL)
        cls.server.wait_until_indexed()
        cls.client = ollama.Client(host=cls.server.url)

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()

    def test_list_show_and_ps(self):
        self.assertIn(MODEL, [model.model for model in self.client.list().models])
        shown = self.client.show(MODEL)
        self.assertEqual((shown.details.family, shown.details.parameter_size), ("qwen2", "0.5B"))
        self.assertIn("tools", shown.capabilities)
        self.assertGreater(shown.modelinfo["qwen2.context_length"], 1000)
        self.client.generate(MODEL, "x", options={"num_predict": 1})
        self.assertIn(MODEL, [model.model for model in self.client.ps().models])
        with self.assertRaises(ollama.ResponseError) as raised:
            self.client.show("llama-9")
        self.assertEqual(raised.exception.status_code, 404)

    def test_chat_and_generate(self):
        whole = self.client.chat(MODEL, HELLO, options=OPTIONS)
        self.assertIn("ello", whole.message.content)
        self.assertTrue(whole.done)
        streamed = "".join(part.message.content for part in self.client.chat(MODEL, HELLO, options=OPTIONS, stream=True))
        self.assertEqual(streamed, whole.message.content)
        self.assertTrue(self.client.generate(MODEL, "Say hello.", options=OPTIONS).response)

    def test_a_form(self):
        schema = {"type": "object", "properties": {"total": {"type": "integer"}}, "required": ["total"]}
        reply = self.client.chat(MODEL, [{"role": "user", "content": "Two and three?"}], format=schema, options=OPTIONS)
        self.assertEqual(set(json.loads(reply.message.content)), {"total"})

    def test_any_object(self):
        reply = self.client.generate(MODEL, "A cat as JSON, with name and age.", format="json",
                                     options={"temperature": 0, "num_predict": 200})
        self.assertIsInstance(json.loads(reply.response), dict)

    def test_tools(self):
        def get_weather(city: str) -> str:
            """The weather of a city.

            Args:
                city: the city's name
            """
        question = [{"role": "user", "content": "What is the weather in Paris?"}]
        reply = self.client.chat(MODEL, question, tools=[get_weather], options={"temperature": 0, "num_predict": 80})
        self.assertEqual(reply.message.tool_calls[0].function.name, "get_weather")
        self.assertIn("city", reply.message.tool_calls[0].function.arguments)
        history = question + [
            {"role": "assistant", "tool_calls": [{"function": {"name": "get_weather", "arguments": {"city": "Paris"}}}]},
            {"role": "tool", "tool_name": "get_weather", "content": "It is raining frogs."}]
        reply = self.client.chat(MODEL, history, options={"temperature": 0, "num_predict": 60})
        self.assertIn("frog", reply.message.content.lower())

    def test_pull(self):
        lines = [line.status for line in self.client.pull(MODEL, stream=True)]
        self.assertEqual(lines[-1], "success")
        self.assertEqual(self.client.pull(MODEL).status, "success")
        with self.assertRaises(ollama.ResponseError):
            self.client.pull("llama-9")
        with self.assertRaises(ollama.ResponseError):
            list(self.client.pull("llama-9", stream=True))

    def test_delete_is_refused(self):
        with self.assertRaises(ollama.ResponseError) as raised:
            self.client.delete(MODEL)
        self.assertEqual(raised.exception.status_code, 403)
        self.assertTrue(model_file().exists())


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    if not model_file().exists():
        print(f"SKIPPED: {model_file()} is not there; lectern pull {MODEL}")
    else:
        unittest.main(verbosity=2)
