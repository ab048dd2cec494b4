"""How much memory transcoders take: opening, encoding and reading rows, in a process of its own. `make bench` runs it.

Sets of random weights, which are written first: 12 layers of 24,576 features in the shape of GPT-2 small, float32 with
JumpReLU (0.9 GB of encoders and as much of decoders), and of 98,304 features, bfloat16 with TopK of 16. Twenty
positions are encoded in every layer, and the rows of all active features are read. Fails if a set takes more than
LIMITS; what a run of a model takes is not counted.

Prints a table and writes build/bench/transcoders.json.

python benchmarks/transcoders.py --directory sets   # somewhere with 8 GB free; the sets stay there
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shutil
import tempfile
import threading
import time
from pathlib import Path

import psutil
import torch
import yaml
from safetensors.torch import save_file

import interp_backend as ib

ROOT = Path(__file__).parents[1]
LAYERS, WIDTH, POSITIONS = 12, 768, 20
SETS = {"24,576 features, float32, JumpReLU": (24576, torch.float32, None)}
SETS |= {"98,304 features, bfloat16, TopK": (98304, torch.bfloat16, 16)}
LIMITS = {"open": 40, "encode": 400, "rows": 400}  # MB more than before


def write(directory: Path, features: int, dtype: torch.dtype, k: int | None) -> None:
    directory.mkdir(parents=True)
    config = {"model_kind": "transcoder_set", "feature_input_hook": "hook_resid_mid", "scan": "random"}
    config |= {"feature_output_hook": "hook_mlp_out"} | ({} if k is None else {"activation": "topk", "k": k})
    (directory / "config.yaml").write_text(yaml.safe_dump(config))
    generator = torch.Generator().manual_seed(0)
    state = {name: torch.randn(features, WIDTH, generator=generator) / 28 for name in ("W_enc", "W_dec")}
    state |= {"b_enc": torch.zeros(features), "b_dec": torch.zeros(WIDTH)}
    if k is None:
        state["activation_function.threshold"] = torch.full((features,), 2.9)  # about 50 of a position are above it
    for layer in range(LAYERS):
        save_file({name: part.to(dtype) for name, part in state.items()}, directory / f"layer_{layer}.safetensors")


class Peak:
    """The largest resident memory of this process within a block, in MB above the first."""

    def __init__(self) -> None:
        self.process, self.over = psutil.Process(), threading.Event()

    def __enter__(self) -> Peak:
        self.least = self.most = self.process.memory_info().rss
        self.over.clear()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        self.began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self.began
        self.over.set()
        self.thread.join()
        self.after = (self.process.memory_info().rss - self.least) / 1e6

    def _watch(self) -> None:
        while not self.over.wait(0.002):
            self.most = max(self.most, self.process.memory_info().rss)

    @property
    def grown(self) -> float:
        return (self.most - self.least) / 1e6


def measure(directory: str, sender) -> None:
    torch.set_num_threads(2)
    x = torch.randn(POSITIONS, WIDTH, generator=torch.Generator().manual_seed(1))
    torch.zeros(10, 10) @ torch.zeros(10, 10)
    import safetensors.torch  # noqa: F401  (what importing it takes is not the set's)

    ib.load_transcoders  # noqa: B018
    found: dict[str, object] = {}
    with Peak() as peak:
        transcoders = ib.load_transcoders(directory)
    found["open"] = (peak.grown, peak.after, peak.seconds)
    with Peak() as peak:
        active = {layer: transcoders.encode(layer, x) for layer in transcoders.layers}
    found["encode"] = (peak.grown, peak.after, peak.seconds)
    with Peak() as peak:
        for layer, one in active.items():
            features = one.features.unique()
            transcoders.encoder_rows(layer, features), transcoders.decoder_rows(layer, features)
    found["rows"] = (peak.grown, peak.after, peak.seconds)
    found["active"] = sum(map(len, active.values())) / POSITIONS / LAYERS
    sender.send(found)


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--directory", type=Path)
    chosen = options.parse_args()
    directory = chosen.directory or Path(tempfile.mkdtemp())
    report = {}
    for name, (features, dtype, k) in SETS.items():
        folder = directory / f"{features}"
        if not folder.is_dir():
            write(folder, features, dtype, k)
        receiver, sender = multiprocessing.get_context("spawn").Pipe(False)
        process = multiprocessing.get_context("spawn").Process(target=measure, args=(str(folder), sender))
        process.start()
        report[name] = found = receiver.recv()
        process.join()
        print(f"{name}: {found['active']:.1f} active features a position")
        for part in LIMITS:
            most, after, seconds = found[part]
            print(f"  {part:8} at most {most:7.1f} MB more, {after:7.1f} MB after it, {seconds:.2f} s")
    if chosen.directory is None:
        shutil.rmtree(directory)
    (ROOT / "build/bench").mkdir(parents=True, exist_ok=True)
    (ROOT / "build/bench/transcoders.json").write_text(json.dumps(report, indent=2))
    over = {(name, part) for name, one in report.items() for part, most in LIMITS.items() if one[part][0] > most}
    assert not over, f"more memory than {LIMITS}: {over}"


if __name__ == "__main__":
    main()
