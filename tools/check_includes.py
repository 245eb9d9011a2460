#!/usr/bin/env python3
"""Checks the layers: who may include whom, and which file may include which library (ARCHITECTURE.md, "Layers").

    tools/check_includes.py        prints every breach, exit code 1 when there is one
"""

import fnmatch
import re
import sys

from source_files import ROOT, files

# Includes point down only. Besides its own, a file of a layer may include these:
LAYERS = {
    "base": [],
    "kernels": ["base"],
    "engine": ["kernels", "base"],
    "retrieval": ["base"],
    "models": ["base"],
    "prompts": ["base"],
    "agent": ["prompts", "base"],
    "apps": ["agent", "engine", "retrieval", "models", "prompts", "kernels", "base"],
}

# The agent knows models and documents through its interfaces; only these files know who is behind them.
EXTRA = {
    "agent/engine_*": ["engine"],
    "agent/collection_*": ["retrieval"],
}

# Libraries that only certain files may include. The first pattern that matches an include decides.
LIBRARIES = [
    ("sqlite3.h", ["retrieval/store*"]),
    ("unicode/*", ["retrieval/analyzer*", "retrieval/charset*", "retrieval/text_borders*", "engine/tokenizer*"]),
    ("libstemmer.h", ["retrieval/analyzer*"]),
    ("nlohmann/*", ["base/json.h"]),
    ("archive*.h", ["retrieval/archive*", "models/pip_download*"]),
    ("pugixml.hpp", ["retrieval/extract*", "retrieval/archive*", "retrieval/xml*", "retrieval/html*"]),
    ("curl/*", ["models/http_download*", "agent/remote_http*"]),
    ("CLI/*", ["apps/cli/*"]),
    ("httplib.h", ["apps/server/*"]),
    ("immintrin.h", ["kernels/cpu/*"]),
    ("cuda*", ["kernels/cuda/*", "engine/cuda_*"]),
]

# Compiled for one instruction set: only plain data headers, or a wide instruction could reach the whole program.
ISA_FILES = ["kernels/cpu/avx*.cc", "kernels/cpu/amx*.cc"]
# Compiled like all others:
BASELINE_FILES = ["kernels/cpu/amx.cc", "kernels/cpu/avx2.cc", "kernels/cpu/avx2_pack.cc", "kernels/cpu/avx512vnni.cc"]
ISA_HEADERS = ["immintrin.h", "cstdint", "cstddef", "kernels/common/*", "kernels/cpu/*"]

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def matches(text, patterns):
    return any(fnmatch.fnmatch(text, pattern) for pattern in patterns)


def breaches(path, text):
    name = path.as_posix()
    layer = path.parts[0]
    if layer not in LAYERS:
        return
    allowed = {layer, *LAYERS[layer]}
    for pattern, extra in EXTRA.items():
        if fnmatch.fnmatch(name, pattern):
            allowed.update(extra)
    if name.endswith(".h") and "#pragma once" not in text:
        yield 1, "a header begins with #pragma once"
    for number, line in enumerate(text.splitlines(), 1):
        found = INCLUDE.match(line)
        if not found:
            if "Json::parse(" in line and name != "base/json.cc":
                yield number, "only base/json parses JSON text"
            continue
        quote, header = found.groups()
        top = header.split("/")[0]
        if quote == '"' and "/" not in header:
            yield number, f'"{header}": includes are full paths from the root'
        if top in LAYERS and top not in allowed:
            yield number, f"{layer} may not include {header}"
        for library, owners in LIBRARIES:
            if fnmatch.fnmatch(header, library):
                if not matches(name, owners):
                    yield number, f"only {', '.join(owners)} may include {header}"
                break
        if matches(name, ISA_FILES) and not matches(name, BASELINE_FILES) and not matches(header, ISA_HEADERS):
            yield number, f"an instruction-set file may not include {header}"


def main():
    n = 0
    for path in files(".h", ".cc", ".inc", ".cu", ".cuh"):
        for number, why in breaches(path, (ROOT / path).read_text(encoding="utf-8")):
            print(f"{path}:{number}: {why}")
            n += 1
    return 1 if n else 0


if __name__ == "__main__":
    sys.exit(main())
