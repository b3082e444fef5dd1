#!/usr/bin/env python3
"""Small models with random weights in the layouts of Qwen3 and CLIP, with the outputs of the `transformers` package.

    python make_public_fixtures.py --out tests/fixtures/public            # the tests' own, under 1 MB in all
    python make_public_fixtures.py --out larger --scale 4 --seed 5        # other sizes, for `omni model verify`
    ... --clip-vocabulary bpe_simple_vocab_16e6.txt.gz                    # CLIP's own, from the open_clip_torch wheel

Writes <out>/qwen3 and <out>/clip: config.json and weights as save_pretrained leaves them, tokenizer.json, and
expected.safetensors with inputs and outputs (fp32, CPU). Tokens are those of the fast tokenizers, which the slow ones agree
with (but CLIP's without the package ftfy, which then takes Chinese characters apart). Needs torch, transformers, safetensors.
"""

import argparse
import gzip
import json
import pathlib
import shutil
import tempfile

import torch
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel, CLIPTokenizerFast, Qwen2TokenizerFast, Qwen3Config, Qwen3ForCausalLM

CORPUS = pathlib.Path(__file__).parents[2] / "tests/fixtures/text/corpus.txt"
TEXTS = [
    "a small red chair",
    "A Tall  wooden table,\twith 4 legs!",
    "it's the robot's 2nd arm; we'll see they're fine",
    "caf\u00e9 na\u00efve \u00dcber stra\u00dfe",
    "\u6905\u5b50 \u0441\u0442\u0443\u043b \U0001f680\U0001f680 1234567",
    "  leading, trailing and\n\nnew lines  ",
    "<|endoftext|> inside a text",
    "e\u0301 is not \u00e9",
    "",
    "x" * 120,
]


def byte_characters():
    """GPT-2's printable character for each byte, in the order of its ids."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in printable]
    table = {b: chr(b) for b in printable}
    table.update({b: chr(256 + i) for i, b in enumerate(others)})
    return [table[b] for b in printable + others]


def learn_merges(words, count, end=""):
    """The `count` most frequent merges of a list of words, each a tuple of symbols."""
    merges = []
    while len(merges) < count:
        pairs = {}
        for word, number in words.items():
            for pair in zip(word, word[1:]):
                pairs[pair] = pairs.get(pair, 0) + number
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        merged = {}
        for word, number in words.items():
            out, i = [], 0
            while i < len(word):
                if word[i : i + 2] == best:
                    out.append(word[i] + word[i + 1])
                    i += 2
                else:
                    out.append(word[i])
                    i += 1
            merged[tuple(out)] = merged.get(tuple(out), 0) + number
        words = merged
    return merges


def corpus_words(space, end):
    characters = byte_characters()
    order = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    order += [b for b in range(256) if b not in order]
    of_byte = dict(zip(order, characters))
    words = {}
    for word in CORPUS.read_text().lower().split():
        symbols = [of_byte[b] for b in ((" " if space else "") + word).encode()]
        symbols[-1] += end
        words[tuple(symbols)] = words.get(tuple(symbols), 0) + 1
    return words


def save_tokenizer(kind, vocabulary, merges, folder):
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        (work / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
        (work / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
        tokenizer = kind(str(work / "vocab.json"), str(work / "merges.txt"))
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    return tokenizer


def clip_tokenizer(folder, vocabulary_file):
    characters = byte_characters()
    if vocabulary_file:
        lines = gzip.open(vocabulary_file).read().decode().split("\n")
        merges = [tuple(line.split()) for line in lines[1 : 49152 - 256 - 2 + 1]]
    else:
        merges = learn_merges(corpus_words(space=False, end="</w>"), 120)
    names = characters + [c + "</w>" for c in characters] + [a + b for a, b in merges]
    names += ["<|startoftext|>", "<|endoftext|>"]
    return save_tokenizer(CLIPTokenizerFast, {name: i for i, name in enumerate(names)}, merges, folder)


def qwen_tokenizer(folder):
    merges = learn_merges(corpus_words(space=True, end=""), 120)
    names = byte_characters() + [a + b for a, b in merges]
    return save_tokenizer(Qwen2TokenizerFast, {name: i for i, name in enumerate(names)}, merges, folder)


def token_ids(tokenizer):
    rows = [tokenizer(text)["input_ids"] for text in TEXTS]
    longest = max(map(len, rows))
    return torch.tensor([row + [-1] * (longest - len(row)) for row in rows])


def save(model, folder, expected, shards):
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        total = sum(p.numel() * p.element_size() for p in model.parameters())
        model.save_pretrained(work, max_shard_size=total // shards + 1 if shards > 1 else "50GB")
        for file in work.iterdir():
            if file.suffix == ".safetensors" or file.name.endswith((".index.json", "config.json")):
                if file.name != "generation_config.json":
                    shutil.copy(file, folder / file.name)
    tensors = {name: value.contiguous() for name, value in expected.items()}
    save_file(tensors, folder / "expected.safetensors", {"texts": json.dumps(TEXTS)})
    for file in folder.iterdir():
        file.chmod(0o644)


def randomise(model, generator):
    """Weights that make every part count: norms not at one, biases not at zero."""
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() >= 2:
                parameter.copy_(noise * 1.2 / parameter[0].numel() ** 0.5)
            else:
                parameter.add_(0.2 * noise)


def qwen3(folder, scale, generator, shards):
    tokenizer = qwen_tokenizer(folder)
    config = Qwen3Config(
        vocab_size=len(tokenizer) + 5, hidden_size=32 * scale, intermediate_size=72 * scale, num_hidden_layers=2 + scale // 2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=16, max_position_embeddings=256, rope_theta=1e6,
        tie_word_embeddings=shards == 1, attn_implementation="eager")
    model = Qwen3ForCausalLM(config).eval()
    randomise(model, generator)
    ids = torch.randint(0, config.vocab_size, (2, 11 * scale), generator=generator)
    with torch.no_grad():
        logits = model(ids).logits
        sequence = ids
        for _ in range(12 * scale):  # full context, so that no cache is trusted
            sequence = torch.cat([sequence, model(sequence).logits[:, -1:].argmax(-1)], 1)
    save(model, folder, {"input_ids": ids, "logits": logits, "greedy_ids": sequence[:, ids.shape[1] :],
                         "text_ids": token_ids(tokenizer)}, shards)


def clip(folder, scale, generator, vocabulary_file, activations):
    tokenizer = clip_tokenizer(folder, vocabulary_file)
    text = dict(vocab_size=len(tokenizer), hidden_size=32 * scale, intermediate_size=72 * scale, num_hidden_layers=2 + scale // 2,
                num_attention_heads=2 * scale, max_position_embeddings=77, hidden_act=activations[0],
                bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id)
    vision = dict(hidden_size=48 * scale, intermediate_size=96 * scale, num_hidden_layers=2 + scale // 2,
                  num_attention_heads=3 * scale, image_size=28 * scale, patch_size=7, hidden_act=activations[1])
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=24 * scale)
    model = CLIPModel(config).eval()
    randomise(model, generator)
    texts = ["a small red chair", "a very tall wooden table with four legs and a " * 12, ""]
    ids = tokenizer(texts, padding="max_length", truncation=True, max_length=77, return_tensors="pt")["input_ids"]
    pixels = torch.randn((2, 3, 28 * scale, 28 * scale), generator=generator)
    with torch.no_grad():
        words, picture = model.text_model(ids), model.vision_model(pixels)
        expected = {
            "input_ids": ids, "pixel_values": pixels,
            "text_last_hidden_state": words.last_hidden_state, "text_pooler_output": words.pooler_output,
            "text_embeds": model.text_projection(words.pooler_output),
            "vision_last_hidden_state": picture.last_hidden_state, "vision_pooler_output": picture.pooler_output,
            "image_embeds": model.visual_projection(picture.pooler_output), "text_ids": token_ids(tokenizer)}
    save(model, folder, expected, 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--scale", type=int, default=1, help="multiplies widths and lengths")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shards", type=int, default=1, help="of Qwen3's weights; with more than one its head is its own")
    parser.add_argument("--text-activation", default="quick_gelu", choices=["quick_gelu", "gelu"], help="of CLIP")
    parser.add_argument("--vision-activation", default="gelu", choices=["quick_gelu", "gelu"], help="of CLIP")
    parser.add_argument("--clip-vocabulary", type=pathlib.Path)
    arguments = parser.parse_args()
    generator = torch.Generator().manual_seed(arguments.seed)
    for name in ("qwen3", "clip"):
        (arguments.out / name).mkdir(parents=True, exist_ok=True)
    qwen3(arguments.out / "qwen3", arguments.scale, generator, arguments.shards)
    clip(arguments.out / "clip", arguments.scale, generator, arguments.clip_vocabulary,
         (arguments.text_activation, arguments.vision_activation))


if __name__ == "__main__":
    main()
