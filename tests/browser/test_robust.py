"What people do while runs train, servers go and folders are deleted: no click is lost, and the page says what is so."
import re, shutil, subprocess, sys, threading
from contextlib import contextmanager

import pytest
from browser import page
from conftest import clean_env

import mlkit

pytestmark = pytest.mark.timeout(120)
KW = dict(system=False, hardware=False, console=False)


@contextmanager
def served(store, project, port=0):
    "The address of a project's page, until the block ends."
    code = 'from mlkit.cli.main import main; raise SystemExit(main())'
    command = [sys.executable, '-c', code, 'ui', project, '--port', str(port), '--no-browser', '--store', str(store)]
    p = subprocess.Popen(command, env=clean_env(), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try: yield re.search(r'http://127\.0\.0\.1:(\d+)/', p.stdout.readline())
    finally:
        p.kill()
        p.communicate()

def fill(store, n=6, project='p'):
    "Ended runs."
    for i in range(n):
        with mlkit.init(project=project, name=f'run {i}', config=dict(lr=i), store=store, **KW) as run:
            for k in range(50): run.log(loss=i + 1/(k + 1))

@contextmanager
def training(store, n=3):
    "Runs that log ten times a second."
    runs, ended = [mlkit.init(project='p', name=f'live {i}', store=store, reinit='create_new', **KW) for i in range(n)], threading.Event()
    def train():
        k = 0
        while not ended.wait(.1):
            k += 1
            for run in runs: run.log(loss=1/k, other=k)
    thread = threading.Thread(target=train)
    thread.start()
    try: yield
    finally:
        ended.set()
        thread.join()
        for run in runs: run.finish()

def test_no_click_is_lost_while_runs_train(tmp_path):
    fill(tmp_path)
    with training(tmp_path), served(tmp_path, 'p') as url, page() as tab:
        tab.goto(url[0])
        tab.wait_for_selector('body[data-drawn]')
        tab.wait_for_selector('td.running')
        boxes, expected = tab.locator('tbody input[type=checkbox]'), {}
        for i in range(12):
            box = boxes.nth(i % 9)
            key = box.get_attribute('data-pick')
            expected[key] = not expected.get(key, True)
            at = box.bounding_box()
            tab.mouse.move(at['x'] + 5, at['y'] + 5)
            tab.mouse.down()
            tab.wait_for_timeout(130)
            tab.mouse.up()
            tab.wait_for_timeout(30)
        tab.wait_for_timeout(300)
        assert {k: tab.locator(f'[data-pick="{k}"]').is_checked() for k in expected} == expected
        tab.locator('tbody .open', has_text='run 2').click(delay=150, timeout=5000)
        tab.wait_for_selector('dialog[open] >> text=run 2')
        assert not tab.problems

def test_a_row_stays_the_same_element_while_its_run_goes_on(tmp_path):
    with training(tmp_path, 2), served(tmp_path, 'p') as url, page() as tab:
        tab.goto(url[0])
        tab.wait_for_selector('td.running')
        tab.evaluate("document.querySelectorAll('tbody tr').forEach(o => { o.mine = true })")
        text = tab.inner_text('tbody tr')
        tab.wait_for_function("t => document.querySelector('tbody tr').innerText !== t", arg=text)
        assert tab.evaluate("[...document.querySelectorAll('tbody tr')].map(o => !!o.mine)") == [True, True]

def test_the_server_goes_and_comes_again(tmp_path):
    fill(tmp_path)
    with page() as tab:
        with served(tmp_path, 'p') as url:
            tab.goto(url[0])
            tab.wait_for_selector('body[data-drawn]')
        tab.wait_for_selector('text=not connected')
        tab.fill('[data-ref=where]', 'abs(lr) < 2')             # one that the page can't answer itself
        tab.press('[data-ref=where]', 'Enter')
        tab.wait_for_selector('.error:not(:empty)')
        assert 'is mlkit ui still running?' in tab.inner_text('.error')
        shutil.rmtree(mlkit.runs('p', tmp_path)['run 0'].path)
        with served(tmp_path, 'p', url[1]):
            tab.wait_for_selector('tbody tr >> nth=0')
            tab.wait_for_function("() => document.querySelectorAll('tbody tr').length === 1", timeout=20_000)
            assert tab.inner_text('tbody tr td:nth-child(2)') == 'run 1' and tab.inner_text('.error') == ''
            tab.fill('[data-ref=where]', '')
            tab.press('[data-ref=where]', 'Enter')
            tab.wait_for_function("() => document.querySelectorAll('tbody tr').length === 5")
        assert all('Failed to' in o or 'ERR_' in o for o in tab.problems), tab.problems

def test_back_undoes_a_filter_and_a_zoom(tmp_path):
    fill(tmp_path)
    with served(tmp_path, 'p') as url, page() as tab:
        tab.goto(url[0])
        tab.wait_for_selector('body[data-drawn]')
        def rows(n): tab.wait_for_function(f"() => document.querySelectorAll('tbody tr').length === {n}")
        for text, n in (('lr < 3', 3), ('lr < 2', 2)):
            tab.fill('[data-ref=where]', text)
            tab.press('[data-ref=where]', 'Enter')
            rows(n)
        tab.locator('.u-over').first.press('+')
        tab.wait_for_function("() => location.hash.includes('zoom=')")
        tab.go_back()
        tab.wait_for_function("() => !location.hash.includes('zoom=')")
        rows(2)
        tab.go_back()
        rows(3)
        tab.go_back()
        rows(6)
        assert tab.input_value('[data-ref=where]') == '' and not tab.problems

def test_what_is_empty_says_why_and_isnt_zoomed(tmp_path):
    fill(tmp_path)
    with served(tmp_path, 'p') as url, page() as tab:
        tab.goto(url[0])
        tab.wait_for_selector('body[data-drawn]')
        tab.click('[data-ref=none]')
        tab.wait_for_selector('.panel >> text=No run is drawn')
        tab.locator('.u-over').first.press('+')
        tab.wait_for_timeout(300)
        assert 'zoom' not in tab.url and not tab.problems

def test_smoothing_by_keys_has_steps_and_is_told(tmp_path):
    fill(tmp_path, 1)
    with served(tmp_path, 'p') as url, page() as tab:
        tab.goto(url[0])
        tab.wait_for_selector('body[data-drawn]')
        for _ in range(3): tab.press('[data-ref=smooth]', 'ArrowRight')
        assert tab.inner_text('[data-ref=weight]') == '0.6'
        assert tab.get_attribute('[data-ref=smooth]', 'aria-valuetext') == '0.6'
        for _ in range(9): tab.press('[data-ref=smooth]', 'ArrowLeft')
        assert tab.inner_text('[data-ref=weight]') == '' and not tab.problems

@pytest.mark.parametrize('again', [True, False], ids=['mended', 'broken'])
def test_one_chart_that_fails_leaves_the_others(tmp_path, again):
    "The page asks once more, then says it at the chart."
    with mlkit.init(project='p', store=tmp_path, **KW) as run:
        for k in range(9): run.log(loss=k, acc=k)
    with served(tmp_path, 'p') as url, page() as tab:
        failed = []
        def fail(route):
            if failed and again: return route.continue_()
            failed.append(1)
            route.fulfill(status=500, content_type='application/json', body='{}')
        tab.route(re.compile('api/series.*metric=loss'), fail)
        tab.goto(url[0])
        tab.wait_for_selector('body[data-drawn]')
        said = tab.locator('.panel .summary').all_inner_texts()
        assert sum('9 points' in o for o in said) == 1 + again and sum('said 500' in o for o in said) == 1 - again, said
