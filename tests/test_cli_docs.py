"Every command and option of `mlkit` says what it does, in `--help` and in the docs."
import json, re

import pytest
from conftest import ROOT

from mlkit.cli import main as cli

def shown(capsys, *argv)->str:
    "What `mlkit ARGV` prints."
    try: code = cli.main(list(argv))
    except SystemExit as e: code = e.code or 0
    assert code == 0
    return capsys.readouterr().out

def commands()->list[str]: return re.findall(r'^  ([a-z]\w+) +\S', cli.usage(), re.M)

def lesson()->str:
    "What a reader of the command line's notebooks sees: prose, examples, their outputs."
    pages, seen = sorted((ROOT/'nbs'/'cli').glob('9[1-9]*.ipynb')), []
    for c in [c for p in pages for c in json.loads(p.read_text())['cells']]:
        source = ''.join(c['source'])
        if re.search('^#[|] *(hide|export)', source, re.M): continue
        outputs = [o.get('text') or o.get('data', {}).get('text/plain', '') for o in c.get('outputs', [])]
        seen += [source, *map(''.join, outputs)]
    return '\n'.join(seen)

def test_help_lists_the_commands(capsys):
    "Each with a sentence of its own."
    text = shown(capsys, '--help')
    assert {'runs', 'show', 'diff', 'demo', 'restore', 'gc', 'export', 'import'} <= set(commands())
    lines = re.findall(r'^  [a-z]\w+ +(\S.*)$', text, re.M)
    assert len(lines) == len(set(lines)) == len(commands()) and all(len(o) > 10 for o in lines)

@pytest.mark.parametrize('command', commands())
def test_every_command_and_option_is_explained(command, capsys):
    text = shown(capsys, command, '--help')
    assert text.startswith(f'usage: mlkit {command}')
    for action in cli.parser(command)._actions:
        assert action.help and len(action.help) > 3, f'mlkit {command} {action.dest} has no help'
        assert action.metavar is None or action.metavar.lower() != 'any'

@pytest.mark.parametrize('command', commands())
def test_every_command_is_in_the_docs(command):
    assert re.search(rf"(^ +|mlkit |`|'){command}\b", lesson(), re.M), f'mlkit {command} is in no lesson'
