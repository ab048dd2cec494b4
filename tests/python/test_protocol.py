"""Requests from a view: what does not fit is refused with a sentence that names the field."""

from __future__ import annotations

import json

import numpy as np
import pytest
from driven_widgets import Watched
from hypothesis import given
from hypothesis import strategies as st

import hookscope as hs
from hookscope.panel import Panel
from hookscope.subject import ResultPanel
from interp_backend import activation_patching
from interp_backend.language.model import ACTIVATIONS
from interp_backend.results.codec import decode_array
from interp_backend.service import protocol
from interp_backend.service.protocol import BadRequest

SWEEP = {"activation": "resid_pre", "axes": ["layer", "position"], "metric": "kl", "direction": "noise"}
KINDS = {
    "heatmap": hs.PatchHeatmap,
    "editor": hs.PromptPairEditor,
    "lens": hs.LogitLensGrid,
    "viewer": hs.AttentionViewer,
    "circuit": hs.CircuitGraph,
}


@pytest.fixture(scope="module")
def tables(embedded):
    """What each widget may be asked, and what each request may hold."""
    pair = hs.PromptPair(clean="The capital of Norway is", corrupt="The capital of Sweden is", clean_answer=" Oslo")
    widgets = {name: Watched(kind, embedded, pair) for name, kind in KINDS.items()}
    yield {name: widget._methods() for name, widget in widgets.items()}
    for widget in widgets.values():
        widget.close()


def request(method="activation_patching", **params):
    return {"kind": "request", "id": "a", "method": method, "params": params}


def test_a_good_request_is_understood(tables):
    parsed = protocol.parse(request(**SWEEP), tables["heatmap"])
    assert (parsed.id, parsed.method, parsed.params.metric) == ("a", "activation_patching", "kl")
    assert list(parsed.params.axes) == ["layer", "position"] and parsed.params.window == 1


def test_every_activation_can_be_asked_for(tables):
    for activation in ACTIVATIONS:
        protocol.parse(request(**SWEEP | {"activation": activation}), tables["heatmap"])


def test_each_widget_takes_its_own_requests_and_those_of_every_panel(tables):
    common = set(Panel.actions())
    assert common == {"cancel", "shown", "hidden"}
    of_results = set(ResultPanel.actions()) - common
    assert of_results == {"file", "picture", "transformerlens_code"}
    assert all(of_results <= set(table) for name, table in tables.items() if name != "editor")
    own = {name: set(table) - common - of_results for name, table in tables.items()}
    assert own == {
        "heatmap": {
            *("activation_patching", "attribution_patching", "patch_together"),
            *("open", "close_opened", "drop_kept", "keep", "restrict", "set_answer"),
        },
        "editor": {"edit"},
        "lens": {"logit_lens", "lens_window", "trajectory", "attribute", "sources", "show"},
        "viewer": {
            "attention_patterns",
            "heads",
            "head_scores",
            "patch_head",
            "attribute_head",
            "head_circuits",
            "show",
        },
        "circuit": {
            *("edge_attribution", "follow", "back_to", "path_mlps", "faithfulness_at", "run_again", "acdc"),
            *(
                "keep_nodes",
                "remove_nodes",
                "undo_edit",
                "group_nodes",
                "ungroup_nodes",
                "ask_of_nodes",
                "close_answer",
            ),
            *("keep_circuit", "read_circuit", "drop_circuit", "scrub", "load_hypothesis", "scrub_circuit"),
        },
    }
    with pytest.raises(BadRequest, match=r"There is no method 'edit'\. Known: cancel, shown, hidden"):
        protocol.parse(request("edit"), tables["viewer"])


NESTED: list = []
for _ in range(5000):
    NESTED = [NESTED]


@pytest.mark.parametrize(
    "widget, message, field",
    [
        ("heatmap", None, "kind"),
        ("heatmap", [], "kind"),
        ("heatmap", {"kind": "event"}, "kind"),
        ("heatmap", {"kind": "request"}, "id"),
        ("heatmap", {"kind": "request", "id": 7}, "id"),
        ("heatmap", {"kind": "request", "id": "x" * 101}, "id"),
        ("heatmap", {"kind": "request", "id": "a"}, "method"),
        ("heatmap", {"kind": "request", "id": "a", "method": NESTED}, "method"),
        ("heatmap", request("__class__"), "method"),
        ("heatmap", request(**SWEEP | {"activation": "os.system"}), "activation"),
        ("heatmap", request(**SWEEP | {"activation": "z\ud800"}), "activation"),
        ("heatmap", request(**SWEEP | {"axes": ["layer", 5]}), "axes.1"),
        ("heatmap", request(**SWEEP | {"direction": None}), "direction"),
        ("heatmap", request(**SWEEP | {"code": "1+1"}), "code"),
        ("editor", request("edit"), "pair"),
        ("editor", request("edit", pair={"clean": "a"}), "pair.corrupt"),
        ("editor", request("edit", pair={"clean": "a", "corrupt": 5}), "pair.corrupt"),
        ("editor", request("edit", pair={"clean": "half \ud800", "corrupt": "a"}), "pair.clean"),
        ("editor", request("edit", pair=NESTED), "pair"),
        ("editor", {"kind": "request", "id": "a", "method": "cancel", "params": None}, "params"),
        ("heatmap", request(**SWEEP | {"value": {"kind": "pickle"}}), "value"),
        ("heatmap", request(**SWEEP | {"value": {"kind": "scale", "factor": float("nan")}}), "value.scale.factor"),
        ("heatmap", request(**SWEEP | {"value": {"kind": "mean", "prompts": ["x"]}}), "value.mean.prompts"),
        ("heatmap", request(**SWEEP | {"window": 0}), "window"),
        ("heatmap", request(**SWEEP | {"at": "last"}), "at"),
        ("heatmap", request("patch_together", cells=[{"layer": 0}, {"__class__": 0}]), "cells.1.__class__"),
        ("heatmap", request("open", cell={"layer": "0; import os"}), "cell.layer"),
        ("heatmap", request("shown", view=None), "view"),
        ("lens", request("sources", layer=-1, head=0), "layer"),
        ("viewer", request("heads", result="x", side="clean", heads=[[0]]), "heads.0.1"),
    ],
)
def test_a_bad_request_names_its_field(tables, widget, message, field):
    with pytest.raises(BadRequest) as caught:
        protocol.parse(message, tables[widget])
    assert caught.value.field == field
    assert len(str(caught.value)) < 300
    str(caught.value).encode("utf-8")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


requests = st.sampled_from(["activation_patching", "patch_together", "open", "edit", "attribute", "heads", "x"])


@given(st.sampled_from(list(KINDS)), requests, anything)
def test_nothing_but_a_request_or_a_refusal_comes_of_any_params(tables, widget, method, params):
    try:
        parsed = protocol.parse({"kind": "request", "id": "a", "method": method, "params": params}, tables[widget])
    except BadRequest as refusal:
        assert refusal.id == "a" and refusal.field
        str(refusal).encode("utf-8")
    else:
        assert isinstance(parsed.params, tables[widget][method])


@given(anything)
def test_nothing_but_a_refusal_comes_of_any_message(tables, message):
    with pytest.raises(BadRequest):
        protocol.parse(message, tables["heatmap"])


def test_a_partial_brings_its_cells_and_only_their_tokens(embedded, capitals):
    result = activation_patching(embedded, capitals, top_k=2)
    event = json.loads(json.dumps(protocol.partial("r", result, [5, 23]), allow_nan=False))
    assert (event["id"], event["event"]) == ("r", "partial")
    np.testing.assert_array_equal(decode_array(event["cells"]), [5, 23])
    np.testing.assert_array_equal(decode_array(event["values"]), result.values.ravel()[[5, 23]])
    np.testing.assert_array_equal(decode_array(event["normalized"]), result.normalized.ravel()[[5, 23]])
    ids = decode_array(event["top"]["ids"])
    assert ids.shape == (2, 2) and {str(i) for i in ids.ravel()} == set(event["tokens"])
