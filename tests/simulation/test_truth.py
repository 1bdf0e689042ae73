import json

from smartscope.simulation import Truth, TruthEvent


def test_a_truth_survives_json() -> None:
    truth = Truth(
        events=(TruthEvent("division", 10.5, -3.0, 4.25),),
        names={"division": "split"},
        tolerance_s=60.0,
        tolerance_um=8.0,
        ignore=((0.0, 1.0, 2.0, 3.0, 4.0),),
        duration_s=100.0,
    )
    assert Truth.from_record(json.loads(json.dumps(truth.to_record()))) == truth
