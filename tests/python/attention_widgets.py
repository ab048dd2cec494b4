"""What the tests of attention widgets share: prompts, what a widget has sent, what its code gives."""

from __future__ import annotations

import json
import re

import numpy as np

import interp_backend as ib
from hookscope.page import read_page

PROMPT = "The capital of Norway is"
TWICE = "Oslo is in Norway. Oslo is in"
UNEQUAL = ib.PromptPair(clean="The big capital of Norway is", corrupt="The capital of Norway is")


def wire_of(widget):
    frame = widget.get_state("result")["result"]
    json.dumps(frame, allow_nan=False)
    return frame


def sent(widget, kind):
    return [event for event in widget.sent if event["event"] == kind]


def as_sent(result, side):
    """Values as they cross: infinity where masked."""
    masked = np.broadcast_to(result.masked_of(side)[:, None] == 1, result.values_of(side).shape)
    return np.where(masked, np.inf, result.values_of(side))


def scores_by_name(widget):
    return {score["name"]: score for score in widget.scores}


def run_code(code, **names):
    exec(code, names)
    return names["result"]


def state_in(page):
    """What the views of a page begin with."""
    return [part.state for part in read_page(page)]


def find(value, key):
    """All values of a key, however deep."""
    if isinstance(value, dict):
        yield from (part for name, part in value.items() if name == key)
        for part in value.values():
            yield from find(part, key)
    elif isinstance(value, list):
        for part in value:
            yield from find(part, key)


def circuitsvis_of(rendered):
    """What is handed to CircuitsVis's own script."""
    from circuitsvis.utils.render import RenderedHTML

    assert isinstance(rendered, RenderedHTML)
    text = str(rendered)
    assert "unpkg" not in text.split("CircuitsVis.render", maxsplit=1)[0][:2000]
    [handed] = re.findall(r"AttentionHeads,\s*(\{.*?\})\s*\)\s*</script>", text, re.S)
    return json.loads(handed)
