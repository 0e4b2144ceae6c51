"""Bytes on disk: whole files, model files, a training's folder. Nothing here knows of images."""
