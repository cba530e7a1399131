"""How long it takes to list, filter and show the runs of a large store, and how quickly the command line starts.

    python benchmarks/bench_listing.py [RUNS ...]

Stores of 1,000 and 10,000 runs are written to a temporary folder, with a run.json of the size that a real run has.
'cold' is the first look of a process (the files are in the page cache), 'warm' every later one: medians of several
looks. The bars: 1,000 runs list in under 50 ms warm, 10,000 in under 500 ms;
`mlkit --help` takes less than 3 times a bare interpreter."""
import json
import os
import statistics as st
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
BARS = {1000: 50, 10_000: 500}  # milliseconds


def write_store(root, n):
    "A store of `n` finished runs, one in a hundred crashed."
    from mlkit.core.ids import new_id
    t0 = time.time() - 40*n
    for i in range(n):
        id = f'{new_id(t0 + 40*i)}-{i}'
        path = root/'bench'/id
        (path/'history').mkdir(parents=True)
        meta = dict(format=1, id=id, name=f'run-{i}', project='bench', group=None, job_type=None,
            tags=['a'] if i % 7 == 0 else [], notes='',
            config=dict(lr=10**-(1 + i % 4), hidden=32 << i % 5, seed=i, opt=dict(name='adam', betas=[.9, .999]),
                data='digits'),
            status='running' if i % 100 == 99 else 'finished', started=t0 + 40*i, ended=t0 + 40*i + 30,
            summary={'train/loss': 1/(i + 1), 'val/loss': 1.1/(i + 1), 'val/acc': 1 - 1/(i + 2), 'epoch': 9,
                'lr_now': 1e-4},
            metrics={}, host=dict(name='host', boot_id='0', pid=1, user='me', python='3.11.7', platform='linux'),
            code=dict(commit='0'*40, branch='main', dirty=True, entry='train.py', argv=['train.py', '--lr', '0.1'],
                cwd='/home/me/project'),
            hardware=dict(cpu='AMD EPYC', cores=16, memory_gb=128,
                gpus=['NVIDIA H200']*8), archived=False, error=None, links={},
            resumes=[], rows=1000, dropped=0)
        (path/'run.json').write_text(json.dumps(meta, indent=1))


def median_ms(fn, n=7):
    "The median time of `n` calls of `fn`."
    out = []
    for _ in range(n):
        t = time.perf_counter()
        fn()
        out.append(1e3*(time.perf_counter() - t))
    return st.median(out)


def looks(store):
    "Milliseconds for each way to look at the store, in this process."
    from mlkit.track.store import runs
    found = runs('bench', store)
    t = time.perf_counter()
    len(found)
    cold = 1e3*(time.perf_counter() - t)
    out = {'list, cold': cold, 'list': median_ms(lambda: len(found))}
    out['table of 50'] = median_ms(found._repr_html_)
    out['where'] = median_ms(lambda: len(found.where('lr < 0.05 and `val/acc` > 0.9')), 5)
    out['sort'] = median_ms(lambda: found.sort('val/acc')[0], 5)
    out['best'] = median_ms(lambda: found.best('val/acc'), 5)
    out['df'] = median_ms(lambda: found.df, 5)
    return out


def start(code):
    "Seconds of a fresh interpreter that runs `code`: the median of interleaved runs is taken by the caller."
    t = time.perf_counter()
    subprocess.run([sys.executable, '-c', code], stdout=subprocess.DEVNULL, check=True, env={**os.environ,
        'PYTHONPATH': str(ROOT)})
    return time.perf_counter() - t


def bench_start(store, rounds=15):
    "The command line against a bare interpreter, interleaved."
    main = 'import sys; from mlkit.cli.main import main; main({!r})'.format
    codes = {'bare': 'pass', 'mlkit --help': main(['--help']), 'mlkit runs': main(['runs', 'bench', '--store',
        str(store)])}
    times = {k: [] for k in codes}
    for _ in range(rounds):
        for k, code in codes.items(): times[k].append(start(code))
    bare = st.median(times['bare'])
    for k, v in times.items():
        print(f'{k:14} {1e3*st.median(v):7.0f} ms   {st.median(v)/bare:5.1f} times a bare interpreter')


if __name__ == '__main__':
    for n in [int(o) for o in sys.argv[1:]] or BARS:
        with tempfile.TemporaryDirectory() as d:
            write_store(Path(d), n)
            for what, ms in looks(d).items():
                bar = f'   bar {BARS[n]} ms' if what == 'list' and n in BARS else ''
                print(f'{n:6} runs  {what:12} {ms:8.1f} ms{bar}')
            if n == 1000: bench_start(d)
