"""Hookscope: point-and-click interpretability of language models, in the notebook."""

from typing import TYPE_CHECKING

from interp_backend.lazy import lazy_exports

from .doctor import doctor as doctor

if TYPE_CHECKING:
    from interp_backend import EffectMap as EffectMap
    from interp_backend import LanguageModel as LanguageModel
    from interp_backend import PromptPair as PromptPair
    from interp_backend import PromptPairs as PromptPairs
    from interp_backend import load_model as load_model

    from .attention_viewer import AttentionViewer as AttentionViewer
    from .circuit_graph import CircuitGraph as CircuitGraph
    from .feature_graph import FeatureGraph as FeatureGraph
    from .links import link as link
    from .logit_lens_grid import LogitLensGrid as LogitLensGrid
    from .patch_heatmap import PatchHeatmap as PatchHeatmap
    from .prompt_pair_editor import PromptPairEditor as PromptPairEditor
    from .replays import replay as replay
    from .report import Report as Report
    from .report import load_report as load_report
    from .workbench import Workbench as Workbench
    from .workbench import open as open
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)

__version__ = "0.2.0"
