"`mlkit.compute` hands out functions whose modules have the same names, in whatever order things are imported."
import ast, subprocess, sys

import pytest
from conftest import ROOT

import mlkit.compute as compute

SAME = sorted(name for name, home in compute._LAZY.items() if home.endswith(f'.{name}'))

def python(code): return subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT)

@pytest.mark.parametrize('name', SAME)
@pytest.mark.parametrize('order', ['', 'import mlkit.compute.{0}; ', 'from mlkit.compute.{0} import {0} as g; ',
    'import importlib; importlib.import_module("mlkit.compute.{0}"); ', 'from mlkit.compute import {0} as g; import mlkit.compute.{0}; '])
def test_the_function_has_the_name(name, order):
    done = python((order + 'import sys, mlkit.compute; from mlkit.compute import {0}; '
        'assert callable({0}) and mlkit.compute.{0} is {0} is sys.modules["mlkit.compute.{0}"].{0}').format(name))
    assert done.returncode == 0, done.stderr

def test_other_modules_are_bound_as_ever():
    done = python('import mlkit.compute.occupancy, mlkit.compute; assert mlkit.compute.occupancy.gpus is mlkit.compute.gpus')
    assert done.returncode == 0, done.stderr

def test_editors_see_the_same_names():
    "The twin for type checkers, the table and `__all__` agree, and every name can be had."
    tree = ast.parse((ROOT/'mlkit/compute/__init__.py').read_text())
    twin = {a.name: o.module for o in ast.walk(tree) if isinstance(o, ast.ImportFrom) for a in o.names if o.module.startswith('mlkit.')}
    assert twin == compute._LAZY and sorted(compute.__all__) == sorted(twin)
    for name in twin: assert getattr(compute, name) is not None

def test_an_unknown_name():
    with pytest.raises(ImportError, match='no_such'): exec('from mlkit.compute import no_such')

def test_the_package_loads_nothing_heavy():
    heavy = 'numpy pandas matplotlib torch rich psutil pynvml'.split()
    done = python(f'import sys, mlkit.compute; print([o for o in {heavy} if o in sys.modules])')
    assert done.stdout.strip() == '[]', done.stdout + done.stderr
