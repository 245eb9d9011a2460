#!/usr/bin/env python3
"""Makes the tiny random Qwen2 and Qwen2-MoE models of tests/golden, and what `transformers` computes on them.

    python3 -m venv venv && venv/bin/pip install torch transformers gguf safetensors tokenizers
    venv/bin/python tools/make_tiny_models.py            # writes tests/golden/*/
    venv/bin/python tools/make_tiny_models.py --check    # recomputes and compares, writes nothing

Every model is first written as a Hugging Face folder, which `transformers` loads and runs in float64: its
logits and its residual stream become golden.bin (tests/golden/README.md describes the layout). The same
weights, quantised where the model says so, become model.gguf. Quantised models are run on what their blocks
decode to, so the golden values hold for the file's own numbers, whatever was lost on the way.
"""

import argparse
import dataclasses
import json
import pathlib
import shutil
import sys
import tempfile

import gguf
import numpy as np
import torch
import transformers
from gguf import GGMLQuantizationType as QType
from safetensors.torch import save_file

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden"
N_TOKENS = 136  # crosses a KV page of 128
# Positions whose values are kept: the beginning, the middle, and both sides of the page border.
KEPT = [0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 63, 64, 65, 89, *range(120, N_TOKENS)]
ROUTER_MARGIN = 0.15  # between the logits of the last expert chosen and the first one not

CONTROL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
PLAIN_ADDED_TOKENS = ["<tool_call>", "</tool_call>"]
MERGES = ["Ġ t", "h e", "i n", "e r", "Ġ a", "Ġt he", "o n", "r e", "Ġ s", "a t", "in g", "o r", "e n", "Ġ o",
          "Ġo f", "Ġ Ġ", "ä ¸", "ä¸ Ń", "Ġa n", "Ġan d"]
WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
VOCAB_ROWS = 288  # a few more than there are tokens, as in the real models


@dataclasses.dataclass
class Tiny:
    """One model. `quantisation` maps the ending of a GGUF tensor name to its type; "" is the default."""

    name: str
    seed: int
    hidden: int = 64
    layers: int = 2
    heads: int = 2
    kv_heads: int = 1
    head_dim: int = 32
    intermediate: int = 96
    tied: bool = False
    theta: float = 1e6
    eps: float = 1e-6
    context: int = 256
    key_bias: float = 1.0  # of the first layer; the real models have giant ones there
    yarn: dict | None = None
    experts: int = 0
    experts_per_token: int = 0
    moe_intermediate: int = 32
    shared: int = 0
    quantisation: dict = dataclasses.field(default_factory=lambda: {"": QType.F32})
    # The folder kept beside the GGUF file: torch dtype, number of shards, how merges are written.
    hugging_face: tuple | None = None


MODELS = [
    Tiny("qwen2_tied", 1, tied=True, hugging_face=(torch.float32, 2, "strings")),
    Tiny("qwen2_untied", 2, heads=7, intermediate=64, theta=1e7, eps=1e-5, key_bias=30.0,
         quantisation={"": QType.F16}),
    Tiny("qwen2_yarn", 3, head_dim=64, tied=True, intermediate=64,
         yarn={"type": "yarn", "factor": 8.0, "original_max_position_embeddings": 32},
         quantisation={"": QType.BF16}),
    Tiny("qwen2_legacy_quants", 4, layers=1, heads=4, kv_heads=2,
         quantisation={"": QType.Q8_0, "attn_q.weight": QType.Q4_0, "attn_k.weight": QType.Q4_1,
                       "attn_v.weight": QType.Q5_0, "attn_output.weight": QType.Q5_1,
                       "ffn_up.weight": QType.IQ4_NL, "token_embd.weight": QType.Q5_0}),
    Tiny("qwen2_k_quants", 5, hidden=256, layers=1, heads=8, kv_heads=4, intermediate=256, tied=True,
         quantisation={"": QType.Q4_K, "token_embd.weight": QType.Q6_K, "attn_k.weight": QType.Q5_K,
                       "attn_v.weight": QType.Q6_K, "ffn_gate.weight": QType.Q3_K, "ffn_up.weight": QType.IQ4_XS,
                       "attn_output.weight": QType.Q2_K}),
    Tiny("qwen2moe_shared", 6, heads=4, kv_heads=2, experts=6, experts_per_token=2, shared=64,
         quantisation={"": QType.BF16}, hugging_face=(torch.bfloat16, 1, "pairs")),
    Tiny("qwen2moe_tied", 7, heads=14, kv_heads=2, experts=5, experts_per_token=3, tied=True,
         quantisation={"": QType.Q8_0}),
]


# ---------------------------------------------------------------------------------------------- vocabulary

def byte_alphabet() -> list[str]:
    """GPT-2's printable stand-ins of the bytes 0..255."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in printable]
    return [chr(b) if b in printable else chr(256 + others.index(b)) for b in range(256)]


def text_tokens() -> list[str]:
    return sorted(byte_alphabet()) + [m.replace(" ", "") for m in MERGES]


def tokenizer_json(merge_form: str) -> dict:
    tokens = text_tokens()
    added = CONTROL_TOKENS + PLAIN_ADDED_TOKENS
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [
            {"id": len(tokens) + i, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": content in CONTROL_TOKENS} for i, content in enumerate(added)],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": WORDS}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}]},
        "post_processor": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False,
                           "use_regex": False},
        "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "",
                  "end_of_word_suffix": "", "fuse_unk": False, "byte_fallback": False,
                  "vocab": {t: i for i, t in enumerate(tokens)},
                  "merges": [m.split(" ") for m in MERGES] if merge_form == "pairs" else MERGES},
    }


# ------------------------------------------------------------------------------------------------- weights

def gguf_name(name: str) -> str:
    """The name in a GGUF file of a tensor of a dense model or of a stack of experts."""
    fixed = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
             "lm_head.weight": "output.weight"}
    if name in fixed:
        return fixed[name]
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}." + {
        "input_layernorm.weight": "attn_norm.weight", "post_attention_layernorm.weight": "ffn_norm.weight",
        "self_attn.q_proj.weight": "attn_q.weight", "self_attn.k_proj.weight": "attn_k.weight",
        "self_attn.v_proj.weight": "attn_v.weight", "self_attn.o_proj.weight": "attn_output.weight",
        "self_attn.q_proj.bias": "attn_q.bias", "self_attn.k_proj.bias": "attn_k.bias",
        "self_attn.v_proj.bias": "attn_v.bias", "mlp.gate_proj.weight": "ffn_gate.weight",
        "mlp.up_proj.weight": "ffn_up.weight", "mlp.down_proj.weight": "ffn_down.weight",
        "mlp.gate.weight": "ffn_gate_inp.weight", "mlp.experts.gate_proj.weight": "ffn_gate_exps.weight",
        "mlp.experts.up_proj.weight": "ffn_up_exps.weight", "mlp.experts.down_proj.weight": "ffn_down_exps.weight",
        "mlp.shared_expert.gate_proj.weight": "ffn_gate_shexp.weight",
        "mlp.shared_expert.up_proj.weight": "ffn_up_shexp.weight",
        "mlp.shared_expert.down_proj.weight": "ffn_down_shexp.weight",
        "mlp.shared_expert_gate.weight": "ffn_gate_inp_shexp.weight"}[rest]


def random_weights(m: Tiny) -> dict[str, np.ndarray]:
    """By Hugging Face name, experts stacked. Scales keep activations near one and attention far from uniform."""
    rng = np.random.default_rng(m.seed)

    def matrix(*shape, gain=1.0):
        return (rng.standard_normal(shape) * gain / np.sqrt(shape[-1])).astype(np.float32)

    def around(centre, spread, n):
        return (centre + spread * rng.standard_normal(n)).astype(np.float32)

    q, kv, h = m.heads * m.head_dim, m.kv_heads * m.head_dim, m.hidden
    w = {"model.embed_tokens.weight": matrix(VOCAB_ROWS, h, gain=np.sqrt(h)), "model.norm.weight": around(1, 0.2, h)}
    for i in range(m.layers):
        p = f"model.layers.{i}."
        w[p + "input_layernorm.weight"] = around(1, 0.2, h)
        w[p + "self_attn.q_proj.weight"] = matrix(q, h, gain=1.5)
        w[p + "self_attn.k_proj.weight"] = matrix(kv, h, gain=1.5)
        w[p + "self_attn.v_proj.weight"] = matrix(kv, h)
        w[p + "self_attn.o_proj.weight"] = matrix(h, q)
        w[p + "self_attn.q_proj.bias"] = around(0, 0.5, q)
        w[p + "self_attn.k_proj.bias"] = around(0, m.key_bias if i == 0 else 1.0, kv)
        w[p + "self_attn.v_proj.bias"] = around(0, 0.1, kv)
        w[p + "post_attention_layernorm.weight"] = around(1, 0.2, h)
        if m.experts == 0:
            blocks = [("mlp.", m.intermediate, ())]
        else:
            w[p + "mlp.gate.weight"] = matrix(m.experts, h, gain=2.0)
            blocks = [("mlp.experts.", m.moe_intermediate, (m.experts,))]
            if m.shared:
                blocks.append(("mlp.shared_expert.", m.shared, ()))
                w[p + "mlp.shared_expert_gate.weight"] = matrix(1, h)
        for block, size, stack in blocks:
            w[p + block + "gate_proj.weight"] = matrix(*stack, size, h)
            w[p + block + "up_proj.weight"] = matrix(*stack, size, h)
            w[p + block + "down_proj.weight"] = matrix(*stack, h, size)
    if not m.tied:
        w["lm_head.weight"] = matrix(VOCAB_ROWS, h)
    return w


def random_blocks(rng: np.random.Generator, shape: tuple, qtype: QType, spread: float) -> np.ndarray:
    """Blocks of a type that the gguf package reads but does not write: random bits under scales that give the
    values a standard deviation of `spread`."""
    elements, size = gguf.GGML_QUANT_SIZES[qtype]
    raw = rng.integers(0, 256, size=(int(np.prod(shape[:-1])) * shape[-1] // elements, size), dtype=np.uint8)
    halves = {QType.Q2_K: (80, 82), QType.Q3_K: (108,), QType.Q4_K: (0, 2), QType.Q5_K: (0, 2), QType.Q6_K: (208,),
              QType.IQ4_NL: (0,), QType.IQ4_XS: (0,)}[qtype]

    factors = rng.uniform(0.5, 1.5, (len(halves), len(raw)))

    def set_scales(scale):
        for at, factor in zip(halves, factors):
            raw[:, at:at + 2] = (scale * factor).astype(np.float16).view(np.uint8).reshape(-1, 2)

    set_scales(1.0)
    set_scales(spread / gguf.dequantize(raw, qtype).std())
    return raw.reshape(*shape[:-1], -1)


def quantise(m: Tiny, weights: dict) -> dict[str, tuple[np.ndarray, QType]]:
    """The tensors of the GGUF file as (bytes or floats, type); replaces `weights` by what they decode to."""
    rng = np.random.default_rng(m.seed + 1000)
    tensors = {}
    for name, value in weights.items():
        key = gguf_name(name)
        ending = key.split(".", 2)[-1] if key.startswith("blk.") else key
        qtype = m.quantisation.get(ending, m.quantisation[""])
        if value.ndim == 1 or "gate_inp" in key:  # as converters do: these stay exact
            qtype = QType.F32
            value = value.reshape(-1) if key.endswith("_shexp.weight") else value
        if "K" in qtype.name or qtype.name.startswith("IQ"):
            raw = random_blocks(rng, value.shape, qtype, value.std())
        else:
            raw = gguf.quantize(value, qtype)
        # Folders hold one type for all, so theirs is rounded as well.
        if m.hugging_face and m.hugging_face[0] == torch.bfloat16:
            value = gguf.dequantize(gguf.quantize(value, QType.BF16), QType.BF16)
            raw = gguf.quantize(value, qtype)
        tensors[key] = (raw, qtype)
        weights[name] = gguf.dequantize(raw, qtype).reshape(weights[name].shape)
    return tensors


# --------------------------------------------------------------------------------------------------- files

def config_json(m: Tiny) -> dict:
    moe = m.experts > 0
    config = {
        "architectures": ["Qwen2MoeForCausalLM" if moe else "Qwen2ForCausalLM"], "attention_dropout": 0.0,
        "bos_token_id": len(text_tokens()), "eos_token_id": len(text_tokens()) + 2, "hidden_act": "silu",
        "hidden_size": m.hidden, "initializer_range": 0.02, "intermediate_size": m.intermediate,
        "max_position_embeddings": m.context, "max_window_layers": m.layers,
        "model_type": "qwen2_moe" if moe else "qwen2", "num_attention_heads": m.heads,
        "num_hidden_layers": m.layers, "num_key_value_heads": m.kv_heads, "rms_norm_eps": m.eps,
        "rope_theta": m.theta, "sliding_window": None, "tie_word_embeddings": m.tied, "torch_dtype": "float32",
        "use_cache": True, "use_sliding_window": False, "vocab_size": VOCAB_ROWS}
    if m.heads * m.head_dim != m.hidden:
        config["head_dim"] = m.head_dim
    if m.yarn:
        config["rope_scaling"] = m.yarn
    if moe:
        config |= {"decoder_sparse_step": 1, "mlp_only_layers": [], "norm_topk_prob": False,
                   "num_experts": m.experts, "num_experts_per_tok": m.experts_per_token,
                   "moe_intermediate_size": m.moe_intermediate, "output_router_logits": False,
                   "router_aux_loss_coef": 0.001, "shared_expert_intermediate_size": m.shared or 32}
    return config


def write_json(path: pathlib.Path, value: dict) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def write_folder(m: Tiny, weights: dict, folder: pathlib.Path, dtype=torch.float32, shards=1, merges="strings"):
    folder.mkdir(parents=True)
    tensors = {}
    for name, value in weights.items():
        if ".mlp.experts." in name:
            for e in range(m.experts):
                tensors[name.replace(".experts.", f".experts.{e}.")] = torch.from_numpy(value[e].copy()).to(dtype)
        else:
            tensors[name] = torch.from_numpy(value.copy()).to(dtype)
    if m.experts and not m.shared:  # the reference always has a shared expert: one of zeros adds nothing
        for i in range(m.layers):
            p = f"model.layers.{i}.mlp.shared_expert"
            tensors |= {p + ".gate_proj.weight": torch.zeros(32, m.hidden), p + ".up_proj.weight": torch.zeros(32, m.hidden),
                        p + ".down_proj.weight": torch.zeros(m.hidden, 32), p + "_gate.weight": torch.zeros(1, m.hidden)}
    write_json(folder / "config.json", config_json(m) | {"torch_dtype": str(dtype).split(".")[1]})
    write_json(folder / "tokenizer.json", tokenizer_json(merges))
    if shards == 1:
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        return
    index = {"metadata": {"total_size": sum(t.nbytes for t in tensors.values())}, "weight_map": {}}
    for i in range(shards):
        part = dict(list(tensors.items())[i::shards])
        file = f"model-{i + 1:05}-of-{shards:05}.safetensors"
        index["weight_map"] |= {name: file for name in part}
        save_file(part, folder / file, {"format": "pt"})
    write_json(folder / "model.safetensors.index.json", index)


def write_gguf(m: Tiny, tensors: dict, path: pathlib.Path) -> None:
    writer = gguf.GGUFWriter(str(path), "qwen2moe" if m.experts else "qwen2")
    writer.add_name(f"tiny random {m.name}")
    writer.add_block_count(m.layers)
    writer.add_context_length(m.context)
    writer.add_embedding_length(m.hidden)
    writer.add_feed_forward_length(m.intermediate)
    writer.add_head_count(m.heads)
    writer.add_head_count_kv(m.kv_heads)
    writer.add_rope_freq_base(m.theta)
    writer.add_layer_norm_rms_eps(m.eps)
    if m.heads * m.head_dim != m.hidden:
        writer.add_key_length(m.head_dim)
        writer.add_value_length(m.head_dim)
    if m.yarn:
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(m.yarn["factor"])
        writer.add_rope_scaling_orig_ctx_len(m.yarn["original_max_position_embeddings"])
    if m.experts:
        writer.add_expert_count(m.experts)
        writer.add_expert_used_count(m.experts_per_token)
        writer.add_expert_feed_forward_length(m.moe_intermediate)
        if m.shared:
            writer.add_expert_shared_feed_forward_length(m.shared)
    tokens = text_tokens()
    n_text = len(tokens)
    tokens += CONTROL_TOKENS + PLAIN_ADDED_TOKENS
    types = [gguf.TokenType.NORMAL] * n_text + [gguf.TokenType.CONTROL] * len(CONTROL_TOKENS)
    types += [gguf.TokenType.USER_DEFINED] * len(PLAIN_ADDED_TOKENS)
    while len(tokens) < VOCAB_ROWS:
        tokens.append(f"[PAD{len(tokens)}]")
        types.append(gguf.TokenType.UNUSED)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(MERGES)
    writer.add_eos_token_id(n_text + 2)
    for name, (raw, qtype) in tensors.items():
        writer.add_tensor(name, raw, raw_dtype=qtype)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


# ------------------------------------------------------------------------------------------------- golden

def load_reference(folder: pathlib.Path) -> torch.nn.Module:
    return transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float64, attn_implementation="sdpa", experts_implementation="eager").eval()


def choose_tokens(m: Tiny, model: torch.nn.Module) -> list[int]:
    """Random ids, of which those are replaced that would make some router choose its last expert by a hair:
    a backend that rounds activations must be able to make the same choice."""
    rng = np.random.default_rng(m.seed + 2000)
    limit = len(text_tokens()) + len(CONTROL_TOKENS)
    tokens = rng.integers(0, limit, N_TOKENS).tolist()
    if m.experts == 0:
        return tokens
    margins = []

    def keep_margin(_module, _inputs, outputs):
        ranked = outputs[0].sort(dim=-1, descending=True).values
        margins.append(ranked[:, m.experts_per_token - 1] - ranked[:, m.experts_per_token])

    hooks = [layer.mlp.gate.register_forward_hook(keep_margin) for layer in model.model.layers]
    while True:
        margins.clear()
        with torch.no_grad():
            model(torch.tensor([tokens]), use_cache=False)
        close = (torch.stack(margins).amin(0) < ROUTER_MARGIN).nonzero().flatten()
        if len(close) == 0:
            break
        tokens[int(close[0])] = int(rng.integers(0, limit))
    for hook in hooks:
        hook.remove()
    return tokens


def run_reference(m: Tiny, model: torch.nn.Module, tokens: list[int]) -> list[tuple[str, int, np.ndarray]]:
    """(stage, layer, [N_TOKENS, width]) in the order in which a forward pass meets them."""
    seen = []

    def keep(stage, layer, value):
        value = value[0] if isinstance(value, tuple) else value
        seen.append((stage, layer, value.detach()[0].numpy().astype(np.float32)))

    core = model.model
    core.embed_tokens.register_forward_hook(lambda _m, _i, out: keep("embed", -1, out))
    core.norm.register_forward_hook(lambda _m, _i, out: keep("norm", m.layers, out))
    for i, layer in enumerate(core.layers):
        layer.post_attention_layernorm.register_forward_pre_hook(lambda _m, args, i=i: keep("attention", i, args[0]))
        layer.register_forward_hook(lambda _m, _i, out, i=i: keep("output", i, out))
    with torch.no_grad():
        keep("logits", m.layers, model(torch.tensor([tokens]), use_cache=False).logits)
    return seen


def make(m: Tiny, folder: pathlib.Path) -> None:
    weights = random_weights(m)
    tensors = quantise(m, weights)
    folder.mkdir(parents=True)
    write_gguf(m, tensors, folder / "model.gguf")
    if m.hugging_face:
        dtype, shards, merges = m.hugging_face
        write_folder(m, weights, folder / "folder", dtype, shards, merges)
    with tempfile.TemporaryDirectory() as temporary:
        reference = pathlib.Path(temporary) / m.name
        write_folder(m, weights, reference)
        model = load_reference(reference)
        tokens = choose_tokens(m, model)
        seen = run_reference(m, model, tokens)
    blob, sections = b"", []
    for stage, layer, values in seen:
        sections.append({"stage": stage, "layer": layer, "width": values.shape[1], "offset": len(blob)})
        blob += np.ascontiguousarray(values[KEPT]).tobytes()
    (folder / "golden.bin").write_bytes(blob)
    description = {"made_by": f"transformers {transformers.__version__}, float64", "tokens": tokens,
                   "positions": KEPT, "sections": sections}
    (folder / "golden.json").write_text(json.dumps(description) + "\n")


def differences(made: pathlib.Path, kept: pathlib.Path) -> list[str]:
    found = []
    names = {p.relative_to(made) for p in made.rglob("*") if p.is_file()}
    names |= {p.relative_to(kept) for p in kept.rglob("*") if p.is_file()}
    for name in sorted(names):
        a, b = made / name, kept / name
        if not a.exists() or not b.exists():
            found.append(f"{name}: only in {'the new' if a.exists() else 'the kept'} set")
        elif name.name == "golden.bin":
            x, y = np.fromfile(a, np.float32), np.fromfile(b, np.float32)
            if x.shape != y.shape or not np.allclose(x, y, rtol=1e-5, atol=1e-5):
                found.append(f"{name}: values differ")
        elif name.name != "golden.json" and a.read_bytes() != b.read_bytes():
            found.append(f"{name}: bytes differ")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with tests/golden instead of writing")
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    failed = False
    for m in MODELS:
        with tempfile.TemporaryDirectory() as temporary:
            made = pathlib.Path(temporary) / m.name
            make(m, made)
            if arguments.check:
                found = differences(made, GOLDEN / m.name)
                failed |= bool(found)
                print(m.name, "differs: " + "; ".join(found) if found else "is the same")
            else:
                shutil.rmtree(GOLDEN / m.name, ignore_errors=True)
                shutil.copytree(made, GOLDEN / m.name)
                print(m.name, sum(p.stat().st_size for p in (GOLDEN / m.name).rglob("*")) // 1024, "KiB")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
