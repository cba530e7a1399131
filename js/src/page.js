// The page: a table of runs and a panel for each group of metrics. What comes from runs is set as text, never as markup.
import {Chart} from './chart.js'
import {columns, duration, groups, number, panelTitle, sorted, styles, unpack} from './data.js'

const $ = id => document.getElementById(id)
const state = {rows: new Map(), shown: [], key: 'started', down: true, chosen: new Set(), picked: false, charts: new Map(), window: null, style: new Map()}
const MOST = 10

function make(tag, text, className) {
  const o = document.createElement(tag)
  if (text !== undefined) o.textContent = text
  if (className) o.className = className
  return o
}

async function get(path, params, kind) {
  const r = await fetch(`${path}?${new URLSearchParams(params)}`)
  if (!r.ok) throw new Error((await r.json().catch(() => ({}))).error || `The page's server said ${r.status}`)
  return r[kind]()
}
const say = text => { $('error').textContent = text || '' }

// -- view state in the address
function remember() {
  const o = {where: $('where').value, x: $('x').value, smooth: $('smooth').value === '0' ? '' : $('smooth').value, logx: $('logx').checked ? 1 : '',
    logy: $('logy').checked ? 1 : '', zoom: state.window ? state.window.join(',') : '', sort: `${state.down ? '-' : ''}${state.key}`}
  if (state.picked) o.runs = [...state.chosen].join(',')
  history.replaceState(null, '', '#' + new URLSearchParams(Object.entries(o).filter(([, v]) => v !== '')))
}
function recall() {
  const o = new URLSearchParams(location.hash.slice(1))
  if (o.get('where')) $('where').value = o.get('where')
  if (o.get('smooth')) $('smooth').value = o.get('smooth')
  $('logx').checked = o.has('logx'); $('logy').checked = o.has('logy')
  if (o.get('sort')) { state.down = o.get('sort')[0] === '-'; state.key = o.get('sort').replace(/^-/, '') }
  const zoom = (o.get('zoom') || '').split(',').map(Number)
  if (zoom.length === 2 && zoom.every(Number.isFinite)) state.window = zoom
  if (o.has('runs')) { state.picked = true; state.chosen = new Set(o.get('runs').split(',').filter(Boolean)) }
  return o.get('x')
}

// -- the table
const name = row => row.name || row.id
function cells(row, cols) {
  const pick = make('td'), box = make('input')
  box.type = 'checkbox'; box.checked = state.chosen.has(row.key)
  box.setAttribute('aria-label', `Draw ${name(row)}`)
  box.addEventListener('change', () => choose(row.key, box.checked))
  pick.append(box)
  const first = make('td'), dot = make('span', undefined, 'swatch')
  const s = state.style.get(row.key)
  if (s && state.chosen.has(row.key)) dot.style.background = s.color
  first.append(dot, name(row)); first.title = row.notes ? `${name(row)}\n${row.notes}` : name(row)
  const spark = make('td'), c = make('canvas', undefined, 'spark')
  c.dataset.run = row.key; c.width = 160; c.height = 40; c.setAttribute('aria-hidden', 'true')
  spark.append(c)
  const status = make('td', row.status, row.status)
  const rest = cols.map(k => {
    const v = k === 'duration' ? duration(row.status === 'running' && row.started ? Date.now() / 1000 - row.started : row.duration) : number(row[k])
    const o = make('td', v, typeof row[k] === 'number' || k === 'duration' ? 'num' : '')
    o.title = typeof row[k] === 'number' ? String(row[k]) : v
    return o
  })
  return [pick, first, status, spark, ...rest]
}

function table() {
  const rows = sorted(state.shown.map(k => state.rows.get(k)).filter(Boolean), state.key, state.down)
  const cols = ['duration', ...columns(rows)]
  const head = make('tr')
  const focus = document.activeElement?.dataset?.key
  for (const k of ['', 'name', 'status', 'spark', ...cols]) {
    const th = make('th'), label = k.replace(/^(config|summary)\./, '')
    th.scope = 'col'
    if (k === '') th.textContent = ' '
    else if (k === 'spark') { th.textContent = state.main ? state.main : ''; th.title = 'The main metric over steps' }
    else {
      const b = make('button', label + (state.key === k ? (state.down ? ' ↓' : ' ↑') : ''))
      b.dataset.key = k; b.title = k
      th.setAttribute('aria-sort', state.key === k ? (state.down ? 'descending' : 'ascending') : 'none')
      b.addEventListener('click', () => { state.down = state.key === k ? !state.down : false; state.key = k; table(); remember() })
      th.append(b)
    }
    head.append(th)
  }
  $('head').replaceChildren(head)
  const most = 500
  $('body').replaceChildren(...rows.slice(0, most).map(row => {
    const tr = make('tr')
    tr.dataset.run = row.key
    tr.append(...cells(row, cols))
    tr.addEventListener('mouseenter', () => light(row.key)); tr.addEventListener('mouseleave', () => light(null))
    return tr
  }))
  $('count').textContent = `${rows.length.toLocaleString('en')} runs, ${state.chosen.size} drawn` + (rows.length > most ? `; the first ${most} are listed` : '')
  if (focus) [...document.querySelectorAll('th button')].find(o => o.dataset.key === focus)?.focus()
  for (const c of document.querySelectorAll('canvas.spark')) sparkline(c)
}
function light(run) { for (const c of state.charts.values()) c.light(run) }

const sparks = new Map()
function sparkline(c) {
  const o = sparks.get(c.dataset.run), g = c.getContext('2d')
  if (!o || !o.n) return
  let lo = Infinity, hi = -Infinity
  for (const v of o.y) if (Number.isFinite(v)) { lo = Math.min(lo, v); hi = Math.max(hi, v) }
  if (lo > hi) return
  g.strokeStyle = getComputedStyle(c).color; g.lineWidth = 2; g.beginPath()
  let pen = false
  for (let i = 0; i < o.n; i++) {
    if (!Number.isFinite(o.y[i])) { pen = false; continue }
    const x = 2 + 156 * (o.x[i] - o.x[0]) / (o.x[o.n - 1] - o.x[0] || 1), y = 36 - 32 * (o.y[i] - lo) / (hi - lo || 1)
    pen ? g.lineTo(x, y) : g.moveTo(x, y); pen = true
  }
  g.stroke()
}

async function fetchSparks(runs) {
  if (!state.main || !runs.length) return
  const head = unpack(await get('api/series', [['metric', state.main], ['n', '20'], ...runs.slice(0, 200).map(o => ['run', o])], 'arrayBuffer'))
  for (const o of head.lines) sparks.set(o.run, o)
  table()
}

// -- the charts
function choose(key, on) {
  state.picked = true
  on ? state.chosen.add(key) : state.chosen.delete(key)
  paint(); draw(); remember()
}
function paint() { state.style = styles(state.chosen); table() }

function panels() {
  const wanted = groups(state.metrics).slice(0, 24)
  for (const [k, c] of state.charts) if (!wanted.some(o => o.name === k)) { c.destroy(); state.charts.delete(k) }
  for (const o of wanted) {
    if (!state.charts.has(o.name)) state.charts.set(o.name, new Chart($('charts'), panelTitle(o.metrics),
      {zoom: w => { state.window = w; for (const c of state.charts.values()) { c.window = w; c.redraw() } draw(); remember() }}))
    const c = state.charts.get(o.name)
    c.metrics = o.metrics; c.many = o.metrics.length > 1; c.window = state.window
  }
}

let turn = 0
async function draw(only) {
  const mine = ++turn, runs = [...state.chosen].filter(k => state.rows.has(k)), logx = $('logx').checked
  const names = new Map(runs.map(k => [k, name(state.rows.get(k))]))
  try {
    await Promise.all([...state.charts.values()].map(async c => {
      c.axes(logx, $('logy').checked)
      if (!runs.length) { c.set([], state.style, names); return }
      const n = Math.max(50, Math.min(runs.length > 50 ? 480 : 2000, c.box.clientWidth))
      const q = [['x', $('x').value], ['n', n], ['smooth', $('smooth').value], ...(logx ? [['log', 1]] : []),
        ...(state.window ? [['lo', state.window[0]], ['hi', state.window[1]]] : []), ...c.metrics.map(m => ['metric', m])]
      const ask = only && only.length < runs.length ? only.filter(k => state.chosen.has(k)) : runs
      const fresh = ask.length ? unpack(await get('api/series', [...q, ...ask.map(k => ['run', k])], 'arrayBuffer')).lines : []
      if (mine !== turn) return
      const kept = c.lines.filter(o => state.chosen.has(o.run) && !ask.includes(o.run))
      c.set([...kept, ...fresh], state.style, names)
    }))
    if (mine !== turn) return
    document.body.dataset.drawn = String(mine)
  } catch (e) { say(e.message) }
}

// -- loading and following
async function load() {
  try {
    const o = await get('api/runs', {where: $('where').value}, 'json')
    say('')
    $('title').textContent = document.title = o.title
    for (const row of o.rows) state.rows.set(row.key, row)
    state.shown = o.rows.map(row => row.key)
    state.metrics = o.metrics; state.main = o.main
    if (!state.picked) state.chosen = new Set(state.shown.slice(0, MOST))
    axis(o.metrics)
    $('empty').textContent = o.empty; $('empty').hidden = o.rows.length > 0; $('work').hidden = !o.rows.length
    panels(); paint()
    await Promise.all([draw(), fetchSparks(state.shown)])
  } catch (e) { say(e.message) }
}

function axis(metrics) {
  const was = state.x || $('x').value
  $('x').replaceChildren(...[['step', 'step'], ['time', 'relative time (s)'], ['wall', 'wall time'], ...metrics.map(m => [m, m])].map(([v, text]) => {
    const o = make('option', text); o.value = v; return o
  }))
  $('x').value = [...$('x').options].some(o => o.value === was) ? was : 'step'
  state.x = null
}

let source = null, due = null
const changed = new Set()
function follow() {
  if (document.hidden) { source?.close(); source = null; return }
  if (source) return
  source = new EventSource('api/events')
  source.onopen = () => { $('live').textContent = 'live' }
  source.onerror = () => { $('live').textContent = 'not connected' }
  source.onmessage = e => {
    const o = JSON.parse(e.data)
    let news = o.removed.length > 0
    for (const row of o.rows) {
      news ||= !state.rows.has(row.key)
      state.rows.set(row.key, row); changed.add(row.key)
    }
    clearTimeout(due)
    if (news) { due = setTimeout(load, 100); return }
    due = setTimeout(() => { const ks = [...changed]; changed.clear(); table(); draw(ks); fetchSparks(ks) }, 50)
  }
}

for (const id of ['x', 'logx', 'logy']) $(id).addEventListener('change', () => { if (id === 'x') state.window = null; panels(); draw(); remember() })
$('smooth').addEventListener('input', () => { draw(); remember() })
$('filter').addEventListener('submit', e => { e.preventDefault(); state.picked = false; load().then(remember) })
$('all').addEventListener('click', () => { state.picked = true; state.chosen = new Set(state.shown); paint(); draw(); remember() })
$('none').addEventListener('click', () => { state.picked = true; state.chosen = new Set(); paint(); draw(); remember() })
$('reset').addEventListener('click', () => { state.window = null; panels(); draw(); remember() })
document.addEventListener('visibilitychange', follow)
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { for (const c of state.charts.values()) c.plot.redraw(false); table() })
state.x = recall()
load().then(follow)
