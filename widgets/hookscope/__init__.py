"""Hookscope: point-and-click interpretability of language models, in the notebook."""

from interp_backend import EffectMap, LanguageModel, PromptPair, PromptPairs, load_model

from .attention_viewer import AttentionViewer
from .logit_lens_grid import LogitLensGrid
from .patch_heatmap import PatchHeatmap
from .prompt_pair_editor import PromptPairEditor

__version__ = "0.1.0"

__all__ = [
    "AttentionViewer",
    "EffectMap",
    "LanguageModel",
    "LogitLensGrid",
    "PatchHeatmap",
    "PromptPair",
    "PromptPairEditor",
    "PromptPairs",
    "load_model",
]
