import os

os.environ["HF_HUB_OFFLINE"] = "1"  # nothing here may need the network

import pytest
import torch
from attention_widgets import TWICE
from driven_widgets import Watched

import hookscope as hs
import interp_backend as ib
from hookscope import attention_board

torch.set_num_threads(1)  # for models this small, threads only wait for each other


@pytest.fixture(scope="session")
def embedded() -> ib.LanguageModel:
    return ib.load_model()


@pytest.fixture
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
    monkeypatch.setattr(attention_board, "MOST_SENT", 100)
    monkeypatch.setattr(attention_board, "MOST_SAVED", 100)
