"The docs site as it is built without Quarto: it has every public symbol, prose on every page, and no broken link."
import fcntl, inspect, json, os, re, subprocess, sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from browser import page
from conftest import ROOT
from test_layers import NOTEBOOKS, NUMBER, default_exp

pytestmark = [pytest.mark.xdist_group('docs'),
    pytest.mark.skipif(sys.version_info < (3, 11), reason='smalldocs needs Python 3.11')]
BUILD = 'import docs; docs.make_pages(); docs.render(quarto=None)'

class Page(HTMLParser):
    "The ids, links, text and prose (words of paragraphs and lists in the body) of a page."
    def __init__(self, path:Path):
        super().__init__()
        self.ids, self.links, self.text, self.prose, self.stack = set(), [], [], 0, []
        self.feed(path.read_text(encoding='utf-8'))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if attrs.get('id'): self.ids.add(attrs['id'])
        self.links += [attrs[o] for o in ('href', 'src') if attrs.get(o)]
        if tag in ('main', 'p', 'li', 'pre', 'nav', 'script', 'style'): self.stack.append(tag)

    def handle_endtag(self, tag):
        while tag in self.stack and self.stack.pop() != tag: pass

    def handle_data(self, data):
        if not {'script', 'style'} & set(self.stack): self.text.append(data)
        inside = set(self.stack)
        if 'main' in inside and {'p', 'li'} & inside and not {'pre', 'nav'} & inside: self.prose += len(data.split())

def build()->None:
    "Build the site once for all workers of this test run."
    run, stamp = os.environ.get('PYTEST_XDIST_TESTRUNUID'), ROOT/'build'/'docs.run'
    (ROOT/'build').mkdir(exist_ok=True)
    with open(ROOT/'build'/'docs.lock', 'w') as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        if run and stamp.exists() and stamp.read_text() == run: return
        r = subprocess.run([sys.executable, '-c', BUILD], cwd=ROOT/'tools', capture_output=True, text=True)
        assert r.returncode == 0, r.stderr[-1500:]
        stamp.write_text(run or '')

@pytest.fixture(scope='module')
def site():
    "The pages of the site by their path, built as `make docs` does on a machine without Quarto."
    build()
    return {o.relative_to(ROOT/'_docs').as_posix(): Page(o) for o in (ROOT/'_docs').rglob('*.html')}

def page_of(notebook:Path)->str:
    "Where the site has the page of a notebook."
    return re.sub(r'(^|/)\d+[a-z]?_', r'\1', notebook.relative_to(ROOT/'nbs').with_suffix('.html').as_posix())

PAGES = sorted(page_of(o) for o in (ROOT/'nbs').rglob('*.ipynb') if '.ipynb_checkpoints' not in o.parts)

def test_every_notebook_has_its_page(site): assert sorted(site) == PAGES

@pytest.mark.parametrize('name', PAGES)
def test_every_page_has_prose(site, name): assert site[name].prose >= 60, f'{name} has {site[name].prose} words'

def test_every_page_is_in_the_sidebar(site):
    "From the home page one can get to every other."
    reached = {unquote(urlsplit(o).path).removeprefix('./') for o in site['index.html'].links}
    assert set(PAGES) - {'index.html'} <= reached

@pytest.mark.parametrize('notebook', NOTEBOOKS, ids=lambda o: o.stem)
def test_every_public_symbol_is_documented(site, notebook):
    "A function or class has a heading to link to, a constant is named on the page."
    from importlib import import_module
    module, on = import_module(f'mlkit.{default_exp(notebook)}'), site[page_of(notebook)]
    text = ''.join(on.text)
    for name in module.__all__:
        if name.startswith('_'): continue
        home = getattr(getattr(module, name), '__module__', module.__name__)
        if home != module.__name__ and home.startswith('mlkit.'): continue          # offered again, documented there
        if inspect.isclass(getattr(module, name)) or inspect.isroutine(getattr(module, name)):
            assert name.lower() in on.ids, f'{name} has no heading on {page_of(notebook)}'
        else: assert re.search(rf'\b{name}\b', text), f'{name} is not on {page_of(notebook)}'

def test_every_link_leads_somewhere(site):
    "Links and pictures inside the site; other sites are theirs to keep."
    broken = []
    for name, on in site.items():
        for link in on.links:
            url = urlsplit(link)
            if url.scheme or url.netloc: continue
            target = (ROOT/'_docs'/name).parent/unquote(url.path) if url.path else ROOT/'_docs'/name
            target = target/'index.html' if target.is_dir() else target
            at = target.resolve().relative_to(ROOT/'_docs').as_posix()
            missing = url.fragment and at in site and unquote(url.fragment) not in site[at].ids
            if missing or not target.is_file(): broken.append(f'{name}: {link}')
    assert not broken, '\n'.join(broken)

def test_search_finds_a_symbol(site):
    entries = json.loads((ROOT/'_docs'/'search.json').read_text())
    assert any('Run' in o['section'] and o['href'].startswith('track/run.html') for o in entries)

def test_layers_are_in_the_order_of_their_numbers(site):
    "The sidebar lists a layer's pages as one reads them, not by the alphabet."
    html = (ROOT/'_docs'/'index.html').read_text()
    links = re.findall(r'href="(?:\./)?([^"#]+)"', re.search(r'id="quarto-sidebar".*?</nav>', html, re.S)[0])
    for layer in ('core', 'track', 'compute', 'train', 'cli'):
        modules = [o for o in sorted(NUMBER, key=NUMBER.get) if o.startswith(f'{layer}.')]
        assert [o for o in links if o.startswith(f'{layer}/')] == [f'{o.replace(".", "/")}.html' for o in modules]

@pytest.mark.parametrize('width', [1280, 400])
def test_pages_fit_the_window(site, width):
    "In a real browser: no error, nothing sticks out sideways, the text is where a reader looks."
    with page(width) as tab:
        for name in ('index.html', 'track/run.html', 'tutorials/quickstart.html'):
            tab.goto((ROOT/'_docs'/name).as_uri())
            assert tab.locator('main h1').first.is_visible(), name
            over = tab.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth')
            assert over <= 1, f'{name} is {over} px wider than a window of {width}'
        assert tab.problems == []
