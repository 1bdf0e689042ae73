"""Everything that happened: recorder, journal, run folder, reader, report."""

from smartscope.storage.calibration import read_calibration, write_calibration
from smartscope.storage.equal_light_picture import draw_equal_light
from smartscope.storage.image import ImageSpec
from smartscope.storage.journal import Journal, JournalContent, read_journal
from smartscope.storage.movie import Movie
from smartscope.storage.picture import draw_summary
from smartscope.storage.reader import BROKEN_OFF, Run
from smartscope.storage.recorder import Recorder
from smartscope.storage.report import summarise
from smartscope.storage.restored import RestoredStore
from smartscope.storage.run_folder import RunFolder
from smartscope.storage.settings import EveryNth, StorageSettings
from smartscope.storage.survey_store import SurveyStore

__all__ = [
    "BROKEN_OFF",
    "EveryNth",
    "ImageSpec",
    "Journal",
    "JournalContent",
    "Movie",
    "Recorder",
    "RestoredStore",
    "Run",
    "RunFolder",
    "StorageSettings",
    "SurveyStore",
    "draw_equal_light",
    "draw_summary",
    "read_calibration",
    "read_journal",
    "summarise",
    "write_calibration",
]
