// The page that `mlkit ui` serves: the view over HTTP, its state in the address.
import {View} from './view.js'

const source = {
  can: new Set(['csv', 'compare', 'run', 'by', 'brief', 'machine', 'importance']),
  async ask(name, pairs) {
    const r = await fetch(`api/${name}?${new URLSearchParams(pairs)}`)
    if (!r.ok) throw new Error((await r.json().catch(() => ({}))).error || `The page's server said ${r.status}`)
    if (!r.headers.get('content-type').startsWith('application/json')) return r.arrayBuffer()
    const o = await r.json()
    if (o.edit) this.can.add('edit')
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
    events.onopen = () => state('live')
    events.onerror = () => state('not connected')
    events.onmessage = e => news(JSON.parse(e.data))
    return () => events.close()
  },
}

window.mlkitView = new View(document.body, source, {
  state: Object.fromEntries(new URLSearchParams(location.hash.slice(1))),
  remember: state => history.replaceState(null, '', '#' + new URLSearchParams(state)),
  titled: title => { document.title = title },
})
window.mlkitView.printsWhite()
