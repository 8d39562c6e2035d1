"""When cron expressions are due by `croniter`, and what those times of day are in a zone by Python's own `zoneinfo`.

One JSON document a line in: `{"expression": .., "zone": .., "after": SECONDS, "count": N}`; one out: the seconds of the slots.
"""

import importlib.resources
import json
import sys
import zoneinfo
from datetime import datetime, timedelta, timezone

from croniter import croniter

# The database of the package `tzdata`, not that of the machine.
zoneinfo.reset_tzpath(to=[str(importlib.resources.files("tzdata") / "zoneinfo")])

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def seconds(moment):
    return int((moment - EPOCH).total_seconds())


def end_of_gap(civil, zone):
    """The moment at which the clocks of a zone skip a time, found by halving."""
    low = seconds(civil.replace(tzinfo=timezone.utc)) - 2 * 86400
    high = low + 4 * 86400

    def shows_less(at):
        shown = datetime.fromtimestamp(at, zone).replace(tzinfo=None)
        return shown < civil

    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if shows_less(middle) else (low, middle)
    return high


def moment(civil, zone):
    """The first moment at which the clocks of a zone show a time, or at which they skip it."""
    first = seconds(civil.replace(tzinfo=zone, fold=0).astimezone(timezone.utc))
    if datetime.fromtimestamp(first, zone).replace(tzinfo=None) == civil:
        return first
    return end_of_gap(civil, zone)


def slots(expression, zone, after, count):
    zone = zoneinfo.ZoneInfo(zone)
    # From far enough before: of two moments that the clocks show alike the first counts.
    start = datetime.fromtimestamp(after, zone).replace(tzinfo=None) - timedelta(days=2)
    times, found = croniter(expression, start), []
    while len(found) < count:
        at = moment(times.get_next(datetime), zone)
        if at > after and (not found or at > found[-1]):
            found.append(at)
    return found


def main():
    if sys.argv[1:] == ["zones"]:
        names = importlib.resources.files("tzdata").joinpath("zones").read_text().split()
        print(json.dumps([name for name in names if name != "localtime"]))
        return
    for line in sys.stdin:
        question = json.loads(line)
        print(json.dumps(slots(question["expression"], question["zone"], question["after"], question["count"])), flush=True)


main()
