"""Run in the second environment: what bioimageio.core makes of packages.

Arguments: a JSON file with a list of [package, output.npy, alone]. It imports nothing
of ours. ``alone``: the steps after the graph by themselves, on the package's test
output, with statistics of both test tensors: the pipeline (0.11) measures inputs only.
"""

from __future__ import annotations

import json
import sys

import numpy as np
from bioimageio.core import create_prediction_pipeline
from bioimageio.core.digest_spec import get_test_input_sample, get_test_output_sample
from bioimageio.core.proc_ops import get_proc
from bioimageio.core.sample import Sample
from bioimageio.core.stat_calculators import compute_measures
from bioimageio.spec import load_model_description


def main() -> None:
    """Write what the reference makes of each package's own test tensors."""
    with open(sys.argv[1], encoding="utf-8") as file:
        jobs = json.load(file)
    for package, out, alone in jobs:
        model = load_model_description(package, perform_io_checks=False)
        result = steps_after(model) if alone else predicted(model)
        (member,) = result.members.values()
        np.save(out, np.asarray(member.data))


def predicted(model: object) -> Sample:
    """Run the whole package."""
    pipeline = create_prediction_pipeline(
        model, weight_format="onnx", devices=["CPUExecutionProvider"]
    )
    # a test tensor is of the model's size already: nothing is added around it
    return pipeline.predict_sample_without_blocking(
        get_test_input_sample(model),
        skip_input_padding=True,
        skip_output_cropping=True,
    )


def steps_after(model: object) -> Sample:
    """Run the steps after the graph on the test output."""
    given, got = get_test_input_sample(model), get_test_output_sample(model)
    both = Sample(members={**given.members, **got.members}, stat={}, id=None)
    (tensor,) = model.outputs
    steps = [get_proc(step, tensor) for step in tensor.postprocessing]
    needed = {m for step in steps for m in step.required_measures}
    both.stat.update(compute_measures(needed, [both]))
    for step in steps:
        step(both)
    (name,) = got.members
    return Sample(members={name: both.members[name]}, stat={}, id=None)


main()
