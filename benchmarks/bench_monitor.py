"""What accompanies a run: the cost of a print, of a sample of the machine, and of what is captured at the start.

    python benchmarks/bench_monitor.py

Costs are CPU time of the whole process, in rounds that alternate between the two sides; medians are printed."""
import io
import os
import resource
import statistics as st
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = str(Path(__file__).resolve().parent.parent)
sys.path.insert(0, ROOT)
from mlkit.track.monitor import Console, SystemMonitor  # noqa: E402

ROUNDS, LINES = 21, 2000


def per_call(fn, n):
    "Microseconds of CPU for one call of `fn`."
    t = time.process_time()
    for _ in range(n): fn()
    return (time.process_time() - t)/n*1e6


def bench_print():
    "A print to a file, alone and with the copy."
    def line(): print('epoch 3 loss 0.4321 acc 0.8765')
    def bar(): sys.stdout.write('\r 45%|#########           | 45/100 [00:10<00:12,  4.41it/s]')
    out, costs = sys.stdout, {}
    with tempfile.TemporaryDirectory() as d, open(Path(d)/'terminal', 'w', buffering=1) as sys.stdout:
        for _ in range(ROUNDS):
            for name, fn in (('line', line), ('bar', bar)):
                costs.setdefault((name, 'alone'), []).append(per_call(fn, LINES))
                with Console(d): costs.setdefault((name, 'copied'), []).append(per_call(fn, LINES))
    sys.stdout = out
    for name in ('line', 'bar'):
        a, b = (st.median(costs[name, k]) for k in ('alone', 'copied'))
        print(f'print of a {name}: {a:.2f} us alone, {b:.2f} us copied: {b - a:+.2f} us, ratio {b/a:.2f}')


def bench_sample(every=15.):
    "One sample, and its share of a core at a sample each `every` seconds."
    m = SystemMonitor(path='.')
    m.sample()
    warm = st.median(per_call(m.sample, 20) for _ in range(ROUNDS))
    cold = []
    for _ in range(10):
        time.sleep(.2)
        cold.append(per_call(m.sample, 1))
    print(f'sample: {warm/1e3:.2f} ms CPU, {st.median(cold)/1e3:.2f} ms with cold caches: '
          f'{st.median(cold)/1e6/every:.4%} of a core at one each {every:.0f} s')


def children(code, cwd):
    "CPU seconds of a fresh interpreter that runs `code`, with its children."
    b = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, '-c', code], cwd=cwd, check=True, env={**os.environ, 'PYTHONPATH': ROOT})
    a = resource.getrusage(resource.RUSAGE_CHILDREN)
    return a.ru_utime + a.ru_stime - b.ru_utime - b.ru_stime


def bench_capture():
    "Everything that is captured at the start of a run in a repository with a change and a new file."
    code = ''
    base = 'import mlkit.track.run, tempfile; d = tempfile.mkdtemp()'
    full = base + '''
from mlkit.track.capture import capture_code, capture_env, capture_hardware
from mlkit.track.monitor import Console, SystemMonitor
with Console(d):
    capture_code(d), capture_env(d), capture_hardware(), SystemMonitor(path=d)'''
    with tempfile.TemporaryDirectory() as d:
        git = ['git', '-C', d, '-c', 'user.name=A', '-c', 'user.email=a@example.com']
        subprocess.run([*git, 'init', '-q'], check=True)
        for i in range(300): (Path(d)/f'm{i}.py').write_text(f'x = {i}\n'*50)
        subprocess.run([*git, 'add', '.'], check=True)
        subprocess.run([*git, 'commit', '-qm', 'x'], check=True)
        (Path(d)/'m0.py').write_text('x = 1\n')
        (Path(d)/'new.py').write_text('y = 1\n')
        cost = {k: [] for k in ('python', 'run module', 'all captured')}
        for _ in range(ROUNDS):
            for k, c in zip(cost, (code, base, full), strict=True): cost[k].append(children(c, d))
    m = {k: st.median(v)*1e3 for k, v in cost.items()}
    print('; '.join(f'{k}: {v:.0f} ms CPU' for k, v in m.items()), f"(+{m['all captured'] - m['run module']:.0f})")


def bench_fold():
    "Text through the screen, in MB a second."
    from mlkit.track.monitor import Screen
    bar = '\r 45%|#########           | 45/100 [00:10<00:12,  4.41it/s]'
    for name, part in (('plain lines', 'epoch 3 loss 0.4321 acc 0.8765\n'*20), ('bars', bar)):
        s, n = Screen(), 2000
        us = per_call(lambda: s.feed(part), n)                              # noqa: B023
        print(f'folding {name}: {len(part)/us:.0f} MB/s, {us:.1f} us for {len(part)} characters')


if __name__ == '__main__':
    assert isinstance(sys.stdout, io.TextIOBase)
    for b in (bench_print, bench_sample, bench_fold, bench_capture): b()
