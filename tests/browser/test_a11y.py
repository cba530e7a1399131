"The dashboards for readers who don't see them, don't use a mouse, or want no motion: axe-core's rules, and every action by keyboard."
import os

import pytest
from browser import page
from conftest import ROOT
from test_page import drawn, served

import mlkit

AXE = ROOT/'js'/'node_modules'/'axe-core'/'axe.min.js'
CI = os.environ.get('CI', '').lower() in ('1', 'true')
pytestmark = [pytest.mark.timeout(180), pytest.mark.skipif(not AXE.exists() and not CI, reason='axe-core is missing: run npm ci in js/')]

@pytest.fixture(scope='module')
def store(tmp_path_factory):
    "Runs that ended well and badly, with all that a run can say."
    folder = tmp_path_factory.mktemp('store')
    for i in range(5):
        with mlkit.init(project='p', name=f'run {i}', config=dict(lr=10.**-i, opt='sgd' if i % 2 else 'adam'), store=folder, system=False,
            hardware=False, notes='what I saw') as run:
            for k in range(200): run.log(**{'train/loss': 1/(k + 1) + i, 'val/loss': 2/(k + 1), 'acc': k/200})
    with pytest.raises(RuntimeError), mlkit.init(project='p', name='unlucky', store=folder, system=False, hardware=False) as run:
        run.log(acc=.5)
        raise RuntimeError('boom')
    return folder

@pytest.fixture(scope='module')
def url(store):
    with served(store, 'p') as (_, found): yield found

@pytest.fixture(scope='module')
def made(store, tmp_path_factory):
    return mlkit.runs('p', store).report(tmp_path_factory.mktemp('out')/'r.html', text=['# Seen', 'A word and `code`.', 'acc', 'runs'])

def opened(tab, url):
    tab.goto(url)
    tab.wait_for_selector('body[data-drawn]')
    return tab

def faults(tab)->list[str]: # The debugger's protocol runs it: the page's own policy lets no script in
    "What axe-core calls serious or critical."
    tab.evaluate(AXE.read_text(encoding='utf-8') + ';0')
    found = tab.evaluate('''axe.run(document).then(o => o.violations.map(v =>
        [v.impact, v.id, ...v.nodes.slice(0, 3).map(n => n.html.slice(0, 200))]))''')
    return [' '.join(o) for o in found if o[0] in ('serious', 'critical')]

@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_the_page_has_no_serious_fault(url, scheme):
    with page(color_scheme=scheme) as tab:
        assert faults(opened(tab, url)) == []
        tab.select_option('[data-ref=colour]', 'config.opt')
        assert faults(tab) == []
        tab.select_option('.tools select', 'config.opt')
        tab.locator('.menu summary').click()
        tab.locator('.choices button', has_text='pin').first.click()
        assert faults(tab) == []
        tab.keyboard.press('Escape')
        tab.locator('.open').first.click()
        tab.wait_for_selector('dialog')
        assert faults(tab) == []
        tab.keyboard.press('Escape')
        drawn(tab, lambda: tab.click('[data-ref=none]'))
        for i in (1, 2): drawn(tab, lambda i=i: tab.check(f'[aria-label="Draw run {i}"]'))
        tab.click('[data-ref=compare]')
        tab.wait_for_selector('dialog')
        assert faults(tab) == []
        tab.keyboard.press('Escape')
        tab.fill('[data-ref=where]', 'lrr < 1')
        tab.click('text=Filter')
        tab.wait_for_selector('[data-ref=error]:not(:empty)')
        assert faults(tab) == []
        tab.evaluate("document.body.append(document.createElement('input'))")
        assert 'label' in faults(tab)[0]                               # it would say so

@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_an_empty_page_and_a_report_have_no_serious_fault(tmp_path, made, scheme):
    with served(tmp_path) as (_, url), page(color_scheme=scheme) as tab:
        tab.goto(url)
        tab.wait_for_selector('[data-ref=empty]:visible')
        assert faults(tab) == []
        assert faults(opened(tab, made.path.as_uri())) == []

def test_values_are_told_by_keyboard(url):
    with page() as tab:
        chart = opened(tab, url).locator('.u-over').first
        chart.focus()
        chart.press('Shift+ArrowRight')
        said, told = tab.locator('.panel [aria-live]').first, []
        tab.wait_for_selector('.tip:visible')
        for _ in range(3):
            told.append(said.text_content())
            chart.press('Shift+ArrowRight')
        assert len(set(told)) == 3 and all('run 1' in o for o in told), told
        tab.locator('[data-ref=where]').focus()
        assert not tab.locator('.tip:visible').count() and tab.problems == []

def test_all_is_reached_by_the_tab_key_alone(url):
    "Also by those who never touch a mouse: sorting, choosing, opening, filtering, charts."
    with page() as tab:
        opened(tab, url)
        seen = set()
        for _ in range(90):
            tab.keyboard.press('Tab')
            seen.add(tab.evaluate('''() => { const o = document.activeElement, d = o.dataset
                const kind = ['key', 'pick', 'open'].find(k => d[k])
                return d.ref || kind || (o.className.includes('u-over') ? 'chart' : o.textContent) }'''))
        wanted = 'where x smooth logx logy colour reset all none table key pick open chart CSV'
        assert set(wanted.split()) <= seen

def test_a_sheet_keeps_the_focus_and_gives_it_back(url):
    with page() as tab:
        opened(tab, url).locator('.open').first.focus()
        tab.keyboard.press('Enter')
        tab.wait_for_selector('dialog[open]')
        inside = set()
        for _ in range(12):
            tab.keyboard.press('Tab')
            inside.add(tab.evaluate("!!document.activeElement.closest('dialog') || document.activeElement === document.body"))
        assert inside == {True}
        tab.evaluate('mlkitView.table.draw()')                         # as when a live run has news
        tab.keyboard.press('Escape')
        tab.wait_for_selector('dialog', state='detached')
        assert tab.evaluate("document.activeElement.className") == 'open'

def test_nothing_moves_for_those_who_want_no_motion(url):
    with page(reduced_motion='reduce') as tab:
        opened(tab, url)
        moving = """[...document.querySelectorAll('*')].map(o => getComputedStyle(o))
            .filter(s => parseFloat(s.transitionDuration) || s.animationName !== 'none').length"""
        assert tab.evaluate(moving) == 0
        tab.locator('.open').first.click()
        tab.wait_for_selector('dialog')
        assert tab.evaluate(moving) == 0 and tab.evaluate('document.getAnimations().length') == 0
