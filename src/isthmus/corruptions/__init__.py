"""Corruptions: what happens to a clean image, for a model to undo."""

from isthmus.corruptions.base import Chain, Corruption, Nothing, parts_of
from isthmus.corruptions.camera import Blur, CameraNoise, FilmGrain, Grayscale, Sharpen
from isthmus.corruptions.choice import Either, Shuffled
from isthmus.corruptions.compression import Jpeg, Webp
from isthmus.corruptions.hints import Hints
from isthmus.corruptions.noise import Binarize, GaussianNoise, PoissonNoise, SaltAndPepper
from isthmus.corruptions.prints import Fade, Scratches
from isthmus.corruptions.registry import CORRUPTIONS, parse, register_corruption
from isthmus.corruptions.resampling import Downscale, Resize
from isthmus.corruptions.spatial import Erase, Mask, Warp

__all__ = [
    "CORRUPTIONS",
    "Binarize",
    "Blur",
    "CameraNoise",
    "Chain",
    "Corruption",
    "Downscale",
    "Either",
    "Erase",
    "Fade",
    "FilmGrain",
    "GaussianNoise",
    "Grayscale",
    "Hints",
    "Jpeg",
    "Mask",
    "Nothing",
    "PoissonNoise",
    "Resize",
    "SaltAndPepper",
    "Scratches",
    "Sharpen",
    "Shuffled",
    "Warp",
    "Webp",
    "parse",
    "parts_of",
    "register_corruption",
]
