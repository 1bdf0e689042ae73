"""Pairs on disk → an ONNX package (extra ``train``: torch). Imported by nobody else.

Import its modules where they are needed: ``settings`` needs no torch.
"""
