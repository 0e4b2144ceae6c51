"""A network at work: inputs, tiles, device, and what is known of the training data."""
