"""What a researcher would write in PyTorch for our transformer: padded batches, scaled_dot_product_attention, a
preallocated key-value cache, the loss over the whole vocabulary."""
import torch
from torch import nn
from torch.nn import functional as F

VOCABULARY = 2600


def rotate(x, cosine, sine):
    a, b = x.chunk(2, -1)
    return torch.cat((a * cosine - b * sine, b * cosine + a * sine), -1)


class Block(nn.Module):
    def __init__(self, shape):
        super().__init__()
        width, head = shape.width, shape.width // shape.heads
        self.heads = shape.heads
        self.attention_norm, self.mlp_norm = nn.RMSNorm(width), nn.RMSNorm(width)
        self.query_norm, self.key_norm = nn.RMSNorm(head), nn.RMSNorm(head)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.attention_out = nn.Linear(width, width, bias=False)
        self.gate_up = nn.Linear(width, 2 * shape.mlp, bias=False)
        self.down = nn.Linear(shape.mlp, width, bias=False)

    def forward(self, x, cosine, sine, cache=None, position=0):
        batch, length, width = x.shape
        q, k, v = self.qkv(self.attention_norm(x)).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k = rotate(self.query_norm(q), cosine, sine), rotate(self.key_norm(k), cosine, sine)
        if cache is None:
            out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            cache[0][:, :, position:position + length] = k
            cache[1][:, :, position:position + length] = v
            end = position + length
            out = F.scaled_dot_product_attention(q.to(v.dtype), cache[0][:, :, :end], cache[1][:, :, :end],
                                                 is_causal=length > 1)
        x = x + self.attention_out(out.transpose(1, 2).reshape(batch, length, width))
        gate, up = self.gate_up(self.mlp_norm(x)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)


class Decoder(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, shape.width)
        self.slots, self.next_slots = nn.Embedding(1024, shape.width), nn.Embedding(1024, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.blocks))
        self.norm = nn.RMSNorm(shape.width)
        half = shape.width // shape.heads // 2
        angles = torch.arange(1024)[:, None] * 10000.0 ** (-torch.arange(half) / half)
        self.register_buffer("cosine", angles.cos())
        self.register_buffer("sine", angles.sin())

    def forward(self, tokens, caches=None, position=0):
        length = tokens.shape[1]
        places = torch.arange(position, position + length, device=tokens.device)
        x = self.embedding(tokens) + self.slots(places) + self.next_slots((places + 1).clamp(max=1023))
        cosine, sine = self.cosine[places], self.sine[places]
        for i, block in enumerate(self.blocks):
            x = block(x, cosine, sine, None if caches is None else caches[i], position)
        return F.linear(self.norm(x), self.embedding.weight)

    def caches(self, sequences, shape, **options):
        size = (sequences, shape.heads, 256, shape.width // shape.heads)
        return [[torch.zeros(size, **options) for _ in range(2)] for _ in self.blocks]


def synchronise(device):
    if device == "cuda":
        torch.cuda.synchronize()
