"""How well estimates agree with exact patching on a real model: SmolLM2-135M, 21 pairs of three tasks.

For every pair the whole exact sweep is run, and estimated by each rule. Prints, as a table of docs/methods/
attribution_patching.md, the mean over pairs of Pearson's and Spearman's correlation over the cells that a patch can
change, each with the 95% bootstrap interval of the mean, and writes build/bench/agreement.json.
`python benchmarks/agreement.py --pairs 20` takes 20 pairs of each task.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
from pathlib import Path

import numpy as np

import interp_backend as ib

ROOT = Path(__file__).parents[1]
ACTIVATIONS = ("resid_pre", "attn_out", "mlp_out")
RULES = {
    "gradient": {},
    "integrated, 8 steps": {"ig_steps": 8},
    "relp": {"rules": "relp"},
    "gim": {"rules": "gim"},
}
NAMES = ["Mary", "John", "Tom", "Anna", "James", "Sarah", "Paul", "Alice", "Mark", "Emma"]
CAPITALS = {
    "Norway": "Oslo",
    "Sweden": "Stockholm",
    "France": "Paris",
    "Italy": "Rome",
    "Spain": "Madrid",
    "Germany": "Berlin",
    "Japan": "Tokyo",
    "China": "Beijing",
    "Russia": "Moscow",
    "Greece": "Athens",
}
NOUNS = ["key", "dog", "book", "car", "boy", "girl", "letter", "picture", "teacher", "friend"]
PLACES = ["cabinet", "house"]


def tasks(pairs: int) -> dict[str, list[ib.PromptPair]]:
    names = list(itertools.permutations(NAMES, 2))[:: len(NAMES) * (len(NAMES) - 1) // pairs]
    countries = list(itertools.permutations(CAPITALS, 2))[:: len(CAPITALS) * (len(CAPITALS) - 1) // pairs]
    nouns = list(itertools.product(NOUNS, PLACES))
    every = {
        "names": [indirect_object(*words) for words in names],
        "capitals": [capital(*words) for words in countries],
        "agreement": [verb(*words) for words in nouns],
    }
    return {name: some[:pairs] for name, some in every.items()}


def indirect_object(receiver: str, giver: str) -> ib.PromptPair:
    opening = f"When {receiver} and {giver} went to the store,"
    return ib.PromptPair(
        clean=f"{opening} {giver} gave a drink to",
        corrupt=f"{opening} {receiver} gave a drink to",
        clean_answer=f" {receiver}",
        corrupt_answer=f" {giver}",
    )


def capital(country: str, other: str) -> ib.PromptPair:
    return ib.PromptPair(
        clean=f"The capital of {country} is",
        corrupt=f"The capital of {other} is",
        clean_answer=f" {CAPITALS[country]}",
        corrupt_answer=f" {CAPITALS[other]}",
        score_first_token=True,
    )


def verb(noun: str, place: str) -> ib.PromptPair:
    return ib.PromptPair(
        clean=f"The {noun}s near the {place}",
        corrupt=f"The {noun} near the {place}",
        clean_answer=" are",
        corrupt_answer=" is",
    )


def main() -> None:
    os.environ["HF_HUB_OFFLINE"] = "1"
    options = argparse.ArgumentParser()
    options.add_argument("--pairs", type=int, default=7, help="how many pairs of each task")
    chosen = options.parse_args()
    model = ib.load_model("smollm2-135m")
    found: dict[str, dict[str, dict[str, list[tuple[float, float]]]]] = {}
    for task, pairs in tasks(chosen.pairs).items():
        of_task = found[task] = {activation: {rule: [] for rule in RULES} for activation in ACTIVATIONS}
        for i, pair in enumerate(pairs):
            measure(model, pair, of_task)
            print(f"{task} {i + 1} of {len(pairs)}", file=sys.stderr)
        for activation, by_rule in of_task.items():
            print(
                f"| {task} | `{activation}` | " + " | ".join(words(some) for some in by_rule.values()) + " |",
                flush=True,
            )
    out = ROOT / "build/bench"
    out.mkdir(parents=True, exist_ok=True)
    (out / "agreement.json").write_text(json.dumps(found, indent=2), encoding="utf-8")


def measure(model: ib.LanguageModel, pair: ib.PromptPair, of_task: dict, rules: dict[str, dict] = RULES) -> None:
    """Add a pair's correlations, (Pearson's, Spearman's), to those of its task by activation and rule."""
    exact = {name: ib.activation_patching(model, pair, activation=name) for name in ACTIVATIONS}
    for rule, arguments in rules.items():
        estimates = ib.attribution_patching(model, pair, activation="all", **arguments)
        for name, swept in exact.items():
            swept.take_estimates(estimates[name])
            assert swept.agreement is not None
            of_task[name][rule].append((swept.agreement.pearson, swept.agreement.spearman))


def words(correlations: list[tuple[float, float]]) -> str:
    """Means with intervals: ".73 (.70 to .76), .98 (.97 to .99)"."""
    rng, values = np.random.default_rng(0), np.array(correlations, np.float64)
    drawn = values[rng.integers(len(values), size=(2000, len(values)))].mean(1)
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    parts = zip(values.mean(0), low, high)
    return ", ".join(f"{short(mean)} ({short(a)} to {short(b)})" for mean, a, b in parts)


def short(value: float) -> str:
    return f"{value:.2f}".replace("0.", ".").replace("-", "\u2212")


if __name__ == "__main__":
    main()
