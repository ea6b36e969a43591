"""Whether another egress fits on this machine, and which one must go when it does not. Pure: figures come in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pyegress.clock import Monotonic
from pyegress.errors import Code, EgressError, Fault
from pyegress.service.config_sections import CostSection

#: How long what was declared counts before what is measured does, seconds.
DECLARED_FOR = 15.0
#: Gigabytes that stay free.
HEADROOM = 1.0
#: Ticks of a second with too much load before something is done, and calm ones that end the count.
OVERLOADED_TICKS, CALM_TICKS = 10, 5
OVERLOAD = 0.95


@dataclass(slots=True)
class Load:
    """One egress: what it was said to cost, and what it takes. Cores and gigabytes."""

    declared: float
    since: Monotonic
    cores: float = 0.0
    memory: float = 0.0

    def counted(self, now: Monotonic) -> float:
        """Cores to reckon with."""
        return max(self.declared, self.cores) if now - self.since < DECLARED_FOR else self.cores


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is: cores (of our cgroup), and gigabytes in use by whatever `memory_source` counts."""

    cores: float
    memory: float = 0.0


@dataclass(slots=True)
class Admission:
    """The loads of all egresses of this node."""

    costs: CostSection
    loads: dict[str, Load] = field(default_factory=dict)
    _hot: int = 0
    _calm: int = 0

    def available(self, machine: Machine, now: Monotonic) -> float:
        """Cores that another egress may take."""
        if not self.loads:
            return machine.cores
        used = sum(load.counted(now) for load in self.loads.values())
        return machine.cores * self.costs.max_cpu_utilization - used

    def refusal(
        self, cost: float, machine: Machine, now: Monotonic, *, memory: float | None = None
    ) -> EgressError | None:
        """Why an egress of `cost` cores (and `memory` GB, else memory_cost) cannot be taken; None when it can."""
        available = self.available(machine, now)
        if available < cost:
            return _full(
                f"not enough CPU: this node has {max(0.0, available):.2f} of {machine.cores:g} cores left and the "
                f"request needs {cost:.2f}"
            )
        if self.costs.max_memory:
            own = (self.costs.memory_cost if memory is None else memory) + HEADROOM
            if machine.memory + own >= self.costs.max_memory:
                return _full(
                    f"not enough memory: {machine.memory:.1f} of {self.costs.max_memory:g} GB are in use and the "
                    f"request needs {own:.1f}"
                )
        return None

    def after(self, cost: float, machine: Machine, now: Monotonic) -> float:
        """The load, 0 to 1, with another egress of `cost`."""
        used = sum(load.counted(now) for load in self.loads.values())
        return min(1.0, max(0.0, (used + cost) / machine.cores))

    def overloaded(self, machine: Machine) -> str | None:
        """Asked each second: the egress that is to be stopped now, if one is.

        Only what the egresses take themselves counts: that others are busy ends no recording. The one that takes most
        beyond what was declared goes, never the only one, and nobody who keeps to it.
        """
        load = sum(load.cores for load in self.loads.values()) / machine.cores
        limit = OVERLOAD if self.costs.max_cpu_utilization < OVERLOAD else (1 + self.costs.max_cpu_utilization) / 2
        if load > limit:
            self._hot, self._calm = self._hot + 1, 0
        else:
            self._calm += 1
            if self._calm >= CALM_TICKS:
                self._hot = 0
        if self._hot < OVERLOADED_TICKS or len(self.loads) < 2:
            return None
        self._hot = 0
        excess = {egress_id: load.cores - load.declared for egress_id, load in self.loads.items()}
        most = max(excess, key=lambda egress_id: excess[egress_id])
        return most if excess[most] > 0 else None

    def out_of_memory(self, machine: Machine) -> str | None:
        """The egress that holds most while more memory is in use than may be."""
        if not self.costs.max_memory or machine.memory <= self.costs.max_memory or not self.loads:
            return None
        memory: Mapping[str, float] = {egress_id: load.memory for egress_id, load in self.loads.items()}
        return max(memory, key=lambda egress_id: memory[egress_id])


def _full(what: str) -> EgressError:
    return EgressError(
        what,
        code=Code.UNAVAILABLE,
        fault=Fault.SERVER,
        retryable=True,
        remedy="Try again later or on another node; cpu_cost in the configuration says what an egress is reckoned with",
    )
