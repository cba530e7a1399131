"A headless Chromium of the system for the tests that look at pages as a person does."
import os, shutil
from contextlib import contextmanager

import pytest

NAMES = 'chromium chromium-browser google-chrome google-chrome-stable'.split()
QUIET = '--no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync'.split()

def chromium()->str:
    "The path of a Chromium; the test is skipped without one, and fails in CI."
    found = next(filter(None, [os.environ.get('MLKIT_CHROMIUM'), *map(shutil.which, NAMES)]), None)
    if found: return found
    why = f"no browser: install Chromium, or set MLKIT_CHROMIUM to its path (looked for {', '.join(NAMES)})"
    if os.environ.get('CI', '').lower() in ('1', 'true'): pytest.fail(why)
    pytest.skip(why)

@contextmanager
def page(width:int=1280, height:int=900, **context):
    "A page of a fresh browser; what goes wrong in it is collected in its `.problems`."
    path = chromium()
    from playwright.sync_api import sync_playwright
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=path, args=QUIET)
        try:
            tab = browser.new_context(viewport=dict(width=width, height=height), **context).new_page()
            tab.problems = []
            tab.on('console', lambda m: tab.problems.append(m.text) if m.type == 'error' else None)
            tab.on('pageerror', lambda e: tab.problems.append(str(e)))
            yield tab
        finally: browser.close()
