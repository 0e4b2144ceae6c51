"""Models for elsewhere: ONNX and the hub."""
