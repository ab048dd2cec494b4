"""What views of a pair share: the pair may be an editor's."""

from __future__ import annotations

from typing import Any

from ._base import HookscopeWidget
from .prompt_pair_editor import PromptPairEditor


class FollowsEditor(HookscopeWidget):
    """A widget with a `pair`, which may be given as an editor: its pair is then followed until the widget is closed."""

    pair: Any
    _editor: PromptPairEditor | None = None  # also of a widget whose __init__ failed

    def close(self) -> None:
        """Close the widget: it stops what it was running, and following its editor."""
        if self._editor is not None:
            self._editor.unobserve(self._take_pair, "pair")
            self._editor = None
        super().close()

    def _follow(self, shown: Any) -> None:
        """Follow what the widget was given, if it is an editor."""
        if isinstance(shown, PromptPairEditor):
            self._editor = shown
            shown.observe(self._take_pair, "pair")

    def _take_pair(self, change: Any) -> None:
        self.pair = change["new"]
