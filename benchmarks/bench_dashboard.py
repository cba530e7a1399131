"""The dashboard's page in headless Chromium, medians of five: how soon 200 runs of 100,000 steps are drawn, how smoothly it zooms, how
late a logged value is seen, how quickly the table sorts and filters, what a push costs the process that trains, and what all of it weighs.

    python benchmarks/bench_dashboard.py [--runs 200] [--steps 100000] [--rounds 5]
"""
import argparse, gzip, re, statistics as st, subprocess, sys, tempfile, time
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]/'tests'))
from browser import page

import mlkit
from mlkit.ui.answers import front_end

KW = dict(system=False, hardware=False, console=False)


def fill(store, runs, steps):
    "Runs with a metric that falls and has a spike."
    for i in range(runs):
        with mlkit.init(project='many', name=f'run {i}', config=dict(lr=10**-(i % 5), seed=i), store=store, **KW) as run:
            log = run.log
            for k in range(steps): log(loss=9. if k == 31*i else i/(k + 1))


def wide(store, runs=1000, columns=100):
    "Runs with many settings."
    for i in range(runs):
        with mlkit.init(project='wide', config={f'c{k}': (i*k) % 97 for k in range(columns)}, store=store, **KW) as run: run.log(loss=i)


@contextmanager
def served(store, project):
    code = 'from mlkit.cli.main import main; raise SystemExit(main())'
    p = subprocess.Popen([sys.executable, '-c', code, 'ui', project, '--port', '0', '--no-browser', '--store', store],
        text=True, stdout=subprocess.PIPE)
    try: yield re.search(r'http\S+', p.stdout.readline())[0]
    finally:
        p.kill()
        p.communicate()


def opened(url, hash, rounds):
    "Seconds from the navigation to the drawn charts, and bytes received, in a new browser each time."
    out = []
    for _ in range(rounds):
        with page() as tab:
            got = []
            tab.on('response', lambda r, got=got: got.append(r))
            tab.goto(url + hash)
            tab.wait_for_selector('body[data-drawn]')
            shown = tab.evaluate('new Promise(f => requestAnimationFrame(() => f(performance.now())))')
            size = sum(len(r.body()) for r in got if 'events' not in r.url)
            out.append((shown/1000, size))
    return st.median(o[0] for o in out), st.median(o[1] for o in out)


FRAMES = '''async () => {
  const c = [...window.mlkitView.charts.values()][0], all = c.xrange(), w = all[1] - all[0], out = []
  let last = performance.now()
  for (let i = 0; i < 60; i++) {
    const lo = all[0] + w * i / 200
    for (const o of window.mlkitView.charts.values()) { o.moving = true; o.window = [lo, lo + w / 2]; o.redraw() }
    await new Promise(requestAnimationFrame)
    const now = performance.now(); out.push(now - last); last = now
  }
  for (const o of window.mlkitView.charts.values()) { o.moving = false; o.window = null; o.redraw() }
  return out.sort((a, b) => a - b)[30]
}'''


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in dict(runs=200, steps=100_000, rounds=5).items(): parser.add_argument(f'--{name}', type=int, default=value)
    args = parser.parse_args()
    for name in ('page.js', 'widget.js', 'style.css'):
        data = front_end(name)
        print(f'{name:10} {len(data)/1000:6.1f} kB, {len(gzip.compress(data))/1000:5.1f} kB compressed')
    with tempfile.TemporaryDirectory() as store:
        fill(store, args.runs, args.steps)
        with served(store, 'many') as url:
            for n in (10, args.runs):
                keys = ','.join(f'many/{r.id}' for r in list(mlkit.runs('many', store))[:n])
                seconds, size = opened(url, f'#runs={keys}', args.rounds)
                print(f'{n} runs of {args.steps:,} steps: drawn after {seconds:.2f} s, {size/1e6:.2f} MB')
                with page() as tab:
                    tab.goto(f'{url}#runs={keys}')
                    tab.wait_for_selector('body[data-drawn]')
                    print(f'  panning: {1000/tab.evaluate(FRAMES):.0f} frames/s')
                    took = []
                    for _ in range(args.rounds):
                        n0 = tab.evaluate('document.body.dataset.drawn')
                        start = time.perf_counter()
                        tab.locator('.u-over').first.press('+')
                        tab.wait_for_selector(f'body:not([data-drawn="{n0}"])')
                        took.append(time.perf_counter() - start)
                    print(f'  exact after a zoom: {1000*st.median(took):.0f} ms')
        wide(store)
        with served(store, 'wide') as url, page() as tab:
            tab.goto(url)
            tab.wait_for_selector('body[data-drawn]')
            sort = tab.evaluate('''() => { const out = []
              for (let i = 0; i < 5; i++) { const t = performance.now()
                window.mlkitView.table.key = `config.c${i + 1}`; window.mlkitView.table.draw()
                document.body.offsetHeight; out.push(performance.now() - t) } return out.sort((a, b) => a - b)[2] }''')
            took = []
            for i in range(args.rounds):
                tab.wait_for_timeout(1000)                      # what the one before has set off is over
                took.append(tab.evaluate(FILTER, f'c{i + 1} < {40 + i}'))
            print(f'table of 1,000 runs and 100 settings: sorted in {sort:.0f} ms, filtered in {st.median(took):.0f} ms')
        live(store)
        pushed(store)
        in_lab(store, args.runs, args.rounds)


FILTER = '''async text => {
  const v = window.mlkitView, start = performance.now()
  const n = v.$.count.textContent
  v.$.where.value = text
  v.$.filter.requestSubmit()
  while (v.$.count.textContent === n) await new Promise(f => setTimeout(f, 1))
  document.body.offsetHeight
  return performance.now() - start
}'''


def pushed(store, n=100):
    "The processor time that the widget's thread takes for a push of ten series, in the kernel that trains."
    from mlkit.ui.answers import Answers
    from mlkit.ui.widget import Teller, opening
    with mlkit.init(project='push', store=store, **KW) as run:
        run.log(**{f'm{i}': 0. for i in range(10)})
        answers, took = Answers(mlkit.runs('push', store), 'push'), []
        teller = Teller(answers, opening(answers, {})[1], lambda news, block: True)
        for k in range(n):
            run.log(**{f'm{i}': float(k + i) for i in range(10)})
            start = time.thread_time()
            teller.tell()
            took.append(time.thread_time() - start)
            time.sleep(.1)
    print(f'a push of 10 series: median {1000*st.median(took):.2f} ms of processor time, mean {1000*st.mean(took):.2f}')


PAINTED = '''async i => {
  for (const o of document.querySelectorAll('.mlkit[data-drawn]')) o.classList.add('before')
  const start = performance.now()
  jupyterapp.shell.currentWidget.content.activeCellIndex = i
  jupyterapp.commands.execute('notebook:run-cell')
  while (!document.querySelector('.mlkit[data-drawn]:not(.before)')) await new Promise(requestAnimationFrame)
  await new Promise(requestAnimationFrame)
  return performance.now() - start
}'''


READY = 'window.jupyterapp && jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === "idle"'


def in_lab(store, runs, rounds):
    "From the start of a cell with a dashboard of many runs in JupyterLab to the drawn chart."
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]/'tests'/'browser'))
    from test_hosts import jupyter, notebook, run_cell
    view = mlkit.dashboard('many', store)
    for n in (10, runs):
        view.state = dict(runs=','.join(f'many/{r.id}' for r in list(mlkit.runs('many', store))[:n]))
        view.save(f'{n} runs')
    with tempfile.TemporaryDirectory() as folder:
        show = [f'view = mlkit.dashboard("many", {store!r}, view="{n} runs")\nview' for n in (10, runs) for _ in range(rounds)]
        notebook(Path(folder)/'lab.ipynb', 'import mlkit, mlkit.ui', 'view.close()', *show)
        with jupyter(Path(folder)) as url, page() as tab:
            tab.goto(f'{url}/lab/tree/lab.ipynb')
            tab.wait_for_function(READY, timeout=60_000)
            run_cell(tab, 0)
            took = []
            for i in range(2*rounds):
                took.append(tab.evaluate(PAINTED, i + 2))
                run_cell(tab, 1)                                # the ones before need no news
    for n, found in ((10, took[:rounds]), (runs, took[rounds:])):
        print(f'JupyterLab, {n} runs: drawn after {st.median(found)/1000:.2f} s, {found[0]/1000:.2f} the first time')


def live(store):
    "From `log` to the page, with ten series at ten values a second."
    with mlkit.init(project='live', store=store, **KW) as run:
        run.log(**{f'm{i}': 0. for i in range(10)})
        with served(store, 'live') as url, page() as tab:
            tab.goto(url)
            tab.wait_for_selector('body[data-drawn]')
            tab.wait_for_selector('[data-ref=live]:text("live")')
            late = []
            for k in range(40):
                start = time.perf_counter()
                run.log(**{f'm{i}': float(k + i) for i in range(10)})
                while not tab.evaluate(f'[...window.mlkitView.charts.values()][0].lines.some(o => o.total === {k + 2})'): time.sleep(.002)
                late.append(time.perf_counter() - start)
                time.sleep(max(0, .1 - late[-1]))
    late.sort()
    print(f'from log to the chart, 10 series at 10 Hz: median {1000*late[20]:.0f} ms, 95th percentile {1000*late[37]:.0f} ms')


if __name__ == '__main__': main()
