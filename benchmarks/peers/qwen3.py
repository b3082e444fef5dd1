"""The transformers package's side of qwen3.cpp: Qwen3-0.6B's shape with random weights, one sequence, its own cache. Prints
milliseconds per token, drawn greedily after a short prompt, and the seconds of a long prompt up to the logits of its last
token, in fp32 and in bf16.

    qwen3.py [--tokens 512] [--prompt 1024] [--timed 512]
"""
import argparse
import time

import torch
import transformers

from shapes import line

SHORT_PROMPT, RUNS = 16, 3


@torch.inference_mode()
def prefill(model, tokens):
    prompt = torch.randint(0, model.config.vocab_size, (1, tokens))
    best = float("inf")
    for _ in range(RUNS):
        start = time.perf_counter()
        model(prompt, use_cache=True, logits_to_keep=1).logits.argmax()
        best = min(best, time.perf_counter() - start)
    return best


@torch.inference_mode()
def decode(model, tokens, timed):
    """Seconds of a token, the mean of those that are timed: the cache grows meanwhile."""
    before = SHORT_PROMPT + (tokens - timed) // 2
    output = model(torch.randint(0, model.config.vocab_size, (1, before)), use_cache=True)
    start = time.perf_counter()
    for _ in range(timed):
        token = output.logits[:, -1].argmax(-1, keepdim=True)
        output = model(token, past_key_values=output.past_key_values, use_cache=True)
    return (time.perf_counter() - start) / timed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--prompt", type=int, default=1024)
    parser.add_argument("--timed", type=int, help="so many tokens, those in the middle, stand for all")
    options = parser.parse_args()
    timed = min(options.timed or options.tokens, options.tokens)
    torch.manual_seed(1)
    config = transformers.Qwen3Config(
        vocab_size=151936, hidden_size=1024, intermediate_size=3072, num_hidden_layers=28, num_attention_heads=16,
        num_key_value_heads=8, head_dim=128, max_position_embeddings=4096, rope_theta=1e6, rms_norm_eps=1e-6,
        tie_word_embeddings=True, attention_bias=False)
    model = transformers.Qwen3ForCausalLM(config).eval()
    print(f"transformers {transformers.__version__}, PyTorch {torch.__version__}, {torch.get_num_threads()} threads")
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        model = model.to(dtype)
        seconds, whole = decode(model, options.tokens, timed), prefill(model, options.prompt)
        line("qwen3", program="transformers", precision=name, tokens=options.tokens, timed=timed, ms=1e3 * seconds,
             tokens_per_s=1 / seconds, prompt=options.prompt, prefill_s=whole,
             prefill_tokens_per_s=options.prompt / whole)


if __name__ == "__main__":
    main()
