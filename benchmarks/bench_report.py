"""How large a report of 20 runs of 100,000 steps is, how long it takes to make, and until it is drawn.

    python benchmarks/bench_report.py [METRICS ...]

A store of 20 noisy runs is written to a temporary folder, with as many metrics as asked for (1 and 4 by default). 'drawn' is the time
from the start of the navigation until the first frame with all curves, in a new tab of a headless Chromium that is running. Medians of 5.
The bars: at most 1 MB, drawn within 300 ms, and not one request besides the file itself."""
import os
import statistics as st
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT/'tests')]
RUNS, STEPS = 20, 100_000
DRAWN = '''() => new Promise(yes => {
    const look = () => document.body.dataset.drawn ? requestAnimationFrame(() => yes(performance.now())) : requestAnimationFrame(look)
    look() })'''


def write_store(folder, metrics):
    "A store of `RUNS` runs whose curves fall with noise, each with a spike."
    import mlkit
    import numpy as np
    rng = np.random.default_rng(0)
    for i in range(RUNS):
        noise, names = rng.normal(1, .1, (STEPS, metrics)), [f'part{k}/loss{k}' for k in range(metrics)]
        noise[rng.integers(STEPS)] = 9
        with mlkit.init(project='bench', name=f'run {i}', config=dict(lr=10**-(1 + i/5), seed=i), store=folder, system=False,
                hardware=False) as run:
            for k in range(STEPS): run.log(dict(zip(names, (noise[k]/(1 + k/(1000 + 300*i))).tolist(), strict=True)))


def looks(path, n=5):
    "For each of `n` openings, in new tabs of a browser that is running: milliseconds until the file is drawn, and what was asked for."
    from browser import page
    out = []
    with page() as tab:
        for _ in range(n + 1):
            fresh, asked = tab.context.browser.new_context(viewport=dict(width=1280, height=900)).new_page(), []
            fresh.on('request', lambda r, asked=asked: asked.append(r.url))
            fresh.on('pageerror', lambda e: tab.problems.append(str(e)))
            fresh.goto(path.as_uri(), wait_until='commit')
            out.append((fresh.evaluate(DRAWN), asked))
            fresh.context.close()
        assert not tab.problems, tab.problems
    return out[1:]


def main():
    os.environ['MLKIT_QUIET'] = '1'
    import mlkit
    for metrics in [int(o) for o in sys.argv[1:]] or [1, 4]:
        with tempfile.TemporaryDirectory() as folder:
            write_store(folder, metrics)
            path, made = Path(folder)/'r.html', []
            for _ in range(5):
                t = time.perf_counter()
                report = mlkit.runs('bench', folder).report(path)
                made.append(time.perf_counter() - t)
            seen = looks(path)
            kept, total = report.points
            print(f'{RUNS} runs x {STEPS:,} steps x {metrics} metric(s): {path.stat().st_size/1e6:.3f} MB, {kept:,} of {total:,} points, '
                f'made in {st.median(made):.2f} s, drawn in {st.median(o[0] for o in seen):.0f} ms '
                f'({min(o[0] for o in seen):.0f} to {max(o[0] for o in seen):.0f}), '
                f'{max(len(o[1]) for o in seen) - 1} further requests')


if __name__ == '__main__': main()
