"""Autoencoders for your own images: train them, restore pictures with them, use their latent codes.

Everything here loads on first use, so importing isthmus costs little. Only these names are promised; `__init__.pyi` lists them.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
