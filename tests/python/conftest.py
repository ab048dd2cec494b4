import os

os.environ["HF_HUB_OFFLINE"] = "1"  # nothing here may need the network

import pytest
import torch
from attention_widgets import TWICE
from driven_widgets import Watched
from hypothesis import HealthCheck, settings

import hookscope as hs
import interp_backend as ib
from executor_cases import PAIR
from hookscope import attention_frame
from plain_loop import HOOKS
from tiny_models import bridge

# How long an example takes says how busy the machine is.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
torch.set_num_threads(1)  # for models this small, threads only wait for each other


@pytest.fixture(scope="session")
def embedded() -> ib.LanguageModel:
    return ib.load_model()


@pytest.fixture(scope="session")
def capitals() -> ib.PromptPair:
    return ib.PromptPair(
        clean="The capital of Norway is",
        corrupt="The capital of Sweden is",
        clean_answer=" Oslo",
        corrupt_answer=" Stockholm",
    )


@pytest.fixture
def viewer(embedded, capitals):
    """An attention viewer of the pair."""
    widget = Watched(hs.AttentionViewer, embedded, capitals)
    yield widget
    widget.close()


@pytest.fixture
def one(embedded):
    """An attention viewer of one prompt, in which words come twice."""
    widget = Watched(hs.AttentionViewer, embedded, TWICE)
    yield widget
    widget.close()


@pytest.fixture
def few(monkeypatch):
    """Attention of more than a few numbers is large."""
    monkeypatch.setattr(attention_frame, "MOST_SENT", 100)
    monkeypatch.setattr(attention_frame, "MOST_SAVED", 100)


@pytest.fixture(scope="module", params=["gpt2", "gemma2"])
def warm(request):
    """A model that has been found to run packed for every activation."""
    model = ib.load_model(bridge(request.param))
    for activation in HOOKS:
        assert ib.activation_patching(model, PAIR, activation=activation).provenance["executor"] == "packed"
    return model


@pytest.fixture
def fallback(monkeypatch):
    """Calling it makes later sweeps run as hooks through the whole model."""
    return lambda: monkeypatch.setattr("interp_backend.common.sweep.why_not_packed", lambda *_: "for a test")
