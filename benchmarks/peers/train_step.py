"""PyTorch's side of train_step.cpp and decode_batch.cpp: the same sizes and document lengths, padded batches, bf16
autocast, fused AdamW. Prints tokens per second of training or, with --decode, steps per second of decoding.

    train_step.py [--shape tiny|100m|200m|1b] [--tokens N] [--steps N] [--device cpu|cuda] [--compile] [--decode]
"""
import argparse
import random
import resource
import time

import torch
from torch import nn
from torch.nn import functional as F

from decoder import VOCABULARY, Decoder, synchronise
from shapes import SHAPES, line

SEQUENCES = 64


def documents(shape, tokens):
    """Captions of 25 to 44 tokens, geometry and 27 colour codes, and 14 tokens that open, close and measure."""
    generator, lengths = random.Random(3), []
    while sum(lengths) < tokens:
        lengths.append(14 + generator.randrange(25, 45) + shape.geometry + 27)
    return lengths


def train(model, shape, options):
    lengths = documents(shape, options.tokens or shape.step_tokens)
    tokens = torch.randint(0, VOCABULARY, (len(lengths), max(lengths)))
    targets = tokens.roll(-1, 1)
    for row, length in enumerate(lengths):
        targets[row, length - 1:] = -100
        targets[row, :40] = -100  # the caption carries no loss
    tokens, targets = tokens.to(options.device), targets.to(options.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    def step():
        with torch.autocast(options.device, torch.bfloat16):
            logits = model(tokens)
        loss = F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), ignore_index=-100)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    for _ in range(3):
        step()
    synchronise(options.device)
    start = time.perf_counter()
    for _ in range(options.steps):
        step()
    synchronise(options.device)
    taken = (time.perf_counter() - start) / options.steps
    peak = torch.cuda.max_memory_allocated() if options.device == "cuda" \
        else 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    line("train_step", shape=options.shape, program="PyTorch-compiled" if options.compile else "PyTorch",
         precision="bf16", parameters_million=sum(p.numel() for p in model.parameters()) / 1e6,
         step_tokens=sum(lengths), tokens_per_s=sum(lengths) / taken, step_ms=1e3 * taken, peak_gb=1e-9 * peak)


@torch.inference_mode()
def decode(model, shape, options):
    model = model.to(torch.bfloat16) if options.device == "cuda" else model
    caches = model.caches(SEQUENCES, shape, device=options.device, dtype=model.embedding.weight.dtype)

    def run():
        steps, position = 0, 0
        tokens = torch.randint(0, VOCABULARY, (SEQUENCES, 28), device=options.device)
        while position < 145:
            logits = model(tokens, caches, position)[:, -1]
            position += tokens.shape[1]
            tokens = logits.argmax(-1, keepdim=True)
            steps += 1
        synchronise(options.device)
        return steps

    run()
    start = time.perf_counter()
    rate = run() / (time.perf_counter() - start)
    line("decode_batch", shape=options.shape, program="PyTorch", sequences=SEQUENCES, steps_per_s=rate,
         tokens_per_s=rate * SEQUENCES)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--shape", choices=SHAPES, default="tiny")
    parser.add_argument("--tokens", type=int)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--decode", action="store_true")
    options = parser.parse_args()
    torch.manual_seed(1)
    shape = SHAPES[options.shape]
    model = Decoder(shape).to(options.device)
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads")
    if options.decode:
        decode(model, shape, options)
    else:
        train(torch.compile(model) if options.compile else model, shape, options)


if __name__ == "__main__":
    main()
