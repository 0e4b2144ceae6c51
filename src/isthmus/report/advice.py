"""What to look at in a report, and what to try next: rules of thumb on the training's course and the scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

OVERFIT = 1.1
"""The held-out loss is so many times the training loss, where a model remembers its training set."""

STILL_FALLING = 0.01
"""Share by which the held-out loss fell over the last tenth of the epochs, where longer training helps."""

WHERE = {
    "Architecture": "the layers from input to output, and where the code is.",
    "Inputs and outputs": "what gets lost. Thin strokes and rare shapes go first.",
    "Compared with baselines": "a score means little alone; PCA has as many numbers as the code.",
    "Where it fails": "is there a kind of image among the worst? Train on more of that kind.",
    "Training curve": "the dashed line is what counts. Where it is flat, longer training gains nothing.",
    "How they learned": "the dashed line is what counts. Where it is flat, longer training gains nothing.",
    "Latent space": "point at the map. Groups of one color are kinds that the code tells apart.",
    "Generated images and walks": "steps that show no image of your kind are gaps between the codes.",
    "Anomalies": "are the strangest wrong, or only rare?",
}
"""What to look at in a section, by its heading."""


def look_at(headings: Sequence[str]) -> list[str]:
    """Return what to look at in sections of these headings."""
    return [f"{heading}: {WHERE[heading]}" for heading in headings if heading in WHERE]


def try_next(history: Sequence[Mapping[str, Any]], scores: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what to try next.

    Args:
        history: The training's records, one for each epoch.
        scores: A scorecard's scores as in its JSON, the model's first.

    >>> course = [{"train_loss": 0.2, "held_out_loss": 0.2}, {"train_loss": 0.1, "held_out_loss": 0.2}]
    >>> try_next(course, [{"method": "isthmus", "psnr_db": 20.0}])
    ['The held-out loss is 2.00 times the training loss: the model overfits. Train on more images, or take fewer `hidden` units.']
    """
    found = []
    if len(history) > 1:
        last, before = history[-1], history[-1 - max(1, len(history) // 10)]
        ratio = last["held_out_loss"] / max(last["train_loss"], 1e-12)
        fell = 1 - last["held_out_loss"] / max(before["held_out_loss"], 1e-12)
        if ratio > OVERFIT:
            found.append(
                f"The held-out loss is {ratio:.2f} times the training loss: the model overfits. "
                "Train on more images, or take fewer `hidden` units."
            )
        elif fell > STILL_FALLING:
            found.append(f"The held-out loss still fell by {fell:.0%} over the last epochs: train for longer, with more `epochs`.")
    ours, *others = [score for score in scores if score.get("psnr_db") is not None]
    better = [score for score in others if score["psnr_db"] > ours["psnr_db"]]
    if better:
        best = max(better, key=lambda score: float(score["psnr_db"]))
        ahead = best["psnr_db"] - ours["psnr_db"]
        found.append(f"{best['method']} is {ahead:.2f} dB better: train for longer, or with another `hidden` or `code`.")
    return found
