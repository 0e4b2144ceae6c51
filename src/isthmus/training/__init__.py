"""Training: the loop, its batches, and the door to both."""
