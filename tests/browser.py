"A headless Chromium of the system for the tests that look at pages as a person does."
import os, shutil
from contextlib import ExitStack, contextmanager

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
def launched():
    "A browser of its own."
    path = chromium()
    from playwright.sync_api import sync_playwright
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=path, args=QUIET)
        try: yield browser
        finally: browser.close()

class _Shared:
    "The browser of a block: it starts with the first page, and ends with the block."
    def __init__(self): self.stack, self.browser = None, None

    @contextmanager
    def __call__(self):
        with ExitStack() as self.stack:
            try: yield
            finally: self.browser = None
        self.stack = None

    def get(self, own:ExitStack):
        if self.stack is None: return own.enter_context(launched())
        self.browser = self.browser or self.stack.enter_context(launched())
        return self.browser

shared = _Shared()

@contextmanager
def page(width:int=1280, height:int=900, **context):
    "A page without a past, of the block's `shared` browser or one of its own; what goes wrong in it is collected in its `.problems`."
    with ExitStack() as own:
        found = shared.get(own).new_context(viewport=dict(width=width, height=height), **context)
        own.callback(found.close)
        tab = found.new_page()
        tab.problems = []
        tab.on('console', lambda m: tab.problems.append(f"{m.text} {m.location.get('url', '')}") if m.type == 'error' else None)
        tab.on('pageerror', lambda e: tab.problems.append(str(e)))
        yield tab
