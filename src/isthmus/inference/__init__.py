"""Running a network: inputs, tiles, device, and the novelty statistics."""
