"""Models for other programs: ONNX and the hub."""
