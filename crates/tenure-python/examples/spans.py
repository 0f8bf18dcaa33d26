"""Spans of OpenTelemetry around a lock: one for the wait and one for the time that it is held, with
the key and the fence. A lost lock is an error of the second.

    pip install opentelemetry-sdk
    python spans.py

It prints:

    lock.wait key=report fence=- UNSET
    lock.hold key=report fence=yes UNSET
    lock.wait key=report fence=- UNSET
    lock.hold key=report fence=yes ERROR LockLost
    lock.wait key=report fence=- ERROR Busy
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import tenure
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

tracer = trace.get_tracer("shop")


@contextmanager
def traced(key: str, lock: tenure.Lock) -> Iterator[tenure.Guard]:
    """The lock in a ``with``, with its spans."""
    with ExitStack() as stack:
        with tracer.start_as_current_span("lock.wait", attributes={"lock.key": key}):
            guard = stack.enter_context(lock)
        attributes: dict[str, str | int] = {"lock.key": key, "lock.fence": guard.fence}
        with tracer.start_as_current_span("lock.hold", attributes=attributes):
            yield guard
            guard.check()


def shown(span: ReadableSpan) -> str:
    attributes = span.attributes or {}
    fence = "yes" if "lock.fence" in attributes else "-"
    errors = [str((event.attributes or {})["exception.type"]) for event in span.events]
    names = [error.rpartition(".")[2] for error in errors]
    words = [span.name, f"key={attributes['lock.key']!s}", f"fence={fence}"]
    return " ".join([*words, span.status.status_code.name, *names])


def main() -> None:
    from tenure.testing import World

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)

    world = World()
    report = world.locks.mutex("report", wait=0.1)
    with traced("report", report):
        pass
    try:
        with traced("report", report):
            world.lose("report")
    except tenure.LockLost:
        pass
    try:
        with world.busy("report"), traced("report", report):
            pass
    except tenure.Busy:
        pass
    for span in exporter.get_finished_spans():
        print(shown(span))


if __name__ == "__main__":
    main()
