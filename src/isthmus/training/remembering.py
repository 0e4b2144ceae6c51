"""What a trained model keeps of its images: statistics that new ones are compared with, and how much held-out ones gained."""

from __future__ import annotations

import math

import numpy as np

from isthmus.datasets import Dataset, Images, Patches
from isthmus.imaging.arrays import Array, to_unit
from isthmus.inference.density import CodeDensity
from isthmus.inference.int8 import measured
from isthmus.inference.novelty_statistics import FIT_CODES, MAX_NUMBERS, TrainingStatistics
from isthmus.model import Model
from isthmus.recipes.degradation import Sample

FIT_VALUES = 1 << 24
"""Most pixel values of training images that the statistics are fitted to, which bounds memory; 20,000 digits have fewer."""

GAIN_IMAGES = 64
"""Held-out images on which the gain of a model that restores is measured, at most."""


def compare_later(model: Model, dataset: Dataset | Images | Patches, usual: Array) -> None:
    """Fit the model's statistics to training images and held-out ones, as the model will get them: not prepared.

    Args:
        model: The model; its `statistics` are set.
        dataset: The training images.
        usual: Held-out ones, `(n, C, H, W)`.
    """
    recipe, shape = model.recipe, model.code_shape()
    small = math.prod(shape) <= MAX_NUMBERS and not model.architecture.working_size  # of a whole picture, codes tell little
    count = min(FIT_CODES, max(2, FIT_VALUES // math.prod(model.image_shape))) if small else 1
    images = dataset.some(count, recipe.seed).images
    known, others = (model.degradation.at_inference(to_unit(some), recipe.seed) for some in (images, usual))
    density = None
    if len(known) > 1 and small:
        codes = model.encode(known)
        if codes.shape[1:] == shape:  # upscaled images may be a little larger than the training images
            density = CodeDensity.fit(codes.reshape(len(codes), -1), recipe.seed)
    model.statistics = TrainingStatistics(errors=np.zeros(1, np.float32), density=density)
    model.statistics = TrainingStatistics.remember(model.novelty_scores(others), density)


def gain(model: Model, held_out: Sample) -> dict[str, float]:
    """Return the mean PSNR of a few held-out images in dB, before and after; note what is needed to compute in 8 bits."""
    few = held_out.take(slice(GAIN_IMAGES))
    with measured(model.network):
        after = model.engine.restore_inputs(few.model_input)
    return {
        name: round(float(np.mean([psnr(image, clean) for image, clean in zip(images, few.clean, strict=True)])), 3)
        for name, images in (("before_db", few.degraded_as_image), ("after_db", after))
    }


def psnr(image: Array, clean: Array) -> float:
    """Return the PSNR of an image in dB; at most 100."""
    return float(-10 * np.log10(max(1e-10, float(np.square(image.astype(np.float64) - clean).mean()))))
