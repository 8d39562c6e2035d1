"""Spans of tasks, sent by the stock OpenTelemetry exporter without a word about where to."""

import os

import flyte
import session
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

env = flyte.TaskEnvironment(name="spans")


def traced(name):
    """A span with a child, sent before this returns; the id of their trace."""
    provider = TracerProvider(resource=Resource.create({"service.name": "spans.py"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    tracer = provider.get_tracer("spans.py")
    with tracer.start_as_current_span(name) as outer:
        with tracer.start_as_current_span(f"{name} \N{SNOWMAN}"):
            pass
    assert provider.force_flush()
    provider.shutdown()
    return f"{outer.get_span_context().trace_id:032x}"


@env.task
async def sends(name: str) -> dict[str, str]:
    variables = {key: value for key, value in os.environ.items() if key.startswith("OTEL_")}
    return {"trace": traced(name), **variables}


@env.task
async def where(name: str) -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key.startswith("OTEL_")}


@session.remote_case
def sent_by_a_task(_scratch):
    return session.call(sends, name="of a task")


@session.remote_case
def said_by_the_run(_scratch):
    options = {"env_vars": {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/v1/traces"}}
    return session.call(where, name="", options=options)


@session.remote_case
def said_by_nobody(_scratch):
    return session.call(where, name="")


@session.remote_case
def sent_by_a_program(_scratch):
    return {"traces": [traced(f"program {number}") for number in range(3)]}


if __name__ == "__main__":
    session.main()
