"""The logit lens against what it can't avoid, in one process. `make bench` runs it.

GPT-2 small's shape with random weights, one prompt of 25 tokens, float32, two threads: the whole lens (13 rows, the ten
likeliest tokens, entropy, KL, two followed tokens) against one plain forward plus the unembedding of all 13 rows in one
product; and against TransformerLens's own logit_lens with the same top ten. Medians of runs in turn.

Peak memory is that of a process of its own: 500 positions of a model with a vocabulary of 200,000, beyond the model.

Prints a table and writes build/bench/logit_lens.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from transformer_lens.tools.analysis import logit_lens as peer_lens

import interp_backend as ib

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests/python"))

from tiny_models import boot

TOKENS, RUNS, WANTED = 25, 15, 1.3


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--memory", action="store_true", help="only say how much memory a large lens takes")
    chosen = options.parse_args()
    torch.set_num_threads(2)
    if chosen.memory:
        return print(json.dumps(peak_memory()))
    command = [sys.executable, __file__, "--memory"]
    memory = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
    report = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, 2 threads, float32",
        **speed(),
        **memory,
    }
    out = ROOT / "build/bench"
    out.mkdir(parents=True, exist_ok=True)
    (out / "logit_lens.json").write_text(json.dumps(report, indent=2), encoding="utf-8")
    print(f"\nlogit lens, 13 rows of {TOKENS} tokens, top 10")
    print(f"  ours {report['ours'] * 1e3:.0f} ms; forward and unembeddings {report['floor'] * 1e3:.0f} ms")
    print(f"  {report['ours'] / report['floor']:.2f} times what it can't avoid (wanted: below {WANTED})")
    print(f"  TransformerLens's logit_lens, top 10 alone: {report['peer'] * 1e3:.0f} ms")
    print(f"  500 positions, vocabulary of 200,000: {report['extra_bytes'] / 1e9:.2f} GB beyond the model")
    print(f"Measured on {report['machine']}. Written: {out / 'logit_lens.json'}")


def speed() -> dict[str, float]:
    torch.manual_seed(0)
    model = ib.load_model(boot(transformers.GPT2LMHeadModel(transformers.GPT2Config()), "gpt2-small-shape"))
    prompt = "abcdefghijklmnopqrstuvwx"
    tokens = model.raw.to_tokens(prompt)
    assert tokens.shape[1] == TOKENS
    stack = torch.randn(13 * TOKENS, 768)

    def floor() -> None:
        with torch.no_grad():
            model.raw(tokens)
            model.raw.unembed(stack[None])

    def ours() -> None:
        ib.logit_lens(model, prompt, targets=["a", "b"], top_k=10)

    def peer() -> None:
        with torch.no_grad():
            peer_lens(model.raw, tokens, positions=None, top_k=10)

    times = {"ours": ours, "floor": floor, "peer": peer}
    seconds: dict[str, list[float]] = {name: [] for name in times}
    for run in range(RUNS + 1):
        for name, function in times.items():
            start = time.perf_counter()
            function()
            if run:  # the first is a warm-up
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(measured) for name, measured in seconds.items()}


def peak_memory() -> dict[str, float]:
    config = transformers.GPT2Config(vocab_size=200_000, n_positions=512, n_embd=64, n_layer=2, n_head=2)
    model = ib.load_model(boot(transformers.GPT2LMHeadModel(config), "wide-vocabulary"))
    ib.logit_lens(model, "ab")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ib.logit_lens(model, "abcde" * 100)
    unit = 1 if sys.platform == "darwin" else 1024
    return {"extra_bytes": unit * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)}


if __name__ == "__main__":
    main()
