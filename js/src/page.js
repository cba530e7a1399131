// The page that `mlkit ui` serves: the view over HTTP, its state in the address.
import {View} from './view.js'

const wait = ms => new Promise(yes => setTimeout(yes, ms))

async function get(address) {
  const r = await fetch(address).catch(() => { throw new Error("The page's server can't be reached: is mlkit ui still running?") })
  if (!r.ok) throw Object.assign(new Error((await r.json().catch(() => ({}))).error || `The page's server said ${r.status}`), {status: r.status})
  return r
}

const source = {
  can: new Set(['csv', 'compare', 'run', 'by', 'brief', 'machine', 'importance']),
  async ask(name, pairs) {
    const address = `api/${name}?${new URLSearchParams(pairs)}`
    const r = await get(address).catch(async e => { if (e.status !== 500) throw e; await wait(200); return get(address) })     // once more
    if (!r.headers.get('content-type').startsWith('application/json')) return r.arrayBuffer()
    const o = await r.json()
    if (name === 'runs' && o.rows) this.can[o.edit ? 'add' : 'delete']('edit')
    return o
  },
  async edit(body) {
    const r = await fetch('api/edit', {method: 'POST', headers: {'content-type': 'application/json', 'x-mlkit-edit': '1'}, body: JSON.stringify(body)})
    const o = await r.json().catch(() => ({}))
    if (!r.ok) throw new Error(o.error || `The page's server said ${r.status}`)
    return o
  },
  follow(news, state) {
    const events = new EventSource('api/events')
    let lost = false
    events.onopen = () => { state('live'); if (lost) news({rows: [], removed: [], again: true}); lost = false }
    events.onerror = () => { state('not connected'); lost = true }
    events.onmessage = e => news(JSON.parse(e.data))
    events.addEventListener('keys', e => { if (!lost) news({rows: [], removed: [], ...JSON.parse(e.data)}) })      // what is there at the start
    return () => events.close()
  },
}

// What the browser's Back undoes: a filter, a zoom, another axis; what is typed or slid along the way replaces the address.
const STEPS = ['where', 'zoom', 'x', 'by', 'group', 'space'], FIRST = {x: 'step'}
const read = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)))

function remember(state) {
  const was = read(), step = STEPS.some(k => (was[k] || FIRST[k] || '') !== (state[k] || FIRST[k] || ''))
  history[step ? 'pushState' : 'replaceState'](null, '', '#' + new URLSearchParams(state))
}
addEventListener('popstate', () => window.mlkitView.restore(read()))

window.mlkitView = new View(document.body, source, {
  state: read(), remember,
  titled: title => { document.title = title },
})
window.mlkitView.printsWhite()
