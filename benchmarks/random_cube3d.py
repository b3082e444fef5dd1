"""A folder as Cube3D v0.5 is published, at its size, with random weights: shape_gpt.safetensors (bf16, 3.6 GB),
shape_tokenizer.safetensors (fp32, 1.1 GB) and CLIP ViT-L/14's text tower in clip/ (fp32, 0.5 GB). Random weights have no
surface, so the field's last layers are made to compare |x| + |y| + |z| with 0.7, which the codes disturb.

    random_cube3d.py FOLDER
"""
import json
import pathlib
import shutil
import struct
import sys

import numpy as np

FIXTURES = pathlib.Path(__file__).parent.parent / "tests" / "fixtures" / "public" / "clip"
VALUES = (np.random.default_rng(1).standard_normal(1 << 22) * 0.02).astype(np.float32)  # again and again


class Writer:
    """Tensors of one safetensors file, in the order in which they are added."""

    def __init__(self, dtype):
        self.dtype, self.tensors = dtype, []

    def add(self, name, shape, values=None):
        self.tensors.append((name, list(shape), values))

    def linear(self, name, outputs, inputs, bias=True):
        self.add(name + ".weight", [outputs, inputs])
        if bias:
            self.add(name + ".bias", [outputs], 0)

    def encoded(self, values):
        values = np.ascontiguousarray(values, dtype=np.float32)
        return values.tobytes() if self.dtype == "F32" else (values.view(np.uint32) >> 16).astype(np.uint16).tobytes()

    def save(self, path):
        header, end, size = {}, 0, 4 if self.dtype == "F32" else 2
        for name, shape, _ in self.tensors:
            begin, end = end, end + size * int(np.prod(shape))
            header[name] = {"dtype": self.dtype, "shape": shape, "data_offsets": [begin, end]}
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        random = self.encoded(VALUES)
        with open(path, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for _, shape, values in self.tensors:
                left = size * int(np.prod(shape))
                if values is not None:
                    file.write(self.encoded(np.broadcast_to(np.float32(values), shape)))
                    continue
                while left > 0:
                    file.write(random[:left])
                    left -= len(random)


def write_gpt(path, width=1536, head=128, dual_blocks=23, codes=16384):
    writer = Writer("BF16")

    def attention(name, keys_alone):
        if keys_alone:
            writer.linear(name + ".c_k", width, width)
        else:
            writer.linear(name + ".c_qk", 2 * width, width, bias=False)
            writer.add(name + ".q_norm.weight", [head], 1)
        writer.linear(name + ".c_v", width, width)
        writer.add(name + ".k_norm.weight", [head], 1)

    def rest(projection, mlp):
        writer.linear(projection, width, width)
        writer.linear(mlp + ".gate_proj", 4 * width, width)
        writer.linear(mlp + ".up_proj", 4 * width, width)
        writer.linear(mlp + ".down_proj", width, 4 * width)

    for i in range(dual_blocks):
        name, last = f"transformer.dual_blocks.{i}", i == dual_blocks - 1
        attention(name + ".attn.pre_c", last)
        attention(name + ".attn.pre_x", False)
        rest(name + ".post_1.c_proj", name + ".post_1.mlp")
        if not last:
            rest(name + ".post_2.c_proj", name + ".post_2.mlp")
    attention("transformer.single_blocks.0.attn", False)
    rest("transformer.single_blocks.0.attn.c_proj", "transformer.single_blocks.0.mlp")
    for name in ("transformer.wte.weight", "lm_head.weight"):
        writer.add(name, [codes + 3, width])
    for name, inputs in (("text_proj", 768), ("shape_proj", 32), ("bbox_proj", 3)):
        writer.linear(name, width, inputs)
    writer.save(path)


def write_tokenizer(path, width=768, head=64, latents=1024, code=32, codes=16384, frequencies=128):
    writer = Writer("F32")

    def block(name, cross):
        if cross:
            writer.linear(name + ".attn.c_q", width, width)
            writer.linear(name + ".attn.c_k", width, width)
        else:
            writer.linear(name + ".attn.c_qk", 2 * width, width)
            writer.add(name + ".attn.q_norm.weight", [head], 1)
            writer.add(name + ".attn.k_norm.weight", [head], 1)
        writer.linear(name + ".attn.c_v", width, width)
        writer.linear(name + ".attn.c_proj", width, width)
        writer.linear(name + ".mlp.up_proj", 4 * width, width)
        writer.linear(name + ".mlp.down_proj", width, 4 * width)

    def norm(name):
        writer.add(name + ".weight", [width], 1)
        writer.add(name + ".bias", [width], 0)

    embedded = 3 + 6 * frequencies
    writer.add("embedder.weight", [3, frequencies])
    writer.linear("encoder.feat_in.in_layer", width, embedded + 3)
    writer.linear("encoder.feat_in.out_layer", width, width)
    writer.add("encoder.query", [latents + 1, width])
    for i in range(13):
        block(f"encoder.blocks.{i}", i in (0, 2, 4, 8))
    norm("encoder.ln_f")
    for name, outputs, inputs in (("c_in", code, width), ("c_x", code, width), ("c_out", width, code)):
        writer.linear("bottleneck.block." + name, outputs, inputs)
    writer.add("bottleneck.block.codebook.weight", [codes, code])
    for name, value in (("cb_weight", 1), ("cb_bias", 0), ("norm.weight", 1)):
        writer.add("bottleneck.block." + name, [code], value)
    writer.add("decoder.positional_encodings", [latents, width])
    for i in range(24):
        block(f"decoder.blocks.{i}", False)
    # Channel 0 grows with the sum of the sides, channel 1 is constant, the head compares them.
    inner, outer, bias, head_row = (np.zeros(shape, np.float32)
                                    for shape in ((width, embedded), (width, width), width, (1, width)))
    for row in range(6):
        inner[row, row // 2] = 20 if row % 2 == 0 else -20
    outer[0, :6], bias[1], head_row[0, :2] = 0.5, 7, (-1, 1)
    name = "occupancy_decoder."
    writer.add(name + "query_in.in_layer.weight", [width, embedded], inner)
    writer.add(name + "query_in.in_layer.bias", [width], 0)
    writer.add(name + "query_in.out_layer.weight", [width, width], outer)
    writer.add(name + "query_in.out_layer.bias", [width], bias)
    block(name + "attn_out", True)
    norm(name + "ln_f")
    writer.add(name + "c_head.weight", [1, width], head_row)
    writer.add(name + "c_head.bias", [1], 0)
    writer.save(path)


def write_text_tower(folder, width=768, layers=12, vocabulary=49408, positions=77):
    """Only its text part, with the tokenizer of a test."""
    folder.mkdir()
    config = json.loads((FIXTURES / "config.json").read_text())["text_config"]
    config.update(model_type="clip_text_model", hidden_size=width, intermediate_size=4 * width,
                  num_hidden_layers=layers, num_attention_heads=12, vocab_size=vocabulary,
                  max_position_embeddings=positions)
    (folder / "config.json").write_text(json.dumps(config))
    shutil.copy(FIXTURES / "tokenizer.json", folder)
    writer = Writer("F32")

    def norm(name):
        writer.add(name + ".weight", [width], 1)
        writer.add(name + ".bias", [width], 0)

    writer.add("text_model.embeddings.position_embedding.weight", [positions, width])
    writer.add("text_model.embeddings.token_embedding.weight", [vocabulary, width])
    for i in range(layers):
        name = f"text_model.encoder.layers.{i}."
        norm(name + "layer_norm1")
        norm(name + "layer_norm2")
        writer.linear(name + "mlp.fc1", 4 * width, width)
        writer.linear(name + "mlp.fc2", width, 4 * width)
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            writer.linear(name + "self_attn." + part, width, width)
    norm("text_model.final_layer_norm")
    writer.save(folder / "model.safetensors")


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: random_cube3d.py FOLDER")
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    write_gpt(folder / "shape_gpt.safetensors")
    write_tokenizer(folder / "shape_tokenizer.safetensors")
    write_text_tower(folder / "clip")


if __name__ == "__main__":
    main()
