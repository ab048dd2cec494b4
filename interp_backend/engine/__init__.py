"""The only package that runs a model."""

from . import dead_hooks as dead_hooks  # gives `LanguageModel.dead_hooks` the run that it needs
