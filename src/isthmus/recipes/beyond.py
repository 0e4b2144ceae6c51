"""What lies beyond the chapter, on the same digits: a better denoiser, and two things that the chapter only points at."""

from dataclasses import dataclass

from isthmus.recipes.recipe import Recipe


@dataclass(frozen=True)
class BeyondModel:
    """A model beyond the chapter."""

    title: str
    recipe: Recipe
    seen: str
    """What it is given, for the figure."""


BEYOND = {
    "photographic": BeyondModel(
        "Denoising with detail around the code",
        Recipe(model="photographic", task="denoise", noise=0.5, loss="bce", epochs=4),
        "noisy",
    ),
    "enlarging": BeyondModel(
        "Enlarging, from 14 x 14 to 28 x 28 pixels",
        Recipe(model="photographic", task="upscale", factor=2, loss="bce", epochs=2),
        "stretched",
    ),
    "completing": BeyondModel(
        "Completing",
        Recipe(model="photographic", task="inpaint", loss="bce", epochs=2),
        "torn",
    ),
}
