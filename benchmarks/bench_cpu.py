"""Processor time for one scalar point, user and system, of all processes and threads together.

A process logs rows of 3 scalars and finishes its run, once with few rows and once with many; the difference over the
points between is the cost of a point. Sidecars that outlive the process are adopted and counted (Linux). The loop
itself is in it: see `nothing`."""
from pathlib import Path

from common import Bar, Figure, Options, adopt, figures, fresh, main, open_tool, reap, run, spent

BARS = {'CPU per scalar point, us': Bar(.6)}
MANY = {'mlkit': 1_000_000, 'nothing': 1_000_000, 'trackio': 100_000, 'tensorboard': 50_000, 'wandb': 50_000,
    'aim': 10_000, 'mlflow': 300, 'mlflow-file': 3_000, 'dvclive': 300}


def child(job:dict)->dict:
    tool = open_tool(job)
    for i in range(job['rows']): tool.log({'loss': i/7, 'acc': .5, 'lr': 1e-3})
    tool.finish()
    return {}


def cost(tool:str, rows:int, o:Options)->float:
    "Processor seconds of a process that logs `rows` rows, with all that it starts."
    with fresh(o) as folder:
        before = spent()
        got = run(str(Path(__file__)), dict(tool=tool, rows=rows, folder=folder), o)
        reap()
        if 'error' in got: raise RuntimeError(got['error'])
        return spent() - before


def measure(o:Options)->list[Figure]:
    adopt()
    names = o.pick(*MANY)
    got:dict[str, list[dict]] = {name: [] for name in names}
    for _ in range(o.rounds):
        for name in names:
            many = MANY[name]//(5 if o.quick else 1)
            few = many//10
            try: got[name].append(dict(us=(cost(name, many, o) - cost(name, few, o))/(many - few)/3*1e6))
            except RuntimeError as e: got[name].append(dict(error=str(e)))
    return figures('CPU per scalar point, us', got, 'us')


if __name__ == '__main__': main(child, measure, BARS)
