"A report in a real browser: nothing is asked of anybody, nothing that a run says is executed, and the curves stay true."
import re

import numpy as np
import pytest
from browser import page

import mlkit
from mlkit.track.compare import smoothed
from mlkit.ui.report import definition

pytestmark = pytest.mark.timeout(120)
EVIL = '</script><img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
TEXT = ['# What we saw', 'Said: ' + EVIL, '[look](javascript:window.hacked=1) ![dot](https://example.org/dot.png)', 'loss',
    'Now the accuracy.', ['acc'], 'runs', 'The end.']
STEPS, SPIKE = 30_000, 12_345

@pytest.fixture(scope='module')
def store(tmp_path_factory):
    "Runs with a spike and a gap, and one that tries to run code by all that it can say."
    folder, rng = tmp_path_factory.mktemp('store'), np.random.default_rng(0)
    for i in range(3):
        with mlkit.init(project='digits', name=f'run {i}', config=dict(lr=10.**-i), store=folder, system=False, hardware=False) as run:
            for k in range(STEPS):
                loss = 50. if (i, k) == (0, SPIKE) else float('nan') if (i, k) == (1, 500) else 1/(k + 1) + rng.random()
                run.log(**{'train/loss': loss, 'acc': k/STEPS})
    with mlkit.init(project='digits', name=EVIL, config={EVIL: EVIL, 'lr': 3.}, notes=EVIL, tags=[EVIL], store=folder, system=False,
        hardware=False) as run: run.log({'train/loss': 1., EVIL: 2.})
    return folder

@pytest.fixture(scope='module')
def made(store, tmp_path_factory):
    return mlkit.runs('digits', store).report(tmp_path_factory.mktemp('out')/'r.html', title=EVIL, text=TEXT)

def opened(tab, made, hash=''):
    "Open the report in `tab`; collects what is requested."
    tab.asked = []
    tab.on('request', lambda r: tab.asked.append(r.url))
    tab.goto(made.path.as_uri() + hash)
    tab.wait_for_selector('body[data-drawn]')
    return tab

@pytest.fixture
def tab(made):
    with page() as tab:
        yield opened(tab, made)
        assert tab.problems == []
        assert len(tab.asked) == 1 and tab.asked[0].startswith('file:')
        assert tab.evaluate('window.hacked') is None

def drawn(tab, act):
    "Do `act` and wait until the charts are drawn anew."
    n = tab.evaluate('document.body.dataset.drawn')
    act()
    tab.wait_for_selector(f'body:not([data-drawn="{n}"])')

def test_it_filters_by_itself(tab):
    where = tab.locator('[data-ref=where]')
    where.fill('lr <= 0.1 and acc > 0')
    drawn(tab, lambda: where.press('Enter'))
    assert sorted(names(tab)) == ['run 1', 'run 2']
    where.fill('sqrt(lr) < 1')
    where.press('Enter')
    tab.wait_for_selector('.error:not(:empty)')
    assert "It can't read: sqrt(lr) < 1" in tab.inner_text('.error') and len(names(tab)) == 2
    where.fill('')
    drawn(tab, lambda: where.press('Enter'))
    assert len(names(tab)) == 4 and tab.inner_text('.error') == ''

def line(tab, key:str, metric:str, weight:float)->dict:
    "A line that the file keeps, as its own script unfolds it."
    return tab.evaluate('''async ([run, metric, smooth]) => { const all = await view.source.lines
        const o = all.find(o => o.run === run && o.metric === metric && o.smooth === smooth)
        return {total: o.total, step: [...o.step], time: [...o.time], y: [...o.y]} }''', [key, metric, weight])

def names(tab)->list[str]: return tab.locator('tbody tr td:nth-child(2)').all_inner_texts()

def test_text_and_charts_stand_in_the_order_that_was_given(tab):
    seen = tab.evaluate("[...document.querySelectorAll('.charts > *')].map(o => o.className || 'runs')")
    assert seen == ['prose', 'prose', 'prose', 'panel', 'prose', 'panel', 'runs', 'prose']
    assert tab.locator('.prose').first.inner_text() == 'What we saw' and tab.title() == EVIL
    assert tab.locator('.panel h2').all_inner_texts() == ['train/loss', 'acc']
    assert 'The end.' in tab.inner_text('body')

def test_nothing_that_is_said_becomes_markup(tab):
    assert EVIL in names(tab)
    assert EVIL in tab.locator('.prose').nth(1).inner_text()
    assert tab.locator('img').count() == 0 and tab.locator('a[href^=javascript]').count() == 0
    assert tab.locator('script').count() == 3
    tab.hover('tbody tr:first-child td:nth-child(2)')

def test_the_policy_refuses_what_is_added_later(made):
    with page() as tab:
        opened(tab, made)
        tab.evaluate('''() => { const s = document.createElement('script'); s.textContent = 'window.hacked = 1'; document.body.append(s)
            const i = document.createElement('img'); i.src = 'https://example.org/a.png'; document.body.append(i)
            return fetch('https://example.org/').catch(() => 0) }''')
        assert tab.evaluate('window.hacked') is None
        assert len([o for o in tab.problems if 'Content Security Policy' in o]) >= 3

def test_a_click_sorts_and_chooses(tab):
    tab.click('th button[data-key="config.lr"]')
    assert names(tab) == ['run 2', 'run 1', 'run 0', EVIL]
    drawn(tab, lambda: tab.click('tbody tr:first-child input'))
    assert '3 drawn' in tab.inner_text('[data-ref=count]') and '3 runs' in tab.locator('.panel .summary').first.inner_text()

def test_zoom_hover_and_the_address_keep_the_spike(tab, made):
    box = tab.locator('.panel .u-over').first.bounding_box()
    x, y = box['x'] + box['width']*SPIKE/STEPS, box['y'] + 60
    def drag():
        tab.mouse.move(x - 20, y)
        tab.mouse.down()
        tab.mouse.move(x + 20, y, steps=4)
        tab.mouse.up()
    drawn(tab, drag)
    lo, hi = (float(o) for o in re.search(r'zoom=([\d.]+)%2C([\d.]+)', tab.url).groups())
    assert lo < SPIKE < hi < lo + STEPS/5
    assert 50 in tab.evaluate('[...view.charts.values()][0].lines.map(o => Math.max(...o.y.filter(Number.isFinite)))')
    tab.mouse.move(box['x'] + box['width']*(SPIKE - lo)/(hi - lo), y)
    tab.wait_for_selector('.panel .tip:not([hidden])')
    assert 'run 0' in tab.locator('.panel .tip').first.inner_text()
    other = opened(tab.context.new_page(), made, '#' + tab.url.partition('#')[2])
    assert other.evaluate('view.window') == pytest.approx([lo, hi])
    drawn(tab, lambda: tab.click('[data-ref=reset]'))
    assert 'zoom' not in tab.url

def test_a_smoothed_line_is_the_average_of_all_points(tab, store):
    r = mlkit.runs('digits', store)['run 2']
    y = r.metric('train/loss').value
    for weight in (0, .9, .99):
        kept = line(tab, f'digits/{r.id}', 'train/loss', weight)
        true = smoothed(np.asarray(y, float), weight)[np.array(kept['step'], int)]
        assert len(true) >= 200 and abs(np.array(kept['y'])/true - 1).max() < 1e-6
        assert kept['total'] == STEPS
        np.testing.assert_allclose(kept['time'], (r.metric('train/loss').time - r.started)[np.array(kept['step'], int)],
            atol=1e-4*(r.duration or 1))

def test_only_the_averages_that_are_kept_are_offered(tab):
    assert tab.locator('[data-ref=smooth] option').all_inner_texts() == ['off', '0.9', '0.99']
    drawn(tab, lambda: tab.select_option('[data-ref=smooth]', '0.9'))
    assert tab.evaluate('[...view.charts.values()][0].lines.map(o => o.raw)').count(True) == 4 and 'smooth=0.9' in tab.url
    for axis in ('time', 'wall'): drawn(tab, lambda axis=axis: tab.select_option('[data-ref=x]', axis))

def test_printed_it_is_on_white_and_without_controls(made, tmp_path):
    with page(width=720, color_scheme='dark') as tab:
        opened(tab, made)
        dark = tab.evaluate('getComputedStyle(document.body).backgroundColor')
        tab.evaluate("dispatchEvent(new Event('beforeprint'))")
        tab.emulate_media(media='print')
        assert (tab.evaluate('getComputedStyle(document.body).backgroundColor'), dark) == ('rgb(255, 255, 255)', 'rgb(21, 24, 28)')
        assert not tab.locator('[data-ref=reset]').is_visible() and tab.locator('h1').first.is_visible()
        assert tab.evaluate('document.documentElement.scrollWidth <= innerWidth')
        assert len(tab.pdf()) > 10_000

def test_it_keeps_within_its_size(store, tmp_path):
    for size in (200_000, 400_000):
        r = mlkit.runs('digits', store).report(tmp_path/f'{size}.html', size=size)
        assert r.path.stat().st_size <= size
        assert r.points[0] < r.points[1] and f'{r.points[0]:,} of {r.points[1]:,} points' in r.path.read_text()

def test_a_file_is_made_again_with_new_runs(store, made, tmp_path):
    d = definition(made.path)
    assert d.text == TEXT and d.asked == dict(project='digits', archived=False, where=[])
    assert str(store) not in made.path.read_text()
    with mlkit.init(project='digits', name='new', store=store, system=False, hardware=False) as run: run.log({'train/loss': .5, 'acc': 1})
    again = mlkit.report(made.path, tmp_path/'again.html', store=store)
    assert len(again.found) == 5 and again.definition == made.definition
    few = mlkit.runs('digits', store)[:2].report(tmp_path/'few.html')
    assert len(mlkit.report(few.path, tmp_path/'few again.html', store=store).found) == 2
    some = mlkit.runs('digits', store).where('lr < 0.5').report(tmp_path/'some.html')
    assert definition(some.path).asked['where'] == ['lr < 0.5']

def test_in_a_notebook_it_is_a_frame_that_may_run_nothing_else(made, tmp_path):
    html = made._repr_mimebundle_()['text/html']
    (tmp_path/'cell.html').write_text(f'<!doctype html><meta charset="utf-8"><body>{html}</body>')
    with page() as tab:
        tab.goto((tmp_path/'cell.html').as_uri())
        frame = tab.frame_locator('iframe')
        frame.locator('body[data-drawn]').wait_for()
        frame.locator('th button[data-key="config.lr"]').click()
        assert frame.locator('tbody tr').count() >= 4 and tab.problems == []
        assert tab.evaluate('window.hacked') is None and frame.locator('body').evaluate('() => window.hacked') is None
