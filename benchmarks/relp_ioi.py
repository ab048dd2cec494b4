"""RelP's published figures: how well it and the plain gradient agree with exact patching, on GPT-2 small.

    python benchmarks/relp_ioi.py

Jafari et al. 2025 (arXiv:2508.21258) compare both with activation patching on indirect objects, by Pearson's
correlation. Here it is the mean over pairs of the correlation over layers and positions, with the 95% bootstrap
interval of the mean, beside Spearman's; the prompts are the built-in pairs and others of the same wording, not the
paper's. Needs GPT-2 small, from the model hub or from its cache; without it the script says so and ends without a
number.
"""

from __future__ import annotations

import argparse
import sys

from agreement import ACTIVATIONS, RULES, measure, tasks, words

import interp_backend as ib

COMPARED = {rule: RULES[rule] for rule in ("gradient", "relp")}
# Pearson's correlation by activation, of the rules in this order.
PUBLISHED = {"resid_pre": (0.753, 0.968), "attn_out": (0.979, 0.962), "mlp_out": (0.195, 0.992)}


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--pairs", type=int, default=20, help="how many pairs")
    chosen = options.parse_args()
    try:
        model = ib.load_model("gpt2")
    except Exception as problem:  # whatever the hub's client raises
        print(problem, file=sys.stderr)
        print("Skipped: GPT-2 small could be loaded neither from the model hub nor from its cache.")
        return 0
    pairs = [*ib.PromptPairs.from_task(model, "indirect_objects"), *tasks(chosen.pairs)["names"]][: chosen.pairs]
    found: dict[str, dict[str, list]] = {name: {rule: [] for rule in COMPARED} for name in ACTIVATIONS}
    for i, pair in enumerate(pairs):
        measure(model, pair, found, COMPARED)
        print(f"{i + 1} of {len(pairs)}", file=sys.stderr)
    print("| activation | rule | published, Pearson | here, Pearson and Spearman |\n| --- | --- | --- | --- |")
    for name, by_rule in found.items():
        for (rule, some), published in zip(by_rule.items(), PUBLISHED[name]):
            print(f"| `{name}` | `{rule}` | {published:.3f} | {words(some)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
