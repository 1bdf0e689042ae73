"""Decoders: from what inference gives to Detections, one file a head."""
