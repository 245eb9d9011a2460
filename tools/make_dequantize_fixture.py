#!/usr/bin/env python3
"""Makes tests/golden/dequantize: blocks of random bits of every file type, and what the `gguf` package's NumPy
code decodes them to.

    python3 -m venv venv && venv/bin/pip install gguf
    venv/bin/python tools/make_dequantize_fixture.py

blocks.json lists {type, elements, offset, values_offset}; blocks.bin holds the blocks at `offset` and their values as
float32 at `values_offset`.
"""

import json
import pathlib

import gguf
import numpy as np
from gguf import GGMLQuantizationType as QType

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "dequantize"
# Byte offsets of the half-precision scales in a block: random bits there would often be infinite or NaN.
SCALES = {"Q8_0": (0,), "Q4_0": (0,), "Q4_1": (0, 2), "Q5_0": (0,), "Q5_1": (0, 2), "Q2_K": (80, 82), "Q3_K": (108,),
          "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,), "IQ4_NL": (0,), "IQ4_XS": (0,), "F32": (), "F16": (),
          "BF16": ()}


def random_blocks(rng: np.random.Generator, name: str) -> np.ndarray:
    elements, size = gguf.GGML_QUANT_SIZES[QType[name]]
    if name == "F32":
        return rng.standard_normal((1, 512)).astype(np.float32).view(np.uint8)
    raw = rng.integers(0, 256, size=(512 // elements, size), dtype=np.uint8)
    for at in SCALES[name]:
        raw[:, at:at + 2] = rng.standard_normal(len(raw)).astype(np.float16).view(np.uint8).reshape(-1, 2)
    if not SCALES[name]:  # 16-bit floats: any bits but those of infinities and NaN
        bits = raw.reshape(-1).view(np.uint16)
        exponent = np.uint16(0x7C00 if name == "F16" else 0x7F80)
        bits[(bits & exponent) == exponent] = 1
        raw = bits.view(np.uint8)
    return raw.reshape(1, -1)


def main() -> None:
    rng = np.random.default_rng(11)
    blob, sections = b"", []
    for name in SCALES:
        raw = random_blocks(rng, name)
        values = gguf.dequantize(raw, QType[name]).astype(np.float32).reshape(-1)
        sections.append({"type": name, "elements": len(values), "offset": len(blob),
                         "values_offset": len(blob) + raw.nbytes})
        blob += raw.tobytes() + values.tobytes()
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "blocks.bin").write_bytes(blob)
    (FOLDER / "blocks.json").write_text(json.dumps(sections, indent=1) + "\n")


if __name__ == "__main__":
    main()
