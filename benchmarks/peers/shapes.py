"""The shapes of ../shapes.h: width, blocks, heads, width of the SwiGLU, geometry codes of a document, tokens of a step."""
from typing import NamedTuple


class Shape(NamedTuple):
    width: int
    blocks: int
    heads: int
    mlp: int
    geometry: int
    step_tokens: int


SHAPES = {
    "tiny": Shape(192, 6, 6, 512, 64, 8192),
    "100m": Shape(768, 14, 12, 2048, 512, 16384),
    "200m": Shape(1024, 16, 16, 2752, 512, 16384),
    "1b": Shape(2048, 20, 16, 5472, 512, 8192),
}


def line(name, **values):
    """Prints what ours prints: words, then key=value pairs."""
    digits = {key: f"{value:.0f}" if isinstance(value, float) and value >= 100 else f"{value:.3g}"
              if isinstance(value, float) else value for key, value in values.items()}
    print(name, *(f"{key}={value}" for key, value in digits.items()), flush=True)
