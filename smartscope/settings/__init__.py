"""The experiment file: composes the stages' own settings and the microscope."""

from smartscope.settings.controls import (
    AuditSettings,
    ControlsSettings,
    DarkSettings,
    EqualLightSettings,
    PlaceboSettings,
    ShamSettings,
    burst_policies,
    control_policies,
    names_to_catch,
    places_of,
    sham_policies,
)
from smartscope.settings.experiment import AnalysisSettings, ApproveSettings, Experiment
from smartscope.settings.pairs import PairsSettings
from smartscope.settings.policies import AnyPolicySettings
from smartscope.settings.survey import has_autofocus_plan
from smartscope.settings.tours import names_by_place, tour_plans
from smartscope.settings.yaml_file import read_yaml

__all__ = [
    "AnalysisSettings",
    "AnyPolicySettings",
    "ApproveSettings",
    "AuditSettings",
    "ControlsSettings",
    "DarkSettings",
    "EqualLightSettings",
    "Experiment",
    "PairsSettings",
    "PlaceboSettings",
    "ShamSettings",
    "burst_policies",
    "control_policies",
    "has_autofocus_plan",
    "names_by_place",
    "names_to_catch",
    "places_of",
    "read_yaml",
    "sham_policies",
    "tour_plans",
]
