"""PyTorch's side of decode_token.cpp: the same sizes, a preallocated key-value cache, guidance over two sequences, then
topk, softmax, the top-p cut and multinomial. Prints milliseconds per token in fp32 and in bf16.

    decode_token.py [--shape tiny|100m|200m|1b] [--device cpu|cuda]
"""
import argparse
import time

import torch
from torch.nn import functional as F

from decoder import VOCABULARY, Decoder, synchronise
from shapes import SHAPES, line

SEQUENCES, PROMPT, TOKENS = 2, 40, 64


def draw(logits):
    unconditional, conditional = logits.float()
    scores, indices = (unconditional + 3.0 * (conditional - unconditional)).topk(50)
    probabilities = F.softmax(scores, -1)
    probabilities[probabilities.cumsum(-1) - probabilities >= 0.9] = 0
    return indices[torch.multinomial(probabilities, 1)]


@torch.inference_mode()
def decode(model, shape, device, dtype):
    caches = model.caches(SEQUENCES, shape, device=device, dtype=dtype)
    prompt = torch.randint(0, VOCABULARY, (1, PROMPT), device=device).expand(SEQUENCES, -1)
    logits = model(prompt, caches, 0)
    synchronise(device)
    start = time.perf_counter()
    for position in range(PROMPT, PROMPT + TOKENS):
        token = draw(logits[:, -1])
        logits = model(token.expand(SEQUENCES, 1), caches, position)
    synchronise(device)
    return (time.perf_counter() - start) / TOKENS


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--shape", choices=SHAPES, default="200m")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    torch.manual_seed(1)
    shape = SHAPES[options.shape]
    model = Decoder(shape).to(options.device)
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads")
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        model = model.to(dtype)
        decode(model, shape, options.device, dtype)
        line("decode_token", shape=options.shape, program="PyTorch", precision=name, sequences=SEQUENCES,
             ms=1e3 * decode(model, shape, options.device, dtype))


if __name__ == "__main__":
    main()
