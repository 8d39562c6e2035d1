"""Prints what an interpreter is, as JSON: what environments that are made from it need to know."""

import importlib.metadata
import importlib.util
import json
import os
import sys


def version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


print(
    json.dumps(
        {
            "executable": sys.executable,
            "version": list(sys.version_info[:3]),
            "flyte": version("flyte"),
            "has_pip": importlib.util.find_spec("pip") is not None,
            "site_packages": [
                path for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages")
            ],
        }
    )
)
