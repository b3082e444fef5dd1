"""What a researcher would write in PyTorch for the model of train_step.cpp: the same sizes and document lengths, padded
batches, scaled_dot_product_attention, bf16 autocast, fused AdamW, the loss over the whole vocabulary, and a
preallocated key-value cache. Prints tokens per second of training and steps per second of decoding.

    train_step.py [--steps N] [--compile]
"""
import argparse
import random
import time

import torch
from torch import nn
from torch.nn import functional as F

WIDTH, BLOCKS, HEADS, MLP, VOCABULARY = 192, 6, 6, 512, 2600
STEP_TOKENS, SEQUENCES = 8192, 64


def rotate(x, cosine, sine):
    a, b = x.chunk(2, -1)
    return torch.cat((a * cosine - b * sine, b * cosine + a * sine), -1)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention_norm, self.mlp_norm = nn.RMSNorm(WIDTH), nn.RMSNorm(WIDTH)
        self.query_norm, self.key_norm = nn.RMSNorm(WIDTH // HEADS), nn.RMSNorm(WIDTH // HEADS)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.attention_out = nn.Linear(WIDTH, WIDTH, bias=False)
        self.gate_up = nn.Linear(WIDTH, 2 * MLP, bias=False)
        self.down = nn.Linear(MLP, WIDTH, bias=False)

    def forward(self, x, cosine, sine, cache=None, position=0):
        batch, length, _ = x.shape
        q, k, v = self.qkv(self.attention_norm(x)).view(batch, length, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        q, k = rotate(self.query_norm(q), cosine, sine), rotate(self.key_norm(k), cosine, sine)
        if cache is None:
            out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            cache[0][:, :, position:position + length] = k
            cache[1][:, :, position:position + length] = v
            end = position + length
            out = F.scaled_dot_product_attention(q.to(v.dtype), cache[0][:, :, :end], cache[1][:, :, :end],
                                                 is_causal=length > 1)
        x = x + self.attention_out(out.transpose(1, 2).reshape(batch, length, WIDTH))
        gate, up = self.gate_up(self.mlp_norm(x)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.slots, self.next_slots = nn.Embedding(256, WIDTH), nn.Embedding(256, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(BLOCKS))
        self.norm = nn.RMSNorm(WIDTH)
        half = WIDTH // HEADS // 2
        angles = torch.arange(512)[:, None] * 10000.0 ** (-torch.arange(half) / half)
        self.register_buffer("cosine", angles.cos())
        self.register_buffer("sine", angles.sin())

    def forward(self, tokens, caches=None, position=0):
        length = tokens.shape[1]
        places = torch.arange(position, position + length)
        x = self.embedding(tokens) + self.slots(places) + self.next_slots((places + 1).clamp(max=255))
        cosine, sine = self.cosine[places], self.sine[places]
        for i, block in enumerate(self.blocks):
            x = block(x, cosine, sine, None if caches is None else caches[i], position)
        return F.linear(self.norm(x), self.embedding.weight)


def documents():
    """Captions of 25 to 44 tokens, 64 geometry and 27 colour codes, and 14 tokens that open, close and measure."""
    generator, lengths = random.Random(3), []
    while sum(lengths) < STEP_TOKENS:
        lengths.append(14 + generator.randrange(25, 45) + 64 + 27)
    return lengths


def train(model, steps):
    lengths = documents()
    longest = max(lengths)
    tokens = torch.randint(0, VOCABULARY, (len(lengths), longest))
    targets = tokens.roll(-1, 1)
    for row, length in enumerate(lengths):
        targets[row, length - 1:] = -100
        targets[row, :40] = -100  # the caption carries no loss
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    taken = []
    for step in range(-3, steps):
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(tokens)
        loss = F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), ignore_index=-100)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step >= 0:
            taken.append(time.perf_counter() - start)
    print(f"train: {sum(lengths) / (sum(taken) / len(taken)):.0f} tokens/s")


@torch.inference_mode()
def decode(model):
    caches = [[torch.zeros(SEQUENCES, HEADS, 256, WIDTH // HEADS) for _ in range(2)] for _ in model.blocks]
    start, steps, position = time.perf_counter(), 0, 0
    tokens = torch.randint(0, VOCABULARY, (SEQUENCES, 28))
    while position < 145:
        logits = model(tokens, caches, position)[:, -1]
        position += tokens.shape[1]
        tokens = logits.argmax(-1, keepdim=True)
        steps += 1
    print(f"decode: {steps / (time.perf_counter() - start):.0f} steps/s")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    torch.manual_seed(1)
    model = Decoder()
    print(f"PyTorch {torch.__version__}{', compiled' if options.compile else ''}, "
          f"{sum(p.numel() for p in model.parameters())} parameters, {torch.get_num_threads()} threads")
    train(torch.compile(model) if options.compile else model, options.steps)
    decode(model)


if __name__ == "__main__":
    main()
