"""isthmus: autoencoders for your own images.

The public names. They load on first use, so that importing isthmus costs nothing.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isthmus.errors import DataError as DataError
    from isthmus.errors import IsthmusError as IsthmusError
    from isthmus.errors import ModelFileError as ModelFileError
    from isthmus.errors import UsageError as UsageError
    from isthmus.estimator import Autoencoder as Autoencoder
    from isthmus.estimator import Denoiser as Denoiser
    from isthmus.evaluation.scorecard import evaluate as evaluate
    from isthmus.model import Model as Model
    from isthmus.model import load as load
    from isthmus.recipes import Recipe as Recipe
    from isthmus.training.train import train as train

__version__ = "0.1.0"

_HOMES = {
    "train": "isthmus.training.train",
    "load": "isthmus.model",
    "Model": "isthmus.model",
    "Recipe": "isthmus.recipes",
    "evaluate": "isthmus.evaluation.scorecard",
    "Autoencoder": "isthmus.estimator",
    "Denoiser": "isthmus.estimator",
    "IsthmusError": "isthmus.errors",
    "UsageError": "isthmus.errors",
    "DataError": "isthmus.errors",
    "ModelFileError": "isthmus.errors",
}

__all__ = [
    "Autoencoder",
    "DataError",
    "Denoiser",
    "IsthmusError",
    "Model",
    "ModelFileError",
    "Recipe",
    "UsageError",
    "evaluate",
    "load",
    "train",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'isthmus' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
