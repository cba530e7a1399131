// What opens over the dashboard: one run, or two side by side. A dialog of the browser: Escape closes it, the focus goes back.
import {number} from './data.js'
import {h} from './dom.js'

// Where the focus goes when a sheet closes: a live table may have been listed anew meanwhile.
const returned = (root, o) => (o?.isConnected ? o : [...root.querySelectorAll('.open')].find(b => o?.dataset?.open === b.dataset.open))

export function sheet(root, title, ...children) {
  const from = document.activeElement
  const close = h('button', {type: 'button'}, 'Close'), o = h('dialog', {className: 'sheet', 'aria-label': title}, h('div', {className: 'bar'}, h('h2', {}, title), close), ...children)
  close.addEventListener('click', () => o.close())
  o.addEventListener('close', () => { o.remove(); returned(root, from)?.focus() })
  root.append(o)
  o.showModal()
  return o
}

const text = v => (typeof v === 'number' ? number(v) : v === null || v === undefined ? '' : String(v))
export const grid = (head, rows) => h('table', {}, h('thead', {}, h('tr', {}, ...head.map(o => h('th', {scope: 'col'}, o)))),
  h('tbody', {}, ...rows.map(r => h('tr', {}, ...r.map(v => h('td', {title: text(v)}, text(v)))))))
const part = (title, ...children) => h('section', {}, h('h3', {}, title), ...children)

export async function compare(root, source, keys) {
  const o = await source.ask('compare', keys.map(k => ['run', k]))
  const parts = Object.entries(o.parts).map(([k, rows]) => part(k, grid(['', ...o.names], rows)))
  const code = o.code ? [part('code', h('pre', {tabIndex: 0}, ...o.code.split('\n').map(line =>
    h('span', {className: {'+': 'added', '-': 'removed'}[line[0]] || ''}, `${line}\n`))))] : []
  sheet(root, `${o.names[0]} and ${o.names[1]}`, ...(parts.length + code.length ? [...parts, ...code] : [h('p', {}, 'These two runs are the same.')]))
}

// Asks again every second while the run runs and the sheet is open.
// `edit`, where the source can: opens the form for the run instead.
export async function showRun(root, source, key, edit) {
  const o = await source.ask('run', [['run', key]]), log = h('pre', {className: 'console', tabIndex: 0}, o.console || 'Nothing was printed.')
  const status = h('p', {className: o.status}, o.status + (o.note ? ` (${o.note})` : ''))
  const pictures = h('div', {className: 'pictures'})
  const parts = [['Results', o.summary], ['Settings', o.config], ['Machine', o.host]].filter(p => p[1].length).map(([k, rows]) => part(k, grid(['name', 'value'], rows)))
  if (o.events.length) parts.push(part('Events', grid(['what', 'when', 'values'], o.events.map(({kind, time, fields, ...rest}) => [kind || '', time ? new Date(1000 * time).toLocaleString() : '',
    [...(fields ? [fields] : []), ...Object.entries(rest).filter(p => p[1] !== null).map(([k, v]) => `${k}=${text(v)}`)].join('  ')]))))
  if (o.files.length) parts.push(part('Files', pictures, grid(['name', 'bytes'], o.files.map(f => [f.name, f.bytes]))))
  const change = h('button', {type: 'button', className: 'change'}, 'Edit')
  change.addEventListener('click', () => { box.close(); edit() })
  const box = sheet(root, o.name, status, ...(edit ? [change] : []), ...(o.notes ? [h('p', {}, o.notes)] : []), part('Console', log), ...parts)
  log.scrollTop = log.scrollHeight
  for (const f of o.files.filter(f => /\.(png|jpe?g|gif|webp)$/i.test(f.name)).slice(0, 12)) {
    source.ask('image', [['run', key], ['name', f.name]]).then(({src}) => pictures.append(h('img', {src, alt: f.name, title: f.name}))).catch(() => {})
  }
  let status_ = o.status
  while (box.open && status_ === 'running') {
    await new Promise(done => setTimeout(done, 1000))
    if (!box.open || document.hidden) continue
    const now = await source.ask('run', [['run', key]]), end = log.scrollTop + log.clientHeight >= log.scrollHeight - 8
    log.textContent = now.console; status.textContent = status_ = now.status
    if (end) log.scrollTop = log.scrollHeight
  }
}
