"""Metrics: numbers computed from the logits of a run at one position.

A metric is a function of logits [run, d_vocab] that gives one number for each run. All of them are computed in
float32, whatever the model's own precision. With several answers on a side, their logits are averaged and their
probabilities added; the rank is that of the likeliest.

The metric of a whole answer is the exception: it reads the logits at all positions that predict a token of the answer,
which has been appended to both prompts.
"""

from __future__ import annotations

import operator
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

MetricFunction = Callable[[Tensor], Tensor]
# A name of METRICS or a function of logits [run, d_vocab]. With a position of the patched prompt, it is read there.
MetricLike = str | MetricFunction | tuple[str | MetricFunction, int]


@dataclass(frozen=True)
class Reference:
    """The reference data that a metric may compare with.

    Attributes:
        clean_answer, corrupt_answer: token ids, each the first of an answer; none without an answer.
        clean_logits, corrupt_logits: [token], of the two unpatched runs at the position that is read; for a whole
            answer [answer's token, token].
        whole_answer: the token ids of the whole clean answer, for a metric of it.
    """

    clean_answer: tuple[int, ...]
    corrupt_answer: tuple[int, ...]
    clean_logits: Tensor
    corrupt_logits: Tensor
    whole_answer: tuple[int, ...] = ()


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name, label, help: its name in code, in a legend, and its description in a tooltip.
        needs: the answers of a pair that it reads.
        higher_is_better: whether the clean run should have the larger value.
        all_tokens: whether it needs the logits of the whole vocabulary, and not only those of the answers.
        function: of logits [run, d_vocab], or [run, answer's token, d_vocab] of a whole answer.
        whole_answer: whether it reads all tokens of the clean answer.
    """

    name: str
    label: str
    help: str
    needs: tuple[str, ...]
    higher_is_better: bool
    all_tokens: bool
    function: Callable[[Tensor, Reference], Tensor]
    whole_answer: bool = False


def _logit_diff(logits: Tensor, reference: Reference) -> Tensor:
    return _logit(logits, reference) - logits[:, list(reference.corrupt_answer)].mean(-1)


def _logit(logits: Tensor, reference: Reference) -> Tensor:
    return logits[:, list(reference.clean_answer)].mean(-1)


def _log_prob(logits: Tensor, reference: Reference) -> Tensor:
    return logits[:, list(reference.clean_answer)].logsumexp(-1) - logits.logsumexp(-1)


def _prob(logits: Tensor, reference: Reference) -> Tensor:
    return _log_prob(logits, reference).exp()


def _whole_log_prob(logits: Tensor, reference: Reference) -> Tensor:
    answer = torch.tensor(reference.whole_answer, device=logits.device)
    return logits.log_softmax(-1)[:, torch.arange(len(answer)), answer].sum(-1)


def _rank(logits: Tensor, reference: Reference) -> Tensor:
    best = logits[:, list(reference.clean_answer)].amax(-1)
    return (logits > best[:, None]).sum(-1).float()


def _kl(logits: Tensor, reference_logits: Tensor) -> Tensor:
    expected = reference_logits.float().log_softmax(-1)
    divergence = expected.exp() * (expected - logits.log_softmax(-1))
    # A token that the reference rules out entirely (probability 0) adds nothing, not 0 * -inf = NaN.
    return divergence.masked_fill(expected.exp() == 0, 0).sum(-1)


CLEAN, BOTH = ("clean_answer",), ("clean_answer", "corrupt_answer")
METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "logit_diff",
            "logit difference",
            "logit of the clean answer minus logit of the corrupt answer",
            BOTH,
            True,
            False,
            _logit_diff,
        ),
        Metric("logit", "logit", "logit of the clean answer", CLEAN, True, False, _logit),
        Metric(
            "log_prob",
            "log-probability",
            "natural logarithm of the clean answer's probability",
            CLEAN,
            True,
            True,
            _log_prob,
        ),
        Metric("prob", "probability", "probability of the clean answer", CLEAN, True, True, _prob),
        Metric(
            "answer_log_prob",
            "log-probability of the whole answer",
            "natural logarithm of the probability of all tokens of the clean answer, one after another; the answer is "
            "appended to both prompts",
            CLEAN,
            True,
            True,
            _whole_log_prob,
            whole_answer=True,
        ),
        Metric(
            "rank",
            "rank",
            "how many tokens are likelier than the clean answer; 0 is the top",
            CLEAN,
            False,
            True,
            _rank,
        ),
        Metric(
            "kl",
            "KL divergence",
            "from the clean run's next-token distribution to this run's, in nats; 0 is equal",
            (),
            False,
            True,
            lambda logits, reference: _kl(logits, reference.clean_logits),
        ),
        Metric(
            "kl_corrupt",
            "KL divergence from corrupt",
            "from the corrupt run's next-token distribution to this run's, in nats; 0 is equal to corrupt",
            (),
            True,
            True,
            lambda logits, reference: _kl(logits, reference.corrupt_logits),
        ),
    )
}


@dataclass(frozen=True)
class Measure:
    """A metric that is read at one position.

    Attributes:
        name: the metric's name, with "@position" where it is not read at the position of the whole sweep.
        label: in words.
        metric: a name of METRICS, or a user's function.
        at: the position, or None for that of the whole sweep.
    """

    name: str
    label: str
    metric: str | MetricFunction
    at: int | None

    @property
    def needs(self) -> tuple[str, ...]:
        """The answers of a pair that it needs. A user's function needs none of these and may read any token."""
        return METRICS[self.metric].needs if isinstance(self.metric, str) else ()

    @property
    def all_tokens(self) -> bool:
        return METRICS[self.metric].all_tokens if isinstance(self.metric, str) else True

    @property
    def whole_answer(self) -> bool:
        return isinstance(self.metric, str) and METRICS[self.metric].whole_answer

    def of(self, logits: Tensor, reference: Reference, columns: dict[int, int] | None = None) -> Tensor:
        """The metric of logits [run, token], one number for each run; of a whole answer, [run, answer's token, token].

        Args:
            columns: the column of each token in the logits, if they are not the whole vocabulary.

        Raises:
            ValueError: the pair lacks an answer that it needs, or a function fails or gives another shape.
        """
        if not isinstance(self.metric, str):
            return _measured(self.metric, self.name, logits)
        metric = METRICS[self.metric]
        for need in metric.needs:
            if not getattr(reference, need):
                raise ValueError(
                    f"The {metric.label} needs the {need.replace('_', ' ')}. Give it in the pair, "
                    "or choose the metric kl, which needs none."
                )
        if columns is not None:
            clean, corrupt = (tuple(columns[t] for t in getattr(reference, need)) for need in BOTH)
            reference = replace(reference, clean_answer=clean, corrupt_answer=corrupt)
        return metric.function(logits.float(), reference)


def as_measures(metric: MetricLike | Sequence[MetricLike]) -> list[Measure]:
    """Convert one or several metrics, each perhaps with a position, to measures with distinct names.

    Raises:
        ValueError: a name is unknown, a position is not a whole number, or a metric is given twice.
    """
    several = metric if isinstance(metric, (list, tuple)) and not _has_position(metric) else [metric]
    measures = [_measure(one) for one in several]
    names = [measure.name for measure in measures]
    if not measures or len(set(names)) < len(names):
        raise ValueError(f"Give one metric or several different ones, not {', '.join(names) or 'none'}.")
    for measure in measures:
        if measure.whole_answer and len(measures) > 1:
            raise ValueError(
                f"The {measure.label} is measured with the answer appended to the prompts, so it can't be measured "
                "together with other metrics. Give it alone."
            )
        if measure.whole_answer and measure.at is not None:
            raise ValueError(f"The {measure.label} is read where the answer begins. Leave its position out.")
    return measures


def metric_to_json(metric: MetricLike | Sequence[MetricLike]) -> str | list[str]:
    """The names of one or several metrics, known or not; a position follows an at sign."""
    several = isinstance(metric, (list, tuple)) and not _has_position(metric)
    given: list[Any] = [*metric] if several else [metric]  # pyright: ignore[reportGeneralTypeIssues]
    names = [one if isinstance(one, str) else _measure(one).name for one in given]
    return names if several else names[0]


# A request names a metric; the name of a user's own function is known to the widget alone.
AskedMetric = Annotated[
    str,
    Field(
        max_length=100,
        json_schema_extra={
            "anyOf": [{"const": m.name, "title": m.label, "description": m.help} for m in METRICS.values()]
        },
    ),
]


def _has_position(metric: Any) -> bool:
    whole = isinstance(metric, tuple) and len(metric) == 2 and hasattr(metric[1], "__index__")
    return whole and not isinstance(metric[1], bool)


def _measure(given: Any) -> Measure:
    metric: Any
    metric, at = (given[0], operator.index(given[1])) if _has_position(given) else (given, None)
    if not callable(metric) and (not isinstance(metric, str) or metric not in METRICS):
        raise ValueError(f"There is no metric {metric!r}. Choose one of {', '.join(METRICS)}, or give a function.")
    name = name_of(metric)
    if callable(metric) and name in METRICS:
        raise ValueError(
            f"Your function is called {name}, which is the name of a built-in metric. Rename the function."
        )
    label = METRICS[name].label if isinstance(metric, str) else name
    chosen: Any = metric
    return Measure(name, label, chosen, None) if at is None else Measure(f"{name}@{at}", f"{label} at {at}", chosen, at)


def name_of(metric: Any) -> str:
    """A metric's name: itself, or the function's."""
    return metric if isinstance(metric, str) else getattr(metric, "__name__", type(metric).__name__)


def baseline_warnings(name: str, label: str, clean: float | None, corrupt: float | None) -> list[str]:
    """Sentences about problems with two runs' values as the ends of a scale; none if there are no problems."""
    if clean is None or corrupt is None:
        return [f"The {label} of the clean or the corrupt run is not a finite number, so there is no scale."]
    values = f"the clean run's {label} ({number(clean)}) and the corrupt run's ({number(corrupt)})"
    metric = METRICS.get(name.split("@", maxsplit=1)[0])
    higher_is_better = metric is None or metric.higher_is_better
    if abs(clean - corrupt) <= 1e-6 * max(abs(clean), abs(corrupt)):
        return [
            f"The clean and the corrupt run have the same {label} ({number(clean)}), so there is no scale: their "
            "difference has not reached the position that is read, or the metric does not depend on it. Read at a "
            "later position, or choose another metric or other prompts."
        ]
    if not (clean > corrupt if higher_is_better else clean < corrupt):
        return [
            f"There is nothing for patching to restore: {values} are the wrong way round. Check that the "
            "answers are not swapped, or choose prompts that the model gets right."
        ]
    if abs(clean - corrupt) < 0.1 * max(abs(clean), abs(corrupt)):
        return [
            f"The scale from 0 to 1 is short: {values} are close together, so small changes look large. "
            "Read the raw values, or choose prompts that differ more."
        ]
    return []


FAVOURED = 0.1  # of the likeliest token's probability: an answer with less is not what the model would say


def favour_warning(answers: Sequence[int], logits: Tensor, text: Callable[[int], str]) -> str | None:
    """A sentence if the clean run has a far likelier next token than its answers; None without an answer.

    Args:
        answers: token ids.
        logits: [d_vocab], of the clean run.
        text: the text of a token id.
    """
    probabilities = logits.float().softmax(-1)
    best = int(probabilities.argmax())
    answer = float(probabilities[list(answers)].sum())
    if not answers or best in answers or answer >= FAVOURED * probabilities[best]:
        return None
    named = " or ".join(f"“{text(token)}”" for token in answers[:3]) + (" or others" if len(answers) > 3 else "")
    return (
        f"The clean run does not favour its answer: {named} has a probability of {_percent(answer)}, and "
        f"“{text(best)}” one of {_percent(float(probabilities[best]))}. Effects on an answer that the model would not "
        "give are hard to interpret. Choose another answer or another prompt."
    )


def _percent(share: float) -> str:
    percent = 100 * share
    if percent < 0.001:
        return "under 0.001%"
    return f"{percent:.0f}%" if percent >= 10 else f"{percent:.2g}%"


def number(value: float) -> str:
    """Two decimals and a true minus sign."""
    return f"{value:.2f}".replace("-", "\u2212")


class MetricFailed(ValueError):
    """A user's own metric raised an exception; `traceback` is the user's part of its traceback, as text."""

    def __init__(self, message: str, traceback: str):
        super().__init__(message)
        self.traceback = traceback


def _measured(function: MetricFunction, name: str, logits: Tensor) -> Tensor:
    try:
        with torch.set_grad_enabled(logits.requires_grad):
            # a copy, since the function may write into what it gets
            values = torch.as_tensor(function(logits.float().clone()))
    except Exception as problem:
        own = problem.__traceback__.tb_next if problem.__traceback__ else None  # without this frame
        shown = traceback.format_exception(type(problem), problem, own)
        message = f"The metric {name} failed: {type(problem).__name__}: {problem}"
        raise MetricFailed(message, "".join(shown)) from problem
    if values.shape != logits.shape[:1]:
        raise ValueError(
            f"The metric {name} gave shape {tuple(values.shape)} for logits of shape {tuple(logits.shape)}. "
            "It gets logits [run, d_vocab] at one position and must return one number for each run: [run]."
        )
    return (values if logits.requires_grad else values.detach()).float()
