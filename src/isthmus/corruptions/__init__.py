"""What is done to a clean image, so that a model can learn to undo it."""

from isthmus.corruptions.base import Chain, Corruption, Nothing, parts_of
from isthmus.corruptions.camera import Blur, Downscale, Grayscale, Jpeg
from isthmus.corruptions.noise import Binarize, GaussianNoise, PoissonNoise, SaltAndPepper
from isthmus.corruptions.paired import Given, Neighbours
from isthmus.corruptions.registry import CORRUPTIONS, parse
from isthmus.corruptions.spatial import Erase, Mask, Warp

__all__ = [
    "CORRUPTIONS",
    "Binarize",
    "Blur",
    "Chain",
    "Corruption",
    "Downscale",
    "Erase",
    "GaussianNoise",
    "Given",
    "Grayscale",
    "Jpeg",
    "Mask",
    "Neighbours",
    "Nothing",
    "PoissonNoise",
    "SaltAndPepper",
    "Warp",
    "parse",
    "parts_of",
]
