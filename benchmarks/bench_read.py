"""From the files to a DataFrame: the history of a run of 100,000 rows of 3 scalars, with every value looked at once.

In a fresh process each time, after the same tool has read a small run, so that imports and first calls are paid;
files are in the page cache. W&B has no reader of its offline files, so it is read by one of ours."""
import time
from pathlib import Path

import trackers
from common import Bar, Figure, Options, failed, figures, main, open_tool, run

BARS = {'history to a DataFrame, wall ms': Bar(10, 50), 'history to a DataFrame, CPU ms': Bar(10, 50)}
NAMES = ('mlkit', 'trackio', 'tensorboard', 'wandb', 'aim')


def child(job:dict)->dict:
    if 'rows' in job:
        tool = open_tool(job)
        for i in range(job['rows']): tool.log({'loss': i/7, 'acc': .5, 'lr': 1e-3})
        tool.finish()
        return {}
    frames = trackers.ALL[job['tool']].frames
    frames(Path(job['small']))
    wall, cpu = time.perf_counter(), time.process_time()
    df = frames(Path(job['large']))[0]
    total = sum(float(df[k].sum()) for k in ('loss', 'acc', 'lr'))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return dict(wall=wall*1e3, cpu=cpu*1e3, rows=len(df), total=total)


def measure(o:Options)->list[Figure]:
    rows, names, out = 10_000 if o.quick else 100_000, list(o.pick(*NAMES)), []
    for tool in list(names):
        for size, n in (('small', 20), ('large', rows)):
            (at := o.folder/f'{tool}-{size}').mkdir()
            got = run(__file__, dict(tool=tool, rows=n, folder=at), o)
        if 'error' in got:
            out.append(failed('history to a DataFrame, wall ms', tool, got['error']))
            names.remove(tool)
    results:dict[str, list[dict]] = {tool: [] for tool in names}
    for _ in range(o.rounds):
        for tool in names:
            r = run(__file__, dict(tool=tool, small=o.folder/f'{tool}-small', large=o.folder/f'{tool}-large'), o)
            if r.get('rows', rows) != rows: r = dict(error=f"{r['rows']} of {rows} rows came back")
            results[tool].append(r)
    for kind in ('wall', 'CPU'): out += figures(f'history to a DataFrame, {kind} ms', results, kind.lower())
    return out


if __name__ == '__main__': main(child, measure, BARS)
