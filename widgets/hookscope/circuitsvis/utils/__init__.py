"""Where CircuitsVis keeps `RenderedHTML`."""
