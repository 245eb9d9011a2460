#!/usr/bin/env python3
"""What llama.cpp makes of a model: perplexity of a text, and greedy continuations. The reference for
`lectern eval perplexity` and for tests/golden/reference/*.json.

usage: reference_perplexity.py MODEL.gguf TEXT [--window 512] [--threads 2] [--greedy PROMPTS.json] [--out F.json]

The text's tokens are cut into windows of --window that do not overlap; every token of a window but the first
is predicted from those before it in the window. PROMPTS.json: a list of strings; each gets 32 tokens, greedy,
without any template, and the two best logits of every step. Prints one JSON object.
needs (PyPI): llama-cpp-python, numpy
"""
import argparse
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
    total = 0.0
    count = 0
    for begin in range(0, len(tokens), window):
        part = tokens[begin : begin + window]
        if len(part) > 1:
            total += log_probability_of_next(model, part)
            count += len(part) - 1
    return {"tokens": len(tokens), "predicted": count, "window": window, "perplexity": math.exp(-total / count)}


def greedy(model, prompt):
    tokens = model.tokenize(prompt.encode(), add_bos=False, special=False)
    result = {"prompt": prompt, "prompt_tokens": tokens, "tokens": [], "best": [], "second": []}
    model.reset()
    model.eval(tokens)
    for _ in range(GREEDY_TOKENS):
        logits = model.scores[model.n_tokens - 1]
        second, best = numpy.argsort(logits)[-2:]
        result["tokens"].append(int(best))
        result["best"].append(round(float(logits[best]), 4))
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
    output = json.dumps(result, ensure_ascii=False)
    if args.out:
        with open(args.out, "w", encoding="utf-8") as file:
            file.write(output + "\n")
    else:
        print(output)


if __name__ == "__main__":
    main()
