"""ACDC's published figures: how well it tells the edges of known circuits from all others.

    python benchmarks/acdc_published.py

Conmy et al. 2023 (arXiv:2304.14997) sweep the threshold with corrupted activations and the KL divergence, and compare
with three circuits that people found: indirect objects (Wang et al. 2022, arXiv:2211.00593) and greater-than (Hanna et
al. 2023, arXiv:2305.00586) in GPT-2 small, and docstrings (Heimersheim & Janiak 2023) in a model of four attention
layers. The circuits are those authors' heads and MLPs, joined by edges as in the code of Conmy et al. Here the area
under the curve is that of the threshold at which each edge goes; theirs is of the circuits' own points. The prompts are
others of the same form. Needs the models, from the model hub or from its cache; what can't be loaded is named and left
out.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
from collections.abc import Callable, Iterator, Sequence

import interp_backend as ib

Head = tuple[int, int]
PUBLISHED = {"indirect objects": 0.87, "docstring": 0.98, "greater-than": 0.85}
THRESHOLDS = [0.0003 * 2**i for i in range(12)]

# Indirect objects: the heads of each class, and which classes read which, for what.
HEADS: dict[str, list[Head]] = {
    "name mover": [(9, 9), (10, 0), (9, 6)],
    "backup": [(10, 10), (10, 6), (10, 2), (10, 1), (11, 2), (9, 7), (9, 0), (11, 9)],
    "negative": [(10, 7), (11, 10)],
    "inhibition": [(7, 3), (7, 9), (8, 6), (8, 10)],
    "induction": [(5, 5), (5, 8), (5, 9), (6, 9)],
    "duplicate": [(0, 1), (0, 10), (3, 0)],
    "previous": [(2, 2), (4, 11)],
}
BETWEEN = [
    ("input", "previous", "qkv"),
    ("input", "duplicate", "qkv"),
    ("input", "inhibition", "q"),
    *(("input", name, "kv") for name in ("negative", "name mover", "backup")),
    ("previous", "induction", "kv"),
    ("induction", "inhibition", "kv"),
    ("duplicate", "inhibition", "kv"),
    *(("inhibition", name, "q") for name in ("negative", "name mover", "backup")),
]

# Greater-than: heads and MLPs by their part in it.
FIRST, MIDDLE = [(0, 1), (0, 3), (0, 5)], [(5, 5), (6, 1), (6, 9), (7, 10), (8, 11), (9, 1)]
EARLY, LATE = range(4), range(8, 12)

# Docstring: who writes, and who reads it.
DOCSTRING = {
    "input": "a0.h5<v> a1.h4<v> a1.h2<q> a1.h2<k> a2.h0<q> a2.h0<k> a3.h0<v> a3.h6<v>",
    "a0.h5": "a1.h4<v> a1.h2<q> a1.h2<k> a2.h0<q> a2.h0<k> a3.h0<v> a3.h6<v>",
    "a1.h4": "a2.h0<v> a3.h0<q> a3.h6<q>",
    "a1.h2": "a3.h0<k> a3.h6<k>",
    "a2.h0": "a3.h0<k> a3.h6<k>",
    "a3.h0": "logits",
    "a3.h6": "logits",
}


def indirect_objects() -> set[str]:
    """The edges of the circuit for indirect objects. MLPs belong to it with all of their edges."""
    mlps, heads = range(12), [head for some in HEADS.values() for head in some]
    found = {f"input->m{i}" for i in mlps} | {"input->logits"} | {f"m{i}->logits" for i in mlps}
    found |= {f"m{i}->m{j}" for i, j in itertools.combinations(mlps, 2)}
    found |= {f"m{i}->{one}" for i in mlps for head in heads if i < head[0] for one in parts(head, "qkv")}
    found |= {f"{name(head)}->m{i}" for head in heads for i in mlps if i >= head[0]}
    for sender, receiver, letters in BETWEEN:
        for head in HEADS[receiver]:
            writers = ["input"] if sender == "input" else [name(one) for one in HEADS[sender] if one[0] < head[0]]
            found |= {f"{writer}->{one}" for writer in writers for one in parts(head, letters)}
    return found | {f"{name(head)}->logits" for kind in ("name mover", "backup", "negative") for head in HEADS[kind]}


def greater_than() -> set[str]:
    """The edges of the circuit for greater-than."""
    last = max(layer for layer, _ in MIDDLE)
    found = {f"input->{one}" for head in FIRST for one in parts(head, "qkv")} | {f"input->m{i}" for i in EARLY}
    found |= {f"{name(head)}->logits" for head in MIDDLE} | {f"m{i}->logits" for i in LATE}
    for some in (EARLY, LATE, range(last)):
        found |= {f"m{i}->m{j}" for i, j in itertools.combinations(some, 2)}
    found |= {f"a0.h1->m{i}" for i in EARLY}
    for head in MIDDLE:
        found |= {f"{name(one)}->{part}" for one in FIRST for part in parts(head, "qkv")}
        found |= {f"m{i}->{part}" for i in EARLY if i < head[0] for part in parts(head, "qkv")}
        found |= {f"m{i}->{part}" for i in range(head[0]) for part in parts(head, "q")}
        found |= {f"{name(head)}->m{i}" for i in LATE if i >= head[0]}
    return found


def docstring() -> set[str]:
    """The edges of the docstring circuit."""
    return {f"{sender}->{receiver}" for sender, read in DOCSTRING.items() for receiver in read.split()}


def name(head: Head) -> str:
    return "a{}.h{}".format(*head)


def parts(head: Head, letters: str) -> Iterator[str]:
    return (f"{name(head)}<{letter}>" for letter in letters)


# Prompts


def listed(words: str) -> list[str]:
    return words.split()


NAMES = listed("Mary John Tom Anna James Kate Paul Laura Mark Sarah David Alice Peter Emma Simon Jack")
NOUNS = ["war", "trial", "project", "study", "journey", "campaign", "dispute", "conflict", "marriage", "reign"]
WORDS = listed("load size file last project target model files name state option page task key user path list note")
OTHERS = listed("oil column piece crime population unit dark sun court river field road house stone music paper")


def indirect_object_pairs(draw: random.Random, count: int) -> list[ib.PromptPair]:
    """The corrupt prompt has three other names."""
    made = []
    for _ in range(count):
        a, b, c, d, e = draw.sample(NAMES, 5)
        text = "When {} and {} went to the store, {} gave a drink to"
        made.append(ib.PromptPair(clean=text.format(a, b, b), corrupt=text.format(c, d, e)))
    return made


def greater_than_pairs(draw: random.Random, count: int) -> list[ib.PromptPair]:
    """The corrupt prompt begins in the year 01 of its century."""
    made = []
    for _ in range(count):
        century, text = draw.randint(11, 17), f"The {draw.choice(NOUNS)} lasted from the year {{0}}{{1:02d}} to {{0}}"
        made.append(ib.PromptPair(clean=text.format(century, draw.randint(12, 88)), corrupt=text.format(century, 1)))
    return made


def docstring_pairs(draw: random.Random, count: int) -> list[ib.PromptPair]:
    """The corrupt prompt has other arguments, in the definition and in the docstring."""

    def text(function: str, defined: Sequence[str], described: Sequence[str], words: Sequence[str]) -> str:
        lines = [f"def {function}(self, {', '.join(defined)}):", f'    """{" ".join(words[:3])}', ""]
        lines += [f"    :param {one}: {words[3 + 2 * i]} {words[4 + 2 * i]}" for i, one in enumerate(described)]
        return "\n".join([*lines, "    :param"])

    made = []
    for _ in range(count):
        function, *names = draw.sample(WORDS, 15)
        words = draw.sample(OTHERS, 7)
        clean = text(function, names[:6], names[2:4], words)
        made.append(ib.PromptPair(clean=clean, corrupt=text(function, names[6:12], names[12:14], words)))
    return made


TASKS: dict[str, tuple[str, Callable[[], set[str]], Callable[[random.Random, int], list[ib.PromptPair]]]] = {
    "indirect objects": ("gpt2", indirect_objects, indirect_object_pairs),
    "docstring": ("attn-only-4l", docstring, docstring_pairs),
    "greater-than": ("gpt2", greater_than, greater_than_pairs),
}


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--pairs", type=int, default=20, help="how many pairs")
    chosen = options.parse_args()
    print("| circuit | published | here, edges | here, nodes |\n| --- | --- | --- | --- |")
    for task, (model_name, truth, pairs) in TASKS.items():
        try:
            model = ib.load_model(model_name)
            found = ib.acdc(
                model, ib.PromptPairs(pairs(random.Random(0), chosen.pairs)), threshold=THRESHOLDS, metric="kl"
            )
        except Exception as problem:  # whatever the hub's client raises, or a model without known edges
            print(problem, file=sys.stderr)
            print(f"| {task} | {PUBLISHED[task]:.2f} | skipped: {model_name} could not be loaded or searched | |")
            continue
        by_edge, by_node = found.roc(sorted(truth())), found.roc(found.with_edges(sorted(truth())), level="node")
        print(f"| {task} | {PUBLISHED[task]:.2f} | {by_edge.auc:.2f} | {by_node.auc:.2f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
