"`mlkit demo` is the first thing anybody runs: it works twice, gives the same numbers, and needs no repository."
import re, sys

import pytest

pytest.importorskip('sklearn', reason='the demo needs scikit-learn')

CALL = "import sys; from mlkit.cli.demo import main; sys.exit(main(out='out', notebook=False))"

def test_running_it_twice_adds_six_runs_with_the_same_numbers(script, store):
    import mlkit
    first, second = script(CALL, ok=True), script(CALL, ok=True)
    groups = mlkit.runs('digits').group_by('group')
    assert {k: len(v) for k, v in groups.items()} == {'demo-1': 6, 'demo-2': 6}
    assert {r.status for r in mlkit.runs('digits')} == {'finished'}
    one, two = ({(r.config.lr, r.config.hidden): r.summary['val/acc'] for r in g} for g in groups.values())
    assert one == two and max(one.values()) > .95
    for r in (first, second):
        assert len(re.findall(r'^  [1-6]/6  lr ', r.out, re.M)) == 6
        assert 'val/acc' in r.out and 'curves.png' in r.out and r.err == ''
        assert re.search(r'mlkit runs digits$', r.out, re.M)

def test_without_the_repository_it_says_where_the_tutorial_is(store, tmp_path, monkeypatch, capsys):
    from mlkit.cli import demo
    monkeypatch.setattr(demo, 'quickstart', lambda: None)
    monkeypatch.setattr(demo, 'CONFIGS', demo.CONFIGS[:1])
    assert demo.main(out=tmp_path/'out') == 0
    out = capsys.readouterr().out
    assert 'repository' in out and 'jupyter' not in out
    assert [p.name for p in (tmp_path/'out').iterdir()] == ['curves.png']

def test_without_jupyter_it_says_what_to_install(store, tmp_path, monkeypatch):
    from mlkit.cli import demo
    monkeypatch.setitem(sys.modules, 'nbclient', None)
    monkeypatch.setattr(demo, 'quickstart', lambda: tmp_path/'quickstart.ipynb')
    assert 'needs nbclient: pip install' in demo._page(tmp_path)

def test_a_missing_scikit_learn_is_one_clear_sentence(store, monkeypatch):
    from mlkit.cli import demo
    monkeypatch.setitem(sys.modules, 'sklearn', None)
    with pytest.raises(ImportError, match=r"The demo needs sklearn: pip install 'mlkit-nb\[demo\]'"): demo.main()

def test_commands_to_go_on_with_work_where_the_environment_is_not_active(tmp_path, monkeypatch):
    "`make` puts the environment on the PATH for itself; the user's shell knows nothing of it."
    from mlkit.cli import demo
    bin = tmp_path/'.venv'/'bin'
    bin.mkdir(parents=True)
    for name in ('python', 'mlkit'): (bin/name).touch(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'executable', str(bin/'python'))
    monkeypatch.setattr(sys, 'prefix', str(tmp_path/'.venv'))
    monkeypatch.setenv('PATH', str(bin))
    monkeypatch.delenv('VIRTUAL_ENV', raising=False)
    assert demo._command('mlkit') == '.venv/bin/mlkit'
    monkeypatch.setenv('VIRTUAL_ENV', str(tmp_path/'.venv'))
    assert demo._command('mlkit') == 'mlkit'
