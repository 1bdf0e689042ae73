"""Labels, groups and presets of Micro-Manager's demo configuration.

One experiment file shall run on the simulated microscope and on the DemoCamera, so both
answer to the same names.
"""

from __future__ import annotations

CAMERA = "Camera"
XY = "XY"
Z = "Z"
LIGHT = "Light"
WHITE_SHUTTER = "White Light Shutter"
LED_SHUTTER = "LED Shutter"
OBJECTIVE = "Objective"
AUTOFOCUS = "Autofocus"
# the demo configuration has no light modulator; these names are our own
SLM = "SLM"
SLM_SHUTTER = "SLM Shutter"
STIMULATION = "Stimulation"

WHEELS: dict[str, dict[int, str]] = {
    "Dichroic": {0: "400DCLP", 1: "Q505LP", 2: "Q585LP", 3: "89402bs"},
    "Emission": {
        0: "Chroma-HQ620",
        1: "Chroma-D460",
        2: "Chroma-HQ535",
        3: "Chroma-HQ700",
        4: "89402m",
    },
    "Excitation": {
        0: "Chroma-D360",
        1: "Chroma-HQ480",
        2: "Chroma-HQ570",
        3: "Chroma-HQ620",
        9: "Empty",
    },
    "LED": {0: "Closed", 1: "385nm", 2: "470nm", 3: "550nm", 4: "635nm"},
    OBJECTIVE: {
        0: "Nikon 40X Plan Fluor ELWD",
        1: "Nikon 10X S Fluor",
        3: "Nikon 20X Plan Fluor ELWD",
    },
    "Path": {},
}
STATES = {"Path": 3, OBJECTIVE: 6}

MAGNIFICATION = {
    "Nikon 10X S Fluor": 10.0,
    "Nikon 20X Plan Fluor ELWD": 20.0,
    "Nikon 40X Plan Fluor ELWD": 40.0,
}

# preset: labels of Dichroic, Emission, Excitation
_FILTERS = {
    "Cy5": ("400DCLP", "Chroma-HQ700", "Chroma-HQ570"),
    "DAPI": ("400DCLP", "Chroma-HQ620", "Chroma-D360"),
    "FITC": ("Q505LP", "Chroma-HQ535", "Chroma-HQ480"),
    "Rhodamine": ("Q585LP", "Chroma-HQ700", "Chroma-HQ570"),
}
_LEDS = {"Cy5": "635nm", "DAPI": "385nm", "FITC": "470nm", "Rhodamine": "550nm"}

CHANNELS = tuple(_FILTERS)

Preset = tuple[tuple[str, str, object], ...]

# the core keeps Core.Shutter of Python devices to itself: their property "Current" is
# the way to say in a preset which shutter the camera opens
GROUPS: dict[str, dict[str, Preset]] = {
    "Channel": {
        name: (
            ("Dichroic", "Label", dichroic),
            ("Emission", "Label", emission),
            ("Excitation", "Label", excitation),
            (WHITE_SHUTTER, "Current", 1),
        )
        for name, (dichroic, emission, excitation) in _FILTERS.items()
    },
    "Channel-Multiband": {
        name: (
            ("Dichroic", "Label", "89402bs"),
            ("Emission", "Label", "89402m"),
            ("Excitation", "Label", "Empty"),
            ("LED", "Label", led),
            (LED_SHUTTER, "Current", 1),
        )
        for name, led in _LEDS.items()
    },
    "Camera": {
        "HighRes": ((CAMERA, "Binning", 1), (CAMERA, "BitDepth", 12)),
        "MedRes": ((CAMERA, "Binning", 2), (CAMERA, "BitDepth", 10)),
        "LowRes": ((CAMERA, "Binning", 4), (CAMERA, "BitDepth", 8)),
    },
    "Objective": {
        "10X": ((OBJECTIVE, "State", 1),),
        "20X": ((OBJECTIVE, "State", 3),),
        "40X": ((OBJECTIVE, "State", 0),),
    },
    "LightPath": {
        "Camera-left": (("Path", "State", 1),),
        "Camera-right": (("Path", "State", 2),),
        "Eyepiece": (("Path", "State", 0),),
    },
}


def stimulation_preset() -> Preset:
    """Return the preset that lights through the modulator, seen as FITC."""
    seen = [s for s in GROUPS["Channel"]["FITC"] if s[0] != WHITE_SHUTTER]
    return (*seen, (SLM_SHUTTER, "Current", 1))


def wheel_labels(wheel: str) -> dict[int, str]:
    """Return the labels of all positions of a wheel or turret."""
    named = WHEELS[wheel]
    prefix = "Objective-" if wheel == OBJECTIVE else "State-"
    return {i: named.get(i, f"{prefix}{i}") for i in range(STATES.get(wheel, 10))}


def white_channel(dichroic: str, emission: str, excitation: str) -> str:
    """Return the preset these filters make under white light; ``""`` if none."""
    for name, filters in _FILTERS.items():
        if filters == (dichroic, emission, excitation):
            return name
    return ""


def led_channel(dichroic: str, emission: str, excitation: str, led: str) -> str:
    """Return the preset these filters make under the LED; ``""`` if none."""
    if (dichroic, emission, excitation) != ("89402bs", "89402m", "Empty"):
        return ""
    return next((name for name, line in _LEDS.items() if line == led), "")
