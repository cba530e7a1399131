"""Run the cells of the notebooks as tests, each notebook in a process of its own, so that none sees another's imports.

    python tools/cells.py [--workers N] [NOTEBOOK ...]
"""
import argparse, subprocess, sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

def notebooks()->list[Path]:
    "All notebooks, the largest first: they take longest."
    found = [o for o in (ROOT/'nbs').rglob('*.ipynb') if '.ipynb_checkpoints' not in o.parts]
    return sorted(found, key=lambda o: -o.stat().st_size)

def test(path:Path)->bool:
    "Run one notebook, and show its output where it fails."
    start = time.perf_counter()
    command = [Path(sys.executable).parent/'nbdev-test', path]
    r = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors='replace')
    ok = r.returncode == 0
    line = f'{"passed" if ok else "FAILED"} {path.resolve().relative_to(ROOT)} ({time.perf_counter() - start:.1f} s)'
    print(line if ok else f'{r.stdout}{r.stderr}{line}', flush=True)
    return ok

if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('notebooks', nargs='*', type=Path)
    parser.add_argument('--workers', type=int, default=2)
    args = parser.parse_args()
    with ThreadPoolExecutor(args.workers) as pool: passed = list(pool.map(test, args.notebooks or notebooks()))
    sys.exit(passed.count(False) and f'{passed.count(False)} of {len(passed)} notebooks failed')
