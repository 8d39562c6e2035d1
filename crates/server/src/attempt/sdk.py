# What a process of the stock SDK has beside it, whether it runs a task or an app: it may be forked from one that has imported the SDK already.
# This text comes behind that of `attempt.py` (in `crates/process`), and puts functions of its own in the place of some of that one's.

import os
import sys

# Modules whose import-time reads `refresh` repeats in the child.
REFRESHED = {"fsspec.config", "flyte._logging"}


def refresh():
    """Repeats what modules of REFRESHED did with the environment when they were imported."""
    config = sys.modules.get("fsspec.config")
    if config is not None:
        config.conf_dir = os.environ.get("FSSPEC_CONFIG_DIR", config.default_conf_dir)
        config.conf.clear()
        config.set_conf_files(config.conf_dir, config.conf)
        config.set_conf_env(config.conf)
    logs = sys.modules.get("flyte._logging")
    if logs is not None:
        for logger, level in (
            (logs.logger, logs.get_env_log_level()),
            (logs.user_logger, logs.get_env_user_log_level()),
        ):
            logger.setLevel(level)
            for handler in logger.handlers:
                handler.setLevel(level)


def differs(environment, imported_with):
    """The SDK, when imported, wraps functions of its own to log each call if it is to."""
    return "LOG_LEVEL" if debugs(environment) != debugs(imported_with) else None


def debugs(environment):
    level = environment.get("LOG_LEVEL", "")
    return level.lower() == "debug" or (level.isdigit() and int(level) <= 10)
