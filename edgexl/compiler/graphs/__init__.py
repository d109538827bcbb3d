"""ONNX graphs: rewrites, quantization schemes, the rotation between the student's space and the index's."""
