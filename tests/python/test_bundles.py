"""What the widgets and the front end have to agree on: the bundles, the version of the traits and their names."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path

import pytest

import hookscope as hs
from hookscope import bundles
from hookscope.circuitsvis.token_values import TokenValues
from interp_backend.results.envelope import SCHEMA_VERSION

ROOT = Path(__file__).parents[2]
VIEWS = {
    "prompt_pair_editor": hs.PromptPairEditor,
    "patch_heatmap": hs.PatchHeatmap,
    "logit_lens_grid": hs.LogitLensGrid,
    "attention_viewer": hs.AttentionViewer,
    "circuit_graph": hs.CircuitGraph,
    "feature_graph": hs.FeatureGraph,
    "circuitsvis": TokenValues,
}


def test_every_view_has_a_widget():
    assert set(VIEWS) == set(json.loads((ROOT / "js/bundles.json").read_text("utf-8"))["views"])


@pytest.mark.parametrize("name", VIEWS)
def test_a_widget_has_the_text_of_its_bundle_in_half_the_space(name):
    text = VIEWS[name]._esm
    packed = re.search(r'^const packed = "(.*)";$', text, re.M)
    assert packed and gzip.decompress(base64.b64decode(packed[1])).decode("utf-8") == bundles.script(name)
    assert len(text) < 0.55 * len(bundles.script(name))


@pytest.mark.parametrize("name", VIEWS)
def test_a_widget_syncs_what_its_view_needs(name):
    panel_text = (ROOT / "js/panels" / name / "panel.ts").read_text("utf-8")
    needs = re.search(r"needs: \[(.*?)\]", panel_text, re.S)
    assert needs and set(re.findall(r'"(\w+)"', needs[1])) <= set(VIEWS[name].class_traits(sync=True))


def test_the_version_of_the_traits_is_the_same_on_both_sides():
    read = re.search(r"^export const SCHEMA_VERSION = (\d+);$", (ROOT / "js/wire/requests.ts").read_text("utf-8"), re.M)
    assert read and int(read[1]) == SCHEMA_VERSION == TokenValues.class_traits()["schema"].default_value


def test_a_developer_gets_the_file_itself_which_anywidget_watches(monkeypatch):
    monkeypatch.setenv("ANYWIDGET_HMR", "1")
    assert bundles.bundle("patch_heatmap") == bundles.STATIC / "patch_heatmap.js"


@pytest.mark.parametrize("load", [bundles.bundle, bundles.script])
def test_a_bundle_that_was_not_built_says_how_to_build_it(monkeypatch, tmp_path, load):
    monkeypatch.setattr(bundles, "STATIC", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"patch_heatmap\.js has not been built: run `npm ci && npm"):
        load("patch_heatmap")
