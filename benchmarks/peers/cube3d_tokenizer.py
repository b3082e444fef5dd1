"""Cube3D's shape tokenizer in plain PyTorch (the layout of the public checkpoint), beside benchmarks/cube3d_tokenizer.cpp.

usage: cube3d_tokenizer.py FOLDER
  encodes FOLDER/surface.npy with FOLDER/weights.safetensors and times it, compares the codes with FOLDER/indices.npy,
  then times field queries.
"""
import json
import math
import statistics
import struct
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F


def load_safetensors(path):
    data = np.memmap(path, dtype=np.uint8, mode="r")
    (size,) = struct.unpack("<Q", data[:8].tobytes())
    header = json.loads(data[8:8 + size].tobytes())
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        assert entry["dtype"] == "F32", name
        begin, end = entry["data_offsets"]
        array = np.frombuffer(data[8 + size + begin:8 + size + end].tobytes(), dtype=np.float32)
        tensors[name] = torch.from_numpy(array.reshape(entry["shape"]).copy())
    return tensors


class Tokenizer:
    def __init__(self, weights):
        self.w = weights
        self.width = weights["encoder.query"].shape[1]
        self.head = next(v.shape[0] for k, v in weights.items() if k.endswith("q_norm.weight"))

    def linear(self, x, name):
        return F.linear(x, self.w[name + ".weight"], self.w.get(name + ".bias"))

    def norm(self, x):
        return F.layer_norm(x, x.shape[-1:], eps=1e-6)

    def heads(self, x):
        return x.unflatten(-1, (-1, self.head)).transpose(1, 2)

    def embed(self, x):
        weight = self.w["embedder.weight"]
        count = weight.shape[1]
        t = torch.linspace(0, 1, count)
        carrier = 2 * math.pi * ((count / 8) ** (1 - t) + t)
        a = (x[..., None] * weight).flatten(-2)
        b = (x[..., None] * (math.pi / 2) + carrier).flatten(-2)
        return torch.cat([x, a.cos() + b.cos(), a.sin() + b.sin()], -1)

    def block(self, name, h, data):
        if name + ".attn.c_q.weight" in self.w:
            q = self.heads(self.linear(self.norm(h), name + ".attn.c_q"))
            normed = self.norm(data)
            k = self.heads(self.linear(normed, name + ".attn.c_k"))
        else:
            normed = self.norm(h)
            q, k = map(self.heads, self.linear(normed, name + ".attn.c_qk").chunk(2, -1))
            q = F.rms_norm(q, (self.head,), self.w[name + ".attn.q_norm.weight"], 1e-5)
            k = F.rms_norm(k, (self.head,), self.w[name + ".attn.k_norm.weight"], 1e-5)
        v = self.heads(self.linear(normed, name + ".attn.c_v"))
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(-2)
        h = h + self.linear(mixed, name + ".attn.c_proj")
        return h + self.linear(F.gelu(self.linear(self.norm(h), name + ".mlp.up_proj")), name + ".mlp.down_proj")

    def stack(self, prefix, h, data):
        n = 0
        while f"{prefix}.{n}.attn.c_v.weight" in self.w:
            h = self.block(f"{prefix}.{n}", h, data)
            n += 1
        return h

    def codebook(self):
        b = "bottleneck.block."
        rows = self.w[b + "codebook.weight"] * self.w[b + "cb_weight"] + self.w[b + "cb_bias"]
        return F.rms_norm(rows, rows.shape[-1:], self.w[b + "norm.weight"], 1e-5)

    def encode(self, surface):
        features = torch.cat([self.embed(surface[..., :3]), surface[..., 3:]], -1)
        data = self.linear(F.silu(self.linear(features, "encoder.feat_in.in_layer")), "encoder.feat_in.out_layer")
        h = self.stack("encoder.blocks", self.w["encoder.query"][None], data)
        h = F.layer_norm(h, h.shape[-1:], self.w["encoder.ln_f.weight"], self.w["encoder.ln_f.bias"], 1e-6)[:, 1:]
        z = self.linear(h, "bottleneck.block.c_in")
        z = F.rms_norm(z, z.shape[-1:], self.w["bottleneck.block.norm.weight"], 1e-5)
        return torch.cdist(z[0], self.codebook()).argmin(-1)[None]

    def decode(self, indices):
        h = self.linear(self.codebook()[indices], "bottleneck.block.c_out") + self.w["decoder.positional_encodings"]
        return self.stack("decoder.blocks", h, h)

    def field(self, latents, queries):
        h = F.silu(self.linear(self.embed(queries), "occupancy_decoder.query_in.in_layer"))
        h = self.linear(h, "occupancy_decoder.query_in.out_layer")
        h = self.block("occupancy_decoder.attn_out", h, latents)
        h = F.layer_norm(h, h.shape[-1:], self.w["occupancy_decoder.ln_f.weight"],
                         self.w["occupancy_decoder.ln_f.bias"], 1e-6)
        return self.linear(h, "occupancy_decoder.c_head").squeeze(-1)


def seconds(repeats, work):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - start)
    return statistics.median(times), result


def dense_grid(tokenizer, latents):
    """Seconds for the field of a dense 257^3 grid, and the queries of a second, from 32,768 of them."""
    queries = torch.rand(1, 32768, 3, generator=torch.Generator().manual_seed(1)) * 2.1 - 1.05
    time_s, _ = seconds(3, lambda: tokenizer.field(latents, queries))
    return 257 ** 3 * time_s / 32768, 32768 / time_s


@torch.inference_mode()
def main(folder):
    tokenizer = Tokenizer(load_safetensors(folder + "/weights.safetensors"))
    surface = torch.from_numpy(np.load(folder + "/surface.npy"))
    time_s, indices = seconds(3, lambda: tokenizer.encode(surface))
    equal = np.mean(indices.numpy()[0] == np.load(folder + "/indices.npy"))
    print(f"encode: {time_s:.3f} s, {100 * equal:.2f} % of the codes equal")
    time_s, rate = dense_grid(tokenizer, tokenizer.decode(indices))
    print(f"mesh: {time_s:.1f} s for the field queries of a dense 257^3 grid ({rate:.0f} /s, from 32,768 of them)")


if __name__ == "__main__":
    main(sys.argv[1])
