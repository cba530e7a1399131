"The dashboard for those who don't see it, don't point at it, or don't want it to move: axe finds nothing serious, and keys do all."
import sys

import pytest
from browser import page
from conftest import ROOT
from test_page import drawn, served

import mlkit

pytestmark = pytest.mark.timeout(120)
AXE = ROOT/'js'/'node_modules'/'axe-core'/'axe.min.js'

@pytest.fixture(scope='module')
def axe()->str:
    "The text of axe; npm brings it with the front end's other tools."
    if not AXE.exists():
        sys.path.insert(0, str(ROOT/'js'))
        import build
        assert build.npm(build.node(), 'ci', '--ignore-scripts', '--no-audit', '--no-fund').returncode == 0
    return AXE.read_text()

@pytest.fixture(scope='module')
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp('store')
    for i, status in enumerate(['finished', 'failed', 'interrupted']):
        with mlkit.init(project='digits', name=f'run {i}', config=dict(lr=10.**-i), store=folder, hardware=False) as run:
            for k in range(300): run.log(**{'train/loss': 40. if k == 50 else 1/(k + 1), 'val/loss': 1.1/(k + 1), 'acc': k/300})
            run.finish(status=status)
    return folder

@pytest.fixture(scope='module')
def url(store):
    with served(store, 'digits') as (_, found): yield found

def serious(tab, axe:str)->list[str]:
    "What axe calls serious or critical."
    found = tab.evaluate(axe + '; axe.run({resultTypes: ["violations"]})')
    return [f"{o['id']}: {o['help']}: {o['nodes'][0]['html'][:200]}" for o in found['violations'] if o['impact'] in ('serious', 'critical')]

def opened(tab, url:str)->None:
    tab.goto(url)
    tab.wait_for_selector('body[data-drawn]', state='attached')
    tab.wait_for_timeout(200)

STATES = {'page': '', 'means': '#by=config.lr', 'sheet': '', 'comparison': '', 'error': '', 'nothing': 'where'}

@pytest.mark.parametrize('scheme', ['light', 'dark'])
@pytest.mark.parametrize('state', STATES)
def test_axe_finds_nothing_serious(url, axe, state, scheme):
    with page(color_scheme=scheme) as tab:
        opened(tab, url + STATES[state].replace('where', '#where=lr>50'))
        if state == 'sheet':
            tab.click('tbody .open')
            tab.click('summary:text("doctor")')
            tab.wait_for_selector('details td')
        if state == 'comparison':
            tab.uncheck('[aria-label="Draw run 1"]')
            tab.click('[data-ref=compare]')
            tab.wait_for_selector('dialog')
        if state == 'error':
            tab.fill('[data-ref=where]', 'lrr < 1')
            tab.press('[data-ref=where]', 'Enter')
            tab.wait_for_selector('[data-ref=error]:not(:empty)')
        assert serious(tab, axe) == []

@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_axe_finds_nothing_serious_in_a_report(store, axe, scheme, tmp_path):
    mlkit.runs('digits', store).report(tmp_path/'r.html', title='Three runs', text='One **failed**.')
    with page(color_scheme=scheme) as tab:
        opened(tab, (tmp_path/'r.html').as_uri())
        assert serious(tab, axe) == []

def focus(tab)->str: return tab.evaluate('document.activeElement.ariaLabel || document.activeElement.textContent')

def test_keys_do_what_the_pointer_does(url):
    "From the top of the page by Tab alone: filter, sort, choose, open, close; a sheet keeps the focus and gives it back."
    with page() as tab:
        opened(tab, url)
        seen = []
        for _ in range(60):
            tab.keyboard.press('Tab')
            seen.append(focus(tab))
        for what in ('Filter', 'Show all of x', 'Draw all', 'name', 'lr', 'Draw run 0', 'run 0', 'All values', 'CSV'):
            assert any(o.startswith(what) for o in seen), f'{what} is out of reach: {seen}'
        assert any('chart' in o for o in seen)
        tab.locator('th button[data-key="config.lr"]').focus()
        tab.keyboard.press('Enter')
        assert tab.locator('th[aria-sort=ascending]').inner_text().startswith('lr')
        assert tab.evaluate('document.activeElement.dataset.key') == 'config.lr', 'the focus stays'
        tab.locator('[aria-label="Draw run 0"]').focus()
        drawn(tab, lambda: tab.keyboard.press('Space'))
        assert '2 runs' in tab.locator('.panel .summary').first.inner_text()
        tab.locator('tbody .open').first.focus()
        tab.keyboard.press('Enter')
        tab.wait_for_selector('dialog[open]')
        for _ in range(30):
            tab.keyboard.press('Tab')
            inside = tab.evaluate('document.activeElement === document.body || !!document.activeElement.closest("dialog")')
            assert inside, 'behind the sheet'
        tab.keyboard.press('Escape')
        tab.wait_for_selector('dialog', state='detached')
        assert tab.evaluate('document.activeElement.className') == 'open', 'back where it was'

def test_a_chart_tells_its_values_to_keys(url):
    with page() as tab:
        opened(tab, url)
        chart = tab.locator('.u-over').nth(1)
        chart.focus()
        chart.press('Shift+ArrowRight')
        said = tab.locator('.panel').nth(1).locator('[aria-live=polite]')
        assert 'run 1' in said.inner_text()
        first = said.inner_text()
        for _ in range(5): chart.press('Shift+ArrowRight')
        assert said.inner_text() != first
        assert tab.locator('.panel').nth(1).locator('.tip').is_visible()
        assert tab.problems == []

def test_nothing_moves_for_those_who_said_so(url):
    with page(reduced_motion='reduce') as tab:
        opened(tab, url)
        moving = tab.evaluate("""[...document.querySelectorAll('*')].filter(o => { const s = getComputedStyle(o)
            return parseFloat(s.transitionDuration) > 0 || s.animationName !== 'none' || s.scrollBehavior === 'smooth' }).length""")
        assert moving == 0
