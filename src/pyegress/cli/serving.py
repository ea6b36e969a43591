"""Runs the service: supervisor, doors, health; signals; a drain that may be cut short."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

from pyegress.browser.programs import missing_programs
from pyegress.cli.doors import Door, doors_of, load_doors
from pyegress.errors import EgressError
from pyegress.service.config import ServiceConfig, check_server, load_config
from pyegress.service.health import OperationsServer
from pyegress.service.logs import configure_logging
from pyegress.service.supervisor import Supervisor
from pyegress.service.template_app import TemplateServer
from pyegress.service.zygote import Zygote
from pyegress.worker.zygote import fork_zygote

logger = logging.getLogger(__name__)

_DRAINS = (signal.SIGTERM, signal.SIGQUIT)


def run_service(path: str = "", body: str = "") -> None:
    """Serve until a signal ends it. Raises EgressError for what keeps it from beginning."""
    # Before anything is known that a worker need not know, and before there are threads.
    load_doors(path, body)
    zygote = Zygote(fork_zygote())
    loaded = load_config(path, body)
    config = loaded.config
    check_server(config)
    configure_logging(config.logging.level, as_json=config.logging.json, secrets=config.secrets)
    for warning in loaded.warnings:
        logger.warning("%s", warning)
    _run_loop(serve(config, zygote=zygote))


async def serve(config: ServiceConfig, *, opened: asyncio.Event | None = None, zygote: Zygote | None = None) -> None:
    """Serve until a signal ends it; `opened` is set when every door is open. `zygote` makes the workers."""

    def missing() -> EgressError | None:
        return missing_programs(config.browser.executable)

    async with Supervisor(config, browser_missing=missing, zygote=zygote) as supervisor, AsyncExitStack() as stack:
        signals = Signals(supervisor)
        stack.callback(signals.aclose)
        operations = OperationsServer(
            supervisor,
            health_port=config.health_port,
            prometheus_port=config.prometheus_port,
            debug_port=config.debug_port,
            debug_host=config.debug_host,
        )
        stack.push_async_callback(operations.aclose)
        await operations.open()
        if config.serves_templates:
            templates = TemplateServer(config.template_port)
            stack.push_async_callback(templates.aclose)
            await templates.open()
        doors = doors_of(config, supervisor)
        for door in doors:
            # Also one that was half opened.
            stack.push_async_callback(door.close)
            await door.open()
        supervisor.report_left()
        logger.info("node %s serves: %s", supervisor.node_id, ", ".join(door.name for door in doors))
        if opened is not None:
            opened.set()
        await signals.first()
        await _end(supervisor, doors)


class Signals:
    """The first SIGTERM or SIGQUIT drains, SIGINT and every later signal end what runs."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._first = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        for number in (*_DRAINS, signal.SIGINT):
            self._loop.add_signal_handler(number, self._on_signal, number)

    async def first(self) -> None:
        """Wait for the first one."""
        await self._first.wait()

    def aclose(self) -> None:
        """Give the signals back."""
        for number in (*_DRAINS, signal.SIGINT):
            self._loop.remove_signal_handler(number)

    def _on_signal(self, number: signal.Signals) -> None:
        if self._first.is_set() or number is signal.SIGINT:
            logger.info("%s: recordings are ended now", number.name)
            self._supervisor.end_now()
        else:
            logger.info("%s: nothing new is taken, %d recordings run", number.name, len(self._supervisor.running()))
        self._supervisor.draining = True
        self._first.set()


async def _end(supervisor: Supervisor, doors: list[Door]) -> None:
    for door in doors:
        await door.refuse()
    await supervisor.drain()
    logger.info("every recording has ended")


def _run_loop(main: Coroutine[Any, Any, None]) -> None:
    try:
        from uvloop import run
    except ImportError:
        asyncio.run(main)
    else:
        run(main)
