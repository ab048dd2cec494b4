"""Activation patching against transformer_lens.patching, side by side in one process. `make bench` runs it.

GPT-2 small's shape with random weights, float32, two threads; on a GPU too, where there is one. Everything is counted
on both sides: tokenising, the clean and the corrupt run, the sweep. Medians of runs in turn.

- The peer runs one forward pass a cell, each as long as any other. It runs a sample of the
  cells, spread over the map, and its time is scaled up; `--full` runs all of them (three quarters of an hour).
- The floor is the time of the matrix products alone that a sweep can't avoid: for each layer one product a weight
  matrix with as many rows as reach that layer, by plain torch.mm, in the pass size that is fastest here. Both unpatched
  runs are in it; attention is not, nor anything else that is no product with a weight.
- Peak memory is that of a process of its own that sweeps resid_pre at 100 tokens, beyond what the model takes.

Prints a table and writes build/bench/activation_patching.json.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import pandas
import torch
import transformers
from transformer_lens import patching

import interp_backend as ib

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests/python"))

from tiny_models import boot

LAYERS, WIDTH, HEADS = 12, 768, 12
SAMPLE = 48  # cells of a large sweep that the peer runs
RUNS, RUNS_OF_LONG_ONES = 5, 1


@dataclass(frozen=True)
class Case:
    """One sweep: its axes, the prompts' tokens, and the first position at which they differ."""

    name: str
    activation: str
    axes: tuple[str, ...]
    tokens: int
    first: int
    pairs: int = 1
    target: float | None = None


RESID, ALL, BY_POSITION = ("layer", "position"), ("layer", "head"), ("layer", "head", "position")
CASES = [
    Case("resid_pre, T=15, first difference at 4", "resid_pre", RESID, 15, 4, target=25),
    Case("resid_pre, T=15, first difference at 1", "resid_pre", RESID, 15, 1, target=16),
    Case("resid_pre, T=15, first difference at 0", "resid_pre", RESID, 15, 0),
    Case("resid_pre, T=40, first difference at 20", "resid_pre", RESID, 40, 20, target=35),
    Case("resid_pre, T=40, first difference at 1", "resid_pre", RESID, 40, 1, target=11),
    Case("z, all positions, T=15, first difference at 4", "z", ALL, 15, 4, target=15),
    Case("z by position, T=15, first difference at 4", "z", BY_POSITION, 15, 4, target=35),
    Case("resid_pre, 32 pairs of T=15, first difference at 4", "resid_pre", RESID, 15, 4, pairs=32),
    Case("resid_pre, T=100, first difference at 1", "resid_pre", RESID, 100, 1),
]
ORACLES = {
    ("resid_pre", RESID): ("resid_pre", patching.layer_pos_patch_setter, ("layer", "pos")),
    ("z", ALL): ("z", patching.layer_head_vector_patch_setter, ("layer", "head")),
    ("z", BY_POSITION): ("z", patching.layer_pos_head_vector_patch_setter, ("layer", "pos", "head")),
}


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--full", action="store_true", help="let the peer run every cell")
    options.add_argument("--device", default=None, help="cpu, cuda; by default both where there are both")
    options.add_argument("--memory", action="store_true", help="only say how much memory a sweep takes")
    chosen = options.parse_args()
    torch.set_num_threads(2)
    if chosen.memory:
        return print(json.dumps(peak_memory()))
    devices = [chosen.device] if chosen.device else ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    report = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, 2 threads, float32",
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "rows": [row for device in devices for row in table(device, chosen.full)],
        "memory": json.loads(
            subprocess.run(
                [sys.executable, __file__, "--memory"], capture_output=True, text=True, check=True
            ).stdout.splitlines()[-1]  # after what TransformerLens says
        ),
    }
    out = ROOT / "build/bench"
    out.mkdir(parents=True, exist_ok=True)
    (out / "activation_patching.json").write_text(json.dumps(report, indent=2), encoding="utf-8")
    print(f"\nPeak extra memory, resid_pre at 100 tokens: {report['memory']['extra_bytes'] / 1e9:.2f} GB")
    print(f"Measured on {report['machine']}. Written: {out / 'activation_patching.json'}")


def table(device: str, full: bool) -> list[dict]:
    model = ib.load_model(gpt2_small(device))
    print(f"\n{device}: {'sweep':52} {'ours':>9} {'floor':>9} {'x floor':>8} {'peer':>9} {'faster':>8} {'wanted':>7}")
    rows = []
    for case in CASES:
        row = {"device": device, **asdict(case), **measure(model, case, full)}
        rows.append(row)
        wanted = f"{case.target:.0f}" if case.target else ""
        sampled = "" if row["peer_cells"] == row["cells"] else f"  (peer: {row['peer_cells']} of {row['cells']} cells)"
        print(
            f"{device}: {case.name:52} {row['ours']:7.2f} s {row['floor']:7.2f} s {row['ours'] / row['floor']:8.2f} "
            f"{row['peer']:7.1f} s {row['faster']:8.1f} {wanted:>7}{sampled}",
            flush=True,
        )
    return rows


def gpt2_small(device: str):
    torch.manual_seed(0)
    config = transformers.GPT2Config(n_layer=LAYERS, n_embd=WIDTH, n_head=HEADS)
    return boot(transformers.GPT2LMHeadModel(config), "gpt2-small-shape").to(device)


def pair_of(case: Case, number: int) -> ib.PromptPair:
    """Letters, one token each after the beginning-of-text token, or in its place where that must differ too."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    text = "".join(letters[(i * 7 + number) % 26] for i in range(case.tokens - 1))
    at = max(case.first, 1) - 1
    return ib.PromptPair(clean=text, corrupt=f"{text[:at]}#{text[at + 1 :]}", clean_answer="a", corrupt_answer="b")


def measure(model: ib.LanguageModel, case: Case, full: bool) -> dict:
    """Medians of runs in turn, so that a slow moment of the machine hits all."""
    pairs = [pair_of(case, number) for number in range(case.pairs)]
    many = pairs[0] if case.pairs == 1 else ib.PromptPairs(pairs)
    with without_bos(model, case.first == 0):
        length = len(model.to_ids(pairs[0].clean))
        cells = LAYERS * (HEADS if "head" in case.axes else 1) * (length if "position" in case.axes else 1)
        run = [i for i in range(cells) if full or i % max(1, cells // SAMPLE) == 0]
        ours = functools.partial(ib.activation_patching, model, many, activation=case.activation, axes=case.axes)
        peer = functools.partial(peer_sweep, model, pairs[0], case, length, run)
        floor = functools.partial(multiply, model, case, length)
        long = case.tokens == 100 or case.pairs > 1
        if not long:
            ours()  # a warm-up, and the check of a new model
        times: dict[Callable, list[float]] = {ours: [], floor: [], peer: []}
        for _ in range(RUNS_OF_LONG_ONES if long else RUNS):
            for function, seconds in times.items():
                seconds.append(timed(function, model))
        median = {function: statistics.median(seconds) for function, seconds in times.items()}
        base_runs = timed(functools.partial(peer_sweep, model, pairs[0], case, length, []), model)
        peer_seconds = case.pairs * (base_runs + (median[peer] - base_runs) * cells / len(run))
        difference = None if long else largest_difference(ours().values, peer())
    return {
        "ours": median[ours],
        "floor": median[floor] * case.pairs,
        "peer": peer_seconds,
        "faster": peer_seconds / median[ours],
        "cells": cells * case.pairs,
        "peer_cells": len(run),
        "difference": difference,
    }


def largest_difference(values, expected: torch.Tensor) -> float:
    """Of the cells that the peer ran, in units of the largest value."""
    mine = values.transpose(0, 2, 1) if values.ndim == 3 else values  # theirs is [layer, position, head]
    known = ~torch.isnan(expected)
    scale = float(expected[known].abs().max())
    difference = float((torch.tensor(mine)[known] - expected[known]).abs().max()) / scale
    assert difference < 1e-4, f"differs from TransformerLens by {difference:.1e}"
    return difference


def timed(function: Callable[[], object], model: ib.LanguageModel) -> float:
    start = time.perf_counter()
    function()
    if model.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


@contextlib.contextmanager
def without_bos(model: ib.LanguageModel, yes: bool):
    """The first position can differ only where no token is put before every prompt."""
    before = model.raw.cfg.default_prepend_bos
    model.raw.cfg.default_prepend_bos = before and not yes
    try:
        yield
    finally:
        model.raw.cfg.default_prepend_bos = before


def peer_sweep(model: ib.LanguageModel, pair: ib.PromptPair, case: Case, length: int, run: list[int]) -> torch.Tensor:
    """What a user of transformer_lens.patching writes, for some of the cells; the others stay not-a-number."""
    raw = model.raw
    name, setter, axes = ORACLES[case.activation, case.axes]
    sizes = {"layer": LAYERS, "pos": length, "head": HEADS}
    index = pandas.MultiIndex.from_product([range(sizes[axis]) for axis in axes], names=axes)
    index = index.to_frame(index=False).iloc[run]
    with torch.no_grad(), contextlib.redirect_stderr(io.StringIO()):
        clean, corrupt = raw.to_tokens(pair.clean), raw.to_tokens(pair.corrupt)
        a, b = (raw.to_tokens(text, prepend_bos=False)[0, 0] for text in (pair.clean_answer, pair.corrupt_answer))
        _, cache = raw.run_with_cache(clean)
        raw(corrupt)  # its own value, for the scale
        if not run:
            return torch.empty(0)
        flat = patching.generic_activation_patch(
            raw,
            corrupt,
            cache,
            lambda logits: logits[0, -1, a] - logits[0, -1, b],
            setter,
            name,
            index_df=index,
        )
    values = torch.full(tuple(sizes[axis] for axis in axes), torch.nan)
    values[tuple(torch.tensor(index[axis].to_numpy()) for axis in axes)] = flat.float().cpu()
    return values


def rows_of(case: Case, length: int) -> tuple[list[int], list[int], int]:
    """How many rows reach each layer's whole block, and its output matrix and MLP alone; and how many patched runs."""
    first = case.first
    widths = [length - p for p in range(first, length)] if "position" in case.axes else [length - first]
    runs = (HEADS if "head" in case.axes else 1) * len(widths)
    entering = sum(widths) * (HEADS if "head" in case.axes else 1)
    whole = [2 * length] * LAYERS  # the two unpatched runs
    after_heads = [0] * LAYERS
    for layer in range(LAYERS):
        if case.activation == "z":
            after_heads[layer] += entering  # of its own layer a head's run needs no queries, keys and values
            whole[layer] += layer * entering
        else:
            whole[layer] += (layer + 1) * entering
    return whole, after_heads, runs * LAYERS


@functools.cache
def weights(device: str) -> dict[str, torch.Tensor]:
    shapes = {"qkv": (WIDTH, 3 * WIDTH), "kv": (WIDTH, 2 * WIDTH), "o": (WIDTH, WIDTH), "in": (WIDTH, 4 * WIDTH)}
    shapes |= {"out": (4 * WIDTH, WIDTH), "q": (WIDTH, WIDTH), "unembed": (WIDTH, 50257)}
    return {name: torch.randn(shape, device=device) for name, shape in shapes.items()}


def multiply(model: ib.LanguageModel, case: Case, length: int) -> None:
    """The products of a sweep's rows with the weights, and nothing else."""
    device = str(model.device)
    whole, after_heads, runs = rows_of(case, length)
    for layer in range(LAYERS):
        rows = whole[layer]
        if layer < LAYERS - 1:
            products(device, rows, ("qkv", "o", "in", "out"))
            products(device, after_heads[layer], ("o", "in", "out"))
        else:  # keys and values of all rows, the rest of those that are read
            products(device, rows, ("kv",))
            products(device, runs + 2, ("q", "o", "in", "out"))
    products(device, 2, ("unembed",))


@functools.cache
def inputs(device: str, rows: int, width: int) -> torch.Tensor:
    return torch.randn(rows, width, device=device)


def products(device: str, rows: int, names: tuple[str, ...], most: int = 1024) -> None:
    most = most if device == "cpu" else 16 * most
    for start in range(0, rows, most):
        for name in names:
            matrix = weights(device)[name]
            torch.mm(inputs(device, min(most, rows - start), matrix.shape[0]), matrix)


def peak_memory() -> dict[str, float]:
    model = ib.load_model(gpt2_small("cpu"))
    case = next(case for case in CASES if case.tokens == 100)
    short = Case("", "resid_pre", RESID, 4, 2)
    ib.activation_patching(model, pair_of(short, 0))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ib.activation_patching(model, pair_of(case, 0))
    unit = 1 if sys.platform == "darwin" else 1024
    return {"extra_bytes": unit * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)}


if __name__ == "__main__":
    main()
