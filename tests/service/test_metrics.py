from __future__ import annotations

from service.daemon.metrics import Metrics


def test_buckets_add_up_and_a_bound_belongs_to_its_bucket() -> None:
    metrics = Metrics()
    for value in (0.005, 0.0051, 3.0, 99.0):
        metrics.observe("slowwave_request_seconds", value, route="/x")
    rows = dict(line.rsplit(" ", 1) for line in metrics.render({}).splitlines() if not line.startswith("#"))
    bucket = 'slowwave_request_seconds_bucket{{route="/x",le="{}"}}'
    assert [rows[bucket.format(le)] for le in ("0.005", "0.01", "5", "30", "+Inf")] == [
        "1",
        "2",
        "3",
        "3",
        "4",
    ]
    assert float(rows['slowwave_request_seconds_sum{route="/x"}']) == 0.005 + 0.0051 + 3 + 99


def test_labels_are_escaped() -> None:
    metrics = Metrics()
    metrics.count("slowwave_requests_total", route='a"b\\c\nd', status=200)
    assert 'route="a\\"b\\\\c\\nd"' in metrics.render({})


def test_every_series_says_what_it_is() -> None:
    text = Metrics().render({"slowwave_facts": 2})
    named = {line.split()[2] for line in text.splitlines() if line.startswith("# HELP")}
    assert named == {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert text.endswith("slowwave_facts 2\n")
