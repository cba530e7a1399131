"""The dashboard in each of its hosts: JupyterLab, Voila, the served page, a report's file; real clicks in a real browser, no errors.

`pytest -m hosts tests/browser` runs these alone. Jupyter Notebook and marimo are tried where they are installed."""
import json, os, re, signal, socket, subprocess, sys, time, urllib.request
from contextlib import contextmanager
from importlib.util import find_spec

import pytest
from browser import page
from conftest import ROOT, clean_env
from test_page import served

import mlkit

CI = os.environ.get('CI', '').lower() in ('1', 'true')
pytestmark = [pytest.mark.timeout(180), pytest.mark.hosts]

def needs(*names:str):
    "Skips a test where a host is missing; in CI it fails instead."
    missing = [o for o in names if find_spec(o) is None]
    return pytest.mark.skipif(bool(missing) and not CI, reason=f"not installed: {', '.join(missing)}")

SHOW = """import mlkit
view = mlkit.dashboard('digits', 'store')
view"""
TRAIN = """import pathlib, time
run = mlkit.init('now', name='live', store='store', system=False, hardware=False)
run.watch()
i = 0
while not pathlib.Path('enough').exists():
    run.log(loss=1/(i + 1))
    i += 1
    time.sleep(.01)
run.finish()
print('trained', i)"""
ASK = "print('drawn:', sorted(r.name for r in view.selection), view.state, 'rests:', view.pusher.ended.is_set())"
CHOOSE = "view.selection = mlkit.runs('digits', 'store').where('lr > 0.5')"
PANEL = """from mlkit.ui import compute_panel
compute_panel()"""
WHOLE, ONE = '.mlkit:not(.compact)', '.mlkit.compact'

def notebook(path, *cells:str)->None:
    from nbformat import v4, write
    kernel = dict(name='python3', display_name='python3', language='python')
    write(v4.new_notebook(cells=[v4.new_code_cell(o) for o in cells], metadata=dict(kernelspec=kernel)), str(path))

@contextmanager
def jupyter(folder):
    "A server of JupyterLab and Voila over `folder`, with settings of its own; yields its address."
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = s.getsockname()[1]
    own = {k: str(folder/k.lower()) for k in ('JUPYTER_CONFIG_DIR', 'JUPYTERLAB_SETTINGS_DIR', 'JUPYTERLAB_WORKSPACES_DIR', 'IPYTHONDIR')}
    args = ['--allow-root', '--no-browser', '--ip=127.0.0.1', f'--port={port}', '--ServerApp.port_retries=0', '--IdentityProvider.token=',
        f'--ServerApp.root_dir={folder}', '--LabApp.expose_app_in_browser=True', '--JupyterNotebookApp.expose_app_in_browser=True']
    settings = folder/'jupyterlab_settings_dir'/'@jupyterlab'/'apputils-extension'
    settings.mkdir(parents=True)
    (settings/'notification.jupyterlab-settings').write_text('{"fetchNews": "false", "checkForUpdates": false}')
    log = open(folder/'server.log', 'w')                       # noqa: SIM115
    p = subprocess.Popen([sys.executable, '-m', 'jupyterlab', *args], env=clean_env(PYTHONPATH=str(ROOT), **own), stdout=log,
        stderr=subprocess.STDOUT, start_new_session=True)
    url = f'http://127.0.0.1:{port}'
    try:
        for _ in range(300):
            assert p.poll() is None, (folder/'server.log').read_text()[-3000:]
            try: urllib.request.urlopen(f'{url}/api', timeout=5).close()
            except OSError: time.sleep(.1)
            else: break
        yield url
    finally:
        os.killpg(p.pid, signal.SIGTERM)                        # and its kernels
        try: p.wait(20)
        except subprocess.TimeoutExpired: os.killpg(p.pid, signal.SIGKILL)
        log.close()

@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    "Three runs, one with a spike."
    folder = tmp_path_factory.mktemp('lab')
    for i in range(3):
        about = dict(project='digits', name=f'run {i}', config=dict(lr=10.**-i))
        with mlkit.init(**about, store=folder/'store', system=False, hardware=False) as run:
            for k in range(3000):
                run.log(**{'train/loss': 9. if (i, k) == (0, 1234) else 1/(k + 1), 'acc': k/3000})
    return folder

@pytest.fixture(scope='module')
def url(folder):
    "The address of a Jupyter server with notebooks that show them."
    notebook(folder/'lab.ipynb', SHOW, TRAIN, ASK)
    notebook(folder/'voila.ipynb', SHOW, PANEL)
    with jupyter(folder) as found: yield found

def foreign(text:str)->bool:
    "What hosts say of themselves: Voila wants fonts from the network and shares modules twice, Notebook misses a setting's schema."
    return bool(re.search(r"https://(cdn\.jsdelivr\.net|cdnjs\.cloudflare\.com)/|RUNTIME-012|reading 'schema'", text))

def quiet(tab)->bool:
    "Nothing went wrong on the page."
    assert [o for o in tab.problems if not foreign(o)] == []
    return True

def painted(tab, where:str)->int:
    "How many pixels of the first chart have the colour of a line."
    return tab.locator(f'{where} .panel canvas').first.evaluate("""c => { let n = 0
        const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data
        for (let i = 0; i < d.length; i += 4) {
            const rgb = [d[i], d[i + 1], d[i + 2]]
            if (d[i + 3] > 200 && Math.max(...rgb) - Math.min(...rgb) > 60) n++
        }
        return n }""")

def points(tab, where:str)->int:
    "How many points the first chart says that it has."
    found = re.search(r'([\d,]+) points', tab.locator(f'{where} .panel .summary').first.inner_text())
    return int(found[1].replace(',', '')) if found else 0

def run_cell(tab, i:int, code:str='')->None:
    "Run one cell, or new `code` in its place, and wait for it."
    tab.evaluate("""async ([i, code]) => { const all = jupyterapp.shell.currentWidget.content
        all.activeCellIndex = i
        if (code) all.activeCell.model.sharedModel.setSource(code)
        await jupyterapp.commands.execute('notebook:run-cell') }""", [i, code])

def said(tab)->str:
    "What the cells have printed."
    return '\n'.join(tab.locator('.jp-OutputArea-output pre').all_inner_texts())

def until(tab, ask, good, seconds:float=30):
    "What `ask` gives once it is `good`."
    end = time.monotonic() + seconds
    while not good(found := ask()):
        assert time.monotonic() < end, f'still {found}'
        tab.wait_for_timeout(50)
    return found

def names(box)->list[str]: return box.locator('tbody tr td:nth-child(2)').all_inner_texts()

def step(tab, box, at:float)->float:
    "Which step lies at this part of the first chart's width, as the pointer is told."
    over = box.locator('.u-over').first.bounding_box()
    tab.mouse.move(over['x'] + over['width']*at, over['y'] + over['height']/2)
    tip = box.locator('.panel .tip:visible').first
    tip.wait_for()
    return float(tip.locator('div').first.inner_text())

def clicked(tab, where:str=WHOLE, filters:bool=True)->None:
    "What a person does first, in every host: sort, filter, choose runs, zoom. Of three runs `run 0` and `run 2` stay drawn."
    box = tab.locator(where)
    count = box.locator('[data-ref=count]')
    assert painted(tab, where) > 100 and sorted(names(box)) == ['run 0', 'run 1', 'run 2']
    for order in (['run 2', 'run 1', 'run 0'], ['run 0', 'run 1', 'run 2']):
        box.locator('th button[data-key="config.lr"]').click()
        until(tab, lambda: names(box), lambda found, order=order: found == order)
    def where_is(text, n):
        box.locator('[data-ref=where]').fill(text)
        box.locator('[data-ref=where]').press('Enter')
        until(tab, lambda: box.locator('tbody tr').count(), lambda found: found == n)
    for text, n in (('lr < 0.05', 1), ('', 3)) if filters else (): where_is(text, n)
    box.locator('[aria-label="Draw run 1"]').uncheck()
    until(tab, count.inner_text, lambda text: '2 drawn' in text)
    until(tab, lambda: points(tab, where), lambda n: n == 6000)
    chart = box.locator('.u-over').first
    chart.scroll_into_view_if_needed()
    over = chart.bounding_box()
    tab.mouse.move(over['x'] + over['width']*.4, over['y'] + 30)
    tab.mouse.down()
    tab.mouse.move(over['x'] + over['width']*.6, over['y'] + 40, steps=4)
    tab.mouse.up()
    until(tab, lambda: (step(tab, box, .02), step(tab, box, .98)), lambda o: 1150 < o[0] < 1300 and 1700 < o[1] < 1850)
    chart.press('Escape')
    until(tab, lambda: step(tab, box, .98), lambda o: o > 2900)

def run_all(tab, i:int, shows:str)->None:
    "Run all cells, as the menu does, once the kernel is there; scrolled to, cell `i` then `shows` that."
    tab.wait_for_selector('.jp-Notebook .jp-Cell', timeout=60_000)
    tab.evaluate("""(async () => { const w = jupyterapp.shell.currentWidget; await w.context.ready; await w.sessionContext.ready
        await w.sessionContext.session.kernel.info; jupyterapp.commands.execute('notebook:run-all-cells') })()""")
    def there():
        tab.evaluate('i => jupyterapp.shell.currentWidget.content.scrollToItem(i, "center").catch(() => 0)', i)
        return tab.locator(shows).first.is_visible()
    until(tab, there, bool, 60)

def test_served_page(folder):
    with served(folder/'store', 'digits') as (_, url), page() as tab:
        tab.goto(url)
        tab.wait_for_selector('body[data-drawn]')
        clicked(tab, 'body')
        assert quiet(tab)

def test_report_file(folder):
    "It has no filter, since it answers no questions; nothing is asked of anybody."
    made, asked = mlkit.runs('digits', folder/'store').report(folder/'report.html'), []
    with page() as tab:
        tab.on('request', lambda r: asked.append(r.url))
        tab.goto(made.path.as_uri())
        tab.wait_for_selector('body[data-drawn]')
        clicked(tab, 'body', filters=False)
        assert quiet(tab) and len(asked) == 1

@needs('voila', 'nbformat')
def test_voila(url, folder):
    with page() as tab:
        tab.goto(f'{url}/voila/render/voila.ipynb')
        tab.wait_for_selector(f'{WHOLE}[data-drawn] .panel', timeout=60_000)
        clicked(tab)
        tab.get_by_role('button', name='Look again').click()
        until(tab, lambda: tab.locator('.widget-html-content').all_inner_texts(), lambda texts: any('GPU' in o for o in texts))
        tab.screenshot(path=str(folder/'voila.png'))
        assert quiet(tab)

SWEEP = """
import time
from mlkit.tune import Study, log_uniform
def f(t):
    for epoch in range(400 if t.number == 1 else 8):
        time.sleep(.1)
        t.report(loss=t['lr']/(epoch + 1))
s = Study('buttons', dict(lr=log_uniform(1e-4, 1e-1)), 'min loss', sampler='random', seed=0, track=False, store='sweeps', project='p')
s.run(f, trials=40)
print('over', [r.state for r in s.rows])
"""

@needs('jupyterlab', 'nbformat')
def test_a_sweep_has_buttons(url, folder):
    "While the cell runs: sort, end one trial, pause, go on, stop; afterwards a plain table stays, and the cell goes on."
    notebook(folder/'sweep.ipynb', SWEEP)
    with page() as tab:
        tab.goto(f'{url}/lab/tree/sweep.ipynb?reset')
        tab.wait_for_function('() => window.jupyterapp?.shell?.currentWidget?.sessionContext?.isReady', timeout=60_000)
        tab.evaluate("() => { jupyterapp.commands.execute('notebook:run-cell') }")
        box = tab.locator('.mlkit-sweep')
        box.get_by_role('button', name='End trial 1', exact=True).wait_for(timeout=60_000)
        tab.screenshot(path=str(folder/'sweep.png'))
        box.get_by_role('button', name='End trial 1', exact=True).click()
        until(tab, lambda: box.locator('tbody tr, tr').filter(has_text='stopped').count(), bool)
        box.locator('th button', has_text='trial').click()
        box.locator('th button', has_text='trial').click()
        until(tab, lambda: box.locator('th[aria-sort=descending]').count(), bool)
        first = until(tab, lambda: int(box.locator('td').first.inner_text()), lambda n: n >= 3)
        until(tab, lambda: int(box.locator('td').first.inner_text()), lambda n: n > first)     # renewed, and still sorted
        box.get_by_role('button', name='Pause').click()
        until(tab, lambda: box.locator('.mlkit-line').inner_text(), lambda t: 'paused' in t and 'running' not in t)
        there = box.locator('.mlkit-line').inner_text().split(' trials')[0]
        tab.wait_for_timeout(1500)
        assert box.locator('.mlkit-line').inner_text().split(' trials')[0] == there
        box.get_by_role('button', name='Resume').click()
        until(tab, lambda: box.locator('.mlkit-line').inner_text(), lambda t: 'running' in t)
        box.get_by_role('button', name='Stop').click()
        until(tab, lambda: said(tab), lambda t: 'over' in t)
        tab.screenshot(path=str(folder/'swept.png'))
        assert box.count() == 0 and 'stopped; the same call goes on' in tab.locator('.jp-OutputArea-output').first.inner_text()
        assert "'pruned'" in said(tab) and 'Traceback' not in said(tab)

@needs('jupyterlab', 'nbformat')
def test_jupyterlab(url, folder):
    with page(1280, 1100) as tab:
        tab.goto(f'{url}/lab/tree/lab.ipynb?reset')
        run_all(tab, 1, f'{ONE}[data-drawn] .panel')

        seen = [points(tab, ONE)]                                    # its own cell trains all the while
        for _ in range(3): seen.append(until(tab, lambda: points(tab, ONE), lambda n: n > seen[-1] + 20))
        assert tab.locator('.jp-InputPrompt').nth(1).inner_text() == '[*]:'
        assert painted(tab, ONE) > 100 and tab.locator(f'{ONE} .live').inner_text() == 'running'
        tab.screenshot(path=str(folder/'training.png'))
        (folder/'enough').touch()
        total = int(until(tab, lambda: re.search(r'trained (\d+)', said(tab)), bool)[1])
        until(tab, lambda: points(tab, ONE), lambda n: n == total)
        until(tab, lambda: said(tab), lambda text: 'drawn: [' in text)

        assert tab.locator(f'{ONE} .live').inner_text() == 'finished'
        clicked(tab)
        tab.locator(f'{WHOLE} [data-ref=logy]').check()
        run_cell(tab, 2)
        until(tab, lambda: said(tab), lambda text: "drawn: ['run 0', 'run 2']" in text and "'logy': '1'" in text and 'rests: False' in text)
        run_cell(tab, 2, CHOOSE)                                     # and the other way: what Python selects is drawn
        until(tab, lambda: tab.locator(f'{WHOLE} [data-ref=count]').inner_text(), lambda text: '1 drawn' in text)
        assert tab.locator(f'{WHOLE} [aria-label="Draw run 0"]').is_checked()
        tab.screenshot(path=str(folder/'lab.png'))

        light = tab.locator(WHOLE).evaluate('o => getComputedStyle(o).backgroundColor')
        tab.evaluate("jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
        tab.wait_for_function(f"light => getComputedStyle(document.querySelector('{WHOLE}')).backgroundColor !== light", arg=light)
        tab.wait_for_timeout(300)
        tab.screenshot(path=str(folder/'dark.png'))

        tab.evaluate("Object.defineProperty(document, 'hidden', {value: true}); document.dispatchEvent(new Event('visibilitychange'))")
        until(tab, lambda: run_cell(tab, 2, ASK) or said(tab), lambda text: 'rests: True' in text)    # a hidden page costs nothing
        assert quiet(tab)
        tab.evaluate("jupyterapp.shell.currentWidget.context.save()")
    kept = json.loads((folder/'lab.ipynb').read_text())['cells'][1]['outputs']
    shown = next(o['data'] for o in kept if 'text/html' in o.get('data', {}))
    assert 'finished' in ''.join(shown['text/plain']) and '<img' in ''.join(shown['text/html'])       # of the end, not of the beginning

@pytest.mark.skipif(find_spec('notebook') is None, reason='not installed: notebook')
def test_notebook(url, folder):
    "Jupyter Notebook 7 is made of JupyterLab's parts, and laid out in its own way."
    notebook(folder/'seven.ipynb', SHOW, "print('one more')", ASK)
    with page(1280, 1100) as tab:
        tab.goto(f'{url}/notebooks/seven.ipynb')
        tab.wait_for_function('window.jupyterapp', timeout=60_000)
        run_all(tab, 0, f'{WHOLE}[data-drawn] .panel')
        clicked(tab)
        run_cell(tab, 2, CHOOSE)
        until(tab, lambda: tab.locator(f'{WHOLE} [data-ref=count]').inner_text(), lambda text: '1 drawn' in text)
        assert quiet(tab)

MARIMO = """import marimo
app = marimo.App()

@app.cell
def _():
    import mlkit, pathlib, time
    view = mlkit.dashboard('digits', 'store')
    view
    return mlkit, pathlib, time, view

@app.cell
def _(mlkit):
    run = mlkit.init('marimo', name='live', store='store', system=False, hardware=False)
    one = run.watch()
    one
    return one, run

@app.cell
def _(one, pathlib, run, time):
    _i = 0
    while not pathlib.Path('plenty').exists():
        _i += 1
        run.log(loss=1/_i)
        time.sleep(.01)
    run.finish()
    done = True
    return done,

@app.cell
def _(done, mlkit, view):
    view.selection = mlkit.runs('digits', 'store').where('lr > 0.5')
    return

if __name__ == '__main__': app.run()
"""

@contextmanager
def marimo(folder):
    "The address of an app of marimo; it ends with the block."
    (folder/'app.py').write_text(MARIMO)
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = s.getsockname()[1]
    command = [sys.executable, '-m', 'marimo', 'run', 'app.py', '--headless', '--no-token', '--port', str(port)]
    p = subprocess.Popen(command, cwd=folder, env=clean_env(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True)
    url = f'http://127.0.0.1:{port}/'
    try:
        for _ in range(300):
            try: urllib.request.urlopen(url, timeout=5).close()
            except OSError: time.sleep(.1)
            else: break
        yield url
    finally:
        os.killpg(p.pid, signal.SIGTERM)
        p.wait(20)

@pytest.mark.skipif(find_spec('marimo') is None, reason='not installed: marimo')
def test_marimo(folder):
    "No IPython, and a shadow root around each widget; the view of a run moves while the next cell trains."
    with marimo(folder) as url, page() as tab:
        tab.goto(url)
        tab.wait_for_selector(f'{ONE}[data-drawn] .panel', timeout=60_000)
        n = points(tab, ONE)
        until(tab, lambda: points(tab, ONE), lambda found: found > n + 20)
        (folder/'plenty').touch()
        until(tab, lambda: tab.locator(f'{WHOLE} [data-ref=count]').inner_text(), lambda text: '1 drawn' in text)
        until(tab, lambda: tab.locator(f'{ONE} .live').inner_text(), lambda text: text == 'finished')
        clicked(tab)
        assert quiet(tab)
