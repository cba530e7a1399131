"""Pictures of every state of the dashboard, to be looked at: `python tests/browser/gallery.py FOLDER [NAME ...]`.

Light and dark, narrow and wide, nothing and two hundred runs, what failed, what is no number, names that no one would choose."""
import math, random, re, subprocess, sys, tempfile, time
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT/'tests')]
from browser import page # noqa: E402

import mlkit # noqa: E402

KW = dict(system=False, hardware=False)
ODD = ['Ω-学習-🚀 run', 'a'*120, 'two\nlines', '<b>bold</b>', '$x^2$', 'ـמ عربى', ' ']


def fill(store:Path)->None:
    "Projects for all pictures."
    rng = random.Random(0)
    def curve(run, i, n=600, noise=.03):
        for k in range(n):
            loss = 1.2/(k/40 + 1) + rng.gauss(0, noise)
            run.log({'train/loss': loss, 'val/loss': loss + .1 + k/9000*i, 'acc': 1 - 1/(k/30 + 1.5), 'epoch': k//60, 'lr': 1e-3/(k + 1)})
    for i in range(9):
        config = dict(lr=10.**-(i % 3 + 1), width=2**(i % 4 + 4), opt=('adam', 'sgd')[i % 2], seed=i//3)
        with mlkit.init(project='digits', name=f'run {i}', config=config, tags=['base'] if i < 3 else [], store=store, **KW) as run:
            print('epoch 1 ...\nepoch 2 ...')
            curve(run, i)
    with mlkit.init(project='one', name='only', config=dict(lr=.1), store=store) as run:
        for k in range(40):
            run.log(loss=1/(k + 1))
            time.sleep(.06)
    for i in range(200):
        with mlkit.init(project='many', config=dict(lr=10.**-(i % 5), seed=i), store=store, **KW) as run:
            for k in range(150): run.log(loss=1/(k + 1) + i/400 + rng.gauss(0, .01))
    for k, name in enumerate(['fine', 'boom']):
        try:
            with mlkit.init(project='broken', name=name, config=dict(k=k), store=store, **KW) as run:
                run.log(loss=1.)
                if k: raise RuntimeError('CUDA error: device-side assert triggered')
        except RuntimeError: pass
    for i, name in enumerate(ODD):
        config = {'a setting with a very long name indeed': 'x'*200, name: name, 'i': i}
        with mlkit.init(project='odd', name=name, config=config, notes=name*3, store=store, **KW) as run:
            for k in range(50): run.log({f'metric {name.strip() or i}'.replace('\n', ' ')[:60]: k*i, 'plain': k + i})
    for i in range(3):
        with mlkit.init(project='nan', name=f'nan {i}', store=store, **KW) as run:
            for k in range(60): run.log(all=math.nan, some=math.nan if k % 7 == i else k, infinite=math.inf if k == 30 else k, constant=3.)
    for i in range(3):
        with mlkit.init(project='spikes', name=f'spike {i}', store=store, **KW) as run:
            for k in range(20_000): run.log(loss=1/(k/500 + 1) + rng.gauss(0, .02) + (50 if (k, i) == (7_000, 1) else 0))


@contextmanager
def served(store:Path, project:str, *more:str):
    "The address of a project's page."
    code = 'from mlkit.cli.main import main; raise SystemExit(main())'
    args = ['ui', *filter(None, [project]), '--port', '0', '--no-browser', '--store', str(store), *more]
    p = subprocess.Popen([sys.executable, '-c', code, *args], cwd=ROOT, text=True, stdout=subprocess.PIPE)
    try: yield re.search(r'http\S+', p.stdout.readline())[0]
    finally:
        p.kill()
        p.communicate()


def click(*selectors:str):
    "An act: click one after the other."
    def act(tab):
        for o in selectors:
            tab.locator(o).first.click()
            tab.wait_for_timeout(500)
    return act

def hover(tab): tab.locator('.u-over').first.hover()
def wrong(tab):
    tab.fill('[data-ref=where]', 'lrr < 1')
    tab.press('[data-ref=where]', 'Enter')
    tab.wait_for_selector('[data-ref=error]:not(:empty)')

def brush(tab):
    box = tab.locator('.lines canvas').bounding_box()
    tab.mouse.move(box['x'] + 56, box['y'] + 5)
    tab.mouse.down()
    tab.mouse.move(box['x'] + 56, box['y'] + 130, steps=5)
    tab.mouse.up()
    tab.wait_for_selector('.shares b')

SHEET = click('tbody .open')
SHOTS = {                                                     # project, address, width, scheme, act
    'light': ('digits', '', 1280, 'light', None), 'dark': ('digits', '', 1280, 'dark', hover),
    'narrow': ('digits', '#smooth=0.9', 700, 'light', None), 'wide': ('digits', '#colour=config.lr', 1920, 'light', None),
    'mean': ('digits', '#by=config.lr', 1280, 'dark', hover), 'clock': ('digits', '#x=wall&logy=1', 1280, 'light', None),
    'empty': ('nothing', '', 1280, 'light', None), 'one': ('one', '', 1280, 'light', None),
    'many': ('many', '', 1280, 'light', click('[data-ref=all]')),
    'failed': ('broken', '', 1280, 'light', SHEET), 'odd': ('odd', '', 1280, 'light', None), 'odd-narrow': ('odd', '', 700, 'dark', SHEET),
    'nan': ('nan', '', 1280, 'light', None),
    'spikes': ('spikes', '#smooth=0.95', 1280, 'light', None), 'error': ('digits', '', 1280, 'dark', wrong),
    'sheet': ('one', '', 1280, 'light', click('tbody .open', *(f'dialog details:nth-of-type({i}) summary' for i in (1, 2)))),
    'space': ('digits', '#space=1&colour=config.lr', 1280, 'light', brush), 'space-dark': ('digits', '#space=1', 700, 'dark', None),
    'space-many': ('many', '#space=1&colour=summary.loss', 1280, 'light', None), 'space-odd': ('odd', '#space=1', 1280, 'dark', None),
    'group': ('digits', '#group=config.lr&pin=config.opt', 1280, 'light', None),
    'compare': ('digits', '', 1280, 'light', click('[data-ref=none]', *(f'[aria-label="Draw run {i}"]' for i in (1, 2)),
        '[data-ref=compare]')),
}


def report(store:Path, out:Path, wanted)->None:
    "The report, on a screen and printed."
    mlkit.runs('digits', store).report(out/'report.html', title='Digits', text='Nine runs, **three** seeds.')
    for name, scheme, media in (('report', 'light', 'screen'), ('report-dark', 'dark', 'screen'), ('report-print', 'dark', 'print')):
        if wanted and name not in wanted: continue
        with page(1100, 1400, color_scheme=scheme) as tab:
            tab.goto(Path(out/'report.html').resolve().as_uri())
            tab.wait_for_selector('body[data-drawn]')
            tab.emulate_media(media=media, color_scheme=scheme)
            if media == 'print': tab.evaluate("dispatchEvent(new Event('beforeprint'))")
            tab.wait_for_timeout(300)
            tab.screenshot(path=str(out/f'{name}.png'))


def main(out:Path, wanted:set[str])->None:
    "Take the pictures; problems of a page are printed."
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder)/'store'
        fill(store)
        for name, (project, address, width, scheme, act) in SHOTS.items():
            if wanted and name not in wanted: continue
            with served(store, project) as url, page(width, 900, color_scheme=scheme) as tab:
                tab.goto(url + address)
                tab.wait_for_selector('body[data-drawn]', state='attached')
                tab.wait_for_timeout(300)
                if act: act(tab)
                tab.wait_for_timeout(500)
                tab.screenshot(path=str(out/f'{name}.png'))
                if tab.problems: print(name, tab.problems)
        report(store, out, wanted)


if __name__ == '__main__': main(Path(sys.argv[1]), set(sys.argv[2:]))
