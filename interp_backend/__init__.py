"""Hook-based interpretability methods on decoder-only language models. Knows torch, knows no notebook."""

from .methods.activation_patching import activation_patching
from .methods.read_pair import PairReading, read_pair
from .metrics import METRICS
from .model import ACTIVATIONS, LanguageModel, load_model
from .prompts import PromptPair, TokenizedPair, tokenize
from .results import Result

__all__ = [
    "ACTIVATIONS",
    "METRICS",
    "LanguageModel",
    "PairReading",
    "PromptPair",
    "Result",
    "TokenizedPair",
    "activation_patching",
    "load_model",
    "read_pair",
    "tokenize",
]
