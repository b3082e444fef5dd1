"""What train_step --write and --check leave: the documents of a step, weights, losses."""
import json
import struct
from typing import NamedTuple

import torch

RUNS = 8  # of a set of tokens, empty ones with it: sequence::kMaximumTokenRuns
TYPES = {"I64": torch.int64, "F32": torch.float32}


def read(path):
    """The tensors of a safetensors file by name."""
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = bytearray(file.read())
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        first, last = entry["data_offsets"]
        tensors[name] = torch.frombuffer(data, dtype=TYPES[entry["dtype"]], offset=first,
                                         count=(last - first) // TYPES[entry["dtype"]].itemsize).view(entry["shape"])
    return tensors


class Batch(NamedTuple):
    """Documents padded to one length, and per set of tokens that compete: runs of them, rows, targets among them."""
    tokens: torch.Tensor
    slots: torch.Tensor
    next_slots: torch.Tensor
    places: torch.Tensor
    groups: list
    token_count: int


def read_batch(path, device):
    arrays = read(path)
    starts = arrays["document_starts"]
    lengths = starts.diff()
    longest = int(lengths.max())
    document = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
    row = document * longest + torch.arange(int(starts[-1])) - starts[document]

    def padded(name):
        values = torch.zeros(len(lengths) * longest, dtype=torch.int64)
        values[row] = arrays[name]
        return values.view(len(lengths), longest).to(device)

    groups = []
    runs_of_set = arrays["runs"].view(-1, RUNS, 2)
    for index in arrays["sets"].unique().tolist():
        own = (arrays["sets"] == index).nonzero().squeeze(1)
        runs = [(first, last) for first, last in runs_of_set[index].tolist() if last > first]
        competing = torch.cat([torch.arange(first, last) for first, last in runs])
        targets = torch.searchsorted(competing, arrays["targets"][own])
        groups.append((runs, row[arrays["positions"][own]].to(device), targets.to(device)))
    return Batch(padded("tokens"), padded("slots"), padded("next_slots"), padded("offsets").unsqueeze(1), groups,
                 int(starts[-1]))
