"""Every benchmark, and one table.

    python benchmarks/run.py [--quick] [--only log,read] [--tools trackio,wandb] [--rounds 5]"""
import importlib
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import common  # noqa: E402

TABLE = 'log pace cpu kill processes read disk start memory import'.split()
OTHERS = 'listing monitor'.split() # they print what they find
ALL = ','.join(TABLE + OTHERS)


def collect(names:list[str], o:common.Options)->tuple[list, dict]:
    "The figures of the benchmarks `names`, and their bars."
    figures, bars = [], {}
    for name in names:
        print(f'{name} ...', file=sys.stderr, flush=True)
        bench = importlib.import_module(f'bench_{name}')
        try: figures += bench.measure(o)
        except Exception as e: print(f'{name}: {type(e).__name__}: {e}', file=sys.stderr)
        bars |= bench.BARS
    return figures, bars


def main()->None:
    o, args = common.options(only=ALL)
    names = args.only.split(',')
    if unknown := set(names) - set(TABLE + OTHERS): sys.exit(f"unknown: {', '.join(unknown)}; choose from: {ALL}")
    print(common.about(o), flush=True)
    try:
        figures, bars = collect([n for n in TABLE if n in names], o)
        if figures: print(common.show(figures, bars))
    finally: shutil.rmtree(o.folder, ignore_errors=True)
    for name in [n for n in OTHERS if n in names]:
        print(f'\n{name}:', flush=True)
        subprocess.run([sys.executable, str(HERE/f'bench_{name}.py')], env=common.environment(), check=False)


if __name__ == '__main__': main()
