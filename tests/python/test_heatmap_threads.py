"""A map that is shown while another thread shows another one."""

from __future__ import annotations

import threading

import hookscope as hs


class Raced(hs.PatchHeatmap):
    """Another thread chooses another metric in the middle of showing a map."""

    race = False

    @property
    def _draft(self):
        return False

    @_draft.setter
    def _draft(self, value):
        if self.race:
            self.race = False
            other = threading.Thread(target=setattr, args=(self, "metric", "prob"))
            other.start()
            other.join()


def test_a_metric_that_is_chosen_meanwhile_stays_and_is_shown(embedded, capitals):
    heatmap = Raced(embedded, capitals)
    assert heatmap.wait(60) and heatmap.metric == "logit_diff"
    before = heatmap.result
    heatmap.race = True
    heatmap._show()
    assert heatmap.race is False
    assert heatmap.metric == "prob" and heatmap.result.params["metric"] == "prob"
    assert heatmap.result is not before and heatmap.wait(60) and heatmap.status == "done"
    heatmap.close()
