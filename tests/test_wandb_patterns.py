"""Scripts with the calls of public W&B examples run with the import changed, and leave the run that they would leave
there."""
from pathlib import Path

import mlkit
import pytest
from conftest import only

PATTERNS = Path(__file__).parent/'wandb_patterns'

def test_group_and_argparse(script):
    "Two workers of a group: their settings, sections and rows; each is finished by the script's end."
    for w in range(2): script(PATTERNS/'group_and_argparse.py', '--group_id', 'g1', '--worker', w, ok=True)
    found = list(mlkit.runs('patterns'))
    assert [(r.group, r.job_type, r.status) for r in found] == [('g1', 'train', 'finished')]*2
    assert {r.config['worker'] for r in found} == {0, 1} and found[0].config['optimizer'] == 'sgd'
    assert found[0].config['learning_rate'] == .9
    h = found[0].history()
    assert h['_step'].tolist() == h['epoch'].tolist() == list(range(20)) and h['train/acc'].iloc[-1] == 1 - .9/20

def test_metrics_at_different_steps(script):
    "Values held back by `commit=False` are one row when a bare `log()` comes; W&B's own arguments get one line."
    r = script(PATTERNS/'metrics_at_different_steps.py', ok=True)
    h = only('patterns').history()
    assert h['_step'].tolist() == list(range(20)) and h['loss'].notna().all() and h['val_acc'].notna().sum() == 4
    assert h['val_acc'].dropna().index.tolist() == [0, 5, 10, 15]
    assert len([o for o in (r.out + r.err).splitlines() if 'entity' in o]) == 1

def test_config_attributes_and_save(script):
    "Settings by attribute, NumPy scalars as values, a saved file, no `finish`."
    script(PATTERNS/'config_attributes_and_save.py', ok=True)
    r = only('patterns')
    assert r.status == 'finished' and r.config == dict(lr=1e-3, epochs=2) and len(r.metric('Loss').value) == 100
    assert (r.path/'files'/'weights.npy').stat().st_size > 100

def test_with_run_and_torch(script):
    "The context manager, tensors as values, steps, metric rules, summary, alert, figure."
    pytest.importorskip('torch')
    script(PATTERNS/'with_run_and_torch.py', ok=True)
    r = only('patterns')
    assert (r.status, r.name, tuple(r.tags), r.notes) == ('finished', 'mlp', ('baseline',), 'first')
    assert r.metric('train/loss').step.tolist() == list(range(1, 13))
    assert r.metric('val/loss').step.tolist() == [4, 8, 12]
    assert r.summary['val/loss'] == min(r.metric('val/loss').value)
    assert r.summary['best_loss'] == pytest.approx(r.summary['val/loss'])
    assert r.meta['metrics']['val/*']['step_metric'] == 'epoch'
    assert [e['title'] for e in r.events('alert')] == ['Done']
    (fig,) = r.events('file')
    assert fig['key'] == 'curve' and (r.path/'files'/fig['path']).read_bytes()[:4] == b'\x89PNG'

def test_preempted_and_resumed(script):
    "Killed and started again, the job goes on with its steps in the same run."
    assert script(PATTERNS/'preempted_and_resumed.py').rc == 1
    assert only('patterns').status == 'crashed'
    script(PATTERNS/'preempted_and_resumed.py', ok=True)
    r = only('patterns')
    assert (r.id, r.status) == ('job-42', 'finished')
    assert r.history()['_step'].tolist() == r.history()['epoch'].tolist() == list(range(10))
    assert r.summary['final'] == 'yes' and r.summary['more'] == 1

def test_names_that_a_script_may_use(store, capsys):
    "The small ones are there: where the run is, defaults of the config, levels of alerts, lines for the terminal."
    with mlkit.init('p', config=dict(lr=.1)) as run:
        run.config.setdefaults(dict(lr=1., depth=3))
        mlkit.alert('slow', level=mlkit.AlertLevel.WARN)
        mlkit.termlog('one')
        mlkit.termwarn('two', repeat=False)
        mlkit.termerror('three')
        assert run.url == run.get_url() == run.path.as_uri() and (run.entity, run.project_name()) == ('', 'p')
    assert only().config == dict(lr=.1, depth=3) and only().events('alert')[0]['level'] == 'warn'
    err = capsys.readouterr().err
    assert all(f'mlkit: {o}' in err for o in ('one', 'warning: two', 'error: three'))
    with mlkit.init('p', mode='disabled') as off: assert (off.url, off.get_url(), off.entity) == ('', '', '')

def test_names_without_a_twin_say_what_to_do(store):
    "`mlkit.watch` and the like are an AttributeError that names the way here; `hasattr` is False."
    for name in 'watch Image Table Histogram Artifact sweep agent Settings Api'.split():
        with pytest.raises(AttributeError, match=f"mlkit has no '{name}', which is W&B's; instead: .{{20}}"): getattr(mlkit, name)
        assert not hasattr(mlkit, name) and name not in dir(mlkit)
