// SPDX-FileCopyrightText: 2026 self_segmentation contributors
// SPDX-License-Identifier: Apache-2.0
// What the page is made of: elements, the control of a parameter, a plot, and settings as text. Nothing here speaks to the studio.

/** An element with properties, attributes (names with - or role) and children. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes('-') || name === 'role') made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

/** Radio buttons side by side; `choose` takes the value that was chosen. */
export function segments(box, name, choices, chosen, choose) {
  box.replaceChildren(...choices.map(([value, text]) => element('label', {},
    element('input', { type: 'radio', name, value, checked: value === chosen, onchange: () => choose(value) }),
    element('span', { textContent: text }))));
}

export const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
export const words = (name) => name.replaceAll('_', ' ');
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** [group, own name] of a parameter, in words. */
export function place(name) {
  const dot = name.lastIndexOf('.');
  return [capital(words(dot < 0 ? 'general' : name.slice(0, dot).replaceAll('.', ' '))), capital(words(name.slice(dot + 1)))];
}

const hex = (color) => '#' + color.map((part) => part.toString(16).padStart(2, '0')).join('');
const fromHex = (text) => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
const shown = (value) => (typeof value === 'string' ? value : JSON.stringify(value));

let made = 0;

/** The row of a parameter. `send(value)` is called with what the user sets; `row.show(value)` shows what the node has. */
export function row(parameter, send) {
  const id = `p${++made}`;
  const [, title] = place(parameter.name);
  const refused = element('p', { className: 'refused', role: 'alert' });
  const back = element('button', {
    type: 'button', className: 'back', textContent: '\u21ba', title: `Back to the default: ${shown(parameter.default)}`,
    'aria-label': `${title}: back to the default`, onclick: () => send(parameter.default),
  });
  const [beside, below, show] = parameter.fixed ? fixed(id) : control(parameter, id, send);
  const unit = parameter.color ? '' : parameter.unit;
  const box = element('div', { className: 'row', id: `row-${parameter.name}` },
    element('div', {}, element('label', { htmlFor: id, className: 'label', textContent: title, title: parameter.name }),
      back, ...beside, ...(unit ? [element('span', { className: 'unit', textContent: short(unit), title: unit })] : [])),
    ...below, element('p', { textContent: sentence(parameter, unit) }), refused);
  return {
    box,
    parameter,
    text: `${parameter.name} ${title} ${parameter.text}`.toLowerCase(),
    get isChanged() { return !parameter.fixed && !same(parameter.value, parameter.default); },
    refuse(reason) { refused.textContent = reason; },
    show(value) {
      parameter.value = value;
      show(value);
      box.classList.toggle('changed', this.isChanged);
      back.disabled = !this.isChanged;
    },
  };
}

const short = (unit) => ({ seconds: 's', milliseconds: 'ms', hertz: 'Hz' }[unit] ?? (unit.length > 14 ? '' : unit));

function sentence(parameter, unit) {
  const more = short(unit) === unit || !unit ? '' : ` In ${unit}.`;
  return parameter.text + more + (parameter.fixed ? ' Decided when the node starts.' : '');
}

function fixed(id) {
  const field = element('input', { type: 'text', id, disabled: true });
  return [[], [field], (value) => { field.value = shown(value); }];
}

/** [elements beside the name, elements below it, what shows a value] */
function control(parameter, id, send) {
  const { kind, choices, range } = parameter;
  if (kind === 'bool') {
    const box = element('input', { type: 'checkbox', role: 'switch', id, onchange: () => send(box.checked) });
    return [[box], [], (value) => { box.checked = value; }];
  }
  if (parameter.color) {
    const text = element('span', { className: 'unit' });
    const well = element('input', { type: 'color', id, oninput: () => send(fromHex(well.value)) });
    return [[text, well], [], (value) => { well.value = hex(value); text.textContent = value.join(', '); }];
  }
  if (choices) return choice(parameter, id, send);
  if (kind === 'int' || kind === 'float') {
    const number = element('input', { type: 'number', id, step: kind === 'int' ? 1 : 'any', inputMode: 'decimal' });
    const read = () => (number.value === '' ? undefined : number.valueAsNumber);
    number.onchange = () => (read() === undefined ? show(parameter.value) : send(read()));
    const slider = range ? sliderOf(parameter, send, (value) => { number.value = value; }) : null;
    const show = (value) => { number.value = value; slider?.show(value); };
    return [[number], slider ? [slider.box] : [], show];
  }
  const field = element('input', { type: 'text', id, spellcheck: false, autocomplete: 'off' });
  field.onchange = () => send(kind === 'text' ? field.value : parsed(field.value));
  return [[], [field], (value) => { field.value = shown(value); }];
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text; // the studio refuses it, with what is allowed
  }
}

function choice({ name, choices }, id, send) {
  const all = choices.map((each) => [each, capital(words(each))]);
  if (choices.join('').length <= 30) {
    const box = element('div', { className: 'segments', role: 'radiogroup', 'aria-label': place(name)[1] });
    segments(box, id, all, undefined, send);
    return [[], [box], (value) => box.querySelectorAll('input').forEach((each) => { each.checked = each.value === value; })];
  }
  const list = element('select', { id, onchange: () => send(list.value) },
    ...all.map(([value, textContent]) => element('option', { value, textContent })));
  return [[list], [], (value) => { list.value = value; }];
}

/** A slider; over a range of more than two powers of ten it goes by powers. */
function sliderOf({ name, kind, range: [least, most, step] }, send, show) {
  const byPowers = kind === 'float' && least > 0 && most / least > 200;
  const [from, to] = byPowers ? [Math.log(least), Math.log(most)] : [least, most];
  const fine = kind === 'int' ? step || 1 : 10 ** Math.floor(Math.log10((to - from) / 100));
  const box = element('input', {
    type: 'range', className: 'slider', min: from, max: to, step: byPowers ? 'any' : fine, 'aria-label': `${place(name)[1]}, slider`,
  });
  const fill = () => box.style.setProperty('--part', `${(100 * (box.valueAsNumber - from)) / (to - from || 1)}%`);
  const value = () => {
    const exact = byPowers ? Math.exp(box.valueAsNumber) : box.valueAsNumber;
    return kind === 'int' ? Math.round(exact) : Math.min(Math.max(Number(exact.toPrecision(3)), least), most);
  };
  box.oninput = () => { fill(); show(value()); send(value()); };
  return { box, show(now) { box.value = byPowers ? Math.log(now) : now; fill(); } };
}

/** A figure with its last minute. `plot.add(value)`; null where there is none. */
export function plot(title, unit, digits) {
  const line = document.createElementNS('http://www.w3.org/2000/svg', 'polyline');
  const picture = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  picture.setAttribute('viewBox', '0 0 60 20');
  picture.setAttribute('preserveAspectRatio', 'none');
  picture.setAttribute('aria-hidden', 'true');
  picture.append(line);
  const number = element('b', { textContent: '\u2013' });
  const box = element('div', { className: 'plot' }, element('small', { textContent: title }), number,
    element('span', { textContent: unit }), picture);
  const past = [];
  return {
    box,
    add(value) {
      past.push(value);
      if (past.length > 61) past.shift();
      number.textContent = value === null ? '\u2013' : value.toFixed(digits);
      const top = Math.max(...past.filter((each) => each !== null), 1e-3) * 1.15;
      line.setAttribute('points', past.map((each, at) => [60 - past.length + 1 + at, each])
        .filter(([, each]) => each !== null).map(([x, each]) => `${x},${19 - (18 * each) / top}`).join(' '));
    },
  };
}

/** A value as YAML and `ros2 param set` read it. */
function scalar(value, kind) {
  if (Array.isArray(value)) return `[${value.map((each) => scalar(each, kind.replace(/s$/, ''))).join(', ')}]`;
  if (kind === 'float' && typeof value === 'string') return { inf: '.inf', '-inf': '-.inf' }[value] ?? '.nan';
  if (kind === 'float') {
    const text = String(value);
    return /[.]/.test(text) ? text : text.includes('e') ? text.replace('e', '.0e') : `${text}.0`;
  }
  return kind === 'int' ? String(value) : JSON.stringify(value);
}

const written = (parameters) => parameters.filter(({ kind, value }) => kind && !(Array.isArray(value) && !value.length));

/** All values as a ROS parameter file. */
export function yaml(node, parameters) {
  const lines = written(parameters).map(({ name, value, kind }) => `    ${name}: ${scalar(value, kind)}\n`);
  return `# ${node}, as the studio found it: ros2 launch self_segmentation segment.launch.py params_file:=THIS FILE\n`
    + `/**:\n  ros__parameters:\n${lines.join('')}`;
}

/** What differs from the defaults as lines for a shell; all of it where nothing does. */
export function commands(node, parameters) {
  const settable = written(parameters).filter((each) => !each.fixed);
  const changed = settable.filter(({ value, default: usual }) => !same(value, usual));
  const quoted = (text) => (/^[\w./+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
  return (changed.length ? changed : settable)
    .map(({ name, value, kind }) => `ros2 param set ${quoted(node)} ${quoted(name)} ${quoted(scalar(value, kind))}\n`).join('');
}
