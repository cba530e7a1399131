"""README.md from nbs/index.ipynb, with the outputs that are kept in it.

Prose as it is, code in fences, text outputs under them as blocks, pictures as files beside the notebook. Links and
pictures that the notebook gives relative to `nbs/` are turned to lead there from the root. Needs the standard library
only; nothing is run.

Quarto (`nbdev-readme`) would give the same prose, code and outputs with another layout: it indents outputs instead of
fencing them, drops the line under the title, and puts pictures into `index_files/`. One layout needs one writer: this
one, where Quarto is installed too.
"""
import base64, json, re, sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
INDEX, README, PICTURES = Path('nbs/index.ipynb'), Path('README.md'), Path('nbs/images')
NOTE = '<!-- Written by `make sync` from nbs/index.ipynb, which is the file to edit. -->'
ANSI = re.compile(r'\x1b\[[0-9;]*[A-Za-z]')
LINK = re.compile(r'(\]\()(?![a-z]+:|[#/])([^)\s]+)')     # what a Markdown link or picture leads to, unless absolute
HIDDEN = {'hide', 'include: false'}

def text(o:str|list)->str:
    "A notebook keeps long strings as lists of lines."
    return o if isinstance(o, str) else ''.join(o)

def split(source:str)->tuple[set, str]:
    "The `#|` directives at the top of a cell, and the rest of it."
    lines = source.splitlines()
    n = next((i for i, o in enumerate(lines) if not o.startswith('#|')), len(lines))
    return {re.sub(r'\s+', ' ', o[2:].strip()) for o in lines[:n]}, '\n'.join(lines[n:]).strip('\n')

def fence(code:str, language:str='')->str:
    "`code` in a fence longer than any in it."
    ticks = '`' * max(3, 1 + max((len(o) for o in re.findall('`{3,}', code)), default=0))
    return f'{ticks}{language}\n{code}\n{ticks}'

def picture(data:dict, name:str, files:dict)->str|None:
    "A link to the picture of an output, whose bytes go to `files`; None where there is no picture."
    for mime, end in (('image/png', 'png'), ('image/svg+xml', 'svg')):
        if mime in data:
            path = (PICTURES/f'{name}.{end}').as_posix()
            files[path] = base64.b64decode(text(data[mime])) if end == 'png' else text(data[mime]).encode()
            return f'![{name}]({path})'

def outputs(cell:dict, name:str, files:dict)->list[str]:
    "The outputs of a code cell as Markdown blocks; neighbouring streams are one block."
    blocks, stream = [], ''
    for n, o in enumerate(cell['outputs']):
        if o['output_type'] == 'stream': stream += ANSI.sub('', text(o['text'])); continue
        if stream.strip(): blocks.append(fence(stream.strip('\n'), 'text'))
        stream, data = '', o.get('data', {})
        if o['output_type'] == 'error': blocks.append(fence(ANSI.sub('', f"{o['ename']}: {o['evalue']}"), 'text'))
        elif link := picture(data, f'{name}-{n}' if n else name, files): blocks.append(link)
        elif 'text/markdown' in data: blocks.append(text(data['text/markdown']).strip('\n'))
        elif 'text/plain' in data: blocks.append(fence(ANSI.sub('', text(data['text/plain'])).strip('\n'), 'text'))
    return blocks + ([fence(stream.strip('\n'), 'text')] if stream.strip() else [])

def readme(nb:dict)->tuple[str, dict[str, bytes]]:
    "The text of README.md and its pictures by path, for the notebook `nb`."
    blocks, files, n = [], {}, 0
    for cell in nb['cells']:
        marks, source = split(text(cell['source']))
        if cell['cell_type'] == 'raw' or marks & HIDDEN: continue
        if cell['cell_type'] == 'markdown':
            if source: blocks.append(LINK.sub(r'\1nbs/\2', source))
            continue
        n += 1
        if source and not marks & {'echo: false', 'hide_input'}: blocks.append(fence(source, 'python'))
        if not marks & {'output: false', 'hide_output'}: blocks += outputs(cell, f'index-{n}', files)
    return '\n\n'.join([blocks[0], NOTE, *blocks[1:]]) + '\n', files

def write(root:Path=ROOT)->None:
    "Write README.md and the pictures of `root` where they differ from what is there."
    body, files = readme(json.loads((root/INDEX).read_text(encoding='utf-8')))
    files[README.as_posix()] = body.encode()
    for old in (root/PICTURES).glob('index-*'):
        if old.relative_to(root).as_posix() not in files: old.unlink()
    for name, data in files.items():
        path = root/name
        if path.is_file() and path.read_bytes() == data: continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

if __name__ == '__main__': write(*map(Path, sys.argv[1:2]))
