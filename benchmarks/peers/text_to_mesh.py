"""PyTorch's side of text_to_mesh.sh: seconds for a text to a mesh with Cube3D at the size of v0.5, as the published program
goes about it. Reckoned, since it takes half an hour: 1,024 times the time of one code of the GPT with guidance under bf16
autocast, which is the shortest of several at the start of a sequence, one pass of the shape tokenizer's decoder, and the
field of a dense grid of 257^3 points in fp32, from 32,768 of them. The text tower, reading and the surface are left out.

    text_to_mesh.py FOLDER    FOLDER: with shape_tokenizer.safetensors
"""
import sys

import torch

import cube3d_gpt
import cube3d_tokenizer
from shapes import line

CODES = 1024


@torch.inference_mode()
def main(folder):
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads")
    each = cube3d_gpt.decode_as_published(cube3d_gpt.random_model(), 8)
    tokenizer = cube3d_tokenizer.Tokenizer(cube3d_tokenizer.load_safetensors(folder + "/shape_tokenizer.safetensors"))
    decode, latents = cube3d_tokenizer.seconds(1, lambda: tokenizer.decode(torch.randint(0, 16384, (1, CODES))))
    grid, _ = cube3d_tokenizer.dense_grid(tokenizer, latents)
    line("text_to_mesh", program="PyTorch", s=CODES * each + decode + grid, codes_s=CODES * each, decode_s=decode,
         field_s=grid)


if __name__ == "__main__":
    main(sys.argv[1])
