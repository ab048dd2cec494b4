"""The only room that calls a model."""
