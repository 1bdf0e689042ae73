"""What a training packs: its record, and bioimageio.core's own test of it.

That library lives in an environment of its own (SMARTSCOPE_REFERENCE_PYTHON names its
Python; ``.ci/run`` makes it).
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")

REFERENCE = os.environ.get("SMARTSCOPE_REFERENCE_PYTHON")
TEST = """
import json, sys
from pathlib import Path
from bioimageio.core import test_description
for package in sys.argv[1:]:
    told = test_description(Path(package) / "bioimageio.yaml")
    errors = [e.msg for detail in told.details for e in detail.errors]
    print(json.dumps({"status": told.status, "errors": errors}))
"""


@pytest.mark.timeout(300)
@pytest.mark.skipif(
    not REFERENCE, reason="SMARTSCOPE_REFERENCE_PYTHON names no environment"
)
def test_packages_pass_the_test_of_bioimageio_core(
    denoiser: Path, detector: Path, tmp_path: Path
) -> None:
    script = tmp_path / "reference.py"
    script.write_text(TEST, encoding="utf-8")
    packages = [str(folder / "model") for folder in (denoiser, detector)]
    done = subprocess.run(
        [str(REFERENCE), "-W", "ignore", str(script), *packages],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        env={
            **os.environ,
            "HOME": str(tmp_path),
            "BIOIMAGEIO_CACHE_PATH": str(tmp_path / "cache"),
        },
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = [json.loads(line) for line in done.stdout.splitlines() if line[:1] == "{"]
    assert told == [{"status": "passed", "errors": []}] * 2


def test_the_package_of_a_denoiser_tells_how_it_was_made(denoiser: Path) -> None:
    described = yaml.safe_load((denoiser / "model" / "bioimageio.yaml").read_text())
    assert described["license"] == "MIT"
    assert described["authors"] == [{"name": "A. Maker"}]
    record = described["config"]["smartscope_training"]
    assert record["settings"]["method"] == "n2v"
    assert record["versions"]["torch"] == torch.__version__
    assert record["images"] == {"train": 1, "validation": 1}
    # of this disk nothing goes with it
    assert str(denoiser.parent) not in json.dumps(record)
    figures = record["figures"]
    told = (denoiser / "model" / "README.md").read_text()
    assert f"{figures['error']:.4g} counts" in told
    assert f"{figures['error_of_input']:.4g}" in told
    assert "## Limits" in told
