#!/usr/bin/env python3
"""Lists the tensors of GGUF files as the `gguf` package sees them: name, type, shape (outermost first), byte offset.

    python3 -m venv venv && venv/bin/pip install gguf
    venv/bin/python tools/list_gguf_tensors.py MODEL.gguf > tests/model/MODEL.gguf.tensors
"""

import sys

import gguf

for path in sys.argv[1:]:
    for tensor in gguf.GGUFReader(path).tensors:
        shape = "x".join(str(n) for n in reversed(tensor.shape.tolist()))
        print(tensor.name, tensor.tensor_type.name, shape, tensor.data_offset)
