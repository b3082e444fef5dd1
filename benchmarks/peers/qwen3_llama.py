"""llama.cpp's side of qwen3.cpp, through its Python package: Qwen3-0.6B's shape with random weights, one sequence. Prints
milliseconds per token, drawn greedily after a short prompt, and the seconds of a long prompt up to the logits of its last
token, in fp32 (cache in fp32), bf16 (cache in bf16) and its 8-bit format Q8_0 (cache in fp16).

    qwen3_llama.py FOLDER [--tokens 512] [--prompt 1024] [--timed 512]    FOLDER: where the files of the weights go, 2.4 GB at a time
"""
import argparse
import ctypes
import os
import pathlib
import time

import gguf
import llama_cpp
import numpy as np

from shapes import line

SHORT_PROMPT, RUNS = 16, 3
VOCABULARY, WIDTH, HIDDEN, LAYERS, HEADS, KEY_HEADS, HEAD = 151936, 1024, 3072, 28, 16, 8, 128


def write_model(path, kind):
    writer = gguf.GGUFWriter(str(path), "qwen3")
    writer.add_context_length(4096)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_key_length(HEAD)
    writer.add_value_length(HEAD)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1e6)
    writer.add_vocab_size(VOCABULARY)
    writer.add_tokenizer_model("none")
    rng = np.random.default_rng(1)

    def matrix(name, outputs, inputs):
        values = rng.standard_normal((outputs, inputs), dtype=np.float32) * np.float32(0.02)
        writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)

    def ones(name, size):
        writer.add_tensor(name, np.ones(size, dtype=np.float32))

    matrix("token_embd.weight", VOCABULARY, WIDTH)  # the output rows as well
    ones("output_norm.weight", WIDTH)
    for i in range(LAYERS):
        layer = f"blk.{i}."
        ones(layer + "attn_norm.weight", WIDTH)
        matrix(layer + "attn_q.weight", HEADS * HEAD, WIDTH)
        matrix(layer + "attn_k.weight", KEY_HEADS * HEAD, WIDTH)
        matrix(layer + "attn_v.weight", KEY_HEADS * HEAD, WIDTH)
        ones(layer + "attn_q_norm.weight", HEAD)
        ones(layer + "attn_k_norm.weight", HEAD)
        matrix(layer + "attn_output.weight", WIDTH, HEADS * HEAD)
        ones(layer + "ffn_norm.weight", WIDTH)
        matrix(layer + "ffn_gate.weight", HIDDEN, WIDTH)
        matrix(layer + "ffn_up.weight", HIDDEN, WIDTH)
        matrix(layer + "ffn_down.weight", WIDTH, HIDDEN)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class Session:
    def __init__(self, model, tokens, cache):
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = tokens
        parameters.n_batch = max(tokens, 512)
        parameters.n_threads = parameters.n_threads_batch = threads()
        parameters.type_k = parameters.type_v = cache
        self.context = llama_cpp.llama_init_from_model(model, parameters)
        assert self.context, "no context"

    def append(self, tokens):
        """The likeliest token after these."""
        array = (llama_cpp.llama_token * len(tokens))(*tokens)
        assert llama_cpp.llama_decode(self.context, llama_cpp.llama_batch_get_one(array, len(tokens))) == 0
        logits = llama_cpp.llama_get_logits_ith(self.context, -1)
        return int(np.ctypeslib.as_array(logits, (VOCABULARY,)).argmax())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        llama_cpp.llama_free(self.context)


def threads():
    return int(os.environ.get("OMP_NUM_THREADS", len(os.sched_getaffinity(0))))


def prompt_of(tokens):
    return np.random.default_rng(7).integers(0, VOCABULARY, tokens).tolist()


def prefill(model, tokens, cache):
    best = float("inf")
    for _ in range(RUNS):
        with Session(model, tokens, cache) as session:
            start = time.perf_counter()
            session.append(prompt_of(tokens))
            best = min(best, time.perf_counter() - start)
    return best


def decode(model, tokens, timed, cache):
    """Seconds of a token, the mean of those that are timed: the cache grows meanwhile."""
    with Session(model, SHORT_PROMPT + tokens, cache) as session:
        token = session.append(prompt_of(SHORT_PROMPT + (tokens - timed) // 2))
        start = time.perf_counter()
        for _ in range(timed):
            token = session.append([token])
        return (time.perf_counter() - start) / timed


@llama_cpp.llama_log_callback
def errors_only(level, text, _):
    if level == 4:
        print(text.decode(), end="", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--prompt", type=int, default=1024)
    parser.add_argument("--timed", type=int, help="so many tokens, those in the middle, stand for all")
    options = parser.parse_args()
    timed = min(options.timed or options.tokens, options.tokens)
    llama_cpp.llama_log_set(errors_only, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    print(f"llama.cpp of llama-cpp-python {llama_cpp.__version__}, {threads()} threads")
    formats = (("fp32", gguf.GGMLQuantizationType.F32, 0), ("bf16", gguf.GGMLQuantizationType.BF16, 30),
               ("int8", gguf.GGMLQuantizationType.Q8_0, 1))
    for name, kind, cache in formats:
        path = options.folder / f"qwen3_{name}.gguf"
        if not path.exists():
            write_model(path, kind)
        model = llama_cpp.llama_model_load_from_file(str(path).encode(), llama_cpp.llama_model_default_params())
        assert model, f"{path} is not read"
        seconds, whole = decode(model, options.tokens, timed, cache), prefill(model, options.prompt, cache)
        llama_cpp.llama_model_free(model)
        line("qwen3", program="llama.cpp", precision=name, tokens=options.tokens, timed=timed, ms=1e3 * seconds,
             tokens_per_s=1 / seconds, prompt=options.prompt, prefill_s=whole,
             prefill_tokens_per_s=options.prompt / whole)


if __name__ == "__main__":
    main()
