"""Tracks in, occurrences out: a recognizer for each kind, and one that asks them."""

from smartscope.recognition.occurrences.recognizer import OccurrenceRecognizer

__all__ = ["OccurrenceRecognizer"]
