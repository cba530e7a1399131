// A report: the view over what the file itself keeps. Nothing is asked of anybody.
import {groups} from './data.js'
import {h} from './dom.js'
import {series, unfold} from './kept.js'
import {View} from './view.js'
import {where} from './where.js'

const AXES = [['step', 'step'], ['time', 'relative time (s)'], ['wall', 'wall time']]
const kept = JSON.parse(document.getElementById('mlkit-report').textContent)

async function opened() {
  if (!globalThis.DecompressionStream) throw new Error('This browser is too old to unpack the curves; one of 2023 or later can')
  const text = document.getElementById('mlkit-data').textContent
  const bytes = Uint8Array.fromBase64?.(text) || Uint8Array.from(atob(text), o => o.charCodeAt(0))      // the first is of 2025
  const stream = new DecompressionStream('deflate'), writer = stream.writable.getWriter(), all = new Response(stream.readable).arrayBuffer()
  writer.write(bytes).catch(() => {})
  writer.close().catch(() => {})
  return unfold(kept.lines, kept.points, new Uint8Array(await all))
}

class ReportView extends View {
  get most() { return 100 }
  grouped() { return kept.panels ? kept.panels.map((metrics, i) => ({name: String(i), metrics})) : groups(this.metrics) }

  // A file has no more axes than those it keeps.
  axis() {
    super.axis()
    const x = this.$.x, was = x.value
    x.replaceChildren(...AXES.map(([value, text]) => h('option', {value}, text)))
    x.value = AXES.some(o => o[0] === was) ? was : 'step'
  }

  // Only the averages that were taken over all points are offered.
  levels() {
    const was = +this.$.smooth.value, near = [0, ...kept.smooth].reduce((a, b) => (Math.abs(b - was) < Math.abs(a - was) ? b : a))
    const select = h('select', {}, ...[0, ...kept.smooth].map(v => h('option', {value: v}, v ? String(v) : 'off')))
    select.dataset.ref = 'smooth'
    select.value = String(near)
    select.addEventListener('change', () => { this.draw(); this.remember() })
    this.$.smooth.replaceWith(select)
    this.$.smooth = select
    this.$.weight.remove()
  }

  panels() {
    super.panels()
    const panels = [...this.charts.values()].map(o => o.root), prose = [...document.querySelectorAll('.prose')]
    const of = o => ('text' in o ? [prose[o.text]] : 'panel' in o ? [panels[o.panel]] : o.all ? panels : [this.$.runs])
    this.$.runs ||= this.$.table.parentElement
    if (!this.placed) this.$.charts.append(...kept.layout.flatMap(of).filter(Boolean))
    this.placed = true
  }
}

// There is no Python here: what only it can tell is refused.
function filtered(text) {
  const {rows} = kept.runs, found = text ? where(text, rows) : rows
  if (!found) throw new Error(`A report compares settings and results with numbers or text, such as: lr < 0.05 and acc > 0.9. It can't read: ${text}`)
  return {...kept.runs, rows: found, empty: found.length ? '' : `No run where ${text}`}
}

const inside = location.protocol === 'about:', hash = inside ? '' : location.hash.slice(1)
const source = {lines: opened(), async ask(name, pairs) {
  if (name === 'runs') return filtered(pairs[0][1].trim())
  if (name === 'series') return series(await this.lines, pairs)
  throw new Error(`A report keeps no ${name}`)
}}
const state = hash ? Object.fromEntries(new URLSearchParams(hash)) : kept.state
const remember = o => { if (!inside) history.replaceState(null, '', '#' + new URLSearchParams(o)) }

// The view is made when its lines are there, so that it is painted once.
function show() {
  const view = globalThis.view = new ReportView(document.body, source, {state: {runs: kept.runs.rows.map(o => o.key).join(','), ...state}, remember,
    titled: title => { document.title = title }})
  view.levels()
  document.body.append(document.querySelector('footer'))
  view.printsWhite()
}
source.lines.then(show, show)
