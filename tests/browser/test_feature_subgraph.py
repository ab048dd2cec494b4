"""The picture of an attribution graph and its subgraph: in a saved page with the network cut, and in JupyterLab."""

from __future__ import annotations

import xml.etree.ElementTree as xml
from pathlib import Path

import pytest
from checks import axe_violations, expect_no_sideways_scrolling, offline_page, screenshot
from contrast import hard_to_read
from lab import Lab
from playwright.sync_api import Browser, Locator, expect
from views import enter, expect_status, part

import hookscope as hs


def node(view: Locator, name: str) -> Locator:
    return view.locator(f'[data-node="{name}"]')


def strongest(graph) -> list[str]:
    features = [one for one in graph.nodes if one.kind == "feature"]
    return [one.id for one in sorted(features, key=lambda one: -one.influence)]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, list[str]]]:
    view = hs.FeatureGraph(hs.load_model(), "The capital of Norway is")
    assert view.wait(60) and view.result is not None
    first = strongest(view.result)[:12]
    view.perform("pin_nodes", {"nodes": first})
    view.perform("group_features", {"nodes": first[1:3], "name": "Norway <b>"})
    folder, pages = tmp_path_factory.mktemp("features"), {}
    for shows in ("graph", "subgraph"):
        view.shows = shows
        pages[shows] = view.save(folder / f"{shows}.html"), first
    view.close()
    return pages


@pytest.mark.parametrize("shows", ["graph", "subgraph"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_picture_works_offline_and_fits_a_narrow_page(browser: Browser, saved, shows: str, scheme: str):
    path, (first, *_) = saved[shows]
    with offline_page(browser, path) as page:
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        view = page.locator(".hs-root")
        expect(part(view, "scores")).to_contain_text("12 nodes, replacement 0.")
        assert axe_violations(page.locator("html")) == []
        assert hard_to_read(view) == []
        node(view, first).hover()
        expect(part(view, "pointed")).to_contain_text("of all influence · reads")
        node(view, first).click()
        expect(node(view, first)).to_have_attribute("aria-pressed", "true")
        node(view, first).press("Escape")
        expect(node(view, first)).to_have_attribute("aria-pressed", "false")
        screenshot(page, f"features-{shows}-{scheme}")
        expect_no_sideways_scrolling(page)
        screenshot(page, f"features-{shows}-narrow-{scheme}")


@pytest.mark.parametrize("shows", ["graph", "subgraph"])
def test_the_picture_is_saved_without_a_kernel(browser: Browser, saved, shows: str, tmp_path: Path):
    path, _ = saved[shows]
    with offline_page(browser, path) as page:
        view = page.locator(".hs-root")
        for kind in ("svg", "png"):
            with page.expect_download() as download:
                part(view, "save").select_option(kind)
            download.value.save_as(tmp_path / f"graph.{kind}")
            assert download.value.suggested_filename == f"attribution_graph.{kind}"
    words = [text.text for text in xml.parse(tmp_path / "graph.svg").iter("{http://www.w3.org/2000/svg}text")]
    assert "prompt “The capital of Norway is”" in words
    assert ("Norway <b> (2)" in words) == (shows == "subgraph")
    assert (tmp_path / "graph.png").read_bytes().startswith(b"\x89PNG")


def test_a_subgraph_is_made_by_mouse_and_keyboard(lab: Lab):
    view = lab.show("features = hs.FeatureGraph(model, 'The capital of Norway is')\nfeatures")
    expect_status(view, "done")
    lab.python("kept = sorted((n for n in features.result.nodes if n.kind == 'feature'), key=lambda n: -n.influence)")
    first, second, third = lab.value("*[n.id for n in kept[:3]]").split()
    node(view, first).click(modifiers=["Shift"])
    expect(part(view, "scores")).to_contain_text("1 node, replacement")
    node(view, second).focus()
    node(view, second).press("Shift+Enter")
    expect(part(view, "scores")).to_contain_text("2 nodes")
    node(view, third).click(modifiers=["Shift"])
    lab.expect("features.subgraph", f"['{first}', '{second}', '{third}']")
    replacement, completeness = lab.value(
        "*['%.2f' % one for one in features.result.scores(features.subgraph)]"
    ).split()
    expect(part(view, "scores")).to_contain_text(f"replacement {replacement}, completeness {completeness}")
    part(view, "shows").click()
    expect(part(view, "graph").locator(".hs-fg-box")).not_to_have_count(0)
    for one in (first, second):
        node(view, one).click(modifiers=["Shift"])
    enter(view, "group-name", "say a capital")
    expect(part(view, "supernode")).to_have_text("say a capital (2)")
    lab.expect("sorted(features.supernodes['say a capital'])", f"{sorted([first, second])}")
    assert axe_violations(view) == []
    assert hard_to_read(view) == []
    part(view, "supernode").click()
    part(view, "unpin").click()
    lab.expect("features.subgraph, features.supernodes", f"['{third}'] {{}}")
    part(view, "clear-subgraph").click()
    expect(part(view, "add-strongest")).to_be_visible()
    part(view, "add-strongest").click()
    lab.expect("set(features.subgraph) == {n.id for n in kept[:10]}", True)
