"""Prometheus metrics under the names of LiveKit Egress, made when they are asked for, and a few of our own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from pyegress.plan.recording_plan import RequestType
from pyegress.service import processes
from pyegress.service.costs import MEASURED
from pyegress.service.processes import GIGABYTE
from pyegress.service.supervisor import Supervisor

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class EgressCollector(Collector):
    """Reads a supervisor."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._labels = {"node_id": supervisor.node_id, "cluster_id": supervisor.config.cluster_id}

    def collect(self) -> Iterable[Metric]:
        """Every metric as it is now."""
        supervisor, watch = self._supervisor, self._supervisor.watch
        free = not supervisor.draining
        web = supervisor.config.cpu_cost.web_cpu_cost
        can = free and watch.refusal(MEASURED["web_cpu_cost"] if web is None else web) is None
        yield self._gauge("livekit_egress_available", "1 while nothing runs", free and not supervisor.runs)
        yield self._gauge("livekit_egress_can_accept_request", "1 while a web request would fit", can)
        yield self._gauge("livekit_egress_is_disabled", "1 while nothing is taken", supervisor.draining)
        yield self._gauge("livekit_egress_is_terminating", "1 while the service drains", supervisor.draining)
        yield self._gauge("livekit_node_cpu_load", "Share of the machine that is busy", watch.busy, node_type="EGRESS")
        yield from self._requests()
        yield from self._memory()
        yield self._gauge("pyegress_spool_egresses", "Egresses that are in the spool only", len(supervisor.spool.kept))
        yield self._gauge("pyegress_disk_free_bytes", "Space where the service writes", supervisor.disk.least)
        yield self._load()
        yield self._results()
        yield from self._uploads()
        yield from self._calls()

    def _requests(self) -> Iterator[Metric]:
        running = Counter(run.plan.type.value for run in self._supervisor.runs.values())
        family = self._family("livekit_egress_requests", "Egresses that run", "type")
        for kind in RequestType:
            self._add(family, running[kind.value], kind.value)
        yield family

    def _memory(self) -> Iterator[Metric]:
        watch = self._supervisor.watch
        held = processes.cgroup_bytes()
        limit = self._supervisor.config.cpu_cost.max_memory
        yield self._gauge("livekit_egress_cgroup_memory_bytes", "Working set of the cgroup", held or 0)
        yield self._gauge("livekit_egress_cgroup_read_success", "1 when the cgroup could be read", held is not None)
        yield self._gauge("livekit_egress_proc_rss_bytes", "Resident memory of all workers", watch.resident)
        reject = bool(limit) and held is not None and held / GIGABYTE >= limit
        yield self._gauge("livekit_egress_would_reject_cgroup", "1 when the cgroup holds more than max_memory", reject)

    def _load(self) -> Metric:
        watch = self._supervisor.watch
        family = self._family("livekit_load_ratio", "Load of what limits this node, 0 to 1", "type")
        self._add(family, watch.after(0.0), "cpu")
        limit = self._supervisor.config.cpu_cost.max_memory
        self._add(family, watch.machine.memory / limit if limit else 0.0, "memory")
        return family

    def _results(self) -> Metric:
        family = CounterMetricFamily(
            "livekit_egress_handler_results", "How egresses ended", labels=[*self._labels, "type", "result"]
        )
        for (kind, result), count in self._supervisor.results.items():
            family.add_metric([*self._labels.values(), kind, result], count)
        return family

    def _uploads(self) -> Iterator[Metric]:
        figures, runs = self._supervisor.uploads, self._supervisor.runs
        # The reference's counters have no _total, which the library would add.
        tried = Metric("livekit_egress_pipeline_uploads", "Attempts to upload an object", "unknown")
        for (kind, status, endpoint), count in figures.tried.items():
            labels = self._labels | {"type": kind, "status": status, "custom_endpoint": endpoint}
            tried.add_sample(tried.name, labels, count)
        yield tried
        backups = Metric("livekit_egress_backup_storage_writes", "Objects on the backup storage", "unknown")
        for kind, count in figures.backups.items():
            backups.add_sample(backups.name, self._labels | {"output_type": kind}, count)
        yield backups
        # The reference writes it so.
        times = HistogramMetricFamily(
            "livekit_egress_pipline_upload_response_time_ms",
            "Milliseconds of an attempt",
            labels=[*self._labels, "type", "status", "custom_endpoint"],
        )
        for labels_, measured in figures.times.items():
            times.add_metric([*self._labels.values(), *labels_], measured.cumulative, measured.total)
        yield times
        for what, attribute in (("segments", "segments_waiting"), ("playlist", "playlists_waiting")):
            name = f"livekit_egress_{what}_uploads_channel_size"
            waiting = self._family(name, "Those that wait for their storage", "egress_id")
            for egress_id, run in runs.items():
                self._add(waiting, getattr(run.uploads, attribute), egress_id)
            yield waiting

    def _calls(self) -> Iterator[Metric]:
        """psrpc's own, whose labels are others."""
        figures, names = self._supervisor.calls, ["node_id", "node_type"]
        node = [self._supervisor.node_id, "EGRESS"]
        for what, counts in (("received", figures.received), ("expired", figures.expired)):
            heard = CounterMetricFamily(
                f"livekit_psrpc_requests_{what}", f"Requests that were {what}", labels=[*names, "service", "method"]
            )
            for method, count in counts.items():
                heard.add_metric([*node, *method], count)
            yield heard
        names += ["role", "kind", "service", "method"]
        times = HistogramMetricFamily("livekit_psrpc_request_time_ms", "Milliseconds of a call", labels=names)
        for called, measured in figures.times.items():
            times.add_metric([*node, *called.labels], measured.cumulative, measured.total)
        yield times
        errors = CounterMetricFamily("livekit_psrpc_error", "Calls that failed", labels=[*names, "error_code"])
        for (called, code), count in figures.errors.items():
            errors.add_metric([*node, *called.labels, code], count)
        yield errors

    def _family(self, name: str, text: str, *labels: str) -> GaugeMetricFamily:
        return GaugeMetricFamily(name, text, labels=[*self._labels, *labels])

    def _gauge(self, name: str, text: str, value: float, **labels: str) -> GaugeMetricFamily:
        family = self._family(name, text, *labels)
        self._add(family, value, *labels.values())
        return family

    def _add(self, family: GaugeMetricFamily, value: float, *labels: str) -> None:
        family.add_metric([*self._labels.values(), *labels], float(value))


class Metrics:
    """The page of one supervisor."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(EgressCollector(supervisor))
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._registry)

    def page(self) -> bytes:
        """In Prometheus's text format."""
        return generate_latest(self._registry)
