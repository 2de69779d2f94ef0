"""Training of the learned magnifier from generated and public-domain pictures."""
