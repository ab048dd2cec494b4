"""What scripts share: the model, tokens, the metric, and a loop over the pairs of a data set.

A result may come from somebody else's file. So whatever it holds is checked here, and goes into a script as `repr` has
it: a text stays a text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from string import Template
from typing import Any, ClassVar

from ..common.code import metric_parts
from ..common.subject import subject_of
from ..language.metrics import METRICS
from ..language.model import ACTIVATIONS, LanguageModel
from ..language.pairs import PromptPairs
from ..language.prompts import SIDES, PromptPair, Side, tokenize
from ..results.envelope import shortened

Lines = list[str]


@dataclass(frozen=True)
class Printed:
    """A call that is printed.

    Attributes:
        name: of the method.
        params: its arguments, as a result has them.
        result: what it returned; None for a call that has not been made.
        model: the model, if it is at hand.
    """

    name: str
    params: Mapping[str, Any]
    result: Any
    model: LanguageModel | None

    def whole(self, name: str, default: int | None = None) -> int | None:
        """An argument that is a whole number or None.

        Raises:
            ValueError: it is something else.
        """
        value = self.params.get(name, default)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise ValueError(f"{name} is a whole number, not {value!r:.60}.")
        return value

    def chosen(self, name: str, choices: Sequence[str] | Mapping[str, Any]) -> str:
        """An argument that is one of some names; the first if it is not given.

        Raises:
            ValueError: it is another one.
        """
        value = self.params.get(name, next(iter(choices)))
        if not isinstance(value, str) or value not in choices:
            raise ValueError(f"{name} is one of {', '.join(choices)}, not {value!r:.60}.")
        return value

    def need_model(self, why: str) -> LanguageModel:
        """Raises ValueError: the model is not at hand."""
        if self.model is None:
            raise ValueError(f"{why} Give the model too: transformerlens_code(result, model).")
        return self.model


@dataclass(frozen=True)
class Script:
    """What a writer makes of a call.

    Attributes:
        about: a sentence: what `values` are.
        body: the lines after the model is loaded, which define `values`.
        gradients: whether it needs gradients.
        imports: lines beside those of NumPy and torch.
    """

    about: str
    body: Lines
    gradients: bool = False
    imports: tuple[str, ...] = ()


WRITERS: dict[str, Callable[[Printed], Script]] = {}  # by the name of the method


def writes(name: str) -> Callable[[Callable[[Printed], Script]], Callable[[Printed], Script]]:
    """Mark a function as the writer of a method's script."""

    def mark(writer: Callable[[Printed], Script]) -> Callable[[Printed], Script]:
        WRITERS[name] = writer
        return writer

    return mark


class NoForm(ValueError):
    """A call that has no script, with a sentence that says why and what to use instead."""

    def __init__(self, printed: Printed, why: str):
        super().__init__(
            f"{printed.name} can't be printed over TransformerLens alone: {why} Copy its code over interp_backend."
        )


def filled(template: str, **parts: Any) -> Lines:
    """The lines of a part of a script, with each `$name` in it replaced."""
    return Template(template[1:]).substitute(parts).removesuffix("\n").split("\n")


def tidy(lines: Sequence[str]) -> Lines:
    """Without more blank lines than a formatter leaves: two, or one within a function."""
    kept: Lines = []
    for line in lines:
        blank = next((i for i, one in enumerate(reversed(kept)) if one), len(kept))
        if line and line.startswith(" ") and blank > 1:
            del kept[len(kept) - blank + 1 :]
        if line or blank < 2:
            kept.append(line)
    return kept


def indented(lines: Sequence[str], by: int = 4) -> Lines:
    return [" " * by + line if line else "" for line in lines]


def numbers(values: Sequence[Any]) -> str:
    """Whole numbers, or lists of them, as code: all from 0 are a range.

    Raises:
        ValueError: something else is among them.
    """
    plain = [_plain_number(value) for value in values]
    return f"range({len(plain)})" if plain == list(range(len(plain))) else repr(plain)


def listed(values: Sequence[Any]) -> str:
    """Whole numbers as the code of a list."""
    return repr([_plain_number(value) for value in values])


def _plain_number(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain_number(one) for one in value]
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise ValueError(f"A place is a whole number, not {value!r:.60}.")
    return int(value)


def hook_of(activation: str) -> str:
    """The name of an activation's hook, with {} for the layer."""
    hook = ACTIVATIONS[activation].hook
    return hook if activation == "embed" else f"blocks.{{}}.{hook}"


# Tokens


def tokens_code(
    text: str, ids: Sequence[int] | None, model: LanguageModel | None, prepend_bos: bool | None = None
) -> tuple[str, str]:
    """Tokens [1, position] as an expression, and a comment.

    The text itself is written where TransformerLens makes exactly these ids of it, as far as that is known.
    """
    known = [] if model is None else model.to_ids(text, prepend_bos)
    if ids is None or (model is not None and known == list(ids) and len(known) <= model.raw.cfg.n_ctx):
        option = "" if prepend_bos is None else f", prepend_bos={prepend_bos is True}"
        return f"model.to_tokens({text!r}{option})", ""
    return f"torch.tensor([{listed(ids)}], device=model.cfg.device)", f"  # {shortened(text, 60)!r}"


def bos_comment(printed: Printed) -> Lines:
    """Who puts a token in front of each prompt."""
    model = printed.result.provenance.get("model", {}) if printed.result is not None else {}
    bos = printed.model.describe()["bos"] if printed.model is not None else model.get("bos")
    if not isinstance(bos, dict) or not bos.get("default"):
        return []
    by = "the tokenizer" if bos.get("by") == "the tokenizer" else "to_tokens"
    return [f"# Each prompt begins with {shortened(str(bos.get('token')), 40)!r}, which {by} puts there."]


def answers_code(texts: Sequence[str], ids: Sequence[int], model: LanguageModel | None) -> str:
    """A list of token ids as an expression: an answer's text where TransformerLens makes exactly this token of it.

    Args:
        ids: the first token of each answer; empty if they are not known.
    """
    if not ids or model is None:
        return f"[{', '.join(f'model.to_single_token({text!r})' for text in texts)}]"
    written: dict[int, str] = {}
    for text, token in zip(texts, ids, strict=True):
        alone = model.to_ids(text, False)
        if alone == [token]:
            written[token] = f"model.to_single_token({text!r})"
        elif alone[:1] == [token]:  # an answer of several tokens that is scored by its first
            written[token] = f"model.to_tokens({text!r}, prepend_bos=False)[0, 0].item()"
        else:
            written[token] = repr(int(token))
    return f"[{', '.join(written.values())}]"


# Pairs


@dataclass(frozen=True)
class RunPair:
    """A pair as it was run.

    Attributes:
        ids: of both sides; None if they are not known.
        answers: by side, the texts of the answers and the token by which each is scored; none of the latter if they are
            not known.
        counterparts: for each position of the patched prompt its counterpart in the other one; None if all positions
            are their own.
        appended: the tokens of the answer that both prompts end with.
        whole_answer: the tokens of the whole clean answer, if they are what is measured.
    """

    pair: PromptPair
    ids: Mapping[str, list[int]]
    answers: Mapping[str, tuple[Sequence[str], Sequence[int]]]
    counterparts: list[int | None] | None
    appended: tuple[int, ...] = ()
    whole_answer: tuple[int, ...] = ()


class PairScript:
    """The parts of a script that runs the two prompts of a pair, or of each pair of a data set.

    Its body finds the variables `clean`, `corrupt`, and as needed `right`, `wrong` (lists of token ids), `answer` (all
    tokens of the answer), `counterpart` and whatever `more` names.
    """

    def __init__(self, printed: Printed, gradients: bool = False):
        self.printed, self.gradients = printed, gradients
        subject = subject_of(printed.params)
        if not isinstance(subject, (PromptPair, PromptPairs)):
            raise ValueError("The result does not say which prompts it is of. Run the method again.")
        self.many = isinstance(subject, PromptPairs)
        self.denoise = printed.chosen("direction", ("denoise", "noise")) == "denoise"
        self.base, self.other = ("corrupt", "clean") if self.denoise else ("clean", "corrupt")
        self.metric, self.at, self.own_metric = metric_parts(printed.params.get("metric", "logit_diff"))
        at = printed.whole("at")
        self.at = at if self.at is None else self.at
        whole = self.metric == "answer_log_prob"
        if (self.many or whole) and printed.model is None:
            printed.need_model("The tokens of these prompts are not in the result.")
        self.pairs = [self._run(pair, whole) for pair in (subject if isinstance(subject, PromptPairs) else [subject])]
        self.more: dict[str, list[str]] = {}  # further variables, with an expression for each pair

    def _run(self, pair: PromptPair, whole: bool) -> RunPair:
        printed, base, texts = self.printed, self._side(self.base), {side: pair.answers(side) for side in SIDES}
        if printed.model is None:
            ids = {side: printed.result.prompts[side].ids for side in SIDES}
            return RunPair(pair, ids, {s: (texts[s], ()) for s in SIDES}, printed.result.counterparts)
        tokenized = tokenize(printed.model, pair, whole)
        if whole:
            tokenized = tokenized.with_answer(printed.model.n_ctx)
        prompts = getattr(printed.result, "prompts", None)
        if not self.many and prompts and any(prompts[side].ids != tokenized.ids[side] for side in SIDES):
            raise ValueError(
                "This model makes other tokens of the prompts than the result has. Give the model it is of."
            )
        firsts = {
            side: [tokenized.ids[f"{side}_answer"][at] for at in tokenized.starts[f"{side}_answer"]] for side in SIDES
        }
        return RunPair(
            pair,
            {side: tokenized.ids[side] for side in SIDES},
            {side: (texts[side], firsts[side]) for side in SIDES},
            None if tokenized.aligned_one_to_one else tokenized.counterparts(base),
            tokenized.appended,
            tokenized.whole_answer() if whole else (),
        )

    @staticmethod
    def _side(name: str) -> Side:
        return "clean" if name == "clean" else "corrupt"

    @property
    def aligned(self) -> bool:
        """Whether every position is its own counterpart, in all pairs."""
        return all(one.counterparts is None for one in self.pairs)

    @property
    def mixed(self) -> bool:
        """Whether the patched prompts have different lengths."""
        return len({len(one.ids[self.base]) for one in self.pairs}) > 1

    @property
    def label(self) -> str:
        """The metric in words."""
        return self.metric if self.own_metric else METRICS[self.metric].label

    @cached_property
    def _needs(self) -> tuple[str, ...]:
        return METRICS[self.metric].needs if not self.own_metric else ()

    # Variables

    def variables(self) -> dict[str, list[tuple[str, str]]]:
        """By name, for each pair the expression of a variable and a comment."""
        model, named = self.printed.model, {}
        for side in SIDES:
            named[side] = [
                tokens_code(getattr(one.pair, side), one.ids[side], model, one.pair.prepend_bos) for one in self.pairs
            ]
        if self.metric == "answer_log_prob":
            named["answer"] = [(listed(one.whole_answer), "") for one in self.pairs]
        else:
            for name, side in (("right", "clean"), ("wrong", "corrupt")):
                if f"{side}_answer" in self._needs:
                    named[name] = [(answers_code(*one.answers[side], model), "") for one in self.pairs]
        if not self.aligned:
            named["counterpart"] = [
                (repr(one.counterparts or list(range(len(one.ids[self.base])))), "") for one in self.pairs
            ]
        return {**named, **{name: [(one, "") for one in each] for name, each in self.more.items()}}

    _SAYS: ClassVar[dict[str, str]] = {
        "right": "# An answer has its leading space: without it, it is another token.",
        "answer": "# The tokens of the whole answer; all but the last are appended to both prompts.",
        "counterpart": "# By position of the {base} prompt: its counterpart in the {other} one. None has none.",
    }

    def lines(self, body: Lines) -> Lines:
        """The script: the body once, or in a function that is called for each pair."""
        named, says = (
            self.variables(),
            {name: text.format(base=self.base, other=self.other) for name, text in self._SAYS.items()},
        )
        if not self.many:
            made = bos_comment(self.printed) if self.pairs[0].pair.prepend_bos is None else []
            for name, [(expression, comment)] in named.items():
                made += [says[name]] if name in says else []
                made.append(f"{name} = {expression}{comment}")
            return [*made, *body]
        rows = []
        for at in range(len(self.pairs)):
            rows += ["    (", *(f"        {each[at][0]},{each[at][1]}" for each in named.values()), "    ),"]
        return [
            *bos_comment(self.printed),
            *(text for name, text in says.items() if name in named),
            f"pairs = [  # {', '.join(named)}",
            *rows,
            "]",
            "",
            "",
            f"def sweep({', '.join(named)}):",
            *indented([*body, "return values"]),
            "",
            "",
            *(_MEAN_OF_SOME if self.mixed or not self.aligned else _MEAN),
        ]

    def without_gradients(self, lines: Lines) -> Lines:
        """Lines whose runs need no gradients; in a script that needs none at all, that is said once."""
        return ["with torch.no_grad():", *indented(lines)] if self.gradients and lines else lines

    # The metric

    def metric_lines(self) -> Lines:
        """A function `metric` of logits [1, position, token], a number as a tensor."""
        last = self.at is None or self.at == -1
        read = "-len(answer):" if self.metric == "answer_log_prob" else repr(-1 if last else self.at)
        where = "the last position" if last else f"position {self.at}"
        where = "the positions that predict the answer" if self.metric == "answer_log_prob" else where
        lines = []
        if self.metric in ("kl", "kl_corrupt") and not self.own_metric:
            side = "clean" if self.metric == "kl" else "corrupt"
            at = read if side == self.base or last or self.aligned else f"counterpart[{read}]"
            lines += self.without_gradients([f"expected = model({side})[0, {at}].float().log_softmax(-1)"])
        returns = f"{self.metric}(logits[None])[0]" if self.own_metric else _METRICS[self.metric]
        own = [f"# {self.metric}: your own function of the logits [run, d_vocab]"] if self.own_metric else []
        return [
            *own,
            *lines,
            "",
            "",
            "def metric(logits):",
            f'    """The {self.label} of logits [1, position, token], read at {where}."""',
            f"    logits = logits[0, {read}].float()",
            f"    return {returns}",
            "",
            "",
        ]


_MEAN = ["values = np.mean([sweep(*pair) for pair in pairs], axis=0)"]
_MEAN_OF_SOME = [
    "every = np.stack([sweep(*pair) for pair in pairs])",
    'with np.errstate(invalid="ignore"):  # a mean over the pairs that have the cell; NaN if none has',
    "    values = np.nansum(every, axis=0) / np.isfinite(every).sum(axis=0)",
]
_METRICS = {
    "logit_diff": "logits[right].mean() - logits[wrong].mean()",
    "logit": "logits[right].mean()",
    "log_prob": "logits.log_softmax(-1)[right].logsumexp(-1)",
    "prob": "logits.softmax(-1)[right].sum()",
    "answer_log_prob": "logits.log_softmax(-1)[range(len(answer)), answer].sum()",
    "rank": "(logits > logits[right].max()).sum()",
    "kl": "(expected.exp() * (expected - logits.log_softmax(-1))).sum()",
    "kl_corrupt": "(expected.exp() * (expected - logits.log_softmax(-1))).sum()",
}
