"""Networks by name; each is a `Network`, one file per architecture."""

from isthmus.networks.registry import NETWORKS, Architecture, build, register_network

__all__ = ["NETWORKS", "Architecture", "build", "register_network"]
