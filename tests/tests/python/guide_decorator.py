"""The guide on OpenTelemetry with its reusable decorator, word for word. What is not the guide's is marked as added or replaced.

Replaced are the address of the page and the exporter with its import line (a test cannot read the console of another process).
"""

# Added: imports that the guide's snippets use but do not show.
import json
import os

import flyte
import httpx
from flyte.remote import Action

# Installation
image = flyte.Image.from_debian_base().with_pip_packages(
    "opentelemetry-sdk",
    "opentelemetry-instrumentation-httpx",   # one per library you want auto-instrumented
    "httpx",
)

# Added: the environment of the tasks; its variable takes the exporter's address into their processes.
env = flyte.TaskEnvironment(
    name="guide",
    image=image,
    env_vars={"OTEL_EXPORTER_OTLP_ENDPOINT": os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"]},
)

# Configure the tracer. Replaced: `ConsoleSpanExporter` by the exporter below.
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor

trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
HTTPXClientInstrumentor().instrument()
tracer = trace.get_tracer("my.app")

# Reusable decorator
import functools
from opentelemetry.propagate import extract, inject

def traced(span_name: str):
    def decorator(fn):
        @functools.wraps(fn)
        async def wrapper(*args, **kwargs):
            parent = extract(flyte.ctx().custom_context)
            with tracer.start_as_current_span(span_name, context=parent):
                carrier = {}
                inject(carrier)
                with flyte.custom_context(**carrier):
                    return await fn(*args, **kwargs)
        return wrapper
    return decorator


@env.task
@traced("fetch")
async def fetch(url: str) -> int:
    async with httpx.AsyncClient() as client:
        resp = await client.get(url)
    return resp.status_code

# Added: the guide shows the decorator on `fetch` alone.
@env.task
@traced("main")
async def main(url: str) -> int:
    return await fetch(url)

# Added: the driver's part stands under a condition, since the tasks' processes import this file; and the connection.
if __name__ == "__main__":
    flyte.init(
        endpoint=os.environ["SPANWISE_ENDPOINT"],
        insecure=True,
        project="flytesnacks",
        domain="development",
        image_builder=os.environ.get("GUIDE_IMAGE_BUILDER", "remote"),
    )

    # Start a trace and pass it into the run. Replaced: the address of the page.
    from opentelemetry.propagate import inject

    with tracer.start_as_current_span("workflow_run"):
        carrier = {}
        inject(carrier)   # writes traceparent (and tracestate/baggage if configured) into carrier
        run = flyte.with_runcontext(custom_context=carrier).run(main, url=os.environ["GUIDE_URL"])
        print(run.url)

    # Added: the end of the run, for the test.
    run.wait(quiet=True)
    run.raise_for_status()
    actions = {action.task_name: action.phase.value for action in Action.listall(for_run_name=run.name)}
    print("RESULT " + json.dumps({"url": run.url, "status": run.outputs()[0], "actions": actions, "carrier": carrier}))
