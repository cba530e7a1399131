"""Pictures of the dashboards as they look with little, much and odd data, for somebody to look at:

    python tests/browser/gallery.py OUT_FOLDER
"""
import subprocess, sys, tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import numpy as np
from browser import page
from conftest import clean_env

import mlkit

KW = dict(system=False, hardware=False, console=False)
ODD = ['Ω≈ç√∫ 日本語の実験 🚀 مرحبا', 'a very long name ' + 'that goes on and on '*12, 'no_space_' + 'x'*200, '<b>bold</b>', '  ', '-']

def fill(store:Path, runs:int, steps:int=400)->Path:
    "Runs whose loss falls and whose accuracy rises."
    rng = np.random.default_rng(0)
    for i in range(runs):
        config = dict(lr=10.**-(i % 4), width=2**(i % 7), opt='adam' if i % 2 else 'sgd', seed=i)
        with mlkit.init(project='digits', name=f'run {i}', config=config, tags=['base'] if i % 3 else [], store=store, **KW) as run:
            for k in range(steps):
                loss = 1/(1 + k/(20 + i % 9*10)) + rng.normal()*.02
                run.log(**{'train/loss': loss, 'valid/loss': loss*1.1 + .02, 'acc': 1 - loss/2, 'lr': .1*.99**k})
    return store

def odd(store:Path)->Path:
    "Names, settings and metrics that nobody would choose."
    for i, name in enumerate(ODD):
        config = {name[:60]: name, 'nested': dict(deep=dict(deeper=[1, 2, 3]))}
        kw = dict(name=name.strip() or None, config=config, notes=name*3, tags=[name[:40].strip() or 'tag'])
        with mlkit.init(project='digits', store=store, **kw, **KW) as run:
            for k in range(50): run.log({'loss': i + k/50, (name.strip() or 'm')[:80] + '/metric': 1e-12*k, 'huge': 1e300*k})
    return store

def nans(store:Path)->Path:
    for name, value in dict(nan=np.nan, inf=np.inf, minus=-np.inf).items():
        with mlkit.init(project='digits', name=name, config=dict(lr=float(value)), store=store, **KW) as run:
            for k in range(100): run.log(loss=value, half=value if k % 2 else k, one=k if k == 50 else value)
    return store

def failed(store:Path)->Path:
    fill(store, 2)
    try:
        with mlkit.init(project='digits', name='unlucky', store=store, system=False) as run:
            print('epoch 1 of 10')
            for k in range(40): run.log(**{'train/loss': 1/(k + 1)})
            raise RuntimeError('CUDA out of memory. Tried to allocate 20.00 GiB')
    except RuntimeError: pass
    return store

class Gallery:
    "Takes pictures into `out`, each of a fresh browser; says what went wrong in it."
    def __init__(self, out:Path): self.out = out

    def shot(self, name:str, store:Path|str, act=None, width:int=1280, height:int=900, state:str='', options:tuple=(), **context):
        code = 'from mlkit.cli.main import main; raise SystemExit(main())'
        command = [sys.executable, '-c', code, 'ui', 'digits', *options, '--port', '0', '--no-browser', '--store', str(store)]
        p = subprocess.Popen(command, env=clean_env(), text=True, stdout=subprocess.PIPE)
        try: self.look(name, p.stdout.readline().split(' at ')[1].split()[0] + state, act, width, height, **context)
        finally:
            p.kill()
            p.communicate()

    def look(self, name:str, url:str, act=None, width:int=1280, height:int=900, media:str|None=None, full:bool=False, **context):
        with page(width, height, **context) as tab:
            tab.goto(url)
            tab.wait_for_selector('body[data-drawn], [data-ref=empty]:visible')
            if media:
                tab.evaluate("dispatchEvent(new Event('beforeprint'))")
                tab.emulate_media(media=media)
            if act: act(tab)
            tab.wait_for_timeout(900)
            tab.screenshot(path=self.out/f'{name}.png', full_page=full)
            over = tab.evaluate('document.documentElement.scrollWidth - innerWidth')
            print(f'{name}.png', *([f'{over} px too wide'] if over > 0 else []), *tab.problems, flush=True)

def hover(tab):
    box = tab.locator('.u-over').first.bounding_box()
    tab.mouse.move(box['x'] + box['width']*.4, box['y'] + 60)

def wrong(tab):
    tab.fill('[data-ref=where]', 'lrr < 1')
    tab.click('text=Filter')
    tab.wait_for_selector('[data-ref=error]:not(:empty)')

def sheet(name:str):
    def act(tab):
        tab.locator('.open', has_text=name).first.click()
        tab.wait_for_selector('dialog')
    return act

def comparison(tab):
    tab.click('[data-ref=none]')
    for i in (1, 2): tab.check(f'[aria-label="Draw run {i}"]')
    tab.click('[data-ref=compare]')
    tab.wait_for_selector('dialog')

def edits(tab):
    tab.click('[data-ref=edit]')
    tab.wait_for_selector('form.edit')

def menu(tab):
    tab.locator('.menu summary').click()
    tab.locator('.choices button', has_text='pin').nth(2).click()

def main():
    if len(sys.argv) != 2: sys.exit(__doc__)
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    g = Gallery(out)
    with tempfile.TemporaryDirectory() as root:
        def folder(name): return Path(root)/name
        some, many, one = fill(folder('some'), 8), fill(folder('many'), 200, 60), fill(folder('one'), 1)
        bad, strange, none = failed(folder('bad')), odd(folder('odd')), nans(folder('nan'))
        folder('empty').mkdir()
        g.shot('light', some, hover)
        g.shot('dark', some, hover, color_scheme='dark')
        g.shot('narrow', some, width=700, full=True)
        g.shot('phone', some, width=390, height=800, full=True)
        g.shot('wide', some, width=1920, height=1080, state='#colour=config.lr&smooth=0.9')
        g.shot('groups', some, menu, state='#group=config.opt')
        g.shot('empty', folder('empty'))
        g.shot('empty_dark', folder('empty'), color_scheme='dark')
        g.shot('one', one)
        g.shot('many', many, lambda tab: tab.click('[data-ref=all]'))
        state = '#colour=config.seed&group=config.width'
        g.shot('many_by_seed', many, lambda tab: tab.click('[data-ref=all]'), state=state, color_scheme='dark')
        g.shot('failed', bad)
        g.shot('failed_sheet', bad, sheet('unlucky'))
        g.shot('odd', strange, hover)
        g.shot('odd_narrow', strange, width=700, full=True)
        g.shot('odd_sheet', strange, sheet('very long'))
        g.shot('nan', none)
        g.shot('error', some, wrong)
        g.shot('error_dark', some, wrong, color_scheme='dark')
        g.shot('sheet', some, sheet('run 3'), color_scheme='dark')
        g.shot('comparison', some, comparison)
        g.shot('edit', some, edits, options=('--edit',))
        text = ['# What we saw\n\nA **word** on `lr`.', 'acc', 'runs', 'The end.']
        made = mlkit.runs('digits', some).report(out/'report.html', title='Digits', text=text)
        g.look('report', made.path.as_uri(), full=True)
        g.look('report_dark', made.path.as_uri(), full=True, color_scheme='dark')
        g.look('report_print', made.path.as_uri(), width=720, full=True, media='print')
        g.shot('page_print', some, width=720, full=True, media='print', color_scheme='dark')

if __name__ == '__main__': main()
