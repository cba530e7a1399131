"""Bytes on disk for one scalar point, after the run has finished: blocks that are really taken, everything in the
folder."""
from pathlib import Path

from common import Bar, Figure, Options, failed, fresh, main, open_tool, run

BARS = {'bytes per scalar point': Bar(16)}
ROWS = {'mlkit': 100_000, 'trackio': 100_000, 'tensorboard': 100_000, 'wandb': 100_000, 'aim': 10_000, 'mlflow': 500,
    'mlflow-file': 5_000, 'dvclive': 500}


def child(job:dict)->dict:
    tool = open_tool(job)
    for i in range(job['rows']): tool.log({'loss': i/7, 'acc': 1/(i + 1), 'lr': 1e-3})
    tool.finish()
    return {}


def size(folder:Path)->int:
    "Bytes of the blocks of all files below `folder`."
    return sum(p.lstat().st_blocks*512 for p in folder.rglob('*') if p.is_file())


def measure(o:Options)->list[Figure]:
    out = []
    for tool in o.pick(*ROWS):
        rows = ROWS[tool] if tool == 'mlkit' or not o.quick else ROWS[tool]//5
        with fresh(o) as folder:
            got = run(__file__, dict(tool=tool, rows=rows, folder=folder), o)
            out.append(failed('bytes per scalar point', tool, got['error']) if 'error' in got else
                Figure('bytes per scalar point', tool, size(folder)/rows/3))
    return out


if __name__ == '__main__': main(child, measure, BARS)
