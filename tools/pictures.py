"""The pictures of README.md, taken from a real run of the demo: `nbs/images/runs.png` is what a notebook shows for
`mlkit.runs('digits')`, `nbs/images/curves.png` what `mlkit demo` draws.
Needs Chromium; run it when either has changed."""
import os, shutil, sys, tempfile
from pathlib import Path

from mlkit.cli import demo

IMAGES = Path(__file__).resolve().parents[1]/'nbs'/'images'
PAGE = '<!doctype html><body style="margin:12px;background:#fff;color:#1a1a1a;width:fit-content">{}</body>'
FLAGS = '--no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync'.split()

def shoot(
    html:str, # The content of the page
    path:Path, # The picture's file
)->None:
    "Picture of `html` as Chromium shows it, at twice the size so that it stays sharp."
    from playwright.sync_api import sync_playwright
    browser = os.environ.get('MLKIT_CHROMIUM') or shutil.which('chromium') or shutil.which('chromium-browser')
    with sync_playwright() as p:
        tab = p.chromium.launch(executable_path=browser, args=FLAGS).new_page(device_scale_factor=2)
        tab.set_content(PAGE.format(html))
        tab.locator('body').screenshot(path=path)

def main()->int:
    import torch
    torch.set_num_threads(1)
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as tmp:
        mine = demo.train_all(demo.digits(), Path(tmp))
        demo.draw(mine, IMAGES/'curves.png')
        shoot(mine._repr_html_(), IMAGES/'runs.png')
    return 0

if __name__ == '__main__': sys.exit(main())
