"""The architectures, by name; one file each."""

from isthmus.networks.registry import MODELS, Architecture, Detail, Network, build, propagate

__all__ = ["MODELS", "Architecture", "Detail", "Network", "build", "propagate"]
