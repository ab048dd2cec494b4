"""The base class of panels that show a prompt or a pair."""

from __future__ import annotations

from typing import Any

import traitlets

from interp_backend.language.prompts import PromptPair

from .panel import Panel, action
from .prompt_pair_editor import PromptPairEditor
from .traits import PairTrait

SIDES = {False: ["prompt"], True: ["clean", "corrupt", "difference"]}


class OfPrompt(Panel):
    """A panel of one prompt or of one pair: setting `prompt` clears `pair`, and the reverse."""

    pair = PairTrait(allow_none=True, help="The two prompts, or None.")
    prompt = traitlets.Unicode(None, allow_none=True, help="The one prompt, or None for a pair.").tag(sync=True)
    side = traitlets.Unicode("prompt", help="prompt; or clean, corrupt or difference.").tag(sync=True)
    layer_zero = traitlets.Enum(["bottom", "top"], "bottom", help="Where layer 0 is drawn.").tag(sync=True)
    code = traitlets.Unicode(help="Python code of what is shown.").tag(sync=True)

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

    def _put_away(self) -> None:
        """Clear what belongs to the previous prompt or pair."""
        self.selection = None

    @action("show")
    def _on_show(self, id: str, text: str) -> Any:
        """Show another prompt in a view of a single prompt."""
        if self.pair is not None:
            raise ValueError("This view shows a pair: change it in its editor, or set .pair.")
        with self._asking().defer():
            self.prompt = text
        return self._asking().refresh(id)


def split_subject(subject: str | PromptPair | PromptPairEditor | None) -> dict[str, Any]:
    """Convert a constructor's argument to the traits `prompt`, `pair` and `side`."""
    if isinstance(subject, PromptPairEditor):
        subject = subject.pair
    if subject is None or isinstance(subject, str):
        return {"prompt": subject, "pair": None, "side": "prompt"}
    return {"prompt": None, "pair": subject, "side": "clean"}
