"The dashboard in the cells of JupyterLab and Voila: real clicks in a real browser, and a chart that moves while its own cell trains."
import json, os, re, signal, socket, subprocess, sys, time, urllib.request
from contextlib import contextmanager
from importlib.util import find_spec

import pytest
from browser import page
from conftest import ROOT, clean_env

import mlkit

CI = os.environ.get('CI', '').lower() in ('1', 'true')
missing = [o for o in ('jupyterlab', 'voila', 'nbformat') if find_spec(o) is None]
pytestmark = [pytest.mark.timeout(180), pytest.mark.skipif(bool(missing) and not CI, reason=f"not installed: {', '.join(missing)}")]

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
        f'--ServerApp.root_dir={folder}', '--LabApp.expose_app_in_browser=True', '--LabApp.news_url=']
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
    "Three runs and the notebooks that show them."
    folder = tmp_path_factory.mktemp('lab')
    for i in range(3):
        about = dict(project='digits', name=f'run {i}', config=dict(lr=10.**-i))
        with mlkit.init(**about, store=folder/'store', system=False, hardware=False) as run:
            for k in range(3000):
                run.log(**{'train/loss': 9. if (i, k) == (0, 1234) else 1/(k + 1), 'acc': k/3000})
    notebook(folder/'lab.ipynb', SHOW, TRAIN, ASK, CHOOSE)
    notebook(folder/'voila.ipynb', SHOW, PANEL)
    return folder

@pytest.fixture(scope='module')
def url(folder):
    with jupyter(folder) as found: yield found

def foreign(text:str)->bool:
    "Complaints of the hosts about themselves: fonts that they want from the network, and modules they share twice."
    known = r'cdn\.jsdelivr|RUNTIME-012|ERR_(INTERNET|NAME|CONNECTION|BLOCKED|FAILED)|favicon|404'
    return bool(re.search(known, text)) and 'mlkit' not in text

def painted(tab, where:str)->int:
    "How many pixels of the first chart have the colour of a line."
    return tab.evaluate("""where => { const c = document.querySelector(where + ' .panel canvas'), g = c.getContext('2d')
        const d = g.getImageData(0, 0, c.width, c.height).data; let n = 0
        for (let i = 0; i < d.length; i += 4) {
            const rgb = [d[i], d[i + 1], d[i + 2]]
            if (d[i + 3] > 200 && Math.max(...rgb) - Math.min(...rgb) > 60) n++
        }
        return n }""", where)

def points(tab, where:str)->int:
    "How many points the first chart says that it has."
    found = re.search(r'([\d,]+) points', tab.locator(f'{where} .panel .summary').first.inner_text())
    return int(found[1].replace(',', '')) if found else 0

def run_cell(tab, i:int)->None:
    "Run one cell and wait for it."
    tab.evaluate("""async i => { jupyterapp.shell.currentWidget.content.activeCellIndex = i
        await jupyterapp.commands.execute('notebook:run-cell') }""", i)

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

def test_jupyterlab(url, folder):
    with page(1280, 1100) as tab:
        tab.goto(f'{url}/lab/tree/lab.ipynb?reset')
        tab.wait_for_selector('.jp-Notebook .jp-Cell', timeout=60_000)
        tab.evaluate("""(async () => { const w = jupyterapp.shell.currentWidget; await w.context.ready; await w.sessionContext.ready
            await w.sessionContext.session.kernel.info; w.content.select(w.content.widgets[0]); w.content.widgets.forEach((o, i) =>
            i < 3 && w.content.select(o)); jupyterapp.commands.execute('notebook:run-cell') })()""")
        whole, one = '.mlkit:not(.compact)', '.mlkit.compact'
        tab.wait_for_selector(f'{one}[data-drawn] .panel', timeout=60_000)

        seen = [points(tab, one)]                                    # its own cell trains all the while
        for _ in range(3): seen.append(until(tab, lambda: points(tab, one), lambda n: n > seen[-1] + 20))
        assert tab.locator('.jp-InputPrompt').nth(1).inner_text() == '[*]:'
        assert painted(tab, one) > 100 and tab.locator(f'{one} .live').inner_text() == 'running'
        tab.screenshot(path=str(folder/'training.png'))
        (folder/'enough').touch()
        total = int(until(tab, lambda: re.search(r'trained (\d+)', said(tab)), bool)[1])
        until(tab, lambda: points(tab, one), lambda n: n == total)
        until(tab, lambda: said(tab), lambda text: 'drawn: [' in text)

        assert tab.locator(f'{one} .live').inner_text() == 'finished'
        assert painted(tab, whole) > 100
        assert tab.locator(f'{whole} tbody tr td:nth-child(2)').all_inner_texts() == ['run 2', 'run 1', 'run 0']
        tab.locator(f'{whole} [aria-label="Draw run 1"]').uncheck()
        tab.wait_for_function(f"document.querySelector('{whole} .count, {whole} [data-ref=count]').innerText.includes('2 drawn')")
        tab.locator(f'{whole} [data-ref=logy]').check()
        run_cell(tab, 2)
        until(tab, lambda: said(tab), lambda text: "drawn: ['run 0', 'run 2']" in text and "'logy': '1'" in text and 'rests: False' in text)
        run_cell(tab, 3)                                             # and the other way: what Python selects is drawn
        until(tab, lambda: tab.locator(f'{whole} [data-ref=count]').inner_text(), lambda text: '1 drawn' in text)
        assert tab.locator(f'{whole} [aria-label="Draw run 0"]').is_checked()
        tab.screenshot(path=str(folder/'lab.png'))

        light = tab.locator(whole).evaluate('o => getComputedStyle(o).backgroundColor')
        tab.evaluate("jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
        tab.wait_for_function(f"light => getComputedStyle(document.querySelector('{whole}')).backgroundColor !== light", arg=light)
        tab.wait_for_timeout(300)
        tab.screenshot(path=str(folder/'dark.png'))

        tab.evaluate("Object.defineProperty(document, 'hidden', {value: true}); document.dispatchEvent(new Event('visibilitychange'))")
        run_cell(tab, 2)
        until(tab, lambda: said(tab), lambda text: 'rests: True' in text)                             # a hidden page costs nothing
        assert [o for o in tab.problems if not foreign(o)] == []
        tab.evaluate("jupyterapp.shell.currentWidget.context.save()")
    kept = json.loads((folder/'lab.ipynb').read_text())['cells'][1]['outputs']
    shown = next(o['data'] for o in kept if 'text/html' in o.get('data', {}))
    assert 'finished' in ''.join(shown['text/plain']) and '<img' in ''.join(shown['text/html'])       # of the end, not of the beginning

def test_voila(url, folder):
    with page(1280, 900) as tab:
        tab.goto(f'{url}/voila/render/voila.ipynb')
        tab.wait_for_selector('.mlkit[data-drawn] .panel', timeout=60_000)
        assert painted(tab, '.mlkit') > 100
        assert tab.locator('.mlkit tbody tr').count() == 3
        tab.locator('.mlkit [data-ref=where]').fill('lr < 0.05')
        tab.locator('.mlkit [data-ref=where]').press('Enter')
        tab.wait_for_function("document.querySelectorAll('.mlkit tbody tr').length === 1")             # the kernel has answered
        tab.get_by_role('button', name='Look again').click()
        until(tab, lambda: tab.locator('.widget-html-content').all_inner_texts(), lambda texts: any('GPU' in o for o in texts))
        tab.screenshot(path=str(folder/'voila.png'))
        assert [o for o in tab.problems if not foreign(o)] == []
