"""Whether live hosts could carry a plan's migrations out: asked of them, and nothing is changed."""
