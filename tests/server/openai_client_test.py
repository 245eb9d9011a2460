#!/usr/bin/env python3
"""OpenAI's own Python client against `lectern serve` with the 0.5B.   openai_client_test.py PROGRAM"""

import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from running_server import MODEL, Server, model_file, need_package

need_package("openai")
import openai  # noqa: E402
import pydantic  # noqa: E402 (comes with it)

WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "The weather of a city now.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string", "maxLength": 30}},
                   "required": ["city"], "additionalProperties": False}}}
CLOCK = {"type": "function", "function": {"name": "get_time", "description": "The time of day."}}
FLAT_WEATHER = {"type": "function", **WEATHER["function"]}
RAIN = [{"role": "user", "content": "What is the weather in Paris?"}]
HOUSE = b"# The house\n\nThe lighthouse of Varn was painted green by Ada Holm in 1931.\n"
GARDEN = b"# The garden\n\nIn the garden of Varn grow forty quince trees and one fig.\n"


class ClientTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(PROGRAM, model=MODEL)
        cls.server.wait_until_indexed()
        cls.client = openai.OpenAI(base_url=cls.server.url + "/v1", api_key="unused", max_retries=0, timeout=300)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.server.__exit__()


class Chat(ClientTest):
    def test_chat_and_stream(self):
        arguments = dict(model=MODEL, messages=[{"role": "user", "content": "Say hello."}], temperature=0, max_tokens=20)
        whole = self.client.chat.completions.create(**arguments)
        self.assertIn("ello", whole.choices[0].message.content)
        self.assertGreater(whole.usage.total_tokens, 0)
        pieces = [chunk.choices[0].delta.content or "" for chunk in
                  self.client.chat.completions.create(**arguments, stream=True) if chunk.choices]
        self.assertEqual("".join(pieces), whole.choices[0].message.content)
        self.assertIn(MODEL, [model.id for model in self.client.models.list()])

    def test_parse(self):
        class City(pydantic.BaseModel):
            name: str
            people: int
        reply = self.client.chat.completions.parse(
            model=MODEL, messages=[{"role": "user", "content": "Name a city, and how many people live there."}],
            response_format=City, max_tokens=64, temperature=0)
        self.assertIsInstance(reply.choices[0].message.parsed, City)

    def test_any_object(self):
        reply = self.client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "Describe a cat as JSON, with name and age."}],
            response_format={"type": "json_object"}, max_tokens=200, temperature=0)
        self.assertEqual(reply.choices[0].finish_reason, "stop", reply)
        self.assertIsInstance(json.loads(reply.choices[0].message.content), dict)

    def check_call(self, call):
        self.assertEqual(call.function.name, "get_weather")
        self.assertEqual(set(json.loads(call.function.arguments)), {"city"})
        self.assertTrue(call.id)

    def test_forced_tools(self):
        for choice in ("required", {"type": "function", "function": {"name": "get_weather"}}):
            tools = [WEATHER] if choice == "required" else [CLOCK, WEATHER]
            choice_of = self.client.chat.completions.create(model=MODEL, messages=RAIN, tools=tools, tool_choice=choice,
                                                            temperature=0, max_tokens=64).choices[0]
            self.assertEqual(choice_of.finish_reason, "tool_calls")
            self.assertIsNone(choice_of.message.content)
            self.check_call(choice_of.message.tool_calls[0])
            self.assertIn("Paris", choice_of.message.tool_calls[0].function.arguments)

    def test_a_name_is_chosen(self):
        calls = self.client.chat.completions.create(model=MODEL, messages=RAIN, tools=[CLOCK, WEATHER],
                                                    tool_choice="required", max_tokens=64).choices[0].message.tool_calls
        self.assertEqual(len(calls), 1)
        self.assertIn(calls[0].function.name, ("get_weather", "get_time"))

    def test_forced_tools_stream(self):
        with self.client.chat.completions.stream(model=MODEL, messages=RAIN, tools=[WEATHER], tool_choice="required",
                                                 temperature=0, max_tokens=64) as stream:
            final = stream.get_final_completion()
        self.assertEqual(final.choices[0].finish_reason, "tool_calls")
        self.check_call(final.choices[0].message.tool_calls[0])

    def test_tools_left_to_the_model(self):
        arguments = dict(model=MODEL, messages=RAIN, tools=[WEATHER], temperature=0, max_tokens=80)
        whole = self.client.chat.completions.create(**arguments).choices[0]
        text, calls = "", []
        for chunk in self.client.chat.completions.create(**arguments, stream=True):
            delta = chunk.choices[0].delta
            text += delta.content or ""
            calls += delta.tool_calls or []
        self.assertEqual(text, whole.message.content or "")
        self.assertEqual([c.function.name for c in calls], [c.function.name for c in whole.message.tool_calls or []])
        self.assertEqual((text, whole.finish_reason), ("", "tool_calls"))
        self.check_call(whole.message.tool_calls[0])
        none = self.client.chat.completions.create(**arguments, tool_choice="none").choices[0]
        self.assertIsNone(none.message.tool_calls)

    def test_a_result_is_answered(self):
        forced = self.client.chat.completions.create(model=MODEL, messages=RAIN, tools=[WEATHER],
                                                     tool_choice="required", temperature=0).choices[0].message
        messages = RAIN + [forced.model_dump(exclude_none=True),
                           {"role": "tool", "tool_call_id": forced.tool_calls[0].id, "content": "It is raining frogs."}]
        reply = self.client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER], tool_choice="none",
                                                    temperature=0, max_tokens=60)
        self.assertIn("frog", reply.choices[0].message.content.lower())

    def test_errors(self):
        create = self.client.chat.completions.create
        with self.assertRaises(openai.NotFoundError) as raised:
            create(model="gpt-9", messages=RAIN)
        self.assertEqual(raised.exception.param, "model")
        with self.assertRaises(openai.BadRequestError) as raised:
            create(model=MODEL, messages=RAIN, tools=[WEATHER, {"type": "function", "function": {"name": "a b"}}])
        self.assertEqual(raised.exception.param, "tools[1]")
        bad = {"type": "function", "function": {"name": "f", "parameters": {
            "type": "object", "properties": {"x": {"$ref": "#"}}}}}
        with self.assertRaises(openai.BadRequestError) as raised:
            create(model=MODEL, messages=RAIN, tools=[bad], tool_choice="required")
        self.assertEqual(raised.exception.param, "tools[0]")
        with self.assertRaises(openai.BadRequestError) as raised:
            create(model=MODEL, messages=RAIN, tools=[WEATHER] * 129)
        self.assertEqual(raised.exception.param, "tools")
        with self.assertRaises(openai.NotFoundError):
            self.client.files.retrieve("file-none")
        with self.assertRaises(openai.NotFoundError):
            self.client.vector_stores.retrieve("../../etc/passwd")
        with self.assertRaises(openai.PermissionDeniedError):
            self.client.vector_stores.delete("notes")


class Stores(ClientTest):
    def test_files(self):
        file = self.client.files.create(file=("dir/house.md", HOUSE), purpose="assistants")
        self.assertEqual((file.filename, file.bytes, file.purpose), ("house.md", len(HOUSE), "assistants"))
        self.assertEqual(self.client.files.content(file.id).read(), HOUSE)
        self.assertEqual(self.client.files.retrieve(file.id).id, file.id)
        self.assertIn(file.id, [f.id for f in self.client.files.list()])
        self.assertTrue(self.client.files.delete(file.id).deleted)
        self.assertNotIn(file.id, [f.id for f in self.client.files.list()])
        with self.assertRaises(openai.BadRequestError):
            self.client.files.create(file=("x.txt", b"x"), purpose="fine-tune")

    def test_a_store(self):
        stores = self.client.vector_stores
        store = stores.create(name="Varn", metadata={"of": "tests"})
        self.assertEqual((store.status, store.file_counts.total), ("completed", 0))
        house = stores.files.upload_and_poll(vector_store_id=store.id, file=("house.md", HOUSE))
        self.assertEqual(house.status, "completed", house.last_error)
        garden = self.client.files.create(file=("garden.md", GARDEN), purpose="assistants")
        added = stores.files.create_and_poll(garden.id, vector_store_id=store.id, attributes={"year": 1990, "kind": "plants"})
        self.assertEqual((added.status, added.attributes["year"]), ("completed", 1990))
        again = stores.retrieve(store.id)
        self.assertEqual((again.file_counts.completed, again.metadata), (2, {"of": "tests"}))

        found = stores.search(store.id, query="Who painted the lighthouse?", max_num_results=5)
        best = found.data[0]
        self.assertEqual((best.file_id, best.filename), (house.id, "house.md"))
        self.assertIn("Ada Holm", best.content[0].text)
        self.assertTrue(0 < best.score <= 1)
        both = stores.search(store.id, query=["quince trees", "lighthouse"])
        self.assertEqual({hit.filename for hit in both.data}, {"house.md", "garden.md"})
        plants = {"type": "and", "filters": [{"type": "eq", "key": "kind", "value": "plants"},
                                             {"type": "gte", "key": "year", "value": 1990}]}
        self.assertEqual({hit.filename for hit in stores.search(store.id, query="Varn", filters=plants)}, {"garden.md"})
        nothing = stores.search(store.id, query="Varn", filters={"type": "eq", "key": "kind", "value": "stones"})
        self.assertEqual(nothing.data, [])

        self.assertEqual(stores.update(store.id, name="Varn II").name, "Varn II")
        self.assertTrue(stores.files.delete(garden.id, vector_store_id=store.id).deleted)
        self.assertEqual([f.id for f in stores.files.list(store.id)], [house.id])
        self.assertEqual({hit.filename for hit in stores.search(store.id, query="Varn")}, {"house.md"})
        self.client.files.delete(house.id)
        self.assertEqual(stores.search(store.id, query="Varn").data, [])
        self.assertTrue(stores.delete(store.id).deleted)
        with self.assertRaises(openai.NotFoundError):
            stores.search(store.id, query="Varn")

    def test_a_batch(self):
        store = self.client.vector_stores.create()
        batch = self.client.vector_stores.file_batches.upload_and_poll(
            store.id, files=[("same.md", HOUSE), ("same.md", GARDEN), ("bad.pdf", b"%PDF-1.4 not really")])
        self.assertEqual(batch.file_counts.total, 3)
        self.assertEqual(batch.file_counts.completed, 2)
        failed = self.client.vector_stores.file_batches.list_files(batch.id, vector_store_id=store.id, filter="failed")
        self.assertEqual(len(failed.data), 1)
        self.assertIn("bad.pdf", failed.data[0].last_error.message)
        self.assertNotIn(str(self.server.world), failed.data[0].last_error.message)
        text = "".join(hit.content[0].text for hit in self.client.vector_stores.search(store.id, query="Varn quince lighthouse"))
        self.assertIn("Ada Holm", text)
        self.assertIn("quince", text)
        self.client.vector_stores.delete(store.id)

    def test_a_folder_is_a_store(self):
        folder = self.client.vector_stores.retrieve("notes")
        self.assertGreater(folder.file_counts.completed, 5)
        self.assertIn("notes", [store.id for store in self.client.vector_stores.list()])
        hit = self.client.vector_stores.search("notes", query="runner beans", max_num_results=1).data[0]
        self.assertIn("bean", hit.content[0].text.lower())
        markdown = self.client.vector_stores.search("notes", query="runner beans",
                                                    filters={"type": "eq", "key": "path", "value": hit.filename})
        self.assertEqual({h.filename for h in markdown}, {hit.filename})

    def test_pages(self):
        files = [self.client.files.create(file=(f"{n}.txt", b"text %d" % n), purpose="user_data") for n in range(5)]
        seen = [f.id for f in self.client.files.list(limit=2, order="asc", purpose="user_data")]
        self.assertEqual(seen, [f.id for f in files])
        for file in files:
            self.client.files.delete(file.id)


class Responses(ClientTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.store = cls.client.vector_stores.create(name="Varn")
        cls.file = cls.client.vector_stores.files.upload_and_poll(vector_store_id=cls.store.id, file=("house.md", HOUSE))
        cls.tools = [{"type": "file_search", "vector_store_ids": [cls.store.id]}]

    def test_text_and_what_came_before(self):
        first = self.client.responses.create(model=MODEL, input="My name is Zork. Say hello.", max_output_tokens=30,
                                             instructions="Be brief.", temperature=0)
        self.assertEqual((first.status in ("completed", "incomplete"), first.output[0].type), (True, "message"))
        self.assertTrue(first.output_text)
        self.assertGreater(first.usage.input_tokens, 0)
        second = self.client.responses.create(model=MODEL, input="What is my name?", previous_response_id=first.id,
                                              max_output_tokens=30, temperature=0)
        self.assertIn("Zork", second.output_text)
        self.assertEqual(self.client.responses.retrieve(second.id).output_text, second.output_text)
        self.client.responses.delete(second.id)
        with self.assertRaises(openai.NotFoundError):
            self.client.responses.retrieve(second.id)
        with self.assertRaises(openai.NotFoundError):
            self.client.responses.create(model=MODEL, input="x", previous_response_id=second.id)

    def test_parse(self):
        class Sum(pydantic.BaseModel):
            total: int
        reply = self.client.responses.parse(model=MODEL, input="What is two and three?", text_format=Sum,
                                            max_output_tokens=40, temperature=0)
        self.assertIsInstance(reply.output_parsed, Sum)

    def check_answer(self, response):
        search, message = response.output
        self.assertEqual((search.type, search.status, message.type), ("file_search_call", "completed", "message"))
        self.assertTrue(search.queries)
        note = message.content[0].annotations[0]
        self.assertEqual((note.type, note.file_id, note.filename), ("file_citation", self.file.id, "house.md"))
        self.assertEqual(message.content[0].text[note.index], "[")
        self.assertIn(note.quote, HOUSE.decode())

    def test_file_search(self):
        response = self.client.responses.create(model=MODEL, input="Who painted the lighthouse of Varn?",
                                                tools=self.tools, max_output_tokens=80,
                                                include=["file_search_call.results"])
        self.check_answer(response)
        self.assertEqual(response.output[0].results[0].file_id, self.file.id)

    def test_file_search_streams(self):
        types, text, numbers = [], "", []
        with self.client.responses.stream(model=MODEL, input="Who painted the lighthouse of Varn?", tools=self.tools,
                                          max_output_tokens=80) as stream:
            for event in stream:
                types.append(event.type)
                numbers.append(event.sequence_number)
                if event.type == "response.output_text.delta":
                    text += event.delta
            final = stream.get_final_response()
        self.check_answer(final)
        self.assertEqual(text, final.output_text)
        self.assertEqual(numbers, sorted(set(numbers)))
        order = ["response.created", "response.in_progress", "response.output_item.added",
                 "response.file_search_call.in_progress", "response.file_search_call.searching",
                 "response.file_search_call.completed", "response.output_item.done", "response.output_item.added",
                 "response.content_part.added", "response.output_text.delta"]
        self.assertEqual(types[:len(order)], order)
        self.assertEqual(types[-4:], ["response.output_text.done", "response.content_part.done",
                                      "response.output_item.done", "response.completed"])
        self.assertIn("response.output_text.annotation.added", types)

    def test_filters_leave_nothing(self):
        tools = [{**self.tools[0], "filters": {"type": "eq", "key": "x", "value": "y"}}]
        response = self.client.responses.create(model=MODEL, input="Who painted the lighthouse?", tools=tools)
        self.assertEqual(response.output[1].content[0].annotations, [])

    def test_function_calls(self):
        first = self.client.responses.create(model=MODEL, input=RAIN, tools=[FLAT_WEATHER], tool_choice="required",
                                             temperature=0)
        call = first.output[0]
        self.assertEqual((call.type, call.name), ("function_call", "get_weather"))
        json.loads(call.arguments)
        second = self.client.responses.create(
            model=MODEL, previous_response_id=first.id, tools=[FLAT_WEATHER], tool_choice="none", temperature=0,
            max_output_tokens=60,
            input=[{"type": "function_call_output", "call_id": call.call_id, "output": "It is raining frogs."}])
        self.assertIn("frog", second.output_text.lower())
        events = [event.type for event in self.client.responses.create(
            model=MODEL, input=RAIN, tools=[FLAT_WEATHER], tool_choice="required", temperature=0, stream=True)]
        self.assertIn("response.function_call_arguments.done", events)
        self.assertEqual(events[-1], "response.completed")

    def test_refusals(self):
        def refused(**arguments):
            with self.assertRaises(openai.BadRequestError) as raised:
                self.client.responses.create(model=MODEL, **{"input": "x", **arguments})
            return raised.exception.param
        self.assertEqual(refused(tools=[{"type": "web_search"}]), "tools[0]")
        self.assertEqual(refused(tools=[{"type": "file_search", "vector_store_ids": ["a", "b"]}]), "tools[0]")
        self.assertEqual(refused(background=True), "background")
        self.assertEqual(refused(input=[{"type": "item_reference", "id": "x"}]), "input[0]")
        self.assertEqual(refused(max_output_tokens=0), "max_output_tokens")


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    if not model_file().exists():
        print(f"SKIPPED: {model_file()} is not there; lectern pull {MODEL}")
    else:
        unittest.main(verbosity=2)
