"""Exports of trained networks: an ONNX file and its model card."""
