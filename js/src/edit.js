// Names, tags and the archive, for one run or several: a sheet with a form. Only a source that can 'edit' is asked, by source.edit(body).
import {h} from './dom.js'
import {sheet} from './sheet.js'

const words = text => text.split(',').map(o => o.trim()).filter(Boolean)

// What differs between the form and what was there; nothing else is sent.
// A tag that only `some` of the runs have stays as it is while its box is `mixed`.
export function asked({name, tags, add, mixed = []}, {some = [], ...was}) {
  const body = {}, fresh = [...new Set([...words(add).filter(t => !was.tags.includes(t) || some.includes(t)), ...tags.filter(t => some.includes(t))])]
  const gone = was.tags.filter(t => ![...tags, ...mixed, ...fresh].includes(t))
  if (name !== undefined && name.trim() !== was.name) body.name = name
  if (fresh.length) body.add = fresh
  if (gone.length) body.remove = gone
  return body
}

// `done(rows, undo)` is told what was changed; `undo` brings archived runs back.
export async function edit(root, source, runs, done) {
  const keys = runs.map(o => o.key), one = runs.length === 1, was = {name: one ? runs[0].name || runs[0].id : '', ...await source.ask('labels', keys.map(k => ['run', k]))}
  const said = h('p', {className: 'error', role: 'alert'}), send = async body => {
    said.textContent = ''
    try { return await source.edit({runs: keys, ...body}) } catch (e) { said.textContent = e.message }
  }
  const name = h('input', {value: was.name, maxLength: 500, spellcheck: false, autocomplete: 'off'}), add = h('input', {spellcheck: false, autocomplete: 'off', placeholder: 'baseline, for the paper'})
  const boxes = was.tags.map(t => h('input', {type: 'checkbox', checked: !was.some?.includes(t), indeterminate: !!was.some?.includes(t), value: t}))
  const put = h('button', {type: 'button'}, was.archived ? 'Bring back' : 'Archive')
  const form = h('form', {className: 'edit'}, ...(one ? [h('label', {}, 'name ', name)] : []),
    ...(boxes.length ? [h('fieldset', {}, h('legend', {}, one ? 'tags' : 'tags'), ...boxes.map((o, i) => h('label', {}, o, ` ${was.tags[i]}${o.indeterminate ? ' (some)' : ''}`)))] : []),
    h('label', {}, 'add tags ', add), h('div', {className: 'bar'}, h('button', {}, 'Save'), put), said)
  const box = sheet(root, one ? `Edit ${was.name}` : `Edit ${runs.length} runs`, form)
  form.addEventListener('submit', async e => {
    e.preventDefault()
    const body = asked({name: one ? name.value : undefined, tags: boxes.filter(o => o.checked && !o.indeterminate).map(o => o.value), mixed: boxes.filter(o => o.indeterminate).map(o => o.value), add: add.value}, was)
    const got = Object.keys(body).length ? await send(body) : {rows: []}
    if (got) { box.close(); done(got.rows) }
  })
  put.addEventListener('click', async () => {
    const got = await send({archived: !was.archived})
    if (got) { box.close(); done(got.rows, was.archived ? null : async () => done((await source.edit({runs: keys, archived: false})).rows)) }
  })
  ;(one ? name : add).focus()
}
