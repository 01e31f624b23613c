# SPDX-License-Identifier: GPL-2.0
"""contrib/, on a real Prometheus that reads the files of aerator-fleet through node_exporter."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aerator_vm.common import TOP
from aerator_vm.service import free_port, running

from .fleet_fakes import Balloon, Fake, Servers, Tree
from .fleet_program import ask, temporary_folder
from .harness import MIB, expect, expect_equal, run_script, wait_until

_RULES = TOP / "contrib/prometheus-rules.yml"
_DASHBOARD = TOP / "contrib/grafana-dashboard.json"
_START_SECONDS = 60

# As a guest's "aerator metrics" writes it, with errors, on a host that keeps what is reported.
_GUEST = """\
# HELP aerator_reported_bytes_total Memory that the host has acknowledged.
# TYPE aerator_reported_bytes_total counter
aerator_reported_bytes_total{{device="virtio0"}} {number}000000
# HELP aerator_errors_total Batches that went back unreported.
# TYPE aerator_errors_total counter
aerator_errors_total{{device="virtio0"}} {number}
# HELP aerator_settle_timeouts_total Resets after a silent host.
# TYPE aerator_settle_timeouts_total counter
aerator_settle_timeouts_total{{device="virtio0"}} {number}
# HELP aerator_host_discards 1 if the host drops what is reported.
# TYPE aerator_host_discards gauge
aerator_host_discards{{device="virtio0"}} 0
# HELP aerator_reused_bytes_total Reported memory that the guest used again.
# TYPE aerator_reused_bytes_total counter
aerator_reused_bytes_total{{device="virtio0"}} {number}000000
# HELP aerator_refusals_total Batches that were refused.
# TYPE aerator_refusals_total counter
aerator_refusals_total{{device="virtio0",reason="window"}} {number}
# HELP aerator_stage_seconds Time of batches in a stage.
# TYPE aerator_stage_seconds summary
aerator_stage_seconds_sum{{device="virtio0",stage="settle"}} {number}.25
aerator_stage_seconds_count{{device="virtio0",stage="settle"}} {number}
# HELP aerator_surplus_bytes Free memory that the guest does not seem to need.
# TYPE aerator_surplus_bytes gauge
aerator_surplus_bytes{{device="virtio0"}} 5000000
# HELP aerator_free_bytes Free memory.
# TYPE aerator_free_bytes gauge
aerator_free_bytes{{kind="blocks"}} 5000000
"""


def folder_of_prometheus() -> Path:
    return Path(run_script("scripts/prometheus").splitlines()[-1])


class _Prometheus:
    """The query interface of a running Prometheus."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}/api/v1"

    def get(self, path: str, **query: str) -> dict[str, Any]:
        url = f"{self._address}/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as failure:
            expect(failure.code == 503, f"{path} {query}: {failure.read().decode()}")
            raise  # it still starts

    def values(self, expression: str) -> list[Any]:
        return self.get("query", query=expression)["result"]

    def ready(self) -> bool:
        try:
            return bool(self.values("rate(aerator_reported_bytes_total[5m]) > 0"))
        except OSError:
            return False


def _write(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text)
    new.rename(path)


@contextlib.contextmanager
def _files(folder: Path) -> Iterator[Path]:
    """The files of a host with a guest for each alert, and of a guest."""
    files = folder / "textfile"
    files.mkdir()
    fakes = (Fake("waste", 4096 * MIB, Balloon(4096 * MIB, 3072 * MIB, 1, 5, False)),
             Fake("off", balloon=Balloon(period=0)))
    with Servers(folder, *fakes) as servers:
        tree = Tree(folder / "root")
        for pid in servers.pids:
            tree.process(pid, f"/{pid}")
            tree.charge(f"/{pid}", 3500 * MIB, pid)
        options = ["--root", str(tree.folder), *servers.options]
        expect_equal(ask(*options, "--qmp", str(folder / "none"), "--textfile",
                         files / "aerator-fleet.prom").status, 1, "status, with a missing guest")
    os.utime(files / "aerator-fleet.prom", (time.time() - 3600, time.time() - 3600))
    _write(files / "aerator.prom", _GUEST.format(number=1))
    yield files


def _dashboard() -> list[str]:
    dashboard = json.loads(_DASHBOARD.read_text())
    return [target["expr"].replace("$instance", ".*")
            for panel in dashboard["panels"] for target in panel["targets"]]


def _check_tools(programs: Path, files: Path) -> None:
    """promtool finds nothing in the metrics and in the rules."""
    for path in files.glob("*.prom"):
        checked = subprocess.run([programs / "promtool", "check", "metrics"],
                                 input=path.read_text(), text=True, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT)
        expect_equal((checked.returncode, checked.stdout), (0, ""), f"promtool on {path.name}")
    run_script(programs / "promtool", "check", "rules", "--lint-fatal", _RULES)


def _check_rules(server: _Prometheus) -> Iterator[str]:
    """Each rule is evaluated without an error, and has a result: the files are made so."""
    rules = [rule for group in server.get("rules")["groups"] for rule in group["rules"]]
    wrong = [rule for rule in rules if rule["health"] != "ok"]
    expect(not wrong, f"rules: {wrong}")
    silent = [rule["name"] for rule in rules if not server.values(rule["query"])]
    expect(not silent, f"rules without a result: {silent}")
    alerts = {alert["labels"]["alertname"] for alert in server.get("alerts")["alerts"]}
    wanted = {rule["name"] for rule in rules if rule["type"] == "alerting"}
    expect_equal(alerts, wanted, "alerts that are pending or firing")
    yield f"{len(rules)} rules, of which {len(alerts)} alerts"


def prometheus() -> Iterator[str]:
    """A real Prometheus evaluates each expression of contrib/ on the metrics of aerator-fleet,
    which it reads through node_exporter."""
    programs = folder_of_prometheus()
    with temporary_folder() as folder, _files(folder) as files:
        _check_tools(programs, files)
        ports = free_port(), free_port()
        (folder / "rules.yml").write_text(_RULES.read_text())
        (folder / "prometheus.yml").write_text(
            "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
            f"rule_files: ['{folder}/rules.yml']\n"
            f"scrape_configs: [{{job_name: node, static_configs: [{{targets:"
            f" ['127.0.0.1:{ports[0]}']}}]}}]\n")
        with running(programs / "prometheus-node-exporter", "--collector.disable-defaults",
                     "--collector.textfile", f"--collector.textfile.directory={files}",
                     f"--web.listen-address=127.0.0.1:{ports[0]}"), \
             running(programs / "prometheus", f"--config.file={folder}/prometheus.yml",
                     f"--storage.tsdb.path={folder}/data",
                     f"--web.listen-address=127.0.0.1:{ports[1]}"):
            yield from _check_server(_Prometheus(ports[1]), files)


def _check_server(server: _Prometheus, files: Path) -> Iterator[str]:
    numbers = iter(range(2, 1000))

    def rising() -> bool:
        _write(files / "aerator.prom", _GUEST.format(number=next(numbers)))
        return server.ready()

    wait_until("rising counters in Prometheus", _START_SECONDS, rising)
    wait_until("an evaluation of each rule", _START_SECONDS, lambda: all(
        rule["health"] != "unknown"
        for group in server.get("rules")["groups"] for rule in group["rules"])
        and len(server.get("alerts")["alerts"]) >= 7)
    expect_equal([], server.values("node_textfile_scrape_error > 0"), "errors of node_exporter")
    yield from _check_rules(server)
    expressions = _dashboard()
    empty = [expression for expression in expressions if not server.values(expression)]
    expect(not empty, f"expressions of the dashboard without a result: {empty}")
    names = set(re.findall(r"\baerator_\w+", " ".join(expressions)))
    yield f"{len(expressions)} expressions of the dashboard, with {len(names)} metrics"
