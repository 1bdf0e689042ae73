"""Run by the Python of another environment: one prediction of bioimageio.core a line.

It imports nothing of ours. Arguments: the package's folder and the number of threads.
Afterwards, for each number on the standard input that names a frame, it predicts and
answers with the milliseconds it took; its first line says which version it is.
"""

from __future__ import annotations

import functools
import sys
import time
from importlib import import_module
from typing import Any

import numpy as np
import onnxruntime as ort  # type: ignore[import-untyped]  # it has no stubs


def main() -> None:
    """Answer until the input ends."""
    folder, threads = sys.argv[1], int(sys.argv[2])
    # threads and options as the others have them: core itself takes all cores
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.force_spinning_stop", "1")
    ort.InferenceSession = functools.partial(ort.InferenceSession, sess_options=options)
    # importlib: it is not there where types are checked
    core: Any = import_module("bioimageio.core")
    digest: Any = import_module("bioimageio.core.digest_spec")
    spec: Any = import_module("bioimageio.spec")

    model = spec.load_model_description(folder, perform_io_checks=False)
    pipeline = core.create_prediction_pipeline(
        model, weight_format="onnx", devices=["CPUExecutionProvider"]
    )
    (tensor,) = model.inputs
    _say(core.__version__)
    for line in sys.stdin:
        counts = np.load(line.strip())
        began = time.perf_counter()
        sample = digest.create_sample_for_model(
            model, inputs={tensor.id: counts.astype(np.float32)[None, None]}
        )
        # the frame has the model's size: without these two, core surrounds it by the
        # halo, which a model of one size refuses
        pipeline.predict_sample_without_blocking(
            sample, skip_input_padding=True, skip_output_cropping=True
        )
        _say((time.perf_counter() - began) * 1e3)


def _say(value: object) -> None:
    sys.stdout.write(f"{value}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
