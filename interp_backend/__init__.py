"""Hook-based interpretability methods on decoder-only language models. Knows torch, knows no notebook."""

from typing import TYPE_CHECKING

from .lazy import lazy_exports

if TYPE_CHECKING:
    from .common.method import METHODS as METHODS
    from .language.feature_changes import FeatureChange as FeatureChange
    from .language.interventions import Add as Add
    from .language.interventions import FromOther as FromOther
    from .language.interventions import FromPrompt as FromPrompt
    from .language.interventions import Intervention as Intervention
    from .language.interventions import Mean as Mean
    from .language.interventions import Resample as Resample
    from .language.interventions import Scale as Scale
    from .language.interventions import Zero as Zero
    from .language.loading import load_model as load_model
    from .language.metrics import METRICS as METRICS
    from .language.model import ACTIVATIONS as ACTIVATIONS
    from .language.model import LanguageModel as LanguageModel
    from .language.pairs import PromptPairs as PromptPairs
    from .language.prompts import PromptPair as PromptPair
    from .language.prompts import TokenizedPair as TokenizedPair
    from .language.prompts import tokenize as tokenize
    from .language.transcoder_files import load_transcoders as load_transcoders
    from .language.transcoders import Active as Active
    from .language.transcoders import TranscoderFit as TranscoderFit
    from .language.transcoders import Transcoders as Transcoders
    from .language.tuned_lens import TunedLens as TunedLens
    from .methods.acdc import acdc as acdc
    from .methods.activation_patching import activation_patching as activation_patching
    from .methods.attention_patterns import attention_patterns as attention_patterns
    from .methods.attribution_graph import attribution_graph as attribution_graph
    from .methods.attribution_patching import attribution_patching as attribution_patching
    from .methods.causal_scrubbing import causal_scrubbing as causal_scrubbing
    from .methods.circuit_robustness import circuit_robustness as circuit_robustness
    from .methods.describe_feature import describe_feature as describe_feature
    from .methods.direct_logit_attribution import direct_logit_attribution as direct_logit_attribution
    from .methods.edge_attribution import edge_attribution as edge_attribution
    from .methods.edge_heads import EdgeHeads as EdgeHeads
    from .methods.edge_heads import ScoreFeatures as ScoreFeatures
    from .methods.edge_heads import edge_heads as edge_heads
    from .methods.edge_heads import score_features as score_features
    from .methods.faithfulness import faithfulness as faithfulness
    from .methods.feature_interventions import feature_interventions as feature_interventions
    from .methods.head_circuits import head_circuits as head_circuits
    from .methods.head_scores import head_scores as head_scores
    from .methods.head_scores import induction_heads as induction_heads
    from .methods.logit_lens import logit_lens as logit_lens
    from .methods.patch_together import patch_together as patch_together
    from .methods.path_patching import path_patching as path_patching
    from .methods.read_pair import PairReading as PairReading
    from .methods.read_pair import read_pair as read_pair
    from .methods.repeated_tokens import repeated_token_loss as repeated_token_loss
    from .methods.train_transcoders import train_transcoders as train_transcoders
    from .methods.train_tuned_lens import train_tuned_lens as train_tuned_lens
    from .methods.transcoder_fit import transcoder_fit as transcoder_fit
    from .place import Place as Place
    from .results.attention import AttentionPatterns as AttentionPatterns
    from .results.attribution import Attribution as Attribution
    from .results.attribution_graph import AttributionGraph as AttributionGraph
    from .results.attribution_graph import GraphNode as GraphNode
    from .results.effect_map import EffectMap as EffectMap
    from .results.faithfulness import Faithfulness as Faithfulness
    from .results.feature_description import FeatureDescription as FeatureDescription
    from .results.feature_effects import FeatureEffects as FeatureEffects
    from .results.graph import Graph as Graph
    from .results.head_table import HeadPairs as HeadPairs
    from .results.head_table import HeadScores as HeadScores
    from .results.hypothesis import Datum as Datum
    from .results.hypothesis import Hypothesis as Hypothesis
    from .results.lens import LogitLens as LogitLens
    from .results.path_lengths import PathLengths as PathLengths
    from .results.read import read_result as read_result
    from .results.robustness import Robustness as Robustness
    from .results.roc import Roc as Roc
    from .results.scrubbing import Scrubbing as Scrubbing
    from .scripts.transformerlens import transformerlens_code as transformerlens_code
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
