"""Pictures of the graph: drawings, explanations, players and plots."""
