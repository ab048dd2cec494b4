"""Calls as scripts that use TransformerLens alone."""
