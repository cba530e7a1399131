import assert from 'node:assert/strict'
import {test} from 'node:test'
import {asked} from '../src/edit.js'

test('an edit says only what differs', () => {
  const was = {name: 'a', tags: ['x', 'y']}
  assert.deepEqual(asked({name: ' a ', tags: ['x', 'y'], add: ' , '}, was), {})
  assert.deepEqual(asked({name: 'b', tags: ['y'], add: 'z, y ,w'}, was), {name: 'b', add: ['z', 'w'], remove: ['x']})
  assert.deepEqual(asked({name: undefined, tags: ['x', 'y'], add: 'z'}, was), {add: ['z']})
})

test('a tag that some runs have stays with them until its box is clicked', () => {
  const was = {name: '', tags: ['all', 'few'], some: ['few']}
  assert.deepEqual(asked({tags: ['all'], mixed: ['few'], add: ''}, was), {})
  assert.deepEqual(asked({tags: ['all', 'few'], add: ''}, was), {add: ['few']})
  assert.deepEqual(asked({tags: ['all'], add: ''}, was), {remove: ['few']})
  assert.deepEqual(asked({tags: [], mixed: ['few'], add: 'few'}, was), {add: ['few'], remove: ['all']})
})
