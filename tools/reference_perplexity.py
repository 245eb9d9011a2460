#!/usr/bin/env python3
"""What llama.cpp makes of a model: perplexity of a text, and greedy continuations. The reference for
`lectern eval perplexity` and for tests/golden/reference/*.json.

usage: reference_perplexity.py MODEL.gguf TEXT [--window 512] [--threads 2] [--greedy PROMPTS.json] [--out F.json]

The text's tokens are cut into windows of --window that do not overlap; every token of a window but the first
is predicted from those before it in the window, and nothing is put in front of it. PROMPTS.json: a list of
strings; each gets 32 tokens, greedy, without any template; the two best tokens of every step are written with
their logits. Prints one JSON object:
  tokens, tokens_sha256   of the text: how many, and the hash of their ids as little-endian 32-bit numbers
  window, predicted, perplexity
  windows                 sum of the log-probabilities of each window
  greedy                  prompt_tokens, tokens, best (logits), second_tokens, second (logits) of each prompt
needs (PyPI): llama-cpp-python, numpy
"""
import argparse
import hashlib
import json
import math

import numpy
from llama_cpp import Llama

GREEDY_TOKENS = 32


def log_probability_of_next(model, window):
    """Sum of log p(window[i] | window[:i]) for i >= 1."""
    model.reset()
    model.eval(window)
    logits = numpy.array(model.scores[: len(window) - 1], dtype=numpy.float64)
    logits -= logits.max(axis=1, keepdims=True)
    chosen = logits[numpy.arange(len(window) - 1), window[1:]]
    return float((chosen - numpy.log(numpy.exp(logits).sum(axis=1))).sum())


def perplexity(model, tokens, window):
    sums = []
    count = 0
    for begin in range(0, len(tokens), window):
        part = tokens[begin : begin + window]
        if len(part) > 1:
            sums.append(log_probability_of_next(model, part))
            count += len(part) - 1
    return {
        "tokens": len(tokens),
        "tokens_sha256": hashlib.sha256(numpy.array(tokens, dtype="<i4").tobytes()).hexdigest(),
        "window": window,
        "predicted": count,
        "perplexity": math.exp(-sum(sums) / count),
        "windows": [round(value, 4) for value in sums],
    }


def greedy(model, prompt):
    tokens = model.tokenize(prompt.encode(), add_bos=False, special=False)
    result = {"prompt": prompt, "prompt_tokens": tokens, "tokens": [], "best": [], "second_tokens": [], "second": []}
    model.reset()
    model.eval(tokens)
    for _ in range(GREEDY_TOKENS):
        logits = model.scores[model.n_tokens - 1]
        second, best = numpy.argsort(logits)[-2:]
        result["tokens"].append(int(best))
        result["best"].append(round(float(logits[best]), 4))
        result["second_tokens"].append(int(second))
        result["second"].append(round(float(logits[second]), 4))
        model.eval([int(best)])
    return result


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("model")
    parser.add_argument("text")
    parser.add_argument("--window", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--greedy")
    parser.add_argument("--out")
    args = parser.parse_args()
    model = Llama(
        args.model,
        n_ctx=max(args.window, 512),
        n_batch=512,
        n_threads=args.threads,
        n_threads_batch=args.threads,
        logits_all=True,
        verbose=False,
    )
    with open(args.text, "rb") as file:
        tokens = model.tokenize(file.read(), add_bos=False, special=False)
    result = perplexity(model, tokens, args.window)
    if args.greedy:
        with open(args.greedy, encoding="utf-8") as file:
            result["greedy"] = [greedy(model, prompt) for prompt in json.load(file)]
    # A line for each field and each prompt: differences between two versions can be read.
    lines = [json.dumps(name) + ": " + json.dumps(value, ensure_ascii=False) for name, value in result.items()]
    output = "{\n" + ",\n".join(lines).replace('{"prompt"', '\n  {"prompt"') + "\n}"
    if args.out:
        with open(args.out, "w", encoding="utf-8") as file:
            file.write(output + "\n")
    else:
        print(output)


if __name__ == "__main__":
    main()
