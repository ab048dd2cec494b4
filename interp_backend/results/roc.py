"""How well scores tell what is in a known circuit from what is not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Roc:
    """A receiver operating characteristic: what a circuit finds and what it takes in wrongly, as the least score falls.

    Attributes:
        scores: the least score of each circuit, falling; the first circuit is empty, above all scores.
        found: the part of the known circuit that each has (the true positive rate), [circuit].
        wrong: the part of everything else that each has (the false positive rate), [circuit].
    """

    scores: np.ndarray
    found: np.ndarray
    wrong: np.ndarray

    @classmethod
    def of(cls, scores: np.ndarray, inside: np.ndarray) -> Roc:
        """From the score of each edge or node, and which of them are in the known circuit.

        Raises:
            ValueError: all are, or none.
        """
        if inside.all() or not inside.any():
            which = "everything" if inside.all() else "nothing"
            raise ValueError(f"The known circuit has {which} of the model, so there is nothing to tell apart.")
        order = np.argsort(-scores, kind="stable")
        falling = scores[order].astype(np.float64)
        last = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)  # of each run of equal scores
        counts = [np.append(0, np.cumsum(part[order])[last]) for part in (inside, ~inside)]
        found, wrong = (count / count[-1] for count in counts)
        return cls(np.append(np.inf, falling[last]), found, wrong)

    @property
    def auc(self) -> float:
        """The area under the curve: the chance that a part of the circuit has a larger score than one of the others,
        equal ones counted half. 1 is perfect and .5 is chance."""
        return float((np.diff(self.wrong) * (self.found[1:] + self.found[:-1]) / 2).sum())

    def __repr__(self) -> str:
        return f"Roc(auc={self.auc:.3f}, {len(self.found)} circuits)"
