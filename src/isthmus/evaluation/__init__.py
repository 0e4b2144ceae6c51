"""Measuring a model: scorecards, baselines, probes, novelty, rates."""
