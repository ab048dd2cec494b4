"""Models and what is run on them: prompts, pairs, metrics, interventions, lenses."""
