"""From a hypothesis and data to the runs of causal scrubbing: whose input stands in for whose, and who reads what."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..engine.sourced_runs import RECORDED, Input, numbered
from ..engine.wiring import PARTS, Layer, sender_names
from ..language.prompts import SIDES, Side, TokenizedPair
from ..results.envelope import shortened
from ..results.graph import LOGITS, edges_between, parse_node
from ..results.hypothesis import ANYTHING, EXACT, OTHERS, Datum, Hypothesis, TreeNode, feature_name, value_of

SHUFFLED = f"{LOGITS}/{OTHERS}"  # shuffled outputs are drawn as everything is that the logits are said not to need
MOST_SOURCES = 20_000_000


@dataclass(frozen=True)
class Prompt:
    """A datum as the model reads it.

    Attributes:
        ids: its tokens.
        answers, others: the tokens by which its own answers are scored, and those of its pair's other prompt.
    """

    datum: Datum
    ids: list[int]
    answers: tuple[int, ...]
    others: tuple[int, ...]


def prompts_of(tokenized: Sequence[TokenizedPair], sides: Sequence[Side]) -> list[Prompt]:
    """The data of pairs: one or both prompts of each."""
    made = []
    for i, one in enumerate(tokenized):
        for side in sides:
            answers = list(one.pair.answers(side))
            datum = Datum(text=getattr(one.pair, side), tokens=one.texts[side], answers=answers, side=side, pair=i)
            other = SIDES[1 - SIDES.index(side)]
            made.append(Prompt(datum, one.ids[side], one.answer_ids(side), one.answer_ids(other)))
    return made


# Whose input stands in for whose


class Draws:
    """What is drawn: a datum that agrees with another one.

    The numbers of a node depend on the seed and on its path alone, so two hypotheses that share a part differ in it by
    nothing.

    Attributes:
        warnings: of features that say too much or nothing.
    """

    def __init__(self, prompts: Sequence[Prompt], samples: int, seed: int):
        self.prompts, self.samples, self.seed = prompts, samples, seed
        self.warnings: list[str] = []
        self._classes: dict[Hashable, tuple[Any, np.ndarray]] = {}  # by a feature's name, or by a function's identity
        refuse_too_few(prompts)

    def of_tree(self, tree: Sequence[TreeNode], hypothesis: Hypothesis) -> np.ndarray:
        """[sample, node, datum]: the datum that stands in for each, the reader's agreeing with it.

        Raises:
            ValueError: a feature fails, or no two data agree by it.
        """
        count = len(self.prompts)
        if self.samples * len(tree) * count > MOST_SOURCES:
            raise ValueError(
                f"{self.samples} samples of {count} data at {len(tree)} nodes are more than {MOST_SOURCES:,} draws. "
                "Take fewer samples or data."
            )
        sources = np.empty((self.samples, len(tree), count), np.int32)
        sources[:, 0] = np.arange(count)
        for i, node in enumerate(tree[1:], 1):
            feature = hypothesis.feature(node.node) if node.named else ANYTHING
            sources[:, i] = self.of(node.path, feature, sources[:, node.reader])
        return sources

    def of(self, path: str, feature: Any, reader: np.ndarray) -> np.ndarray:
        """[sample, datum]: for each datum one that agrees with the reader's, [sample, datum]."""
        if isinstance(feature, str) and feature == EXACT:
            return reader
        classes = self._classes_of(feature)
        members = np.argsort(classes, kind="stable")
        sizes = np.bincount(classes)
        starts = np.cumsum(sizes) - sizes
        digest = hashlib.sha256(path.encode()).digest()
        random = np.random.default_rng([self.seed, *digest[:16]]).random(reader.shape)
        wanted = classes[reader]
        return members[starts[wanted] + (random * sizes[wanted]).astype(np.int64)].astype(np.int32)

    def _classes_of(self, feature: Any) -> np.ndarray:
        """A number for each datum; equal ones agree. Only data of the same length do."""
        key = feature if isinstance(feature, str) else id(feature)
        if key not in self._classes:
            lengths = [len(one.ids) for one in self.prompts]
            said: list[Hashable] = [None] * len(lengths)
            if feature != ANYTHING:
                said = [value_of(feature, one.datum, i) for i, one in enumerate(self.prompts)]
            number: dict[Hashable, int] = {}
            classes = np.array([number.setdefault(one, len(number)) for one in zip(said, lengths)])
            self._check(feature, classes, len(set(lengths)))
            self._classes[key] = feature, classes  # the feature too, so that its identity stays its own
        return self._classes[key][1]

    def _check(self, feature: Any, classes: np.ndarray, lengths: int) -> None:
        name, alone = feature_name(feature), int((np.bincount(classes)[classes] == 1).sum())
        if alone == len(classes):
            raise ValueError(
                f"No two data agree by the feature {name}, so there is nothing to resample from. Give more data, or "
                f"write {EXACT} for the same datum."
            )
        if 2 * alone > len(classes):
            self.warnings.append(
                f"By the feature {name} {alone} of {len(classes)} data agree with no other, so they stand in for "
                "themselves."
            )
        if feature != ANYTHING and len(set(classes.tolist())) == lengths:
            self.warnings.append(f"All data agree by the feature {name}, so it says no more than {ANYTHING}.")


def refuse_too_few(prompts: Sequence[Prompt]) -> None:
    """Raise ValueError if there is a datum that no other can stand in for."""
    if len(prompts) < 2:
        raise ValueError("With one datum there is nothing to resample from. Give PromptPairs with several.")
    lengths = Counter(len(one.ids) for one in prompts)
    for i, one in enumerate(prompts):
        if lengths[len(one.ids)] == 1:
            raise ValueError(
                f"Datum {i} (“{shortened(one.datum.text, 40)}”) is the only one of {len(one.ids)} tokens, so no other "
                "can stand in for it. Leave it out, or add others of its length."
            )


# What each node reads


def refuse_other_nodes(hypothesis: Hypothesis, senders: Sequence[str]) -> None:
    """Raise ValueError if the hypothesis names a node that the model does not have.

    Args:
        senders: all nodes of the model that write.
    """
    for name in hypothesis.nodes:
        if (node := parse_node(name)).part:
            name = f"a{node.layer}.h{node.head}"
        if name not in senders:
            places = [parse_node(one) for one in senders]
            layers = 1 + max(one.layer for one in places if one.layer is not None)
            heads = sum(one.layer == 0 and one.head is not None for one in places)
            raise ValueError(
                f"This hypothesis is of another model: it names {name}, and this model has {layers} layers of "
                f"{heads} heads."
            )


def inputs_of(
    tree: Sequence[TreeNode], wiring: Sequence[Layer], parallel: bool, unscrubbed: str | None = None
) -> list[Input]:
    """What every node of a tree reads whose inputs are put together, the logits last.

    Args:
        unscrubbed: a node that whoever reads it reads as it is in the reader's own datum's run; or what a head reads,
            which is then that of the head's own datum's run.
    """
    senders = sender_names(wiring)
    children: dict[int, dict[str, int]] = {}
    for i, one in enumerate(tree[1:], 1):
        children.setdefault(one.reader, {})[one.node] = i

    def is_put_together(at: int) -> bool:
        return not tree[at].whole and not parse_node(tree[at].node).part and tree[at].node != unscrubbed

    def needed(at: int) -> list[int]:
        """The nodes below that are computed, this one last."""
        below = [one for child in children.get(at, {}).values() for one in needed(child)]
        return [*below, at] if is_put_together(at) else below if tree[at].node != unscrubbed else []

    chosen = needed(0)
    places = [(node.layer or 0, node.head) for node in (parse_node(tree[at].node) for at in chosen[:-1])]
    run_of = dict(zip(chosen, numbered(wiring, places)))

    def read_by(at: int, name: str, run: int, as_it_is: bool) -> Input:
        """What a receiver reads whose datum is that of a node of the tree: from its children, or from its own run."""
        node, own = parse_node(name), children.get(at, {})
        rows, runs = [], []
        for sender, read in zip(senders, edges_between(senders, [name], parallel)[:, 0]):
            if read:
                recorded = as_it_is or sender == unscrubbed
                source = at if recorded else own[sender] if sender in own else own[OTHERS]
                rows.append(source)
                runs.append(RECORDED if recorded else run_of.get(source, RECORDED))
        part = node.part or ("logits" if node.name == LOGITS else "mlp")
        layer = len(wiring) if node.layer is None else node.layer
        return Input(layer, part, node.head or 0, run, tuple(rows), tuple(runs))

    made = []
    for at in chosen:
        node, run = tree[at].node, run_of.get(at, 0)
        if parse_node(node).head is None:
            made.append(read_by(at, node, run, as_it_is=False))
            continue
        for name in (f"{node}<{part}>" for part in PARTS):
            part = at if name == unscrubbed else children[at][name]
            made.append(read_by(part, name, run, as_it_is=tree[part].whole or name == unscrubbed))
    return made
