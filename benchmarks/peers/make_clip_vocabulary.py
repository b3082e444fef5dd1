#!/usr/bin/env python3
"""CLIP's own vocabulary and the ids that the `tokenizers` package gives a few hundred texts with it.

    python make_clip_vocabulary.py bpe_simple_vocab_16e6.txt.gz --out tests/fixtures/public/clip_vocabulary

The argument is in the open_clip_torch wheel (OpenAI's, MIT licence). Writes <out>/merges.txt, the 48,894 merges that CLIP uses, one
a line in their order, from which with the 512 bytes and two ends all of the vocabulary follows, and <out>/expected.json: texts, and
their ids with start and end. Needs the package tokenizers; no network.
"""

import argparse
import gzip
import json
import pathlib
import random

from tokenizers import Tokenizer

FIXTURES = pathlib.Path(__file__).parents[2] / "tests/fixtures"
MERGES = 49152 - 256 - 2  # of the 262,144 in the file
ODD = [
    "it's the robot's 2nd arm; we'll see they're fine, I'd say, and I've been; I'm",
    "caf\u00e9 na\u00efve \u00dcber stra\u00dfe \u0130stanbul \u03a3\u0391\u03a3",
    "\u6905\u5b50 \u0441\u0442\u0443\u043b \u0e40\u0e01\u0e49\u0e32\u0e2d\u0e35\u0e49 \uc758\uc790 \u0643\u0631\u0633\u064a \u0915\u0941\u0930\u094d\u0938\u0940",
    "\U0001f680\U0001f680 1234567 \u00bd \u2163 \u0663", "  leading, trailing and\n\nnew lines\t ", "<|endoftext|> inside a text",
    "e\u0301 is not \u00e9", "", "x" * 120, "a_b-c/d\\e~f^g", "!!!??? ... ;;; ((())) [[]] {}", "\u00a0\u2003wide\u3000spaces",
    "supercalifragilisticexpialidocious antidisestablishmentarianism", "https://example.org/a?b=c&d=e#f", "C++20, 3.14e-5, $9.99, 50%",
]


def tokenizer_of(merges):
    """The one of the small case, which the transformers package wrote, with the real vocabulary in place of its own."""
    described = json.loads((FIXTURES / "public/clip/tokenizer.json").read_text())
    model = described["model"]
    names = sorted(model["vocab"], key=model["vocab"].get)[:512] + ["".join(pair) for pair in merges]
    start = len(names)
    names += ["<|startoftext|>", "<|endoftext|>"]
    model["vocab"] = {name: i for i, name in enumerate(names)}
    model["merges"] = merges
    for i, token in enumerate(described["added_tokens"]):
        token["id"] = start + i
    described["post_processor"]["cls"][1] = start
    described["post_processor"]["sep"][1] = start + 1
    return Tokenizer.from_str(json.dumps(described))


def texts(merges):
    """Captions, odd ones, and words of the vocabulary itself, frequent and rare, in random order."""
    draw = random.Random(1)
    lines = (FIXTURES / "text/corpus.txt").read_text().splitlines()
    words = [b for a, b in ((None, "".join(pair)) for pair in merges) if b.endswith("</w>") and b.isascii()]
    words = [word[: -len("</w>")] for word in words]
    mixed = [" ".join(draw.choices(words[: 2000 if i % 2 else None], k=draw.randint(3, 12))) for i in range(150)]
    return list(dict.fromkeys(lines)) + ODD + [draw.choice([str.title, str.upper, str])(text) for text in mixed]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vocabulary", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    lines = gzip.open(arguments.vocabulary).read().decode().split("\n")[1 : 1 + MERGES]
    merges = [line.split() for line in lines]
    tokenizer = tokenizer_of(merges)
    chosen = texts(merges)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "merges.txt").write_text("".join(f"{a} {b}\n" for a, b in merges))
    rows = [json.dumps({"text": text, "ids": tokenizer.encode(text).ids}) for text in chosen]
    (arguments.out / "expected.json").write_text("[\n" + ",\n".join(rows) + "\n]\n")


if __name__ == "__main__":
    main()
