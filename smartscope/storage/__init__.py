"""Everything that happened: recorder, journal, provenance, reader, report."""

from smartscope.storage.settings import StorageSettings

__all__ = ["StorageSettings"]
