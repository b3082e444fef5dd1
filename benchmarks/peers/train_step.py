"""PyTorch's side of train_step.cpp and decode_batch.cpp: the same sizes, documents and loss, padded batches, bf16
autocast, fused AdamW. Prints tokens per second of training or, with --decode, steps per second of decoding.

    train_step.py DOCUMENTS [--shape tiny|100m|200m|1b] [--steps N] [--precision bf16|fp32] [--device cpu|cuda]
                  [--compile]                 DOCUMENTS: what train_step --write FOLDER left
    train_step.py DOCUMENTS --check [--shape ...]   whether 20 steps in fp32 have the losses that train_step --check
                                                    --precision fp32 left
    train_step.py --decode [--shape ...] [--device cpu|cuda]
"""
import argparse
import contextlib
import os
import resource
import sys
import time

import torch
from torch import nn

from decoder import VOCABULARY, Decoder, synchronise
from documents import read, read_batch
from shapes import SHAPES, line

SEQUENCES = 64
# Processor time where the machine is shared (one thread), else the clock: as train_step.cpp has it.
seconds = time.process_time if "OMNI_BENCHMARK_CPU_TIME" in os.environ else time.perf_counter


class Training:
    """Steps of the loss over 1000, as ours."""

    def __init__(self, model, options):
        self.model, self.options = model, options
        decayed = [p for name, p in model.named_parameters() if p.dim() > 1 and "embedding" not in name]
        rest = [p for name, p in model.named_parameters() if p.dim() < 2 or "embedding" in name]
        self.optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.1},
                                            {"params": rest, "weight_decay": 0.0}], lr=1e-3, betas=(0.9, 0.95), fused=True)
        self.loss = torch.compile(model.loss) if options.compile else model.loss

    def step(self, batch):
        bf16 = self.options.precision == "bf16"
        with torch.autocast(self.options.device, torch.bfloat16) if bf16 else contextlib.nullcontext():
            loss = self.loss(batch) / 1000
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.detach()


def check(shape, options):
    weights = read(f"{options.documents}/weights.safetensors")
    model = Decoder(shape, *(weights[f"{name}.weight"].shape[0] for name in ("embedding", "slot_embedding")))
    model.load_state_dict(weights)
    training = Training(model.to(options.device), options)
    expected = read(f"{options.documents}/losses.safetensors")["losses"]
    losses = torch.stack([training.step(read_batch(f"{options.documents}/documents-{i}.safetensors", options.device))
                          for i in range(len(expected))]).cpu()
    worst = float(((losses - expected) / expected).abs().max())
    line("train_step_check", shape=options.shape, steps=len(expected), first=float(losses[0]), last=float(losses[-1]),
         largest_relative_difference=worst)
    if worst > 1e-4:
        sys.exit("the losses are not the same")


def train(shape, options):
    training = Training(Decoder(shape).to(options.device), options)
    batch = read_batch(f"{options.documents}/documents-0.safetensors", options.device)
    for _ in range(3):
        training.step(batch)
    synchronise(options.device)
    start = seconds()
    for _ in range(options.steps):
        training.step(batch)
    synchronise(options.device)
    taken = (seconds() - start) / options.steps
    peak = torch.cuda.max_memory_allocated() if options.device == "cuda" \
        else 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    line("train_step", shape=options.shape, program="PyTorch-compiled" if options.compile else "PyTorch",
         precision=options.precision, parameters_million=sum(p.numel() for p in training.model.parameters()) / 1e6,
         step_tokens=batch.token_count, tokens_per_s=batch.token_count / taken, step_ms=1e3 * taken, peak_gb=1e-9 * peak)


@torch.inference_mode()
def decode(shape, options):
    model = Decoder(shape).to(options.device)
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
    parser.add_argument("documents", nargs="?")
    parser.add_argument("--shape", choices=SHAPES, default="tiny")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--decode", action="store_true")
    options = parser.parse_args()
    torch.manual_seed(1)
    shape = SHAPES[options.shape]
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads")
    if options.decode:
        decode(shape, options)
    elif options.documents is None:
        parser.error("name the folder that train_step --write or --check left")
    elif options.check:
        options.precision = "fp32"
        check(shape, options)
    else:
        train(shape, options)


if __name__ == "__main__":
    main()
