"The notebook-first workbench for training and evaluation: tracked runs on plain files, no server, no account."
from importlib import import_module as _import_module

__version__ = "0.1.0"

TYPE_CHECKING = False                       # typing itself would double the time of this import; editors know the name
if TYPE_CHECKING:
    from typing import Any

    from mlkit.track.compare import diff, parallel, plot
    from mlkit.track.export import export_runs, import_runs
    from mlkit.track.run import Run
    from mlkit.track.session import alert, current, define_metric, finish, init, log, login, save
    from mlkit.track.store import RunRecord, Runs, Store, runs
    from mlkit.track.tidy import archive, delete, gc, note, rename, restore, tag
    config: Any
    run: Run | None
    summary: Any

_HOME = {
    'compare': 'diff parallel plot',
    'export': 'export_runs import_runs',
    'run': 'Run',
    'session': 'alert current define_metric finish init log login save',
    'store': 'RunRecord Runs Store runs',
    'tidy': 'archive delete gc note rename restore tag'}
_LAZY = {name: f'mlkit.track.{home}' for home, names in _HOME.items() for name in names.split()}
__all__ = ['__version__', 'alert', 'archive', 'config', 'current', 'define_metric', 'delete', 'diff', 'export_runs', 'finish', 'gc',
    'import_runs', 'init', 'log', 'login', 'note', 'parallel', 'plot', 'rename', 'restore', 'Run', 'run', 'RunRecord', 'Runs', 'runs',
    'save', 'Store', 'summary', 'tag']

def __getattr__(name):
    if name in _LAZY:
        value = globals()[name] = getattr(_import_module(_LAZY[name]), name)
        return value
    if name in ('run', 'config', 'summary'):                # the current run's, as tutorials for other trackers use them
        live = _import_module('mlkit.track.session').current()
        return live if name == 'run' or live is None else getattr(live, name)
    raise AttributeError(f"module 'mlkit' has no attribute {name!r}")

def __dir__(): return sorted(set(globals()) | set(__all__))
