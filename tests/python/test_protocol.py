"""Requests from a view: what does not fit is refused with a sentence that names the field."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hookscope as hs
from hookscope.menus import offered
from interp_backend import activation_patching
from interp_backend.language.model import ACTIVATIONS
from interp_backend.results.codec import decode_array
from interp_backend.service import protocol
from interp_backend.service.protocol import BadRequest

SWEEP = {"activation": "resid_pre", "axes": ["layer", "position"], "metric": "kl", "direction": "noise"}

KNOWN = {
    **{name: method.request for name, method in offered().items()},
    **{
        name: vars(action)["request"]
        for widget in (hs.PatchHeatmap, hs.LogitLensGrid, hs.AttentionViewer, hs.PromptPairEditor)
        for name, action in widget.actions().items()
    },
}


def request(method="activation_patching", **params):
    return {"kind": "request", "id": "a", "method": method, "params": params}


def test_a_good_request_is_understood():
    parsed = protocol.parse(request(**SWEEP), KNOWN)
    assert (parsed.id, parsed.method, parsed.params.metric) == ("a", "activation_patching", "kl")
    assert list(parsed.params.axes) == ["layer", "position"]


def test_every_activation_can_be_asked_for():
    for activation in ACTIVATIONS:
        protocol.parse(request(**SWEEP | {"activation": activation}), KNOWN)


@pytest.mark.parametrize(
    "message, field",
    [
        (None, "kind"),
        ([], "kind"),
        ({"kind": "event"}, "kind"),
        ({"kind": "request"}, "id"),
        ({"kind": "request", "id": 7}, "id"),
        ({"kind": "request", "id": "x" * 101}, "id"),
        ({"kind": "request", "id": "a"}, "method"),
        (request("__class__"), "method"),
        (request(**SWEEP | {"activation": "os.system"}), "activation"),
        (request(**SWEEP | {"axes": ["layer"]}), "axes"),
        (request(**SWEEP | {"axes": ["layer", "token"]}), "axes.1"),
        (request(**SWEEP | {"direction": None}), "direction"),
        (request(**SWEEP | {"code": "1+1"}), "code"),
        (request("edit"), "pair"),
        (request("edit", pair={"clean": "a"}), "pair.corrupt"),
        (request("edit", pair={"clean": "a", "corrupt": 5}), "pair.corrupt"),
        ({"kind": "request", "id": "a", "method": "cancel", "params": None}, "params"),
        (request(**SWEEP | {"value": {"kind": "pickle"}}), "value"),
        (request(**SWEEP | {"value": {"kind": "scale", "factor": float("nan")}}), "value.scale.factor"),
        (request(**SWEEP | {"value": {"kind": "mean", "prompts": ["x"]}}), "value.mean.prompts"),
        (request(**SWEEP | {"window": 0}), "window"),
        (request(**SWEEP | {"at": "last"}), "at"),
        (request("patch_together", cells=[{"layer": 0}]), "cells"),
        (request("patch_together", cells=[{"layer": 0}, {"__class__": 0}]), "cells.1.__class__.[key]"),
        (request("open", cell={"layer": "0; import os"}), "cell.layer"),
    ],
)
def test_a_bad_request_names_its_field(message, field):
    with pytest.raises(BadRequest) as caught:
        protocol.parse(message, KNOWN)
    assert caught.value.field == field
    assert len(str(caught.value)) < 300


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.sampled_from([*KNOWN, "other"]), anything)
def test_nothing_but_a_request_or_a_refusal_comes_of_any_params(method, params):
    try:
        parsed = protocol.parse({"kind": "request", "id": "a", "method": method, "params": params}, KNOWN)
    except BadRequest as refusal:
        assert refusal.id == "a" and refusal.field
    else:
        assert isinstance(parsed.params, KNOWN[method])


@given(anything)
def test_nothing_but_a_refusal_comes_of_any_message(message):
    with pytest.raises(BadRequest):
        protocol.parse(message, KNOWN)


def test_a_partial_brings_its_cells_and_only_their_tokens(embedded, capitals):
    result = activation_patching(embedded, capitals, top_k=2)
    event = json.loads(json.dumps(protocol.partial("r", result, [5, 23]), allow_nan=False))
    assert (event["id"], event["event"]) == ("r", "partial")
    np.testing.assert_array_equal(decode_array(event["cells"]), [5, 23])
    np.testing.assert_array_equal(decode_array(event["values"]), result.values.ravel()[[5, 23]])
    np.testing.assert_array_equal(decode_array(event["normalized"]), result.normalized.ravel()[[5, 23]])
    ids = decode_array(event["top"]["ids"])
    assert ids.shape == (2, 2) and {str(i) for i in ids.ravel()} == set(event["tokens"])
