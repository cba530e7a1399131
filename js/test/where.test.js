import assert from 'node:assert/strict'
import {test} from 'node:test'
import {where} from '../src/where.js'

const rows = [
  {key: 'a', name: 'slow', 'config.lr': 0.001, 'config.opt': 'sgd', 'config.flag': true, 'summary.val/acc': 0.9, 'summary.loss': 'NaN'},
  {key: 'b', name: 'fast', 'config.lr': 0.1, 'config.opt': 'adam', 'config.flag': false, 'summary.val/acc': 0.5, 'summary.loss': 2},
  {key: 'c', name: null, 'config.lr': null, 'config.opt': 'adam', 'config.flag': true, 'summary.val/acc': 0.7, started: 3, 'config.layers': '1, 2', texts: ['config.layers']},
]
const keys = text => where(text, rows)?.map(o => o.key).join('') ?? null

test('comparisons, with missing values false', () => {
  assert.equal(keys('lr < 0.05'), 'a')
  assert.equal(keys('not lr < 0.05'), 'bc')
  assert.equal(keys('lr >= 1e-3 and acc > .6'), 'a')
  assert.equal(keys("opt == 'adam' or `val/acc` > 0.8"), 'abc')
  assert.equal(keys('0.6 < acc <= 0.9'), 'ac')
  assert.equal(keys("opt in ['sgd', 'other'] and not (acc < 0.1)"), 'a')
  assert.equal(keys('config.flag == True and lr != 0.1'), 'a')
  assert.equal(keys('loss != 3'), 'ab')
  assert.equal(keys('loss < 3'), 'b')
  assert.equal(keys('acc > -1'), 'abc')
})

test('what only Python can tell', () => {
  for (const text of ['', 'lr', 'lr <', 'lr = 3', 'nothing < 3', 'name < 3', "lr == 'a'", "opt < 'b'", 'lr + 1 < 2', 'started > 1', 'layers == 3', "'a' in tags",
    'lr is None', 'abs(lr) < 1', '(lr) < 1', '(lr < 1) == True', "opt == 'a\\n'", 'lr < 9007199254740993', 'lr < 012', 'lr<1 if lr else 2', 'lr < 1 acc > 2', 'in < 1',
    'lr < 1)', '(lr < 1', 'a'.repeat(3000), 'not '.repeat(200) + 'lr < 1']) assert.equal(keys(text), null, text)
})
