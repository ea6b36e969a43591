"""What this node has and what its egresses take of it, sampled once a second and put to the rules of admission."""

from __future__ import annotations

from collections.abc import Mapping

from pyegress.clock import Monotonic, monotonic
from pyegress.errors import EgressError
from pyegress.service import processes
from pyegress.service.admission import Admission, Load, Machine
from pyegress.service.config_sections import CostSection
from pyegress.service.processes import GIGABYTE


class Watch:
    """Reads the kernel's figures; `Admission` decides."""

    def __init__(self, costs: CostSection) -> None:
        self._admission = Admission(costs)
        self._from_cgroup = costs.memory_source == "cgroup"
        self._grace = costs.memory_kill_grace_sec
        self.machine = Machine(processes.cores())
        self._cpu: dict[str, tuple[int, Monotonic, float]] = {}
        self._busy = processes.busy_seconds()
        self._over_since: Monotonic | None = None
        #: Share of the machine that is busy, whoever uses it, 0..1.
        self.busy = 0.0
        #: Resident bytes of all workers.
        self.resident = 0

    @property
    def loads(self) -> dict[str, Load]:
        """By egress id; whoever starts and ends egresses adds and removes them."""
        return self._admission.loads

    @property
    def available(self) -> float:
        """Cores that another egress may take."""
        return max(0.0, self._admission.available(self.machine, monotonic()))

    def refusal(self, cost: float, memory: float | None = None) -> EgressError | None:
        """Why an egress of `cost` cores and `memory` GB cannot be taken now."""
        return self._admission.refusal(cost, self.machine, monotonic(), memory=memory)

    def after(self, cost: float) -> float:
        """The load, 0 to 1, with another egress."""
        return self._admission.after(cost, self.machine, monotonic())

    def sample(self, pids: Mapping[str, int]) -> None:
        """Look at the workers and what they started, by egress id."""
        now = monotonic()
        self.resident = 0
        seen = {}
        for egress_id, pid in pids.items():
            load, family = self.loads.get(egress_id), processes.family_use(pid)
            if load is None or family is None:
                continue
            used, resident = family
            before = self._cpu.get(egress_id)
            if before is not None and before[0] == pid and now > before[1]:
                # A descendant that ended and was nobody's to collect takes its time with it.
                load.cores = max(0.0, used - before[2]) / (now - before[1])
            seen[egress_id] = pid, now, used
            load.memory = resident / GIGABYTE
            self.resident += resident
        self._cpu = seen
        busy, total = processes.busy_seconds()
        if total > self._busy[1]:
            self.busy = (busy - self._busy[0]) / (total - self._busy[1])
        self._busy = busy, total
        memory = processes.cgroup_bytes() if self._from_cgroup else None
        self.machine = Machine(self.machine.cores, (self.resident if memory is None else memory) / GIGABYTE)

    def starving(self) -> str | None:
        """The egress to stop because they have taken too much for some time; asked once for each sample."""
        return self._admission.overloaded(self.machine)

    def out_of_memory(self) -> str | None:
        """The egress to end because too much memory has been in use for the grace period."""
        greedy = self._admission.out_of_memory(self.machine)
        now = monotonic()
        if greedy is None:
            self._over_since = None
            return None
        self._over_since = now if self._over_since is None else self._over_since
        return greedy if now - self._over_since >= self._grace else None
