"A training loop of five verbs, callbacks, and checkpoints that resume exactly."
import sys as _sys
from importlib import import_module as _import_module
from types import ModuleType as _ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mlkit.train.activation import ActivationCheckpoint
    from mlkit.train.callbacks import EMA, Accumulate, Autocast, Clip, Compile, EarlyStop, HalfPrecision, Schedule, ToDevice
    from mlkit.train.checkpoint import Checkpoint, checkpoints
    from mlkit.train.data import DataLoaders, Loader, TensorLoader
    from mlkit.train.diagnose import FindNaN, LayerStats, SplitOnOOM, Timing
    from mlkit.train.launch import RankError, launch
    from mlkit.train.learner import BatchError, Learner
    from mlkit.train.loop import Callback, CancelBatch, CancelEpoch, CancelFit, CancelStep, Loop, show_training_loop
    from mlkit.train.measure import Profile, Seed, Throughput
    from mlkit.train.parallel import Parallel
    from mlkit.train.report import Metrics, Progress, Track, accuracy

_HOME = {
    'activation': 'ActivationCheckpoint',
    'callbacks': 'EMA Accumulate Autocast Clip Compile EarlyStop HalfPrecision Schedule ToDevice',
    'checkpoint': 'Checkpoint checkpoints',
    'data': 'DataLoaders Loader TensorLoader',
    'diagnose': 'FindNaN LayerStats SplitOnOOM Timing',
    'launch': 'RankError launch',
    'learner': 'BatchError Learner',
    'loop': 'Callback CancelBatch CancelEpoch CancelFit CancelStep Loop show_training_loop',
    'measure': 'Profile Seed Throughput',
    'parallel': 'Parallel',
    'report': 'Metrics Progress Track accuracy'}
_LAZY = {name: f'mlkit.train.{home}' for home, names in _HOME.items() for name in names.split()}
__all__ = ['Accumulate', 'accuracy', 'ActivationCheckpoint', 'Autocast', 'BatchError', 'Callback', 'CancelBatch',
    'CancelEpoch', 'CancelFit', 'CancelStep', 'Checkpoint', 'checkpoints', 'Clip', 'Compile', 'DataLoaders', 'EarlyStop',
    'EMA', 'FindNaN', 'HalfPrecision', 'launch', 'LayerStats', 'Learner', 'Loader', 'Loop', 'Metrics', 'Parallel',
    'Profile', 'Progress', 'RankError', 'Schedule', 'Seed', 'show_training_loop', 'SplitOnOOM', 'TensorLoader',
    'Throughput', 'Timing', 'ToDevice', 'Track']

class _Package(_ModuleType):
    "A package in which a function keeps its name although a module is called the same."
    def __setattr__(self, name, value):
        if name in _LAZY and isinstance(value, _ModuleType): return     # Python binds a submodule once it is imported
        super().__setattr__(name, value)

_sys.modules[__name__].__class__ = _Package

def __getattr__(name):
    if name not in _LAZY: raise AttributeError(f"module 'mlkit.train' has no attribute {name!r}")
    value = globals()[name] = getattr(_import_module(_LAZY[name]), name)
    return value

def __dir__(): return sorted(set(globals()) | set(__all__))
