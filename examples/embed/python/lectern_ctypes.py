"""liblectern from Python with nothing but ctypes: searching, asking, streaming. The rest of lectern.h is bound the same
way: a Structure with the fields in the header's order, and a line in _declare()."""
import ctypes
import os
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_double, c_int, c_int64, c_size_t, c_uint64, c_void_p

ABI = 0  # LECTERN_ABI_VERSION that the structures below are of
CANCELLED = 6

TextFn = CFUNCTYPE(c_int, c_void_p, c_size_t, c_void_p)


class Range(ctypes.Structure):
    _fields_ = [("begin", c_uint64), ("end", c_uint64)]


class Passage(ctypes.Structure):
    _fields_ = [("id", c_int64), ("document_id", c_int64), ("path", c_char_p), ("title", c_char_p), ("heading", c_char_p),
                ("page_first", c_int), ("page_last", c_int), ("line_first", c_int), ("line_last", c_int),
                ("begin", c_uint64), ("end", c_uint64), ("text", c_char_p), ("text_bytes", c_size_t)]


class Hit(ctypes.Structure):
    _fields_ = [("passage", POINTER(Passage)), ("heading", c_char_p), ("score", c_double), ("n_highlights", c_size_t),
                ("highlights", POINTER(Range))]


class Hits(ctypes.Structure):
    _fields_ = [("n_hits", c_size_t), ("hits", POINTER(POINTER(Hit))), ("seconds", c_double)]


class Citation(ctypes.Structure):
    _fields_ = [("number", c_int), ("passage", POINTER(Passage)), ("quote", c_char_p), ("quote_bytes", c_size_t),
                ("quote_begin", c_uint64), ("quote_end", c_uint64)]


class Answer(ctypes.Structure):  # the first fields: more are appended, and never looked at here
    _fields_ = [("text", c_char_p), ("text_bytes", c_size_t), ("found", c_int), ("supported", c_int),
                ("n_citations", c_size_t), ("citations", POINTER(POINTER(Citation)))]


class AskOptions(ctypes.Structure):
    _fields_ = [("struct_size", c_size_t), ("level", c_char_p), ("helpers", c_char_p), ("context_tokens", c_int),
                ("max_passages", c_int), ("max_answer_tokens", c_int), ("budget_passages", c_int), ("budget_tokens", c_int),
                ("budget_seconds", c_double), ("seed", c_uint64), ("history", c_void_p), ("n_history", c_size_t),
                ("documents", POINTER(c_int64)), ("n_documents", c_size_t), ("cancel", c_void_p), ("on_text", TextFn),
                ("on_step", c_void_p), ("on_progress", c_void_p), ("user_data", c_void_p)]


class LecternError(Exception):
    def __init__(self, status):
        super().__init__(_library.lectern_last_error().decode())
        self.status = status


def _declare(library):
    for name, result, *arguments in [
        ("abi_version", c_int), ("last_error", c_char_p),
        ("model_load", c_int, c_char_p, c_void_p, POINTER(c_void_p)), ("model_free", None, c_void_p),
        ("collection_open_folder", c_int, c_char_p, POINTER(c_void_p)), ("collection_free", None, c_void_p),
        ("collection_index", c_int, c_void_p, c_void_p, c_void_p),
        ("search", c_int, c_void_p, c_char_p, c_void_p, POINTER(POINTER(Hits))), ("hits_free", None, POINTER(Hits)),
        ("ask", c_int, c_void_p, c_void_p, c_char_p, POINTER(AskOptions), POINTER(POINTER(Answer))),
        ("answer_free", None, POINTER(Answer)),
    ]:
        function = getattr(library, "lectern_" + name)
        function.restype, function.argtypes = result, arguments
    if library.lectern_abi_version() != ABI:
        raise ImportError(f"liblectern has ABI {library.lectern_abi_version()}, this module is for {ABI}")
    return library


_library = _declare(ctypes.CDLL(f"liblectern.so.{ABI}"))


def _check(status):
    if status != 0:
        raise LecternError(status)


class _Handle:
    """Frees what C made, at the end of a `with` or of the object."""

    def __init__(self, free, make, *arguments):
        self.pointer, self._free = c_void_p(), free
        _check(make(*arguments, self.pointer))

    def close(self):
        pointer, self.pointer = getattr(self, "pointer", None), None
        if pointer:
            self._free(pointer)

    __del__ = close

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _passage(passage):
    return {"path": os.fsdecode(passage.path), "heading": passage.heading.decode(), "line": passage.line_first,
            "text": passage.text.decode()}


class Collection(_Handle):
    def __init__(self, folder):
        super().__init__(_library.lectern_collection_free, _library.lectern_collection_open_folder, os.fsencode(folder))

    def index(self):
        _check(_library.lectern_collection_index(self.pointer, None, None))

    def search(self, query):
        out = POINTER(Hits)()
        _check(_library.lectern_search(self.pointer, query.encode(), None, out))
        try:
            hits = [out.contents.hits[i].contents for i in range(out.contents.n_hits)]
            return [{"score": hit.score, **_passage(hit.passage.contents)} for hit in hits]
        finally:
            _library.lectern_hits_free(out)


class Model(_Handle):
    def __init__(self, name=None):
        super().__init__(_library.lectern_model_free, _library.lectern_model_load, name and os.fsencode(name), None)

    def ask(self, collection, question, on_text=None, **options):
        """`on_text(text)` gets the answer as it streams; what it raises stops the answer and is raised here. `options`:
        the fields of lectern_ask_options."""
        raised = []

        def hear(text, n_bytes, _):
            try:
                on_text(ctypes.string_at(text, n_bytes).decode())
                return 0
            except BaseException as error:  # must not pass through C
                raised.append(error)
                return 1

        fields = {name: value.encode() if isinstance(value, str) else value for name, value in options.items()}
        asked = AskOptions(struct_size=ctypes.sizeof(AskOptions), on_text=TextFn(hear) if on_text else TextFn(), **fields)
        out = POINTER(Answer)()
        status = _library.lectern_ask(self.pointer, collection.pointer, question.encode(), asked, out)
        try:
            if raised:
                raise raised[0]
            _check(status)
            answer = out.contents
            citations = [answer.citations[i].contents for i in range(answer.n_citations)]
            return {"text": ctypes.string_at(answer.text, answer.text_bytes).decode(), "found": bool(answer.found),
                    "citations": [{"number": citation.number, "quote": citation.quote.decode(),
                                   **_passage(citation.passage.contents)} for citation in citations]}
        finally:
            _library.lectern_answer_free(out)
