"""Write requirements/*.txt from requirements/*.in with pip-tools, so that they install on any machine.

One lock per range of Python versions, each compiled by the lowest version of its range. A range whose interpreter is not here is
left as it is. torch is taken out before the resolver sees it and put back as it was written: which build it is (CPU, CUDA, ROCm)
belongs to the machine that installs, and so do the packages that only some builds need. Its other requirements are pinned.
"""
import re, shutil, subprocess, sys, tempfile
from importlib.metadata import requires
from pathlib import Path

RANGES = {'3.10': '-py310', '3.11': ''}             # The lowest Python of a range: what its lock's name ends in
BUILD_ONLY = re.compile('nvidia|cuda|triton|intel|pytorch', re.I)
HERE = Path(__file__).resolve().parents[1]/'requirements'
HEAD = "# Written by `make lock` with pip-tools on Python {py}, from {src}. Don't edit: change the .in file.\n"

def interpreter(version:str)->str|None:
    "The Python `version` of this machine that really starts, or None."
    for o in (sys.executable, f'python{version}'):
        if not shutil.which(o): continue
        r = subprocess.run([o, '-c', 'import sys; print("%d.%d" % sys.version_info[:2])'], capture_output=True, text=True)
        if r.stdout.strip() == version: return o

def pip_compile(python:str, folder:Path)->list[str]:
    "The command that runs pip-tools under `python`, installed into `folder` unless it is this interpreter."
    if python == sys.executable: return [python, '-m', 'piptools', 'compile']
    subprocess.run([python, '-m', 'venv', folder/'venv'], check=True)
    subprocess.run([folder/'venv/bin/python', '-m', 'pip', 'install', '-q', '-U', 'pip', 'pip-tools'], check=True)
    return [str(folder/'venv/bin/python'), '-m', 'piptools', 'compile']

def torch_needs()->list[str]:
    "What every build of torch requires, from the one that is installed here."
    return [o for o in requires('torch') or [] if 'extra ==' not in o and not BUILD_ONLY.match(o)]

def clean(text:str)->str:
    "`text` of a lock without what belongs to the machine that wrote it: index and find-links lines, hashes, local versions."
    kept = [o for o in text.splitlines() if not re.match(r'\s*(--|#)', o) and o.strip()]
    return '\n'.join(re.sub(r'(==[^+\s]+)\+\S+', r'\1', o) for o in kept) + '\n'

def lock(version:str, suffix:str)->None:
    "Write prod and dev locks for the range that begins with Python `version`."
    if not (python := interpreter(version)): return print(f'Python {version} is not here: requirements/*{suffix}.txt stay as they are')
    with tempfile.TemporaryDirectory() as tmp:
        tmp, torch = Path(tmp), []
        compile_ = pip_compile(python, tmp)
        for name in ('prod', 'dev'):
            src = (HERE/f'{name}.in').read_text()
            torch += re.findall(r'^torch==\S+', src, re.M)
            (tmp/f'{name}.in').write_text(re.sub(r'^torch==.*$', '\n'.join(torch_needs()), src, flags=re.M))
            args = ['-q', '--strip-extras', '--no-annotate', '--no-header', '--no-emit-index-url', '--no-emit-find-links', '--allow-unsafe',
                '--no-emit-trusted-host', '--upgrade', '--output-file', f'{name}.txt', f'{name}.in']
            if name == 'dev': args[:0] = ['--constraint', 'prod.txt']          # the same versions in both
            subprocess.run([*compile_, *args], cwd=tmp, check=True)
            lines = clean((tmp/f'{name}.txt').read_text()).splitlines() + torch
            out = HERE/f'{name}{suffix}.txt'
            out.write_text(HEAD.format(py=version, src=f'{name}.in') + '\n'.join(sorted(lines, key=str.lower)) + '\n')
            print(f'{out.relative_to(HERE.parent)}: {len(lines)} packages')

if __name__ == '__main__':
    for version, suffix in RANGES.items(): lock(version, suffix)
