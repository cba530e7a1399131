// The view in a notebook's cell, over the messages of its widget. While a cell runs the kernel can't answer, but it may speak:
// what it pushed is kept, and a question that this answers isn't sent.
import {Pushed} from './pushed.js'
import {View} from './view.js'

const bytes = o => (o instanceof ArrayBuffer ? o : o.buffer.slice(o.byteOffset, o.byteOffset + o.byteLength))

export default {
  render({model, el}) {
    const root = document.createElement('div'), waiting = new Map(), pushed = new Pushed(), me = Math.random().toString(36).slice(2)
    let n = 0, heard = null
    const first = model.get('first'), block = model.get('block')
    if (block?.byteLength) pushed.add(bytes(block))

    const message = (msg, buffers) => {
      if (msg.kind === 'news') {
        if (buffers?.length) pushed.add(bytes(buffers[0]))
        heard?.({rows: msg.rows, removed: msg.removed})
      } else if (waiting.has(msg.id)) {
        const [yes, no] = waiting.get(msg.id)
        waiting.delete(msg.id)
        if (msg.error) no(new Error(msg.error)); else yes(buffers?.length ? bytes(buffers[0]) : msg.answer)
      }
    }
    model.on('msg:custom', message)

    let opened = false
    const source = {
      ask(name, pairs) {
        if (name === 'runs' && !opened && first.rows) { opened = true; return Promise.resolve(first) }
        const found = name === 'series' && pushed.find(pairs)
        if (found) return Promise.resolve(found)
        const query = {}, id = `${me}${n++}`
        for (const [k, v] of pairs) (query[k] ||= []).push(String(v))
        return new Promise((yes, no) => { waiting.set(id, [yes, no]); model.send({kind: 'ask', id, name, query}) })
      },
      follow(news, state) {
        heard = news
        state('live')
        model.send({kind: 'follow', on: true})
        return () => { heard = null; model.send({kind: 'follow', on: false}) }
      },
    }

    if (model.get('compact')) root.classList.add('compact')
    el.append(root)
    const view = new View(root, source, {state: model.get('state'), remember(state) {
      model.set('state', state)
      model.set('chosen', [...view.chosen])
      model.save_changes()
    }})
    return () => { model.off('msg:custom', message); view.destroy() }
  },
}
