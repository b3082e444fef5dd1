"""PyTorch's side of cube3d_gpt.cpp: the arithmetic of Cube3D's GPT at the size of v0.5 for one code after the other, with
guidance (two sequences), a preallocated key-value cache and random weights. The weights of the condition's stream are left
out, since no code reads them. Prints milliseconds per code under bf16 autocast, as the publication runs it, and with weights
in bf16.

    cube3d_gpt.py [--codes 8]
"""
import argparse
import time

import torch
from torch import nn
from torch.nn import functional as F

from shapes import line

WIDTH, HEADS, LAYERS, CODES, PROMPT = 1536, 12, 24, 16384, 78
HEAD = WIDTH // HEADS


def rotate(x, cosine, sine):
    even, odd = x[..., ::2], x[..., 1::2]
    return torch.stack((even * cosine - odd * sine, even * sine + odd * cosine), -1).flatten(-2)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH, 1e-6, elementwise_affine=False)
        self.query_key, self.value = nn.Linear(WIDTH, 2 * WIDTH, bias=False), nn.Linear(WIDTH, WIDTH)
        self.query_norm, self.key_norm = nn.RMSNorm(HEAD, 1e-5), nn.RMSNorm(HEAD, 1e-5)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.gate, self.up, self.down = (nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(WIDTH, 4 * WIDTH),
                                         nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x, cosine, sine, cache, position):
        rows = x.shape[0]
        normed = self.norm(x)
        query, key = self.query_key(normed).view(rows, 1, 2, HEADS, HEAD).permute(2, 0, 3, 1, 4)
        query, key = rotate(self.query_norm(query), cosine, sine), rotate(self.key_norm(key), cosine, sine)
        cache[0][:, :, position:position + 1] = key
        cache[1][:, :, position:position + 1] = self.value(normed).view(rows, 1, HEADS, HEAD).transpose(1, 2)
        keys, values = (side[:, :, :position + 1] for side in cache)
        attended = F.scaled_dot_product_attention(query.to(keys.dtype), keys, values)
        x = x + self.out(attended.transpose(1, 2).reshape(rows, 1, WIDTH))
        normed = self.norm(x)
        return x + self.down(F.silu(self.gate(normed)) * self.up(normed))


class ShapeStream(nn.Module):
    def __init__(self):
        super().__init__()
        self.codes = nn.Embedding(CODES + 3, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH, 1e-6, elementwise_affine=False)
        self.head = nn.Linear(WIDTH, CODES + 3, bias=False)

    def forward(self, code, step, caches):
        x = self.codes(code.expand(2, 1))
        angle = step * 10000.0 ** (-torch.arange(0, HEAD, 2) / HEAD)
        cosine, sine = angle.cos(), angle.sin()
        for block, cache in zip(self.blocks, caches):
            x = block(x, cosine, sine, cache, PROMPT + step)
        return self.head(self.norm(x))[:, 0, :CODES].float()


def draw(logits, step, codes):
    weight = 3.0 * (codes - step) / codes
    conditional, unconditional = logits
    probabilities = F.softmax((1 + weight) * conditional - weight * unconditional, -1).sort(descending=True)
    kept = probabilities.values.clone()
    kept[kept.cumsum(-1) - kept >= 0.9] = 0
    return probabilities.indices[torch.multinomial(kept, 1)]


@torch.inference_mode()
def decode(model, dtype, codes):
    """Seconds per code, the fastest of all: others may use the machine."""
    caches = [[torch.randn(2, HEADS, PROMPT + codes, HEAD, dtype=dtype) for _ in range(2)] for _ in range(LAYERS)]
    code, best = torch.tensor([[CODES]]), float("inf")
    for step in range(codes):
        start = time.perf_counter()
        code = draw(model(code, step, caches), step, codes).view(1, 1)
        best = min(best, time.perf_counter() - start)
    return best


def random_model():
    torch.manual_seed(1)
    with torch.device("meta"):
        model = ShapeStream()
    model = model.to_empty(device="cpu").eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, 0, 0.02) if parameter.dim() > 1 else nn.init.ones_(parameter)
    return model


def decode_as_published(model, codes):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return decode(model, torch.bfloat16, codes)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--codes", type=int, default=8)
    codes = parser.parse_args().codes
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads")
    model = random_model()
    seconds = decode_as_published(model, codes)
    line("cube3d_gpt", program="PyTorch", precision="autocast", ms=1e3 * seconds, codes_per_s=1 / seconds)
    seconds = decode(model.to(torch.bfloat16), torch.bfloat16, codes)
    line("cube3d_gpt", program="PyTorch", precision="bf16", ms=1e3 * seconds, codes_per_s=1 / seconds)


if __name__ == "__main__":
    main()
