"""Strings that try to be more than text, and views that have them wherever a user or a model can fill a text in."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

ATTACKS = [
    *(
        "<script>window.pwned = 1</script>",
        "</script><script>window.pwned = 1</script>",
        "<img src=x onerror='pwned=1'>",
    ),
    *("<svg/onload=pwned=1>", "</main></body>", "</style>", "</title>", "</textarea>", "</pre>", "<!--", "-->", "]]>"),
    *("<iframe srcdoc='<script>parent.pwned=1</script>'>", "<style>*{display:none}</style>", "<base href='//x.test/'>"),
    *("<link rel=stylesheet href=//x.test/a.css>", "<meta http-equiv=refresh content='0;url=//x.test'>", "<b>", "</b>"),
    *(
        "[x](javascript:pwned=1)",
        "![x](https://x.test/a.png)",
        "<https://x.test>",
        "[a]: javascript:pwned=1",
        "`",
        "```",
    ),
    *("| a | b |", "# ", "> ", "- ", "***", "{{7*7}}", "${pwned=1}", "{0}", "%s", "#{1}", "<%= 1 %>", "$\\frac{1}{2}$"),
    *(
        "\"'",
        "\\",
        "\\u003c",
        "&lt;b&gt;",
        "&#0;",
        "' onmouseover='pwned=1",
        '" style="position:fixed',
        "data:text/html,x",
    ),
    *("__proto__", "constructor", "NaN", "null", "-0", "=HYPERLINK(1)", "\x00", "\x07\x08\x1b[31m", "\x7f\x85\xa0"),
    *(
        "\n",
        "\r\n",
        "\t",
        "\v\f",
        "\u2028",
        "\u2029",
        "\u202e",
        "\u202d",
        "\u2066",
        "\u2067",
        "\u2069",
        "\u200f",
        "\u061c",
    ),
    *("\u200b", "\u200d", "\ufeff", "\u00ad", "\u0301" * 40, "\u20dd", "\ufffd", "\uffff", "\U0010ffff", "\ue000"),
    *(
        "\u05e9\u05dc\u05d5\u05dd",
        "\u0645\u0631\u062d\u0628\u0627",
        "\u6f22\u5b57",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "\ufdfd",
    ),
    *("\u0e47" * 20, "\U0001d573", "a" * 900, "\u2588" * 300, "\ufdfd" * 40, " " * 200, "W" * 60, "i\u0307"),
]
# The fields of states that are texts; `dtype`, `method` and the like are words of ours.
TEXTS = {
    *("text", "tokens", "token", "answer", "answers", "wrong_answer", "clean", "corrupt", "clean_answer"),
    *("corrupt_answer", "prompt", "label", "labels", "metric_label", "quantity", "scale_text", "note", "warnings"),
    *("reasons", "message", "traceback", "executor", "versions", "code", "attribution_code", "help", "unit", "title"),
    *("fallback", "targets", "source", "target", "by", "reason", "words", "summary", "group_label"),
}
OF_A_MODEL = {"name", "architecture", "device", "weights", "weights_hash", "by", "token"}


class Strings:
    """Makes strings, the same ones at each run, and counts them."""

    def __init__(self, seed: int = 0):
        self._random, self.made = random.Random(seed), 0

    def one(self) -> str:
        self.made += 1
        return "".join(self._piece() for _ in range(self._random.choice([1, 1, 1, 2, 3, 6])))

    def _piece(self) -> str:
        if self._random.random() < 0.6:
            return self._random.choice(ATTACKS)
        most = self._random.choice([0x7F, 0x7F, 0x2FF, 0x10FFFF])
        characters = (chr(self._random.randint(0, most)) for _ in range(self._random.randint(1, 12)))
        return "".join(one for one in characters if not "\ud800" <= one <= "\udfff")  # no half characters

    def fill(self, value: Any, known: Any = TEXTS, inside: bool = False) -> Any:
        """A state with strings in all fields that are texts; `inside` says that the value belongs to such a field."""
        if isinstance(value, str):
            return self.one() if inside else value
        if isinstance(value, list):
            return [self.fill(one, known, inside) for one in value]
        if isinstance(value, Mapping):
            if "dtype" in value and "data" in value:
                return dict(value)  # an array
            return {
                name: self.fill(one, {*TEXTS, *OF_A_MODEL} if name == "model" else known, inside or name in known)
                for name, one in value.items()
            }
        return value


class Filled:
    """A panel whose state is filled with strings, for `page`."""

    def __init__(self, panel: Any, strings: Strings):
        self.bundle = panel.bundle
        self._state = strings.fill(panel.page_state())
        if "error" in self._state and strings.made % 2:
            self._state["error"] = {"message": strings.one(), "traceback": strings.one(), "field": None, "remedy": None}

    def page_state(self) -> dict[str, Any]:
        return self._state
