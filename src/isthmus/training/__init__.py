"""Training: `train`, the loop, its batches, and callbacks."""
