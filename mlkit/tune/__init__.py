"Search spaces and studies: ask and tell, or hand over a function; what was learned survives any crash."
from importlib import import_module as _import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mlkit.tune.agent import Agent
    from mlkit.tune.budget import Budget
    from mlkit.tune.fitting import ReportTrial
    from mlkit.tune.goal import Goal, Goals
    from mlkit.tune.population import PBT
    from mlkit.tune.sampler import as_sampler
    from mlkit.tune.space import Dist, Space, beta, choice, log_normal, log_uniform, normal, randint, uniform
    from mlkit.tune.stop import ASHA, Hyperband, Median, Patience, Threshold
    from mlkit.tune.study import Paused, Pruned, Study, StudyDone, StudyWaits, Trial
    from mlkit.tune.wandb import Sweep, SweepError, find_sweep, read_sweep

_HOME = {
    'agent': 'Agent',
    'budget': 'Budget',
    'fitting': 'ReportTrial',
    'goal': 'Goal Goals',
    'population': 'PBT',
    'sampler': 'as_sampler',
    'space': 'Dist Space beta choice log_normal log_uniform normal randint uniform',
    'stop': 'ASHA Hyperband Median Patience Threshold',
    'study': 'Paused Pruned Study StudyDone StudyWaits Trial',
    'wandb': 'Sweep SweepError find_sweep read_sweep'}
_LAZY = {name: f'mlkit.tune.{home}' for home, names in _HOME.items() for name in names.split()}
__all__ = ['Agent', 'as_sampler', 'ASHA', 'beta', 'Budget', 'choice', 'Dist', 'find_sweep', 'Goal', 'Goals', 'Hyperband', 'log_normal',
    'log_uniform', 'Median', 'normal', 'Patience', 'Paused', 'PBT', 'Pruned', 'randint', 'read_sweep', 'ReportTrial',
    'Space', 'Study', 'StudyDone', 'StudyWaits', 'Sweep', 'SweepError', 'Threshold', 'Trial', 'uniform']

def __getattr__(name):
    if name not in _LAZY: raise AttributeError(f"module 'mlkit.tune' has no attribute {name!r}")
    value = globals()[name] = getattr(_import_module(_LAZY[name]), name)
    return value

def __dir__(): return sorted(set(globals()) | set(__all__))
