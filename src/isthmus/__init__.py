"""Autoencoders for your own images: train them, restore pictures with them, use their latent codes.

Everything here loads on first use, so importing isthmus costs little. Only these names are promised; `__init__.pyi` lists them.
"""

import os

import lazy_loader

if "OMP_WAIT_POLICY" not in os.environ:
    # How often torch's threads ask whether the others are done before they sleep, which libgomp reads when torch is loaded. By
    # default they go on for milliseconds, and keep the others from the processor where other programs are busy.
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
