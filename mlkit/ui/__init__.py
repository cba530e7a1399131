"Dashboards: charts and run tables in a notebook, on a local page, and in one file."
from importlib import import_module as _import_module

TYPE_CHECKING = False                       # as in mlkit/__init__.py: typing is slow to import, editors know the name
if TYPE_CHECKING:
    from mlkit.ui.panels import compute_panel, doctor_panel
    from mlkit.ui.widget import Dashboard, dashboard

_HOME = {
    'panels': 'compute_panel doctor_panel',
    'widget': 'Dashboard dashboard'}
_LAZY = {name: f'{__name__}.{home}' for home, names in _HOME.items() for name in names.split()}
__all__ = ['compute_panel', 'Dashboard', 'dashboard', 'doctor_panel']

def __getattr__(name):
    if name not in _LAZY: raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(_import_module(_LAZY[name]), name)
    return value

def __dir__(): return sorted(set(globals()) | set(__all__))
