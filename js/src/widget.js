// The view in a notebook's cell, over the messages of its widget. While a cell runs the kernel can't answer, but it may speak:
// what it pushed is kept, and a question that this answers isn't sent.
import {Pushed} from './pushed.js'
import {View} from './view.js'

const PATIENCE = 400 // Milliseconds that a zoomed chart waits for a kernel that may be busy, before it shows what it has

const bytes = o => (o instanceof ArrayBuffer ? o : o.buffer.slice(o.byteOffset, o.byteOffset + o.byteLength))

function connect(model) {
  const waiting = new Map(), pushed = new Pushed(), me = Math.random().toString(36).slice(2)
  const first = model.get('first'), block = model.get('block')
  let n = 0, heard = null, tell = null, opened = false
  if (block?.byteLength) pushed.add(bytes(block))

  // What waits for a kernel that is busy may have been pushed since.
  const flush = late => {
    for (const [id, o] of waiting) {
      const found = o.name === 'series' && pushed.find(o.pairs, late === id)
      if (found) { waiting.delete(id); o.yes(found) }
    }
  }
  const message = (msg, buffers) => {
    if (msg.kind === 'news') {
      pushed.news(msg.rows, buffers?.length && bytes(buffers[0]))
      flush()
      if (msg.rows.length) tell?.(word(msg.rows))
      heard?.({rows: msg.rows, removed: msg.removed})
    } else if (msg.kind === 'off') tell?.(`not live: ${msg.why}`)
    else if (waiting.has(msg.id)) {
      const {yes, no} = waiting.get(msg.id)
      waiting.delete(msg.id)
      if (msg.error) no(new Error(msg.error)); else yes(buffers?.length ? bytes(buffers[0]) : msg.answer)
    }
  }
  const word = rows => (model.get('compact') && rows.at(-1)?.status) || 'live'         // one run: how it is going
  const follow = on => model.send({kind: 'follow', view: me, on})
  const left = () => { if (heard) follow(false) }
  const back = e => { if (heard && e.persisted) follow(true) }
  model.on('msg:custom', message)
  window.addEventListener('pagehide', left)
  window.addEventListener('pageshow', back)
  return {
    can: new Set(['csv', 'compare', 'run', 'by', 'brief', 'machine', 'importance']),
    ask(name, pairs) {
      if (name === 'runs' && !opened && first.rows) { opened = true; if (!pairs.some(p => p[1])) return Promise.resolve(first) }
      const found = name === 'series' && pushed.find(pairs)
      if (found) return Promise.resolve(found)
      const query = {}, id = `${me}${n++}`
      for (const [k, v] of pairs) (query[k] ||= []).push(String(v))
      return new Promise((yes, no) => {
        waiting.set(id, {name, pairs, yes, no})
        model.send({kind: 'ask', id, name, query})
        if (query.lo) setTimeout(() => flush(id), PATIENCE)
      })
    },
    follow(news, state) {
      heard = news; tell = state
      state(word(first.rows))
      follow(true)
      return () => { heard = tell = null; follow(false) }
    },
    end() {
      model.off('msg:custom', message)
      window.removeEventListener('pagehide', left)
      window.removeEventListener('pageshow', back)
      for (const {no} of waiting.values()) no(new Error('The view was closed'))
    },
  }
}

// Hosts tell their theme each in its own way, but all have a background; in what notation, only the browser knows.
function isDark(o) {
  const c = Object.assign(document.createElement('canvas'), {width: 1, height: 1}).getContext('2d', {willReadFrequently: true})
  for (; o; o = o.parentElement || o.getRootNode().host) {
    c.clearRect(0, 0, 1, 1); c.fillStyle = getComputedStyle(o).backgroundColor; c.fillRect(0, 0, 1, 1)
    const [r, g, b, alpha] = c.getImageData(0, 0, 1, 1).data
    if (alpha > 127) return 0.2126 * r + 0.7152 * g + 0.0722 * b < 110
  }
  return false
}

export default {
  render({model, el}) {
    const root = document.createElement('div'), source = connect(model)
    if (model.get('compact')) root.classList.add('compact')
    root.dataset.lmSuppressShortcuts = 'true'                           // JupyterLab's keys fold headings and delete cells
    root.addEventListener('beforeinput', e => e.stopPropagation(), true)    // and it takes Enter from every field in a cell
    el.append(root)
    let state = JSON.stringify(model.get('state'))
    const keep = (name, value) => {
      const text = JSON.stringify(value)
      if (name === 'state') state = text
      if (JSON.stringify(model.get(name)) === text) return
      model.set(name, value)
      model.save_changes()
    }
    const view = new View(root, source, {state: model.get('state'), remember: o => keep('state', o), chose: o => keep('chosen', o)})
    const restate = () => {
      if (JSON.stringify(model.get('state')) === state) return
      state = JSON.stringify(model.get('state'))
      view.restore(model.get('state'))
    }
    const size = () => { const px = model.get('height'); root.style.maxHeight = px ? `${px}px` : ''; root.style.overflow = px ? 'auto' : '' }
    const dress = () => { if (root.classList.toggle('dark', isDark(el)) !== dark) { dark = !dark; view.recolour() } }
    const dresser = new MutationObserver(() => requestAnimationFrame(dress))
    let dark = false
    for (const o of [document.documentElement, document.body]) dresser.observe(o, {attributes: true})
    size(); dress(); requestAnimationFrame(dress)
    model.on('change:state', restate)
    model.on('change:height', size)
    return () => {
      model.off('change:state', restate)
      model.off('change:height', size)
      dresser.disconnect(); view.destroy(); source.end()
    }
  },
}
