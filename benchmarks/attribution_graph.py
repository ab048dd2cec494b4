"""What an attribution graph costs, in seconds and in memory. `make bench` runs it; it fails above 12 GB.

GPT-2 small's shape, random weights, a prompt of 20 tokens, transcoders of every layer in circuit-tracer's files:

- "jumprelu": 24,576 features a layer, of which about 64 are active at a position, in float32;
- "topk": 98,304 features a layer, of which 16 are active, in half precision.

And the embedded model, with transcoders of random weights. Each case runs in a process of its own, whose peak of memory
is that of the whole: model, transcoders and graph. All layers have the same random file, so that they fit on a disk.

Prints a table and writes build/bench/attribution_graph.json. `python benchmarks/attribution_graph.py topk` is one.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from safetensors.torch import save_file

import interp_backend as ib
from interp_backend.language.transcoders import Transcoders

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from activation_patching import gpt2_small

TOKENS, MOST_GB = 20, 12.0
PROMPT = "The quick brown fox jumps over the lazy dog while nobody else in this town is looking at it any more"


def main() -> None:
    if len(sys.argv) == 3 and sys.argv[1] == "--here":
        print(json.dumps(CASES[sys.argv[2]]()))
        return
    report: dict[str, Any] = {"machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}"}
    print(f"Measured on {report['machine']}.\n")
    failed = []
    for name in sys.argv[1:] or CASES:
        command = [sys.executable, __file__, "--here", name]
        report[name] = json.loads(
            subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
        )
        for words, value in report[name].items():
            print(f"{name + ': ' + words:64} {value:12,.2f}", flush=True)
        if report[name]["GB of memory, the whole process"] > MOST_GB:
            failed.append(f"{name} takes more than {MOST_GB:.0f} GB.")
    out = ROOT / "build/bench"
    out.mkdir(parents=True, exist_ok=True)
    (out / "attribution_graph.json").write_text(json.dumps(report, indent=2), encoding="utf-8")
    print(f"\nWritten: {out / 'attribution_graph.json'}")
    if failed:
        sys.exit(" ".join(failed))


def jumprelu() -> dict[str, float]:
    return shape(24_576, torch.float32, {"activation": "jumprelu"}, threshold=2.8)


def topk() -> dict[str, float]:
    return shape(98_304, torch.float16, {"activation": "topk", "k": 16})


def shape(
    features: int, dtype: torch.dtype, config: dict[str, Any], threshold: float | None = None
) -> dict[str, float]:
    """GPT-2 small's shape, with transcoders that read what the MLP reads."""
    torch.set_num_threads(2)
    model = ib.load_model(gpt2_small("cpu"))
    with tempfile.TemporaryDirectory() as directory:
        transcoders = written(Path(directory), model.n_layers, features, model.d_model, dtype, config, threshold)
        return measured(model, transcoders)


def written(
    to: Path,
    layers: int,
    features: int,
    width: int,
    dtype: torch.dtype,
    config: dict[str, Any],
    threshold: float | None,
) -> Transcoders:
    """Transcoders from files, every layer's with the same random numbers."""
    torch.manual_seed(0)
    encoder = torch.randn(features, width)
    state = {"W_enc": (encoder / encoder.norm(dim=1, keepdim=True)).to(dtype)}
    state["W_dec"] = (torch.randn(features, width) * 0.02).to(dtype)
    state |= {"b_enc": torch.zeros(features), "b_dec": torch.zeros(width)}
    if threshold is not None:
        state["activation_function.threshold"] = torch.full((features,), threshold)
    save_file(state, to / "layer_0.safetensors")
    for layer in range(1, layers):
        os.link(to / "layer_0.safetensors", to / f"layer_{layer}.safetensors")
    lines = {"model_kind": "transcoder_set", "feature_input_hook": "mlp.hook_in", "feature_output_hook": "hook_mlp_out"}
    (to / "config.yaml").write_text("".join(f"{name}: {value}\n" for name, value in {**lines, **config}.items()))
    return ib.load_transcoders(to)


def embedded() -> dict[str, float]:
    torch.set_num_threads(2)
    model = ib.load_model()
    with tempfile.TemporaryDirectory() as directory:
        config = {"activation": "topk", "k": 16}
        transcoders = written(Path(directory), model.n_layers, 512, model.d_model, torch.float32, config, None)
        measured(model, transcoders)  # what a first run loads and checks
        return measured(model, transcoders)


def measured(model: ib.LanguageModel, transcoders: Transcoders) -> dict[str, float]:
    began, used = time.perf_counter(), time.process_time()
    first, result = 0.0, None
    last = TOKENS - 1 if len(model.to_ids(PROMPT)) > TOKENS else None
    for step in ib.attribution_graph.steps(model, PROMPT, transcoders, last=last):
        first, result = first or time.perf_counter() - began, step.result
    took, used = time.perf_counter() - began, time.process_time() - used
    assert result is not None
    return {
        "tokens": len(result.prompt.ids),
        "active features": result.active,
        "seconds to the first graph": first,
        "seconds to all edges": took,
        "seconds of two processors": used / 2,
        "largest gap, relative, times 1e6": result.largest_gap * 1e6,
        "MB of JSON": len(result.to_json()) / 1e6,
        "GB of memory, the whole process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }


CASES: dict[str, Callable[[], dict[str, float]]] = {"embedded": embedded, "topk": topk, "jumprelu": jumprelu}

if __name__ == "__main__":
    main()
