"""Models, and the objects that are used with them: prompts, pairs, metrics, interventions, lenses."""
