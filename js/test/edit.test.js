import assert from 'node:assert/strict'
import {test} from 'node:test'
import {asked} from '../src/edit.js'

test('an edit says only what differs', () => {
  const was = {name: 'a', tags: ['x', 'y']}
  assert.deepEqual(asked({name: ' a ', tags: ['x', 'y'], add: ' , '}, was), {})
  assert.deepEqual(asked({name: 'b', tags: ['y'], add: 'z, y ,w'}, was), {name: 'b', add: ['z', 'w'], remove: ['x']})
  assert.deepEqual(asked({name: undefined, tags: ['x', 'y'], add: 'z'}, was), {add: ['z']})
})
