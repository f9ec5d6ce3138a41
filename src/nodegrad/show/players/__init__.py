"""Players: pages that play a graph or a training step by step."""
