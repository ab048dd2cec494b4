"""Hook-based interpretability methods on decoder-only language models. Knows torch, knows no notebook."""

from .language.interventions import Add, FromOther, FromPrompt, Intervention, Mean, Resample, Scale, Zero
from .language.loading import load_model
from .language.metrics import METRICS
from .language.model import ACTIVATIONS, LanguageModel
from .language.pairs import PromptPairs
from .language.prompts import PromptPair, TokenizedPair, tokenize
from .language.tuned_lens import TunedLens
from .methods.activation_patching import activation_patching
from .methods.attention_patterns import attention_patterns
from .methods.direct_logit_attribution import direct_logit_attribution
from .methods.head_circuits import head_circuits
from .methods.head_scores import head_scores, induction_heads
from .methods.logit_lens import logit_lens
from .methods.patch_together import patch_together
from .methods.read_pair import PairReading, read_pair
from .methods.repeated_tokens import repeated_token_loss
from .methods.train_tuned_lens import train_tuned_lens
from .place import Place
from .results.attention import AttentionPatterns
from .results.attribution import Attribution
from .results.effect_map import EffectMap
from .results.head_table import HeadPairs, HeadScores
from .results.lens import LogitLens
from .results.read import read_result

__all__ = [
    "ACTIVATIONS",
    "METRICS",
    "Add",
    "AttentionPatterns",
    "Attribution",
    "EffectMap",
    "FromOther",
    "FromPrompt",
    "HeadPairs",
    "HeadScores",
    "Intervention",
    "LanguageModel",
    "LogitLens",
    "Mean",
    "PairReading",
    "Place",
    "PromptPair",
    "PromptPairs",
    "Resample",
    "Scale",
    "TokenizedPair",
    "TunedLens",
    "Zero",
    "activation_patching",
    "attention_patterns",
    "direct_logit_attribution",
    "head_circuits",
    "head_scores",
    "induction_heads",
    "load_model",
    "logit_lens",
    "patch_together",
    "read_pair",
    "read_result",
    "repeated_token_loss",
    "tokenize",
    "train_tuned_lens",
]
