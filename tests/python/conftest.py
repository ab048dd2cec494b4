import os

os.environ["HF_HUB_OFFLINE"] = "1"  # nothing here may need the network

import pytest
import torch

import interp_backend as ib

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
