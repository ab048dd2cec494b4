"""Write docs/architectures.md: which activations can be patched in each architecture, and why not.

Every architecture is a tiny model with random weights (tests/python/architectures.py), in which each activation is
swept once. `--check` compares the file with what happens and changes nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import sys
from pathlib import Path

import transformers
from transformer_lens.factories.architecture_adapter_factory import SUPPORTED_ARCHITECTURES

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "python"))

from architectures import DECODERS, EVERY, booted

import interp_backend as ib
from interp_backend.language.model import ACTIVATIONS

TABLE = ROOT / "docs" / "architectures.md"
PAIR = ib.PromptPair(clean="hollo", corrupt="hexlq", clean_answer="a", corrupt_answer="b")
HEAD = """# Architectures

Written by `python tools/architecture_table.py`, which sweeps each activation once in a tiny model of each architecture
with two layers and random weights. `tests/python/test_architectures.py` compares these models with plain loops.

Packed runs share their passes, and hooks run the whole model once for each patch: the numbers are the same, and hooks
are slower. An activation that is not there is missing from the menus, and asking for it in Python raises an error with
the reason that is given here.

| Architecture | Packed | By hooks | Not there, and why |
| --- | --- | --- | --- |
"""


def table() -> str:
    """The whole file."""
    rows = "".join(f"| {' | '.join([name, *_row(name)])} |\n" for name in EVERY)
    known = {name for name in SUPPORTED_ARCHITECTURES if hasattr(transformers, name)}
    others, remote = sorted(known - {*DECODERS}), sorted({*SUPPORTED_ARCHITECTURES} - known)
    return (
        f"{HEAD}{rows}\nTransformerLens also boots these. Encoders and encoder-decoders are refused. Models that see "
        f"images or hear were not tried: {', '.join(others)}.\n\nThe code of these comes with their weights, or they "
        f"are other names of the above, so they were not tried either: {', '.join(remote)}.\n"
    )


def _row(name: str) -> list[str]:
    """The activations that run packed, those that run by hooks, and those that are not there."""
    packed, hooked, missing = [], [], []
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # TransformerLens announces every model
            model = ib.load_model(booted(name))
        for activation in ACTIVATIONS:
            layers = [] if model.why_not(activation) else model.layers_with(activation)
            for layer in set(range(1 if activation == "embed" else model.n_layers)) - {*layers}:
                why = model.absent.get(activation, {}).get(layer) or "edits of it never reach the output"
                missing.append(
                    (activation, layer, re.sub(r" in layer \d+", "", why.replace(f"layer {layer}'s", "its")))
                )
            if layers:
                result = ib.activation_patching(model, PAIR, activation=activation)
                (packed if result.provenance["executor"] == "packed" else hooked).append(activation)
    except ValueError as problem:
        return ["", "", f"every activation: {problem}"]
    return [", ".join(packed), ", ".join(hooked), _reasons(missing, model.n_layers)]


def _reasons(missing: list[tuple[str, int, str]], n_layers: int) -> str:
    """Activations that one reason takes away in the same layers are named together."""
    layers: dict[tuple[str, str], list[int]] = {}
    for activation, layer, why in missing:
        layers.setdefault((activation, why), []).append(layer)
    names: dict[tuple[str, str], list[str]] = {}
    for (activation, why), lacking in layers.items():
        where = "" if len(lacking) == n_layers or activation == "embed" else f" in layer {lacking[0]}"
        names.setdefault((where, why), []).append(activation)
    return "; ".join(f"{', '.join(several)}{where}: {why}" for (where, why), several in names.items())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if the file is not what would be written")
    check = parser.parse_args().check
    now = table()
    if check:
        if TABLE.read_text("utf-8") == now:
            return 0
        print(f"{TABLE} is out of date. Write it again: python tools/architecture_table.py")
        return 1
    TABLE.write_text(now, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
