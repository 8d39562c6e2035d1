"""Makes the packages of another interpreter visible in the environment that runs this, behind its own ones.

Arguments: a directory of modules that comes with the image, or "", then the package directories of the other interpreter.
"""

import importlib.metadata
import os
import sys
import sysconfig

source, *directories = sys.argv[1:]

# `addsitedir` and not the bare path: packages that are installed in place are found by .pth files of their own.
lines = [source] if source else []
lines += [f"import site; site.addsitedir({directory!r})" for directory in directories]
with open(os.path.join(sysconfig.get_path("purelib"), "_spanwise.pth"), "w", encoding="utf-8") as file:
    file.write("".join(f"{line}\n" for line in lines))

# A program names the interpreter that it belongs to, so those of the other one would not see this environment.
START = f"#!{sys.executable}\n"
if " " in sys.executable or len(START) > 250:
    # The kernel would not understand it. The shell does, and Python reads a string there.
    START = f"#!/bin/sh\n'''exec' \"{sys.executable}\" \"$0\" \"$@\"\n' '''\n"

for distribution in importlib.metadata.distributions(path=directories):
    for entry in distribution.entry_points.select(group="console_scripts"):
        path = os.path.join(os.path.dirname(sys.executable), entry.name)
        if os.path.exists(path):
            continue
        module, _, attribute = entry.value.split("[")[0].replace(" ", "").partition(":")
        first = attribute.split(".")[0]
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"{START}import sys\nfrom {module} import {first}\nsys.exit({attribute}())\n")
        os.chmod(path, 0o755)
