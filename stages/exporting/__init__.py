"""From a trained network to an ONNX file and its model card."""
