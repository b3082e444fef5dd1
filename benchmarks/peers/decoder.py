"""What a researcher would write in PyTorch for our transformer: padded batches, scaled_dot_product_attention, a
preallocated key-value cache, a product per set of tokens that compete."""
import torch
from torch import nn
from torch.nn import functional as F

VOCABULARY, SLOTS = 2600, 1024
EPSILON = 1e-5


def rotate(x, cosine, sine):
    a, b = x.chunk(2, -1)
    return torch.cat((a * cosine - b * sine, b * cosine + a * sine), -1)


class Block(nn.Module):
    def __init__(self, shape):
        super().__init__()
        width, head = shape.width, shape.width // shape.heads
        self.heads = shape.heads
        self.attention_norm, self.mlp_norm = nn.RMSNorm(width, EPSILON), nn.RMSNorm(width, EPSILON)
        self.query_norm, self.key_norm = nn.RMSNorm(head, EPSILON), nn.RMSNorm(head, EPSILON)
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
    """vocabulary, slots: rows of the tables."""

    def __init__(self, shape, vocabulary=VOCABULARY, slots=SLOTS):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, shape.width)
        self.slot_embedding, self.next_slot_embedding = nn.Embedding(slots, shape.width), nn.Embedding(slots, shape.width)
        self.single_blocks = nn.ModuleList(Block(shape) for _ in range(shape.blocks))
        self.final_norm = nn.RMSNorm(shape.width, EPSILON)
        half = shape.width // shape.heads // 2
        angles = torch.arange(2048)[:, None] * 10000.0 ** (-torch.arange(half) / half)
        self.register_buffer("cosine", angles.cos(), persistent=False)
        self.register_buffer("sine", angles.sin(), persistent=False)

    def hidden(self, tokens, slots, next_slots, places, caches=None, position=0):
        """places: of each token in its document, [length] or [batch, 1, length]."""
        x = self.embedding(tokens) + self.slot_embedding(slots) + self.next_slot_embedding(next_slots)
        cosine, sine = self.cosine[places], self.sine[places]
        for i, block in enumerate(self.single_blocks):
            x = block(x, cosine, sine, None if caches is None else caches[i], position)
        return self.final_norm(x)

    def forward(self, tokens, caches, position):
        """The logits of tokens that stand at `position` and after."""
        places = torch.arange(position, position + tokens.shape[1], device=tokens.device)
        hidden = self.hidden(tokens, places, (places + 1).clamp(max=SLOTS - 1), places, caches, position)
        return F.linear(hidden, self.embedding.weight)

    def loss(self, batch):
        """The cross-entropies of all targets, each among the tokens that may stand there, added up."""
        hidden = self.hidden(batch.tokens, batch.slots, batch.next_slots, batch.places).flatten(0, 1)
        loss = 0
        for runs, rows, targets in batch.groups:
            classes = [self.embedding.weight[first:last] for first, last in runs]
            logits = F.linear(hidden[rows], classes[0] if len(classes) == 1 else torch.cat(classes))
            loss = loss + F.cross_entropy(logits.float(), targets, reduction="sum")
        return loss

    def caches(self, sequences, shape, **options):
        size = (sequences, shape.heads, 256, shape.width // shape.heads)
        return [[torch.zeros(size, **options) for _ in range(2)] for _ in self.single_blocks]


def synchronise(device):
    if device == "cuda":
        torch.cuda.synchronize()
