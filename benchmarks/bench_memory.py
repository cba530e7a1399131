"""Memory that logging takes beyond the page cache: how RssAnon of the process and all below it grows over 10 million
points.

Peers get fewer points, which would take them hours: the number stands behind theirs. Linux only."""
import contextlib
import os
import time
from pathlib import Path

from common import Bar, Figure, Options, figures, family, main, number, open_tool, rounds

WHAT = 'memory beyond the page cache, MiB, 10 million points'
POINTS = {'mlkit': 10_000_000, 'nothing': 10_000_000, 'trackio': 1_000_000, 'tensorboard': 1_000_000, 'wandb': 300_000,
    'aim': 30_000, 'mlflow': 1_500, 'dvclive': 1_500}
BARS = {WHAT: Bar(64)}


def anon()->float:
    "MiB of anonymous memory of this process and all below it."
    kib = 0
    for pid in family(os.getpid()):
        with contextlib.suppress(OSError, StopIteration):
            lines = Path(f'/proc/{pid}/status').read_text().splitlines()
            kib += int(next(s for s in lines if s.startswith('RssAnon')).split()[1])
    return kib/1024


def child(job:dict)->dict:
    tool, rows = open_tool(job), job['points']//3
    tool.log({'loss': 0., 'acc': .5, 'lr': 1e-3})
    time.sleep(job['settle'])                                            # what the start takes is not counted here
    before = most = anon()
    for part in range(50):
        for i in range(rows//50): tool.log({'loss': (part + i)/7, 'acc': .5, 'lr': 1e-3})
        most = max(most, anon())
    tool.finish()
    return dict(mib=max(most, anon()) - before)


def measure(o:Options)->list[Figure]:
    out = []
    for tool in o.pick(*POINTS):
        points = POINTS[tool] if tool == 'mlkit' or not o.quick else POINTS[tool]//10
        [f] = figures(WHAT, rounds(__file__, o, [tool], 1, points=points, settle=1), 'mib')
        out.append(f if points == POINTS['mlkit'] else f._replace(text=f'{number(f.value)} ({points:,})'))
    return out


if __name__ == '__main__': main(child, measure, BARS)
