"""What models run on, in words."""

from __future__ import annotations

import os

import torch

from ..language.loading import DTYPES
from .executor import free_memory


def hardware() -> dict[str, str]:
    """The device and dtype that `load_model` chooses by itself, threads, and what memory a GPU has left."""
    cuda = torch.cuda.is_available()
    device = f"cuda, {torch.cuda.get_device_name()}" if cuda else "cpu"
    if not cuda and torch.backends.mps.is_available():
        device = 'cpu; load_model(..., device="mps") uses the Apple GPU'
    free = {"free GPU memory": f"{free_memory(torch.device('cuda')) / 1e9:.1f} GB"} if cuda else {}
    threads = f"{torch.get_num_threads()} on {os.cpu_count()} cores"
    return {"device": device, "dtype": DTYPES[0], "threads": threads, **free}
