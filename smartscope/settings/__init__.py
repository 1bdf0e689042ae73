"""The experiment file: composes the stages' own settings and the microscope."""

from smartscope.settings.controls import (
    AuditSettings,
    ControlsSettings,
    DarkSettings,
    PlaceboSettings,
    ShamSettings,
    burst_policies,
    control_policies,
    places_of,
)
from smartscope.settings.experiment import AnalysisSettings, ApproveSettings, Experiment
from smartscope.settings.pairs import PairsSettings
from smartscope.settings.policies import AnyPolicySettings
from smartscope.settings.yaml_file import read_yaml

__all__ = [
    "AnalysisSettings",
    "AnyPolicySettings",
    "ApproveSettings",
    "AuditSettings",
    "ControlsSettings",
    "DarkSettings",
    "Experiment",
    "PairsSettings",
    "PlaceboSettings",
    "ShamSettings",
    "burst_policies",
    "control_policies",
    "places_of",
    "read_yaml",
]
