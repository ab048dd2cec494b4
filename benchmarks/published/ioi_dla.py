"""Published numbers, reproduced: which heads write the indirect object, on GPT-2 small.

    python benchmarks/published/ioi_dla.py

TransformerLens's Exploratory Analysis demo takes the logit difference of eight indirect-object prompts apart, by head,
averaged over the prompts: heads 9.9 and 9.6 move the name, 10.7 moves it back. Needs GPT-2 small, from
the model hub or from its cache; without it the script says so and ends without a number.
"""

from __future__ import annotations

import sys

import numpy as np
from transformer_lens.model_bridge import TransformerBridge

import interp_backend as ib

# Head: its part in the mean logit difference, as in the demo.
PUBLISHED = {(9, 9): 1.96, (9, 6): 1.63, (10, 7): -1.43}
TOLERANCE = 0.02
PROMPTS = [
    ("When John and Mary went to the shops,{} gave the bag to", " John", " Mary"),
    ("When Tom and James went to the park,{} gave the ball to", " Tom", " James"),
    ("When Dan and Sid went to the shops,{} gave an apple to", " Dan", " Sid"),
    ("After Martin and Amy went to the park,{} gave a drink to", " Martin", " Amy"),
]


def main() -> int:
    try:
        bridge = TransformerBridge.boot_transformers("gpt2", device="cpu")
    except Exception as problem:  # whatever the hub's client raises
        print(f"Skipped: GPT-2 small could not be loaded ({str(problem).splitlines()[0][:120]}).")
        return 0
    bridge.enable_compatibility_mode()  # the demo's weights: value biases are folded, and so belong to no head
    model = ib.load_model(bridge)
    heads = np.mean([by_head(model, *prompt) for prompt in prompts()], axis=0)
    wrong = 0
    for (layer, head), published in PUBLISHED.items():
        ours = float(heads[layer, head])
        fits = abs(ours - published) <= TOLERANCE
        wrong += not fits
        print(f"head {layer}.{head}: {ours:+.2f}, published {published:+.2f}{'' if fits else '  DIFFERS'}")
    return wrong


def prompts() -> list[tuple[str, str, str]]:
    """Eight prompts, each with its answer and the other name."""
    both = [(text, names) for text, *names in PROMPTS for names in (names, names[::-1])]
    return [(text.format(giver), receiver, giver) for text, (receiver, giver) in both]


def by_head(model: ib.LanguageModel, text: str, answer: str, wrong: str) -> np.ndarray:
    found = ib.direct_logit_attribution(model, text, answer, wrong, unit="head")
    heads = np.zeros((model.n_layers, model.n_heads))
    is_head = found.kind == found.kinds.index("head")
    heads[found.layer[is_head], found.index[is_head]] = found.values[is_head]
    return heads


if __name__ == "__main__":
    sys.exit(main())
