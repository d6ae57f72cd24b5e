"""The dashboard draws what the server really exposes, by the same names and labels."""

import ast
import json
import re
from pathlib import Path

import yaml
from prometheus_client.parser import text_string_to_metric_families

from models.host import HostHealth
from pipelines.latency import TurnLatency
from pipelines.metrics import Metrics

ROOT = Path(__file__).resolve().parent.parent.parent
GRAFANA = ROOT / "deploy" / "grafana"
BOARD = json.loads((GRAFANA / "dashboards" / "maata.json").read_text(encoding="utf-8"))
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]


def engine_figures() -> dict[str, float]:
    """The names that the speech-to-speech engine reports, read where it does."""
    tree = ast.parse((ROOT / "models" / "duplex_streams.py").read_text(encoding="utf-8"))
    (health,) = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == "health"]
    (table,) = [n for n in ast.walk(health) if isinstance(n, ast.Dict)]
    return {str(key.value): 1.0 for key in table.keys if isinstance(key, ast.Constant)}


def exposed() -> dict[str, set[str]]:
    """Every sample the server exposes once everything has happened: name -> labels."""
    metrics = Metrics()
    metrics.watch(lambda: HostHealth("ready", 0, None, 1, engine_figures()))
    metrics.active.labels("cascade").inc()
    metrics.calls.labels("cascade", "hung up").inc()
    metrics.refused.labels("full").inc()
    metrics.rejected.labels("text").inc()
    metrics.errors.labels("cascade").inc()
    metrics.interruptions.labels("cascade").inc()
    metrics.observe_frames("s2s", {"missed": 1, "silence": 1})
    metrics.observe_turn("cascade", TurnLatency(1, {"asr_ms": 5.0}))
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(metrics.exposition().decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def test_every_metric_and_label_of_the_board_exists():
    known = exposed()
    for expression in EXPRESSIONS:
        names = re.findall(r"maata_\w+", expression)
        assert names, expression
        labels = set().union(*(known.get(name, set()) for name in names))
        for name in names:
            assert name in known, name
        for group in re.findall(r"by \(([^)]*)\)", expression):
            assert {label.strip() for label in group.split(",")} <= labels, expression


def test_every_label_of_a_legend_survives_its_query():
    for panel in PANELS:
        for target in panel["targets"]:
            shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            kept = set(", ".join(re.findall(r"by \(([^)]*)\)", target["expr"])).split(", "))
            aggregated = "sum" in target["expr"]
            assert shown <= (kept if aggregated else {"instance"}), target


def test_everything_that_matters_is_on_the_board():
    drawn = set(re.findall(r"maata_\w+", " ".join(EXPRESSIONS)))
    counters = {name for name in exposed() if name.endswith("_total")}
    assert counters <= drawn
    assert {
        "maata_calls_active",
        "maata_turn_seconds_bucket",
        "maata_turn_stage_seconds_bucket",
        "maata_engine_missed_deadlines",
        "maata_engine_step_p99_seconds",
        "maata_engine_restarts",
    } <= drawn


def test_panels_lie_side_by_side_and_ask_the_provisioned_source():
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        at = panel["gridPos"]
        columns = range(at["x"], at["x"] + at["w"])
        cells = {(x, y) for x in columns for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    provisioned = GRAFANA / "provisioning" / "datasources" / "prometheus.yml"
    sources = yaml.safe_load(provisioned.read_text(encoding="utf-8"))
    uids = {source["uid"] for source in sources["datasources"]}
    assert {t["datasource"]["uid"] for p in PANELS for t in p["targets"]} == uids
