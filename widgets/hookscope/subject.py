"""The base classes of panels that show results for prompts."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import traitlets

from interp_backend import METHODS, load_model, transformerlens_code
from interp_backend.common.subject import subject_of
from interp_backend.language.model import LanguageModel
from interp_backend.language.prompts import PromptPair
from interp_backend.results.envelope import BaseResult, excerpt
from interp_backend.results.files import KINDS, content_of, kind_of, save_result
from interp_backend.service import protocol

from .asking import Asker, follow
from .output import Pictured
from .page import View, write_page
from .panel import action
from .prompt_pair_editor import PromptPairEditor
from .traits import PairTrait

SIDES = {False: ["prompt"], True: ["clean", "corrupt", "difference"]}


class ResultPanel(Pictured):
    """A panel of a method's result, which is in the trait `result`."""

    choices: Sequence[str] = ()  # the traits that say what is computed and how it is drawn, in the order to set them
    layer_zero = traitlets.Enum(["bottom", "top"], "bottom", help="Where layer 0 is drawn.").tag(
        sync=True, set_by_view=True
    )
    code = traitlets.Unicode(help="Python code that computes what is shown.").tag(sync=True)

    @classmethod
    def missing(cls, model: LanguageModel) -> str | None:
        """What a model lacks for a view of it that is given nothing else; None if nothing."""
        return None

    def save(self, path: str | Path, *, width: float | None = None, font_size: float | None = None) -> Path:
        """Write what is shown into a file, of the kind that its name ends with.

        Args:
            path: `.html` for one self-contained page that opens offline, with hovering and pinning: of large attention
                patterns it has all heads as thumbnails, and the numbers of the opened heads. Any other kind, such as
                `.svg` or `.csv`, is that of the result's own `save`.
            width, font_size: of a picture, as in `EffectMap.save`.

        Raises:
            ValueError: there is no result yet, or it can't be saved as this.
        """
        path = Path(path)
        result = self._shown()
        if kind_of(path, ("html", *KINDS)) != "html":
            return save_result(self._of_tab(), path, width, font_size)
        title, caption = self._headings(result)
        return write_page(path, [View(self, caption, results=self.further_results())], title)

    def further_results(self) -> list[BaseResult]:
        """What the panel shows beside the results that its traits send whole."""
        return []

    def _of_tab(self) -> Any:
        """The result that the open tab shows."""
        return self._shown()

    @action("file", command=False)
    def _on_file(self, id: str, format: Literal["svg", "png", "json"]) -> None:
        """Send what is shown as the content of a file: as text, or in base64."""
        content = content_of(self._of_tab(), format)
        text = base64.b64encode(content).decode("ascii") if format == "png" else content.decode("utf-8")
        self.send(protocol.event(id, "file", format=format, text=text))

    @action("transformerlens_code", command=False)
    def _on_transformerlens_code(self, id: str) -> None:
        """Send a script that makes what is shown with TransformerLens alone."""
        text = transformerlens_code(self._of_tab(), self.model)
        self.send(protocol.event(id, "file", format="py", text=text))

    def pictured(self) -> list[BaseResult]:
        return [self._of_tab()] if self.status == "done" else []

    def _headings(self, result: Any) -> tuple[str, str]:
        """The title and the caption of a saved page."""
        raise NotImplementedError

    def _shown(self) -> Any:
        result: Any = getattr(self, "result", None)
        if result is None:
            raise ValueError("There is no result yet. Call .wait() first.")
        return result

    def _code_of(self, result: Any) -> str:
        """Code that computes a result; empty for a result that no method computed."""
        method = METHODS.get(result.method)
        return "" if method is None else method.code(result.params, self.model and self.model.code)

    def _start(self, model: LanguageModel, subject: Any) -> None:
        """Ask the model for what should be shown, and follow the pair of an editor."""
        self._asker = Asker(self, model)
        if isinstance(subject, PromptPairEditor):
            follow(self, subject)
        self._asker.refresh()


class OfPrompt(ResultPanel):
    """A panel of one prompt or of one pair: setting `prompt` clears `pair`, and the reverse."""

    quantity = ""  # the quantity that the panel shows, for the title of a saved page
    pair = PairTrait(allow_none=True, help="The two prompts, or None.")
    prompt = traitlets.Unicode(None, allow_none=True, help="The one prompt, or None for a pair.").tag(sync=True)
    prepend_bos = traitlets.Bool(
        None, allow_none=True, help="Whether a prompt begins with the beginning-of-text token; a pair says so itself."
    )
    side = traitlets.Unicode("prompt", help="prompt, clean, corrupt or difference.").tag(sync=True, set_by_view=True)

    @property
    def subject(self) -> str | PromptPair:
        """The pair or the prompt."""
        return self.pair if self.pair is not None else self.prompt or ""

    @traitlets.validate("side")
    def _valid_side(self, proposal: Any) -> str:
        sides = SIDES[self.pair is not None]
        if proposal["value"] not in sides:
            raise traitlets.TraitError(f"The sides are {', '.join(sides)}, not {proposal['value']!r}.")
        return proposal["value"]

    @traitlets.observe("pair", "prompt")
    def _on_subject(self, change: Any) -> None:
        if change["new"] is None or self._asker is None:
            return
        with self._asker.defer():
            if change["name"] == "pair":
                self.prompt = None
            else:
                self.pair = None
            if self.side not in SIDES[self.pair is not None]:
                self.side = SIDES[self.pair is not None][0]
            self._put_away()
        self._asker.refresh()

    @traitlets.observe("prepend_bos")
    def _on_prepend_bos(self, change: Any) -> None:
        if self._asker is not None:
            self._asker.refresh()

    def _put_away(self) -> None:
        """Clear what belongs to the previous prompt or pair."""

    def _headings(self, result: Any) -> tuple[str, str]:
        texts = " against ".join(f"“{excerpt(side.text)}”" for side in result.sides.values())
        return f"{self.quantity} of {texts}", " · ".join(model_words(result))

    @action("show")
    def _on_show(self, id: str, text: str) -> Any:
        """Show another prompt in a view of a single prompt."""
        if self.pair is not None:
            raise ValueError("This view shows a pair: change it in its editor, or set .pair.")
        with self._asking().defer():
            self.prompt = text
        return self._asking().refresh(id)


def model_to_ask(model: Any, subject: Any, result: Any, needed: str) -> LanguageModel | None:
    """The model that a panel asks; None for a panel that shows a given result.

    Raises:
        ValueError: neither a model with a subject nor a result is given, or all of them are.
    """
    if (model is None) != (subject is None) or (model is None) == (result is None):
        raise ValueError(f"Give a model and {needed}, or a result=... to show.")
    return None if model is None else load_model(model)


def subject_traits(subject: Any, result: Any) -> dict[str, Any]:
    """The traits `prompt`, `pair` and `side` for the subject of a constructor, or of the result given instead."""
    if result is not None:
        subject = subject_of(result.params) or ""
    elif isinstance(subject, PromptPairEditor):
        subject = subject.pair
    if isinstance(subject, str):
        return {"prompt": subject, "pair": None, "side": "prompt"}
    return {"prompt": None, "pair": subject, "side": "clean"}


def model_words(result: Any) -> list[str]:
    """The model's name and the state of its weights, if the result names them."""
    model = result.provenance.get("model", {})
    weights = model.get("weights")
    return [str(part) for part in (model.get("name"), weights and f"weights {weights}") if part]
