"""Write requirements/*.txt from requirements/*.in with pip-tools, so that they install on any machine.

One lock per range of Python versions, each compiled by the lowest version of its range; without that interpreter the
range's locks stay as they are. torch is taken out before the resolver sees it and put back as it was written: which
build it is (CPU, CUDA, ROCm) belongs to the machine that installs, and so do the packages that only some builds need.
What every build needs is pinned.
"""
import re, shutil, subprocess, sys, tempfile
from importlib.metadata import requires
from pathlib import Path

RANGES = {'3.10': '-py310', '3.11': ''}             # The lowest Python of a range: what its lock's name ends in
BUILD_ONLY = re.compile('nvidia|cuda|triton|intel|pytorch', re.I)
HERE = Path(__file__).resolve().parents[1]/'requirements'
HEAD = "# Written by `make lock` with pip-tools on Python {py}, from {src}. Don't edit: change the .in file.\n"
OPTIONS = '''-q --upgrade --allow-unsafe --strip-extras --no-annotate --no-header
    --no-emit-index-url --no-emit-find-links --no-emit-trusted-host'''.split()

def interpreter(version:str)->str|None:
    "The Python `version` of this machine that really starts, or None."
    for o in (sys.executable, f'python{version}'):
        if not shutil.which(o): continue
        code = 'import sys; print("%d.%d" % sys.version_info[:2])'
        if subprocess.run([o, '-c', code], capture_output=True, text=True).stdout.strip() == version: return o

def pip_compile(python:str, folder:Path)->list[str]:
    "The command that runs pip-tools under `python`, installed into `folder` unless it is this interpreter."
    if python != sys.executable:
        subprocess.run([python, '-m', 'venv', folder/'venv'], check=True)
        python = str(folder/'venv/bin/python')
        subprocess.run([python, '-m', 'pip', 'install', '-q', '-U', 'pip', 'pip-tools'], check=True)
    return [python, '-m', 'piptools', 'compile']

def torch_needs()->list[str]:
    "What every build of torch requires, from the one that is installed here."
    return [o for o in requires('torch') or [] if 'extra ==' not in o and not BUILD_ONLY.match(o)]

def clean(text:str)->list[str]:
    "The pins of a lock's `text`, without options, comments and local versions such as `+cpu`."
    lines = [o for o in text.splitlines() if re.match(r'\w', o)]
    return [re.sub(r'(==[^+\s]+)\+\S+', r'\1', o) for o in lines]

def lock(version:str, suffix:str)->None:
    "Write prod and dev locks for the range that begins with Python `version`."
    python = interpreter(version)
    if not python: return print(f'Python {version} is not here: requirements/*{suffix or "[^0]"}.txt stay as they are')
    with tempfile.TemporaryDirectory() as tmp:
        tmp, torch = Path(tmp), []
        command = pip_compile(python, tmp)
        for name in ('prod', 'dev'):
            src = (HERE/f'{name}.in').read_text()
            torch += re.findall(r'^torch==[^\s#]+', src, re.M)
            (tmp/f'{name}.in').write_text(re.sub(r'^torch==.*$', '\n'.join(torch_needs()), src, flags=re.M))
            same = ['--constraint', 'prod.txt'] if name == 'dev' else []
            subprocess.run([*command, *OPTIONS, *same, '-o', f'{name}.txt', f'{name}.in'], cwd=tmp, check=True)
            lines = sorted([*clean((tmp/f'{name}.txt').read_text()), *torch], key=str.lower)
            out = HERE/f'{name}{suffix}.txt'
            out.write_text(HEAD.format(py=version, src=f'{name}.in') + '\n'.join(lines) + '\n')
            print(f'requirements/{out.name}: {len(lines)} packages')

if __name__ == '__main__':
    for version, suffix in RANGES.items(): lock(version, suffix)
