"""Run in the second environment: what bioimageio.core makes of packages.

Arguments: a JSON file with a list of [package, output.npy]. It imports nothing of ours.
"""

from __future__ import annotations

import json
import sys

import numpy as np
from bioimageio.core import create_prediction_pipeline
from bioimageio.core.digest_spec import get_test_input_sample
from bioimageio.spec import load_model_description


def main() -> None:
    """Write the reference's output of each package's own test input."""
    with open(sys.argv[1], encoding="utf-8") as file:
        jobs = json.load(file)
    for package, out in jobs:
        model = load_model_description(package, perform_io_checks=False)
        pipeline = create_prediction_pipeline(
            model, weight_format="onnx", devices=["CPUExecutionProvider"]
        )
        # a test tensor is of the model's size already: nothing is added around it
        result = pipeline.predict_sample_without_blocking(
            get_test_input_sample(model),
            skip_input_padding=True,
            skip_output_cropping=True,
        )
        (member,) = result.members.values()
        np.save(out, np.asarray(member.data))


main()
