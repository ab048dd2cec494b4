"""Widgets driven as a view would drive them: messages in, traits and events out."""

from __future__ import annotations

import json

LONG = " ".join(["The capital of Norway is Oslo."] * 14)


def Watched(cls, *args, **options):
    """A widget whose messages to its view are kept in `.sent`."""
    sent = []

    class Watching(cls):
        def send(self, content, buffers=None):
            json.dumps(content, allow_nan=False)  # what is no JSON would fail here, as it would on the wire
            sent.append(content)

    widget = Watching(*args, **options)
    widget.sent = sent
    assert widget.wait(60)
    return widget


def ask(widget, method, id="view:1", **params):
    widget.take_message({"kind": "request", "id": id, "method": method, "params": params})
    assert widget.wait(60)


def events(widget, id):
    return [event["event"] for event in widget.sent if event["id"] == id]
