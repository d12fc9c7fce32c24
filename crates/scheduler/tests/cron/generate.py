#!/usr/bin/env python3
"""Makes ticks.txt: what two other implementations of cron say.

    python3 generate.py pairs > pairs.tsv            # zone, expression and time
    some-oracle < pairs.tsv > croner.txt             # the crate croner: a time or `none` a line
    python3 generate.py ticks pairs.tsv croner.txt > ticks.txt

Needs the package cronsim. A line of ticks.txt is a zone, an expression and pairs: a time in seconds since 1970, and the
seconds to the next tick by cronsim; by croner behind a slash if it says something else, `-` for none.
"""

import random
import sys
from datetime import datetime, timezone
from itertools import groupby
from zoneinfo import ZoneInfo

ZONES = {
    # Changes of the clock around which times are taken.
    "Europe/Berlin": ["2026-03-29T01:00", "2026-10-25T01:00", "2027-03-28T01:00"],
    "America/New_York": ["2026-03-08T07:00", "2026-11-01T06:00"],
    "Australia/Lord_Howe": ["2026-04-04T15:00", "2026-10-03T15:30"],
    "Pacific/Apia": ["2011-09-24T14:00", "2011-12-30T10:00", "2012-03-31T14:00"],
}
MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()
DAYS = "SUN MON TUE WED THU FRI SAT".split()
# Common ones, and those that aim at the hour of the change.
GIVEN = """
* * * * *|*/5 * * * *|*/15 * * * *|0 * * * *|30 * * * *|0 0 * * *|0 2 * * *|30 2 * * *|15 2 * * *|0 3 * * *|30 1 * * *
0,30 1,2,3 * * *|*/10 2 * * *|*/30 1-3 * * *|5 */2 * * *|0 */3 * * *|30 2 * * SUN|30 2 * * 7|0 2 29 3 *|15,45 1 * * *
0 9 * * MON-FRI|0 0 1 * *|0 0 1 1 *|0 0 29 2 *|0 0 31 * *|0 12 13 * FRI|0 0 1,15 * 1|0 0 */2 * 1|0 0 * * */2|59 23 * * 0
0 0 30 12 *|30 2 30 12 *|0 9 30 12 *|0 0 31 12 *|0 */4 30 12 *|* * 30 12 *|0 1 25 10 *|30 1 1 11 *|45 1 * 4 *|50 1 5 4 *
0 0-23 * * *|10-20 2 * * *|0-59/7 1-3 * * *|0 22-23,0-6/2 * JAN,MAR-OCT/2 *|0 0 28-31 * MON|13 4 * * 1-5|17 */6 * * *
""".replace("\n", "|").strip("|").split("|")


def item(draw, low, high, names):
    def value(number):
        return names[number - low] if names and draw.random() < 0.3 else str(number)

    kind = draw.random()
    first = draw.randint(low, high)
    last = draw.randint(first, high)
    if kind < 0.55:
        return value(first)
    if kind < 0.75:
        return f"{value(first)}-{value(last)}"
    if kind < 0.9 and first < last:
        return f"{value(first)}-{value(last)}/{draw.randint(1, max(1, min(7, high - low)))}"
    return f"{value(first)}/{draw.randint(1, max(1, (high - low) // 2))}"


def field(draw, low, high, star, names=None):
    kind = draw.random()
    if kind < star:
        return "*"
    if kind < star + 0.15:
        return f"*/{draw.randint(2, max(2, min(15, high - low)))}"
    return ",".join(item(draw, low, high, names) for _ in range(draw.choice([1, 1, 1, 2, 3])))


def expression(draw):
    return " ".join([
        field(draw, 0, 59, 0.15),
        draw.choice(["1", "2", "3", "1-3", "*/2"]) if draw.random() < 0.3 else field(draw, 0, 23, 0.25),
        field(draw, 1, 31, 0.6),
        field(draw, 1, 12, 0.7, MONTHS),
        field(draw, 0, 6, 0.6, DAYS),
    ])


def pairs():
    from cronsim import CronSim, CronSimError

    draw = random.Random(16)
    expressions = list(dict.fromkeys(GIVEN))
    while len(expressions) < 500:
        made = expression(draw)
        try:
            CronSim(made, datetime(2026, 1, 1))
        except CronSimError:
            continue
        if made not in expressions:
            expressions.append(made)
    for zone, changes in ZONES.items():
        changes = [int(datetime.fromisoformat(c + "+00:00").timestamp()) for c in changes]
        for made in expressions:
            for spread in [1800, 4 * 3600, 4 * 3600, 30 * 3600, 200 * 86400]:
                after = draw.choice(changes) + draw.randint(-spread, spread)
                if draw.random() < 0.5:
                    after -= after % 60
                print(f"{zone}\t{made}\t{after}")


def by_cronsim(zone, made, after):
    from cronsim import CronSim

    try:
        found = next(CronSim(made, datetime.fromtimestamp(after, ZoneInfo(zone))))
    except StopIteration:
        return None
    return int(found.astimezone(timezone.utc).timestamp())


def ticks(pairs_file, croner_file):
    rows = []
    for line, second in zip(open(pairs_file), open(croner_file), strict=True):
        zone, made, after = line.rstrip("\n").split("\t")
        after = int(after)
        first, second = by_cronsim(zone, made, after), second.strip()
        second = int(second) if second.lstrip("-").isdigit() else second
        show = lambda time: str(time - after) if isinstance(time, int) else "-"
        pair = f"{after}+{show(first)}"
        if second != first:
            pair += f"/{show(second)}"
        rows.append((zone, made, pair))
    for (zone, made), group in groupby(rows, key=lambda row: row[:2]):
        print(f"{zone}\t{made}\t{' '.join(row[2] for row in group)}")


if __name__ == "__main__":
    pairs() if sys.argv[1] == "pairs" else ticks(*sys.argv[2:])
