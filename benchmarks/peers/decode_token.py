"""What a researcher would write in PyTorch for decode_token.cpp: the same sizes, a preallocated key-value cache,
scaled_dot_product_attention, guidance over two sequences, then topk, softmax, the top-p cut and multinomial. Prints
milliseconds per token in fp32 and in bf16.
"""
import time

import torch
from torch.nn import functional as F

import train_step

train_step.WIDTH, train_step.BLOCKS, train_step.HEADS, train_step.MLP = 1024, 16, 16, 2752
SEQUENCES, PROMPT, TOKENS = 2, 40, 64


def draw(logits):
    unconditional, conditional = logits.float()
    scores, indices = (unconditional + 3.0 * (conditional - unconditional)).topk(50)
    probabilities = F.softmax(scores, -1)
    probabilities[probabilities.cumsum(-1) - probabilities >= 0.9] = 0
    return indices[torch.multinomial(probabilities, 1)]


@torch.inference_mode()
def decode(model, dtype):
    head = train_step.WIDTH // train_step.HEADS
    caches = [[torch.zeros(SEQUENCES, train_step.HEADS, 256, head, dtype=dtype) for _ in range(2)]
              for _ in model.blocks]
    logits = model(torch.randint(0, train_step.VOCABULARY, (1, PROMPT)).expand(SEQUENCES, -1), caches, 0)
    start = time.perf_counter()
    for position in range(PROMPT, PROMPT + TOKENS):
        token = draw(logits[:, -1])
        logits = model(token.expand(SEQUENCES, 1), caches, position)
    return (time.perf_counter() - start) / TOKENS


def main():
    torch.manual_seed(1)
    model = train_step.Decoder()
    print(f"PyTorch {torch.__version__}, {sum(p.numel() for p in model.parameters())} parameters, "
          f"{torch.get_num_threads()} threads")
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        model = model.to(dtype)
        decode(model, dtype)
        print(f"{name}: {decode(model, dtype) * 1e3:.2f} ms a token")


if __name__ == "__main__":
    main()
