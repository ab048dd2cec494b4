"""Requests, events and the workers that answer them."""
