"`mlkit ui --edit`: runs are renamed, tagged and archived from the page, and by nobody but that page."
import http.client, json

import pytest
from browser import page
from test_a11y import AXE, faults
from test_page import EVIL, ask, drawn, names, served

import mlkit

pytestmark = pytest.mark.timeout(120)
SENT = {'content-type': 'application/json', 'x-mlkit-edit': '1', 'sec-fetch-site': 'same-origin'}

@pytest.fixture
def store(tmp_path):
    for i in range(3):
        with mlkit.init(project='p', name=f'run {i}', tags=['old'], store=tmp_path, system=False, hardware=False) as run:
            run.log(loss=float(i))
    return tmp_path

def post(url:str, body, method:str='POST', path:str='/api/edit', **headers)->tuple[int, str]:
    "What the server says to an edit; a header that is None isn't sent."
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    host = url.split('/')[2]
    c = http.client.HTTPConnection(host, timeout=20)
    sent = {'host': host, 'origin': f'http://{host}', **SENT, **{k.replace('_', '-'): v for k, v in headers.items()}}
    try:
        c.request(method, path, data, {k: v for k, v in sent.items() if v is not None})
        r = c.getresponse()
        return r.status, r.read().decode()
    finally: c.close()

def keys(store)->list[str]: return [f'p/{r.id}' for r in mlkit.runs('p', store)]
def what(store)->list: return [(r.name, r.tags, r.archived) for r in mlkit.runs('p', store, archived=True)]

def test_only_the_page_itself_may_edit(store):
    with served(store, 'p', '--edit') as (_, url):
        before, good = what(store), dict(runs=keys(store)[:1], name='new')
        port = url.rsplit(':', 1)[1].strip('/')
        for headers in (dict(origin='https://evil.example'), dict(origin='null'), dict(host='evil.example'),
            dict(sec_fetch_site='cross-site'),
            dict(sec_fetch_site='same-site'), dict(x_mlkit_edit=None), dict(x_mlkit_edit='0'),
            dict(sec_fetch_site=None, origin=f'http://127.0.0.1:{int(port) - 1}'), dict(sec_fetch_site=None, origin=f'http://localhost:{port}')):
            assert post(url, good, **headers)[0] == 403, headers
        for kind in ('text/plain', 'application/x-www-form-urlencoded', '', None): assert post(url, good, content_type=kind)[0] == 415
        for method in 'GET PUT DELETE PATCH OPTIONS'.split(): assert post(url, good, method)[0] == 405
        assert ask(url, '/api/edit?runs=' + keys(store)[0])[0] == 405
        assert what(store) == before
        assert post(url, good)[0] == 200 and mlkit.runs('p', store)[0].name == 'new'

def test_without_the_option_nothing_is_changed(store):
    with served(store, 'p') as (_, url):
        status, said = post(url, dict(runs=keys(store), archived=True))
        assert status == 403 and '--edit' in said and len(mlkit.runs('p', store)) == 3
        with page() as tab:
            tab.goto(url)
            tab.wait_for_selector('body[data-drawn]')
            assert not tab.locator('[data-ref=edit]').is_visible()
            tab.locator('.open').first.click()
            tab.wait_for_selector('dialog')
            assert tab.locator('.change').count() == 0

def test_what_is_no_edit_gets_a_sentence_and_changes_nothing(store):
    with served(store, 'p', '--edit') as (_, url):
        before, (key, *_) = what(store), keys(store)
        for body in (b'', b'{', b'\xff', b'[' * 100_000, b' ' * 300_000, [], None, dict(), dict(runs=[]),
            dict(runs='p/x', name='n'), dict(runs=[1], name='n'),
            dict(runs=[key], name=''), dict(runs=[key], name='a\nb'), dict(runs=[key], name='a\x1b[31m'),
            dict(runs=[key], name='x'*501), dict(runs=[key], name=1),
            dict(runs=keys(store), name='all'), dict(runs=[key], add='ab'), dict(runs=[key], add=[None]),
            dict(runs=[key], name='ok', add=['a\nb']),
            dict(runs=[key], archived='no'), dict(runs=[key], status='finished'), dict(runs=[key], meta=dict(name='x'))):
            status, said = post(url, body)
            assert status == 400 and json.loads(said)['error'], body
        id = key.split('/')[1]
        for odd in ('p/none', '../p/' + id, f'p/../p/{id}', f'p//{id}', f'/etc/{id}', '..', '', id, 'run 0', 'latest',
            f'{key}/../../x', key + '\x00'):
            for runs in ([odd], [key, odd]):
                status, said = post(url, dict(runs=runs, archived=True))
                assert status == 400 and 'none was changed' in said, runs
        assert what(store) == before

def saved(tab, act):
    with tab.expect_response(lambda r: 'api/edit' in r.url) as got: drawn(tab, act)
    assert got.value.ok

def test_a_run_is_renamed_and_tagged_from_its_sheet(store):
    "By keyboard; a name with markup is a text."
    with served(store, 'p', '--edit') as (_, url), page() as tab:
        tab.goto(url)
        tab.wait_for_selector('body[data-drawn]')
        tab.locator('.open', has_text='run 1').press('Enter')
        tab.locator('.change').press('Enter')
        form = tab.locator('form.edit')
        form.wait_for()
        if AXE.exists(): assert faults(tab) == []
        form.get_by_label('name').fill('')
        form.get_by_label('name').press('Enter')
        form.locator('.error:not(:empty)').wait_for()
        assert 'A name is a text' in form.locator('.error').inner_text()
        assert all('400' in o for o in tab.problems)
        tab.problems = []
        form.get_by_label('name').fill(EVIL)
        form.get_by_label('old').uncheck()
        form.get_by_label('add tags').fill(f'new, {EVIL}')
        saved(tab, lambda: form.get_by_label('add tags').press('Enter'))
        assert EVIL in names(tab) and tab.evaluate('window.hacked') is None and tab.locator('img').count() == 0 and tab.problems == []
        assert (EVIL, ('new', EVIL), False) in what(store)

def test_the_drawn_runs_are_archived_together_and_brought_back(store):
    with served(store, 'p', '--edit') as (_, url), page() as tab:
        tab.goto(url)
        tab.wait_for_selector('body[data-drawn]')
        drawn(tab, lambda: tab.uncheck('[aria-label="Draw run 0"]'))
        tab.click('[data-ref=edit]')
        tab.locator('form.edit').wait_for()
        assert tab.locator('dialog h2').inner_text() == 'Edit 2 runs' and tab.locator('form.edit').get_by_label('name').count() == 0
        tab.get_by_label('add tags').fill('both')
        saved(tab, lambda: tab.click('text=Save'))
        assert [tags for name, tags, _ in sorted(what(store))] == [('old',), ('old', 'both'), ('old', 'both')]
        tab.click('[data-ref=edit]')
        saved(tab, lambda: tab.get_by_role('button', name='Archive', exact=True).click())
        tab.wait_for_selector('tbody:not(:has(tr:nth-child(2)))')
        assert names(tab) == ['run 0'] and [r.name for r in mlkit.runs('p', store)] == ['run 0']
        saved(tab, lambda: tab.click('[data-ref=undo]'))
        tab.wait_for_selector('tbody tr:nth-child(3)')
        assert len(names(tab)) == 3 and len(mlkit.runs('p', store)) == 3 and not tab.locator('[data-ref=undo]').is_visible()
        assert tab.problems == []

def test_archived_runs_are_listed_where_they_are_asked_for(store):
    from mlkit.track.tidy import archive
    archive('run 2', store=store)
    with served(store, 'p', '--edit', '--archived') as (_, url), page() as tab:
        tab.goto(url)
        tab.wait_for_selector('body[data-drawn]')
        tab.locator('.open', has_text='run 2').click()
        tab.click('.change')
        saved(tab, lambda: tab.click('text=Bring back'))
        assert len(mlkit.runs('p', store)) == 3

def test_a_tag_that_some_have_is_ticked_for_none(store):
    with served(store, 'p', '--edit') as (_, url):
        assert post(url, dict(runs=keys(store)[:1], add=['few']))[0] == 200
        with page() as tab:
            tab.goto(url)
            tab.wait_for_selector('body[data-drawn]')
            states = '[...document.querySelectorAll("dialog [type=checkbox]")].map(o => [o.value, o.checked, o.indeterminate])'
            def opened():
                tab.locator('[data-ref=edit]').click()
                tab.wait_for_selector('dialog')
                return sorted(tab.evaluate(states))
            assert opened() == [['few', False, True], ['old', True, False]]
            tab.locator('dialog button:text("Save")').click()
            tab.wait_for_selector('dialog', state='detached')
            assert sorted(len(o[1]) for o in what(store)) == [1, 1, 2]
            opened()
            tab.locator('dialog [value=few]').click()
            tab.locator('dialog button:text("Save")').click()
            tab.wait_for_selector('dialog', state='detached')
            assert all(set(o[1]) == {'old', 'few'} for o in what(store)) and not tab.problems
