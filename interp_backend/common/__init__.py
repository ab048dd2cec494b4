"""What several methods share: the decorator, sweeps, cells, data sets, printed code."""
