# What an app of the stock SDK has beside it. This text comes behind that of `sdk.py`. An app sleeps while nobody asks for it: whoever does
# waits for the start, most of which is imports.

import signal

# What `fserve` imports before the code of the app, and what the SDK's own kinds of apps serve with, where it is installed.
NEEDED = ["flyte._bin.serve"]
USEFUL = [
    "cloudpickle",
    "flyte._initialize",
    "flyte._internal.resolvers.app_env",
    "flyte._internal.runtime.entrypoints",
    "flyte.app",
    "flyte.app._parameter",
    "flyte.app.extras",
    "flyte.remote._client.auth._session",
    "flyte.remote._client.controlplane",
    "flyte.storage",
    "pyqwest._glue",
    "opentelemetry.propagate",
    "httpcore",
    "uvicorn",
    "uvicorn.lifespan.on",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
    "fastapi",
    "fastapi.responses",
]


def begin(_claim, _arguments):
    """An app ends by the signal, unless what it is served with has another mind: nobody waits for the thread of a server that is not async."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
