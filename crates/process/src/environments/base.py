"""Prints what an interpreter is, as JSON: what is needed to start it again, and to make environments from it.

Argument: the package that tasks are written with.
"""

import importlib.metadata
import importlib.util
import json
import os
import sys
import sysconfig


def version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def location(package):
    """Where a package would be imported from; nothing of it is run."""
    found = importlib.util.find_spec(package)
    places = list(found.submodule_search_locations or []) if found else []
    return places[0] if places else None


def environment():
    """As it was at the exec: without what the interpreter adds by itself."""
    try:
        with open("/proc/self/environ", "rb") as file:
            pairs = [pair.decode(errors="ignore").split("=", 1) for pair in file.read().split(b"\0") if b"=" in pair]
    except OSError:
        return dict(os.environ)
    return dict(pairs)


standard = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}


def has_packages(place):
    is_own = os.path.basename(place) in ("site-packages", "dist-packages")
    return is_own or not standard & {place, os.path.dirname(place)}


sdk = sys.argv[1]
places = [os.path.abspath(place) for place in sys.path if place and os.path.isdir(place)]

print(
    json.dumps(
        {
            "executable": sys.executable,
            # What stands between the interpreter and `-c`: a wrapper has put it there.
            "options": getattr(sys, "orig_argv", [])[1:-3],
            "environment": environment(),
            "version": list(sys.version_info[:3]),
            "sdk": version(sdk),
            "sdk_location": location(sdk),
            "has_pip": importlib.util.find_spec("pip") is not None,
            "paths": places,
            "packages": [place for place in places if has_packages(place)],
        }
    )
)
