"The page of `mlkit ui` in a real browser: real clicks, no errors, and nothing that a run says is ever executed."
import http.client, json, re, shutil, signal, subprocess, sys, time
from contextlib import contextmanager

import pytest
from browser import page
from conftest import ROOT, clean_env

import mlkit
from mlkit.ui.series import unpack

pytestmark = pytest.mark.timeout(120)
EVIL = '<img src=x onerror="document.title=1;window.hacked=1"><script>window.hacked=1</script>'
START = 'from mlkit.cli.main import main; raise SystemExit(main())'

@contextmanager
def served(store, *args:str, start:str=r'http://127\.0\.0\.1:\d+/'):
    "The process of the command and the address of its page; it ends with the block."
    command = [sys.executable, '-c', START, 'ui', *args, '--port', '0', '--no-browser', '--store', str(store)]
    p = subprocess.Popen(command, env=clean_env(), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        line = p.stdout.readline()
        found = re.search(start, line)
        assert found, line + p.stdout.read()
        yield p, found[0]
    finally:
        p.kill()
        p.communicate()

@pytest.fixture(scope='module')
def store(tmp_path_factory):
    "Ordinary runs, one that failed, one with code for a name, notes and settings, one with a spike."
    folder = tmp_path_factory.mktemp('store')
    for i in range(4):
        with mlkit.init(project='digits', name=f'run {i}', config=dict(lr=10.**-i), store=folder, system=False, hardware=False) as run:
            for k in range(3000): run.log(**{'train/loss': 5. if (i, k) == (0, 1234) else 1/(k + 1), 'acc': k/3000})
    with mlkit.init(project='digits', name=EVIL, config={EVIL: EVIL, 'lr': 3.}, notes=EVIL, tags=[EVIL], store=folder, system=False,
        hardware=False) as run: run.log({'train/loss': 1., EVIL: 2., 'nan': float('nan')})
    with pytest.raises(RuntimeError), mlkit.init(project='digits', name='unlucky', store=folder, system=False, hardware=False) as run:
        run.log(acc=.5)
        raise RuntimeError('boom')
    return folder

@pytest.fixture(scope='module')
def url(store):
    with served(store, 'digits') as (_, found): yield found

@pytest.fixture
def tab(url):
    with page() as tab:
        tab.goto(url)
        tab.wait_for_selector('body[data-drawn]')
        yield tab
        assert tab.problems == []
        assert tab.evaluate('window.hacked') is None and tab.title() == 'digits'

def drawn(tab, act):
    "Do `act` and wait until the charts are drawn anew."
    n = tab.evaluate('document.body.dataset.drawn')
    act()
    tab.wait_for_selector(f'body:not([data-drawn="{n}"])')

def names(tab)->list[str]: return tab.locator('tbody tr td:nth-child(2)').all_inner_texts()

def test_the_table_shows_runs_and_says_how_they_ended(tab):
    assert sorted(names(tab)) == sorted(['run 0', 'run 1', 'run 2', 'run 3', 'unlucky', EVIL])
    assert tab.locator('tr', has_text='unlucky').locator('td.failed').inner_text() == 'failed'
    assert tab.locator('.panel').count() >= 2 and tab.locator('img').count() == 0

def test_a_click_sorts_and_a_condition_filters(tab):
    tab.click('th button[data-key="config.lr"]')
    assert names(tab)[:2] == ['run 3', 'run 2']
    tab.click('th button[data-key="config.lr"]')
    assert names(tab)[0] == EVIL and names(tab)[-1] == 'unlucky'
    tab.fill('[data-ref=where]', 'lr < 0.05')
    drawn(tab, lambda: tab.press('[data-ref=where]', 'Enter'))
    assert names(tab) == ['run 2', 'run 3']
    assert 'where=lr' in tab.url
    tab.fill('[data-ref=where]', 'lrr < 1')
    bad = tab.problems
    tab.problems = []
    tab.click('text=Filter')
    tab.wait_for_selector('[data-ref=error]:not(:empty)')
    assert "No 'lrr' here" in tab.locator('[data-ref=error]').inner_text()
    assert all('400' in o for o in tab.problems)                     # a browser notes every refusal in its console
    tab.problems = bad

def test_a_click_chooses_what_is_drawn(tab):
    drawn(tab, lambda: tab.click('[data-ref=none]'))
    assert 'No run is drawn' in tab.locator('.panel .summary').first.inner_text()
    drawn(tab, lambda: tab.check('[aria-label="Draw run 0"]'))
    assert '1 run, 3,000 points' in tab.locator('.panel .summary').first.inner_text()

def test_zoom_is_shared_exact_and_in_the_address(tab):
    box = tab.locator('.u-over').first.bounding_box()
    def drag():
        tab.mouse.move(box['x'] + box['width']*.4, box['y'] + 50)
        tab.mouse.down()
        tab.mouse.move(box['x'] + box['width']*.45, box['y'] + 60, steps=4)
        tab.mouse.up()
    with tab.expect_response(lambda r: 'api/series' in r.url and 'lo=' in r.url) as got: drawn(tab, drag)
    _, lines = unpack(got.value.body())
    x = max((x for x, _ in lines), key=len)
    assert 1100 < x[0] < 1300 and (x[1:] - x[:-1] == 1).all()        # every step of the window
    assert 'zoom=' in tab.url
    drawn(tab, lambda: tab.reload())
    assert 'zoom=' in tab.url
    drawn(tab, lambda: tab.locator('.u-over').first.press('Escape'))
    assert 'zoom=' not in tab.url

def test_the_wheel_zooms_and_a_drag_with_shift_pans(tab):
    "Only with Ctrl and Shift, so that a page still scrolls and a drag still marks."
    def window(): return [float(o) for o in tab.evaluate("new URLSearchParams(location.hash.slice(1)).get('zoom')").split(',')]
    box = tab.locator('.u-over').first.bounding_box()
    tab.mouse.move(box['x'] + box['width']/2, box['y'] + 50)
    tab.keyboard.down('Control')
    drawn(tab, lambda: tab.mouse.wheel(0, -100))
    tab.keyboard.up('Control')
    a, b = window()
    assert 300 < a < b < 2700
    tab.keyboard.down('Shift')
    def pan():
        tab.mouse.down()
        tab.mouse.move(box['x'] + box['width']/4, box['y'] + 60, steps=4)
        tab.mouse.up()
    drawn(tab, pan)
    tab.keyboard.up('Shift')
    lo, hi = window()
    assert lo - a == pytest.approx((b - a)/4, rel=.05) and hi - lo == pytest.approx(b - a)

def test_the_pointer_tells_the_values(tab):
    box = tab.locator('.u-over').first.bounding_box()
    tab.mouse.move(box['x'] + box['width']/2, box['y'] + 40)
    tip = tab.locator('.tip:visible').first
    tip.wait_for()
    values = [float(o) for o in tip.locator('b').all_inner_texts()]
    assert len(values) >= 4 and values == sorted(values, reverse=True)

def test_smoothing_and_log_axes_draw(tab):
    def move():
        tab.focus('[data-ref=smooth]')
        tab.press('[data-ref=smooth]', 'End')
    with tab.expect_response(lambda r: 'smooth=0.999' in r.url) as got: drawn(tab, move)
    head, _ = unpack(got.value.body())
    assert {o['raw'] for o in head['lines']} == {True, False}
    drawn(tab, lambda: tab.check('[data-ref=logy]'))
    drawn(tab, lambda: tab.check('[data-ref=logx]'))
    off = tab.evaluate("""() => { const c = [...window.mlkitView.charts.values()][0], {left, top, width, height} = c.plot.bbox
        const xs = c.place('x', left, width), ys = c.place('y', top + height, -height), [a, b] = c.xrange(), [p, q] = c.yrange()
        return Math.max(...[.1, .5, .9].map(t => Math.max(Math.abs(xs(a + t*(b - a)) - c.plot.valToPos(a + t*(b - a), 'x', true)),
            Math.abs(ys(p + t*(q - p)) - c.plot.valToPos(p + t*(q - p), 'y', true))))) }""")
    assert off < .01

def test_runs_are_coloured_by_a_setting(tab):
    tab.select_option('[data-ref=colour]', 'config.lr')
    assert tab.locator('.legend > span').all_inner_texts() == ['0.001', '0.01', '0.1', '1', '3', 'none']
    assert 'colour=config.lr' in tab.url
    colours = tab.locator('.legend .swatch').evaluate_all('os => os.map(o => o.style.background)')
    assert len(set(colours)) == 6

CHART, DONE = '(() => { const c = window.mlkitView.charts.get("loss")', '})()'

def test_runs_that_belong_together_have_one_mean_and_a_spread(tab):
    drawn(tab, lambda: tab.select_option('[data-ref=by]', '*'))
    o = tab.evaluate(CHART + """; const {x, y, low, high, runs, part} = c.lines[0]
        return {n: c.lines.length, x: [...x], y: [...y], low: [...low], high: [...high], runs, part}""" + DONE)
    assert (o['n'], o['part'], o['runs']) == (1, 'mean', 5)
    k = min(range(len(o['x'])), key=lambda k: abs(o['x'][k] - 1234))
    assert max(o['high']) == 5 and abs(o['high'].index(5) - k) < 2, 'the spike of one run is in the band'
    assert all(a <= b + 1e-6 for a, b in zip(o['low'], o['y'])) and all(a <= b + 1e-6 for a, b in zip(o['y'], o['high']))
    drawn(tab, lambda: tab.select_option('[data-ref=by]', 'config.lr'))
    assert ['0.001', '0.001 (1 run)', 1] in tab.evaluate(CHART + '; return c.lines.map(o => [o.run, c.names.get(o.run), o.runs])' + DONE)
    assert 'by=config.lr' in tab.url and tab.locator('[data-ref=spread]').is_visible()
    drawn(tab, lambda: tab.select_option('[data-ref=spread]', 'std'))
    drawn(tab, lambda: tab.select_option('[data-ref=by]', ''))
    assert not tab.evaluate(CHART + '; return c.lines.some(o => o.part)' + DONE) and not tab.locator('[data-ref=spread]').is_visible()

def test_a_lone_spike_is_marked_at_the_edge_and_shown_on_demand(tab):
    "The curve keeps its height; what goes beyond it is said, marked and a click away."
    panel = tab.locator('.panel', has_text='train/loss').first
    assert 'values go up to 5' in panel.inner_text() and tab.evaluate(CHART + '; return c.plot.scales.y.max < 2' + DONE)
    panel.get_by_role('button', name='All values').click()
    assert tab.evaluate(CHART + '; return c.plot.scales.y.max > 5' + DONE) and 'all=loss' in tab.url
    panel.get_by_role('button', name='Usual range').click()
    assert tab.evaluate(CHART + '; return c.plot.scales.y.max < 2' + DONE) and 'all=' not in tab.url

def test_the_clock_is_an_axis(tab):
    drawn(tab, lambda: tab.select_option('[data-ref=x]', 'wall'))
    tab.locator('.u-over').first.hover()
    tab.locator('.panel .tip', has_text=time.strftime('%Y-')).first.wait_for()

def test_all_values_are_a_click_away(tab):
    drawn(tab, lambda: tab.click('[data-ref=none]'))
    drawn(tab, lambda: tab.check('[aria-label="Draw run 0"]'))
    panel = tab.locator('.panel', has_text='train/loss')
    with tab.expect_download() as got: panel.locator('button', has_text='CSV').click()
    rows = got.value.path().read_text().splitlines()
    assert rows[0] == 'run,metric,step,time,value' and len(rows) == 3001 and ',5.0' in rows[1235]

def test_two_runs_side_by_side(tab):
    drawn(tab, lambda: tab.click('[data-ref=none]'))
    assert tab.is_disabled('[data-ref=compare]')
    for i in (1, 2): drawn(tab, lambda i=i: tab.check(f'[aria-label="Draw run {i}"]'))
    tab.click('[data-ref=compare]')
    sheet = tab.locator('dialog.sheet')
    sheet.wait_for()
    assert {'run 1 and run 2', 'config', 'lr', '0.1', '0.01'} <= set(sheet.locator('h2, h3, td').all_inner_texts())
    tab.keyboard.press('Escape')
    sheet.wait_for(state='detached')

def test_a_run_opens_with_what_it_says(tab):
    "By the keyboard too; what it says is text."
    tab.locator('.open', has_text='<img').press('Enter')
    sheet = tab.locator('dialog.sheet')
    sheet.wait_for()
    assert sheet.locator('h2').inner_text() == EVIL and EVIL in sheet.inner_text() and sheet.locator('img').count() == 0
    sheet.locator('button', has_text='Close').click()
    sheet.wait_for(state='detached')

def test_a_run_shows_its_machine_and_what_the_doctor_says_of_it(tmp_path):
    with mlkit.init(project='p', store=tmp_path, config=dict(lr=.1)) as run:
        run.log(loss=1.)
        time.sleep(1.5)
    with served(tmp_path, 'p') as (_, url), page() as tab:
        tab.goto(url)
        tab.click('tbody .open')
        tab.click('summary:text("doctor")')
        rows = tab.locator('dialog details').first.locator('tbody tr')
        rows.first.wait_for()
        words = tab.locator('dialog details').first.locator('td:nth-child(2)').all_inner_texts()
        assert rows.count() > 10 and {'fine', 'not known'} <= set(words)
        tab.click('summary:text("System metrics")')
        tab.wait_for_selector('dialog .panel .summary:text("points")')
        assert 'memory' in ' '.join(tab.locator('dialog .panel h2').all_inner_texts())
        tab.locator('dialog .u-over').first.press('+')
        assert tab.problems == []

def test_a_run_shows_its_pictures_and_its_console(tmp_path):
    from matplotlib import pyplot as plt
    fig = plt.figure(figsize=(1, 1))
    with mlkit.init(project='p', name='seen', store=tmp_path, system=False, hardware=False) as run:
        fig.savefig(tmp_path/'dot.png')
        run.save(tmp_path/'dot.png', base_path=tmp_path)
        (run.path/'console.log').write_text('\x1b[31mred\x1b[0m <b>bold</b>\n')
    plt.close(fig)
    with served(tmp_path) as (_, url), page() as tab:
        tab.goto(url)
        tab.click('.open')
        tab.wait_for_selector('.pictures img')
        assert tab.locator('.console').inner_text().strip() == 'red <b>bold</b>'
        assert tab.locator('.pictures img').evaluate('o => o.decode().then(() => o.naturalWidth)') > 10
        assert tab.problems == []

@pytest.fixture(scope='module')
def grouped(tmp_path_factory):
    "The address of runs with two optimisers and a setting with a comma in its name."
    folder = tmp_path_factory.mktemp('grouped')
    for i in range(6):
        config = {'opt': 'sgd' if i % 2 else EVIL, 'a,b': i, 'lr': 10.**-i}
        with mlkit.init(project='g', name=f'run {i}', config=config, store=folder, system=False, hardware=False) as run:
            run.log(loss=float(i))
    with served(folder, 'g') as (_, url): yield url

def test_runs_are_gathered_by_a_setting_and_fold(grouped):
    with page() as tab:
        tab.goto(grouped)
        tab.wait_for_selector('body[data-drawn]')
        tab.click('th button[data-key="summary.loss"]')
        tab.select_option('[data-ref=said] .tools select', 'config.opt')
        heads = tab.locator('tr.group')
        assert [o.split('opt ')[1] for o in heads.locator('.fold').all_inner_texts()] == [EVIL, 'sgd'] and 'group=config.opt' in tab.url
        loss = tab.locator('thead th').evaluate_all("os => os.findLastIndex(o => o.innerText.startsWith('loss'))")
        assert [heads.nth(i).locator('td').nth(loss).inner_text() for i in (0, 1)] == ['2', '3']
        assert names(tab)[1:4] == ['run 0', 'run 2', 'run 4'] and heads.first.locator('td').nth(2).inner_text() == '3 runs'
        heads.first.locator('.fold').press('Enter')
        assert len(names(tab)) == 5 and heads.first.locator('.fold').get_attribute('aria-expanded') == 'false'
        assert tab.evaluate('document.activeElement.className') == 'fold'
        tab.reload()
        tab.wait_for_selector('tr.group')
        assert tab.evaluate('window.hacked') is None and tab.problems == []

def test_columns_are_chosen_and_pinned_and_kept_in_the_address(grouped):
    with page() as tab:
        tab.goto(grouped)
        tab.wait_for_selector('body[data-drawn]')
        def heads(): return [o.strip(' ↓↑') for o in tab.locator('thead th').all_inner_texts()]
        tab.locator('.menu summary').press('Enter')
        for k in ('config.lr', 'duration'): tab.locator('.choices').get_by_label(k, exact=True).uncheck()
        tab.locator('.choices').get_by_label('id', exact=True).check()
        tab.get_by_role('button', name='pin config.a,b at the left').press('Enter')
        tab.keyboard.press('Escape')
        assert not tab.locator('.choices').is_visible() and tab.evaluate('document.activeElement.tagName') == 'SUMMARY'
        wanted = heads()
        assert wanted[1:3] == ['name', 'a,b'] and 'lr' not in wanted and 'duration' not in wanted and wanted[-1] == 'id'
        at = tab.locator('tbody tr').first.locator('td').nth(2).bounding_box()['x']
        tab.locator('.table').evaluate("o => { o.style.width = '200px'; o.scrollLeft = 150 }")
        assert abs(tab.locator('tbody tr').first.locator('td').nth(2).bounding_box()['x'] - at) < 20
        tab.reload()
        tab.wait_for_selector('tbody tr')
        assert heads() == wanted
        tab.locator('.menu summary').click()
        tab.click('text=Choose for me')
        assert 'lr' in heads() and 'cols' not in tab.url and 'pin' not in tab.url and tab.problems == []

def test_odd_names_and_values_keep_their_place(tmp_path):
    for name in ('x'*300, 'on and '*40, 'ok'):
        with mlkit.init(project='odd', name=name, config={name[:50]: 1}, store=tmp_path, system=False, hardware=False) as run:
            for k in range(9): run.log({'loss': float('nan'), name[:90] + '/part': float(k)})
    with served(tmp_path) as (_, url), page(width=700) as tab:
        tab.goto(url)
        tab.wait_for_selector('body[data-drawn]')
        assert tab.evaluate('document.documentElement.scrollWidth <= innerWidth')
        assert 'none that this axis can show' in tab.locator('.panel', has_text='loss').first.inner_text()
        for select in ('[data-ref=colour]', '.tools select'): assert tab.locator(f'{select} option:checked').count() == 1
        wide = tab.evaluate('''[...document.querySelectorAll('.open')].map(o =>
            o.getBoundingClientRect().right - o.closest('td').getBoundingClientRect().right)''')
        assert max(wide) <= 0
        tab.locator('.open').first.click()
        tab.wait_for_selector('dialog')
        assert tab.problems == []

def test_a_long_table_comes_as_it_is_scrolled(tmp_path):
    for i in range(230):
        mlkit.init(project='many', name=f'run {i}', config=dict(n=i), store=tmp_path, system=False, hardware=False, console=False).finish()
    with served(tmp_path) as (_, url), page() as tab:
        tab.goto(url)
        tab.wait_for_selector('tbody tr')
        assert 30 < tab.locator('tbody tr').count() <= 100 and '230 runs' in tab.locator('[data-ref=count]').inner_text()
        for _ in range(230):
            if tab.locator('tbody tr').count() == 230: break
            tab.locator('tbody tr').last.scroll_into_view_if_needed()
            tab.wait_for_timeout(50)
        tab.wait_for_selector('tbody tr:nth-child(230)')
        tab.click('th button[data-key="config.n"]')
        assert names(tab)[:2] == ['run 0', 'run 1'] and tab.locator('tbody tr').count() < 100

def test_a_wide_table_fills_what_is_seen(tmp_path):
    "Few rows are made at first where there are many columns, and the rest at once after them."
    for i in range(90):
        mlkit.init(project='w', name=f'run {i}', config={f'c{k}': i*k for k in range(100)}, store=tmp_path, system=False, hardware=False,
            console=False).finish()
    with served(tmp_path) as (_, url), page() as tab:
        tab.goto(url + '#cols=' + ','.join(f'config.c{k}' for k in range(100)) + '&pin=config.c99')
        tab.wait_for_selector('tbody tr:nth-child(30)')
        assert tab.evaluate("(o => o.scrollHeight > o.clientHeight)(document.querySelector('.table'))")
        assert tab.locator('tbody tr').count() < 90 and tab.locator('thead th').count() == 104
        assert tab.locator('thead th').nth(2).inner_text() == 'c99' and tab.problems == []

def test_a_live_run_arrives_by_itself(tmp_path):
    with mlkit.init(project='now', name='live', store=tmp_path, system=False, hardware=False) as run:
        run.log(loss=1.)
        with served(tmp_path, 'now') as (_, url), page() as tab:
            tab.goto(url)
            tab.wait_for_selector('[data-ref=live]:text("live")')
            tab.wait_for_selector('td.running')
            for i in range(20): run.log(loss=1/(i + 2))
            tab.wait_for_selector('.summary:text("21 points")')
            run.finish()
            tab.wait_for_selector('td.finished')
            assert tab.problems == []

def test_printed_it_is_on_white_in_dark_mode_too(url):
    with page(color_scheme='dark') as tab:
        tab.goto(url)
        tab.wait_for_selector('body[data-drawn]')
        ask = "[getComputedStyle(document.body), getComputedStyle(document.documentElement)].map(o => o.backgroundColor)"
        assert tab.evaluate(ask) == ['rgb(21, 24, 28)']*2
        tab.emulate_media(media='print', color_scheme='dark')
        assert tab.evaluate(ask) == ['rgb(255, 255, 255)']*2
        tab.evaluate("window.said = []; addEventListener('beforeprint', () => said.push(document.body.className))")
        assert len(tab.pdf()) > 10_000 and 'printing' in tab.evaluate('said')[0] and tab.problems == []

def test_news_that_come_together_are_all_heard(tab):
    "A metric that appears just before other news gets its chart."
    tab.evaluate("""() => { const view = mlkitView, row = {...view.rows.values().next().value, 'summary.sudden': 1}
        view.news({rows: [row], removed: []})
        view.news({rows: [{...row}], removed: []}) }""")
    tab.wait_for_selector('.panel h2:text-is("sudden")')

def test_an_empty_store_says_what_to_do(tmp_path):
    with served(tmp_path) as (_, url), page() as tab:
        tab.goto(url)
        tab.wait_for_selector('[data-ref=empty]:visible')
        assert 'mlkit.init' in tab.locator('[data-ref=empty]').inner_text() and tab.problems == []

def ask(url:str, path:str, method:str='GET', **headers)->tuple[int, bytes]:
    "What the server answers to a request that no browser would send."
    host = url.split('/')[2]
    c = http.client.HTTPConnection(host, timeout=20)
    try:
        c.putrequest(method, path, skip_host=True)
        for k, v in {'host': host, **headers}.items(): c.putheader(k.replace('_', '-'), v)
        c.endheaders()
        r = c.getresponse()
        return r.status, r.read()
    finally: c.close()

@pytest.mark.parametrize('path', ['/static/../page.py', '/static/..%2f__init__.py', '/static/%2e%2e/py.typed', '/../../etc/passwd',
    '/static//etc/passwd', '/api/../../etc/passwd', '/digits/run.json'])
def test_no_address_leads_out(url, path):
    status, body = ask(url, path)
    assert status == 404 and b'root:' not in body and b'import' not in body

def test_runs_are_looked_up_and_never_joined_to_a_path(url):
    status, body = ask(url, '/api/series?run=../../etc&run=digits/..&metric=train/loss')
    assert status == 200 and unpack(body)[1] == []

@pytest.mark.parametrize('headers', [dict(host='evil.example'), dict(host='127.0.0.1.evil.example:80'), dict(host=''),
    dict(origin='https://evil.example'), dict(origin='null'), dict(sec_fetch_site='cross-site')])
def test_other_sites_are_refused(url, headers):
    for path in ('/', '/api/runs', '/api/series', '/api/events'): assert ask(url, path, **headers)[0] == 403

def test_other_machines_need_the_token(store):
    "The address that is printed holds it; a cookie keeps it, and the address no longer shows it."
    with served(store, 'digits', '--host', '0.0.0.0', start=r'http://\S+') as (_, found):
        address, token = found.split('?token=')
        address = re.sub('//[^:]+:', '//127.0.0.1:', address)
        for path in ('/', '/api/runs', '/static/page.js', '/api/events', '/?token=no'): assert ask(address, path)[0] == 401
        assert ask(address, '/api/runs', cookie=f'mlkit_token={token[:-1]}')[0] == 401
        assert ask(address, '/api/runs', cookie=f'mlkit_token={token}')[0] == 200
        assert ask(address, '/api/runs', cookie=f'mlkit_token={token}', origin='https://evil.example')[0] == 403
        with page() as tab:
            tab.goto(f'{address}?token={token}')
            tab.wait_for_selector('body[data-drawn]')
            assert token not in tab.url and tab.problems == []

def events(url:str):
    "The events that a page would hear, as they come: a name and what it says."
    c = http.client.HTTPConnection(url.split('/')[2], timeout=20)
    try:
        c.request('GET', '/api/events')
        answer, name = c.getresponse(), 'message'
        while line := answer.readline().decode():
            if line.startswith('event: '): name = line[7:].strip()
            if line.startswith('data: '):
                yield name, json.loads(line[6:])
                name = 'message'
    finally: c.close()

def test_a_deleted_folder_is_news_and_unknown_to_who_comes_later(tmp_path):
    "A run whose folder vanishes is told within a second or two; who connects anew is told what is there."
    made = []
    for _ in range(2):
        with mlkit.init('p', store=tmp_path, system=False, hardware=False) as run: run.log(loss=1.)
        made.append(run)
    a, b = (f'p/{r.id}' for r in made)
    with served(tmp_path, 'p') as (_, url):
        heard = events(url)
        name, first = next(heard)
        assert name == 'keys' and sorted(first['keys']) == sorted([a, b])
        assert ask(url, f'/api/run?run={b}')[0] == 200
        began = time.monotonic()
        shutil.rmtree(made[1].path)
        assert next(heard) == ('message', dict(rows=[], removed=[b])) and time.monotonic() - began < 10
        assert next(events(url)) == ('keys', dict(keys=[a]))
        status, said = ask(url, f'/api/run?run={b}')
        assert status == 400 and b'no longer there' in said

def test_a_slip_in_the_command_is_one_sentence(store):
    "A project without runs is served with a hint; a port or host that is none ends the command."
    with served(store, 'digit') as (process, _):
        assert "No project 'digit' in " in (line := process.stdout.readline()) and "did you mean 'digits'?" in line
    for option, value, said in (('--port', '99999', '99999 is no port'), ('--host', 'no such host', "No host 'no such host' is known")):
        command = [sys.executable, '-c', START, 'ui', '--no-browser', '--store', str(store), option, value]
        done = subprocess.run(command, env=clean_env(), text=True, capture_output=True, timeout=60)
        assert done.returncode == 1 and said in done.stderr and done.stderr.count('\n') == 1, done.stderr

def test_ctrl_c_ends_the_command_quietly(store):
    "Even while a page listens."
    with served(store, 'digits') as (process, url):
        c = http.client.HTTPConnection(url.split('/')[2], timeout=20)
        try:
            c.request('GET', '/api/events')
            assert c.getresponse().read(11) == b'event: keys'
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=30)
            assert (process.returncode, said) == (0, '')
        finally: c.close()

def test_nothing_can_be_written(url):
    for method in ('POST', 'PUT', 'DELETE', 'PATCH'): assert ask(url, '/api/runs', method)[0] == 405

@pytest.mark.parametrize('query', ['n=x', 'smooth=2', 'lo=nan', 'n=inf', 'x=nothing'])
def test_odd_questions_get_a_sentence_or_nothing(url, query):
    key = json.loads(ask(url, '/api/runs')[1])['rows'][-1]['key']
    status, body = ask(url, f'/api/series?run={key}&metric=train/loss&{query}')
    assert status == 400 and json.loads(body)['error'] or status == 200 and unpack(body)[1] == []

def test_the_pure_functions_of_the_front_end():
    "With the Node that builds it."
    sys.path.insert(0, str(ROOT/'js'))
    try: import build
    finally: sys.path.pop(0)
    r = subprocess.run([build.node(), '--test', *map(str, (ROOT/'js'/'test').glob('*.js'))], capture_output=True, text=True)
    assert r.returncode == 0, r.stdout[-3000:]

def test_a_browser_with_an_odd_language_draws(tmp_path):
    "Intl knows no language `C`; a page of such a browser has its charts all the same, and its small curves survive a spike."
    with mlkit.init(project='p', store=tmp_path, system=False, hardware=False) as run:
        for k in range(200): run.log(loss=1e6 if k == 150 else (k//10) % 2)
    with served(tmp_path, 'p') as (_, url), page() as tab:
        tab.add_init_script("Object.defineProperty(Navigator.prototype, 'language', {get: () => 'C', configurable: true})")
        tab.goto(url)
        tab.wait_for_selector('body[data-drawn]')
        assert tab.evaluate('navigator.language') == 'C' and not tab.problems
        ink = '''x => { const c = document.querySelector('canvas.spark'), rows = new Set()
            const d = c.getContext('2d').getImageData(x, 0, 40, 40).data
            for (let i = 3; i < d.length; i += 4) if (d[i] > 60) rows.add(Math.floor((i >> 2) / 40))
            return rows.size }'''
        tab.wait_for_function(f'({ink})(20) > 20')
