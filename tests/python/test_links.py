"""Linked panels share their pinned place, from Python and from a view."""

from __future__ import annotations

import gc
import weakref

import pytest
from driven_widgets import Watched

import hookscope as hs

PLACE = {"activation": "z", "layer": 2, "head": 1, "position": 4, "side": "clean"}


@pytest.fixture
def panels(embedded, capitals):
    made = [
        Watched(hs.PatchHeatmap, embedded, capitals, activation="z", axes=["layer", "head"]),
        Watched(hs.AttentionViewer, embedded, capitals),
        Watched(hs.CircuitGraph, embedded, capitals),
        Watched(hs.LogitLensGrid, embedded, capitals),
    ]
    yield made
    for panel in made:
        panel.close()


def test_a_place_pinned_in_one_is_pinned_in_all_that_have_it(panels):
    hs.link(*panels)
    panels[1].selection = PLACE
    assert [panel.selection for panel in panels[:3]] == [PLACE] * 3
    panels[0].selection = None
    assert [panel.selection for panel in panels] == [None] * 4


def test_a_panel_without_the_place_pins_none_and_the_others_keep_it(panels, embedded, capitals):
    short = Watched(hs.PatchHeatmap, embedded, capitals, layers=[0, 1])
    hs.link(panels[3], short)
    panels[3].selection = {"layer": 1, "position": 3}
    assert short.selection == {"layer": 1, "position": 3}
    panels[3].selection = {"layer": 3, "position": 3}
    assert panels[3].selection == {"layer": 3, "position": 3} and short.selection is None
    short.close()


def test_what_a_view_sets_is_left_to_the_views(panels):
    """Its page has set the others already; Python would hand older places back to a quick user."""
    hs.link(*panels)
    panels[0].set_state({"selection": PLACE})
    assert panels[0].selection == PLACE and panels[1].selection is None


def test_the_place_that_is_pinned_already_is_taken_by_all(panels):
    panels[2].selection = PLACE
    hs.link(*panels[:3])
    assert [panel.selection for panel in panels[:3]] == [PLACE] * 3


def test_linking_once_more_makes_one_group(panels):
    hs.link(*panels[:2])
    hs.link(*panels[1:])
    assert len({panel.group for panel in panels}) == 1


def test_unlinked_panels_are_on_their_own(panels):
    unlink = hs.link(*panels[:2])
    unlink()
    panels[0].selection = PLACE
    assert panels[1].selection is None and panels[0].group is None


@pytest.mark.parametrize("given", [(), ("heatmap",), (1, 2)])
def test_other_things_can_not_be_linked(given):
    with pytest.raises(ValueError, match="link takes two or more"):
        hs.link(*given)


def test_a_link_keeps_no_panel_alive(embedded, capitals):
    first, second = (hs.PatchHeatmap(embedded, capitals) for _ in range(2))
    assert first.wait(60) and second.wait(60)
    hs.link(first, second)
    second.close()
    gone = weakref.ref(second)
    del second
    gc.collect()
    assert gone() is None
    first.selection = PLACE | {"position": 5}
    first.close()
