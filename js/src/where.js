// A condition such as `lr < 0.05 and acc > 0.9`, answered from the rows that are here. Python's mlkit.core.query knows more of the language
// and explains mistakes: what isn't surely the same here is left to it. Pure functions: `node --test` runs them.

const TOKEN = /\s*(?:(\d[\d_]*\.?[\d_]*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)(?![\w.])|('[^'\\\n]*'|"[^"\\\n]*")|`([^`]+)`|([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)(?![\w.`])|(<=|>=|==|!=|[<>()[\],-]))/y
const KEYWORDS = new Set(('None as assert async await break class continue def del elif else except finally for from global if import is lambda '
  + 'nonlocal pass raise return try while with yield').split(' '))
class Unsure extends Error {}

function tokens(text) {
  const out = []
  for (TOKEN.lastIndex = 0; TOKEN.lastIndex < text.length;) {
    const m = TOKEN.exec(text)
    if (!m) throw new Unsure(text)
    const [, number, string, quoted, word, sign] = m
    if (number !== undefined && /_(?!\d)|\d_*\d*[eE].*_|^0\d/.test(number)) throw new Unsure(number)
    if (word && word.split('.').some(o => KEYWORDS.has(o))) throw new Unsure(word)
    out.push(number !== undefined ? {value: +number.replaceAll('_', '')} : string ? {value: string.slice(1, -1)} : quoted ? {name: quoted}
      : word === 'True' || word === 'False' ? {value: word === 'True'} : ['and', 'or', 'not', 'in'].includes(word) || sign ? {sign: word || sign} : {name: word})
  }
  return out
}

// The one name that `name` stands for: in full, without the first part, as the last part.
function resolve(name, known) {
  for (const test of [k => k === name, k => k.slice(k.indexOf('.') + 1) === name && k.includes('.'), k => k.endsWith(`.${name}`) || k.endsWith(`/${name}`)]) {
    const found = known.filter(test)
    if (found.length === 1) return found[0]
    if (found.length) throw new Unsure(name)
  }
  throw new Unsure(name)
}

const number = v => (typeof v === 'boolean' ? +v : v === 'NaN' ? NaN : v)
const missing = v => v === null || v === undefined
const COMPARE = {'<': (a, b) => a < b, '<=': (a, b) => a <= b, '>': (a, b) => a > b, '>=': (a, b) => a >= b, '==': (a, b) => a === b, '!=': (a, b) => a !== b}

class Reader {
  constructor(text, rows) { this.left = tokens(text); this.rows = rows; this.known = [...new Set(rows.flatMap(Object.keys))].filter(k => k !== 'key' && k !== 'texts'); this.depth = 0 }
  next(...signs) { if (signs.includes(this.left[0]?.sign)) return this.left.shift().sign }
  need(sign) { if (!this.next(sign)) throw new Unsure(sign) }

  or() {
    const all = [this.and()]
    while (this.next('or')) all.push(this.and())
    return row => all.some(f => f(row))
  }
  and() {
    const all = [this.not()]
    while (this.next('and')) all.push(this.not())
    return row => all.every(f => f(row))
  }
  not() {
    if (++this.depth > 100) throw new Unsure('depth')
    if (!this.next('not')) return this.comparison()
    const f = this.not()
    return row => !f(row)
  }
  comparison() {
    if (this.left[0]?.sign === '(') {
      this.next('(')
      const f = this.or()
      this.need(')')
      if (this.left[0]?.sign && !['and', 'or', ')'].includes(this.left[0].sign)) throw new Unsure('a value in brackets')
      return f
    }
    const tests = []
    let a = this.operand()
    for (let sign; (sign = this.next('<', '<=', '>', '>=', '==', '!=', 'in'));) {
      const b = sign === 'in' ? this.list() : this.operand()
      tests.push(sign === 'in' ? this.member(a, b) : this.pair(sign, a, b))
      if (sign === 'in') break
      a = b
    }
    if (!tests.length) throw new Unsure('a value alone')
    return row => tests.every(f => f(row))
  }
  list() {
    const end = {'[': ']', '(': ')'}[this.next('[', '(')], out = []
    if (!end) throw new Unsure('in')
    while (!this.next(end)) { out.push(this.operand()); if (!this.next(',')) { this.need(end); if (end === ')' && out.length === 1) throw new Unsure('no tuple'); break } }
    if (!out.length || out.some(o => o.name)) throw new Unsure('list')
    return out
  }
  // A value, or a name with what kind of values it has: all numbers, or all text. `texts` names what is here only as text.
  operand() {
    const minus = this.next('-'), o = this.left.shift()
    if (!o || o.sign || (minus && typeof o.value !== 'number')) throw new Unsure('operand')
    if (o.name === undefined) {
      const value = typeof o.value === 'string' ? o.value : minus ? -o.value : +o.value
      if (Math.abs(value) >= 2 ** 53) throw new Unsure(value)
      return {kind: typeof value, get: () => value}
    }
    const name = resolve(o.name, this.known), there = this.rows.map(row => row[name]).filter(v => !missing(v)), kinds = new Set(there.map(v => typeof number(v)))
    if (['started', 'tags'].includes(name) || this.rows.some(row => row.texts?.includes(name))) throw new Unsure(name)
    if (kinds.size !== 1 || !['number', 'string'].includes([...kinds][0])) throw new Unsure(name)
    if (kinds.has('number') ? there.some(v => Math.abs(v) >= 2 ** 53) : there.some(v => v === 'inf' || v === '-inf')) throw new Unsure(name)
    return {name, kind: [...kinds][0], get: row => number(row[name])}
  }
  pair(sign, a, b) {
    if (a.kind !== b.kind || (a.kind === 'string' && sign !== '==' && sign !== '!=')) throw new Unsure(sign)
    const test = COMPARE[sign]
    return row => { const [v, w] = [a.get(row), b.get(row)]; return !missing(v) && !missing(w) && test(v, w) }
  }
  member(a, list) {
    if (!a.name || list.some(o => o.kind !== a.kind)) throw new Unsure('in')
    const values = new Set(list.map(o => o.get()).filter(v => v === v))
    return row => values.has(a.get(row))
  }
}

// The rows for which a condition holds; null when only Python can tell.
export function where(text, rows) {
  if (!text.trim() || text.length > 2000 || !rows.length) return null
  try {
    const reader = new Reader(text.trim(), rows), test = reader.or()
    return reader.left.length ? null : rows.filter(test)
  } catch (e) {
    if (e instanceof Unsure) return null
    throw e
  }
}
