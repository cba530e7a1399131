"""Build the docs site into `_docs/`: by Quarto where that program is, else by smalldocs, from the same files.

nbdev turns the notebooks into pages (`_proc/`): exported cells become their symbols' documentation, hidden cells go,
names in backticks become links. Here those pages get the names that nbdev's links expect (`core/config`, not
`core/00_config`) and their numbers as the order of the sidebar, and lose links to what has no documentation of its own.
`build/docs/` with its copy of `_quarto.yml` is what gets rendered.
"""
import ast, json, posixpath, re, shutil, subprocess, sys, warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES, SITE = ROOT/'build'/'docs', ROOT/'_docs'
LINK = re.compile(r'(\[[^\]]*\])\((?![a-z]+:)([^)#\s]*\.(?:ipynb|html))(#[^)\s]*)?\)')
NOWHERE = re.compile(r'\[source\]\(/blob/[^)]*\)\{[^}]*\}\s*')      # the source on a host that the project doesn't name
NUMBER = re.compile(r'(\d+)([a-z]?)_')
HEADING = re.compile(r'^#+ +(.+?)\s*(?:\{.*\})?$', re.M)

def text(o:str|list)->str: return o if isinstance(o, str) else ''.join(o)

def plain(path:str)->str:
    "`path` without the number of its notebook."
    folder, name = posixpath.split(path)
    return posixpath.join(folder, NUMBER.sub('', name, count=1) if NUMBER.match(name) else name)

def markdown(nb:dict):
    "Yield each dict of `nb` that holds Markdown, and its key."
    for cell in nb['cells']:
        if cell['cell_type'] == 'markdown': yield cell, 'source'
        for o in cell.get('outputs', []):
            if 'text/markdown' in o.get('data', {}): yield o['data'], 'text/markdown'

def anchors(nb:dict)->set[str]:
    "What a link to the page of `nb` may name: its headings, as both renderers write them."
    heads = HEADING.findall('\n'.join(text(o[k]) for o, k in markdown(nb)))
    return {re.sub(r'[^\w.\- ]', '', o.lower()).replace(' ', '-') for o in heads}

def mend_links(md:str, page:str, known:dict[str, set])->str:
    "`md` of the page `page` with links by page names; a link to an undocumented symbol becomes its label."
    folder = posixpath.dirname(page)
    def mend(m:re.Match)->str:
        label, path, anchor = m[1], m[2], m[3] or ''
        at = path.lstrip('/') if path.startswith('/') else posixpath.normpath(posixpath.join(folder, path))
        at = re.sub(r'\.html$', '.ipynb', plain(at))
        if path.startswith('/') and anchor[1:] not in known.get(at, ()): return label[1:-1]
        return f'{label}({posixpath.relpath(at, folder or ".")}{anchor})'
    return LINK.sub(mend, md)

def mend(nb:dict, source:str, known:dict[str, set])->None:
    "Turn the processed notebook `nb`, at `source`, into a page."
    for o, k in markdown(nb): o[k] = mend_links(NOWHERE.sub('', text(o[k])), plain(source), known)
    front = nb['cells'][0]
    if front['cell_type'] != 'raw': return
    number = NUMBER.match(posixpath.basename(source))
    order = f'order: {30*int(number[1]) + (ord(number[2]) - 96 if number[2] else 0)}\n' if number else ''    # 08, 08a, 08b, 09
    front['source'] = re.sub(r'^output-file: .*\n', order, text(front['source']), flags=re.M)

def keep_forward_references()->None:
    "Let `show_doc` show an annotation as written where its name exists for type checkers only (pandas, matplotlib)."
    from fastcore import docments
    strict = docments.signature
    def signature(f, eval_str:bool=False):
        try: return strict(f, eval_str=eval_str)
        except NameError: return strict(f)
    docments.signature = signature

def keep_examples()->None:
    "Let nbdev run what defines and imports, not an example that has an import in it: its output is in the notebook."
    from nbdev import processors
    runs, exports = processors._do_eval, {'export', 'exports', 'exporti'}
    def needed(cell):
        if not runs(cell) or exports & cell.directives_.keys() or 'show_doc' in cell.source: return runs(cell)
        return all(isinstance(o, (ast.Import, ast.ImportFrom)) for o in cell.parsed_())
    processors._do_eval = needed

def constants(source:str)->str:
    "The lines of exported code that give a public name to a value."
    lines, kept = source.splitlines(), []
    for o in ast.parse(source).body:
        targets = o.targets if isinstance(o, ast.Assign) else [o.target] if isinstance(o, ast.AnnAssign) else []
        names = [n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)]
        if any(not n.startswith('_') and n != 'TYPE_CHECKING' for n in names): kept += lines[o.lineno-1:o.end_lineno]
    return '\n'.join(kept)

def keep_constants()->None:
    "Let nbdev leave exported constants on the page: they have no signature to show instead."
    from nbdev import processors
    def rm_export(cell):
        marks = cell.directives_ or {} if cell.cell_type == 'code' else {}
        if not marks.keys() & processors._hide_dirs: return
        if 'export' in marks and (code := constants(cell.source)): cell.source = code
        else: del cell['source']
    processors.rm_export = rm_export

def make_pages()->None:
    "Fill `build/docs/` with the pages, their pictures and `_quarto.yml`."
    from nbdev.serve import proc_nbs
    keep_forward_references()
    keep_examples()
    keep_constants()
    warnings.filterwarnings('ignore', 'Found cells containing imports')     # which `keep_examples` answers
    cache, sources = ROOT/'_proc', (Path(__file__), ROOT/'mlkit'/'_modidx.py')
    old = cache.exists() and cache.stat().st_mtime < max(o.stat().st_mtime for o in sources if o.exists())
    proc = Path(proc_nbs(n_workers=0, force=old))           # in this process, where the lines above count
    shutil.rmtree(PAGES, ignore_errors=True)
    files = {o.relative_to(proc): o for o in proc.rglob('*') if o.is_file()}
    files = {k.as_posix(): o for k, o in files.items() if not any(p.startswith('.') or p == SITE.name for p in k.parts)}
    nbs = {k: json.loads(o.read_text(encoding='utf-8')) for k, o in files.items() if o.suffix == '.ipynb'}
    known = {plain(k): anchors(nb) for k, nb in nbs.items()}
    for k, o in files.items():
        to = PAGES/(plain(k) if k in nbs else k)
        to.parent.mkdir(parents=True, exist_ok=True)
        if k not in nbs: shutil.copy2(o, to); continue
        mend(nbs[k], k, known)
        to.write_text(json.dumps(nbs[k], ensure_ascii=False), encoding='utf-8')

def render(quarto:str|None=shutil.which('quarto'))->None:
    "Render `build/docs/` with `quarto`, or with smalldocs, and move the site to `_docs/`."
    if not quarto and sys.version_info < (3, 11): sys.exit('The docs need Quarto, or Python >= 3.11 for smalldocs')
    small = [Path(sys.executable).parent/'smalldocs', 'render', '-q', '.']
    subprocess.run([quarto, 'render', '--no-execute'] if quarto else small, cwd=PAGES, check=True)
    shutil.rmtree(SITE, ignore_errors=True)
    (PAGES/SITE.name).rename(SITE)
    by = 'Quarto' if quarto else 'smalldocs'
    print(f'{len(list(SITE.rglob("*.html")))} pages, rendered by {by}: open {SITE.name}/index.html')

if __name__ == '__main__':
    make_pages()
    try: render()
    except subprocess.CalledProcessError as e: sys.exit(f'The site was not built: {e}')
