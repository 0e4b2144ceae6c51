"""Bytes on disk: whole files, model files, a training's folder; nothing about images."""
