"""What is run, and what is said to it: models, prompts, pairs, metrics, interventions."""
