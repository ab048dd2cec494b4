"""What a run is judged by: numbers read off the logits at one position.

A metric is a function of logits [run, d_vocab]; it gives one number a run. All of them are computed in
float32, whatever the model's own precision.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

MetricFunction = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Reference:
    """What a metric may compare with.

    Attributes:
        clean_answer, corrupt_answer: token ids; None without an answer.
        clean_logits: [d_vocab], the clean run's.
    """

    clean_answer: int | None
    corrupt_answer: int | None
    clean_logits: torch.Tensor


@dataclass(frozen=True)
class Metric:
    """One metric: its name, how a menu and a legend call it, and its function of logits [run, d_vocab]."""

    name: str
    label: str
    help: str
    needs: tuple[str, ...]
    higher_is_better: bool
    function: Callable[[torch.Tensor, Reference], torch.Tensor]


def _logit_diff(logits: torch.Tensor, reference: Reference) -> torch.Tensor:
    return logits[:, reference.clean_answer] - logits[:, reference.corrupt_answer]


def _logit(logits: torch.Tensor, reference: Reference) -> torch.Tensor:
    return logits[:, reference.clean_answer]


def _log_prob(logits: torch.Tensor, reference: Reference) -> torch.Tensor:
    return logits[:, reference.clean_answer] - logits.logsumexp(-1)


def _prob(logits: torch.Tensor, reference: Reference) -> torch.Tensor:
    return _log_prob(logits, reference).exp()


def _rank(logits: torch.Tensor, reference: Reference) -> torch.Tensor:
    return (logits > logits[:, reference.clean_answer, None]).sum(-1).float()


def _kl(logits: torch.Tensor, reference: Reference) -> torch.Tensor:
    clean = reference.clean_logits.float().log_softmax(-1)
    divergence = clean.exp() * (clean - logits.log_softmax(-1))
    # A token that the clean run rules out entirely (probability 0) adds nothing, not 0 * -inf = NaN.
    return divergence.where(clean.exp() > 0, torch.zeros(())).sum(-1)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "logit_diff",
            "logit difference",
            "logit of the clean answer minus logit of the corrupt answer",
            ("clean_answer", "corrupt_answer"),
            True,
            _logit_diff,
        ),
        Metric("logit", "logit", "logit of the clean answer", ("clean_answer",), True, _logit),
        Metric(
            "log_prob",
            "log-probability",
            "natural logarithm of the clean answer's probability",
            ("clean_answer",),
            True,
            _log_prob,
        ),
        Metric("prob", "probability", "probability of the clean answer", ("clean_answer",), True, _prob),
        Metric(
            "rank",
            "rank",
            "how many tokens are likelier than the clean answer; 0 is the top",
            ("clean_answer",),
            False,
            _rank,
        ),
        Metric(
            "kl",
            "KL divergence",
            "from the clean run's next-token distribution to this run's, in nats; 0 is equal",
            (),
            False,
            _kl,
        ),
    )
}


def resolve(metric: str | MetricFunction, reference: Reference) -> tuple[str, str, MetricFunction]:
    """Name, label and function of logits [run, d_vocab] for a metric's name or a function of the user's own.

    Raises:
        ValueError: an unknown name, an answer that the metric needs and the pair lacks, or a function that
            does not give one number a run (raised when it is called).
    """
    if callable(metric):
        name = name_of(metric)
        return name, name, _checked(metric, name)
    if not isinstance(metric, str) or metric not in METRICS:
        raise ValueError(f"There is no metric {metric!r}. Choose one of {', '.join(METRICS)}, or give a function.")
    chosen = METRICS[metric]
    for need in chosen.needs:
        if getattr(reference, need) is None:
            raise ValueError(
                f"The {chosen.label} needs the {need.replace('_', ' ')}. Give it in the pair, "
                "or choose the metric kl, which needs none."
            )
    return chosen.name, chosen.label, lambda logits: chosen.function(logits.float(), reference)


def name_of(metric: Any) -> str:
    """A metric's name: itself, or the function's."""
    return metric if isinstance(metric, str) else getattr(metric, "__name__", type(metric).__name__)


def needs_of(metric: str | MetricFunction) -> tuple[str, ...]:
    """Which answers of a pair a metric reads; a user's own function may read any token it likes, but none of these."""
    return METRICS[metric].needs if isinstance(metric, str) and metric in METRICS else ()


def baseline_warnings(name: str, label: str, clean: float | None, corrupt: float | None) -> list[str]:
    """What is wrong with using two runs' values as the ends of a scale, in sentences; none if nothing is."""
    if clean is None or corrupt is None:
        return [f"The {label} of the clean or the corrupt run is not a finite number, so there is no scale."]
    values = f"the clean run's {label} ({_number(clean)}) and the corrupt run's ({_number(corrupt)})"
    higher_is_better = METRICS[name].higher_is_better if name in METRICS else True
    if not (clean > corrupt if higher_is_better else clean < corrupt):
        return [
            f"There is nothing for patching to restore: {values} are the wrong way round or equal. Check that the "
            "answers are not swapped, or choose prompts that the model gets right."
        ]
    if abs(clean - corrupt) < 0.1 * max(abs(clean), abs(corrupt)):
        return [
            f"The scale from 0 to 1 is short: {values} are close together, so small changes look large. "
            "Read the raw values, or choose prompts that differ more."
        ]
    return []


def _number(value: float) -> str:
    return f"{value:.2f}".replace("-", "\u2212")


def _checked(function: MetricFunction, name: str) -> MetricFunction:
    def measure(logits: torch.Tensor) -> torch.Tensor:
        try:
            with torch.no_grad():
                # a copy, since the function may write into what it gets
                values = torch.as_tensor(function(logits.detach().float().clone()))
        except Exception as problem:
            raise ValueError(f"The metric {name} failed: {type(problem).__name__}: {problem}") from problem
        if values.shape != logits.shape[:1]:
            raise ValueError(
                f"The metric {name} gave shape {tuple(values.shape)} for logits of shape {tuple(logits.shape)}. "
                "It gets logits [run, d_vocab] at the last position and has to give one number a run: [run]."
            )
        return values.detach().float()

    return measure
