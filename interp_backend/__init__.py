"""Hook-based interpretability methods on decoder-only language models. Knows torch, knows no notebook."""

from .attribution import Attribution
from .interventions import Add, FromOther, FromPrompt, Intervention, Mean, Resample, Scale, Zero
from .lens_result import LogitLens
from .loading import load_model
from .methods.activation_patching import activation_patching
from .methods.direct_logit_attribution import direct_logit_attribution
from .methods.logit_lens import logit_lens
from .methods.patch_together import patch_together
from .methods.read_pair import PairReading, read_pair
from .methods.train_tuned_lens import train_tuned_lens
from .metrics import METRICS
from .model import ACTIVATIONS, LanguageModel
from .pairs import PromptPairs
from .prompts import PromptPair, TokenizedPair, tokenize
from .results import Result
from .tuned_lens import TunedLens

__all__ = [
    "ACTIVATIONS",
    "METRICS",
    "Add",
    "Attribution",
    "FromOther",
    "FromPrompt",
    "Intervention",
    "LanguageModel",
    "LogitLens",
    "Mean",
    "PairReading",
    "PromptPair",
    "PromptPairs",
    "Resample",
    "Result",
    "Scale",
    "TokenizedPair",
    "TunedLens",
    "Zero",
    "activation_patching",
    "direct_logit_attribution",
    "load_model",
    "logit_lens",
    "patch_together",
    "read_pair",
    "tokenize",
    "train_tuned_lens",
]
