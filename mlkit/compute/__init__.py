"What this machine has, whether it is healthy and fast, whether a model fits, what it costs, and whose turn it is."
import sys as _sys
from importlib import import_module as _import_module
from types import ModuleType as _ModuleType

TYPE_CHECKING = False                       # as in mlkit/__init__.py: typing is slow to import, editors know the name
if TYPE_CHECKING:
    from mlkit.compute.chips import Chip, chip, expected, nearest, peak
    from mlkit.compute.cost import Costs, Utilisation, cost, utilisation
    from mlkit.compute.doctor import check, doctor
    from mlkit.compute.lock import Lock, LockTimeout, lock
    from mlkit.compute.memory import Estimate, estimate
    from mlkit.compute.occupancy import gpus, ledger
    from mlkit.compute.own import Breakeven, Own, Scenario, assumptions, breakeven, rent_or_own, scenarios
    from mlkit.compute.pricelist import Prices, Rate, prices
    from mlkit.compute.roofline import BusyError, Roofline, roofline
    from mlkit.compute.waiting import Wait, all_reduce_speed, loader_wait
    from mlkit.compute.work import Mfu, Work, flops, mfu, work

_HOME = {
    'chips': 'Chip chip expected nearest peak',
    'cost': 'Costs Utilisation cost utilisation',
    'doctor': 'check doctor',
    'lock': 'Lock LockTimeout lock',
    'memory': 'Estimate estimate',
    'occupancy': 'gpus ledger',
    'own': 'Breakeven Own Scenario assumptions breakeven rent_or_own scenarios',
    'pricelist': 'Prices Rate prices',
    'roofline': 'BusyError Roofline roofline',
    'waiting': 'Wait all_reduce_speed loader_wait',
    'work': 'Mfu Work flops mfu work'}
_LAZY = {name: f'{__name__}.{home}' for home, names in _HOME.items() for name in names.split()}
__all__ = ['all_reduce_speed', 'assumptions', 'Breakeven', 'breakeven', 'BusyError', 'check', 'Chip', 'chip',
    'cost', 'Costs', 'doctor', 'Estimate', 'estimate', 'expected', 'flops', 'gpus', 'ledger', 'loader_wait', 'Lock',
    'lock', 'LockTimeout', 'Mfu', 'mfu', 'nearest', 'Own', 'peak', 'Prices', 'prices', 'Rate', 'rent_or_own',
    'Roofline', 'roofline', 'Scenario', 'scenarios', 'Utilisation', 'utilisation', 'Wait', 'Work', 'work']

class _Package(_ModuleType):
    "A package in which a function keeps its name although a module is called the same."
    def __setattr__(self, name, value):
        if name in _LAZY and isinstance(value, _ModuleType): return     # Python binds a submodule once it is imported
        super().__setattr__(name, value)

_sys.modules[__name__].__class__ = _Package

def __getattr__(name):
    if name not in _LAZY: raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(_import_module(_LAZY[name]), name)
    return value

def __dir__(): return sorted(set(globals()) | set(__all__))
