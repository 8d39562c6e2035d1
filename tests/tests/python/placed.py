"""A run with default settings under a caller's span, whose tasks make spans as Flyte's guide says: nobody exports a lifecycle."""

import os

import flyte
import session
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import extract, inject
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

env = flyte.TaskEnvironment(name="placed")


def tracer():
    # Each span is sent when it ends, by the process of its task.
    provider = TracerProvider(resource=Resource.create({"service.name": "placed.py"}))
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
    return provider.get_tracer("placed.py")


@env.task
async def leaf() -> str:
    parent = extract(flyte.ctx().custom_context)
    with tracer().start_as_current_span("span of leaf", context=parent):
        return flyte.ctx().custom_context["traceparent"]


@env.task
async def main() -> str:
    parent = extract(flyte.ctx().custom_context)
    with tracer().start_as_current_span("span of main", context=parent):
        carrier = {}
        inject(carrier)
        with flyte.custom_context(**carrier):
            return await leaf()


@session.remote_case
def under_a_caller(_scratch):
    trace_id, caller = os.urandom(16).hex(), os.urandom(8).hex()
    options = {"custom_context": {"traceparent": f"00-{trace_id}-{caller}-01"}, "disable_run_cache": True}
    run = session.start(main, options=options)
    session.output(run)
    return {"run": run.name, "trace": trace_id, "caller": caller}


if __name__ == "__main__":
    session.main()
