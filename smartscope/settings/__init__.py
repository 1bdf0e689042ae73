"""The experiment file: composes the stages' own settings and the microscope."""

from smartscope.settings.controls import (
    ControlsSettings,
    DarkSettings,
    PlaceboSettings,
    ShamSettings,
    burst_policies,
    control_policies,
)
from smartscope.settings.experiment import AnalysisSettings, ApproveSettings, Experiment
from smartscope.settings.policies import AnyPolicySettings
from smartscope.settings.yaml_file import read_yaml

__all__ = [
    "AnalysisSettings",
    "AnyPolicySettings",
    "ApproveSettings",
    "ControlsSettings",
    "DarkSettings",
    "Experiment",
    "PlaceboSettings",
    "ShamSettings",
    "burst_policies",
    "control_policies",
    "read_yaml",
]
