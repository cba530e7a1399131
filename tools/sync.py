"Clean the notebooks, export them to `mlkit/`, write README.md. With `--check` a file that this changes is a failure."
import hashlib, json, subprocess, sys
from pathlib import Path

import readme

ROOT = Path(__file__).resolve().parents[1]

def state()->dict[str, str]:
    "A digest of each file that is made or changed here."
    files = [ROOT/'README.md', *(ROOT/'nbs').rglob('*'), *(ROOT/'mlkit').rglob('*')]
    kept = [o for o in files if o.is_file() and not {'__pycache__', '.ipynb_checkpoints', '.mlkit'} & set(o.parts)]
    return {o.relative_to(ROOT).as_posix(): hashlib.sha256(o.read_bytes()).hexdigest() for o in kept}

WIDGET = 'application/vnd.jupyter.widget-view+json'

def drop_widgets(path:Path)->None:
    "Leave a widget's picture and table in the notebook `path`; the widget itself is gone with its kernel."
    text = path.read_text(encoding='utf-8')
    if 'application/vnd.jupyter.widget' not in text: return
    nb = json.loads(text)
    nb['metadata'].pop('widgets', None)
    for data in (o.get('data', {}) for c in nb['cells'] for o in c.get('outputs', [])):
        if 'text/html' in data: data.pop(WIDGET, None)
    path.write_text(json.dumps(nb, sort_keys=True, indent=1, ensure_ascii=False) + '\n', encoding='utf-8')

def sync()->None:
    "Bring everything generated up to date."
    for o in ('nbdev-clean', 'nbdev-export'): subprocess.run([Path(sys.executable).parent/o], cwd=ROOT, check=True)
    for o in (ROOT/'nbs').rglob('*.ipynb'): drop_widgets(o)
    readme.write(ROOT)

def main(check:bool)->None:
    before = state()
    sync()
    after = state()
    changed = sorted(o for o in before | after if before.get(o) != after.get(o))
    for o in changed: print('written' if o in after else 'removed', o)
    if check and changed: sys.exit(f'{len(changed)} files were not in sync. They are now: look at them and commit.')

if __name__ == '__main__': main('--check' in sys.argv[1:])
