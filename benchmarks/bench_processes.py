"""Several processes at once: 8 runs in one store, and 8 ranks in one run, against one process alone.

All wait at a barrier, then log at full speed. Errors are processes that failed; lost are rows of the others that the
reader does not give back. The cost is the median call of the median process; with more processes than cores they wait
for each other, so as many as there are cores are measured too. Peers find their store already made: Aim and MLflow
fail when two processes create it at once."""
import os
import statistics as st
import time
from pathlib import Path

from common import Bar, Child, Figure, Options, fresh, main, number, open_tool, run

CORES, MANY = os.cpu_count() or 1, 8
BARS = {f'{MANY} processes, {where}: rows lost, processes failed': Bar(0) for where in ('one store', 'one run')}
BARS |= {f'{n} processes, {where}: median call against one process': Bar(1.5)
    for n in (MANY, min(MANY, CORES)) for where in ('one store', 'one run')}
BASE = 1_000_000 # what tells the ranks' rows apart; float32 holds 16 times that
CALLS = {'mlkit': 20_000, 'trackio': 2_000, 'tensorboard': 2_000, 'wandb': 2_000, 'aim': 500, 'mlflow': 25}
SHARED = ('mlkit', 'trackio', 'tensorboard', 'mlflow')
clock = time.perf_counter_ns


def child(job:dict)->dict:
    if 'read' in job: return found(job)
    if (rank := job['rank']) and job.get('shared'): wait_for(Path(job['folder'])/'ready-0')
    tool, ts, folder = open_tool(job), [], Path(job['folder'])
    if job.get('first'): return tool.log({'loss': -1.}) or tool.finish() or {}
    tool.log({'loss': float(rank*BASE), 'acc': .5, 'lr': 1e-3})
    (folder/f'ready-{rank}').touch()
    wait_for(folder/'go')
    for i in range(1, job['calls']):
        t = clock()
        tool.log({'loss': float(rank*BASE + i), 'acc': .5, 'lr': 1e-3})
        ts.append(clock() - t)
    (folder/f'done-{rank}').touch()
    for r in range(job['n'] if job.get('shared') else 0): wait_for(folder/f'done-{r}', 60)
    tool.finish()
    return dict(median=st.median(ts)/1e3)


def wait_for(path:Path, seconds:float=90.)->None:
    end = time.monotonic() + seconds
    while not path.exists() and time.monotonic() < end: time.sleep(.01)


def found(job:dict)->dict:
    "How many of the rows that were logged the reader gives back."
    import trackers
    frames = trackers.ALL[job['tool']].frames(Path(job['folder']))
    rows = {int(x) for df in frames if 'loss' in df for x in df['loss'].dropna()}
    return dict(rows=len(rows & {r*BASE + i for r in job['ranks'] for i in range(job['calls'])}))


def together(tool:str, n:int, shared:bool, o:Options)->dict:
    "Start `n` processes, let them log at once, and read everything back."
    calls = CALLS[tool]//(5 if o.quick else 1)
    with fresh(o) as folder:
        job = dict(tool=tool, n=n, folder=folder, calls=calls, shared='shared' if shared else None)
        env = dict(WORLD_SIZE=n, MASTER_ADDR='127.0.0.1', MASTER_PORT=29500) if shared else {}
        if tool != 'mlkit': run(__file__, dict(job, rank=0, first=True, shared=None), o)
        kids = [Child(__file__, dict(job, rank=r), o, **env, **(dict(RANK=r) if shared else {})) for r in range(n)]
        for r, k in enumerate(kids):
            while not (folder/f'ready-{r}').exists() and k.process.poll() is None: time.sleep(.01)
        (folder/'go').touch()
        got = [k.wait() for k in kids]
        errors = [g['error'] for g in got if 'error' in g]
        for e in errors[:1]: print(f'{tool}, {n} processes: {e}')
        ranks = [r for r, g in enumerate(got) if 'error' not in g]
        back = run(__file__, dict(job, read=True, ranks=ranks), o)
        if 'error' in back: print(f"{tool}, {n} processes: reading back: {back['error']}")
        us = st.median(got[r]['median'] for r in ranks) if ranks else None
        return dict(errors=len(errors), lost=len(ranks)*calls - back.get('rows', 0), calls=n*calls, us=us)


def measure(o:Options)->list[Figure]:
    out, names = [], o.pick(*CALLS)
    cases = [(n, shared) for n in sorted({MANY, min(MANY, CORES)}) for shared in (False, True)]
    got:dict = {}
    for _ in range(1 if o.quick else min(o.rounds, 3)):
        for tool in names:
            for n, shared in [(1, False), *cases]:
                if shared and tool not in SHARED: continue
                got.setdefault((tool, n, shared), []).append(together(tool, n, shared, o))
    def us(*key): return st.median([g['us'] for g in got[key] if g['us']] or [float('nan')])
    out += [Figure('1 process: median call, us', tool, us(tool, 1, False)) for tool in names]
    for n, shared in cases:
        where = f"{n} processes, {'one run' if shared else 'one store'}"
        for tool in names:
            if (tool, n, shared) not in got: continue
            errors, lost, calls = (sum(g[k] for g in got[tool, n, shared]) for k in ('errors', 'lost', 'calls'))
            text = f'{lost:,} of {calls:,}' + (f', {errors} failed' if errors else '')
            out.append(Figure(f'{where}: rows lost, processes failed', tool, errors + lost, text))
            ratio = us(tool, n, shared)/us(tool, 1, False)
            what = f'{where}: median call against one process'
            if ratio != ratio: out.append(Figure(what, tool, None, 'error'))
            else: out.append(Figure(what, tool, ratio, f'{number(ratio)} ({number(us(tool, n, shared))} us)'))
    return sorted(out, key=lambda f: ['1 process' not in f.what, f.what])


if __name__ == '__main__': main(child, measure, BARS)
