"Settings against results: brushes, a scatter and the importance of settings, by pointer and by keys."
import pytest
from browser import page
from test_page import drawn, served

import mlkit

pytestmark = pytest.mark.timeout(120)

@pytest.fixture(scope='module')
def url(tmp_path_factory):
    "Twelve runs: the learning rate decides, one run has no result, one a result that is no number."
    store = tmp_path_factory.mktemp('store')
    for i in range(12):
        config = dict(lr=10.**-(i % 4 + 1), opt=('adam', 'sgd')[i % 2], seed=i)
        with mlkit.init(project='p', name=f'run {i}', config=config, store=store, system=False, hardware=False) as run:
            if i < 10: run.log(loss=1.*(i % 4) + .01*i, acc=.5)
            if i == 10: run.log(loss=float('nan'), acc=.5)
    with served(store, 'p') as (_, found): yield found

@pytest.fixture
def tab(url):
    with page() as tab:
        tab.goto(url + '#space=1')
        tab.wait_for_selector('body[data-drawn]')
        tab.wait_for_selector('.shares b')
        yield tab
        assert tab.problems == []

def kept(tab)->int: return int(tab.locator('.space button:text("Draw these")').inner_text().split()[-1])

def test_a_drag_along_an_axis_chooses_runs(tab):
    assert kept(tab) == 12
    box = tab.locator('.lines canvas').bounding_box()
    names = tab.locator('.axes button').all_inner_texts()
    assert names == ['lr', 'opt', 'seed', 'loss']
    def drag(i, top, bottom):
        x = box['x'] + 56 + i*(box['width'] - 112)/3
        tab.mouse.move(x, box['y'] + 10 + (1 - top)*196)
        tab.mouse.down()
        tab.mouse.move(x, box['y'] + 10 + (1 - bottom)*196, steps=6)
        tab.mouse.up()
    drag(0, 1., .9)                                                  # lr 0.1: every fourth
    assert kept(tab) == 3
    drag(2, .5, 0.)                                                  # and of these the seeds up to 5
    n = kept(tab)
    assert n == 2
    drawn(tab, lambda: tab.click('.space button:text("Draw these")'))
    assert f'{n} drawn' in tab.locator('[data-ref=count]').inner_text()
    tab.click('.axes button:text-is("lr")')
    assert kept(tab) > n
    tab.click('.space button:text("Clear")')
    assert kept(tab) == 12
    drag(3, 1., 0.)
    assert kept(tab) == 10, 'those without a result are out'

def test_keys_brush_too(tab):
    axis = tab.locator('.axes button:text-is("seed")')
    axis.focus()
    for _ in range(10): tab.keyboard.press('ArrowUp')
    assert kept(tab) == 6 and 'seed: 5.5 to 11' in tab.evaluate('document.activeElement.ariaLabel')
    tab.keyboard.press('Shift+ArrowDown')
    assert kept(tab) == 5
    tab.keyboard.press('Escape')
    assert kept(tab) == 12

def test_brushes_are_kept_in_the_address(tab):
    tab.locator('.axes button:text-is("seed")').focus()
    for _ in range(10): tab.keyboard.press('ArrowUp')
    assert kept(tab) == 6 and 'brush=config.seed' in tab.url
    tab.reload()
    tab.wait_for_selector('.axes button.on:text-is("seed")')
    assert kept(tab) == 6
    tab.click('.space button:text("Clear")')
    assert 'brush=' not in tab.url

def test_arrows_go_from_point_to_point_and_enter_opens_its_run(tab):
    tab.locator('.two select').first.select_option('config.seed')
    cloud = tab.locator('.cloud canvas')
    cloud.focus()
    seen = []
    for _ in range(3):
        tab.keyboard.press('ArrowRight')
        seen.append(tab.locator('.cloud [aria-live]').text_content())
    assert seen[0].startswith('run 0') and 'seed 0' in seen[0] and len(set(seen)) == 3, seen
    name = tab.locator('.cloud .tip .near').inner_text()
    tab.keyboard.press('Enter')
    assert tab.locator('dialog h2').inner_text() == name
    tab.keyboard.press('Escape')
    tab.locator('[data-ref=where]').focus()
    assert not tab.locator('.cloud .tip').is_visible()

def test_the_scatter_names_and_opens_a_run(tab):
    tab.locator('.two select').first.select_option('config.seed')
    at = tab.evaluate('(() => { const o = window.mlkitView.space.dots.find(o => o.row.name === "run 3"); return [o.x, o.y] })()')
    cloud = tab.locator('.cloud canvas')
    cloud.hover(position=dict(x=at[0], y=at[1]))
    assert 'run 3' in tab.locator('.cloud .tip').inner_text() and '3.03' in tab.locator('.cloud .tip').inner_text()
    cloud.click(position=dict(x=at[0], y=at[1]))
    assert tab.locator('dialog h2').inner_text() == 'run 3'

def test_a_drag_over_the_scatter_chooses_runs(tab):
    "The same ranges as on the axes, also for results that have no axis above; Escape forgets them."
    selects = tab.locator('.two select')
    selects.nth(0).select_option('config.seed')
    selects.nth(1).select_option('summary.loss')
    tab.locator('.cloud canvas').scroll_into_view_if_needed()
    box = tab.locator('.cloud canvas').bounding_box()
    def drag():
        find = 'window.mlkitView.space.dots.find(o => o.row.name === k)'
        at = tab.evaluate(f"['run 4', 'run 7'].map(k => {{ const o = {find}; return [o.x, o.y] }})")
        tab.mouse.move(box['x'] + at[0][0] - 6, box['y'] + at[0][1] + 8)
        tab.mouse.down()
        tab.mouse.move(box['x'] + at[1][0] + 6, box['y'] + at[1][1] - 8, steps=6)
        tab.mouse.up()
    drag()
    assert kept(tab) == 4 and tab.locator('dialog').count() == 0
    assert tab.locator('.axes button.on').all_inner_texts() == ['seed', 'loss']
    tab.locator('.axes button:text-is("seed")').press('Escape')      # only this one
    assert kept(tab) > 4 and tab.locator('.axes button.on').count() == 1
    tab.locator('.space select').first.press('Escape')
    assert kept(tab) == 12
    selects.nth(1).select_option('summary.acc')
    tab.mouse.move(box['x'] + 60, box['y'] + 5)
    tab.mouse.down()
    tab.mouse.move(box['x'] + box['width']*.5, box['y'] + 200, steps=6)
    tab.mouse.up()
    assert 0 < kept(tab) < 11 and tab.locator('.axes button.on').all_inner_texts() == ['seed']
    tab.click('.space button:text("Clear")')
    assert kept(tab) == 12

def test_the_importance_is_optunas(tab):
    shares = tab.locator('.shares > div')
    assert shares.first.locator('span').first.inner_text() == 'lr' and shares.count() == 3
    assert float(shares.first.locator('b').inner_text().split()[0]) > 50
    tab.fill('[data-ref=where]', 'seed < 4')
    drawn(tab, lambda: tab.press('[data-ref=where]', 'Enter'))
    tab.wait_for_selector('.shares :text("4 runs: too few")')
    assert kept(tab) == 4 and 'space=1' in tab.url
