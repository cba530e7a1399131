"Dashboards: charts and run tables in a notebook, on a local page, and in one file."
import sys as _sys
from importlib import import_module as _import_module
from types import ModuleType as _ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mlkit.ui.panels import compute_panel, doctor_panel
    from mlkit.ui.report import Report, report
    from mlkit.ui.widget import Dashboard, dashboard, watch

_HOME = {'panels': 'compute_panel doctor_panel', 'report': 'Report report', 'widget': 'Dashboard dashboard watch'}
_LAZY = {name: f'mlkit.ui.{home}' for home, names in _HOME.items() for name in names.split()}
__all__ = ['compute_panel', 'Dashboard', 'dashboard', 'doctor_panel', 'report', 'Report', 'watch']

class _Package(_ModuleType):
    "A package in which a function keeps its name although a module is called the same."
    def __setattr__(self, name, value):
        if name in _LAZY and isinstance(value, _ModuleType): return     # Python binds a submodule once it is imported
        super().__setattr__(name, value)

_sys.modules[__name__].__class__ = _Package

def __getattr__(name):
    if name not in _LAZY: raise AttributeError(f"module 'mlkit.ui' has no attribute {name!r}")
    value = globals()[name] = getattr(_import_module(_LAZY[name]), name)
    return value

def __dir__(): return sorted(set(globals()) | set(__all__))
