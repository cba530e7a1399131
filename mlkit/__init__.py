"The notebook-first workbench for training and evaluation: tracked runs on plain files, no server, no account."
from importlib import import_module as _import_module

__version__ = "0.1.0"

TYPE_CHECKING = False                       # typing itself would double the time of this import; editors know the name
if TYPE_CHECKING:
    from typing import Any

    from mlkit.track.compare import diff, parallel, plot
    from mlkit.track.export import export_runs, import_runs
    from mlkit.track.run import Run
    from mlkit.track.session import (
        AlertLevel,
        alert,
        current,
        define_metric,
        finish,
        init,
        log,
        login,
        save,
        termerror,
        termlog,
        termwarn,
    )
    from mlkit.track.store import RunRecord, Runs, Store, runs
    from mlkit.track.tidy import archive, delete, gc, note, rename, restore, tag
    from mlkit.ui.widget import dashboard
    config: Any
    run: Run | None
    summary: Any

_HOME = {
    'compare': 'diff parallel plot',
    'export': 'export_runs import_runs',
    'run': 'Run',
    'session': 'AlertLevel alert current define_metric finish init log login save termerror termlog termwarn',
    'store': 'RunRecord Runs Store runs',
    'tidy': 'archive delete gc note rename restore tag'}
_LAZY = {name: f'mlkit.track.{home}' for home, names in _HOME.items() for name in names.split()} | {'dashboard': 'mlkit.ui.widget'}
__all__ = ['__version__', 'alert', 'AlertLevel', 'archive', 'config', 'current', 'dashboard', 'define_metric', 'delete', 'diff', 'export_runs',
    'finish', 'gc', 'import_runs', 'init', 'log', 'login', 'note', 'parallel', 'plot', 'rename', 'restore', 'Run', 'run', 'RunRecord',
    'Runs', 'runs', 'save', 'Store', 'summary', 'tag', 'termerror', 'termlog', 'termwarn']

_FILE = 'save the file and hand it over, run.save(path), or log a matplotlib figure'
_KEEP = 'run.save(path) keeps a copy of a file or folder with the run'
_SWEEP = "call mlkit.init(config=..., group='sweep') for each setting, e.g. in an optuna objective, and compare by mlkit.runs(project)"
_INSTEAD = { # W&B's names that have no twin here
    'watch': "log what you want to follow, e.g. run.log(grad_norm=torch.nn.utils.clip_grad_norm_(model.parameters(), 1.))",
    'unwatch': 'there is nothing to unwatch',
    'Image': 'log a matplotlib figure, run.log(sample=fig), or save the file, run.save(path)',
    **dict.fromkeys(('Video', 'Audio', 'Html', 'Object3D', 'Molecule', 'Plotly', 'Graph'), _FILE),
    'Table': 'log a pandas DataFrame, run.log(table=df), which is kept as CSV',
    'Histogram': 'log the array itself, run.log(weights=array); run.events() finds it again',
    **dict.fromkeys(('Artifact', 'log_artifact', 'use_artifact', 'log_model', 'use_model', 'link_model'), _KEEP),
    **dict.fromkeys(('sweep', 'agent', 'controller'), _SWEEP),
    'Settings': 'pass arguments to mlkit.init, or set them in [tool.mlkit] of pyproject.toml or as MLKIT_<NAME>',
    'Api': 'mlkit.runs(project) finds runs, mlkit.runs(project)[id] is one of them',
    'plot_table': 'log a pandas DataFrame or a matplotlib figure',
    'setup': 'nothing needs to be set up: call mlkit.init', 'require': 'nothing needs to be required',
    'teardown': 'mlkit.finish() ends the run', 'mark_preempting': "mlkit.init(resume='auto') goes on with a run that was cut off"}

def __getattr__(name):
    if name in _LAZY:
        value = globals()[name] = getattr(_import_module(_LAZY[name]), name)
        return value
    if name in ('run', 'config', 'summary'):                # the current run's, as tutorials for other trackers use them
        live = _import_module('mlkit.track.session').current()
        return live if name == 'run' or live is None else getattr(live, name)
    if name in _INSTEAD: raise AttributeError(f"mlkit has no {name!r}, which is W&B's; instead: {_INSTEAD[name]}")
    raise AttributeError(f"module 'mlkit' has no attribute {name!r}")

def __dir__(): return sorted(set(globals()) | set(__all__))
