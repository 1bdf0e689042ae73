"""The part of each head that ONNX can say; decoding lives in recognition."""
