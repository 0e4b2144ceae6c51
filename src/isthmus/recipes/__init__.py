"""Recipes: what to train and how. Everything here loads on first use: the command line's help needs the fields, not the presets."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
