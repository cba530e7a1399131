"A report says what it can't do before it writes anything, and never grows past a size that was asked for."
import warnings
from importlib import import_module

import pytest

import mlkit
from mlkit.cli.main import main

def made(runs=1, metrics=2, rows=20, project='p'):
    for _ in range(runs):
        with mlkit.init(project, system=False, hardware=False) as run:
            for i in range(rows): run.log({f'train/m{k}': i/(k + 1) for k in range(metrics)})
    return mlkit.runs(project)

@pytest.mark.parametrize('size', [0, 1, 100_000, -5])
def test_a_size_that_cannot_be_kept(store, tmp_path, size):
    "The error names the least size, which is then enough, and no file is left."
    found, path = made(3, 10, 2000), tmp_path/'r.html'
    with pytest.raises(ValueError, match='3 runs with 10 metrics need [0-9,]+ bytes at the least') as e: found.report(path, size=size)
    assert not list(tmp_path.glob('*.html'))
    least = int(str(e.value).split(' need ')[1].split()[0].replace(',', ''))
    assert found.report(path, size=least + 200).path.stat().st_size <= least + 200

def test_the_default_size_is_no_bound(store, tmp_path, monkeypatch):
    "Many runs are written, though they need more than the default aims at."
    monkeypatch.setattr(import_module('mlkit.ui.report'), '_page', lambda *args: b'x'*(900_000 + 100_000*len(args[4])))
    assert made(2, 2).report(tmp_path/'r.html', smooth=[]).path.stat().st_size == 1_300_000

def test_runs_without_metrics(store, tmp_path, capsys):
    "There is a table, a sentence, and no error."
    with mlkit.init('nometrics', config=dict(lr=.1)): pass
    assert main(['report', 'nometrics', '-o', str(tmp_path/'r.html')]) == 0
    text = (tmp_path/'r.html').read_text()
    assert 'no metric, so there are no charts' in text and '1 run, 0 of 0 points' in capsys.readouterr().out and 'from 1 run.' in text

@pytest.mark.parametrize('out, said', [('m.pdf', 'name it m.html'), ('no/r.html', 'There is no folder'), ('', 'is a folder; name a file')])
def test_where_a_report_cannot_go(store, tmp_path, capsys, out, said):
    "The message names the path that was given."
    made()
    assert main(['report', 'p', '-o', str(tmp_path/out)]) == 1
    err = capsys.readouterr().err
    assert said in err and '.tmp' not in err and err.count('\n') == 1 and not list(tmp_path.glob('*.*ml'))

@pytest.mark.parametrize('state, said', [(dict(smooth='lots'), 'from 0 to below 1'), (dict(x='nope'), 'step, time, wall'),
    (dict(bogus='2'), "no 'bogus'"), (dict(zoom='5'), 'two rising'), (dict(zoom='9,1'), 'two rising'), (dict(smooth='1'), 'below 1'),
    (dict(where='lr ='), 'write == to compare')])
def test_a_state_that_no_report_has(store, tmp_path, state, said):
    with pytest.raises(ValueError, match=said): made().report(tmp_path/'r.html', state=state)

@pytest.mark.parametrize('text', [[3], 3, [['train/m0', 3]], [None], {'a': 1}], ids=str)
def test_text_of_another_type(store, tmp_path, text):
    with pytest.raises(TypeError, match='text takes Markdown'): made().report(tmp_path/'r.html', text=text)

@pytest.mark.parametrize('text, warns', [('train/m', True), ('m_0', True), ('other/metric', True), ('run', True), ('Conclusion', False),
    ('# train/m', False), ('m0', False), ('train/m0', False), ('See train/m.', False)])
def test_a_slip_in_a_chart_is_a_warning(store, tmp_path, text, warns):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        made().report(tmp_path/'r.html', text=[text])
    assert bool([o for o in said if 'becomes a paragraph' in str(o.message)]) == warns
