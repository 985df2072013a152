"""Template tags; `show` is built into every template."""
