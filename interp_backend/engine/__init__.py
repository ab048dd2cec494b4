"""The only package that runs a model."""

from . import axes as axes  # these give `LanguageModel.absent` and `dead_hooks` the runs that they need
from . import dead_hooks as dead_hooks
