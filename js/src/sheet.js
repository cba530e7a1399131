// What opens over the dashboard: one run, or two side by side. A dialog of the browser: Escape closes it, the focus goes back.
import {Chart} from './chart.js'
import {PALETTE, groups, number, panelTitle, unpack} from './data.js'
import {h} from './dom.js'

// Where the focus goes when a sheet closes: a live table may have been listed anew meanwhile.
const returned = (root, o) => (o?.isConnected ? o : [...root.querySelectorAll('.open')].find(b => o?.dataset?.open === b.dataset.open))

export function sheet(root, title, ...children) {
  const from = root.getRootNode().activeElement
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

const WORDS = {ok: 'fine', warn: 'warning', fail: 'failed', na: 'not known', crash: 'check failed'}
const LOOK = {ok: 'finished', warn: 'interrupted', fail: 'failed', crash: 'failed'}

// What the doctor says of the run's machine; what isn't fine comes first.
async function doctor(source, key) {
  const {checks, said} = await source.ask('machine', [['run', key]])
  if (!checks.length) return [h('p', {className: 'summary'}, said)]
  const order = ['fail', 'crash', 'warn', 'ok', 'na'], table = grid(['check', 'state', 'found', 'what to do'],
    [...checks].sort((a, b) => order.indexOf(a[1]) - order.indexOf(b[1])).map(([name, status, ...rest]) => [name, WORDS[status] || status, ...rest]))
  for (const td of table.querySelectorAll('td:nth-child(2)')) td.className = LOOK[Object.keys(WORDS).find(k => WORDS[k] === td.textContent)] || ''
  const count = k => checks.filter(o => o[1] === k).length
  return [h('p', {className: 'summary'}, `${count('fail')} failed, ${count('warn')} warnings, ${count('ok')} fine, ${count('na')} not known`), table]
}

// The system metrics over the run's time, a panel for each kind: gpu0/util and gpu1/util share one.
async function system(box, source, key, names) {
  box.classList.add('charts')
  const of = groups(names.map(k => k.slice(4))).map(o => o.metrics.map(m => `sys/${m}`)), charts = []
  let window = null
  const draw = () => Promise.all(charts.map(async c => {
    const n = Math.max(50, c.box.clientWidth), q = [['x', 'time'], ['n', n], ...(window ? [['lo', window[0]], ['hi', window[1]]] : [])]
    const {lines} = unpack(await source.ask('series', [...q, ...c.metrics.map(m => ['metric', m]), ['run', key]]))
    const looks = lines.map((o, i) => [o.metric, {color: PALETTE[i % PALETTE.length], dash: []}])
    c.window = window
    c.set(lines.map(o => ({...o, run: o.metric})), new Map(looks), new Map(lines.map(o => [o.metric, o.metric.slice(4)])))
  }))
  const zoom = to => { window = to; return draw() }
  for (const metrics of of) {
    const c = new Chart(box, panelTitle(metrics.map(m => m.slice(4))), {zoom, fit: c => { c.whole = !c.whole; c.redraw() }})
    charts.push(Object.assign(c, {metrics}))
  }
  await draw()
  return charts
}

// A part that is asked for when it is opened.
function folded(title, fill) {
  const box = h('div'), o = h('details', {}, h('summary', {}, title), box)
  o.addEventListener('toggle', () => { if (o.open && !o.dataset.asked) { o.dataset.asked = '1'; fill(box).catch(e => box.append(h('p', {className: 'error'}, e.message))) } })
  return o
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
  if (source.can?.has('machine')) parts.push(folded('What the doctor says of the machine', async box => box.append(...await doctor(source, key))))
  const charts = []
  if (o.system?.length) parts.push(folded(`System metrics (${o.system.length})`, async box => charts.push(...await system(box, source, key, o.system))))
  const change = h('button', {type: 'button', className: 'change'}, 'Edit')
  change.addEventListener('click', () => { box.close(); edit() })
  const box = sheet(root, o.name.trim() || key, status, ...(edit ? [change] : []), ...(o.notes ? [h('p', {}, o.notes)] : []), part('Console', log), ...parts)
  box.addEventListener('close', () => charts.forEach(c => c.destroy()))
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
